// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/finding"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// renamedTo gives an object of the bundle web as one of another bundle.
func renamedTo(base string) func(*manifest.Object) {
	return func(o *manifest.Object) {
		o.Name = strings.Replace(o.Name, o.Base, base, 1)
		o.Base = base
		o.Binding = bindingFor(o.Placed())
	}
}

var (
	singles     = []manifest.Object{one(1, "A:new/now"), one(1, "B:new/now")}
	withSingles = append(slices.Clone(singles), web(1, now2))
)

// What stands beside the wanted form is replaced where that has all of its entries; what has
// an entry that the .env lacks is an orphan.
func TestOrphansAcrossForms(t *testing.T) {
	for _, tt := range []bundleSituation{
		{name: "single ones, and the bundle is wanted", objects: singles, rows: createdRows(singles...), want: "replaced a: web holds it now; retire removes it | replaced b: web holds it now"},
		{name: "single ones of a base name of another .env", letters: "A", objects: singles, rows: createdRows(singles...), want: "replaced a: web holds it now | orphan b: B is no longer in the .env"},
		{name: "the bundle, and single ones are wanted", single: true, objects: objects(web(1, now2)), rows: createdRows(web(1, now2)), want: "replaced web-g1: A, B holds it now"},
		{name: "the bundle has an entry that left the .env", single: true, objects: objects(web(1, now2+" C:new/now")), rows: createdRows(web(1, now2+" C:new/now")), want: "orphan web-g1: C is no longer in the .env"},
		{name: "two entries that left the .env", single: true, objects: objects(web(1, now2+" C:new/now D:new/now")), rows: createdRows(web(1, now2+" C:new/now D:new/now")), want: "orphan web-g1: C, D are no longer in the .env"},
		{name: "another bundle with the same entries is another .env's", objects: objects(web(1, now2, renamedTo("app"))), rows: createdRows(web(1, now2, renamedTo("app")))},
		{name: "the wanted bundle itself", objects: objects(web(1, newer2)), rows: createdRows(web(1, newer2))},
		{name: "gone", single: true, rows: createdRows(web(1, now2))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			agree(t, allDecidedSet(plan.Orphans(tt.view(), tt.inEnv)), tt.want)
		})
	}
}

func TestRotateABundle(t *testing.T) {
	for _, tt := range []bundleSituation{
		{name: "under KEY", objects: objects(web(1, now2)), rows: createdRows(web(1, now2)), want: "unchanged web-g1 has A:new/now B:new/now of A:new/now B:new/now"},
		{name: "under the previous key: the next generation is made of it", objects: objects(web(1, older2)), rows: createdRows(web(1, older2)), want: "created web-g2 from A B as rotate since 1 of A:old/now B:old/now"},
		{name: "another value than the .env's is rotated", objects: objects(web(1, "A:old/now B:old/x")), want: "created web-g2 from A B as rotate since 1 of A:old/now B:old/x differs"},
		{name: "other entries than the .env's are rotated", letters: "ABC", objects: objects(web(1, older2)), want: "created web-g2 from A B C as rotate since 1 of A:old/now B:old/now differs"},
		{name: "planned by a rotation that was killed", objects: objects(web(1, older2)), rows: rowsOf(ledger.Planned, web(2, now2)), want: "created web-g2 resend has A:new/now B:new/now of A:old/now B:old/now"},
		{name: "planned, and a row is missing", objects: objects(web(1, older2)), rows: less("B", rowsOf(ledger.Planned, web(2, now2))), want: "created web-g3 from A B as rotate since 1 of A:old/now B:old/now"},
		{name: "planned, of other entries", objects: objects(web(1, older2)), rows: rowsOf(ledger.Planned, web(2, "A:new/now")), want: "created web-g3 from A B as rotate since 1 of A:old/now B:old/now"},
		{name: "gone, and newer: its tokens have the values", objects: objects(web(1, older2)), rows: createdRows(web(2, "A:old/now B:old/x@3")), want: "created web-g3 from A B as rotate since 2 of A:old/now B:old/x lost differs"},
		{name: "gone, newer, and a row is missing", objects: objects(web(1, older2)), rows: less("B", createdRows(web(2, "A:old/now B:old/x@3"))), want: "blocked web-g2: the ledger has it, the namespace has not"},
		{name: "an entry was taken out", objects: objects(web(1, older2, holding("A:old/now"))), rows: createdRows(web(1, older2)), want: "misplaced web-g1: not the set | blocked web-g1: other bytes than were created"},
		{name: "tokens of two keys", objects: objects(web(1, "A:new/now B:old/now")), want: "misplaced web-g1: not the set"},
		{name: "under a key that we lack", objects: objects(web(1, older2), web(2, "A:lost/now")), want: "superseded web-g2: which this keyring lacks"},
		{name: "being deleted", objects: objects(web(1, older2, deleting)), want: "blocked web-g1: it is being deleted"},
		{name: "nothing there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			moves, err := plan.Rotate(tt.view(), tt.wanted(), judgeSet, ring{}, sameSet)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range moves {
				wholeSet(t, tt.view(), m.Decision)
				text, reason, _ := strings.Cut(decidedSet(m.Decision), ": ")
				if m.From.Token != "" {
					text += " of " + unset(m.From.Entries())
				}
				if m.Lost {
					text += " lost"
				}
				if m.Differs {
					text += " differs"
				}
				if reason != "" {
					text += ": " + reason
				}
				got = append(got, text)
			}
			agree(t, got, tt.want)
		})
	}
}

