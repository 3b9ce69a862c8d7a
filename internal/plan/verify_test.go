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
)

// none are the entries of an .env that has nothing of ours.
var none = []plan.Wanted{}

// renamed is one of ours around whose name something was put.
func renamed(o *manifest.Object) { o.Binding, o.Claimed = "of ecret-a", "ecret-a" }

// edit is an edited row about SECRET_A.
func edit(line, generation int) ledger.Edit {
	r := row(generation, ledger.Created, current)
	return ledger.Edit{Line: line, Cluster: r.Cluster, Namespace: r.Namespace, Secret: r.Secret, EnvKey: r.EnvKey, KeyID: r.KeyID}
}

// verifyCases are what verify finds: a word for its code, the Secret, and the detail.
var verifyCases = []situation{
	{name: "nothing"},
	{name: "as it was written", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current))},
	{name: "as it was written, and no longer in the .env", entries: none, objects: objects(live(1, current)), records: records(row(1, ledger.Created, current))},
	{name: "its created row was never written", objects: objects(live(1, current)), records: records(row(1, ledger.Planned, current))},
	{name: "planned, and not there", records: records(row(1, ledger.Planned, current))},
	{name: "retired, and not there", records: records(row(1, ledger.Deleted, current))},
	{name: "a hint of what is not there", records: hints(row(1, ledger.Created, current))},

	{name: "created, and not there", records: records(row(1, ledger.Created, current)), want: "missing secret-a"},
	{name: "created, not there, and no longer in the .env", entries: none, records: records(row(1, ledger.Created, current)), want: "missing secret-a"},
	{name: "recorded, and being deleted", objects: objects(live(1, current, deleting)), records: records(row(1, ledger.Created, current)), want: "missing secret-a: in the middle of its deletion"},
	{name: "other bytes, and being deleted", objects: objects(live(1, changed, deleting)), records: records(row(1, ledger.Created, current)), want: "missing secret-a: in the middle of its deletion"},
	{name: "not recorded, and being deleted", objects: objects(live(1, current, deleting)), want: "unrecorded secret-a"},
	{name: "in the order of the names", records: records(row(10, ledger.Created, previous), row(1, ledger.Created, current), rowOf("b", row(1, ledger.Created, current))), want: "missing secret-a | missing secret-a-g10 | missing secret-b"},
	{name: "in the order of the names, wherever it comes from", objects: objects(of("b", live(1, current, mutable))), records: records(row(1, ledger.Created, current), rowOf("b", row(1, ledger.Created, current)), rowOf("c", row(1, ledger.Created, current))), want: "missing secret-a | mutable secret-b | missing secret-c"},

	{name: "retired, kept for its value, and put back", objects: objects(live(1, current)), records: records(row(1, ledger.Deleted, current)), want: "put back secret-a"},
	{name: "retired, and put back", objects: objects(live(1, current)), past: list(row(1, ledger.Deleted, current)), want: "put back secret-a"},
	{name: "retired, and put back without its label", objects: objects(live(1, current, keyID(""))), past: list(row(1, ledger.Deleted, current)), want: "put back secret-a"},
	{name: "retired, and put back without its annotation: nothing tells its place", objects: objects(live(1, current, binding(""))), past: list(row(1, ledger.Deleted, current)), want: "misplaced secret-a"},
	{name: "retired, its key dropped, and put back", entries: none, objects: objects(live(1, alien)), past: list(row(1, ledger.Deleted, alien)), want: "put back secret-a"},
	{name: "retired, and restored under another binding", objects: objects(live(1, current, binding("of secret-a"))), past: list(row(1, ledger.Deleted, current)), want: "unrecorded secret-a"},

	{name: "its token was taken out", objects: objects(live(1, "")), records: records(row(1, ledger.Created, current)), want: "other bytes secret-a: its data is not one token, nor that of a bundle"},
	{name: "several data keys, and a plan of its name", objects: objects(live(1, "", unlabelled)), records: records(row(1, ledger.Planned, current)), want: "foreign secret-a"},
	{name: "another token of ours is there", objects: objects(live(1, changed)), records: records(row(1, ledger.Created, current)), want: "other bytes secret-a"},
	{name: "another token of ours is there, and was planned", objects: objects(live(1, changed)), records: records(row(1, ledger.Created, current), row(1, ledger.Planned, changed))},
	{name: "another token of ours is there, and a third was planned", objects: objects(live(1, current)), records: records(row(1, ledger.Created, "k-new/a"), row(1, ledger.Planned, "k-new/z")), want: "other bytes secret-a"},
	{name: "bytes that no key opens are there", objects: objects(live(1, garbage, unlabelled)), records: records(row(1, ledger.Created, current)), want: "unopened secret-a: its label says key "},
	{name: "bytes that no key opens are there, and it left the .env", entries: none, objects: objects(live(1, garbage)), records: records(row(1, ledger.Created, current)), want: "unopened secret-a: its label says key k-new"},
	{name: "recorded, and no key opens it", entries: none, objects: objects(live(1, alien)), records: records(row(1, ledger.Created, alien)), want: "unopened secret-a: its label says key k-lost"},
	{name: "recorded without a label, and no key opens it", entries: none, objects: objects(live(1, alien, unlabelled)), records: records(row(1, ledger.Created, alien)), want: "unopened secret-a: its label says key"},
	{name: "labelled, wanted, and no key opens it", objects: objects(live(1, alien)), want: "unopened secret-a: its label says key k-lost"},
	{name: "labelled, not wanted, and no key opens it: another project's", entries: none, objects: objects(live(1, alien))},
	{name: "somebody else's under the name of an entry", objects: objects(foreign(1, garbage)), want: "foreign secret-a"},
	{name: "somebody else's under a later name", objects: objects(foreign(2, garbage))},
	{name: "somebody else's, and not wanted", entries: none, objects: objects(foreign(1, garbage))},
	{name: "somebody else's, with a token of ours", objects: objects(foreign(1, current)), want: "misplaced secret-a"},

	{name: "copied from another place", objects: objects(live(1, current, binding("of another"))), want: "misplaced secret-a"},
	{name: "copied over what was created", objects: objects(live(1, changed, binding("of another"))), records: records(row(1, ledger.Created, current)), want: "misplaced secret-a"},
	{name: "renamed by kustomize", objects: objects(live(1, current, renamed)), want: "renamed secret-a: made as ecret-a"},
	{name: "renamed by kustomize, and recorded under that name", objects: objects(live(1, current, renamed)), records: records(row(1, ledger.Created, current)), want: "binding secret-a"},
	{name: "under the name that it claims", objects: objects(live(1, current, func(o *manifest.Object) { o.Claimed = "secret-a" })), want: "unrecorded secret-a"},
	{name: "in its place, though it claims a part of its name", objects: objects(live(1, current, func(o *manifest.Object) { o.Claimed = "ecret-a" })), want: "unrecorded secret-a"},
	{name: "not recorded", objects: objects(live(1, current)), want: "unrecorded secret-a"},
	{name: "not recorded, and not in the .env", entries: none, objects: objects(live(1, current)), want: "unrecorded secret-a"},
	{name: "a hint alone has it", objects: objects(live(1, current)), records: hints(row(1, ledger.Created, current)), want: "unrecorded secret-a"},
	{name: "not recorded, and not as it was written", objects: objects(live(1, current, mutable)), want: "unrecorded secret-a | mutable secret-a"},

	{name: "its annotation removed", objects: objects(live(1, current, binding(""))), records: records(row(1, ledger.Created, current)), want: "binding secret-a"},
	{name: "its annotation edited", objects: objects(live(1, current, binding("of another"))), records: records(row(1, ledger.Created, current)), want: "binding secret-a"},
	{name: "its annotation removed, and its row has none", objects: objects(live(1, current, binding(""))), records: records(withBinding(row(1, ledger.Created, current), "")), want: "binding secret-a"},
	{name: "a token with a time of its own", objects: objects(live(1, of2023)), records: records(row(1, ledger.Created, of2023))},
	{name: "a token from the future", objects: objects(live(1, ofNoDay)), records: records(row(1, ledger.Created, ofNoDay)), want: "future secret-a"},
	{name: "its key label edited", objects: objects(live(1, current, keyID("k-edited"))), records: records(row(1, ledger.Created, current)), want: `key id secret-a: its label says "k-edited", and key k-new opens it`},
	{name: "its key label removed", objects: objects(live(1, current, unlabelled)), records: records(row(1, ledger.Created, current)), want: `key id secret-a: its label says "", and key k-new`},
	{name: "not immutable", objects: objects(live(1, current, mutable)), records: records(row(1, ledger.Created, current)), want: "mutable secret-a"},
	{name: "its metadata edited", objects: objects(live(1, current, func(o *manifest.Object) { o.Altered = "type" })), records: records(row(1, ledger.Created, current)), want: "metadata secret-a: type"},
	{name: "under the previous key", objects: objects(live(1, previous)), records: records(row(1, ledger.Created, previous)), want: "old key secret-a: k-old"},
	{name: "an older one under the previous key", objects: objects(live(1, previous), live(2, current)), records: records(row(1, ledger.Created, previous), row(2, ledger.Created, current))},
	{name: "two generations under the previous key: the newest is named", objects: objects(live(1, previous), live(2, "k-old/x")), records: records(row(1, ledger.Created, previous), row(2, ledger.Created, "k-old/x")), want: "old key secret-a-g2: k-old"},
	{name: "under the previous key, beside a newer one of another entry", objects: objects(live(1, previous), of("b", live(2, current))), records: records(row(1, ledger.Created, previous), rowOf("b", row(2, ledger.Created, current))), want: "old key secret-a: k-old"},
	{name: "all that can be wrong at once", objects: objects(live(1, previous, binding(""), keyID("k-new"), mutable)), records: records(row(1, ledger.Created, previous)), want: `binding secret-a | key id secret-a: its label says "k-new" | mutable secret-a | old key secret-a: k-old`},

	{name: "an edited row", edits: []ledger.Edit{edit(7, 1)}, want: "edited secret-a: l.csv:7"},
	{name: "two edited rows of one name: the first is named", edits: []ledger.Edit{edit(7, 1), edit(9, 1)}, want: "edited secret-a: l.csv:7"},
	{name: "an edited row: its Secret is not said to be unrecorded", objects: objects(live(1, current), live(2, current)), edits: []ledger.Edit{edit(7, 1)}, want: "edited secret-a: l.csv:7 | unrecorded secret-a-g2"},
	{name: "an edited row beside a good one: what is not there is not said once more", records: records(row(1, ledger.Created, current)), edits: []ledger.Edit{edit(7, 1)}, want: "edited secret-a: l.csv:7"},
	{name: "two tokens of one name", records: records(row(1, ledger.Created, current), row(1, ledger.Created, changed)), want: "two tokens secret-a"},
	{name: "two tokens of one name, one is there", objects: objects(live(1, changed, mutable)), records: records(row(1, ledger.Created, current), row(1, ledger.Created, changed)), want: "two tokens secret-a"},
	{name: "two tokens of one name, and an edited row", records: records(row(1, ledger.Created, current), row(1, ledger.Created, changed)), edits: []ledger.Edit{edit(7, 1)}, want: "edited secret-a: l.csv:7"},
	{name: "two tokens of one name, one only planned", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current), row(1, ledger.Planned, changed))},
	{name: "two tokens of one name, one a hint's", objects: objects(live(1, current)), records: slices.Concat(records(row(1, ledger.Created, current)), hints(row(1, ledger.Created, changed)))},
}

