// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// pushCases are the situations of one entry and what push decides.
var pushCases = []situation{
	{name: "nothing known", want: "created secret-a"},

	{name: "ours by row, same", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current)), want: "unchanged secret-a k-new/now"},
	{name: "ours by row, label removed", objects: objects(live(1, current, unlabelled)), records: records(row(1, ledger.Created, current)), want: "unchanged secret-a k-new/now"},
	{name: "ours by planned row: a crash before the created row", objects: objects(live(1, current)), records: records(row(1, ledger.Planned, current)), want: "unchanged secret-a k-new/now confirmed"},
	{name: "planned row, annotation removed: the row has the binding", objects: objects(live(1, current, binding(""))), records: records(row(1, ledger.Planned, current)), want: "unchanged secret-a k-new/now confirmed"},
	{name: "planned row, annotation edited: no row overrules it", objects: objects(live(1, current, binding("=1+1"))), records: records(row(1, ledger.Planned, current)), want: "misplaced secret-a: was made for another place"},
	{name: "ours by failed row: it landed after all", objects: objects(live(1, current)), records: records(row(1, ledger.Failed, current)), want: "unchanged secret-a k-new/now confirmed"},
	{name: "ours by binding, no row", objects: objects(live(1, current, unlabelled)), want: "unchanged secret-a k-new/now as learn confirmed"},
	{name: "same under the previous key", objects: objects(live(1, previous)), records: records(row(1, ledger.Created, previous)), want: "unchanged secret-a k-old/now"},
	{name: "newest generation counts", objects: objects(live(1, changed), live(2, current)), want: "unchanged secret-a-g2 k-new/now as learn confirmed"},

	{name: "other value", objects: objects(live(1, changed)), want: "differs secret-a: the cluster has another value"},
	{name: "other value, older generation has it", objects: objects(live(1, current), live(2, changed)), want: "stale secret-a-g2: the .env has the value of the older secret-a"},
	{name: "an older generation has it, update", objects: objects(live(1, current), live(2, changed)), update: true, want: "stale secret-a-g2: the .env has the value of the older secret-a"},
	{name: "a deleted generation has it", objects: objects(live(2, changed)), records: records(row(1, ledger.Deleted, current)), update: true, want: "stale secret-a-g2: the .env has the value of the older secret-a"},
	{name: "a planned one has it: nobody ever saw it", objects: objects(live(2, changed)), records: records(row(1, ledger.Planned, current)), update: true, want: "created secret-a-g3"},
	{name: "an older generation has it, and the newest is gone", objects: objects(live(1, current)), records: records(row(2, ledger.Created, changed)), want: "stale secret-a-g2: the .env has the value of the older secret-a"},
	{name: "an older generation has it, on purpose", objects: objects(live(1, current), live(2, changed)), revert: true, want: "created secret-a-g3"},
	{name: "other value, update", objects: objects(live(1, changed)), update: true, want: "created secret-a-g2"},
	{name: "update skips burnt numbers", objects: objects(live(1, changed), live(4, garbage, unlabelled, binding(""))), update: true, want: "created secret-a-g5"},
	{name: "burnt number, same value", objects: objects(live(1, current), live(4, garbage, unlabelled)), want: "unchanged secret-a k-new/now as learn confirmed"},
	{name: "update skips deleted rows", objects: objects(live(1, changed)), records: records(row(1, ledger.Created, changed), row(2, ledger.Deleted, "k-new/x")), update: true, want: "created secret-a-g3"},
	{name: "update passes over a failed number: its create may have landed", objects: objects(live(1, changed)), records: records(row(1, ledger.Created, changed), row(2, ledger.Failed, "k-new/x")), update: true, want: "created secret-a-g3"},

	{name: "planned, gone, same", records: records(row(1, ledger.Planned, current)), want: "created secret-a resend k-new/now"},
	{name: "failed, same: the same bytes again", records: records(row(1, ledger.Failed, current)), want: "created secret-a resend k-new/now"},
	{name: "planned under the previous key: not under KEY, so not again", records: records(row(1, ledger.Planned, previous)), want: "created secret-a-g2"},
	{name: "created, gone, and a plan of the same name", records: records(row(1, ledger.Created, previous), row(1, ledger.Planned, current)), want: "created secret-a resend k-old/now"},
	{name: "created, gone, changed, and a plan of the same name", records: records(row(1, ledger.Created, changed), row(1, ledger.Planned, current)), want: "created secret-a-g2"},
	{name: "deleted, and a plan of the same name", records: records(row(1, ledger.Deleted, changed), row(1, ledger.Planned, current)), want: "created secret-a-g2"},
	{name: "KEY is older than KEY_PREVIOUS, live", objects: objects(live(1, current), live(2, "k-old/x")), update: true, want: "superseded secret-a-g2 under k-old: it is under key k-old, and KEY is the older key k-new"},
	{name: "KEY is older than KEY_PREVIOUS, ledger", objects: objects(live(2, "k-old/x")), records: records(row(1, ledger.Deleted, current)), update: true, want: "superseded secret-a-g2 under k-old: it is under key k-old, and KEY is the older key k-new"},
	{name: "a moved token does not hide a newer key", objects: objects(live(1, current), live(2, alien), live(9, current, binding("of another"))), want: "superseded secret-a-g2: k-lost, which this keyring lacks"},
	{name: "no number is left", objects: objects(live(1, changed), live(names.MaxGeneration, garbage, unlabelled)), update: true, want: "failed secret-a-g999999999: the highest number there is"},
	{name: "created, gone, same", records: records(row(1, ledger.Created, current)), want: "created secret-a resend k-new/now"},
	{name: "planned, gone, changed", records: records(row(1, ledger.Planned, changed)), want: "created secret-a-g2"},
	{name: "created, gone, changed", records: records(row(1, ledger.Created, changed)), want: "created secret-a-g2"},
	{name: "created g2 gone, changed, g1 lives", objects: objects(live(1, changed)), records: records(row(2, ledger.Created, "k-new/between")), want: "created secret-a-g3"},
	{name: "deleted: the name is never used again", records: records(row(1, ledger.Deleted, current)), want: "created secret-a-g2"},
	{name: "vanished while we waited: the name is never used again", gone: objects(live(1, changed)), want: "created secret-a-g2"},
	{name: "planned update finishes without --update", objects: objects(live(1, changed)), records: records(row(2, ledger.Planned, current)), want: "created secret-a-g2 resend k-new/now"},
	{name: "planned update, value put back", objects: objects(live(1, current)), records: records(row(2, ledger.Planned, changed)), want: "unchanged secret-a k-new/now as learn confirmed"},
	{name: "planned update, third value", objects: objects(live(1, changed)), records: records(row(2, ledger.Planned, "k-new/between")), want: "differs secret-a: the cluster has another value"},
	{name: "planned update, third value, update", objects: objects(live(1, changed)), records: records(row(2, ledger.Planned, "k-new/between")), update: true, want: "created secret-a-g3"},
	{name: "two plans of one name: nobody knows which was there", records: records(row(1, ledger.Planned, changed), row(1, ledger.Planned, current)), want: "created secret-a-g2"},

	{name: "live generation under a key we lack", objects: objects(live(1, current), live(2, alien)), want: "superseded secret-a-g2: k-lost, which this keyring lacks"},
	{name: "created row under a key we lack", objects: objects(live(1, current)), records: records(row(2, ledger.Created, alien)), want: "superseded secret-a-g2 under k-lost by row: k-lost, which this keyring lacks"},
	{name: "planned row under a key we lack", objects: objects(live(1, current)), records: records(row(2, ledger.Planned, alien)), want: "unchanged secret-a k-new/now as learn confirmed"},
	{name: "older generation under a key since dropped", objects: objects(live(1, alien), live(2, current)), want: "unchanged secret-a-g2 k-new/now as learn confirmed"},
	{name: "somebody else's below ours", objects: objects(live(1, garbage, unlabelled), live(2, current)), want: "foreign secret-a: the name is taken"},
	{name: "nothing opens, key id unknown", objects: objects(live(1, alien)), want: "superseded secret-a: k-lost, which this keyring lacks"},

	{name: "somebody else's", objects: objects(live(1, garbage, unlabelled, binding(""))), want: "foreign secret-a: the name is taken"},
	{name: "somebody else's with our label", objects: objects(live(1, garbage, keyID("k-new"))), want: "foreign secret-a: the name is taken"},
	{name: "several data keys", objects: objects(live(1, "", unlabelled, spelled(""))), want: "foreign secret-a: the name is taken"},
	{name: "binding absent", objects: objects(live(1, current, binding(""))), want: "misplaced secret-a adoptable: nothing says that it was made for this place"},
	{name: "binding wrong", objects: objects(live(1, current), live(9, current, binding("of another"))), want: "misplaced secret-a-g9: was made for another place"},
	{name: "being deleted", objects: objects(live(1, current, deleting)), want: "failed secret-a: it is being deleted"},
	{name: "recorded, and its token does not open: a row proves nothing", objects: objects(live(1, garbage)), records: records(row(1, ledger.Planned, garbage)), want: "foreign secret-a: the name is taken"},
	{name: "a rest under a key that was dropped here", objects: objects(live(1, alien)), past: list(row(2, ledger.Deleted, alien)), want: "created secret-a-g3"},
	{name: "a generation under a key that was dropped here burns its number", objects: objects(live(1, current), live(4, alien)), past: list(row(2, ledger.Deleted, alien)), want: "unchanged secret-a k-new/now as learn confirmed"},
	{name: "under the next key", objects: objects(live(1, current), live(2, staged)), want: "superseded secret-a-g2: only the next key here (KEY_NEXT)"},
	{name: "created row under the next key", objects: objects(live(1, current)), records: records(row(2, ledger.Created, staged)), want: "superseded secret-a-g2 under k-next by row: only the next key here (KEY_NEXT)"},
	{name: "retired and put back: it is not confirmed", objects: objects(live(1, current)), past: list(row(1, ledger.Deleted, current)), want: "unchanged secret-a k-new/now as learn"},
	{name: "created row under a key we lack, ignored", objects: objects(live(1, current)), records: records(row(2, ledger.Created, alien)), ignore: "k-lost", want: "unchanged secret-a k-new/now as learn confirmed"},
	{name: "a live one under a key we lack is never ignored", objects: objects(live(1, current), live(2, alien)), ignore: "k-lost", want: "superseded secret-a-g2: k-lost, which this keyring lacks"},
	{name: "renamed by kustomize", objects: objects(live(1, current, func(o *manifest.Object) { o.Binding, o.Claimed = "of ecret-a", "ecret-a" })), want: "misplaced secret-a: as kustomize"},
	{name: "an update was pushed, and its value put back in the .env after a crash", objects: objects(live(1, changed)), records: records(row(2, ledger.Planned, previous)), want: "created secret-a-g3"},
	{name: "a retired newer one had it: it is not older", objects: objects(live(1, changed)), records: records(row(2, ledger.Deleted, current)), want: "differs secret-a: the cluster has another value"},
	{name: "an older one that somebody deleted by hand had it", objects: objects(live(2, changed)), records: records(row(1, ledger.Created, current)), update: true, want: "stale secret-a-g2: the .env has the value of the older secret-a"},
	{name: "a retired one had a third value", objects: objects(live(2, changed)), records: records(row(1, ledger.Deleted, "k-new/x")), update: true, want: "created secret-a-g3"},
	{name: "a retired one had it, by a token of another place", objects: objects(live(2, changed)), records: records(withBinding(row(1, ledger.Deleted, current), "of another")), want: "differs secret-a-g2: the cluster has another value"},
	{name: "a rotated one was deleted by hand: it comes back as it was", records: records(sinceOne(rotated(2, ledger.Created, current))), want: "created secret-a-g2 resend k-new/now as rotate since 1"},
	{name: "a rotated one is there", objects: objects(live(2, current)), records: records(sinceOne(rotated(2, ledger.Created, current))), want: "unchanged secret-a-g2 k-new/now as rotate since 1"},
	{name: "a colleague's plan above what is gone", records: slices.Concat(records(row(1, ledger.Created, current)), hints(row(2, ledger.Planned, alien))), want: "created secret-a resend k-new/now"},
	{name: "planned under another spelling of the name", records: records(spelledRow(row(1, ledger.Planned, current))), want: "created secret-a-g2"},
	{name: "planned with a token of another place", records: records(withBinding(row(1, ledger.Planned, current), "of another")), want: "created secret-a-g2"},
	{name: "created, and somebody put other bytes under its name", objects: objects(live(1, changed), live(2, garbage, unlabelled)), records: records(row(2, ledger.Created, current)), want: "differs secret-a: the cluster has another value"},
	{name: "somebody took the name of the newest, and the ledger has one below it under a key that we lack", objects: objects(live(1, current), live(3, garbage, unlabelled)), records: records(row(2, ledger.Created, alien), row(3, ledger.Created, changed)), want: "stale secret-a-g2: the .env has the value of the older secret-a"},
	{name: "a number that somebody used with a data key of his own", objects: objects(live(1, current), live(4, garbage, unlabelled, spelled("password"))), want: "unchanged secret-a k-new/now as learn confirmed"},
	{name: "an older one vanished while we waited", objects: objects(live(2, changed)), gone: objects(live(1, current)), update: true, want: "created secret-a-g3"},
	{name: "another entry's vanished while we waited", gone: objects(of("b", live(3, current))), want: "created secret-a"},
	{name: "its data key was renamed by hand: the row is about another", objects: objects(live(1, current, spelled("SECRET-A"), binding(""))), records: records(row(1, ledger.Planned, current)), want: "misplaced secret-a: nothing says that it was made for this place"},

	{name: "the older one's key was dropped and its label removed: its row knows it", objects: objects(live(1, alien, unlabelled), live(2, current)), records: records(row(1, ledger.Created, alien)), want: "unchanged secret-a-g2 k-new/now as learn confirmed"},
	{name: "binding absent, in a later generation", objects: objects(live(2, current, binding(""))), want: "misplaced secret-a-g2: nothing says that it was made for this place"},
	{name: "binding absent, and a row of other bytes", objects: objects(live(1, current, binding(""))), records: records(row(1, ledger.Planned, changed)), want: "misplaced secret-a: nothing says that it was made for this place"},
	{name: "binding absent, and one was retired", objects: objects(live(1, current, binding(""))), past: list(row(1, ledger.Deleted, previous)), want: "misplaced secret-a: nothing says that it was made for this place"},
	{name: "copied from another name, nothing recorded", objects: objects(live(1, current, binding("of another"))), want: "misplaced secret-a: was made for another place"},

	{name: "under the next key alone: somebody finished the rotation", objects: objects(live(1, staged)), want: "superseded secret-a: only the next key here (KEY_NEXT)"},
	{name: "under the next key, its label removed", objects: objects(live(1, current), live(2, staged, unlabelled)), want: "superseded secret-a-g2: it is under key"},
	{name: "a key label on somebody else's", objects: objects(live(1, current), live(2, alien, unmanaged)), want: "unchanged secret-a k-new/now as learn confirmed"},
	{name: "its key label removed and its token cut", objects: objects(live(1, current), live(2, garbage, keyID(""))), want: "unchanged secret-a k-new/now as learn confirmed"},
	{name: "gone under KEY, above one of a key we lack", records: records(row(2, ledger.Created, alien), row(3, ledger.Created, current)), want: "created secret-a-g3 resend k-new/now"},
	{name: "a hint under KEY does not hide a row of a key we lack", objects: objects(live(1, current)), records: slices.Concat(records(row(2, ledger.Created, alien)), hints(row(3, ledger.Created, current))), want: "superseded secret-a-g2 under k-lost by row: k-lost, which this keyring lacks"},
	{name: "rows of two keys that we lack: the newest is named", objects: objects(live(1, current)), records: records(row(2, ledger.Created, alien), row(3, ledger.Created, "k-gone/now")), want: "superseded secret-a-g3 under k-gone by row: it is under key k-gone"},
	{name: "a hint of a colleague's newer one", objects: objects(live(1, current)), records: hints(row(7, ledger.Created, alien)), want: "superseded secret-a-g7 under k-lost by row: l.csv:7: it is under key k-lost"},
	{name: "a hint of a colleague's newer one, above one that is gone", records: slices.Concat(records(row(1, ledger.Created, current)), hints(row(7, ledger.Created, alien))), want: "superseded secret-a-g7 under k-lost by row: l.csv:7: it is under key k-lost"},

	{name: "its label says KEY, and the previous key opens it", objects: objects(live(2, previous, keyID("k-new"))), want: "unchanged secret-a-g2 k-old/now as learn confirmed"},
	{name: "KEY is older: rotated to it, back, and once more", objects: objects(live(1, previous), live(2, current), live(3, previous)), want: "superseded secret-a-g3 under k-old: KEY is the older key k-new"},
	{name: "KEY is older, and only rows tell", objects: objects(live(3, previous)), records: records(row(1, ledger.Created, "k-old/x"), row(2, ledger.Created, current)), want: "superseded secret-a-g3 under k-old: KEY is the older key k-new"},
	{name: "KEY is older, and only what was retired tells", objects: objects(live(3, previous)), past: list(row(1, ledger.Deleted, current), row(2, ledger.Deleted, "k-old/x")), want: "superseded secret-a-g3 under k-old: KEY is the older key k-new"},
	{name: "KEY is older, and the newest is gone", objects: objects(live(1, current)), records: records(row(2, ledger.Created, previous)), want: "superseded secret-a-g2 under k-old: KEY is the older key k-new"},
	{name: "KEY is older, and a hint is newer still", objects: objects(live(1, current), live(2, previous)), records: hints(row(7, ledger.Created, alien)), want: "superseded secret-a-g2 under k-old: KEY is the older key k-new"},
	{name: "an older one was planned under KEY and never sent", objects: objects(live(2, previous)), records: records(row(1, ledger.Planned, current)), want: "unchanged secret-a-g2 k-old/now as learn confirmed"},
	{name: "an older one was retired under the same previous key", objects: objects(live(2, previous)), past: list(row(1, ledger.Deleted, "k-old/x")), want: "unchanged secret-a-g2 k-old/now as learn confirmed"},
	{name: "an older one was retired under KEY", objects: objects(live(2, current)), past: list(row(1, ledger.Deleted, changed)), want: "unchanged secret-a-g2 k-new/now as learn confirmed"},
	{name: "two clones used one number, and the one under KEY was retired", objects: objects(live(2, previous)), past: list(row(2, ledger.Deleted, changed)), want: "unchanged secret-a-g2 k-old/now as learn confirmed"},

	{name: "a live one that supersedes keeps every write back", entries: both, objects: objects(live(1, alien)), want: "superseded secret-a: k-lost | held secret-b: not written: another entry of this namespace is superseded"},
	{name: "what left the .env is under a newer key", objects: objects(of("b", live(2, alien))), records: records(rowOf("b", row(1, ledger.Created, current))), want: "held secret-a: another entry | superseded secret-b-g2: k-lost"},
	{name: "somebody else's of a name that is not wanted", objects: objects(of("b", live(2, alien))), want: "created secret-a"},
	{name: "what left the .env is under a newer key, as a row says", records: slices.Concat(records(rowOf("b", row(1, ledger.Created, current))), hints(rowOf("b", row(2, ledger.Created, alien)))), want: "created secret-a"},
	{name: "a live one that supersedes leaves what is there as it is", entries: both, objects: objects(live(1, alien), of("b", live(1, current))), want: "superseded secret-a: k-lost | unchanged secret-b k-new/now as learn"},
	{name: "a row that supersedes keeps its own entry back", entries: both, records: hints(row(3, ledger.Created, alien)), want: "superseded secret-a-g3 under k-lost by row: l.csv:3: it is under key k-lost | created secret-b"},
	{name: "a row that supersedes, ignored", entries: both, records: hints(row(3, ledger.Created, alien)), ignore: "k-lost", want: "created secret-a | created secret-b"},
	{name: "a live one that supersedes, ignored in vain", entries: both, objects: objects(live(3, alien)), records: hints(row(3, ledger.Created, alien)), ignore: "k-lost", want: "superseded secret-a-g3: k-lost | held secret-b: another entry"},
}

