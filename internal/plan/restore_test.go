// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"cmp"
	"slices"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// restoreCases are what the ledger has as created and what of it has to be there again,
// with a key; keyless is what is decided without one, where that differs.
var restoreCases = []struct {
	situation
	keyless string
}{
	{situation: situation{name: "nothing recorded", objects: objects(live(1, current))}},
	{situation: situation{name: "gone", records: records(row(1, ledger.Created, previous), row(2, ledger.Created, current)), want: "created secret-a k-old/now | created secret-a-g2 k-new/now"}},
	{situation: situation{name: "gone, and rotated: the first generation of the value is kept", records: records(sinceOne(rotated(2, ledger.Created, current))), want: "created secret-a-g2 k-new/now since 1"}},
	{situation: situation{name: "there", objects: objects(live(1, previous)), records: records(row(1, ledger.Created, previous)), want: "unchanged secret-a k-old/now"}},
	{situation: situation{name: "there as another object", objects: objects(live(1, previous, uid("uid-9"))), records: records(row(1, ledger.Created, previous)), want: "unchanged secret-a k-old/now complete"}},
	{situation: situation{name: "there, and for another cluster", cluster: "d", objects: objects(live(1, previous)), records: records(row(1, ledger.Created, previous)), want: "unchanged secret-a k-old/now complete"}},
	{situation: situation{name: "gone, and for another cluster", cluster: "d", records: records(row(1, ledger.Created, previous)), want: "created secret-a k-old/now"}},
	{situation: situation{name: "there in another namespace alone", objects: objects(live(1, previous, elsewhere)), records: records(row(1, ledger.Created, previous)), want: "created secret-a k-old/now"}},
	{situation: situation{name: "other bytes are there", objects: objects(live(1, current)), records: records(row(1, ledger.Created, previous)), want: "foreign secret-a k-old/now: the name is taken by a Secret with other bytes"}},
	{situation: situation{name: "its bytes are there under another data key", objects: objects(live(1, previous, spelled("password"))), records: records(row(1, ledger.Created, previous)), want: "foreign secret-a k-old/now: the name is taken"}},
	{situation: situation{name: "being deleted", objects: objects(live(1, previous, deleting)), records: records(row(1, ledger.Created, previous)), want: "failed secret-a k-old/now: it is being deleted"}},

	{situation{name: "no key opens it", records: records(row(1, ledger.Created, alien)), want: "unproven secret-a k-lost/now: no key of this keyring opens its token"}, "created secret-a k-lost/now"},
	{situation{name: "no key opens it, and it is there as another object", objects: objects(live(1, alien, uid("uid-9"))), records: records(row(1, ledger.Created, alien)), want: "unchanged secret-a k-lost/now"}, "unchanged secret-a k-lost/now complete"},
	{situation{name: "made for another place", records: records(withBinding(row(1, ledger.Created, previous), "of another")), want: "unproven secret-a k-old/now: its token was made for another place"}, "created secret-a k-old/now"},
	{situation{name: "its row has no binding", records: records(withBinding(row(1, ledger.Created, previous), "")), want: "unproven secret-a k-old/now: its token was made for another place"}, "created secret-a k-old/now"},
	{situation{name: "a hint", records: hints(row(1, ledger.Created, previous)), want: "unproven secret-a k-old/now: signed by a key that this keyring lacks"}, "created secret-a k-old/now"},
	{situation: situation{name: "a hint of what is there", objects: objects(live(1, previous)), records: hints(row(1, ledger.Created, previous))}},
	{situation: situation{name: "a hint of a name that is taken", objects: objects(live(1, current)), records: hints(row(1, ledger.Created, previous))}},
	{situation: situation{name: "a hint of an older generation is history", records: slices.Concat(records(row(2, ledger.Created, current)), hints(row(1, ledger.Created, previous))), want: "created secret-a-g2 k-new/now"}},
	{situation{name: "a hint of the same generation", records: slices.Concat(records(row(1, ledger.Created, current)), hints(row(1, ledger.Created, previous))), want: "created secret-a k-new/now | unproven secret-a k-old/now: signed by a key that this keyring lacks"}, "created secret-a k-new/now | created secret-a k-old/now"},
	{situation{name: "a hint of a newer generation", records: slices.Concat(records(row(1, ledger.Created, previous)), hints(row(2, ledger.Created, current))), want: "created secret-a k-old/now | unproven secret-a-g2 k-new/now: signed by a key"}, "created secret-a k-old/now | created secret-a-g2 k-new/now"},
	{situation{name: "hints of two generations", records: hints(row(1, ledger.Created, previous), row(2, ledger.Created, current)), want: "unproven secret-a k-old/now: signed by a key | unproven secret-a-g2 k-new/now: signed by a key"}, "created secret-a k-old/now | created secret-a-g2 k-new/now"},
}

