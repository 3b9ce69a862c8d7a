// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// rotateCases are the situations of one entry and how its value comes under KEY: the
// decision, the token that has the value, and what else is said of that.
var rotateCases = []situation{
	{name: "nothing there"},
	{name: "retired", records: records(row(1, ledger.Deleted, previous))},
	{name: "planned, and never there", records: records(row(1, ledger.Planned, previous))},
	{name: "somebody else's", objects: objects(live(1, "plain", unlabelled))},
	{name: "several data keys", objects: objects(live(1, "", unlabelled, spelled("")))},

	{name: "under the previous key", objects: objects(live(1, previous)), want: "created secret-a-g2 as rotate since 1 of k-old/now"},
	{name: "the live value is taken, not the .env's", objects: objects(live(1, "k-old/before")), want: "created secret-a-g2 as rotate since 1 of k-old/before differs"},
	{name: "an orphan has no other value in the .env", objects: objects(live(1, "k-old/before")), records: records(row(1, ledger.Created, "k-old/before")), orphan: true, want: "created secret-a-g2 as rotate since 1 of k-old/before"},
	{name: "under KEY", objects: objects(live(2, current), live(1, previous)), records: records(row(2, ledger.Created, current)), want: "unchanged secret-a-g2 k-new/now of k-new/now"},
	{name: "under KEY, not recorded", objects: objects(live(2, current), live(1, previous)), want: "unchanged secret-a-g2 k-new/now as learn of k-new/now"},
	{name: "under KEY, another value", objects: objects(live(1, changed)), want: "unchanged secret-a k-new/before as learn of k-new/before differs"},
	{name: "its row's binding, where the annotation was removed", objects: objects(live(1, previous, binding(""))), records: records(row(1, ledger.Created, previous)), want: "created secret-a-g2 as rotate since 1 of k-old/now"},
	{name: "rotated before: the first generation of the value is kept", objects: objects(live(2, previous)), records: records(sinceOne(rotated(2, ledger.Created, previous))), want: "created secret-a-g3 as rotate since 1 of k-old/now"},

	{name: "the plan of an interrupted rotation goes out again", objects: objects(live(1, previous)), records: records(row(1, ledger.Created, previous), sinceOne(rotated(2, ledger.Planned, current))), want: "created secret-a-g2 resend k-new/now as rotate since 1 of k-old/now"},
	{name: "its plan was for another value", objects: objects(live(1, "k-old/before")), records: records(rotated(2, ledger.Planned, current)), want: "created secret-a-g3 as rotate since 1 of k-old/before differs"},
	{name: "its plan was under another key", objects: objects(live(1, previous)), records: records(rotated(2, ledger.Planned, previous)), want: "created secret-a-g3 as rotate since 1 of k-old/now"},
	{name: "its plan was under the next key", objects: objects(live(1, previous)), records: records(rotated(2, ledger.Planned, staged)), want: "created secret-a-g3 as rotate since 1 of k-old/now"},
	{name: "its plan has a token of another place", objects: objects(live(1, previous)), records: records(withBinding(rotated(2, ledger.Planned, current), "of another")), want: "created secret-a-g3 as rotate since 1 of k-old/now"},
	{name: "its plan is another spelling's", objects: objects(live(1, previous)), records: records(spelledRow(rotated(2, ledger.Planned, current))), want: "created secret-a-g3 as rotate since 1 of k-old/now"},
	{name: "its plan was deleted", objects: objects(live(1, previous)), records: records(rotated(2, ledger.Planned, current), rotated(2, ledger.Deleted, "k-new/x")), want: "created secret-a-g3 as rotate since 1 of k-old/now"},
	{name: "its plan is below what is there", objects: objects(live(2, previous)), records: records(row(1, ledger.Planned, current)), want: "created secret-a-g3 as rotate since 2 of k-old/now"},
	{name: "somebody took the number of its plan", objects: objects(live(1, previous), live(2, garbage, unlabelled)), records: records(rotated(2, ledger.Planned, current)), want: "created secret-a-g3 as rotate since 1 of k-old/now"},
	{name: "a hint of a plan", objects: objects(live(1, previous)), records: hints(rotated(2, ledger.Planned, current)), want: "created secret-a-g2 as rotate since 1 of k-old/now"},
	{name: "a push planned the value under KEY", objects: objects(live(1, previous)), records: records(row(2, ledger.Planned, current)), want: "created secret-a-g2 resend k-new/now of k-old/now"},
	{name: "a plan that failed may have landed: the same bytes again", objects: objects(live(1, previous)), records: records(rotated(2, ledger.Failed, current)), want: "created secret-a-g2 resend k-new/now as rotate of k-old/now"},
	{name: "its Secret landed", objects: objects(live(1, previous), live(2, current)), records: records(sinceOne(rotated(2, ledger.Planned, current))), want: "unchanged secret-a-g2 k-new/now as rotate since 1 of k-new/now"},
	{name: "a number that somebody burned", objects: objects(live(1, previous), foreign(7, "k-lost/x")), want: "created secret-a-g8 as rotate since 1 of k-old/now"},
	{name: "no number is left", objects: objects(live(1, previous), foreign(999_999_999, garbage)), want: "failed secret-a-g999999999 as rotate since 1 of k-old/now: the highest number there is"},

	{name: "a token copied from elsewhere", objects: objects(live(1, previous), live(9, previous, binding("elsewhere"))), want: "misplaced secret-a-g9: was made for another place | created secret-a-g10 as rotate since 1 of k-old/now"},
	{name: "two tokens copied from elsewhere: the newest is named", objects: objects(live(1, previous), live(8, previous, binding("elsewhere")), live(9, previous, binding("elsewhere"))), want: "misplaced secret-a-g9: was made for another place | created secret-a-g10 as rotate since 1 of k-old/now"},
	{name: "a token copied from elsewhere, below", objects: objects(live(1, previous, binding("elsewhere")), live(2, previous)), want: "created secret-a-g3 as rotate since 2 of k-old/now"},
	{name: "a token copied from elsewhere alone", objects: objects(live(1, previous, binding("elsewhere"))), want: "misplaced secret-a: was made for another place"},
	{name: "a token that nothing binds", objects: objects(foreign(1, previous)), want: "misplaced secret-a adoptable: nothing says that it was made for this place"},

	{name: "under a key that we lack", objects: objects(live(1, previous), live(2, alien)), want: "superseded secret-a-g2: k-lost, which this keyring lacks"},
	{name: "recorded under a key that we lack", objects: objects(live(1, previous)), records: records(row(2, ledger.Created, alien)), want: "superseded secret-a-g2 under k-lost by row: k-lost, which this keyring lacks"},
	{name: "recorded under a key that we lack, ignored", objects: objects(live(1, previous)), records: records(row(2, ledger.Created, alien)), ignore: "k-lost", want: "created secret-a-g3 as rotate since 1 of k-old/now"},
	{name: "recorded under a key that was dropped", objects: objects(live(1, previous)), records: records(row(2, ledger.Created, alien)), past: list(row(1, ledger.Deleted, "k-lost/x")), want: "created secret-a-g3 as rotate since 1 of k-old/now"},
	{name: "recorded under a previous key of which something was deleted", objects: objects(live(1, previous)), records: records(row(2, ledger.Created, "k-old/newer")), past: list(row(1, ledger.Deleted, "k-old/x")), want: "created secret-a-g3 as rotate since 2 of k-old/newer lost differs"},
	{name: "KEY is the older key", objects: objects(live(1, current), live(2, previous)), want: "superseded secret-a-g2 under k-old: KEY is the older key k-new"},
	{name: "KEY is the older key, and the newest is gone", objects: objects(live(1, current)), records: records(row(2, ledger.Created, previous)), want: "superseded secret-a-g2 under k-old: KEY is the older key k-new"},

	{name: "deleted by hand, and newer: its token has the value", objects: objects(live(1, previous)), records: records(row(2, ledger.Created, "k-old/newer")), want: "created secret-a-g3 as rotate since 2 of k-old/newer lost differs"},
	{name: "deleted by hand under KEY, and newer: it comes back", objects: objects(live(1, previous)), records: records(row(2, ledger.Created, current)), want: "created secret-a-g2 resend k-new/now of k-new/now lost"},
	{name: "deleted by hand, rotated before: the first generation of the value is kept", records: records(sinceOne(rotated(2, ledger.Created, previous))), want: "created secret-a-g3 as rotate since 1 of k-old/now lost"},
	{name: "all was deleted by hand, and the .env has it", records: records(row(2, ledger.Created, previous)), want: "created secret-a-g3 as rotate since 2 of k-old/now lost"},
	{name: "all was deleted by hand, and the .env has it no longer", records: records(row(2, ledger.Created, previous)), orphan: true, want: "blocked secret-a-g2: the ledger has it, the namespace has not"},
	{name: "the newest was deleted by hand, and the .env has it no longer", objects: objects(live(1, previous)), records: records(row(2, ledger.Created, "k-old/newer")), orphan: true, want: "created secret-a-g3 as rotate since 2 of k-old/newer lost"},
	{name: "deleted by hand, and no key opens its token", objects: objects(live(1, previous)), records: records(row(2, ledger.Created, garbage)), want: "blocked secret-a-g2: the ledger has it, the namespace has not"},
	{name: "deleted by hand, and its token is of another place", objects: objects(live(1, previous)), records: records(withBinding(row(2, ledger.Created, "k-old/newer"), "of another")), want: "blocked secret-a-g2: the ledger has it, the namespace has not"},
	{name: "deleted by hand, and older", objects: objects(live(2, previous)), records: records(row(1, ledger.Created, "k-old/before")), want: "created secret-a-g3 as rotate since 2 of k-old/now"},
	{name: "deleted by hand, and the one below is being deleted", objects: objects(live(1, previous, deleting)), records: records(row(2, ledger.Created, "k-old/newer")), want: "created secret-a-g3 as rotate since 2 of k-old/newer lost differs"},
	{name: "its token was cut", objects: objects(live(1, garbage)), records: records(row(1, ledger.Created, garbage)), want: "blocked secret-a: other bytes than were created under its name"},
	{name: "its name was taken by other bytes", objects: objects(live(1, previous), live(2, garbage, unlabelled)), records: records(row(2, ledger.Created, "k-old/newer")), want: "blocked secret-a-g2: other bytes than were created under its name"},
	{name: "being deleted", objects: objects(live(1, previous, deleting)), want: "blocked secret-a: it is being deleted"},

	{name: "two entries", entries: both, objects: objects(live(1, previous), of("b", live(1, current))), want: "created secret-a-g2 as rotate since 1 of k-old/now | unchanged secret-b k-new/now as learn of k-new/now"},
}