// holdCases are what a look that comes after the first one finds newer, and what then
// becomes of that which the first one decided to create.
var holdCases = []struct {
	situation
	then string // the decisions about both entries, when nothing was known of the namespace before
}{
	{situation{name: "nothing newer"}, "created secret-a | created secret-b"},
	{situation{name: "a generation under KEY came", objects: objects(live(1, current))}, "created secret-a | created secret-b"},
	{situation{name: "a live one under a key that we lack", objects: objects(live(1, alien)), want: "superseded secret-a: k-lost, which this keyring lacks"},
		"superseded secret-a: k-lost, which this keyring lacks | held secret-b: another entry of this namespace is superseded"},
	{situation{name: "a row under a key that we lack", records: records(row(1, ledger.Created, alien)), want: "superseded secret-a under k-lost by row: k-lost, which this keyring lacks"},
		"superseded secret-a under k-lost by row: k-lost, which this keyring lacks | created secret-b"},
	{situation{name: "a row of what nothing is to be created of", entries: []plan.Wanted{{EnvKey: "SECRET_C", Base: "secret-c"}}, records: records(rowOf("c", row(1, ledger.Created, alien))), want: "superseded secret-c under k-lost by row: k-lost, which this keyring lacks"},
		"created secret-a | created secret-b"},
	{situation{name: "a live one of what nothing is to be created of", entries: []plan.Wanted{{EnvKey: "SECRET_C", Base: "secret-c"}}, objects: objects(of("c", live(1, alien))), want: "superseded secret-c: k-lost, which this keyring lacks"},
		"superseded secret-c: k-lost, which this keyring lacks | held secret-a: another entry | held secret-b: another entry"},
	{situation{name: "both, in two ways", entries: both, objects: objects(live(1, alien)), records: records(rowOf("b", row(1, ledger.Created, alien))), want: "superseded secret-a: k-lost, which this keyring lacks | superseded secret-b under k-lost by row: k-lost"},
		"superseded secret-a: k-lost, which this keyring lacks | superseded secret-b under k-lost by row: k-lost"},
}