func elsewhere(o *manifest.Object) { o.Namespace = "other" }

func TestRestore(t *testing.T) {
	for _, tc := range restoreCases {
		t.Run(tc.name, func(t *testing.T) {
			for _, key := range []struct {
				judge token.Judge
				want  string
			}{{judge, tc.want}, {nil, cmp.Or(tc.keyless, tc.want)}} {
				view := tc.view()
				view.Cluster = cmp.Or(tc.cluster, "c")
				decisions := plan.Restore(tc.records, view.Cluster, tc.objects, key.judge)
				for i := range decisions {
					d := &decisions[i]
					if d.Row.Operation != ledger.Restore {
						t.Errorf("the row's operation: %+v", d.Row)
					}
					d.Row.Operation = ledger.Push // it is no other for any
					if want := tc.records[slices.IndexFunc(tc.records, func(r ledger.Record) bool { return r.Secret == d.Row.Secret && r.Token == d.Row.Token })]; d.Row.Binding != want.Binding {
						t.Errorf("the row's binding: %+v", d.Row)
					}
					d.Row.Binding = "holds" // as checked
					if d.Outcome == plan.Unchanged || d.Outcome == plan.Created {
						whole(t, view, *d)
					}
				}
				agree(t, allDecided(decisions), key.want)
			}
		})
	}
}

// stillCases are what a look at the target cluster ends: what was retired once and is
// not there. Of another cluster nothing was looked at.
var stillCases = []situation{
	{name: "created, and gone", records: records(old), want: "secret-a k-old/now"},
	{name: "created, and there as an object that nobody recorded", objects: objects(live(1, previous, uid("uid-third"))), records: records(old), want: "secret-a k-old/now"},
	{name: "retired once, put back, and gone", records: records(old, retired)},
	{name: "retired once, put back, and there", objects: objects(live(1, previous)), records: records(old, retired), want: "secret-a k-old/now"},
	{name: "retired once, put back, and there in another namespace alone", objects: objects(live(1, previous, elsewhere)), records: records(old, retired)},
	{name: "retired once, and there as an object that nobody recorded", objects: objects(live(1, previous, uid("uid-third"))), records: records(old, retired)},
	{name: "retired once, put back, and other bytes are there", objects: objects(live(1, current, uid(old.UID))), records: records(old, retired)},
	{name: "retired once, put back, and gone, in another cluster", cluster: "d", records: records(old, retired), want: "secret-a k-old/now"},
	{name: "one of two", records: records(old, retired, row(2, ledger.Created, current)), want: "secret-a-g2 k-new/now"},
}

func TestStillCreated(t *testing.T) {
	for _, tc := range stillCases {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, r := range plan.StillCreated(tc.records, cmp.Or(tc.cluster, "c"), tc.objects) {
				got = append(got, r.Secret+" "+r.Token)
			}
			agree(t, got, tc.want)
		})
	}
}

