// SPDX-License-Identifier: Apache-2.0

package action

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// Fate is what is to become of a workload in a rollout, or became of it.
type Fate string

// The fates. ToPatch and Unchanged are those before the first patch.
const (
	ToPatch     Fate = "to patch"
	Unchanged   Fate = "unchanged"    // nothing to rename, and nothing to wait for
	RolledOut   Fate = "rolled out"   // the new references are there, and the rollout is done
	Patched     Fate = "patched"      // not waited for
	Restart     Fate = "restart"      // patched, and its pods take that only by hand
	Unhealthy   Fate = "unhealthy"    // it was so before, and is
	ChangedBack Fate = "changed back" // the old references are there again
	LeftAlone   Fate = "left"         // to who keeps it as its source says
	ByHand      Fate = "by hand"      // its template cannot be patched
	Differs     Fate = "differs"      // what is older has another value
	Lacking     Fate = "lacks key"    // its pods are not known to have the key that they would need
	Denied      Fate = "denied"       // the API server refuses the patch
	Stuck       Fate = "failed"       // the rollout failed, or its time is over
	Gone        Fate = "gone"         // deleted meanwhile
	Unsent      Fate = "not patched"  // interrupted, or something failed before
)

func (f Fate) failed() bool { return f == Lacking || f == Denied || f == Stuck }

// left says that something is left to the user.
func (f Fate) left() bool {
	return f == LeftAlone || f == ByHand || f == Differs || f == ChangedBack || f == Unhealthy || f == Unsent
}

// Step is one workload of a rollout.
type Step struct {
	plan.Repointing
	Fate      Fate
	Reason    string    // of a failure, or who changed it back
	Way       hint.Text // out of it
	Unhealthy bool      // it was before

	root   string   // of what cannot be patched: the object, with its group
	fields []string // where the object that has to be changed instead names Secrets
	sent   bool     // the patch
	back   []byte   // the patch that undoes it
}

// String gives the workload as kubectl writes it: deployment/web.
func (s *Step) String() string { return s.Workload.String() }

// owner gives the object to change instead: the workload's controller, or what cannot be
// patched itself. The group of a controller is not known exactly; its kind and name tell.
func (s *Step) owner() string {
	if s.root != "" || s.Workload.Owner == "" {
		return s.root
	}
	kind, name, _ := strings.Cut(s.Workload.Owner, "/")
	gv, _ := schema.ParseGroupVersion(s.Workload.OwnerVersion)
	return strings.ToLower(schema.GroupKind{Group: gv.Group, Kind: kind}.String()) + "/" + name
}

// byHand says what to do with what cannot be patched, before the new names.
func (s *Step) byHand() string {
	switch s.Workload.Kind {
	case "job", "pod":
		return "start it again with"
	default:
		return "at " + hint.Few(s.fields) + ": change it to"
	}
}

// concerns says whether the workload has anything to do with this project.
func (s *Step) concerns() bool {
	return len(s.Rename)+len(s.Changed)+len(s.Unproven) > 0 || s.Current
}

// first is the fate before the first patch.
func (s *Step) first(force bool) Fate {
	switch {
	case s.Patched(force):
		return ToPatch
	case len(s.Rename) == 0 && len(s.Changed)+len(s.Unproven) > 0:
		return Differs
	case len(s.Rename) == 0:
		return Unchanged
	case !s.Workload.Kind.Patchable():
		return ByHand
	case s.Keeper() != "" && !force:
		return LeftAlone
	default:
		return Lacking
	}
}

func (s *Step) fail(fate Fate, err error) {
	s.Fate, s.Reason, s.Way = fate, err.Error(), hint.Of(err)
}

// waits says whether there is a rollout to wait for. A CronJob has none: its next Job takes
// the change.
func (s *Step) waits() bool {
	settled := s.Workload.Progress().State == workload.Done && !s.sent
	return s.Workload.Kind.Patchable() && s.Workload.Kind != workload.CronJob && !settled
}

// Text is the line of the result.
func (s *Step) Text() string {
	word := "unchanged"
	if s.sent {
		word = "patched"
	}
	switch s.Fate {
	case RolledOut:
		return word + " and rolled out"
	case Restart:
		return word + ", restart it"
	case Unhealthy:
		return word + ", unhealthy as before"
	case ChangedBack:
		return word + ", changed back by " + s.Reason
	case LeftAlone:
		return "left to " + s.Keeper()
	case ByHand:
		return "cannot be patched"
	case Lacking:
		return "not patched, lacks key " + strings.Join(s.Lacking, ", ")
	case Denied:
		return "not patched, denied"
	case Stuck:
		if !s.sent {
			return "not patched"
		}
		return "patched, not rolled out"
	case Gone, Differs:
		return string(s.Fate)
	case Unsent:
		return "not patched"
	case Patched, ToPatch:
		return "patched"
	default:
		return "unchanged"
	}
}

// workloadTypes are the names under which kubectl knows the kinds of workloads.
var workloadTypes = map[string]workload.Kind{
	"deployment": workload.Deployment, "deployments": workload.Deployment, "deploy": workload.Deployment,
	"statefulset": workload.StatefulSet, "statefulsets": workload.StatefulSet, "sts": workload.StatefulSet,
	"daemonset": workload.DaemonSet, "daemonsets": workload.DaemonSet, "ds": workload.DaemonSet,
	"cronjob": workload.CronJob, "cronjobs": workload.CronJob, "cj": workload.CronJob,
	"job": workload.Job, "jobs": workload.Job, "pod": workload.Pod, "pods": workload.Pod, "po": workload.Pod,
	"rollout": workload.Rollout, "rollouts": workload.Rollout,
}

// ParseWorkload gives TYPE/NAME, in any of kubectl's spellings of TYPE, as reports write it.
func ParseWorkload(text string) (name string, ok bool) {
	kind, name, ok := strings.Cut(text, "/")
	kind, _, _ = strings.Cut(strings.ToLower(kind), ".") // deployments.apps
	known := workloadTypes[kind]
	return workload.Workload{Kind: known, Name: name}.String(), ok && known != "" && name != ""
}

// Lacking gives the keys that the Pods of workloads were not known to have.
func (p *RolloutPlan) Lacking() (keys []string) {
	for _, step := range p.Steps {
		if step.Fate == Lacking || step.Fate == LeftAlone {
			keys = append(keys, step.Lacking...)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Summary counts the workloads by what became of them; empty where there is one at most.
func (p *RolloutPlan) Summary() string {
	count := map[Fate]int{}
	for _, step := range p.Steps {
		count[step.Fate]++
	}
	var parts []string
	for _, fate := range []Fate{ToPatch, RolledOut, Patched, Restart, Unchanged, Unhealthy, ChangedBack, LeftAlone, ByHand, Differs, Lacking, Denied, Stuck, Gone, Unsent} {
		if count[fate] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[fate], fate))
		}
	}
	if len(p.Steps) < 2 {
		return ""
	}
	return strings.Join(parts, ", ")
}