func TestHoldBack(t *testing.T) {
	for _, tc := range holdCases {
		t.Run(tc.name, func(t *testing.T) {
			superseded := plan.Rotated(tc.view(), tc.wanted(), judge, ring{})
			agree(t, allDecided(superseded), tc.want)
			before, err := plan.Push(plan.View{Cluster: "c", Namespace: "ns"}, both, judge, ring{}, plan.PushOptions{})
			if err != nil {
				t.Fatal(err)
			}
			agree(t, allDecided(plan.HoldBack(before, superseded)), tc.then)
		})
	}
}

// What was decided otherwise than to be created, and in other namespaces, stays.
func TestHoldBackLeavesTheRest(t *testing.T) {
	decide := func(outcome plan.State, letter, namespace string) plan.Decision {
		r := rowOf(letter, row(1, ledger.Planned, current))
		r.Namespace = namespace
		return plan.Decision{Outcome: outcome, Row: r}
	}
	live, byRow := decide(plan.Superseded, "a", "ns"), decide(plan.Superseded, "a", "ns")
	byRow.ByRow = true
	for _, tt := range []struct {
		name   string
		before []plan.Decision
		newer  plan.Decision
		want   string // OUTCOME NAMESPACE/SECRET
	}{
		{"created elsewhere too", []plan.Decision{decide(plan.Created, "a", "ns"), decide(plan.Created, "a", "other"), decide(plan.Created, "b", "other")}, live, "created other/secret-a | created other/secret-b | superseded ns/secret-a"},
		{"created elsewhere alone", []plan.Decision{decide(plan.Created, "a", "other")}, byRow, "created other/secret-a"},
		{"unproven: the newer one is named in its place", []plan.Decision{decide(plan.Unproven, "a", "ns"), decide(plan.Unproven, "b", "ns")}, live, "superseded ns/secret-a | unproven ns/secret-b"},
		{"unproven alone, and only a row is newer", []plan.Decision{decide(plan.Unproven, "a", "ns")}, byRow, "unproven ns/secret-a"},
		{"unchanged", []plan.Decision{decide(plan.Unchanged, "a", "ns"), decide(plan.Created, "b", "ns")}, live, "superseded ns/secret-a | unchanged ns/secret-a | held ns/secret-b"},
		{"unchanged, and only a row is newer", []plan.Decision{decide(plan.Unchanged, "a", "ns"), decide(plan.Created, "b", "ns")}, byRow, "unchanged ns/secret-a | created ns/secret-b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, d := range plan.HoldBack(tt.before, []plan.Decision{tt.newer}) {
				got = append(got, string(d.Outcome)+" "+d.Row.Namespace+"/"+d.Row.Secret)
			}
			agree(t, got, tt.want)
		})
	}
}