// mineOf gives all base names of these tests: web, then a and b.
func mineOf(view plan.View) []plan.Wanted {
	return plan.Mine(slices.Concat(view.Records, records(createdRows(one(1, "A:new/x"), one(1, "B:new/x"))...)), entriesOf("AB", "web"))
}

// What may be deleted: older generations, and what is replaced. What replaces it must be there.
func TestRetireAcrossForms(t *testing.T) {
	for _, tt := range []bundleSituation{
		{name: "one generation", objects: objects(web(1, now2))},
		{name: "an older one", objects: objects(web(1, older2), web(2, now2)), want: "web-g1 A:old/now B:old/now"},
		{name: "an older one without a row of an entry", objects: objects(web(1, older2), web(2, now2)), rows: less("B", createdRows(web(1, older2))), want: "web-g1 A:old/now B:old/now"},
		{name: "an older one that is gone", objects: objects(web(2, now2)), rows: createdRows(web(1, older2)), want: "web-g1 A:old/now B:old/now gone"},
		{name: "an older one with an entry swapped: nothing proves it ours", objects: objects(web(1, "A:old/x B:old/now", holding("A:old/now B:old/x")), web(2, now2))},
		{name: "single ones, replaced", objects: withSingles, want: "a A:new/now | b B:new/now"},
		{name: "single ones, and the bundle is not there", objects: singles},
		{name: "single ones, and the bundle is gone", objects: singles, rows: createdRows(web(1, now2))},
		{name: "single ones, and the bundle lacks one", objects: append(slices.Clone(singles), web(1, "A:new/now")), letters: "A", want: "a A:new/now"},
		{name: "single ones, and the bundle is no longer whole", objects: append(slices.Clone(singles), web(1, now2, holding("A:new/now B:new/now@7")))},
		{name: "all generations of a replaced one", objects: append(slices.Clone(withSingles), one(2, "A:new/x")), want: "a-g2 A:new/x | a A:new/now | b B:new/now"},
		{name: "the bundle, replaced by single ones", single: true, objects: withSingles, want: "web-g1 A:new/now B:new/now"},
		{name: "the bundle, and one single is not there", single: true, objects: objects(singles[0], web(1, now2))},
		{name: "another bundle is not replaced by a bundle", objects: objects(web(1, now2), web(1, now2, renamedTo("app"))), rows: createdRows(web(1, now2, renamedTo("app")))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			view := tt.view()
			retired, skipped := plan.Retire(view, mineOf(view), judgeSet, ring{}, func(plan.Wanted) bool { return false })
			var got []string
			for _, r := range retired {
				text := r.Row.Secret + " " + unset(r.Row.Placed().Entries())
				if r.Gone {
					text += " gone"
				}
				got = append(got, text)
				if r.Row.Operation != ledger.Retire || !r.Object.Carries(r.Row) || r.Row.UID != r.Object.UID || r.Row.State != ledger.Planned {
					t.Errorf("the row %+v of %+v", r.Row, r.Object)
				}
			}
			slices.SortStableFunc(got, func(x, y string) int { return strings.Compare(x[:1], y[:1]) })
			agree(t, append(got, allDecidedSet(skipped)...), tt.want)
		})
	}
}

