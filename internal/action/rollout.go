// SPDX-License-Identifier: Apache-2.0

package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keysecret"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// Rollout points the workloads to the current generations, and waits.
type Rollout struct {
	Only, Skip      []string        // TYPE/NAME, as ParseWorkload writes it; no Only: all
	Selector        labels.Selector // nil: all
	AppsHaveKey     string          // the id of a key that the applications have already
	MaxProgressing  int             // workloads that are patched and not yet done
	WorkloadTimeout time.Duration   // of each rollout; 0: as long as it makes progress in its own time
	Force           bool            // patches what others keep, too
	Values          bool            // changed values follow
	Unproven        bool            // so does what is gone and cannot be compared
	FailFast        bool            // after a failure nothing more is patched
	NoWait          bool            // patches only
	DropPrevious    bool            // the keyring Secrets lose every previous key now
}

// DefaultMaxProgressing is how many workloads roll out at once where nothing else is said.
const DefaultMaxProgressing = 5

// Needs says what rollout needs of its session.
func (Rollout) Needs() Needs { return Needs{Writes: true, Spreads: true, Selects: true, InPart: true} }

// RolloutPlan is what rollout is about to do; after Apply it is what came of it.
type RolloutPlan struct {
	Steps []*Step
	Blind bool // some kind of workload could not be looked at

	verb        Rollout
	name        string // of the verb whose rights it needs
	session     *Session
	generations map[string]plan.Generations // by namespace
	keyrings    []keyringPlace              // whose next generation is to be made
	replan      func(w workload.Workload) *Step
}

// keyringPlace is where a keyring Secret is.
type keyringPlace struct{ namespace, base string }

// Plan looks at all workloads of the session's namespaces and asks the API server, as a dry
// run, about each patch.
func (v Rollout) Plan(ctx context.Context, s *Session) (*RolloutPlan, error) {
	if v.AppsHaveKey != "" && !s.Project.Keys.Has(v.AppsHaveKey) {
		return nil, hint.With(fmt.Errorf("--apps-have-key %s: this keyring has no such key", v.AppsHaveKey), "it has %s", hint.List(s.Project.Keys.IDs()))
	}
	if s.Cluster == nil { // what it follows has connected already
		if err := s.dial(); err != nil {
			return nil, err
		}
	}
	views, err := s.lookAll(ctx)
	if err != nil {
		return nil, err
	}
	p := &RolloutPlan{verb: v, name: "rollout", session: s, generations: map[string]plan.Generations{}}
	p.replan = p.step
	all, err := s.referrers(ctx, views)
	if err != nil {
		return nil, err
	}
	for _, view := range views {
		held, err := s.keyringsSeen(ctx, view.Namespace)
		if err != nil {
			return nil, err
		}
		p.add(view, all[view.Namespace], held)
	}
	if err := p.choose(); err != nil {
		return nil, err
	}
	return p, p.foresee(ctx)
}

// add decides about the workloads of one namespace.
func (p *RolloutPlan) add(view plan.View, found referrers, held []keysecret.Held) {
	s := p.session
	g := plan.Successors(view, s.mine(view.Namespace), s.Project.Sealer.Judge, s.Project.Keys, s.Project.Sealer.SameValue)
	p.generations[view.Namespace] = g
	for _, h := range held {
		g.AddKeyring(h.Name, h.IDs)
	}
	for _, base := range namedBases(found, held) {
		p.moveKeyring(view.Namespace, keysecret.Newest(held, base), found.workloads)
	}
	if len(found.denied) > 0 {
		p.Blind = true
		s.unseen(view.Namespace, unlooked(found.denied))
		s.Unseen[len(s.Unseen)-1].Role = "rollout" // a part of push and rotate too
	}
	if len(found.custom) > 0 {
		s.note("namespace %q: %s", view.Namespace, unlooked(found.custom))
	}
	steps := p.byHand(view.Namespace, found)
	for _, w := range found.workloads {
		steps = append(steps, p.step(w))
	}
	for _, step := range steps {
		step.fields = fieldsIn(found, step.owner())
		if step.concerns() {
			p.Steps = append(p.Steps, step)
		}
	}
	slices.SortStableFunc(p.Steps, func(a, b *Step) int {
		return cmp.Or(strings.Compare(a.Workload.Namespace, b.Workload.Namespace), strings.Compare(a.String(), b.String()))
	})
}