func TestRotate(t *testing.T) {
	for _, tc := range rotateCases {
		t.Run(tc.name, func(t *testing.T) {
			view := tc.view()
			moves, err := plan.Rotate(view, tc.wanted(), judge, ring{}, sameValue)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range moves {
				whole(t, view, m.Decision)
				text, reason, _ := strings.Cut(decided(m.Decision), ": ")
				if m.From != (token.Token{}) {
					text += " of " + m.From.Token
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
			agree(t, got, tc.want)
		})
	}
}

func TestRotateRefusesAnotherSpelling(t *testing.T) {
	view := situation{objects: objects(live(1, previous, spelled("SECRET-A")))}.view()
	moves, err := plan.Rotate(view, secretA, judge, ring{}, sameValue)
	var spelling *plan.SpellingError
	if want := (plan.SpellingError{Want: secretA[0], Namespace: "ns", Secret: "secret-a", Spelling: "SECRET-A"}); !errors.As(err, &spelling) || !reflect.DeepEqual(*spelling, want) || moves != nil {
		t.Errorf("got %+v, %v", moves, err)
	}
}

// mineCases are the names that are ours: those of the .env and of the evidence, sorted
// by base name, whoever asks and in whichever order the .env is.
var mineCases = []situation{
	{name: "nothing", entries: none},
	{name: "the .env's, sorted", entries: []plan.Wanted{{EnvKey: "SECRET_Z", Base: "secret-z"}, {EnvKey: "SECRET_A", Base: "secret-a"}}, want: "SECRET_A secret-a | SECRET_Z secret-z"},
	{name: "created and planned ones", records: records(rowOf("d", row(1, ledger.Created, current)), rowOf("c", row(1, ledger.Planned, current))), want: "SECRET_A secret-a | SECRET_C secret-c | SECRET_D secret-d"},
	{name: "one name for all generations", entries: none, records: records(row(1, ledger.Created, previous), row(3, ledger.Created, current)), want: "SECRET_A secret-a"},
	{name: "failed and deleted ones are not", entries: none, records: records(rowOf("f", row(1, ledger.Failed, current)), rowOf("e", row(1, ledger.Deleted, current)))},
	{name: "a hint is not", entries: none, records: hints(row(1, ledger.Created, current), rowOf("b", row(1, ledger.Planned, current)))},
	{name: "the .env's spelling before the ledger's", records: records(spelledRow(row(1, ledger.Created, current))), want: "SECRET_A secret-a"},
	{name: "the ledger's spelling where the .env has none", entries: none, records: records(spelledRow(row(2, ledger.Created, current))), want: "SECRET-A secret-a"},
}

func TestMine(t *testing.T) {
	for _, tc := range mineCases {
		t.Run(tc.name, func(t *testing.T) {
			before := slices.Clone(tc.wanted())
			agree(t, listed(plan.Mine(tc.records, tc.wanted())), tc.want)
			if !reflect.DeepEqual(before, tc.wanted()) {
				t.Error("the entries were sorted in place")
			}
		})
	}
}

func listed(entries []plan.Wanted) (texts []string) {
	for _, w := range entries {
		texts = append(texts, w.EnvKey+" "+w.Base)
	}
	return texts
}