// Half a bundle is never created, with a key or without.
func TestRestoreABundle(t *testing.T) {
	for _, tt := range []struct {
		bundleSituation
		keyless string
	}{
		{bundleSituation{name: "gone", rows: createdRows(web(1, now2)), want: "created web-g1 has A:new/now B:new/now as restore"}, ""},
		{bundleSituation{name: "there", objects: objects(web(1, now2)), rows: createdRows(web(1, now2)), want: "unchanged web-g1 has A:new/now B:new/now as restore"}, ""},
		{bundleSituation{name: "gone, and a row is missing", rows: less("B", createdRows(web(1, now2))), want: "unproven web-g1 has A:new/now as restore: 1 of its 2 entries: half a bundle is never created"}, ""},
		{bundleSituation{name: "gone, and all rows are missing", rows: less("A", less("B", createdRows(web(1, now2)))), want: "unproven web-g1 as restore: 0 of its 2 entries"}, ""},
		{bundleSituation{name: "gone, and a row was put in", rows: append(createdRows(web(1, now2)), rowsOf(ledger.Planned, web(1, "C:new/now", func(o *manifest.Object) { o.Binding = web(1, now2).Binding }))...),
			want: "unproven web-g1 has A:new/now B:new/now C:new/now as restore: 3 of its 2 entries"}, ""},
		{bundleSituation{name: "gone, and a row was put in the place of another", rows: append(less("B", createdRows(web(1, now2))), rowsOf(ledger.Planned, web(1, "B:new/x", func(o *manifest.Object) { o.Binding = web(1, now2).Binding }))...),
			want: "unproven web-g1 has A:new/now B:new/x as restore: its token was made for another place"}, "created web-g1 has A:new/now B:new/x as restore"},
		{bundleSituation{name: "an entry twice, with two tokens", rows: append(less("B", createdRows(web(1, now2))), rowsOf(ledger.Planned, web(1, "A:new/x", func(o *manifest.Object) { o.Binding = web(1, now2).Binding }))...),
			want: "unproven web-g1 has A:new/now A:new/x as restore: half a bundle is never created"}, ""},
		{bundleSituation{name: "there, and a row is missing: it completes the ledger", objects: objects(web(1, now2)), rows: less("B", createdRows(web(1, now2))), want: "unchanged web-g1 has A:new/now B:new/now as restore complete"}, ""},
		{bundleSituation{name: "other bytes are there", objects: objects(web(1, newer2)), rows: createdRows(web(1, now2)), want: "foreign web-g1 has A:new/now B:new/now as restore: the name is taken"}, ""},
		{bundleSituation{name: "no key opens it", rows: createdRows(web(1, "A:lost/x")), want: "unproven web-g1 has A:lost/x as restore: no key of this keyring opens its token"}, "created web-g1 has A:lost/x as restore"},
		{bundleSituation{name: "a hint", hints: hints(createdRows(web(1, now2))...), want: "unproven web-g1 has A:new/now B:new/now as restore: signed by a key that this keyring lacks"}, "created web-g1 has A:new/now B:new/now as restore"},
		{bundleSituation{name: "a hint of half a bundle", hints: hints(less("B", createdRows(web(1, now2)))...), want: "unproven web-g1 has A:new/now as restore: half a bundle is never created"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			view := tt.view()
			agree(t, allDecidedSet(plan.Restore(view.Records, "c", tt.objects, judgeSet)), tt.want)
			want := tt.keyless
			if want == "" {
				want = tt.want
			}
			agree(t, allDecidedSet(plan.Restore(view.Records, "c", tt.objects, nil)), want)
		})
	}
}

