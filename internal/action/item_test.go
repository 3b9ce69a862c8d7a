// SPDX-License-Identifier: Apache-2.0

package action

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
)

// items gives, for each result that was told, what a report says of it.
func (d *desk) items() (items []Item) {
	for _, e := range d.said {
		if e.Kind == Did {
			items = append(items, e.Item)
		}
	}
	return items
}

// A Secret that stays has each reference that keeps it, by itself, and none that is overlooked.
func TestItemsOfWhatIsKept(t *testing.T) {
	found := []usage.Finding{
		{Group: "apps", Kind: "ReplicaSet", Name: "web-1", Root: "deployment.apps/web", Class: usage.History, Owner: "deployment.apps/web", Revision: "1", Reason: "old ReplicaSet", Field: ".spec"},
		{Kind: "Pod", Name: "web-1-a", Root: "deployment.apps/web", Class: usage.Use, Reason: "running pod", Field: ".spec.volumes[0]"},
		{Kind: "Pod", Name: "web-1-b", Root: "deployment.apps/web", Class: usage.Use, Reason: "running pod", Field: ".spec.volumes[0]"},
		{Kind: "ConfigMap", Name: "x", Class: usage.Mention, Reason: "the name is mentioned", Field: ".data.a"},
	}
	pods := []KeptBy{
		{Object: "pod/web-1-a", Root: "deployment.apps/web", Way: plan.InUse, Where: ".spec.volumes[0]", Reason: "running pod"},
		{Object: "pod/web-1-b", Root: "deployment.apps/web", Way: plan.InUse, Where: ".spec.volumes[0]", Reason: "running pod"},
	}
	old := KeptBy{Object: "replicaset.apps/web-1", Root: "deployment.apps/web", Way: plan.History, Where: ".spec", Reason: "old ReplicaSet, kubectl rollout undo deployment.apps/web --to-revision=1"}
	text := KeptBy{Object: "configmap/x", Root: "configmap/x", Way: plan.Mentioned, Where: ".data.a", Reason: "the name is mentioned"}
	for _, tc := range []struct {
		state  plan.State
		ignore plan.Overlook
		want   []KeptBy
	}{
		{plan.InUse, plan.Overlook{}, []KeptBy{old, pods[0], pods[1], text}},
		{plan.InUse, plan.Overlook{History: true}, []KeptBy{pods[0], pods[1], text}},
		{plan.InUse, plan.Overlook{History: true, Mentions: true}, pods},
		{plan.Deleted, plan.Overlook{}, nil},
		{plan.Failed, plan.Overlook{}, nil},
		{plan.NotSent, plan.Overlook{}, nil},
	} {
		p := &RetirePlan{verb: Retire{Ignore: Ignore{Overlook: tc.ignore}}}
		item := p.Item(&Retired{Outcome: tc.state, found: found})
		if !reflect.DeepEqual(item.KeptBy, tc.want) || item.State != tc.state || item.Changed != (tc.state == plan.Deleted) {
			t.Errorf("%s, overlooking %+v: %+v", tc.state, tc.ignore, item)
		}
	}
}

// What could not be looked at is the reason of what is kept for it.
func TestItemOfWhatIsUnproven(t *testing.T) {
	d := newDesk(t, threeEntries, "a")
	d.changeValues()
	d.cluster.denied = []cluster.Kind{{Resource: "pods", PodHolding: true}}
	p, _, err := d.retire(t.Context())
	if err != nil || len(p.Items) == 0 {
		t.Fatalf("%v, %d items", err, len(p.Items))
	}
	if item := p.Item(p.Items[0]); item.State != plan.Unproven || item.Reason != "not allowed to list pods" || item.Changed {
		t.Errorf("%+v", item)
	}
}

