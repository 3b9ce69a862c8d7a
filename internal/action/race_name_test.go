// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// overtaken is a cluster in which another process is quicker: what it makes is there
// when the first create arrives that is no dry run.
type overtaken struct {
	*memCluster
	made manifest.Object
}

func (o overtaken) CreateAll(ctx context.Context, rows []ledger.Row, parallel int, dryRun bool, done func(int, cluster.Result)) {
	if !dryRun {
		o.put(o.made)
	}
	o.memCluster.CreateAll(ctx, rows, parallel, dryRun, done)
}

// A name that somebody takes between the look and the create: what is said, and what the
// ledger has of it. Nothing of theirs changes.
func TestNameTakenBetweenLookAndCreate(t *testing.T) {
	const env = "KEY=" + testKey + "\nSECRET_A=one\nSECRET_B=two\n"
	for _, tc := range []struct {
		name    string
		theirs  string // their .env; empty: they have none
		outcome plan.State
		rows    string // of ours about the name, after the planned one
	}{
		{"a colleague with the same value", env, plan.Unchanged, "learn created"},
		{"a colleague with another value", strings.Replace(env, "one", "another", 1), plan.Differs, ""},
		{"a stranger", "", plan.Foreign, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			made := manifest.Object{Namespace: "a", Name: "secret-a", Base: "secret-a", Generation: 1}
			if tc.theirs != "" {
				other := newDesk(t, tc.theirs, "a")
				other.must((*desk).push)
				made = other.cluster.secrets[[2]string{"a", "secret-a"}]
			}
			d := newDesk(t, env, "a")
			verb := Push{}
			r := d.request
			r.Machine, r.Tell = On(d.files), func(Event) {}
			r.Connect = func(*rest.Config, cluster.Trace, int) (Cluster, error) { return overtaken{d.cluster, made}, nil }
			s, err := Open(t.Context(), r, verb.Needs())
			if err != nil {
				t.Fatal(err)
			}
			p, err := verb.Plan(t.Context(), s)
			if err == nil {
				err = p.Apply(t.Context())
			}
			s.Close()
			if err != nil || p.Decisions[0].Outcome != tc.outcome || p.Decisions[1].Outcome != plan.Created {
				t.Errorf("%v, %v", err, outcomes(p.Decisions))
			}
			if there := d.cluster.secrets[[2]string{"a", "secret-a"}]; there.Token != made.Token || there.Binding != made.Binding {
				t.Error("what they made was changed")
			}
			var rows []string
			for _, line := range strings.Split(get(t, DefaultLedger), "\n") {
				if cells := strings.Split(line, ","); len(cells) == 14 && cells[5] == "secret-a" {
					rows = append(rows, cells[1]+" "+cells[2])
				}
			}
			if got := strings.TrimSpace(strings.TrimPrefix(strings.Join(rows, " "), "push planned")); got != tc.rows {
				t.Errorf("rows %q, want %q", got, tc.rows)
			}
		})
	}
}