// both are two entries.
var both = []plan.Wanted{{EnvKey: "SECRET_A", Base: "secret-a"}, {EnvKey: "SECRET_B", Base: "secret-b"}}

// spelledRow is a row about another spelling of the name.
func spelledRow(r ledger.Row) ledger.Row {
	r.EnvKey = "SECRET-A"
	return r
}

func TestPush(t *testing.T) {
	for _, tc := range pushCases {
		t.Run(tc.name, func(t *testing.T) {
			view := tc.view()
			options := plan.PushOptions{Update: tc.update, Revert: func(envKey string) bool { return tc.revert && envKey == "SECRET_A" }}
			decisions, err := plan.Push(view, tc.wanted(), judge, ring{}, options)
			if err != nil {
				t.Fatal(err)
			}
			got := allDecided(decisions)
			for _, r := range plan.Confirm(view, secretA, judge, ring{}) {
				if r.Secret == decisions[0].Row.Secret && decisions[0].Outcome == plan.Unchanged {
					got[0] += " confirmed"
				}
			}
			agree(t, got, tc.want)
			for _, d := range decisions {
				whole(t, view, d)
			}
		})
	}
}

func TestPushRefusesAnotherSpelling(t *testing.T) {
	view := situation{objects: objects(live(1, changed), live(2, current, spelled("SECRET-A")))}.view()
	_, err := plan.Push(view, []plan.Wanted{{EnvKey: "SECRET_A", Base: "secret-a", Line: 3}}, judge, ring{}, plan.PushOptions{})
	var spelling *plan.SpellingError
	if want := (plan.SpellingError{Want: plan.Wanted{EnvKey: "SECRET_A", Base: "secret-a", Line: 3}, Namespace: "ns", Secret: "secret-a-g2", Spelling: "SECRET-A"}); !errors.As(err, &spelling) || !reflect.DeepEqual(*spelling, want) {
		t.Errorf("got %+v", err)
	} else if text := "SECRET_A: Secret secret-a-g2 in namespace ns holds the same name spelled SECRET-A"; err.Error() != text {
		t.Error(err)
	}
}