// The tamper table, without a cluster.
func TestVerifyABundle(t *testing.T) {
	words := map[finding.Code]string{
		finding.Unopened: "unopened", finding.Misplaced: "misplaced", finding.Binding: "binding", finding.OtherBytes: "other bytes", finding.PutBack: "put back", finding.Incomplete: "incomplete",
		finding.Missing: "missing", finding.Unrecorded: "unrecorded", finding.Foreign: "foreign", finding.KeyID: "key id", finding.Mutable: "mutable", finding.Metadata: "metadata",
		finding.LedgerRow: "edited", finding.TwoTokens: "two tokens", finding.OldKey: "old key", finding.Renamed: "renamed", finding.Future: "future",
	}
	made := web(2, "A:new/now B:new/other C:new/now@4")
	rows := createdRows(made)
	changed := func(changes ...func(*manifest.Object)) []manifest.Object {
		return objects(web(2, "A:new/now B:new/other C:new/now@4", changes...))
	}
	noKind := func(o *manifest.Object) { o.Altered = "label kind" }
	for _, tt := range []bundleSituation{
		{name: "as it was made", objects: changed(), rows: rows},
		{name: "two swapped", objects: changed(holding("A:new/other B:new/now C:new/now@4")), rows: rows, want: "misplaced web-g2: ~A ~B"},
		{name: "one missing", objects: changed(holding("A:new/now C:new/now@4")), rows: rows, want: "misplaced web-g2: -B"},
		{name: "one added", objects: changed(holding("A:new/now B:new/other C:new/now@4 D:new/now")), rows: rows, want: "misplaced web-g2: +D"},
		{name: "one of an older generation", objects: changed(holding("A:new/now B:new/other C:new/now@1")), rows: rows, want: "misplaced web-g2: ~C"},
		{name: "one that no key opens", objects: changed(holding("A:new/now B:new/other C:lost/now")), rows: rows, want: "unopened web-g2: k-new; ~C"},
		{name: "one under the previous key", objects: changed(holding("A:new/now B:new/other C:old/now@4")), rows: rows, want: "misplaced web-g2: ~C"},
		{name: "two swapped, and no rows", objects: changed(holding("A:new/other B:new/now C:new/now@4")), want: "misplaced web-g2"},
		{name: "its binding was removed", objects: changed(binding("")), rows: rows, want: "binding web-g2"},
		{name: "its binding was edited", objects: changed(binding("v2:3:0")), rows: rows, want: "binding web-g2"},
		{name: "its binding is that of a single token", objects: changed(binding("v1:0")), rows: rows, want: "binding web-g2"},
		{name: "its label was removed", objects: changed(noKind), rows: rows, want: "metadata web-g2: label kind"},
		{name: "a bundle of one that looks like a single token", letters: "A", objects: objects(web(1, "A:new/now", bare)), rows: createdRows(web(1, "A:new/now")), want: "binding web-g1"},
		{name: "its data is something else", objects: changed(func(o *manifest.Object) { o.Token = "" }), rows: rows, want: "other bytes web-g2: its data is not one token, nor that of a bundle"},
		{name: "a row of an entry is missing", objects: changed(), rows: less("B", rows), want: "incomplete web-g2: the rows of 2 of 3 entries are there"},
		{name: "a row of an entry is missing, and it is gone", rows: less("B", rows), want: "missing web-g2 | incomplete web-g2: the rows of 2 of 3 entries are there"},
		{name: "a row of an entry is missing, and its binding", objects: changed(binding("")), rows: less("B", rows), want: "misplaced web-g2 | incomplete web-g2: 2 of 3"},
		{name: "a row of an entry was edited: that is said once", objects: changed(), rows: less("B", rows), edits: []ledger.Edit{{Line: 7, Secret: "web-g2", EnvKey: "B"}}, want: "edited web-g2: l.csv:7"},
		{name: "gone", rows: rows, want: "missing web-g2"},
		{name: "no rows", objects: changed(), want: "unrecorded web-g2"},
		{name: "put back after it was retired", objects: changed(), past: rowsOf(ledger.Deleted, made), want: "put back web-g2"},
		{name: "under the previous key", objects: objects(web(1, older2)), rows: createdRows(web(1, older2)), want: "old key web-g1: k-old"},
		{name: "two sets were created under its name", objects: changed(), rows: slices.Concat(rows, createdRows(web(2, newer2))), want: "two tokens web-g2"},
		{name: "of a time that cannot be", objects: objects(web(2, "A:new/now B:new/other@99")), rows: createdRows(web(2, "A:new/now B:new/other@99")), want: "future web-g2"},
		{name: "somebody else's under its name", objects: objects(web(1, "A:theirs/x", unlabelled)), want: "foreign web-g1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range plan.Verify(tt.view(), tt.wanted(), judgeSet, ring{}, hour(12)) {
				text := words[f.Code] + " " + f.Secret
				if f.Detail != "" {
					text += ": " + f.Detail
				}
				got = append(got, text)
				if entry := map[bool]string{true: "B"}[f.Code == finding.Future || f.Code == finding.LedgerRow]; f.EnvKey != entry || f.Namespace != "ns" {
					t.Errorf("got %+v", f)
				}
			}
			agree(t, got, tt.want)
		})
	}
}

