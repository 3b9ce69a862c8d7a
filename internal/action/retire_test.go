// SPDX-License-Identifier: Apache-2.0

package action

import (
	"slices"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
)

// What something begins to use between the walk and its delete is there again, with the
// same bytes, and the ledger has it.
func TestRetirePutsBack(t *testing.T) {
	d := newDesk(t, threeEntries, "a", "b")
	d.changeKeys()
	at := [2]string{"a", "secret-b"}
	before := d.cluster.secrets[at]
	d.useFromSecondWalk("secret-b")
	p, told, err := d.retire(t.Context())
	if err != nil || !told || !p.Has(plan.Restored) {
		t.Fatalf("%v, told %v", err, told)
	}
	now := d.cluster.secrets[at]
	if now.Token != before.Token || now.UID == before.UID {
		t.Errorf("%+v, was %+v", now, before)
	}
	if !d.recorded(ledger.Restore, ledger.Created, now.Token, now.UID) || !d.recorded(ledger.Retire, ledger.Deleted, before.Token, before.UID) {
		t.Error("the ledger does not have what happened")
	}
}

// A dry run, and a run in which something is used from the beginning, delete nothing.
func TestRetireThatKeeps(t *testing.T) {
	used := func(class usage.Class) func(*desk) {
		return func(d *desk) {
			d.cluster.refer = func(int, string) (all []usage.Finding) {
				for _, secret := range []string{"secret-a", "secret-b", "secret-c"} {
					all = append(all, usage.Finding{Kind: "Pod", Name: "web", Secret: secret, Class: class})
				}
				return all
			}
		}
	}
	for _, tc := range []struct {
		name  string
		spoil func(*desk)
		want  plan.State
	}{
		{"used", used(usage.Use), plan.InUse},
		{"needed to return", used(usage.History), plan.History},
		{"Pods may not be listed", func(d *desk) { d.cluster.denied = []cluster.Kind{{Resource: "pods", PodHolding: true}} }, plan.Unproven},
		{"a dry run", func(d *desk) { d.request.Mode = Client }, plan.Deleted},
		{"a dry run of the API server", func(d *desk) { d.request.Mode = Server }, plan.Deleted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDesk(t, threeEntries, "a", "b")
			d.changeValues()
			before, rows := d.cluster.names(), len(d.rows())
			tc.spoil(d)
			p, told, err := d.retire(t.Context())
			if err != nil || told != (tc.want != plan.Deleted) || len(p.Items) != 6 {
				t.Fatalf("%v, told %v, %d items", err, told, len(p.Items))
			}
			for _, item := range p.Items {
				if item.Outcome != tc.want {
					t.Errorf("secret/%s: %s, want %s", item.Object.Name, item.Outcome, tc.want)
				}
			}
			if !slices.Equal(d.cluster.names(), before) || len(d.rows()) != rows {
				t.Error("something was deleted or recorded")
			}
		})
	}
}