// orphanCases are what was pushed and is no longer in the .env. Nothing else of a
// situation counts.
var orphanCases = []situation{
	{name: "nothing recorded", objects: objects(live(1, current)), orphan: true},
	{name: "still in the .env", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current))},
	{name: "its line was removed", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current)), orphan: true, want: "orphan secret-a under k-new: SECRET_A is no longer in the .env"},
	{name: "the newest generation is named", objects: objects(live(1, changed), live(2, previous)), records: records(row(1, ledger.Created, changed), row(2, ledger.Created, previous)), orphan: true, want: "orphan secret-a-g2 under k-old: SECRET_A is no longer"},
	{name: "the tenth sorts before the second", objects: objects(live(2, changed), live(10, previous)), records: records(row(2, ledger.Created, changed), row(10, ledger.Created, previous)), orphan: true, want: "orphan secret-a-g10 under k-old: SECRET_A is no longer"},
	{name: "the newest was deleted by hand", objects: objects(live(1, changed)), records: records(row(1, ledger.Created, changed), row(2, ledger.Created, current)), orphan: true, want: "orphan secret-a under k-new: SECRET_A is no longer"},
	{name: "all were deleted by hand", records: records(row(1, ledger.Created, current)), orphan: true},
	{name: "planned, and it landed: not confirmed yet", objects: objects(live(1, current)), records: records(row(1, ledger.Planned, current)), orphan: true},
	{name: "a hint alone", objects: objects(live(1, current)), records: hints(row(1, ledger.Created, current)), orphan: true},
	{name: "two tokens of one name: it is named once", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current), row(1, ledger.Created, previous)), orphan: true, want: "orphan secret-a under k-new: SECRET_A is no longer"},
	{name: "two lines were removed, in the ledger's order", objects: objects(live(1, current), of("b", live(1, previous))), records: records(row(1, ledger.Created, current), rowOf("b", row(1, ledger.Created, previous))), orphan: true,
		want: "orphan secret-a under k-new: SECRET_A is no longer | orphan secret-b under k-old: SECRET_B is no longer"},
}

