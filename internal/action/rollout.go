// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keysecret"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// Rollout points the workloads to the current generations, and waits.
type Rollout struct {
	AppsHaveKey string        // the id of a key that the applications hold already
	Timeout     time.Duration // of all rollouts together
	Force       bool          // patches what others keep, too
	Values      bool          // changed values follow
}

// Needs says what rollout needs of its session.
func (Rollout) Needs() Needs { return Needs{Writes: true, Spreads: true, InPart: true} }

// RolloutPlan is what rollout is about to do.
type RolloutPlan struct {
	verb        Rollout
	session     *Session
	generations map[string]plan.Generations // by namespace
	steps       []plan.Repointing
	keyrings    []keyringPlace // whose next generation is to be made
	findings    bool
	blind       bool // some kind of workload could not be looked at
}

// keyringPlace is where a keyring Secret is.
type keyringPlace struct{ namespace, base string }

// Plan looks at all workloads of the session's namespaces, and refuses before the first
// patch what could not be finished.
func (v Rollout) Plan(ctx context.Context, s *Session) (*RolloutPlan, error) {
	if v.AppsHaveKey != "" && !s.Project.Keys.Has(v.AppsHaveKey) {
		return nil, hint.With(fmt.Errorf("--apps-have-key %s: this keyring has no such key", v.AppsHaveKey), "it has %s", hint.List(s.Project.Keys.IDs()))
	}
	if s.Cluster == nil { // a push of nothing did not need it
		if err := s.dial(); err != nil {
			return nil, err
		}
	}
	views, err := s.lookAll(ctx)
	if err != nil {
		return nil, err
	}
	p := &RolloutPlan{verb: v, session: s, generations: map[string]plan.Generations{}}
	for _, view := range views {
		if err := p.look(ctx, view); err != nil {
			return nil, err
		}
	}
	return p, p.refuse()
}

// Patches says how many workloads Apply patches.
func (p *RolloutPlan) Patches() (n int) {
	for _, step := range p.steps {
		if step.Patched(p.verb.Force) {
			n++
		}
	}
	return n
}

// Apply makes the keyrings, then patches the workloads one by one and waits for each.
// findings says that something is left to do.
func (p *RolloutPlan) Apply(ctx context.Context) (findings bool, err error) {
	s := p.session
	for _, place := range p.keyrings {
		if err := s.ensureKeyring(ctx, place.namespace, place.base, false); err != nil {
			return p.findings, err
		}
	}
	limited, cancel := context.WithTimeout(ctx, p.verb.Timeout)
	defer cancel()
	for _, step := range p.steps {
		err := p.carryOut(limited, step)
		if err != nil && ctx.Err() != nil {
			return p.findings, context.Canceled
		}
		if err != nil {
			return p.findings, err
		}
	}
	if len(p.steps) == 0 && !p.blind {
		s.note("no workload in %s names a Secret of this .env", s.Target.Places())
	}
	return p.findings, nil
}

// look finds the workloads of one namespace and what each needs.
func (p *RolloutPlan) look(ctx context.Context, view plan.View) error {
	s := p.session
	mine := plan.Mine(view.Records, s.Project.Wanted)
	g := plan.Successors(view, mine, s.Project.Sealer.Judge, s.Project.Keys, s.Project.Sealer.SameValue)
	list, denied, err := s.Cluster.Workloads(ctx, view.Namespace)
	if err != nil {
		return err
	}
	if err := p.addKeyrings(ctx, view.Namespace, g, list); err != nil {
		return err
	}
	p.generations[view.Namespace] = g
	if len(denied) > 0 {
		p.findings, p.blind = true, true
		s.warn("namespace %q: not allowed to look at %s", view.Namespace, strings.Join(denied, ", "))
		s.hint("kubectl fernet rbac --for rollout prints the Role that it needs")
	}
	for _, w := range list {
		step := p.step(w)
		if !w.Finished && (len(step.Rename)+len(step.Changed) > 0 || step.Current) {
			p.steps = append(p.steps, step)
		}
	}
	return nil
}

// step decides about one workload, as it is now.
func (p *RolloutPlan) step(w workload.Workload) plan.Repointing {
	return plan.Repoint(w, p.generations[w.Namespace], p.verb.AppsHaveKey, p.verb.Values)
}

