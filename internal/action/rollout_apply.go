// SPDX-License-Identifier: Apache-2.0

package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// ring is the keyring that keyring Secrets are to hold.
func (p *RolloutPlan) ring() *keyring.Keyring {
	if p.verb.DropPrevious {
		return p.session.Project.Keys.WithoutPrevious()
	}
	return p.session.Project.Keys
}

// Apply makes the keyrings, then patches the workloads and waits for them, a few at a time:
// first those that are healthy. What fails holds nothing else up.
func (p *RolloutPlan) Apply(ctx context.Context) error {
	p.makeKeyrings(ctx)
	r := &rollingOut{RolloutPlan: p, done: make([]bool, len(p.Steps)), tracker: newTracker(ctx, p.session.Cluster)}
	defer r.tracker.stop()
	for _, unhealthy := range []bool{false, true} {
		var group errgroup.Group
		group.SetLimit(cmp.Or(p.verb.MaxProgressing, DefaultMaxProgressing))
		for i, step := range p.Steps {
			if step.Unhealthy == unhealthy {
				group.Go(redact.Guard(func() error {
					r.carryOut(ctx, step)
					r.finished(i)
					return nil
				}))
			}
		}
		_ = group.Wait() // each step has an error of its own
	}
	if len(p.Steps) == 0 && !p.Blind && len(p.verb.Skip) == 0 {
		p.session.note("no workload in %s names a Secret of this .env", p.session.Target.Places())
	}
	return nil
}

// makeKeyrings makes the generations of keyring Secrets that workloads are to name, by a
// patch or at their source. Where one cannot be made, these fail.
func (p *RolloutPlan) makeKeyrings(ctx context.Context) {
	for _, place := range p.keyrings {
		naming := slices.DeleteFunc(slices.Clone(p.Steps), func(step *Step) bool {
			return step.Workload.Namespace != place.namespace || !namesBase(step.Workload, place.base) || step.State != plan.Patched && step.State != plan.Left
		})
		if len(naming) == 0 {
			continue
		}
		if err := p.session.ensureKeyring(ctx, place.namespace, place.base, p.ring(), true); err != nil {
			for _, step := range naming {
				p.fail(step, plan.Failed, err)
			}
		}
	}
}

// rollingOut is a rollout that is under way.
type rollingOut struct {
	*RolloutPlan
	tracker *tracker

	mutex  sync.Mutex
	failed bool
	done   []bool // by step
	told   int    // steps whose result was reported
}

// finished reports the results in the order of the steps, each as soon as those before it are known.
func (r *rollingOut) finished(i int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	step := r.Steps[i]
	r.done[i] = true
	r.failed = r.failed || step.State == plan.Failed || step.State == plan.Denied
	for ; r.told < len(r.Steps) && r.done[r.told]; r.told++ {
		r.tellResult(r.Steps[r.told])
	}
}

// tellResult says what became of a workload, and the way out of a failure.
func (r *rollingOut) tellResult(step *Step) {
	s, w := r.session, step.Workload
	s.did(step.item(), w.String()+" "+step.Text())
	switch {
	case step.State == plan.Failed:
		s.line("error: %s in namespace %q: %s", w, w.Namespace, hint.OneLine(step.Reason))
		s.hint(step.Way)
	case step.State == plan.Restart:
		s.note("%s: %s", w, step.Reason)
	case step.State == plan.ChangedBack:
		s.line("changed back: %s in namespace %q %s: change it in the source of %s", w, w.Namespace, step.revertedTo(), step.Reason)
	}
}

// stopped says whether nothing more is to be patched.
func (r *rollingOut) stopped(ctx context.Context) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return ctx.Err() != nil || r.verb.FailFast && r.failed
}

// carryOut patches one workload and waits for it.
func (r *rollingOut) carryOut(ctx context.Context, step *Step) {
	switch {
	case step.State == plan.Patched && r.session.Mode != Live:
		return
	case step.State == plan.Patched && r.stopped(ctx):
		step.State = plan.NotSent
		return
	case step.State == plan.Patched:
		r.patch(ctx, step)
		if step.State != plan.Patched {
			return
		}
	case step.State != plan.Unchanged:
		return
	}
	if r.session.Mode == Live && !r.verb.NoWait && step.waits() {
		r.await(ctx, step)
	}
}

// staleBackoff is how often, and after what pauses, a patch is tried whose workload another
// process changes meanwhile.
var staleBackoff = wait.Backoff{Steps: 5, Duration: 50 * time.Millisecond, Factor: 2, Jitter: 0.1}

