// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"cmp"
	"errors"
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
	garbage  = "k-new" // opens with no key, although it says so
)

// ring is the keyring of these tests.
type ring struct{}

func (ring) Has(id string) bool { return id == "k-new" || id == "k-old" || id == "k-next" }
func (ring) IDs() []string      { return []string{"k-new", "k-next", "k-old"} }
func (ring) Staged() string     { return "k-next" }

func keyOf(token string) string {
	key, _, _ := strings.Cut(token, "/")
	return key
}

func judge(t token.Token) token.Verdict {
	key, value, ok := strings.Cut(t.Token, "/")
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

// live makes a Secret of ours; the changes make it less so.
func live(generation int, token string, changes ...func(*manifest.Object)) manifest.Object {
	o := manifest.Object{
		Namespace: "ns", Name: names.Secret("secret-a", generation), UID: "uid-" + token, Base: "secret-a", Generation: generation,
		EnvKey: "SECRET_A", Token: token, Managed: true, KeyID: keyOf(token), Binding: "holds",
	}
	for _, change := range changes {
		change(&o)
	}
	return o
}

func binding(b string) func(*manifest.Object) { return func(o *manifest.Object) { o.Binding = b } }
func unlabelled(o *manifest.Object)           { o.Managed, o.KeyID = false, "" }
func deleting(o *manifest.Object)             { o.Deleting = true }
func spelled(name string) func(*manifest.Object) {
	return func(o *manifest.Object) { o.EnvKey = name }
}

// records folds rows written GENERATION, STATE, TOKEN.
func records(rows ...ledger.Row) []ledger.Record { return ledger.Fold(rows) }

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

// pushCases are the situations of one entry and what push decides.
var pushCases = []struct {
	name    string
	objects []manifest.Object
	gone    []manifest.Object
	records []ledger.Record
	past    []ledger.Row // rows of which the ledger keeps no token
	update  bool
	revert  bool
	ignore  string // the id of a key

	outcome  plan.Outcome
	secret   string
	resend   bool
	token    string           // that is sent again, current if not set
	complete ledger.Operation // of the row that completes the ledger
	reason   string
}{
	{name: "nothing known", outcome: plan.Created, secret: "secret-a"},

	{name: "ours by row, same", objects: []manifest.Object{live(1, current)}, records: records(row(1, ledger.Created, current)), outcome: plan.Unchanged, secret: "secret-a"},
	{name: "ours by row, label removed", objects: []manifest.Object{live(1, current, unlabelled)}, records: records(row(1, ledger.Created, current)), outcome: plan.Unchanged, secret: "secret-a"},
	{name: "ours by planned row: a crash before the created row", objects: []manifest.Object{live(1, current)}, records: records(row(1, ledger.Planned, current)), outcome: plan.Unchanged, secret: "secret-a", complete: ledger.Push},
	{name: "planned row, annotation removed: the row has the binding", objects: []manifest.Object{live(1, current, binding(""))}, records: records(row(1, ledger.Planned, current)), outcome: plan.Unchanged, secret: "secret-a", complete: ledger.Push},
	{name: "planned row, annotation edited: no row overrules it", objects: []manifest.Object{live(1, current, binding("=1+1"))}, records: records(row(1, ledger.Planned, current)), outcome: plan.Misplaced, secret: "secret-a"},
	{name: "ours by failed row: it landed after all", objects: []manifest.Object{live(1, current)}, records: records(row(1, ledger.Failed, current)), outcome: plan.Unchanged, secret: "secret-a", complete: ledger.Push},
	{name: "ours by binding, no row", objects: []manifest.Object{live(1, current, unlabelled)}, outcome: plan.Unchanged, secret: "secret-a", complete: ledger.Learn},
	{name: "same under the previous key", objects: []manifest.Object{live(1, previous)}, records: records(row(1, ledger.Created, previous)), outcome: plan.Unchanged, secret: "secret-a"},
	{name: "newest generation counts", objects: []manifest.Object{live(1, changed), live(2, current)}, outcome: plan.Unchanged, secret: "secret-a-g2", complete: ledger.Learn},

	{name: "other value", objects: []manifest.Object{live(1, changed)}, outcome: plan.Differs, secret: "secret-a"},
	{name: "other value, older generation has it", objects: []manifest.Object{live(1, current), live(2, changed)}, outcome: plan.Stale, secret: "secret-a-g2"},
	{name: "an older generation has it, update", objects: []manifest.Object{live(1, current), live(2, changed)}, update: true, outcome: plan.Stale, secret: "secret-a-g2"},
	{name: "a deleted generation has it", objects: []manifest.Object{live(2, changed)}, records: records(row(1, ledger.Deleted, current)), update: true, outcome: plan.Stale, secret: "secret-a-g2"},
	{name: "a planned one has it: nobody ever saw it", objects: []manifest.Object{live(2, changed)}, records: records(row(1, ledger.Planned, current)), update: true, outcome: plan.Created, secret: "secret-a-g3"},
	{name: "an older generation has it, and the newest is gone", objects: []manifest.Object{live(1, current)}, records: records(row(2, ledger.Created, changed)), outcome: plan.Stale, secret: "secret-a-g2"},
	{name: "an older generation has it, on purpose", objects: []manifest.Object{live(1, current), live(2, changed)}, revert: true, outcome: plan.Created, secret: "secret-a-g3"},
	{name: "other value, update", objects: []manifest.Object{live(1, changed)}, update: true, outcome: plan.Created, secret: "secret-a-g2"},
	{name: "update skips burnt numbers", objects: []manifest.Object{live(1, changed), live(4, garbage, unlabelled, binding(""))}, update: true, outcome: plan.Created, secret: "secret-a-g5"},
	{name: "burnt number, same value", objects: []manifest.Object{live(1, current), live(4, garbage, unlabelled)}, outcome: plan.Unchanged, secret: "secret-a", complete: ledger.Learn},
	{name: "update skips deleted rows", objects: []manifest.Object{live(1, changed)}, records: records(row(1, ledger.Created, changed), row(2, ledger.Deleted, "k-new/x")), update: true, outcome: plan.Created, secret: "secret-a-g3"},
	{name: "update passes over a failed number: its create may have landed", objects: []manifest.Object{live(1, changed)}, records: records(row(1, ledger.Created, changed), row(2, ledger.Failed, "k-new/x")), update: true, outcome: plan.Created, secret: "secret-a-g3"},

	{name: "planned, gone, same", records: records(row(1, ledger.Planned, current)), outcome: plan.Created, secret: "secret-a", resend: true},
	{name: "failed, same: the same bytes again", records: records(row(1, ledger.Failed, current)), outcome: plan.Created, secret: "secret-a", resend: true},
	{name: "planned under the previous key: not under KEY, so not again", records: records(row(1, ledger.Planned, previous)), outcome: plan.Created, secret: "secret-a-g2"},
	{name: "created, gone, and a plan of the same name", records: records(row(1, ledger.Created, previous), row(1, ledger.Planned, current)), outcome: plan.Created, secret: "secret-a", resend: true, token: previous},
	{name: "created, gone, changed, and a plan of the same name", records: records(row(1, ledger.Created, changed), row(1, ledger.Planned, current)), outcome: plan.Created, secret: "secret-a-g2"},
	{name: "deleted, and a plan of the same name", records: records(row(1, ledger.Deleted, changed), row(1, ledger.Planned, current)), outcome: plan.Created, secret: "secret-a-g2"},
	{name: "KEY is older than KEY_PREVIOUS, live", objects: []manifest.Object{live(1, current), live(2, "k-old/x")}, update: true, outcome: plan.Superseded, secret: "secret-a-g2"},
	{name: "KEY is older than KEY_PREVIOUS, ledger", objects: []manifest.Object{live(2, "k-old/x")}, records: records(row(1, ledger.Deleted, current)), update: true, outcome: plan.Superseded, secret: "secret-a-g2"},
	{name: "a moved token does not hide a newer key", objects: []manifest.Object{live(1, current), live(2, alien), live(9, current, binding("of another"))}, outcome: plan.Superseded, secret: "secret-a-g2"},
	{name: "no number is left", objects: []manifest.Object{live(1, changed), live(names.MaxGeneration, garbage, unlabelled)}, update: true, outcome: plan.Failed, secret: "secret-a-g999999999"},
	{name: "created, gone, same", records: records(row(1, ledger.Created, current)), outcome: plan.Created, secret: "secret-a", resend: true},
	{name: "planned, gone, changed", records: records(row(1, ledger.Planned, changed)), outcome: plan.Created, secret: "secret-a-g2"},
	{name: "created, gone, changed", records: records(row(1, ledger.Created, changed)), outcome: plan.Created, secret: "secret-a-g2"},
	{name: "created g2 gone, changed, g1 lives", objects: []manifest.Object{live(1, changed)}, records: records(row(2, ledger.Created, "k-new/between")), outcome: plan.Created, secret: "secret-a-g3"},
	{name: "deleted: the name is never used again", records: records(row(1, ledger.Deleted, current)), outcome: plan.Created, secret: "secret-a-g2"},
	{name: "vanished while we waited: the name is never used again", gone: []manifest.Object{live(1, changed)}, outcome: plan.Created, secret: "secret-a-g2"},
	{name: "planned update finishes without --update", objects: []manifest.Object{live(1, changed)}, records: records(row(2, ledger.Planned, current)), outcome: plan.Created, secret: "secret-a-g2", resend: true},
	{name: "planned update, value put back", objects: []manifest.Object{live(1, current)}, records: records(row(2, ledger.Planned, changed)), outcome: plan.Unchanged, secret: "secret-a", complete: ledger.Learn},
	{name: "planned update, third value", objects: []manifest.Object{live(1, changed)}, records: records(row(2, ledger.Planned, "k-new/between")), outcome: plan.Differs, secret: "secret-a"},
	{name: "planned update, third value, update", objects: []manifest.Object{live(1, changed)}, records: records(row(2, ledger.Planned, "k-new/between")), update: true, outcome: plan.Created, secret: "secret-a-g3"},
	{name: "two records of one name, one has the value", records: records(row(1, ledger.Planned, changed), row(1, ledger.Planned, current)), outcome: plan.Created, secret: "secret-a", resend: true},

	{name: "live generation under a key we lack", objects: []manifest.Object{live(1, current), live(2, alien)}, outcome: plan.Superseded, secret: "secret-a-g2"},
	{name: "created row under a key we lack", objects: []manifest.Object{live(1, current)}, records: records(row(2, ledger.Created, alien)), outcome: plan.Superseded, secret: "secret-a-g2"},
	{name: "planned row under a key we lack", objects: []manifest.Object{live(1, current)}, records: records(row(2, ledger.Planned, alien)), outcome: plan.Unchanged, secret: "secret-a", complete: ledger.Learn},
	{name: "older generation under a key since dropped", objects: []manifest.Object{live(1, alien), live(2, current)}, outcome: plan.Unchanged, secret: "secret-a-g2", complete: ledger.Learn},
	{name: "somebody else's below ours", objects: []manifest.Object{live(1, garbage, unlabelled), live(2, current)}, outcome: plan.Foreign, secret: "secret-a"},
	{name: "nothing opens, key id unknown", objects: []manifest.Object{live(1, alien)}, outcome: plan.Superseded, secret: "secret-a"},

	{name: "somebody else's", objects: []manifest.Object{live(1, garbage, unlabelled, binding(""))}, outcome: plan.Foreign, secret: "secret-a"},
	{name: "somebody else's with our label", objects: []manifest.Object{live(1, garbage, func(o *manifest.Object) { o.KeyID = "k-new" })}, outcome: plan.Foreign, secret: "secret-a"},
	{name: "several data keys", objects: []manifest.Object{live(1, "", unlabelled, spelled(""))}, outcome: plan.Foreign, secret: "secret-a"},
	{name: "binding absent", objects: []manifest.Object{live(1, current, binding(""))}, outcome: plan.Misplaced, secret: "secret-a"},
	{name: "binding wrong", objects: []manifest.Object{live(1, current), live(9, current, binding("of another"))}, outcome: plan.Misplaced, secret: "secret-a-g9"},
	{name: "being deleted", objects: []manifest.Object{live(1, current, deleting)}, outcome: plan.Failed, secret: "secret-a"},
	{name: "recorded, and its token does not open: a row proves nothing", objects: []manifest.Object{live(1, garbage)}, records: records(row(1, ledger.Planned, garbage)), outcome: plan.Foreign, secret: "secret-a"},
	{name: "a rest under a key that was dropped here", objects: []manifest.Object{live(1, alien)}, past: []ledger.Row{row(2, ledger.Deleted, alien)}, outcome: plan.Created, secret: "secret-a-g3"},
	{name: "a generation under a key that was dropped here burns its number", objects: []manifest.Object{live(1, current), live(4, alien)}, past: []ledger.Row{row(2, ledger.Deleted, alien)}, outcome: plan.Unchanged, secret: "secret-a", complete: ledger.Learn},
	{name: "under the next key", objects: []manifest.Object{live(1, current), live(2, "k-next/now")}, outcome: plan.Superseded, secret: "secret-a-g2"},
	{name: "created row under the next key", objects: []manifest.Object{live(1, current)}, records: records(row(2, ledger.Created, "k-next/now")), outcome: plan.Superseded, secret: "secret-a-g2"},
	{name: "retired and put back: it is not confirmed", objects: []manifest.Object{live(1, current)}, past: []ledger.Row{row(1, ledger.Deleted, current)}, outcome: plan.Unchanged, secret: "secret-a"},
	{name: "created row under a key we lack, ignored", objects: []manifest.Object{live(1, current)}, records: records(row(2, ledger.Created, alien)), ignore: "k-lost", outcome: plan.Unchanged, secret: "secret-a", complete: ledger.Learn},
	{name: "a live one under a key we lack is never ignored", objects: []manifest.Object{live(1, current), live(2, alien)}, ignore: "k-lost", outcome: plan.Superseded, secret: "secret-a-g2"},
	{name: "renamed by kustomize", objects: []manifest.Object{live(1, current, func(o *manifest.Object) { o.Binding, o.Claimed = "of ecret-a", "ecret-a" })}, outcome: plan.Misplaced, secret: "secret-a", reason: "kustomize"},
}

func TestPush(t *testing.T) {
	for _, tc := range pushCases {
		t.Run(tc.name, func(t *testing.T) {
			view := plan.View{Cluster: "c", Namespace: "ns", Objects: tc.objects, Records: tc.records, Gone: tc.gone, Ignore: []string{tc.ignore}}
			_, view.Past = bookOf(tc.past).At("c", "ns")
			got, err := plan.Push(view, secretA, judge, ring{}, plan.PushOptions{Update: tc.update, Revert: func(string) bool { return tc.revert }})
			if err != nil || len(got) != 1 {
				t.Fatalf("got %v, %v", got, err)
			}
			d := got[0]
			if d.Outcome != tc.outcome || d.Row.Secret != tc.secret || d.Resend != tc.resend {
				t.Errorf("got %+v\nwant %s %s, resend %v", d, tc.secret, tc.outcome, tc.resend)
			}
			var complete ledger.Operation
			for _, r := range plan.Confirm(view, secretA, judge, ring{}) {
				if r.Secret == d.Row.Secret && d.Outcome == plan.Unchanged {
					complete = r.Operation
				}
				if r.State != ledger.Created || r.UID == "" || r.Token == "" || r.Binding != "holds" || r.Since != r.Generation {
					t.Errorf("a row that confirms: %+v", r)
				}
			}
			if complete != tc.complete {
				t.Errorf("confirmed by %q, want %q", complete, tc.complete)
			}
			if d.Resend && d.Row.Token != cmp.Or(tc.token, current) {
				t.Errorf("resends %+v", d.Row)
			}
			if !strings.Contains(d.Reason, tc.reason) {
				t.Errorf("reason %q, want %q", d.Reason, tc.reason)
			}
			if quiet := d.Outcome == plan.Created || d.Outcome == plan.Unchanged; quiet != (d.Reason == "") {
				t.Errorf("outcome %s with reason %q", d.Outcome, d.Reason)
			}
		})
	}
}

func TestPushWritesNothingBesideASupersededEntry(t *testing.T) {
	wanted := []plan.Wanted{{EnvKey: "SECRET_NEW", Base: "secret-new"}, {EnvKey: "SECRET_A", Base: "secret-a"}}
	view := plan.View{Cluster: "c", Namespace: "ns", Objects: []manifest.Object{live(1, alien)}}
	got, err := plan.Push(view, wanted, judge, ring{}, plan.PushOptions{Update: true})
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	if got[0].Outcome != plan.Held || got[1].Outcome != plan.Superseded || !strings.Contains(got[1].Reason, "k-lost") {
		t.Errorf("got %+v", got)
	}
}

func TestPushRefusesAnotherSpelling(t *testing.T) {
	view := plan.View{Cluster: "c", Namespace: "ns", Objects: []manifest.Object{live(1, current, spelled("SECRET-A"))}}
	_, err := plan.Push(view, []plan.Wanted{{EnvKey: "SECRET_A", Base: "secret-a", Line: 3}}, judge, ring{}, plan.PushOptions{})
	var spelling *plan.SpellingError
	if !errors.As(err, &spelling) || spelling.Spelling != "SECRET-A" || spelling.Want.Line != 3 {
		t.Errorf("got %v", err)
	}
}

func TestOrphans(t *testing.T) {
	gone := row(1, ledger.Created, "k-new/gone")
	gone.Secret, gone.EnvKey = "secret-gone", "SECRET_GONE"
	view := plan.View{
		Cluster: "c", Namespace: "ns",
		Objects: []manifest.Object{live(1, changed), live(2, current)},
		Records: records(row(1, ledger.Created, changed), row(2, ledger.Created, current), gone),
	}
	if got := plan.Orphans(view, func(name string) bool { return name == "SECRET_A" }); len(got) != 0 {
		t.Errorf("an entry that is in the .env, and one that is gone from the cluster: %+v", got)
	}
	got := plan.Orphans(view, func(string) bool { return false })
	if len(got) != 1 || got[0].Outcome != plan.Orphan || got[0].Row.Secret != "secret-a-g2" {
		t.Errorf("got %+v", got)
	}
}

func TestCheckCluster(t *testing.T) {
	created := records(row(1, ledger.Created, current), row(2, ledger.Created, changed))
	elsewhere := live(1, "k-new/other", func(o *manifest.Object) { o.UID = "uid-of-another-cluster" })
	for _, tc := range []struct {
		name    string
		objects []manifest.Object
		records []ledger.Record
		secret  string
		wrong   bool
	}{
		{name: "empty ledger", objects: []manifest.Object{live(1, current)}},
		{name: "only planned rows", records: records(row(1, ledger.Planned, current))},
		{name: "one of two is there", objects: []manifest.Object{live(1, current)}, records: created},
		{name: "none is there", records: created, wrong: true},
		{name: "another object with other bytes", objects: []manifest.Object{elsewhere, live(2, changed)}, records: created, wrong: true, secret: "secret-a"},
		{name: "another object with the same bytes", objects: []manifest.Object{live(1, current, func(o *manifest.Object) { o.UID = "restored" })}, records: created},
		{name: "bytes of another row of that name", objects: []manifest.Object{live(1, previous)}, records: records(row(1, ledger.Created, current), row(1, ledger.Planned, previous))},
	} {
		err := plan.CheckCluster(plan.View{Cluster: "c", Namespace: "ns", Objects: tc.objects, Records: tc.records})
		var wrong *plan.WrongClusterError
		if errors.As(err, &wrong) != tc.wrong || tc.wrong && wrong.Secret != tc.secret {
			t.Errorf("%s: got %v", tc.name, err)
		}
	}
}

func TestOfflineTakesTheLedgerForTheCluster(t *testing.T) {
	view := plan.Offline("c", "ns", records(row(1, ledger.Created, current), row(2, ledger.Planned, changed), row(3, ledger.Deleted, changed)), nil)
	if len(view.Objects) != 1 || view.Objects[0].Name != "secret-a" || view.Objects[0].Token != current {
		t.Errorf("got %+v", view.Objects)
	}
	if err := plan.CheckCluster(view); err != nil {
		t.Error(err)
	}
}

func TestInterest(t *testing.T) {
	other := row(1, ledger.Created, current)
	other.Secret, other.EnvKey = "secret-b", "SECRET_B"
	in := plan.InterestOf(records(row(3, ledger.Planned, current), other), nil, []plan.Wanted{{Base: "secret-a"}, {Base: "secret-c"}}, nil)
	if in.Bases["secret-a"] != 3 || in.Bases["secret-c"] != 1 || len(in.Bases) != 2 {
		t.Errorf("bases %v", in.Bases)
	}
	for name, want := range map[string]bool{"secret-a": true, "secret-a-g7": true, "secret-b": true, "secret-b-g2": false, "secret-d": false} {
		if in.Covers(name) != want {
			t.Errorf("Covers(%q) = %v", name, !want)
		}
	}
	theirs := row(5, ledger.Created, alien)
	for _, ignored := range [][]string{nil, {theirs.KeyID}} {
		in := plan.InterestOf(hints(theirs, other), nil, secretA, ignored)
		if in.Bases["secret-a"] != 1 || in.Names["secret-a-g5"] != (ignored != nil) || in.Names["secret-b"] {
			t.Errorf("ignored %q: %+v", ignored, in)
		}
	}
}

func TestSplitNewest(t *testing.T) {
	other := live(1, current, func(o *manifest.Object) { o.Name, o.Base = "secret-b", "secret-b" })
	newest, older := plan.SplitNewest([]manifest.Object{live(2, changed), other, live(3, current), live(1, changed)})
	if len(newest) != 2 || newest[0].Name != "secret-b" || newest[1].Generation != 3 || len(older) != 2 {
		t.Errorf("newest %+v, older %+v", newest, older)
	}
}
