// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keysecret"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// Wire gives pod templates what they lack of the current Secrets and of the keyring.
type Wire struct {
	Workloads       []string      // TYPE/NAME, as ParseWorkload writes it
	Containers      []string      // globs over names, valid ones; none: the only one, or the default one
	MountPath       string        // of one projected volume; empty: all goes into the environment
	Exec            *Exec         // nil: the command stays
	WorkloadTimeout time.Duration // how long a rollout may make no progress; 0: as it says itself
	NoWait          bool
}

// Exec is fernet-exec before the command of a container.
type Exec = workload.Exec

// Needs says what wire needs of its session.
func (Wire) Needs() Needs { return Needs{Selects: true, Stays: true} }

// WirePlan is what wire is about to do; after Apply it is what came of it.
type WirePlan struct {
	RolloutPlan
}

// Plan looks at the Secrets and at the workloads, and asks the API server, as a dry run,
// about each patch.
func (v Wire) Plan(ctx context.Context, s *Session) (*WirePlan, error) {
	if err := v.oneCommand(len(v.Workloads)); err != nil {
		return nil, err
	}
	views, err := s.lookAll(ctx)
	if err != nil {
		return nil, err
	}
	p := &WirePlan{RolloutPlan{session: s, name: "wire", verb: Rollout{WorkloadTimeout: v.WorkloadTimeout, NoWait: v.NoWait}}}
	wirings := map[string]*workload.Wiring{} // by namespace
	p.replan = func(w workload.Workload) *Step {
		step, err := wireStep(w, wirings[w.Namespace])
		if err != nil {
			step.fail(plan.Failed, err)
		}
		return step
	}
	for _, view := range views {
		wiring, err := v.wiring(ctx, s, view)
		if err != nil {
			return nil, err
		}
		wirings[view.Namespace] = wiring
		if err := p.add(ctx, v.Workloads, view.Namespace, wiring); err != nil {
			return nil, err
		}
	}
	if err := p.found(v.Workloads); err != nil {
		return nil, err
	}
	p.ask(ctx, p.patches())
	for _, step := range p.Steps {
		p.foretell(step)
	}
	return p, ctx.Err()
}

// wiring gives what the containers of one namespace are to have.
func (v Wire) wiring(ctx context.Context, s *Session, view plan.View) (*workload.Wiring, error) {
	g := &workload.Wiring{Containers: v.Containers, MountPath: v.MountPath, Exec: v.Exec}
	var absent []string
	if g.Tokens, absent = plan.TokensOf(view, s.Project.Sealer.Judge, s.Project.Keys); len(absent) > 0 {
		return nil, s.notPushed(view.Namespace, absent)
	}
	older := plan.Successors(view, s.mine(view.Namespace), s.Project.Sealer.Judge, s.Project.Keys, s.Project.Sealer.SameValue)
	held, err := s.keyringsSeen(ctx, view.Namespace)
	if err != nil {
		return nil, err
	}
	if base := s.Settings.KeySecret; base != "" {
		newest := keysecret.Newest(held, base)
		if newest.Name == "" || !newest.Serves(s.Project.Keys) {
			return nil, hint.With(fmt.Errorf("namespace %q has no keyring %s with the keys of %s", view.Namespace, base, s.Env), "kubectl fernet push%s", s.Aimed(view.Namespace))
		}
		g.Keyring = newest.Name
		older.MoveKeyring(newest.Name, newest.IDs)
	}
	g.Next = func(name string) string {
		to, _ := older.Older(name)
		return to.Name
	}
	return g, nil
}

// notPushed says which entries, or which bundle, are not in a namespace.
func (s *Session) notPushed(namespace string, absent []string) error {
	return hint.With(fmt.Errorf("namespace %q has no current Secret of %s", namespace, hint.Few(absent)), "kubectl fernet push%s", s.Aimed(namespace))
}

// add decides about the workloads of one namespace; those that are not there are left out.
func (p *WirePlan) add(ctx context.Context, workloads []string, namespace string, wiring *workload.Wiring) error {
	for _, text := range workloads {
		kind, name := splitWorkload(text)
		w, err := p.session.Cluster.GetWorkload(ctx, kind, namespace, name)
		if cluster.NotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s in namespace %q: %w", text, namespace, err)
		}
		step, err := wireStep(w, wiring)
		if err != nil {
			return fmt.Errorf("%s in namespace %q: %w", w, namespace, err)
		}
		p.Steps = append(p.Steps, step)
	}
	return nil
}

// splitWorkload takes apart what ParseWorkload wrote.
func splitWorkload(text string) (kind workload.Kind, name string) {
	of, name, _ := strings.Cut(text, "/")
	return workloadTypes[of], name
}

