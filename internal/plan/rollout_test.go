// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// successorCases are what follows an older generation: OLDER->NAME, then the change of
// keys or of the value, over where the ledger has only its numbers; last the current ones.
var successorCases = []situation{
	{name: "nothing there"},
	{name: "one generation", objects: objects(live(1, current)), want: "current secret-a"},
	{name: "rotated", objects: objects(live(1, previous), live(2, current)), want: "secret-a->secret-a-g2 k-old->k-new | current secret-a-g2"},
	{name: "updated", objects: objects(live(1, changed), live(2, current)), want: "secret-a->secret-a-g2 differs | current secret-a-g2"},
	{name: "all older ones", objects: objects(live(1, "k-old/before"), live(2, previous), live(5, current)), want: "secret-a->secret-a-g5 k-old->k-new differs | secret-a-g2->secret-a-g5 k-old->k-new | over secret-a-g3->secret-a-g5 ->k-new differs | current secret-a-g5"},
	{name: "the annotations were removed: the rows have them", objects: objects(live(1, previous, binding("")), live(2, current, binding(""))), records: records(row(1, ledger.Created, previous), row(2, ledger.Created, current)), want: "secret-a->secret-a-g2 k-old->k-new | current secret-a-g2"},
	{name: "an older one is gone, the ledger knows its bytes", objects: objects(live(2, current)), records: records(row(1, ledger.Created, previous)), want: "secret-a->secret-a-g2 k-old->k-new | current secret-a-g2"},
	{name: "an older one was retired, and the ledger kept its bytes", objects: objects(live(2, current)), records: records(row(1, ledger.Deleted, previous)), want: "secret-a->secret-a-g2 k-old->k-new | current secret-a-g2"},
	{name: "an older one was planned only", objects: objects(live(2, current)), records: records(row(1, ledger.Planned, previous)), want: "over secret-a->secret-a-g2 ->k-new differs | current secret-a-g2"},
	{name: "a hint of an older one", objects: objects(live(2, current)), records: hints(row(1, ledger.Created, previous)), want: "over secret-a->secret-a-g2 ->k-new differs | current secret-a-g2"},
	{name: "an older one opens with no key", objects: objects(live(1, "k-lost/x"), live(2, current)), records: records(row(1, ledger.Created, "k-lost/x")), want: "secret-a->secret-a-g2 ->k-new differs | current secret-a-g2"},
	{name: "an older one of two tokens: that which is there counts", objects: objects(live(1, previous), live(2, current)), records: records(row(1, ledger.Created, "k-old/x"), row(1, ledger.Created, previous)), want: "secret-a->secret-a-g2 k-old->k-new | current secret-a-g2"},
	{name: "an older one is misplaced", objects: objects(live(1, previous, binding("of another")), live(2, current)), want: "current secret-a-g2"},
	{name: "an older one is somebody else's", objects: objects(foreign(1, garbage), live(2, current)), want: "current secret-a-g2"},
	{name: "a newer one is misplaced", objects: objects(live(1, previous), live(2, current), live(9, current, binding("of another"))), want: "secret-a->secret-a-g2 k-old->k-new | current secret-a-g2"},
	{name: "a newer one is somebody else's", objects: objects(live(1, current), live(3, garbage, unlabelled)), want: "current secret-a"},
	{name: "the current one is being deleted", objects: objects(live(1, previous), live(2, current, deleting))},
	{name: "a newer one is under a key that we lack", objects: objects(live(1, current), live(2, alien)), records: records(row(2, ledger.Created, alien))},
	{name: "a newer one was deleted by hand", objects: objects(live(1, current)), records: records(row(2, ledger.Created, "k-new/x"))},
	{name: "another base name", objects: objects(live(1, previous), of("b", live(2, current))), want: "current secret-a"},
	{name: "two entries", entries: both, objects: objects(live(1, previous), live(2, current), of("b", live(1, current))), want: "secret-a->secret-a-g2 k-old->k-new | current secret-a-g2 | current secret-b"},

	{name: "retired under a lost key, the same value by its since", objects: objects(live(2, current)), records: records(sinceOne(rotated(2, ledger.Created, current))), past: list(row(1, ledger.Deleted, alien)), want: "over secret-a->secret-a-g2 k-lost->k-new | current secret-a-g2"},
	{name: "retired under a lost key, another value by its since", objects: objects(live(2, current)), records: records(row(2, ledger.Created, current)), past: list(row(1, ledger.Deleted, alien)), want: "over secret-a->secret-a-g2 k-lost->k-new differs | current secret-a-g2"},
	{name: "retired under KEY", objects: objects(live(2, current)), past: list(row(1, ledger.Deleted, changed)), want: "over secret-a->secret-a-g2 differs | current secret-a-g2"},
	{name: "several tokens of one name were retired: one with the value is enough, in any order", objects: objects(live(3, current)), records: records(sinceOne(rotated(3, ledger.Created, current))), past: list(sinceOne(row(2, ledger.Deleted, alien)), row(2, ledger.Deleted, "k-lost/x"), row(2, ledger.Deleted, "k-lost/y"), row(2, ledger.Deleted, "k-lost/z")), want: "over secret-a->secret-a-g3 ->k-new differs | over secret-a-g2->secret-a-g3 k-lost->k-new | current secret-a-g3"},
	{name: "a newer one was retired", objects: objects(live(1, current)), past: list(row(2, ledger.Deleted, alien)), want: "current secret-a"},
	{name: "other bytes of the current one's name were retired", objects: objects(live(2, current)), past: list(row(2, ledger.Deleted, alien)), want: "over secret-a->secret-a-g2 ->k-new differs | current secret-a-g2"},
	{name: "retired, and another entry's", objects: objects(live(2, current)), past: list(rowOf("b", row(1, ledger.Deleted, alien))), want: "over secret-a->secret-a-g2 ->k-new differs | current secret-a-g2"},
	{name: "retired altogether", past: list(row(1, ledger.Deleted, alien))},
	{name: "retired, and its bytes are known: those count", objects: objects(live(2, current)), records: records(row(1, ledger.Created, previous)), past: list(row(1, ledger.Deleted, alien)), want: "secret-a->secret-a-g2 k-old->k-new | current secret-a-g2"},
}

