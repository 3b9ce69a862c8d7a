// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// step is what a rollout does with a workload: it renames secret-a, and its pods lack keys.
func step(kind workload.Kind, name string, renames bool, lacking ...string) plan.Repointing {
	r := plan.Repointing{Workload: workload.Workload{Kind: kind, Namespace: "ns", Name: name}, Rename: map[string]string{}, Lacking: lacking}
	if renames {
		r.Rename["secret-a"] = "secret-a-g2"
	}
	return r
}

// byHelm makes the workload one that Helm keeps.
func byHelm(r plan.Repointing) plan.Repointing {
	r.Workload.Labels = map[string]string{"app.kubernetes.io/managed-by": "Helm"}
	return r
}

// owned makes the workload one that a controller made.
func owned(r plan.Repointing) plan.Repointing {
	r.Workload.Owner = "Shop/web"
	return r
}

func TestPatched(t *testing.T) {
	for _, tt := range []struct {
		name  string
		step  plan.Repointing
		force bool
		want  bool
	}{
		{"nothing to rename", step(workload.Deployment, "web", false), true, false},
		{"a Deployment", step(workload.Deployment, "web", true), false, true},
		{"a StatefulSet", step(workload.StatefulSet, "db", true), false, true},
		{"a DaemonSet", step(workload.DaemonSet, "agent", true), false, true},
		{"a CronJob", step(workload.CronJob, "nightly", true), false, true},
		{"a Pod cannot be patched", step(workload.Pod, "alone", true), true, false},
		{"nor can a Job", step(workload.Job, "once", true), true, false},
		{"a Rollout is not patched from here", step(workload.Rollout, "canary", true), true, false},
		{"Helm keeps it", byHelm(step(workload.Deployment, "web", true)), false, false},
		{"its pods lack a key", step(workload.Deployment, "web", true, "k-new"), true, false},
		{"a controller owns it", owned(step(workload.Deployment, "web", true)), false, false},
		{"a controller owns it, forced", owned(step(workload.Deployment, "web", true)), true, true},
		{"Helm keeps it, forced", byHelm(step(workload.Deployment, "web", true)), true, true},
	} {
		if got := tt.step.Patched(tt.force); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

// The new names stand in the order of the old ones.
func TestSuccessorsOfAStep(t *testing.T) {
	r := plan.Repointing{Rename: map[string]string{"secret-b": "secret-b-g3", "secret-a": "secret-a-g2"}}
	if got := strings.Join(r.Successors(), " "); got != "secret-a-g2 secret-b-g3" {
		t.Error(got)
	}
}
