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

// foreign is a Secret that somebody else made with one of our tokens.
func foreign(generation int, token string, changes ...func(*manifest.Object)) manifest.Object {
	return live(generation, token, append([]func(*manifest.Object){unlabelled, binding("")}, changes...)...)
}

// adoptCases are the one Secret that is to be adopted, and what stands against it.
var adoptCases = []situation{
	{name: "somebody else's, with a token of ours", objects: objects(foreign(1, current)), want: "adoptable"},
	{name: "under the previous key", objects: objects(foreign(1, previous)), want: "adoptable"},
	{name: "another value than the .env's", objects: objects(foreign(1, changed)), want: "adoptable"},
	{name: "ours, and not recorded", objects: objects(live(1, current)), want: "adoptable"},
	{name: "a later generation of ours, and not recorded", objects: objects(live(2, current)), want: "adoptable"},

	{name: "being deleted", objects: objects(foreign(1, current, deleting)), want: "being deleted"},
	{name: "several data keys", objects: objects(foreign(1, "", spelled(""))), want: "no token"},
	{name: "its data key is another name", objects: objects(foreign(1, current, spelled("SECRET_B"))), want: "other name"},
	{name: "its data key gives no name", objects: objects(foreign(1, current, spelled("secret a"))), want: "other name"},
	{name: "its data key is too long for an entry", objects: objects(foreign(1, current, named(strings.Repeat("a", names.MaxBase+1)))), want: "other name"},
	{name: "its data key spells the name in another way", objects: objects(foreign(1, current, spelled("secret-a"))), want: "adoptable"},
	{name: "under a key that we lack", objects: objects(foreign(1, alien)), want: "unopened"},
	{name: "no token at all", objects: objects(foreign(1, garbage)), want: "unopened"},
	{name: "made for another place", objects: objects(foreign(1, current, binding("of another"))), want: "made elsewhere"},
	{name: "made for another place, and recorded here", objects: objects(live(1, current, binding("of another"))), records: records(row(1, ledger.Created, current)), want: "made elsewhere"},

	{name: "ours, and recorded", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current)), want: "adoptable known"},
	{name: "ours, and recorded, in a later generation", objects: objects(live(2, current)), records: records(row(2, ledger.Created, current)), want: "adoptable known"},
	{name: "recorded, its label removed", objects: objects(live(1, current, unlabelled)), records: records(row(1, ledger.Created, current)), want: "adoptable"},
	{name: "recorded, its annotation removed", objects: objects(live(1, current, binding(""))), records: records(row(1, ledger.Created, current)), want: "adoptable"},
	{name: "planned: an adoption was killed", objects: objects(live(1, current)), records: records(row(1, ledger.Planned, current)), want: "adoptable"},
	{name: "a hint has it", objects: objects(live(1, current)), records: hints(row(1, ledger.Created, current)), want: "adoptable"},
	{name: "recorded, and a row of another binding too", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current), withBinding(row(1, ledger.Planned, current), "of another")), want: "adoptable known"},

	{name: "its token is another entry's", objects: objects(foreign(1, current)), records: records(rowOf("b", row(1, ledger.Created, current))), want: "recorded elsewhere as secret-b"},
	{name: "its token was planned for another entry", objects: objects(foreign(1, current)), records: records(rowOf("b", row(1, ledger.Planned, current))), want: "recorded elsewhere as secret-b"},
	{name: "a hint has its token as another entry's", objects: objects(foreign(1, current)), records: hints(rowOf("b", row(1, ledger.Created, current))), want: "recorded elsewhere as secret-b"},
	{name: "its token is a later generation's", objects: objects(foreign(1, current)), records: records(row(1, ledger.Created, changed), row(2, ledger.Created, current)), want: "recorded elsewhere as secret-a-g2"},
	{name: "its token is another spelling's", objects: objects(foreign(1, current)), records: records(spelledRow(row(1, ledger.Created, current))), want: "recorded elsewhere as secret-a"},
	{name: "its token is this entry's and another one's", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current), rowOf("b", row(1, ledger.Created, current))), want: "recorded elsewhere as secret-b"},
	{name: "its token is another entry's, and its name a later generation's", objects: objects(foreign(2, current)), records: records(rowOf("b", row(1, ledger.Created, current))), want: "recorded elsewhere as secret-b"},

	{name: "the ledger has other bytes under its name", objects: objects(foreign(1, current)), records: records(row(1, ledger.Created, changed)), want: "recorded otherwise"},
	{name: "the ledger has other bytes under a later name", objects: objects(foreign(1, current)), records: records(row(2, ledger.Created, changed)), want: "recorded otherwise"},
	{name: "the ledger has the name, and keeps no bytes of it", objects: objects(foreign(1, current)), past: list(row(1, ledger.Deleted, previous)), want: "recorded otherwise"},
	{name: "other bytes were planned only", objects: objects(foreign(1, current)), records: records(row(1, ledger.Planned, changed)), want: "adoptable"},
	{name: "other bytes were created, then others planned", objects: objects(foreign(1, current)), records: records(row(1, ledger.Created, changed), row(2, ledger.Planned, previous)), want: "recorded otherwise"},
	{name: "the ledger has these bytes and other ones", objects: objects(foreign(1, current)), records: records(row(1, ledger.Planned, current), row(2, ledger.Created, changed)), want: "adoptable"},
	{name: "a hint has other bytes", objects: objects(foreign(1, current)), records: hints(row(1, ledger.Created, changed)), want: "recorded otherwise"},
	{name: "a hint has other bytes, and its key is ignored", objects: objects(foreign(1, current)), records: hints(row(1, ledger.Created, alien)), ignore: "k-lost", want: "adoptable"},
	{name: "a hint has other bytes, and another key is ignored", objects: objects(foreign(1, current)), records: hints(row(1, ledger.Created, alien)), ignore: "k-gone", want: "recorded otherwise"},
	{name: "evidence has other bytes, and its key is ignored in vain", objects: objects(foreign(1, current)), records: records(row(1, ledger.Created, alien)), ignore: "k-lost", want: "recorded otherwise"},
	{name: "a hint has these bytes, evidence other ones", objects: objects(foreign(1, current)), records: slices.Concat(records(row(2, ledger.Created, changed)), hints(row(1, ledger.Created, current))), want: "recorded otherwise"},
	{name: "another entry's other bytes", objects: objects(foreign(1, current)), records: records(rowOf("b", row(1, ledger.Created, changed))), want: "adoptable"},

	{name: "its name is a later generation's", objects: objects(foreign(2, current)), want: "later generation"},
	{name: "its name is a later generation's, and a plan has it", objects: objects(foreign(2, current)), records: records(row(2, ledger.Planned, current)), want: "later generation"},
}

func TestAdopt(t *testing.T) {
	words := map[plan.Reason]string{
		plan.Adoptable: "adoptable", plan.BeingDeleted: "being deleted", plan.NoToken: "no token", plan.OtherName: "other name", plan.Unopened: "unopened",
		plan.MadeElsewhere: "made elsewhere", plan.RecordedElsewhere: "recorded elsewhere", plan.RecordedOtherwise: "recorded otherwise", plan.LaterGeneration: "later generation",
	}
	for _, tc := range adoptCases {
		t.Run(tc.name, func(t *testing.T) {
			view, o := tc.view(), tc.objects[0]
			refusal, known := plan.Adopt(o, judge(o.Placed()), view.Records, view.Past, view.Ignore)
			text := words[refusal.Reason]
			if refusal.Secret != "" {
				text += " as " + refusal.Secret
			}
			if known {
				text += " known"
			}
			agree(t, []string{text}, tc.want)
		})
	}
}