// The rows of a bundle by themselves.
func TestVerifyLedgerOfBundles(t *testing.T) {
	moved := createdRows(web(1, now2, func(o *manifest.Object) { o.Binding = bindingFor(web(3, now2).Placed()) }))
	for _, tt := range []bundleSituation{
		{name: "good", rows: createdRows(web(1, now2))},
		{name: "half", rows: less("A", createdRows(web(1, now2))), want: string(finding.Incomplete) + " web-g1"},
		{name: "no key opens it", rows: createdRows(web(1, "A:lost/x")), want: string(finding.Unopened) + " web-g1"},
		{name: "made for another place", rows: moved, want: string(finding.Misplaced) + " web-g1"},
		{name: "half of what was retired matters no more", rows: less("A", rowsOf(ledger.Deleted, web(1, now2)))},
	} {
		var got []string
		for _, f := range plan.VerifyLedger(tt.view(), judgeSet) {
			got = append(got, string(f.Code)+" "+f.Secret)
		}
		agree(t, got, tt.want)
	}
}

// recalledSet writes SECRET ENTRY:KEY/VALUE.
func recalledSet(all []plan.Recalled) (texts []string) {
	for _, r := range all {
		texts = append(texts, r.Token.Secret+" "+unset(r.Token.Entries()))
	}
	return texts
}