func TestSuccessors(t *testing.T) {
	asked := []string{"secret-a", "secret-a-g2", "secret-a-g3", "secret-b", "secret-b-g2"}
	for _, tc := range successorCases {
		t.Run(tc.name, func(t *testing.T) {
			for range 10 { // what is past comes in any order
				g := plan.Successors(tc.view(), tc.wanted(), judge, ring{}, sameValue)
				var got []string
				for _, name := range asked {
					s, older := g.Older(name)
					if !older {
						continue
					}
					text := name + "->" + s.Name
					if _, known := g.Known[name]; !known {
						text = "over " + text
					}
					if from, to := g.KeyOf(name), g.KeyOf(s.Name); from != to {
						text += " " + from + "->" + to
					}
					if !s.SameValue {
						text += " differs"
					}
					got = append(got, text)
				}
				for _, name := range slices.Sorted(maps.Keys(g.Current)) {
					got = append(got, "current "+name)
				}
				agree(t, got, tc.want)
			}
		})
	}
}

// uses makes a Deployment that refers to Secrets, one volume each.
func uses(secrets ...string) workload.Workload {
	w := workload.Workload{Kind: workload.Deployment, Namespace: "ns", Name: "web"}
	for _, name := range secrets {
		source := corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name}}
		w.Template.Spec.Volumes = append(w.Template.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: source})
	}
	return w
}

// generations are some to repoint to.
func generations() plan.Generations {
	g := plan.Successors(situation{}.view(), none, judge, ring{}, sameValue)
	maps.Copy(g.Known, map[string]plan.Successor{
		"a": {Name: "a-g2", SameValue: true}, "b": {Name: "b-g2"}, "c": {Name: "c-g2"}, "same": {Name: "same-g2"}, "gone": {Name: "a-g2"}, "mended": {Name: "a-g2", SameValue: true},
	})
	maps.Copy(g.Keys, map[string]string{"a": "k-old", "a-g2": "k-new", "b": "k-old", "b-g2": "k-new", "c": "k-old", "c-g2": "k-last", "same": "k-new", "same-g2": "k-new"})
	maps.Copy(g.Current, map[string]bool{"a-g2": true, "b-g2": true})
	for _, name := range strings.Fields("a b c same a-g2 b-g2 c-g2 same-g2") {
		g.Live[name] = true
	}
	g.AddKeyring("key-g1", []string{"k-old"})
	g.MoveKeyring("key-g3", []string{"k-new", "k-old"})
	g.AddKeyring("bare-g1", []string{"k-new", "k-old"})
	g.MoveKeyring("bare-g2", []string{"k-new"})
	g.MoveKeyring("stale-g1", []string{"k-old"})
	return g
}