// found says which workloads are in no namespace.
func (p *WirePlan) found(workloads []string) error {
	for _, text := range workloads {
		if !slices.ContainsFunc(p.Steps, func(step *Step) bool { return step.String() == text }) {
			return fmt.Errorf("%s is not in %s", text, p.session.Target.Places())
		}
	}
	return nil
}

// wireStep decides about one workload, as it is now.
func wireStep(w workload.Workload, wiring *workload.Wiring) (*Step, error) {
	fitting, err := wiring.Fit(w)
	step := &Step{Repointing: plan.Repointing{Workload: w}, wiring: wiring, fitting: fitting}
	switch {
	case err != nil:
	case fitting.Unchanged():
		step.State = plan.Unchanged
	case !w.Kind.Patchable():
		step.State, step.Reason = plan.ByHand, "put what it lacks into its manifest, and create it again"
	case step.Keeper() != "":
		step.State = plan.Left
	default:
		step.State = plan.Patched
		step.Unhealthy = w.Progress().State == workload.Waiting || w.Progress().State == workload.Failed
	}
	return step, err
}

// foretell says what the user has to know about a workload before it is patched.
func (p *WirePlan) foretell(step *Step) {
	s, w, fitting := p.session, step.Workload, step.fitting
	if len(fitting.Older) > 0 {
		s.line("%s in namespace %q names %s, older than the current generation", w, w.Namespace, hint.Few(fitting.Older))
		s.hint(hint.Format("kubectl fernet rollout%s %s", s.Aimed(w.Namespace), w.String()))
	}
	for _, own := range fitting.Own {
		s.warn("%s in namespace %q, %s: the template sets this variable itself, which wins over the Secret", w, w.Namespace, own)
	}
	for _, container := range fitting.Keyless {
		s.warn("%s in namespace %q, %s: nothing in the template says where it has a key", w, w.Namespace, container)
		s.hint(hint.Format("kubectl fernet push%s --key-secret fernet-key keeps the keyring in the cluster; then wire with the same flag", s.Aimed(w.Namespace)))
	}
	if step.State == plan.Denied {
		s.line("error: %s in namespace %q: %s", w, w.Namespace, hint.OneLine(step.Reason))
		s.hint(step.Way)
	}
}

// Older says whether a workload names an older generation, which is left to rollout.
func (p *WirePlan) Older() bool {
	return slices.ContainsFunc(p.Steps, func(step *Step) bool { return len(step.fitting.Older) > 0 })
}

// Fragment gives what a workload lacked, as a part of its manifest; nil for nothing.
func (p *WirePlan) Fragment(step *Step) map[string]any {
	if step.fitting.Unchanged() {
		return nil
	}
	return step.fitting.Fragment(step.Workload.Kind)
}

// Objects gives the workloads as they are now or, in a dry run, as they would be.
func (p *WirePlan) Objects() (objects []runtime.Object, err error) {
	for _, step := range p.Steps {
		w, fitting := step.Workload, step.fitting
		switch {
		case p.session.Mode == Live:
			fitting = workload.Fitting{} // of what was sent, the workload is what came of it
		case step.judged.Raw != nil:
			w, fitting = step.judged, workload.Fitting{}
		}
		if w, err = fitting.Apply(w); err != nil {
			return nil, err
		}
		objects = append(objects, w.Raw)
	}
	return objects, nil
}

var errNothingToWire = errors.New("no workload in these manifests")

// Manifest is an object of a file.
type Manifest struct {
	*unstructured.Unstructured
	Changed bool // wire has added to it
	Older   bool // it names a generation that is not the current one
}

// ManifestNeeds are those of Manifests: the names of the entries and the ledger, and no cluster.
func (Wire) ManifestNeeds() Needs {
	return Needs{Read: Names, Selects: true, Spreads: true, KeyLess: true, Offline: true}
}

// Manifests adds to the workloads among these objects what they lack, by what the ledger
// has. keyring is the Secret to name, with its generation; empty: as the objects name it,
// or the first one, where no other can be there.
func (v Wire) Manifests(s *Session, objects []*unstructured.Unstructured, keyring string) (list []Manifest, err error) {
	wired := map[string]bool{}
	for _, o := range objects {
		w, ok, err := workload.OfManifest(o)
		if ok && len(v.Workloads) > 0 && !slices.Contains(v.Workloads, w.String()) {
			ok, err = false, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w, err)
		}
		if !ok {
			list = append(list, Manifest{Unstructured: o})
			continue
		}
		wired[w.String()] = true
		m, err := v.manifest(s, w, keyring)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w, err)
		}
		list = append(list, m)
	}
	for _, text := range v.Workloads {
		if !wired[text] {
			return nil, fmt.Errorf("%s is not in these manifests", text)
		}
	}
	if len(wired) == 0 {
		return nil, errNothingToWire
	}
	return list, v.oneCommand(len(wired))
}

