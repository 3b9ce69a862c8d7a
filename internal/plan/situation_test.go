// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// In these tests a token is written KEY/VALUE, and its binding holds when it
// says so. The keyring has the keys k-new and k-old, and k-next staged; the .env has
// the value "now".
const (
	current  = "k-new/now"
	previous = "k-old/now"
	changed  = "k-new/before"
	alien    = "k-lost/now"
	staged   = "k-next/now"
	garbage  = "k-new" // opens with no key, although it says so
)

// Two tokens as they really are, for what reads their time. For the judge they are
// current.
const (
	of2023  = "gAAAAABlU_EAMDEyMzQ1Njc4OWFiY2RlZqrtKI-OpiA3se9kUtejVGOVU4SNczTK5An6Mf2LDCkbfk5IZLoNScVi7e0q1M2x8w=="
	ofNoDay = "gEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==" // 2^62 seconds
)

// ring is the keyring of these tests.
type ring struct{}

func (ring) Has(id string) bool { return id == "k-new" || id == "k-old" || id == "k-next" }
func (ring) IDs() []string      { return []string{"k-new", "k-next", "k-old"} }
func (ring) Staged() string     { return "k-next" }

func keyOf(token string) string {
	key, _, _ := strings.Cut(opened(token), "/")
	return key
}

func opened(token string) string {
	if token == of2023 || token == ofNoDay {
		return current
	}
	return token
}

func judge(t token.Token) token.Verdict {
	key, value, ok := strings.Cut(opened(t.Token), "/")
	if !ok || !(ring{}).Has(key) {
		return token.Verdict{}
	}
	binding := map[string]token.Binding{"": token.BindingAbsent, "holds": token.BindingHolds, "of " + t.Secret: token.BindingHolds}
	b, known := binding[t.Binding]
	if !known {
		b = token.BindingWrong
	}
	return token.Verdict{Opens: true, KeyID: key, Same: value == "now", Binding: b}
}

// alone is judge for k-new by itself: k-old is the key that is to be dropped.
func alone(t token.Token) token.Verdict {
	if keyOf(t.Token) != "k-new" {
		return token.Verdict{}
	}
	return judge(t)
}

func sameValue(a, b token.Token) bool {
	_, x, okX := strings.Cut(a.Token, "/")
	_, y, okY := strings.Cut(b.Token, "/")
	return okX && okY && x == y
}

// secretA is the entry that most situations are about.
var secretA = []plan.Wanted{{EnvKey: "SECRET_A", Base: "secret-a"}}

// live makes a Secret of ours; the changes make it less so.
func live(generation int, token string, changes ...func(*manifest.Object)) manifest.Object {
	o := manifest.Object{
		Namespace: "ns", Name: names.Secret("secret-a", generation), UID: "uid-" + token, Base: "secret-a", Generation: generation,
		EnvKey: "SECRET_A", Token: token, Managed: true, KeyID: keyOf(token), Binding: "holds", Immutable: true,
	}
	for _, change := range changes {
		change(&o)
	}
	return o
}

func binding(b string) func(*manifest.Object)   { return func(o *manifest.Object) { o.Binding = b } }
func uid(text string) func(*manifest.Object)    { return func(o *manifest.Object) { o.UID = text } }
func keyID(label string) func(*manifest.Object) { return func(o *manifest.Object) { o.KeyID = label } }
func unlabelled(o *manifest.Object)             { o.Managed, o.KeyID = false, "" }
func deleting(o *manifest.Object)               { o.Deleting = true }
func mutable(o *manifest.Object)                { o.Immutable = false }
func spelled(name string) func(*manifest.Object) {
	return func(o *manifest.Object) { o.EnvKey = name }
}

// named gives an object a base name that is its data key too.
func named(base string) func(*manifest.Object) {
	return func(o *manifest.Object) { o.Base, o.Name, o.EnvKey = base, names.Secret(base, o.Generation), base }
}

// of moves an object to another entry.
func of(letter string, o manifest.Object) manifest.Object {
	o.Base = "secret-" + letter
	o.Name, o.EnvKey = names.Secret(o.Base, o.Generation), "SECRET_"+strings.ToUpper(letter)
	return o
}

func objects(all ...manifest.Object) []manifest.Object { return all }

// row is one of a push about SECRET_A.
func row(generation int, state ledger.State, token string) ledger.Row {
	r := ledger.Row{
		Operation: ledger.Push, State: state, Cluster: "c", Namespace: "ns", Secret: names.Secret("secret-a", generation),
		Generation: generation, EnvKey: "SECRET_A", KeyID: keyOf(token), Token: token, Binding: "holds", Since: generation,
	}
	if state == ledger.Created || state == ledger.Deleted {
		r.UID = "uid-" + token
	}
	return r
}

// rotated is one of a rotation.
func rotated(generation int, state ledger.State, token string) ledger.Row {
	r := row(generation, state, token)
	r.Operation = ledger.Rotate
	return r
}

// rowOf moves a row to another entry.
func rowOf(letter string, r ledger.Row) ledger.Row {
	r.Secret, r.EnvKey = names.Secret("secret-"+letter, r.Generation), "SECRET_"+strings.ToUpper(letter)
	return r
}

func withUID(r ledger.Row, uid string) ledger.Row {
	r.UID = uid
	return r
}

func withBinding(r ledger.Row, b string) ledger.Row {
	r.Binding = b
	return r
}

func sinceOne(r ledger.Row) ledger.Row {
	r.Since = 1
	return r
}