// Each entry has one value: that of the bundle or of the single one, whichever came last.
func TestRecallAcrossForms(t *testing.T) {
	for _, tt := range []struct {
		bundleSituation
		generation int
	}{
		{bundleSituation{name: "a bundle", rows: createdRows(web(1, now2)), want: "web-g1 A:new/now | web-g1 B:new/now"}, 0},
		{bundleSituation{name: "the newest generation", rows: createdRows(web(1, now2), web(2, "A:new/x")), want: "web-g2 A:new/x"}, 0},
		{bundleSituation{name: "an older generation", rows: createdRows(web(1, now2), web(2, "A:new/x")), want: "web-g1 A:new/now | web-g1 B:new/now"}, 1},
		{bundleSituation{name: "single ones came later", rows: createdRows(web(1, "A:new/x@1 B:new/x@4"), one(1, "A:new/y@2"), one(1, "B:new/y@3")), want: "a A:new/y | web-g1 B:new/x"}, 0},
		{bundleSituation{name: "the same token in both: the bundle", rows: createdRows(one(1, "A:new/x@2"), web(1, "A:new/x@2")), want: "web-g1 A:new/x"}, 0},
		{bundleSituation{name: "a rotation keeps the time: the value that came last", rows: createdRows(one(1, "A:old/y@2"), web(1, "A:new/x@1"), web(2, "A:new/x@1")), want: "a A:old/y"}, 0},
		{bundleSituation{name: "SECRET_A beside SECRET-A", rows: createdRows(web(1, "SECRET_A:new/x SECRET-A:new/y")), want: "web-g1 SECRET-A:new/y | web-g1 SECRET_A:new/x"}, 0},
		{bundleSituation{name: "retired", rows: rowsOf(ledger.Deleted, web(1, now2))}, 0},
		{bundleSituation{name: "retired, by its number", rows: rowsOf(ledger.Deleted, web(1, now2)), want: "web-g1 A:new/now | web-g1 B:new/now"}, 1},
		{bundleSituation{name: "only planned", rows: rowsOf(ledger.Planned, web(1, now2))}, 0},
		{bundleSituation{name: "a hint", hints: hints(createdRows(web(1, now2))...)}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := plan.Recall(tt.view().Records, tt.generation)
			agree(t, recalledSet(all), tt.want)
			for _, r := range all {
				if strings.HasPrefix(r.Token.Secret, "web") && judgeSet(r.Token).Binding != token.BindingHolds {
					t.Errorf("nothing proves %+v", r.Token)
				}
			}
		})
	}
}

// The current values that a namespace tells, and the entries of which it does not.
func TestLiveOfBundles(t *testing.T) {
	for _, tt := range []bundleSituation{
		{name: "there", objects: objects(web(1, older2), web(2, now2)), want: "web-g2 A:new/now | web-g2 B:new/now"},
		{name: "gone: each of its entries is unknown", objects: objects(web(1, older2)), rows: createdRows(web(2, now2)), want: "web-g2 A: it was created, and is gone | web-g2 B: it was created"},
		{name: "one taken out: that entry is unknown too", objects: objects(web(1, now2, holding("A:new/now"))), rows: createdRows(web(1, now2)), want: "web-g1 A: not the set | web-g1 B: not the set"},
		{name: "swapped, without rows", objects: objects(web(1, "A:new/now B:new/x", holding("A:new/x B:new/now"))), want: "web-g1 A: not the set | web-g1 B: not the set"},
		{name: "under a key that we lack", objects: objects(web(1, "A:lost/x")), want: "web-g1 A: k-lost, which this keyring lacks"},
		{name: "its data is something else", objects: objects(web(1, "")), want: "web-g1 web: no key of this keyring opens its token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all, unknown := plan.Live(tt.view(), tt.wanted(), judgeSet, ring{})
			got := recalledSet(all)
			for _, u := range unknown {
				got = append(got, u.Token.Secret+" "+u.Token.EnvKey+": "+u.Reason)
			}
			agree(t, got, tt.want)
		})
	}
}

