// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// again is the row of an object that was made anew with the same bytes.
func again(r ledger.Row) ledger.Row { return withUID(r, "uid-again") }

var (
	createdAndRotated  = records(row(1, ledger.Created, previous), rotated(2, ledger.Created, current))
	restoredAndRotated = records(row(1, ledger.Created, previous), again(row(1, ledger.Created, previous)), rotated(2, ledger.Created, current))
)

// retireCases are the situations of one entry and what of it may be deleted: NAME TOKEN
// of each, gone where it is not there, and the uids where they are not that of the row;
// then why the entry is skipped.
var retireCases = []situation{
	{name: "nothing there"},
	{name: "one generation", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current))},
	{name: "one generation under the previous key: nothing follows it", objects: objects(live(1, previous)), records: records(row(1, ledger.Created, previous))},
	{name: "rotated", objects: objects(live(1, previous), live(2, current)), records: createdAndRotated, want: "secret-a k-old/now"},
	{name: "no label", objects: objects(live(1, previous, unlabelled), live(2, current)), records: createdAndRotated, want: "secret-a k-old/now"},
	{name: "no annotation: the row has the binding", objects: objects(live(1, previous, binding("")), live(2, current)), records: createdAndRotated, want: "secret-a k-old/now"},
	{name: "no row", objects: objects(live(1, previous), live(2, current)), want: "secret-a k-old/now"},
	{name: "the value was changed", objects: objects(live(1, changed), live(2, current)), want: "secret-a k-new/before"},
	{name: "rotated twice: the first generation of the value is kept", objects: objects(live(2, previous), live(3, current)), records: records(sinceOne(rotated(2, ledger.Created, previous))), want: "secret-a-g2 k-old/now since 1"},
	{name: "several, the newest first", objects: objects(live(1, changed), live(2, previous), live(3, current)), records: records(row(1, ledger.Created, changed), row(2, ledger.Created, previous), row(3, ledger.Created, current)),
		want: "secret-a-g2 k-old/now | secret-a k-new/before"},
	{name: "the current one is no longer in the .env", objects: objects(live(1, previous), live(2, current)), records: createdAndRotated, orphan: true, want: "secret-a k-old/now"},

	{name: "somebody else's and a misplaced one below", objects: objects(live(1, garbage, unlabelled), live(2, previous, binding("of another")), live(3, current))},
	{name: "a misplaced one above", objects: objects(live(1, previous), live(2, current), live(9, current, binding("of another"))), records: createdAndRotated, want: "secret-a k-old/now"},
	{name: "somebody else's above", objects: objects(live(1, previous), live(2, current), live(9, garbage, unlabelled)), records: createdAndRotated, want: "secret-a k-old/now"},
	{name: "under a key that we lack, though recorded: nothing proves it ours", objects: objects(live(1, alien), live(2, current)), records: records(row(1, ledger.Created, alien), row(2, ledger.Created, current))},
	{name: "none of them opens: there is no current one", objects: objects(live(1, garbage), live(2, garbage))},

	{name: "a newer one is under a key that we lack", objects: objects(live(1, previous), live(2, alien)), records: createdAndRotated, want: "superseded secret-a-g2: k-lost, which this keyring lacks"},
	{name: "the ledger has a newer one under a key that we lack", objects: objects(live(1, previous), live(2, current)), records: slices.Concat(createdAndRotated, records(row(3, ledger.Created, alien))),
		want: "superseded secret-a-g3 under k-lost by row: k-lost, which this keyring lacks"},
	{name: "the ledger has a newer one under a key that we lack, ignored", objects: objects(live(1, previous), live(2, current)), records: slices.Concat(createdAndRotated, records(row(3, ledger.Created, alien))), ignore: "k-lost", want: "secret-a k-old/now"},
	{name: "the ledger has a newer one under a key that was dropped", objects: objects(live(1, previous), live(2, current)), records: slices.Concat(createdAndRotated, records(row(3, ledger.Created, alien))), past: list(row(4, ledger.Deleted, alien)), want: "secret-a k-old/now"},
	{name: "the token of the newest is cut", objects: objects(live(1, previous), live(2, garbage)), records: records(row(1, ledger.Created, previous), row(2, ledger.Created, garbage)), want: "blocked secret-a-g2: other bytes than were created under its name"},
	{name: "the newest is being deleted: an older one may be needed to undo that", objects: objects(live(1, previous), live(2, current, deleting)), records: createdAndRotated, want: "blocked secret-a-g2: it is being deleted"},
	{name: "the newest was deleted by hand", objects: objects(live(1, changed), live(2, previous)), records: records(row(3, ledger.Created, current)), want: "blocked secret-a-g3: the ledger has it, the namespace has not"},

	{name: "an older one was deleted by hand", objects: objects(live(2, current)), records: createdAndRotated, want: "secret-a k-old/now gone"},
	{name: "an older one was deleted by hand, of two tokens that it may have had", objects: objects(live(2, current)), records: records(row(1, ledger.Created, previous), row(1, ledger.Created, changed)), want: "secret-a k-new/before gone | secret-a k-old/now gone"},
	{name: "an older one was deleted by hand, and its row has no uid", objects: objects(live(2, current)), records: records(withUID(row(1, ledger.Created, previous), "")), want: "secret-a k-old/now gone"},
	{name: "all was deleted by hand: that is for restore", records: createdAndRotated},
	{name: "an older one was planned, and never there", objects: objects(live(2, current)), records: records(row(1, ledger.Planned, previous))},
	{name: "an older one is gone, and the ledger knows", objects: objects(live(2, current)), records: records(row(1, ledger.Created, previous), row(1, ledger.Deleted, previous), rotated(2, ledger.Created, current))},
	{name: "a hint of an older one", objects: objects(live(2, current)), records: hints(row(1, ledger.Created, previous))},
	{name: "restored: two objects had these bytes", objects: objects(live(1, previous, uid("uid-again")), live(2, current)), records: restoredAndRotated, want: "secret-a k-old/now uids uid-again,uid-k-old/now"},
	{name: "restored, and the first one is there again", objects: objects(live(1, previous), live(2, current)), records: restoredAndRotated, want: "secret-a k-old/now uids uid-k-old/now,uid-again"},
	{name: "restored, and deleted by hand", objects: objects(live(2, current)), records: restoredAndRotated, want: "secret-a k-old/now gone uids uid-again,uid-k-old/now"},
	{name: "made anew by somebody: the object that is there is meant", objects: objects(live(1, previous, uid("uid-third")), live(2, current)), records: createdAndRotated, want: "secret-a k-old/now uids uid-third,uid-k-old/now"},

	{name: "leaving", objects: objects(live(1, previous), live(2, current)), records: createdAndRotated, leaving: true, want: "secret-a-g2 k-new/now | secret-a k-old/now"},
	{name: "leaving, and deleted by hand", records: createdAndRotated, leaving: true, want: "secret-a-g2 k-new/now gone | secret-a k-old/now gone"},
	{name: "leaving, and being deleted", objects: objects(live(1, previous), live(2, current, deleting)), records: createdAndRotated, leaving: true, want: "secret-a-g2 k-new/now | secret-a k-old/now"},
	{name: "leaving, beside what is somebody else's", objects: objects(live(1, current), live(2, garbage, unlabelled)), leaving: true, want: "secret-a k-new/now"},
	{name: "leaving, beside one under a key that we lack", objects: objects(live(1, current), live(2, alien)), leaving: true, want: "secret-a k-new/now"},
	{name: "leaving, and only planned", records: records(row(1, ledger.Planned, current)), leaving: true},

	{name: "one entry is skipped, the other is not", entries: both, objects: objects(live(1, previous, deleting), of("b", live(1, previous)), of("b", live(2, current))), want: "secret-b k-old/now | blocked secret-a: it is being deleted"},
	{name: "one entry leaves, the other does not", entries: both, objects: objects(live(1, current), of("b", live(1, current))), leaving: true, want: "secret-a k-new/now"},
}