// A rollout tells, beside each line, the same as data.
func TestItemsOfARollout(t *testing.T) {
	for _, tc := range []struct {
		name    string
		verb    Rollout
		mode    Mode
		secrets []string
		want    []string
	}{
		{"patched", Rollout{Values: true, AppsHaveKey: testKeyID(t)}, Live, []string{"secret-a"}, []string{"Deployment deployment.apps/web rolled-out true [{secret-a secret-a-g2}] "}},
		{"a dry run", Rollout{Values: true, AppsHaveKey: testKeyID(t)}, Client, []string{"secret-a"}, []string{"Deployment deployment.apps/web patched true [{secret-a secret-a-g2}] "}},
		{"without the key", Rollout{Values: true}, Live, []string{"secret-a"}, []string{"Deployment deployment.apps/web lacks-key false [{secret-a secret-a-g2}] its pods are not known to have key " + testKeyID(t)}},
		{"another value", Rollout{AppsHaveKey: testKeyID(t)}, Live, []string{"secret-a"}, []string{"Deployment deployment.apps/web differs false [] the value of secret-a is not the current one"}},
		{"current", Rollout{}, Live, []string{"secret-a-g2"}, []string{"Deployment deployment.apps/web unchanged false [] "}},
		{"its keyring too", Rollout{Values: true, DropPrevious: true}, Live, []string{"fernet-key-g1", "secret-a"}, []string{
			"Keyring secret/fernet-key-g3 created true [] ",
			"Deployment deployment.apps/web rolled-out true [{fernet-key-g1 fernet-key-g3} {secret-a secret-a-g2}] ",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDesk(t, threeEntries, "a")
			d.changeKeys()
			d.run("web", tc.secrets...)
			d.request.Mode = tc.mode
			d.said = nil
			_, _ = d.rollout(t.Context(), tc.verb) // what it says is what counts
			var got []string
			for _, i := range d.items() {
				got = append(got, fmt.Sprintf("%s %s %s %t %v %s", i.Kind, i.Object, string(i.State), i.Changed, i.Renames, i.Reason))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

// A blocked rotation has created nothing, and its report says so.
func TestUnwritten(t *testing.T) {
	p := &RotatePlan{Moves: []plan.Move{{Decision: plan.Decision{Outcome: plan.Created}}, {Decision: plan.Decision{Outcome: plan.Blocked}}, {Decision: plan.Decision{Outcome: plan.Unchanged}}}}
	var got []plan.State
	for _, d := range p.Unwritten() {
		got = append(got, d.Outcome)
	}
	if !slices.Equal(got, []plan.State{plan.Held, plan.Blocked, plan.Unchanged}) || p.Moves[0].Outcome != plan.Created {
		t.Errorf("%q", got)
	}
}

// A keyring that workloads name is missing, unless exactly that one comes back.
func TestAbsent(t *testing.T) {
	for _, tc := range []struct {
		name    string
		missing MissingKeyring
		want    []string
	}{
		{"it comes back", MissingKeyring{Named: []string{"k-g1"}, Name: "k-g1", Wanted: true}, nil},
		{"another generation comes back", MissingKeyring{Named: []string{"k-g1"}, Name: "k-g2", Wanted: true, Way: "rollout"}, []string{"k-g1 missing named by workloads, and not there: rollout"}},
		{"nobody wants it", MissingKeyring{Named: []string{"k-g1", "k-g2"}, Name: "k-g2"}, []string{"k-g1 missing named by workloads, and not there: ", "k-g2 missing named by workloads, and not there: "}},
		{"it cannot", MissingKeyring{Named: []string{"k-g1"}, Reason: "without the key"}, []string{"k-g1 missing without the key: "}},
	} {
		var got []string
		for _, i := range (&RestorePlan{Keyrings: []*MissingKeyring{&tc.missing}}).Absent() {
			got = append(got, fmt.Sprintf("%s %s %s: %s", i.Name, string(i.State), i.Reason, i.WayOut))
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// What cannot be patched has its kind as the API writes it.
func TestKindIn(t *testing.T) {
	found := referrers{findings: []usage.Finding{{Kind: "Pod", Name: "x"}, {Group: "example.com", Kind: "HTTPThing", Name: "x"}}}
	for object, want := range map[string]string{"httpthing.example.com/x": "HTTPThing", "pod/x": "Pod", "widget.example.com/x": "widget"} {
		if got := kindIn(found, object); got != want {
			t.Errorf("%s: %s, want %s", object, got, want)
		}
	}
}