// byHand gives the steps of what cannot be patched: Jobs, bare Pods and ReplicaSets, custom
// resources. What a workload owns, or owns one, is none of them.
func (p *RolloutPlan) byHand(namespace string, found referrers) (steps []*Step) {
	patched := map[string]bool{}
	for _, w := range found.workloads {
		patched[w.Object()] = true
	}
	for _, f := range found.findings {
		patched[f.Root] = patched[f.Root] || patched[f.Object()]
	}
	named := map[string][]string{}
	for _, f := range found.findings {
		if f.Class == usage.Use && !patched[f.Root] {
			named[f.Root] = append(named[f.Root], f.Secret)
		}
	}
	for _, root := range SortedKeys(named) {
		kind, name, _ := strings.Cut(short(root), "/")
		w := workload.Workload{Kind: workload.Kind(kind), Namespace: namespace, Name: name}
		step := &Step{Repointing: plan.RepointNames(w, named[root], p.generations[namespace], p.options()), root: root, kind: kindIn(found, root)}
		step.State = step.first(p.verb.Force)
		steps = append(steps, step)
	}
	return steps
}

// kindIn gives the kind of an object as the API writes it, if it was looked at.
func kindIn(found referrers, object string) string {
	for _, f := range found.findings {
		if f.Object() == object {
			return f.Kind
		}
	}
	kind, _, _ := strings.Cut(object, "/")
	kind, _, _ = strings.Cut(kind, ".")
	return kind
}

// fieldsIn gives where an object names Secrets.
func fieldsIn(found referrers, object string) (fields []string) {
	for _, f := range found.findings {
		if f.Class == usage.Use && strings.EqualFold(f.Object(), object) && !slices.Contains(fields, f.Field) {
			fields = append(fields, f.Field)
		}
	}
	return fields
}