func TestOrphans(t *testing.T) {
	for _, tc := range orphanCases {
		t.Run(tc.name, func(t *testing.T) {
			orphans := plan.Orphans(tc.view(), tc.inEnv)
			for i := range orphans {
				r := &orphans[i].Row
				r.Operation, r.State, r.Since = ledger.Push, ledger.Planned, r.Generation // they are for nobody to write
				whole(t, tc.view(), orphans[i])
			}
			agree(t, allDecided(orphans), tc.want)
		})
	}
}

// checkClusterCases are what tells the cluster of the ledger from another one.
var checkClusterCases = []situation{
	{name: "a new ledger", objects: objects(live(1, current))},
	{name: "a push was killed before its first create", records: records(row(1, ledger.Planned, current))},
	{name: "hints say nothing", records: hints(row(1, ledger.Created, current))},
	{name: "retired altogether", records: records(row(1, ledger.Deleted, current))},
	{name: "one of two is there", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current), row(2, ledger.Created, changed))},
	{name: "the last one vanished while we waited", gone: objects(live(1, current)), records: records(row(1, ledger.Created, current))},
	{name: "another cluster, or the namespace was lost", records: records(row(1, ledger.Created, current), row(2, ledger.Created, changed)), want: "none of the 2 Secrets that the ledger recorded is there"},
	{name: "another cluster with a Secret of that name", objects: objects(live(1, "k-new/other", uid("uid-elsewhere")), live(2, changed)), records: records(row(1, ledger.Created, current), row(2, ledger.Created, changed)),
		want: "Secret secret-a is another object, with other bytes, than the ledger recorded"},
	{name: "restored from a backup: another object with the same bytes", objects: objects(live(1, current, uid("uid-restored"))), records: records(row(1, ledger.Created, current))},
	{name: "edited in place: the same object with other bytes", objects: objects(live(1, "k-new/edited", uid("uid-"+current))), records: records(row(1, ledger.Created, current))},
	{name: "two ledgers were merged: the other's bytes are there", objects: objects(live(1, previous)), records: records(row(1, ledger.Created, current), row(1, ledger.Planned, previous))},
	{name: "only a hint has the bytes that are there", objects: objects(live(1, previous)), records: slices.Concat(records(row(1, ledger.Created, current)), hints(row(1, ledger.Created, previous))), want: "Secret secret-a is another object"},
	{name: "the bytes that are there were recorded under another name", objects: objects(live(1, previous)), records: records(row(1, ledger.Created, current), row(2, ledger.Planned, previous)), want: "Secret secret-a is another object"},
}