func TestAdoptABundle(t *testing.T) {
	words := map[plan.Reason]string{
		plan.Adoptable: "adoptable", plan.BeingDeleted: "being deleted", plan.NoToken: "no token", plan.OtherName: "other name", plan.Unopened: "unopened",
		plan.MadeElsewhere: "made elsewhere", plan.RecordedElsewhere: "recorded elsewhere", plan.RecordedOtherwise: "recorded otherwise", plan.LaterGeneration: "later generation",
	}
	plain := func(o *manifest.Object) { o.Managed, o.KeyID, o.Binding, o.Kind = false, "", "", "" }
	for _, tt := range []bundleSituation{
		{name: "several tokens", objects: objects(web(1, now2, plain)), want: "adoptable"},
		{name: "under a previous key", objects: objects(web(1, older2, plain)), want: "adoptable"},
		{name: "under two keys", objects: objects(web(1, "A:new/now B:old/now", plain)), want: "unopened"},
		{name: "one that no key opens", objects: objects(web(1, "A:new/now B:lost/now", plain)), want: "unopened"},
		{name: "no tokens", objects: objects(web(1, "", plain)), want: "no token"},
		{name: "a name without a number", objects: objects(web(1, now2, plain, func(o *manifest.Object) { o.Name = "web" })), want: "other name"},
		{name: "a later generation", objects: objects(web(2, now2, plain)), want: "later generation"},
		{name: "bound to another place", objects: objects(web(1, now2, binding("v2:2:0"))), want: "made elsewhere"},
		{name: "one taken out", objects: objects(web(1, now2, holding("A:new/now"))), want: "made elsewhere"},
		{name: "ours already", objects: objects(web(1, now2)), rows: createdRows(web(1, now2)), want: "adoptable known"},
		{name: "one of its tokens is a single one's", objects: objects(web(1, now2, plain)), rows: createdRows(one(1, "B:new/now")), want: "recorded elsewhere as b"},
		{name: "one of its tokens is an older generation's", objects: objects(web(1, now2, plain)), rows: createdRows(web(3, "A:new/now B:new/x")), want: "recorded elsewhere as web-g3"},
		{name: "a single token that a bundle has", objects: objects(one(1, "B:new/now", plain)), rows: createdRows(web(1, now2)), want: "recorded elsewhere as web-g1"},
		{name: "other bytes were created", objects: objects(web(1, now2, plain)), rows: createdRows(web(1, "A:new/x")), want: "recorded otherwise"},
		{name: "being deleted", objects: objects(web(1, now2, deleting)), want: "being deleted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			view := tt.view()
			refusal, known := plan.Adopt(tt.objects[0], judgeSet(tt.objects[0].Placed()), view.Records, view.Past, nil)
			text := words[refusal.Reason]
			if refusal.Secret != "" {
				text += " as " + refusal.Secret
			}
			if known {
				text += " known"
			}
			agree(t, []string{text}, tt.want)
		})
	}
}

// A key stays while one token of a live bundle needs it.
func TestUseOfKeysByBundles(t *testing.T) {
	for _, tt := range []bundleSituation{
		{name: "all under KEY", objects: objects(web(1, now2)), rows: createdRows(web(1, now2))},
		{name: "all under the key", objects: objects(web(1, older2)), rows: createdRows(web(1, older2)), want: "opened web-g1"},
		{name: "one of them under the key", objects: objects(web(1, "A:new/now B:old/now")), want: "opened web-g1"},
		{name: "one under the key, and one under none", objects: objects(web(1, "A:lost/now B:old/now")), want: "opened web-g1"},
		{name: "gone, and the newest", rows: createdRows(web(1, older2)), want: "lost web-g1"},
		{name: "gone, the newest, and a row is missing", rows: less("B", createdRows(web(1, older2))), want: "lost web-g1"},
		{name: "gone, below what is there", objects: objects(web(2, now2)), rows: createdRows(web(1, older2), web(2, now2))},
		{name: "planned above what is there", objects: objects(web(1, now2)), rows: append(createdRows(web(1, now2)), rowsOf(ledger.Planned, web(2, older2))...), want: "planned web-g2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := plan.UseOfKeys(tt.view(), []string{"k-old"}, judgeSet, aloneSet, func(manifest.Object) bool { return false }, false)
			var got []string
			for _, use := range []struct {
				word  string
				names []string
			}{{"opened ", u.Opened}, {"lost ", u.Lost}, {"planned ", u.Planned}} {
				for _, name := range use.names {
					got = append(got, use.word+name)
				}
			}
			agree(t, got, tt.want)
		})
	}
}