func TestVerify(t *testing.T) {
	words := map[finding.Code]string{
		finding.Unopened: "unopened", finding.Misplaced: "misplaced", finding.Binding: "binding", finding.OtherBytes: "other bytes", finding.PutBack: "put back",
		finding.Missing: "missing", finding.Unrecorded: "unrecorded", finding.Foreign: "foreign", finding.KeyID: "key id", finding.Mutable: "mutable", finding.Metadata: "metadata",
		finding.LedgerRow: "edited", finding.TwoTokens: "two tokens", finding.OldKey: "old key", finding.Renamed: "renamed", finding.Future: "future",
	}
	for _, tc := range verifyCases {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, f := range plan.Verify(tc.view(), tc.wanted(), judge, ring{}, hour(12)) {
				text := words[f.Code] + " " + f.Secret
				if f.Detail != "" {
					text += ": " + f.Detail
				}
				got = append(got, text)
				if f.Namespace != "ns" || f.EnvKey != entryOf(f.Secret) && f.Detail != "its data is not one token, nor that of a bundle" {
					t.Errorf("got %+v", f)
				}
			}
			agree(t, got, tc.want)
		})
	}
}

// The rows alone: what evidence has as created opens, in its own place.
func TestVerifyLedger(t *testing.T) {
	moved := row(3, ledger.Created, current)
	moved.Binding = "of another"
	view := situation{
		records: slices.Concat(records(row(1, ledger.Created, current), row(2, ledger.Created, garbage), moved, row(4, ledger.Deleted, garbage), row(5, ledger.Planned, garbage)), hints(row(6, ledger.Created, alien))),
		edits:   []ledger.Edit{{Line: 9, Secret: "secret-a-g9", EnvKey: "SECRET_A"}},
	}.view()
	var got []string
	for _, f := range plan.VerifyLedger(view, judge) {
		got = append(got, string(f.Code)+" "+f.Secret)
	}
	want := []string{string(finding.LedgerRow) + " secret-a-g9", string(finding.Unopened) + " secret-a-g2", string(finding.Misplaced) + " secret-a-g3"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A key that is older than ours, and that this keyring has no more, is no reason to ask a
// colleague for a newer .env.
func TestSupersededByAnOlderKey(t *testing.T) {
	view := situation{objects: objects(live(1, alien))}.view()
	for _, older := range []bool{false, true} {
		view.Older = map[string]bool{"k-lost": older}
		got := plan.Rotated(view, secretA, judge, ring{})
		if len(got) != 1 || got[0].OlderKey != older || (got[0].Row.KeyID == "k-lost") != older || strings.Contains(got[0].Reason, "an older one that this keyring no longer has") != older {
			t.Errorf("older %t: %+v", older, got)
		}
	}
}