func TestCheckCluster(t *testing.T) {
	for _, tc := range checkClusterCases {
		t.Run(tc.name, func(t *testing.T) {
			err := plan.CheckCluster(tc.view())
			var wrong *plan.WrongClusterError
			if errors.As(err, &wrong) != (tc.want != "") {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
			if err != nil {
				agree(t, []string{err.Error()}, `cluster "c", namespace "ns": `+tc.want)
			}
		})
	}
}

func TestOfflineTakesTheLedgerForTheCluster(t *testing.T) {
	_, past := bookOf(list(row(9, ledger.Deleted, changed))).At("c", "ns")
	all := slices.Concat(records(row(2, ledger.Created, previous), row(3, ledger.Planned, changed), row(4, ledger.Deleted, changed)), hints(row(5, ledger.Created, current)))
	view := plan.Offline("c", "ns", all, past)
	want := live(2, previous, uid(""), mutable)
	if len(view.Objects) != 1 || view.Objects[0] != want || view.Cluster != "c" || view.Namespace != "ns" || len(view.Records) != 4 || view.Past != past {
		t.Errorf("got %+v", view)
	}
}

func TestInterest(t *testing.T) {
	entries := []plan.Wanted{{Base: "secret-a"}, {Base: "secret-c"}}
	for _, tt := range []struct {
		situation
		bases, names string
	}{
		{situation{name: "nothing recorded"}, "secret-a 1, secret-c 1", ""},
		{situation{name: "a planned one", records: records(row(3, ledger.Planned, current))}, "secret-a 3, secret-c 1", "secret-a-g3"},
		{situation{name: "a retired one", past: list(row(4, ledger.Deleted, current))}, "secret-a 4, secret-c 1", ""},
		{situation{name: "a retired one, and an older row", records: records(row(1, ledger.Created, current)), past: list(row(4, ledger.Deleted, current))}, "secret-a 4, secret-c 1", "secret-a"},
		{situation{name: "created, and not wanted: it tells the cluster", records: records(rowOf("b", row(1, ledger.Created, current)))}, "secret-a 1, secret-c 1", "secret-b"},
		{situation{name: "planned, and not wanted", records: records(rowOf("b", row(1, ledger.Planned, current)))}, "secret-a 1, secret-c 1", ""},
		{situation{name: "a hint", records: hints(row(5, ledger.Created, alien))}, "secret-a 1, secret-c 1", ""},
		{situation{name: "a hint whose key is ignored", records: hints(row(5, ledger.Created, alien)), ignore: "k-lost"}, "secret-a 1, secret-c 1", "secret-a-g5"},
		{situation{name: "a hint of another key than is ignored", records: hints(row(5, ledger.Created, alien)), ignore: "k-gone"}, "secret-a 1, secret-c 1", ""},
		{situation{name: "a hint whose key is ignored, and not wanted", records: hints(rowOf("b", row(1, ledger.Created, alien))), ignore: "k-lost"}, "secret-a 1, secret-c 1", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			view := tt.view()
			in := plan.InterestOf(view.Records, view.Past, entries, view.Ignore)
			var bases []string
			for _, base := range slices.Sorted(maps.Keys(in.Bases)) {
				bases = append(bases, fmt.Sprintf("%s %d", base, in.Bases[base]))
			}
			names := strings.Join(slices.Sorted(maps.Keys(in.Names)), ", ")
			if got := strings.Join(bases, ", "); got != tt.bases || names != tt.names || in.Labelled {
				t.Errorf("bases %s, names %s", got, names)
			}
		})
	}
}

