// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// In these tests a bundle is written as its entries, "A:new/now B:old/now@5": its data key, the
// key and the value of its token, and the hour at which that was sealed, 1 where none is
// said. The keyring and the .env are those of the other situations: k-new, k-old, k-next
// staged, and the value "now" for all entries. The tokens have the form of real ones.

// sealed gives a token of this key, value and hour.
func sealed(text string) string {
	text, at, _ := strings.Cut(text, "@")
	h, _ := strconv.Atoi(at)
	raw := make([]byte, 73)
	raw[0] = 0x80
	binary.BigEndian.PutUint64(raw[1:], uint64(hour(max(h, 1)).Unix()))
	copy(raw[9:], text)
	return base64.URLEncoding.EncodeToString(raw)
}

// unsealed is the reverse, without the hour.
func unsealed(text string) string {
	raw, err := base64.URLEncoding.DecodeString(text)
	if err != nil || len(raw) != 73 {
		return "?" + text
	}
	return strings.TrimRight(string(raw[9:25]), "\x00")
}

// set gives the entries of a bundle.
func set(text string) (entries []token.Entry) {
	for _, field := range strings.Fields(text) {
		name, of, _ := strings.Cut(field, ":")
		entries = append(entries, token.Entry{Name: name, Token: sealed(of)})
	}
	return entries
}