// namedBases are the base names of the keyring Secrets that something names, also by a
// generation that is gone.
func namedBases(found referrers, held []keysecret.Held) (bases []string) {
	for _, f := range found.findings {
		if base, _, numbered := names.SplitNumbered(f.Secret); numbered && f.Class == usage.Use && keysecret.Newest(held, base).Name != "" {
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	return slices.Compact(bases)
}

// moveKeyring makes the newest generation of a keyring Secret the one to name, or the next
// one, where that would have what the newest lacks: KEY as its first key, the staged key, or
// with --drop-previous the absence of the previous ones; or a key that a workload needs which
// names the keyring.
func (p *RolloutPlan) moveKeyring(namespace string, newest keysecret.Held, list []workload.Workload) {
	g := p.generations[namespace]
	g.MoveKeyring(newest.Name, newest.IDs)
	lacks := slices.ContainsFunc(list, func(w workload.Workload) bool { return namesBase(w, newest.Base) && len(p.step(w).Lacking) > 0 })
	serves := !p.verb.DropPrevious && newest.Current(p.session.Project.Keys) && !lacks
	if serves || newest.Holds(p.ring()) {
		return
	}
	p.keyrings = append(p.keyrings, keyringPlace{namespace, newest.Base})
	g.MoveKeyring(names.Numbered(newest.Base, newest.Generation+1), p.ring().IDs())
}

// namesBase says whether a workload names any generation of a keyring Secret.
func namesBase(w workload.Workload, keyring string) bool {
	return slices.ContainsFunc(w.References(), func(ref workload.Reference) bool {
		base, _, numbered := names.SplitNumbered(ref.Secret)
		return numbered && base == keyring
	})
}

// choose keeps the workloads that were asked for.
func (p *RolloutPlan) choose() error {
	v := p.verb
	for _, name := range v.Only {
		if !slices.ContainsFunc(p.Steps, func(step *Step) bool { return step.String() == name }) {
			return hint.With(fmt.Errorf("%s names no Secret of this .env in %s", name, p.session.Target.Places()), "kubectl fernet rollout%s --dry-run lists those that do", p.session.Flags())
		}
	}
	p.Steps = slices.DeleteFunc(p.Steps, func(step *Step) bool {
		name := step.Workload.String()
		return len(v.Only) > 0 && !slices.Contains(v.Only, name) || slices.Contains(v.Skip, name) ||
			v.Selector != nil && !v.Selector.Matches(labels.Set(step.Workload.Labels))
	})
	return nil
}

func (p *RolloutPlan) options() plan.RepointOptions {
	return plan.RepointOptions{AppsHaveKey: p.verb.AppsHaveKey, Values: p.verb.Values, Unproven: p.verb.Unproven}
}

// step decides about one workload, as it is now.
func (p *RolloutPlan) step(w workload.Workload) *Step {
	g := p.generations[w.Namespace]
	step := &Step{Repointing: plan.Repoint(w, g, p.options())}
	step.State = step.first(p.verb.Force)
	mended := slices.ContainsFunc(SortedKeys(step.Rename), func(name string) bool { return !g.Live[name] })
	step.Unhealthy = !mended && (w.Progress().State == workload.Waiting || w.Progress().State == workload.Failed)
	return step
}

// foresee asks the API server about each patch, and reports what the user has to know before
// the first one.
func (p *RolloutPlan) foresee(ctx context.Context) error {
	p.ask(ctx, p.patches())
	for _, step := range p.Steps {
		p.foretell(step)
	}
	return ctx.Err()
}

// ask has the API server judge patches, as a dry run.
func (p *RolloutPlan) ask(ctx context.Context, steps []*Step) {
	if p.session.Mode == Client {
		return
	}
	var group errgroup.Group
	group.SetLimit(sideBySide)
	for _, step := range steps {
		group.Go(redact.Guard(func() error {
			now, err := p.session.Cluster.Patch(ctx, step.Workload, step.change(), true)
			step.judged = now
			if err != nil && !errors.Is(err, cluster.ErrStale) && !errors.Is(err, cluster.ErrDoubtful) { // these are for the patch itself
				p.fail(step, plan.Denied, err)
			}
			return nil
		}))
	}
	_ = group.Wait() // each step has an error of its own
}

// Accept lets what is gone and cannot be compared follow to the current values.
func (p *RolloutPlan) Accept(ctx context.Context) error {
	p.verb.Unproven = true
	var accepted []*Step
	for _, step := range p.Steps {
		if len(step.Unproven) == 0 || step.root != "" {
			continue
		}
		fields := step.fields
		*step = *p.step(step.Workload)
		if step.fields = fields; step.State == plan.Patched {
			accepted = append(accepted, step)
		}
	}
	p.ask(ctx, accepted)
	return ctx.Err()
}

func (p *RolloutPlan) patches() (steps []*Step) {
	for _, step := range p.Steps {
		if step.State == plan.Patched {
			steps = append(steps, step)
		}
	}
	return steps
}

// Patches says how many workloads Apply patches.
func (p *RolloutPlan) Patches() int { return len(p.patches()) }

// Unproven gives the workloads that name what is gone and cannot be compared.
func (p *RolloutPlan) Unproven() (workloads []string) {
	for _, step := range p.Steps {
		if len(step.Unproven) > 0 {
			workloads = append(workloads, step.String())
		}
	}
	return workloads
}

// Failed says whether a patch was refused, or a rollout failed.
func (p *RolloutPlan) Failed() bool {
	return slices.ContainsFunc(p.Steps, func(step *Step) bool { return step.failed() })
}

// Findings says whether something is left to do.
func (p *RolloutPlan) Findings() bool {
	return p.Blind || slices.ContainsFunc(p.Steps, func(step *Step) bool {
		return step.left() || len(step.Changed)+len(step.Unproven) > 0 || len(step.Rename) > 0 && step.Keeper() != ""
	})
}

// fail is a step's fail, and names the command that prints the rights which it lacked.
func (p *RolloutPlan) fail(step *Step, state plan.State, err error) {
	step.fail(state, WithRights(err, p.name))
}

// flags gives the flags with which a rollout of a hint goes as far as this one.
func (p *RolloutPlan) flags() hint.Text {
	flags := p.session.Flags()
	if p.verb.AppsHaveKey != "" {
		flags += hint.Format(" --apps-have-key %s", p.verb.AppsHaveKey)
	}
	return flags
}

// foretell says what the user has to do about a workload beyond the patch.
func (p *RolloutPlan) foretell(step *Step) {
	s, w := p.session, step.Workload
	if len(step.Changed) > 0 {
		s.line("differs: %s in namespace %q names %s, whose value is not the current one", w, w.Namespace, hint.Few(step.Changed))
		s.hint(hint.Format("kubectl fernet rollout%s --update lets it follow to the current value", p.flags()))
	}
	if len(step.Unproven) > 0 {
		s.line("broken: %s in namespace %q names %s: gone, and nothing proves that it had the current value", w, w.Namespace, hint.Few(step.Unproven))
		s.hint(hint.Format("kubectl fernet rollout%s --update points it to the current value", p.flags()))
	}
	switch step.State {
	case plan.ByHand:
		s.line("%s in namespace %q names %s: %s %s", w, w.Namespace, hint.Few(SortedKeys(step.Rename)), step.byHand(), hint.Few(step.Successors()))
	case plan.LacksKey:
		s.line("lacks key %s: %s in namespace %q is not patched: its pods may not have that key yet", strings.Join(step.Lacking, ", "), w, w.Namespace)
	case plan.LacksEntry:
		s.line("error: %s in namespace %q is not patched: %s", w, w.Namespace, step.absent())
		s.hint(hint.Format("take those names out of its template, or the entries back into %s, then: kubectl fernet push --update%s", s.Env, s.Flags()))
	case plan.Denied:
		s.line("error: %s in namespace %q: %s", w, w.Namespace, hint.OneLine(step.Reason))
		s.hint(step.Way)
	case plan.Patched:
		if step.Unhealthy {
			s.line("unhealthy already: %s in namespace %q: %s; it is patched last", w, w.Namespace, w.Progress().Text)
		}
	}
	for _, name := range step.Replaced {
		s.warn("%s in namespace %q names %s, whose entries are in %s now: change it there; the names of the data keys stay", w, w.Namespace, name, p.generations[w.Namespace].Replaced[name])
	}
	p.behind(step)
}

// behind reports the change to make where a workload is applied from: in the source of who
// keeps it, or else in a file.
func (p *RolloutPlan) behind(step *Step) {
	s, w, g := p.session, step.Workload, p.generations[step.Workload.Namespace]
	next := func(name string) string {
		to, _ := g.Older(name)
		return to.Name
	}
	var list []workload.Behind
	if step.Keeper() != "" {
		for _, ref := range w.References() {
			if to := next(ref.Secret); to != "" {
				list = append(list, workload.Behind{Where: ref.Where, Old: ref.Secret, New: to})
			}
		}
	} else {
		list = w.Behind(next)
	}
	if len(list) == 0 {
		return
	}
	var changes []string
	for _, b := range list {
		text := fmt.Sprintf("%s to %s (%s)", b.Old, b.New, b.Where)
		if to, _ := g.Older(b.Old); !to.SameValue && !p.verb.Values {
			text = fmt.Sprintf("%s to %s (%s, another value)", b.Old, b.New, b.Where)
		}
		changes = append(changes, text)
	}
	where, undone := "the file that it is applied from", "; or the next apply goes back"
	if keeper := step.Keeper(); keeper != "" {
		where, undone = "the source of "+keeper, ""
		if len(step.fields) > 0 {
			where = keeper + ", " + hint.Few(step.fields) + ","
		}
	}
	s.warn("the manifest of %s in namespace %q is behind: in %s change %s%s", w, w.Namespace, where, strings.Join(changes, "; "), undone)
}