func TestRetire(t *testing.T) {
	for _, tc := range retireCases {
		t.Run(tc.name, func(t *testing.T) {
			view := tc.view()
			retired, skipped := plan.Retire(view, tc.wanted(), judge, ring{}, func(envKey plan.Wanted) bool { return tc.leaving && envKey.EnvKey == "SECRET_A" })
			var got []string
			for _, r := range retired {
				text := r.Row.Secret + " " + r.Row.Token
				if r.Row.Since != r.Row.Generation {
					text += " since " + digit(r.Row.Since)
				}
				if r.Gone {
					text += " gone"
				}
				if uids := strings.Join(r.UIDs, ","); uids != r.Row.UID {
					text += " uids " + uids
				}
				got = append(got, text)
				if r.Row.Operation != ledger.Retire || !r.Object.Carries(r.Row) || r.Row.UID != r.Object.UID || r.Gone && r.Row.Binding != r.Object.Binding {
					t.Errorf("the row %+v of %+v", r.Row, r.Object)
				}
				if base, generation := names.Split(r.Row.Secret); r.Object.Base != base || r.Object.Generation != generation {
					t.Errorf("the object: %+v", r.Object)
				}
				whole(t, view, plan.Decision{Row: r.Row})
			}
			for _, d := range skipped {
				whole(t, view, d)
			}
			agree(t, append(got, allDecided(skipped)...), tc.want)
		})
	}
}