// A look at a cluster goes into the view as it is, but for records that it ends.
func TestNewView(t *testing.T) {
	_, past := bookOf(nil).At("c", "ns")
	restored := records(row(1, ledger.Created, current), withUID(row(1, ledger.Deleted, current), "uid-before"))
	for _, tt := range []struct {
		name    string
		objects []manifest.Object
		want    ledger.State
	}{
		{"the restored one is there", objects(live(1, current)), ledger.Created},
		{"the restored one is gone", nil, ledger.Deleted},
		{"an object that nobody recorded is there", objects(live(1, current, uid("uid-third"))), ledger.Deleted},
		{"other bytes are there", objects(live(1, changed, uid("uid-"+current))), ledger.Deleted},
	} {
		view := plan.NewView("c", "ns", restored, past, tt.objects, objects(live(3, changed)))
		if view.Cluster != "c" || view.Namespace != "ns" || view.Past != past || len(view.Objects) != len(tt.objects) || len(view.Gone) != 1 || view.Records[0].State != tt.want {
			t.Errorf("%s: %+v", tt.name, view)
		}
	}
	if restored[0].State != ledger.Created {
		t.Error("the records were changed in place")
	}
}

func TestSplitNewest(t *testing.T) {
	other := live(1, current, func(o *manifest.Object) { o.Name, o.Base = "secret-b", "secret-b" })
	newest, older := plan.SplitNewest([]manifest.Object{live(2, changed), other, live(3, current), live(1, changed)})
	if len(newest) != 2 || newest[0].Name != "secret-b" || newest[1].Generation != 3 || len(older) != 2 {
		t.Errorf("newest %+v, older %+v", newest, older)
	}
}