// addKeyrings finds the keyring Secrets that workloads name. One that does not hold the
// current keyring gets its next generation before the first patch.
func (p *RolloutPlan) addKeyrings(ctx context.Context, namespace string, g plan.Generations, list []workload.Workload) error {
	keys := p.session.Project.Keys
	all, err := p.session.keyrings(ctx, namespace)
	if err != nil {
		return err
	}
	named := map[string]bool{}
	for _, w := range list {
		for _, ref := range w.References() {
			named[ref.Secret] = true
		}
	}
	for _, held := range all {
		newest := keysecret.Newest(all, held.Base)
		name, ids := newest.Name, newest.IDs
		if !newest.Serves(keys) && named[held.Name] {
			name, ids = names.Numbered(held.Base, newest.Generation+1), keys.IDs()
			if place := (keyringPlace{namespace, held.Base}); !slices.Contains(p.keyrings, place) {
				p.keyrings = append(p.keyrings, place)
			}
		}
		g.AddKeyring(held.Name, name, ids)
	}
	return nil
}

// refuse ends the run before the first patch where pods would get tokens that they could
// not open.
func (p *RolloutPlan) refuse() error {
	workloads, keys := plan.Refused(p.steps, p.verb.Force)
	if len(workloads) == 0 {
		return nil
	}
	return hint.With(fmt.Errorf("nothing was patched: nobody has said that the pods of %s hold key %s", hint.Few(workloads), strings.Join(keys, ", ")),
		"give them that key, then --apps-have-key %s; or keep the keyring in the cluster: kubectl fernet rotate%s --key-secret fernet-key, and name it in their templates", keys[0], EnvFlag(p.session.Env))
}

// carryOut patches one workload and waits for it.
func (p *RolloutPlan) carryOut(ctx context.Context, step plan.Repointing) error {
	w := step.Workload
	p.tell(step)
	switch {
	case len(step.Rename) == 0 && len(step.Changed) > 0, len(step.Rename) > 0 && !step.Patched(p.verb.Force):
		p.findings = true
		return nil
	case len(step.Rename) == 0:
		return p.await(ctx, w, step, "unchanged")
	case p.session.Mode == Client:
		p.did(w, "patched")
		return nil
	}
	now, step, err := p.patch(ctx, step)
	if err != nil {
		return fmt.Errorf("%s in namespace %q: %w", w, w.Namespace, err)
	}
	return p.await(ctx, now, step, "patched")
}

// staleBackoff is how often, and after what pauses, a patch is tried whose workload another
// process changes meanwhile.
var staleBackoff = wait.Backoff{Steps: 5, Duration: 50 * time.Millisecond, Factor: 2, Jitter: 0.1}

// patch sends the patch; where another process changed the workload meanwhile it reads
// and plans again.
func (p *RolloutPlan) patch(ctx context.Context, step plan.Repointing) (now workload.Workload, sent plan.Repointing, err error) {
	first := newOnce()
	err = retry.OnError(staleBackoff, func(err error) bool { return errors.Is(err, cluster.ErrStale) }, func() (err error) {
		if !first() {
			if step, err = p.again(ctx, step.Workload); err != nil {
				return err
			}
		}
		now, err = p.session.Cluster.Repoint(ctx, step.Workload, step.Rename, p.session.Mode == Server)
		return err
	})
	return now, step, err
}

// again plans the step of a workload that was changed.
func (p *RolloutPlan) again(ctx context.Context, was workload.Workload) (plan.Repointing, error) {
	w, err := p.session.Cluster.GetWorkload(ctx, was.Kind, was.Namespace, was.Name)
	if err != nil {
		return plan.Repointing{}, err
	}
	step := p.step(w)
	if len(step.Lacking) > 0 {
		err = fmt.Errorf("it was changed meanwhile, and its pods are not known to hold key %s", strings.Join(step.Lacking, ", "))
	}
	return step, err
}