// putBackCases are what was retired and is there again, and no key opens any more.
var putBackCases = []situation{
	{name: "nothing there", past: list(row(1, ledger.Deleted, alien))},
	{name: "put back", objects: objects(live(1, alien)), past: list(row(1, ledger.Deleted, alien)), want: "secret-a"},
	{name: "put back, and it never had a binding", objects: objects(live(1, alien, binding(""))), past: list(withBinding(row(1, ledger.Deleted, alien), "")), want: "secret-a"},
	{name: "never retired", objects: objects(live(1, alien))},
	{name: "other bytes than were retired", objects: objects(live(1, "k-lost/x")), past: list(row(1, ledger.Deleted, alien))},
	{name: "a key opens it: it is ours, and retire can prove it", objects: objects(live(1, previous)), past: list(row(1, ledger.Deleted, previous))},
	{name: "being deleted", objects: objects(live(1, alien, deleting)), past: list(row(1, ledger.Deleted, alien))},
	{name: "another entry's", objects: objects(of("b", live(1, alien))), past: list(rowOf("b", row(1, ledger.Deleted, alien)))},
}

func TestPutBack(t *testing.T) {
	for _, tc := range putBackCases {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, o := range plan.PutBack(tc.view(), tc.wanted(), judge, ring{}) {
				got = append(got, o.Name)
			}
			agree(t, got, tc.want)
		})
	}
}

// What is to be deleted goes from the oldest generation up, name by name.
func TestOldestFirst(t *testing.T) {
	items := objects(live(3, current), of("b", live(9, current)), live(1, current, elsewhere), live(1, current), live(2, current))
	var got []string
	for _, step := range plan.OldestFirst(items, func(o manifest.Object) manifest.Object { return o }) {
		var names []string
		for _, o := range step {
			names = append(names, o.Namespace+"/"+o.Name)
		}
		slices.Sort(names)
		got = append(got, strings.Join(names, " "))
	}
	agree(t, got, "ns/secret-a ns/secret-b-g9 other/secret-a | ns/secret-a-g2 | ns/secret-a-g3")
	if items[0].Generation != 3 {
		t.Error("the items were sorted in place")
	}
}
