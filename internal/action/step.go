// SPDX-License-Identifier: Apache-2.0

package action

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// Step is one workload of a rollout.
type Step struct {
	plan.Repointing
	State     plan.State
	Reason    string    // of a failure, or who changed it back
	Way       hint.Text // out of it
	Unhealthy bool      // it was before

	kind    string            // of what cannot be patched, as the API writes it
	root    string            // of what cannot be patched: the object, with its group
	wiring  *workload.Wiring  // what wire adds; nil: its references are renamed
	fitting workload.Fitting  // of wiring
	fields  []string          // where the object that has to be changed instead names Secrets
	sent    bool              // the patch
	back    []byte            // the patch that undoes it
	judged  workload.Workload // what the API server made of the patch, kept or as a dry run
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

// change is what the patch makes of the workload.
func (s *Step) change() workload.Change {
	if s.wiring != nil {
		return s.wiring
	}
	return s.Rename
}

// revertedTo says what a workload is like again whose patch another process took back.
func (s *Step) revertedTo() string {
	if s.wiring != nil {
		return "lacks again what it was given"
	}
	return "names " + hint.Few(SortedKeys(s.Rename)) + " again"
}

// absent says what a workload names that the next generation of a bundle does not have.
func (s *Step) absent() string {
	return fmt.Sprintf("it names %s, which %s does not have", hint.Few(s.Absent), hint.Few(s.Successors()))
}

// concerns says whether the workload has anything to do with this project.
func (s *Step) concerns() bool {
	return len(s.Rename)+len(s.Changed)+len(s.Unproven) > 0 || s.Current
}

// first is the state before the first patch.
func (s *Step) first(force bool) plan.State {
	switch {
	case s.Patched(force):
		return plan.Patched
	case len(s.Rename) == 0 && len(s.Changed)+len(s.Unproven) > 0:
		return plan.Differs
	case len(s.Rename) == 0:
		return plan.Unchanged
	case !s.Workload.Kind.Patchable():
		return plan.ByHand
	case s.Keeper() != "" && !force:
		return plan.Left
	case len(s.Absent) > 0:
		return plan.LacksEntry
	default:
		return plan.LacksKey
	}
}

// failed says that the rollout did not succeed.
func (s *Step) failed() bool {
	return s.State == plan.LacksKey || s.State == plan.LacksEntry || s.State == plan.Denied || s.State == plan.Failed
}

// left says that something is left to the user.
func (s *Step) left() bool {
	return slices.Contains([]plan.State{plan.Left, plan.ByHand, plan.Differs, plan.ChangedBack, plan.Unhealthy, plan.NotSent}, s.State)
}

func (s *Step) fail(state plan.State, err error) {
	s.State, s.Reason, s.Way = state, err.Error(), hint.Of(err)
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
	switch s.State {
	case plan.RolledOut:
		return word + " and rolled out"
	case plan.Restart:
		return word + ", restart it"
	case plan.Unhealthy:
		return word + ", unhealthy as before"
	case plan.ChangedBack:
		return word + ", changed back by " + s.Reason
	case plan.Left:
		return "left to " + s.Keeper()
	case plan.ByHand:
		return "cannot be patched"
	case plan.LacksKey:
		return "not patched, lacks key " + strings.Join(s.Lacking, ", ")
	case plan.LacksEntry:
		return "not patched, lacks " + hint.Few(s.Absent)
	case plan.Denied:
		return "not patched, denied"
	case plan.Failed:
		if !s.sent {
			return "not patched"
		}
		return "patched, not rolled out"
	case plan.NotThere, plan.Differs:
		return s.State.Words()
	case plan.NotSent:
		return "not patched"
	case plan.Patched:
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
		if step.State == plan.LacksKey || step.State == plan.Left {
			keys = append(keys, step.Lacking...)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Summary counts the workloads by what became of them; empty where there is one at most.
func (p *RolloutPlan) Summary() string {
	words := map[plan.State]string{plan.NotSent: "not patched", plan.Restart: "to restart", plan.LacksKey: "without the key", plan.LacksEntry: "without an entry", plan.Differs: "differ"}
	if p.session.Mode != Live {
		words[plan.Patched] = "to patch"
	}
	count := map[plan.State]int{}
	for _, step := range p.Steps {
		count[step.State]++
	}
	var parts []string
	for _, state := range []plan.State{plan.RolledOut, plan.Patched, plan.Restart, plan.Unchanged, plan.Unhealthy, plan.ChangedBack, plan.Left, plan.ByHand, plan.Differs, plan.LacksKey, plan.LacksEntry, plan.Denied, plan.Failed, plan.NotThere, plan.NotSent} {
		if count[state] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[state], cmp.Or(words[state], state.Words())))
		}
	}
	if len(p.Steps) < 2 {
		return ""
	}
	return strings.Join(parts, ", ")
}