// await waits until the rollout is done; where it fails the error says how to undo it. A
// CronJob has none: its next Job takes the change.
func (p *RolloutPlan) await(ctx context.Context, w workload.Workload, step plan.Repointing, word string) error {
	s := p.session
	settled := w.Progress().State == workload.Done && len(step.Rename) == 0
	if !w.Kind.Patchable() || w.Kind == workload.CronJob || s.Mode != Live || settled {
		p.did(w, word)
		return nil
	}
	said := ""
	now, err := s.Cluster.AwaitRollout(ctx, w, func(text string) {
		if text != said {
			s.line("%s: %s", w, text)
			said = text
		}
	})
	var failed *cluster.RolloutError
	switch {
	case errors.As(err, &failed):
		p.did(w, word+", not rolled out")
		return undo(step, failed)
	case err != nil:
		return err
	case now.Progress().State == workload.Manual:
		p.did(w, word+", restart it")
		s.note("%s: %s", w, now.Progress().Text)
		return nil
	default:
		p.did(w, word+" and rolled out")
		return nil
	}
}

// undo is the error of a failed rollout, with the patch that takes it back.
func undo(step plan.Repointing, failed *cluster.RolloutError) error {
	text := failed.Text
	if failed.TimedOut {
		text += "; the time that --workload-timeout gives is over"
	}
	err := fmt.Errorf("the rollout of %s in namespace %q has not succeeded (%s); the workloads after it were not touched", failed.Workload, step.Workload.Namespace, text)
	if len(step.Rename) == 0 {
		return hint.With(err, "kubectl rollout status -n %s %s; run the same command again to go on", step.Workload.Namespace, step.Workload)
	}
	back := hint.Format("the way back: kubectl patch -n %s %s --type=json -p %s", step.Workload.Namespace, step.Workload, string(step.Workload.Back(step.Rename)))
	for _, pod := range failed.NotReady {
		back += hint.Format("; then kubectl delete pod -n %s %s if it is still not Ready", step.Workload.Namespace, pod)
	}
	return hint.With(err, "%s", back)
}

func (p *RolloutPlan) did(w workload.Workload, what string) {
	p.session.did(w.Namespace, "%s %s", w, what)
}

// tell says what the user has to do about a workload beyond the patch.
func (p *RolloutPlan) tell(step plan.Repointing) {
	s, w := p.session, step.Workload
	if len(step.Changed) > 0 {
		p.findings = true
		s.line("differs: %s in namespace %q names %s, whose value is not the current one", w, w.Namespace, hint.Few(step.Changed))
		s.hint("kubectl fernet rollout --update lets it follow to the current value")
	}
	if len(step.Rename) > 0 && !w.Kind.Patchable() {
		p.did(w, "cannot be patched")
		s.line("%s in namespace %q names %s: start it again with %s", w, w.Namespace, hint.Few(SortedKeys(step.Rename)), hint.Few(step.Successors()))
	}
	if manager := w.Manager(); p.left(step) {
		p.did(w, "left to "+manager)
	}
	if len(step.Lacking) > 0 && !step.Patched(p.verb.Force) {
		s.hint(hint.Format("give its pods key %s first, or they cannot open what they then get", hint.List(step.Lacking)))
	}
	p.behind(step)
}

// left says whether a workload is left to whoever keeps its manifest.
func (p *RolloutPlan) left(step plan.Repointing) bool {
	return len(step.Rename) > 0 && step.Workload.Manager() != "" && !p.verb.Force
}

// behind tells the change to make in the files that a workload is applied from.
func (p *RolloutPlan) behind(step plan.Repointing) {
	s, w := p.session, step.Workload
	g := p.generations[w.Namespace]
	next := func(name string) string {
		if to, older := g.Older(name); older && (to.SameValue || p.verb.Values) {
			return to.Name
		}
		return ""
	}
	for _, b := range w.Behind(next, func(name string) bool { return g.Current[name] }) {
		p.findings = true
		from := b.Old
		if from == "" {
			from = "the older name"
		}
		s.line("manifest is behind: %s in namespace %q, %s: change %s to %s (%s), or the next apply goes back", w, w.Namespace, b.Where, from, b.New, b.Source)
	}
	if !p.left(step) {
		return
	}
	for _, ref := range w.References() {
		if name, ok := step.Rename[ref.Secret]; ok {
			s.line("manifest is behind: %s in namespace %q, %s: change %s to %s in the source that %s applies", w, w.Namespace, ref.Where, ref.Secret, name, w.Manager())
		}
	}
}