func list(rows ...ledger.Row) []ledger.Row { return rows }

// records folds rows as their evidence.
func records(rows ...ledger.Row) []ledger.Record { return ledger.Fold(rows) }

// hints folds rows that no held key signed. Their lines are their generations.
func hints(rows ...ledger.Row) []ledger.Record {
	all := records(rows...)
	for i := range all {
		all[i].Hint, all[i].Line = true, all[i].Generation
	}
	return all
}

func bookOf(rows []ledger.Row) *ledger.Book {
	b := ledger.NewBook(ledger.Keys{})
	for _, row := range rows {
		b.Add(row)
	}
	return b
}

// situation is a row of a table: what is known of the namespace ns in the cluster c,
// what was asked for, and what is decided.
type situation struct {
	name    string
	objects []manifest.Object // that are there
	gone    []manifest.Object // that vanished while the run waited
	records []ledger.Record
	past    []ledger.Row  // rows of which the ledger keeps no token
	edits   []ledger.Edit // rows that somebody edited
	ignore  string        // --ignore-key
	cluster string        // that a restore is for; c where empty

	update, revert bool // push --update, push --revert SECRET_A
	orphan         bool // SECRET_A is no longer in the .env
	leaving        bool // retire SECRET_A
	going          bool // what is there is about to be deleted
	forgotten      bool // what is not there is lost for good

	entries []plan.Wanted // secretA where nil

	want string // what is decided, as decided writes it
}

func (s situation) wanted() []plan.Wanted {
	if s.entries == nil {
		return secretA
	}
	return s.entries
}

func (s situation) view() plan.View {
	_, past := bookOf(s.past).At("c", "ns")
	view := plan.NewView("c", "ns", s.records, past, s.objects, s.gone)
	view.Ledger, view.Edits = "l.csv", s.edits
	if !s.orphan {
		view.Wanted = s.wanted()
	}
	if s.ignore != "" {
		view.Ignore = []string{s.ignore}
	}
	return view
}

func (s situation) inEnv(string) bool { return !s.orphan }

// decided writes OUTCOME SECRET, then the token of a row that has one, else its key id,
// what else the decision says, and after a colon the reason. An operation that is
// not push's and a since that is not the generation are written too.
func decided(d plan.Decision) string {
	text := string(d.Outcome) + " " + d.Row.Secret
	for _, part := range []struct {
		says bool
		text string
	}{
		{d.Resend, " resend"},
		{d.Row.Token != "", " " + d.Row.Token},
		{d.Row.Token == "" && d.Row.KeyID != "", " under " + d.Row.KeyID},
		{d.Row.Operation != ledger.Push, " as " + cmp.Or(string(d.Row.Operation), "nothing")},
		{d.Row.Since != d.Row.Generation, fmt.Sprintf(" since %d", d.Row.Since)},
		{d.Complete, " complete"},
		{d.ByRow, " by row"},
		{d.Adoptable, " adoptable"},
		{d.Reason != "", ": " + d.Reason},
	} {
		if part.says {
			text += part.text
		}
	}
	return text
}

func allDecided(decisions []plan.Decision) (texts []string) {
	for _, d := range decisions {
		texts = append(texts, decided(d))
	}
	return texts
}

// agree compares texts with those that a row wants, joined with " | ". Of a reason, what
// follows the first colon, the row has a fragment.
func agree(t *testing.T, got []string, want string) {
	t.Helper()
	wanted := strings.Split(want, " | ")
	if want == "" {
		wanted = nil
	}
	agreed := len(got) == len(wanted)
	for i := 0; agreed && i < len(got); i++ {
		text, reason, _ := strings.Cut(got[i], ": ")
		wantText, fragment, _ := strings.Cut(wanted[i], ": ")
		agreed = text == wantText && strings.Contains(reason, fragment) && (reason == "") == (fragment == "")
	}
	if !agreed {
		t.Errorf("\ngot  %s\nwant %s", strings.Join(got, " | "), want)
	}
}

// entryOf gives the entry of a Secret.
func entryOf(secret string) string {
	base, _ := names.Split(secret)
	return strings.ToUpper(strings.ReplaceAll(base, "-", "_"))
}

// whole checks what every decision about a view has to have: a row with its place, and
// of what is there the bytes, the key and the uid.
func whole(t *testing.T, view plan.View, d plan.Decision) {
	t.Helper()
	_, generation := names.Split(d.Row.Secret)
	state := ledger.Planned
	if d.Outcome == plan.Unchanged {
		state = ledger.Created
	}
	if d.Row.Cluster != view.Cluster || d.Row.Namespace != view.Namespace || d.Row.Generation != generation || d.Row.State != state {
		t.Errorf("the row's place: %+v", d.Row)
	}
	if d.Row.EnvKey != entryOf(d.Row.Secret) {
		t.Errorf("the row's entry: %+v", d.Row)
	}
	if d.Row.Token != "" && (d.Row.KeyID != keyOf(d.Row.Token) || d.Row.Binding != "holds") {
		t.Errorf("the row's token: %+v", d.Row)
	}
	for _, o := range view.Objects {
		there := d.Outcome == plan.Foreign || d.Outcome == plan.Misplaced || d.Outcome == plan.Differs || d.Outcome == plan.Unchanged
		if o.Name == d.Row.Secret && there && d.Row.UID != o.UID {
			t.Errorf("the row's uid: %+v", d.Row)
		}
	}
}