// confirmCases are what is there, proven ours and not recorded: it gets its row, in any
// generation. What was retired and put back does not.
var confirmCases = []situation{
	{name: "nothing there", records: records(row(1, ledger.Created, current))},
	{name: "recorded", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current))},
	{name: "not recorded", objects: objects(live(2, current), live(1, previous)), want: "learn secret-a since 1 | learn secret-a-g2 since 2"},
	{name: "only a hint has it", objects: objects(live(1, current)), records: hints(row(1, ledger.Created, current)), want: "learn secret-a since 1"},
	{name: "planned, and killed before its created row", objects: objects(live(1, previous), live(2, current)),
		records: records(row(1, ledger.Created, previous), sinceOne(rotated(2, ledger.Planned, current))), want: "rotate secret-a-g2 since 1"},
	{name: "planned, and the annotation removed", objects: objects(live(1, current, binding(""))), records: records(row(1, ledger.Planned, current)), want: "push secret-a since 1"},
	{name: "failed, and it landed", objects: objects(live(1, current)), records: records(row(1, ledger.Failed, current)), want: "push secret-a since 1"},
	{name: "planned with other bytes", objects: objects(live(1, current)), records: records(row(1, ledger.Planned, changed)), want: "learn secret-a since 1"},
	{name: "retired, and put back", objects: objects(live(1, previous, uid("uid-again")), live(2, current)), records: records(row(2, ledger.Created, current)), past: list(row(1, ledger.Deleted, previous))},
	{name: "retired, kept for its value, and put back", objects: objects(live(1, previous), live(2, current)), records: records(row(1, ledger.Deleted, previous), row(2, ledger.Created, current))},
	{name: "misplaced", objects: objects(live(1, current, binding("of another")))},
	{name: "no proof: no annotation and no row", objects: objects(live(1, current, binding("")))},
	{name: "no key opens it", objects: objects(live(1, alien))},
	{name: "being deleted", objects: objects(live(1, current, deleting))},
	{name: "another base name", objects: objects(of("b", live(1, current)))},
}

func TestConfirm(t *testing.T) {
	for _, tc := range confirmCases {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, r := range plan.Confirm(tc.view(), tc.wanted(), judge, ring{}) {
				got = append(got, string(r.Operation)+" "+r.Secret+" since "+digit(r.Since))
				r.Operation, r.Since = ledger.Push, r.Generation // as written
				whole(t, tc.view(), plan.Decision{Outcome: plan.Unchanged, Row: r})
			}
			agree(t, got, tc.want)
		})
	}
}

// A kustomize transformer puts something around a name; a copier takes another name.
func TestRenamed(t *testing.T) {
	for _, tt := range []struct {
		name, secret, claimed, binding, token string
		want                                  bool
	}{
		{"a prefix", "dev-secret-a", "secret-a", "of secret-a", current, true},
		{"a suffix", "secret-a-dev", "secret-a", "of secret-a", current, true},
		{"a prefix, in a later generation", "dev-secret-a-g2", "secret-a-g2", "of secret-a-g2", current, true},
		{"another generation of it", "secret-a-g3", "secret-a", "of secret-a", current, false},
		{"nothing was put around it", "secret-a", "secret-a", "of secret-a", current, false},
		{"another name", "secret-b", "secret-a", "of secret-a", current, false},
		{"it claims no name", "dev-secret-a", "", "of secret-a", current, false},
		{"it claims no name, and is in its place", "dev-secret-a", "", "holds", current, false},
		{"its binding is of a third name", "dev-secret-a", "secret-a", "of another", current, false},
		{"its annotation removed", "dev-secret-a", "secret-a", "", current, false},
		{"no key opens it", "dev-secret-a", "secret-a", "of secret-a", alien, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base, generation := names.Split(tt.secret)
			o := live(1, tt.token, func(o *manifest.Object) {
				o.Name, o.Base, o.Generation, o.Claimed, o.Binding = tt.secret, base, generation, tt.claimed, tt.binding
			})
			if got := plan.Renamed(o, judge); got != tt.want {
				t.Errorf("%s, made as %q: %v", tt.secret, tt.claimed, got)
			}
		})
	}
}

// since is never a range: only the very numbers say that values are the same.
func TestSameSince(t *testing.T) {
	for _, tt := range []struct {
		since, generation, otherSince, otherGeneration int
		want                                           bool
	}{
		{1, 1, 1, 2, true}, // rotated
		{1, 2, 1, 5, true}, // both from the first
		{2, 5, 2, 2, true}, // the other is the very one
		{2, 2, 2, 5, true}, // and the other way round
		{2, 5, 1, 2, true}, // the other is the very one, and had it from the first
		{1, 2, 2, 5, true},
		{1, 1, 2, 2, false}, // updated
		{1, 3, 2, 2, false}, // what came between may be another value
		{1, 4, 3, 3, false},
	} {
		if got := plan.SameSince(tt.since, tt.generation, tt.otherSince, tt.otherGeneration); got != tt.want {
			t.Errorf("since %d of %d, and since %d of %d: %v", tt.since, tt.generation, tt.otherSince, tt.otherGeneration, got)
		}
	}
}