func TestRepoint(t *testing.T) {
	for _, tt := range []struct {
		name, refs string
		options    plan.RepointOptions
		rename     string // what follows what, in the order of the names
		changed    string // and, behind a bar, what is unproven
		lacking    string
		current    bool
	}{
		{name: "nothing of ours", refs: "other"},
		{name: "current already", refs: "a-g2", current: true},
		{name: "its keyring alone", refs: "key-g1", rename: "key-g1->key-g3"},
		{name: "a keyring generation that is gone", refs: "key-g2", rename: "key-g2->key-g3"},
		{name: "one that is not there yet", refs: "key-g9", rename: "key-g9->key-g3"},
		{name: "the newest keyring", refs: "key-g3", current: true},
		{name: "nobody says that it has the key", refs: "a", rename: "a->a-g2", lacking: "k-new"},
		{name: "the operator says so", refs: "a", options: plan.RepointOptions{AppsHaveKey: "k-new"}, rename: "a->a-g2"},
		{name: "the operator says so of another key", refs: "a", options: plan.RepointOptions{AppsHaveKey: "k-old"}, rename: "a->a-g2", lacking: "k-new"},
		{name: "its keyring goes with it", refs: "a key-g1", rename: "a->a-g2 key-g1->key-g3"},
		{name: "its keyring is the newest already", refs: "a key-g3", rename: "a->a-g2", current: true},
		{name: "its keyring lacks the key", refs: "a stale-g1", rename: "a->a-g2", lacking: "k-new", current: true},
		{name: "another value", refs: "b", changed: "b"},
		{name: "another value, named twice", refs: "b b", changed: "b"},
		{name: "two other values, named by name", refs: "c b", changed: "b c"},
		{name: "two keys that it lacks, one of them twice", refs: "a c b", options: plan.RepointOptions{Values: true}, rename: "a->a-g2 b->b-g2 c->c-g2", lacking: "k-last k-new"},
		{name: "current already, beside what is not ours", refs: "a-g2 other", current: true},
		{name: "another value follows", refs: "b", options: plan.RepointOptions{Values: true}, rename: "b->b-g2", lacking: "k-new"},
		{name: "another value under the same key", refs: "same", options: plan.RepointOptions{Values: true}, rename: "same->same-g2"},
		{name: "one stays, one goes", refs: "b a key-g1 other", rename: "a->a-g2 key-g1->key-g3", changed: "b"},
		{name: "a keyring that would lose the key of a token that stays", refs: "b bare-g1", rename: "bare-g1->bare-g2", changed: "b", lacking: "k-old"},
		{name: "a keyring that loses a key that no token of it needs", refs: "a bare-g1", rename: "a->a-g2 bare-g1->bare-g2"},
		{name: "what is gone and has the same value", refs: "mended key-g1", rename: "key-g1->key-g3 mended->a-g2"},
		{name: "what is gone and cannot be compared", refs: "gone", changed: "|gone"},
		{name: "it follows when it is said", refs: "gone key-g1", options: plan.RepointOptions{Unproven: true}, rename: "gone->a-g2 key-g1->key-g3"},
		{name: "with the values too", refs: "gone key-g1", options: plan.RepointOptions{Values: true}, rename: "gone->a-g2 key-g1->key-g3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := plan.Repoint(uses(strings.Fields(tt.refs)...), generations(), tt.options)
			var renamed []string
			for _, from := range slices.Sorted(maps.Keys(got.Rename)) {
				renamed = append(renamed, from+"->"+got.Rename[from])
			}
			changed, unproven, _ := strings.Cut(tt.changed, "|")
			gotText := fmt.Sprint(renamed, got.Changed, got.Unproven, got.Lacking, got.Current)
			wantText := fmt.Sprint(strings.Fields(tt.rename), strings.Fields(changed), strings.Fields(unproven), strings.Fields(tt.lacking), tt.current)
			if gotText != wantText || got.Workload.Name != "web" {
				t.Errorf("got  %s\nwant %s", gotText, wantText)
			}
		})
	}
	if got := plan.Repoint(uses("a"), plan.Generations{}, plan.RepointOptions{}); len(got.Rename) != 0 || got.Current {
		t.Errorf("of no generations: %+v", got)
	}
}