// oneCommand refuses a command that would be that of several workloads.
func (v Wire) oneCommand(workloads int) error {
	if v.Exec != nil && len(v.Exec.Command) > 0 && workloads > 1 {
		return hint.With(errors.New("what stands after -- is the command of one container, and there are several workloads"), "name one of them")
	}
	return nil
}

// manifest adds to one workload.
func (v Wire) manifest(s *Session, w workload.Workload, keyring string) (Manifest, error) {
	namespaces := s.Target.Namespaces
	if w.Namespace != "" {
		namespaces = []string{w.Namespace}
	}
	var fitting workload.Fitting
	for i, namespace := range namespaces {
		g, err := v.recordedWiring(s, namespace, w, keyring)
		if err != nil {
			return Manifest{}, err
		}
		f, err := g.Fit(w)
		if err == nil && keyring == "" && g.Keyring != "" && !f.Unchanged() && manyKeys(s.Known[namespace].Records) {
			err = s.unknownKeyring()
		}
		if err != nil {
			return Manifest{}, err
		}
		if i > 0 && !reflect.DeepEqual(f.Fragment(w.Kind), fitting.Fragment(w.Kind)) {
			return Manifest{}, hint.With(fmt.Errorf("the namespaces %s have different generations", hint.Few(namespaces)), "-n %s", namespaces[0])
		}
		fitting = f
	}
	for _, own := range fitting.Own {
		s.warn("%s, %s: the template sets this variable itself, which wins over the Secret", w, own)
	}
	for _, container := range fitting.Keyless {
		s.warn("%s, %s: nothing in the template says where it has a key", w, container)
	}
	after, err := fitting.Apply(w)
	if err != nil {
		return Manifest{}, err
	}
	if len(fitting.Older) > 0 {
		s.line("%s names %s, older than the current generation", w, hint.Few(fitting.Older))
	}
	return Manifest{after.Raw.(*unstructured.Unstructured), !fitting.Unchanged(), len(fitting.Older) > 0}, nil
}

// recordedWiring is wiring by the ledger alone.
func (v Wire) recordedWiring(s *Session, namespace string, w workload.Workload, keyring string) (*workload.Wiring, error) {
	g := &workload.Wiring{Containers: v.Containers, MountPath: v.MountPath, Exec: v.Exec, Keyring: keyring}
	at := s.Known[namespace]
	view := s.completed(plan.Offline(s.Target.Cluster, namespace, at.Records, at.Past))
	var absent []string
	if g.Tokens, absent = plan.TokensRecorded(view); len(absent) > 0 {
		return nil, s.notPushed(namespace, absent)
	}
	if len(g.Tokens) == 0 {
		return nil, fmt.Errorf("%s is not there, and nothing else says which Secrets are meant", s.Env)
	}
	var err error
	if g.Keyring == "" && s.Settings.KeySecret != "" {
		g.Keyring, err = s.namedKeyring(w, at.Records)
	}
	wanted := slices.Clone(view.Wanted)
	current := map[string]string{}
	for i, t := range g.Tokens {
		current[wanted[i].Base] = t.Secret
	}
	if base, _, numbered := names.SplitNumbered(g.Keyring); numbered {
		wanted, current[base] = append(wanted, plan.Wanted{Base: base}), g.Keyring // it is numbered as a bundle is
	}
	g.Next = func(name string) string {
		base, generation := names.Split(name)
		for _, w := range wanted {
			if w.Base == base && w.Secret(generation) == name {
				return current[base]
			}
		}
		return ""
	}
	return g, err
}

// namedKeyring gives the generation of the keyring that a manifest names, or the first one
// where no rotation can have made another: the ledger has no rows of keyrings.
func (s *Session) namedKeyring(w workload.Workload, records []ledger.Record) (string, error) {
	base, top := s.Settings.KeySecret, 0
	for _, ref := range w.References() {
		if of, generation, numbered := names.SplitNumbered(ref.Secret); numbered && of == base {
			top = max(top, generation)
		}
	}
	if top == 0 && manyKeys(records) {
		return "", s.unknownKeyring()
	}
	return names.Numbered(base, max(top, 1)), nil
}

// manyKeys says that there was a rotation, so that a keyring which a manifest names may be
// an older one.
func manyKeys(records []ledger.Record) bool {
	return slices.ContainsFunc(records, func(r ledger.Record) bool { return r.KeyID != records[0].KeyID })
}

func (s *Session) unknownKeyring() error {
	base := s.Settings.KeySecret
	return hint.With(fmt.Errorf("which generation of the keyring %s is the current one, only the cluster knows", base), "kubectl fernet status shows it; name it: --keyring %s", names.Numbered(base, 2))
}
