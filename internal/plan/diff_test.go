// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"errors"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// diffCases are what diff says. What push says of the same situation has its rows in
// pushCases.
var diffCases = []situation{
	{name: "nothing known", want: "missing secret-a: the .env has it, and it is not there"},
	{name: "deleted by hand", records: records(row(1, ledger.Created, current)), want: "missing secret-a resend k-new/now: the .env has it, and it is not there"},
	{name: "held back is missing too", entries: both, objects: objects(live(1, alien)), want: "superseded secret-a: k-lost | missing secret-b: it is not there"},
	{name: "the same, recorded", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current)), want: "same secret-a k-new/now"},
	{name: "the same, not recorded", objects: objects(live(1, current)), want: "same secret-a k-new/now as learn"},
	{name: "another value", objects: objects(live(1, changed)), want: "differs secret-a: the cluster has another value"},

	{name: "the same value under the previous key", objects: objects(live(1, previous)), records: records(row(1, ledger.Created, previous)), want: "re-encrypted secret-a k-old/now: under key k-old and not KEY"},
	{name: "the same value under the previous key, in another token than the ledger's", objects: objects(live(1, previous)), records: records(row(1, ledger.Created, current)), want: "re-encrypted secret-a k-old/now as learn: under key k-old and not KEY"},
	{name: "the same value in another token than the ledger's", objects: objects(live(1, of2023)), records: records(row(1, ledger.Created, current)), want: "re-encrypted secret-a " + of2023 + " as learn: in another token than the ledger's"},
	{name: "the same value in one of the ledger's two tokens", objects: objects(live(1, of2023)), records: records(row(1, ledger.Created, current), row(1, ledger.Created, of2023)), want: "same secret-a " + of2023},
	{name: "the same value in another token than was planned", objects: objects(live(1, of2023)), records: records(row(1, ledger.Planned, current)), want: "same secret-a " + of2023 + " as learn"},
	{name: "the same value in another token than a hint's", objects: objects(live(1, of2023)), records: hints(row(1, ledger.Created, current)), want: "same secret-a " + of2023 + " as learn"},
	{name: "the same value in another token than an older generation's", objects: objects(live(1, current), live(2, of2023)), records: records(row(1, ledger.Created, current)), want: "same secret-a-g2 " + of2023 + " as learn"},

	{name: "no longer in the .env", entries: none, objects: objects(live(1, current)), records: records(row(1, ledger.Created, current)), orphan: true, want: "orphan secret-a under k-new as nothing since 0: SECRET_A is no longer in the .env"},
	{name: "what the .env has comes first", entries: []plan.Wanted{{EnvKey: "SECRET_B", Base: "secret-b"}}, objects: objects(live(1, current)), records: records(row(1, ledger.Created, current)), orphan: true,
		want: "missing secret-b: it is not there | orphan secret-a under k-new as nothing since 0: SECRET_A is no longer in the .env"},
}

func TestDiff(t *testing.T) {
	for _, tc := range diffCases {
		t.Run(tc.name, func(t *testing.T) {
			decisions, err := plan.Diff(tc.view(), tc.wanted(), judge, ring{}, tc.inEnv)
			if err != nil {
				t.Fatal(err)
			}
			agree(t, allDecided(decisions), tc.want)
		})
	}
}

func TestDiffRefusesAnotherSpelling(t *testing.T) {
	view := situation{objects: objects(live(1, current, spelled("SECRET-A")))}.view()
	decisions, err := plan.Diff(view, secretA, judge, ring{}, anyName)
	var spelling *plan.SpellingError
	if !errors.As(err, &spelling) || spelling.Spelling != "SECRET-A" || decisions != nil {
		t.Errorf("got %+v, %v", decisions, err)
	}
}

func anyName(string) bool { return true }