// patch sends the patch; where another process changed the workload meanwhile it reads and
// plans again.
func (r *rollingOut) patch(ctx context.Context, step *Step) {
	first := newOnce()
	err := retry.OnError(staleBackoff, func(err error) bool { return errors.Is(err, cluster.ErrStale) }, func() error {
		if !first() {
			if err := r.again(ctx, step); err != nil || step.State != plan.Patched {
				return err
			}
		}
		now, err := r.session.Cluster.Patch(ctx, step.Workload, step.change(), false)
		if err == nil {
			step.back = step.change().Back(step.Workload)
			step.Workload, step.judged, step.State, step.sent = now, now, plan.Patched, true
		}
		return err
	})
	switch {
	case err != nil && ctx.Err() != nil && !errors.Is(err, cluster.ErrDoubtful):
		step.State = plan.NotSent
	case cluster.NotFound(err):
		step.State = plan.NotThere
	case err != nil:
		r.fail(step, plan.Failed, err)
	}
}

// again plans the step of a workload that was changed.
func (r *rollingOut) again(ctx context.Context, step *Step) error {
	was := step.Workload
	w, err := r.session.Cluster.GetWorkload(ctx, was.Kind, was.Namespace, was.Name)
	if err != nil {
		return err
	}
	unhealthy := step.Unhealthy
	*step = *r.replan(w)
	step.Unhealthy = unhealthy
	if step.State == plan.LacksKey {
		return fmt.Errorf("it was changed meanwhile, and its pods are not known to have key %s", strings.Join(step.Lacking, ", "))
	}
	return nil
}

// shortPatience is how long what was unhealthy before, or was not patched, may stand still.
const shortPatience = 30 * time.Second

// await waits until the rollout is done, has failed, or makes no progress any more.
func (r *rollingOut) await(ctx context.Context, step *Step) {
	w, patience := step.Workload, step.Workload.Patience
	if limit := r.verb.WorkloadTimeout; limit > 0 {
		patience = limit
	}
	if step.Unhealthy || !step.sent {
		patience = min(patience, shortPatience+w.Pause)
	}
	now, err := r.tracker.await(ctx, w, patience, step.change(), func(text string) { r.session.line("%s: %s", w, text) })
	r.judge(ctx, step, now, err)
}

// judge says what became of a rollout from its last state.
func (r *rollingOut) judge(ctx context.Context, step *Step, now workload.Workload, err error) {
	p := now.Progress()
	reverted, manager := step.change().Reverted(now)
	switch {
	case errors.Is(err, errDeleted):
		step.State = plan.NotThere
	case step.sent && reverted:
		step.State, step.Reason = plan.ChangedBack, cmp.Or(step.Keeper(), manager, "another process")
	case err == nil && p.State == workload.Done:
		step.State = plan.RolledOut
	case err == nil && p.State == workload.Manual:
		step.State, step.Reason = plan.Restart, p.Text
	case ctx.Err() != nil:
		if step.Reason = "not waited for"; !step.sent {
			step.State = plan.NotSent
		}
	case step.Unhealthy, !step.sent:
		step.State, step.Reason = plan.Unhealthy, p.Text
	default:
		r.stuck(ctx, step, now, err)
	}
}

// stuck is a rollout that its controller has given up, or that stands still, with the way
// to undo it.
func (r *rollingOut) stuck(ctx context.Context, step *Step, now workload.Workload, err error) {
	w := step.Workload
	step.State, step.Reason = plan.Failed, "the rollout has not succeeded: "+now.Progress().Text
	undo := hint.Format("kubectl patch -n %s %s --type=json -p %s", w.Namespace, w, string(step.back))
	for _, pod := range r.notReady(ctx, w) {
		undo += hint.Format("; then kubectl delete pod -n %s %s if it is still not Ready", w.Namespace, pod)
	}
	switch {
	case now.Progress().State == workload.Failed:
		step.Way = "to undo it: " + undo
	case errors.Is(err, errStandsStill):
		step.Reason += "; it makes no progress"
		step.Way = "run the same command again to go on waiting; to undo it: " + undo
	default:
		step.Reason += "; " + err.Error()
		step.Way = "run the same command again to go on waiting"
	}
}

// notReady names the Pods of a StatefulSet that are not Ready: these stay also after an
// undo, until they are deleted.
func (r *rollingOut) notReady(ctx context.Context, w workload.Workload) (names []string) {
	if w.Kind != workload.StatefulSet {
		return nil
	}
	users, _ := r.session.Cluster.Users(ctx, []string{w.Namespace}, func(p workload.Workload) bool { // without them the hint says less
		return p.Kind == workload.Pod && p.Owner == string(w.Kind)+"/"+w.Name && !p.Ready
	})
	for _, p := range users[w.Namespace].Workloads {
		names = append(names, p.Name)
	}
	return names
}