// unset writes entries. One without a token is its name alone.
func unset(entries []token.Entry) string {
	var texts []string
	for _, e := range entries {
		text := e.Name
		if e.Token != "" {
			text += ":" + unsealed(e.Token)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " ")
}

// bindingFor gives the binding that holds for a token or a bundle in its place.
func bindingFor(t token.Token) string {
	h := fnv.New64()
	if !token.Joined(t.Token) {
		fmt.Fprint(h, t.Namespace, t.Secret, t.EnvKey, t.Token)
		return fmt.Sprintf("v1:%x", h.Sum64())
	}
	fmt.Fprint(h, t.Namespace, t.Secret, t.Token)
	return fmt.Sprintf("v2:%d:%x", len(token.Split(t.Token)), h.Sum64())
}

// judgeSet is a judge of such tokens, as a keyring has it.
func judgeSet(t token.Token) token.Verdict {
	v := token.Verdict{Opens: true, Same: true, Binding: token.BindingWrong}
	for i, e := range t.Entries() {
		key, value, ok := strings.Cut(unsealed(e.Token), "/")
		if key = "k-" + key; !ok || !(ring{}).Has(key) {
			return token.Verdict{}
		}
		v.Same = v.Same && value == "now"
		switch {
		case i == 0:
			v.KeyID = key
		case v.KeyID != key:
			v.KeyID = ""
		}
	}
	switch {
	case len(t.Entries()) == 0:
		return token.Verdict{}
	case t.Binding == "":
		v.Binding = token.BindingAbsent
	case v.KeyID != "" && t.Binding == bindingFor(t):
		v.Binding = token.BindingHolds
	}
	return v
}

// aloneSet is judgeSet for k-new by itself.
func aloneSet(t token.Token) token.Verdict {
	for _, e := range t.Entries() {
		if !strings.HasPrefix(unsealed(e.Token), "new/") {
			return token.Verdict{}
		}
	}
	return judgeSet(t)
}

func sameSet(a, b token.Token) bool {
	return slices.EqualFunc(a.Entries(), b.Entries(), func(a, b token.Entry) bool {
		_, x, okX := strings.Cut(unsealed(a.Token), "/")
		_, y, okY := strings.Cut(unsealed(b.Token), "/")
		return a.Name == b.Name && okX && okY && x == y
	})
}

// keyOfSet gives the key id that the metadata of a bundle has.
func keyOfSet(entries []token.Entry) string {
	if len(entries) == 0 {
		return ""
	}
	key, _, _ := strings.Cut(unsealed(entries[0].Token), "/")
	return "k-" + key
}

// web makes a live generation of the bundle web.
func web(generation int, entries string, changes ...func(*manifest.Object)) manifest.Object {
	all := set(entries)
	o := manifest.Object{
		Namespace: "ns", Name: names.Numbered("web", generation), UID: "uid-" + entries, Base: "web", Generation: generation,
		Token: token.Join(all), Managed: true, KeyID: keyOfSet(all), Kind: manifest.KindBundle, Immutable: true,
	}
	o.Binding = bindingFor(o.Placed())
	for _, change := range changes {
		change(&o)
	}
	return o
}

// holding puts other entries into a bundle, and leaves all else as it was made.
func holding(entries string) func(*manifest.Object) {
	return func(o *manifest.Object) { o.Token = token.Join(set(entries)) }
}

// bare is a Secret of one entry without label and binding: it looks like a single token.
func bare(o *manifest.Object) {
	e := o.Placed().Entries()[0]
	o.EnvKey, o.Token, o.Kind, o.Binding = e.Name, e.Token, "", ""
}

// one makes a live generation of a single entry, such as A:new/now.
func one(generation int, entry string, changes ...func(*manifest.Object)) manifest.Object {
	e := set(entry)[0]
	base := strings.ToLower(e.Name)
	o := manifest.Object{
		Namespace: "ns", Name: names.Secret(base, generation), UID: "uid-" + entry, Base: base, Generation: generation,
		EnvKey: e.Name, Token: e.Token, Managed: true, KeyID: keyOfSet([]token.Entry{e}), Immutable: true,
	}
	o.Binding = bindingFor(o.Placed())
	for _, change := range changes {
		change(&o)
	}
	return o
}

// rowsOf gives the rows that recorded an object in a state: of a bundle one for each entry, and
// one for the whole.
func rowsOf(state ledger.State, o manifest.Object) (rows []ledger.Row) {
	row := ledger.Row{
		Operation: ledger.Push, State: ledger.Planned, Cluster: "c", Namespace: "ns", Secret: o.Name, Generation: o.Generation,
		KeyID: o.KeyID, Binding: o.Binding, Since: o.Generation,
	}
	for _, e := range o.Placed().Entries() {
		row.EnvKey, row.Token = e.Name, e.Token
		rows = append(rows, row)
	}
	if o.EnvKey == "" {
		row.EnvKey, row.Token = "", ""
	}
	if state != ledger.Planned {
		row.State, row.UID = state, o.UID
		rows = append(rows, row)
	}
	return rows
}

func createdRows(all ...manifest.Object) (rows []ledger.Row) {
	for _, o := range all {
		rows = append(rows, rowsOf(ledger.Created, o)...)
	}
	return rows
}

// less leaves out the planned row of an entry.
func less(name string, rows []ledger.Row) []ledger.Row {
	return slices.DeleteFunc(slices.Clone(rows), func(r ledger.Row) bool { return r.EnvKey == name })
}

// entriesOf gives what is wanted of these entries, one letter each: singles, or a bundle.
func entriesOf(letters, bundle string) (wanted []plan.Wanted) {
	for _, letter := range letters {
		wanted = append(wanted, plan.Wanted{EnvKey: string(letter), Base: strings.ToLower(string(letter))})
	}
	return plan.Bundling(wanted, bundle)
}

// bundleSituation is a row of a table: a namespace of which the .env wants the bundle web of
// the entries A and B, unless it says otherwise.
type bundleSituation struct {
	name    string
	objects []manifest.Object
	rows    []ledger.Row    // evidence
	hints   []ledger.Record // hints
	past    []ledger.Row    // rows of which the ledger keeps no token
	edits   []ledger.Edit   // rows that somebody edited

	letters string // the entries of the .env, AB where empty
	single  bool   // each is a Secret of its own
	update  bool
	drop    bool
	revert  string // entries

	want string
}

func (s bundleSituation) inEnv(name string) bool {
	return strings.Contains(cmp.Or(s.letters, "AB"), name)
}

func (s bundleSituation) wanted() []plan.Wanted {
	if s.single {
		return entriesOf(cmp.Or(s.letters, "AB"), "")
	}
	return entriesOf(cmp.Or(s.letters, "AB"), "web")
}

func (s bundleSituation) view() plan.View {
	_, past := bookOf(s.past).At("c", "ns")
	view := plan.NewView("c", "ns", slices.Concat(records(s.rows...), s.hints), past, s.objects, nil)
	view.Ledger, view.Edits, view.Wanted = "l.csv", s.edits, s.wanted()
	return view
}

// decidedSet writes OUTCOME SECRET and what the decision is made of.
func decidedSet(d plan.Decision) string {
	text := string(d.Outcome) + " " + d.Row.Secret
	var changes []string
	for _, c := range d.Changes {
		changes = append(changes, c.String())
	}
	for _, part := range []struct {
		says bool
		text string
	}{
		{d.Resend, " resend"},
		{d.Row.Token != "", " has " + unset(d.Row.Placed().Entries())},
		{d.Entries != nil, " from " + unset(d.Entries)},
		{d.Row.Operation != ledger.Push && d.Row.Operation != "", " as " + string(d.Row.Operation)},
		{d.Row.Since != d.Row.Generation && d.Row.Since != 0, fmt.Sprintf(" since %d", d.Row.Since)},
		{d.Changes != nil, " changes " + strings.Join(changes, " ")},
		{d.Stale != nil, " stale " + strings.Join(d.Stale, " ")},
		{d.Dropped != nil, " dropped " + strings.Join(d.Dropped, " ")},
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

func allDecidedSet(decisions []plan.Decision) (texts []string) {
	for _, d := range decisions {
		texts = append(texts, decidedSet(d))
	}
	return texts
}

const (
	now2   = "A:new/now B:new/now"
	older2 = "A:old/now B:old/now"
	newer2 = "A:new/now B:new/newer@5"
)

func swappedTokens(o *manifest.Object) { holding("A:new/other B:new/now")(o) }

var pushBundleCases = []bundleSituation{
	{name: "nothing known", want: "created web-g1 from A B"},
	{name: "a bundle of one", letters: "A", want: "created web-g1 from A"},
	{name: "as it is in the .env", objects: objects(web(1, now2)), rows: createdRows(web(1, now2)), want: "unchanged web-g1 has A:new/now B:new/now"},
	{name: "under the previous key", objects: objects(web(1, older2)), rows: createdRows(web(1, older2)), want: "unchanged web-g1 has A:old/now B:old/now"},
	{name: "no row: ours by its binding", objects: objects(web(1, now2)), want: "unchanged web-g1 has A:new/now B:new/now as learn confirmed"},
	{name: "planned, and it landed", objects: objects(web(1, now2)), rows: rowsOf(ledger.Planned, web(1, now2)), want: "unchanged web-g1 has A:new/now B:new/now confirmed"},
	{name: "a row of an entry is missing", objects: objects(web(1, now2)), rows: less("B", createdRows(web(1, now2))), want: "unchanged web-g1 has A:new/now B:new/now confirmed"},
	{name: "its binding was removed: the rows have it", objects: objects(web(1, now2, binding(""))), rows: createdRows(web(1, now2)), want: "unchanged web-g1 has A:new/now B:new/now"},
	{name: "its binding was removed, and a row of an entry", objects: objects(web(1, now2, binding(""))), rows: less("B", createdRows(web(1, now2))), want: "misplaced web-g1: nothing says that it was made for this place"},
	{name: "all metadata of a bundle of one was removed", letters: "A", objects: objects(web(1, "A:new/now", bare)), rows: createdRows(web(1, "A:new/now")), want: "unchanged web-g1 has A:new/now"},
	{name: "the name without a number is another string", objects: objects(web(1, now2, func(o *manifest.Object) { o.Name = "web" })), want: "created web-g1 from A B"},
	{name: "a single token of the bundle's name is no bundle", letters: "A", objects: objects(one(1, "A:new/now", func(o *manifest.Object) { o.Base, o.Name = "web", "web" })), want: "created web-g1 from A"},

	{name: "another value", objects: objects(web(1, newer2)), want: "differs web-g1 changes ~B: --update writes the next generation"},
	{name: "one more in the .env", letters: "ABC", objects: objects(web(1, now2)), want: "differs web-g1 changes +C: --update writes"},
	{name: "added, changed and gone, by sign and name", letters: "DBC", objects: objects(web(1, "A:new/now B:new/x C:new/now")), want: "differs web-g1 changes +D ~B -A: --update writes"},
	{name: "update: what did not change keeps its token", letters: "ABC", objects: objects(web(1, "A:old/now B:old/x")), update: true, want: "created web-g2 from A:old/now B C changes +C ~B"},
	{name: "update of what is as wanted", objects: objects(web(1, now2)), update: true, want: "unchanged web-g1 has A:new/now B:new/now as learn confirmed"},
	{name: "one less in the .env", letters: "A", objects: objects(web(1, now2)), want: "differs web-g1 changes -B: --update writes"},
	{name: "an update would drop it", letters: "A", objects: objects(web(1, now2)), update: true, want: "differs web-g1 changes -B dropped B: would lack B"},
	{name: "dropped on purpose", letters: "A", objects: objects(web(1, now2)), update: true, drop: true, want: "created web-g2 from A:new/now changes -B"},
	{name: "to be dropped, but not updated", letters: "A", objects: objects(web(1, now2)), drop: true, want: "differs web-g1 changes -B: --update writes"},
	{name: "the same number of other entries", letters: "AC", objects: objects(web(1, now2)), want: "differs web-g1 changes +C -B: --update writes"},

	{name: "an older generation has the value", objects: objects(web(1, now2), web(2, newer2)), update: true, want: "stale web-g2 changes ~B stale B: older values: B as in web-g1"},
	{name: "an older generation that is gone has it", objects: objects(web(2, newer2)), rows: rowsOf(ledger.Deleted, web(1, now2)), update: true, want: "stale web-g2 changes ~B stale B: older values: B as in web-g1"},
	{name: "one that was only planned has it", objects: objects(web(2, newer2)), rows: rowsOf(ledger.Planned, web(1, now2)), update: true, want: "created web-g3 from A:new/now B changes ~B"},
	{name: "one that is somebody else's has it", objects: objects(web(1, now2, func(o *manifest.Object) { o.Binding = bindingFor(web(3, now2).Placed()) }), web(2, newer2)), update: true, want: "misplaced web-g1: not the set that was made for this place"},
	{name: "another entry of an older generation has it", objects: objects(web(1, "A:new/now B:new/x"), web(2, "A:new/now B:new/y")), update: true, want: "created web-g3 from A:new/now B changes ~B"},
	{name: "one is stale, another new: neither is written", letters: "ABC", objects: objects(web(1, now2), web(2, newer2)), update: true, want: "stale web-g2 changes +C ~B stale B: older values: B as in web-g1"},
	{name: "dropped long ago, and there again", letters: "AB", objects: objects(web(1, now2), web(2, "A:new/now")), update: true, want: "stale web-g2 changes +B stale B: B as in web-g1"},
	{name: "put back on purpose", objects: objects(web(1, now2), web(2, newer2)), revert: "B", want: "created web-g3 from A:new/now B changes ~B"},
	{name: "put back on purpose, one of two", objects: objects(web(1, now2), web(2, "A:new/x B:new/y")), revert: "B", update: true, want: "stale web-g2 changes ~A ~B stale A: A as in web-g1"},
	{name: "what did not change is put back", objects: objects(web(1, now2), web(2, newer2)), revert: "A", want: "stale web-g2 changes ~B stale B: B as in web-g1"},

	{name: "planned, and never sent", rows: rowsOf(ledger.Planned, web(1, now2)), want: "created web-g1 resend has A:new/now B:new/now"},
	{name: "planned under the previous key", rows: rowsOf(ledger.Planned, web(1, older2)), want: "created web-g2 from A B"},
	{name: "planned, and the .env changed", rows: rowsOf(ledger.Planned, web(1, newer2)), want: "created web-g2 from A B"},
	{name: "planned with one more entry", rows: rowsOf(ledger.Planned, web(1, now2+" C:new/now")), want: "created web-g2 from A B"},
	{name: "planned, and a row is missing: half of it is never sent", letters: "A", rows: less("B", rowsOf(ledger.Planned, web(1, now2))), want: "created web-g2 from A"},
	{name: "two plans of one name", rows: append(rowsOf(ledger.Planned, web(1, now2)), rowsOf(ledger.Planned, web(1, "A:new/now@2 B:new/now"))...), want: "created web-g2 from A B"},
	{name: "an update that was never sent", objects: objects(web(1, "A:new/now B:new/x")), rows: rowsOf(ledger.Planned, web(2, now2)), update: true, want: "created web-g2 resend has A:new/now B:new/now"},
	{name: "created, and gone", rows: createdRows(web(1, now2)), want: "created web-g1 resend has A:new/now B:new/now"},
	{name: "created, gone, and a row is missing", rows: less("B", createdRows(web(1, now2))), want: "created web-g2 from A:new/now B changes +B"},
	{name: "created, gone, and the .env changed", rows: createdRows(web(1, newer2)), want: "created web-g2 from A:new/now B changes ~B"},
	{name: "created, gone, and an entry left the .env", letters: "A", rows: createdRows(web(1, now2)), want: "differs web-g1 changes -B dropped B: would lack B"},
	{name: "created, gone, an entry left the .env, on purpose", letters: "A", rows: createdRows(web(1, now2)), drop: true, want: "created web-g2 from A:new/now changes -B"},
	{name: "created, gone, and stale", objects: objects(web(1, now2)), rows: createdRows(web(1, now2), web(2, newer2)), want: "stale web-g2 changes ~B stale B: B as in web-g1"},
	{name: "retired: its name is used up", past: rowsOf(ledger.Deleted, web(1, now2)), want: "created web-g2 from A B"},

	{name: "a newer one is under a key that we lack", objects: objects(web(1, now2), web(2, "A:lost/now B:lost/now")), want: "superseded web-g2: k-lost, which this keyring lacks"},
	{name: "one entry of a newer one is under a key that we lack", objects: objects(web(1, now2), web(2, "A:lost/now B:new/now")), want: "superseded web-g2: k-lost, which this keyring lacks"},
	{name: "a newer one is under the next key", objects: objects(web(1, now2), web(2, "A:next/now B:next/now")), want: "superseded web-g2: only the next key here"},
	{name: "a row of a newer one is under a key that we lack", objects: objects(web(1, now2)), rows: createdRows(web(2, "A:lost/now B:lost/now")), want: "superseded web-g2 by row: k-lost, which this keyring lacks"},
	{name: "a hint of a newer one", objects: objects(web(1, now2)), hints: hints(createdRows(web(2, "A:lost/now B:lost/now"))...), want: "superseded web-g2 by row: k-lost, which this keyring lacks"},
	{name: "KEY is the older key", objects: objects(web(1, now2), web(2, older2)), want: "superseded web-g2: KEY is the older key k-new"},

	{name: "somebody else's", objects: objects(web(1, "A:theirs/x", unlabelled)), want: "foreign web-g1: the name is taken"},
	{name: "no token at all", objects: objects(web(1, "", unlabelled)), want: "foreign web-g1: the name is taken"},
	{name: "somebody else's later number is burnt", objects: objects(web(1, newer2), web(7, "A:theirs/x", unlabelled)), update: true, want: "created web-g8 from A:new/now B changes ~B"},
	{name: "two swapped", objects: objects(web(1, "A:new/now B:new/other", swappedTokens)), rows: createdRows(web(1, "A:new/now B:new/other")), want: "misplaced web-g1: not the set that was made for this place"},
	{name: "one was taken out", objects: objects(web(1, now2, holding("A:new/now"))), rows: createdRows(web(1, now2)), want: "misplaced web-g1: not the set"},
	{name: "one was put in", objects: objects(web(1, now2, holding(now2+" C:new/now"))), rows: createdRows(web(1, now2)), want: "misplaced web-g1: not the set"},
	{name: "one is of an older generation", objects: objects(web(1, "A:new/now B:new/x@1"), web(2, "A:new/now B:new/y@2", holding("A:new/now B:new/x@1"))), want: "misplaced web-g2: not the set"},
	{name: "of two keys, though bound", objects: objects(web(1, "A:new/now B:old/now")), want: "misplaced web-g1: not the set"},
	{name: "nobody bound it", objects: objects(web(1, now2, binding(""))), want: "misplaced web-g1 adoptable: nothing says that it was made for this place"},
	{name: "being deleted", objects: objects(web(1, now2, deleting)), want: "failed web-g1: it is being deleted"},
	{name: "the highest number", objects: objects(web(1, newer2), web(names.MaxGeneration, "A:theirs/x", unlabelled)), update: true, want: "failed web-g999999999 changes ~B: the highest number"},

	// From single Secrets to a bundle and back: tokens are used again.
	{name: "single ones are there", objects: objects(one(1, "A:new/now"), one(1, "B:old/now")), rows: createdRows(one(1, "A:new/now"), one(1, "B:old/now")), want: "created web-g1 from A:new/now B:old/now"},
	{name: "single ones without rows", objects: objects(one(1, "A:new/now"), one(1, "B:old/now")), want: "created web-g1 from A:new/now B:old/now"},
	{name: "the one under KEY is used", letters: "A", objects: objects(one(2, "A:old/now"), one(3, "A:new/now"), one(4, "A:old/now")), want: "created web-g1 from A:new/now"},
	{name: "the newest of a single one has another value", objects: objects(one(1, "A:new/now"), one(1, "B:new/x")), want: "created web-g1 from A:new/now B"},
	{name: "a single one that is not in its place is not used", objects: objects(one(1, "A:new/now"), one(1, "B:new/now", func(o *manifest.Object) { o.Binding = "v1:0" })), want: "created web-g1 from A:new/now B"},
	{name: "a single one that is gone is not used", objects: objects(one(1, "A:new/now")), rows: createdRows(one(1, "A:new/now"), one(1, "B:new/now")), want: "created web-g1 from A:new/now B"},
	{name: "an older single one has the value, a newer one has not", letters: "A", objects: objects(one(1, "A:new/now@1"), one(2, "A:new/newer@2")), want: "stale web-g1 stale A: older values: A as in a"},
	{name: "one that was retired has the value", letters: "A", objects: objects(one(2, "A:new/newer@2")), rows: append(rowsOf(ledger.Deleted, one(1, "A:new/now@1")), createdRows(one(2, "A:new/newer@2"))...), want: "stale web-g1 stale A: older values: A as in a"},
	{name: "the bundle has a newer value than the single one", objects: objects(one(1, "B:new/now@1"), web(1, "A:new/now B:new/newer@5")), update: true, want: "stale web-g1 changes ~B stale B: older values: B as in b"},
	{name: "the single one has a newer value than the bundle", objects: objects(one(1, "B:new/now@5"), web(1, "A:new/now B:new/x@1")), update: true, want: "created web-g2 from A:new/now B:new/now changes ~B"},
	{name: "back to single ones", single: true, objects: objects(web(1, now2)), rows: createdRows(web(1, now2)), want: "created a from A:new/now | created b from B:new/now"},
	{name: "back, under the previous key", single: true, objects: objects(web(1, older2)), want: "created a from A:old/now | created b from B:old/now"},
	{name: "back, and one has another value", single: true, objects: objects(web(1, newer2)), want: "created a from A:new/now | created b from B"},
	{name: "back, and the .env has an older value", single: true, objects: objects(web(1, now2), web(2, newer2)), want: "created a from A:new/now | stale b stale B: the older web-g1"},
	{name: "back, and the single one is there still", single: true, letters: "A", objects: objects(one(1, "A:new/now"), web(1, "A:new/now@3")), want: "unchanged a has A:new/now as learn confirmed"},
	{name: "another bundle has the entry: that is another .env's", objects: objects(web(1, now2, func(o *manifest.Object) {
		o.Base, o.Name = "app", "app-g1"
		o.Binding = bindingFor(o.Placed())
	})), want: "created web-g1 from A B"},
}

func TestPushOfBundles(t *testing.T) {
	for _, tt := range pushBundleCases {
		t.Run(tt.name, func(t *testing.T) {
			view := tt.view()
			options := plan.PushOptions{Update: tt.update, Drop: tt.drop, Revert: func(name string) bool { return strings.Contains(tt.revert, name) }}
			decisions, err := plan.Push(view, tt.wanted(), judgeSet, ring{}, options)
			if err != nil {
				t.Fatal(err)
			}
			got := allDecidedSet(decisions)
			for _, r := range plan.Confirm(view, tt.wanted(), judgeSet, ring{}) {
				if r.Secret == decisions[0].Row.Secret && decisions[0].Outcome == plan.Unchanged {
					got[0] += " confirmed"
				}
			}
			agree(t, got, tt.want)
			for _, d := range decisions {
				wholeSet(t, view, d)
			}
		})
	}
}

// wholeSet checks what every decision about a bundle has to have: a row with its place, and
// its binding where it has tokens, which are under one key.
func wholeSet(t *testing.T, view plan.View, d plan.Decision) {
	t.Helper()
	_, generation := names.Split(d.Row.Secret)
	if d.Row.Cluster != "c" || d.Row.Namespace != "ns" || d.Row.Generation != generation || d.Row.Bundle() != strings.HasPrefix(d.Row.Secret, "web-g") {
		t.Errorf("the row's place: %+v", d.Row)
	}
	if d.Row.Token != "" && judgeSet(d.Row.Placed()).Binding != token.BindingHolds {
		t.Errorf("the row's tokens: %+v", d.Row)
	}
	for _, o := range view.Objects {
		if o.Name == d.Row.Secret && slices.Contains([]plan.State{plan.Foreign, plan.Misplaced, plan.Differs, plan.Unchanged}, d.Outcome) && d.Row.UID != o.UID {
			t.Errorf("the row's uid: %+v", d.Row)
		}
	}
}
