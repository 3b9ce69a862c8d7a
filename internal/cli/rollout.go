// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keysecret"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

const rolloutLong = `Point the workloads to the current generations, and wait.

Deployments, StatefulSets, DaemonSets and CronJobs that name an older generation
of a Secret get one patch each, tokens and keyring together; Kubernetes' own
rolling update does the rest. A reference moves only to a Secret with the same
value; --update lets changed values follow too.

A workload is patched only when its key goes with it: its template names our
keyring Secret (rotate --key-secret), or --apps-hold names the key that the
applications hold already. Otherwise nothing is patched at all.

When a rollout fails it stops there and prints the way back: the old generations
are still there. Who applies an older manifest again goes back too, so what has
to change in the files is printed. Workloads that Argo CD, Flux or Helm keep are
left to them, unless --force says otherwise.`

const rolloutExample = `  # workloads that name our keyring Secret
  kubectl fernet rollout

  # applications were given the key that rotate --prepare staged
  kubectl fernet rollout --apps-hold kab12cd34

  # what would be patched
  kubectl fernet rollout --dry-run`

// rolloutOptions are the flags of a rollout, on its own or after rotate and push.
type rolloutOptions struct {
	timeout  time.Duration
	appsHold string
	force    bool
	values   bool // changed values follow
}

func (o *rolloutOptions) addFlags(f *pflag.FlagSet) {
	f.DurationVar(&o.timeout, "timeout", defaultTimeout, "how long all rollouts together may take")
	f.StringVar(&o.appsHold, "apps-hold", "", "the id of a key that the applications hold already")
	f.BoolVar(&o.force, "force", false, "patch also what Argo CD, Flux or Helm keep")
}

const defaultTimeout = 5 * time.Minute

var keyID = regexp.MustCompile(`^k[0-9a-f]{8}$`)

func (o *rolloutOptions) validate() error {
	switch {
	case o.appsHold != "" && !keyID.MatchString(o.appsHold):
		return errors.New("--apps-hold takes the id of a key, such as kab12cd34, never a key")
	case o.timeout <= 0:
		return errors.New("--timeout must be longer than nothing")
	default:
		return nil
	}
}

type rolloutVerb struct {
	workOptions
	rolloutOptions
	yes bool
}

// newRollout makes the verb; run is a.rolloutAlone, or what a test puts in its place.
func newRollout(a *app, run func(context.Context, *rolloutVerb) error) *cobra.Command {
	o := &rolloutVerb{}
	cmd := &cobra.Command{
		Use:     "rollout",
		Short:   "Point the workloads to the current generations, and wait",
		Long:    rolloutLong,
		Example: rolloutExample,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.complete()
			if err := errors.Join(o.rolloutOptions.validate(), o.workOptions.validate(*a.connect.Namespace)); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	o.workOptions.addFlags(f)
	o.rolloutOptions.addFlags(f)
	f.BoolVar(&o.values, "update", false, "let references follow to changed values too")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	return cmd
}

func (a *app) rolloutAlone(ctx context.Context, o *rolloutVerb) error {
	s, err := a.open(ctx, o.workOptions, action.Needs{Writes: true, Spreads: true})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Start(); err != nil {
		return err
	}
	return a.rollout(ctx, s, o.rolloutOptions, o.yes)
}

// rollout points the workloads to the current generations, also at the end of push and rotate.
func (a *app) rollout(ctx context.Context, s *action.Session, o rolloutOptions, yes bool) error {
	mode := map[action.Mode]dryRun{action.Client: dryRunClient, action.Server: dryRunServer}[s.Mode]
	return (&work{a, s, workOptions{dryRun: mode}}).rolloutSteps(ctx, o, yes)
}

// rolloutRun is one rollout under way.
type rolloutRun struct {
	*work
	o              rolloutOptions
	generations    map[string]plan.Generations // by namespace
	steps          []plan.Repointing
	keyringsToMake []keyringPlace
	findings       bool
	blind          bool // some kind of workload could not be looked at
}

type keyringPlace struct{ namespace, base string }

// rolloutSteps looks at all workloads, refuses before the first patch what could not
// be finished, and then goes through them one by one.
func (w *work) rolloutSteps(ctx context.Context, o rolloutOptions, yes bool) error {
	if o.appsHold != "" && !w.Project.Keys.Has(o.appsHold) {
		return withHint(fmt.Errorf("--apps-hold %s: this keyring has no such key", o.appsHold), "it has %s", hint.List(w.Project.Keys.IDs()))
	}
	r := &rolloutRun{work: w, o: o, generations: map[string]plan.Generations{}}
	views, err := w.LookAll(ctx)
	if err != nil {
		return err
	}
	for _, view := range views {
		if err := r.plan(ctx, view); err != nil {
			return err
		}
	}
	if err := r.refuse(); err != nil {
		return err
	}
	if n := r.patches(); n > 0 {
		question := fmt.Sprintf("patch %s in %s, one after the other?", hint.Count(n, "workload"), w.Target.Places())
		if err := w.confirm(ctx, yes || w.o.dryRun != dryRunNone, question); err != nil {
			return err
		}
	}
	for _, place := range r.keyringsToMake {
		if err := w.EnsureKeyring(ctx, place.namespace, place.base); err != nil {
			return err
		}
	}
	limited, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	for _, step := range r.steps {
		if err := r.carryOut(limited, step); err != nil {
			if ctx.Err() != nil {
				return errInterrupted
			}
			return err
		}
	}
	return r.conclude()
}

// plan finds the workloads of one namespace and what each needs.
func (r *rolloutRun) plan(ctx context.Context, view plan.View) error {
	mine := plan.Mine(view.Records, r.Project.Wanted)
	g := plan.Successors(view, mine, r.Project.Sealer.Judge, r.Project.Keys, r.Project.Sealer.SameValue)
	list, denied, err := r.Cluster.Workloads(ctx, view.Namespace)
	if err != nil {
		return err
	}
	if err := r.addKeyrings(ctx, view.Namespace, g, list); err != nil {
		return err
	}
	r.generations[view.Namespace] = g
	if len(denied) > 0 {
		r.findings, r.blind = true, true
		r.console.warn("namespace %q: not allowed to look at %s", view.Namespace, strings.Join(denied, ", "))
		r.console.hint(roleHint("rollout"))
	}
	for _, w := range list {
		step := plan.Repoint(w, g, r.o.appsHold, r.o.values)
		if !w.Finished && (len(step.Rename)+len(step.Changed) > 0 || step.Current) {
			r.steps = append(r.steps, step)
		}
	}
	return nil
}

// addKeyrings finds the keyring Secrets that workloads name. One that does not
// hold the keyring of now gets its next generation before the first patch.
func (r *rolloutRun) addKeyrings(ctx context.Context, namespace string, g plan.Generations, list []workload.Workload) error {
	all, err := r.Keyrings(ctx, namespace)
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
		if !newest.Holds(r.Project.Keys) && named[held.Name] {
			name, ids = names.Secret(held.Base, newest.Generation+1), r.Project.Keys.IDs()
			if place := (keyringPlace{namespace, held.Base}); !slices.Contains(r.keyringsToMake, place) {
				r.keyringsToMake = append(r.keyringsToMake, place)
			}
		}
		g.AddKeyring(held.Name, name, ids)
	}
	return nil
}

// patchable says whether a step is carried out by a patch from here.
func (r *rolloutRun) patchable(step plan.Repointing) bool {
	return len(step.Rename) > 0 && step.Workload.Kind.Patchable() && (step.Workload.Manager() == "" || r.o.force)
}

func (r *rolloutRun) patches() (n int) {
	for _, step := range r.steps {
		if r.patchable(step) {
			n++
		}
	}
	return n
}

// refuse ends the run before the first patch where pods would get tokens that
// they could not open.
func (r *rolloutRun) refuse() error {
	var names []string
	ids := map[string]bool{}
	for _, step := range r.steps {
		if !r.patchable(step) || len(step.Lacking) == 0 {
			continue
		}
		names = append(names, step.Workload.String())
		for _, id := range step.Lacking {
			ids[id] = true
		}
	}
	if len(names) == 0 {
		return nil
	}
	id := action.SortedKeys(ids)[0]
	return withHint(fmt.Errorf("nothing was patched: nobody has said that the pods of %s hold key %s", hint.Few(names), strings.Join(action.SortedKeys(ids), ", ")),
		"give them that key, then --apps-hold %s; or keep the keyring in the cluster: kubectl fernet rotate%s --key-secret fernet-key, and name it in their templates", id, action.EnvFlag(r.Env))
}

// carryOut patches one workload and waits for it.
func (r *rolloutRun) carryOut(ctx context.Context, step plan.Repointing) error {
	w := step.Workload
	r.tell(step)
	switch {
	case len(step.Rename) == 0 && len(step.Changed) > 0, len(step.Rename) > 0 && !r.patchable(step):
		r.findings = true
		return nil
	case len(step.Rename) == 0:
		return r.await(ctx, w, step, "unchanged")
	case r.work.o.dryRun == dryRunClient:
		r.line(w, "patched")
		return nil
	}
	now, step, err := r.patch(ctx, step)
	if err != nil {
		return fmt.Errorf("%s in namespace %q: %w", w, w.Namespace, err)
	}
	return r.await(ctx, now, step, "patched")
}

const patchTries = 5

// patch sends the patch; where somebody else changed the workload meanwhile it
// reads and plans again.
func (r *rolloutRun) patch(ctx context.Context, step plan.Repointing) (workload.Workload, plan.Repointing, error) {
	for try := 1; ; try++ {
		now, err := r.Cluster.Repoint(ctx, step.Workload, step.Rename, r.work.o.dryRun == dryRunServer)
		if !errors.Is(err, cluster.ErrStale) || try == patchTries {
			return now, step, err
		}
		w := step.Workload
		if w, err = r.Cluster.GetWorkload(ctx, w.Kind, w.Namespace, w.Name); err != nil {
			return w, step, err
		}
		step = plan.Repoint(w, r.generations[w.Namespace], r.o.appsHold, r.o.values)
		if len(step.Lacking) > 0 {
			return w, step, fmt.Errorf("it was changed meanwhile, and its pods are not known to hold key %s", strings.Join(step.Lacking, ", "))
		}
	}
}

// await waits until the rollout is done, and prints the way back if it fails. A
// CronJob has none: its next Job takes the change.
func (r *rolloutRun) await(ctx context.Context, w workload.Workload, step plan.Repointing, word string) error {
	settled := w.Progress().State == workload.Done && len(step.Rename) == 0
	if !w.Kind.Patchable() || w.Kind == workload.CronJob || r.work.o.dryRun != dryRunNone || settled {
		r.line(w, word)
		return nil
	}
	said := ""
	now, err := r.Cluster.AwaitRollout(ctx, w, func(text string) {
		if text != said {
			r.console.say(fmt.Sprintf("%s: %s", w, text))
			said = text
		}
	})
	var failed *cluster.RolloutError
	switch {
	case errors.As(err, &failed):
		r.line(w, word+", not rolled out")
		return r.wayBack(step, failed)
	case err != nil:
		return err
	case now.Progress().State == workload.Manual:
		r.line(w, word+", restart it")
		r.console.note("%s: %s", w, now.Progress().Text)
		return nil
	default:
		r.line(w, word+" and rolled out")
		return nil
	}
}

func (r *rolloutRun) line(w workload.Workload, text string) {
	where := ""
	if len(r.Target.Namespaces) > 1 {
		where = " in " + w.Namespace
	}
	fmt.Fprintf(r.Out, "%s %s%s%s\n", w, text, where, r.work.o.dryRun.suffix())
}

// wayBack is the error of a failed rollout: the patch turned round.
func (r *rolloutRun) wayBack(step plan.Repointing, failed *cluster.RolloutError) error {
	text := failed.Text
	if failed.TimedOut {
		text += "; the time that --timeout gives is over"
	}
	err := fmt.Errorf("the rollout of %s in namespace %q has not succeeded (%s); the workloads after it were not touched", failed.Workload, step.Workload.Namespace, text)
	if len(step.Rename) == 0 {
		return withHint(err, "kubectl rollout status -n %s %s; run the same command again to go on", step.Workload.Namespace, step.Workload)
	}
	back := hint.Format("the way back: kubectl patch -n %s %s --type=json -p %s", step.Workload.Namespace, step.Workload, string(step.Workload.Back(step.Rename)))
	for _, pod := range failed.NotReady {
		back += hint.Format("; then kubectl delete pod -n %s %s if it is still not Ready", step.Workload.Namespace, pod)
	}
	return withHint(err, "%s", back)
}

// tell says what somebody has to do about a workload beyond the patch.
func (r *rolloutRun) tell(step plan.Repointing) {
	w := step.Workload
	if len(step.Changed) > 0 {
		r.findings = true
		r.console.say(fmt.Sprintf("differs: %s in namespace %q names %s, whose value is not the current one", w, w.Namespace, hint.Few(step.Changed)))
		r.console.hint("kubectl fernet rollout --update lets it follow to the current value")
	}
	if len(step.Rename) > 0 && !w.Kind.Patchable() {
		r.line(w, "cannot be patched")
		r.console.say(fmt.Sprintf("%s in namespace %q names %s: start it again with %s", w, w.Namespace, hint.Few(action.SortedKeys(step.Rename)), hint.Few(values(step.Rename))))
	}
	if manager := w.Manager(); len(step.Rename) > 0 && manager != "" && !r.o.force {
		r.line(w, "left to "+manager)
	}
	if len(step.Lacking) > 0 && !r.patchable(step) {
		r.console.hint(hint.Format("give its pods key %s first, or they cannot open what they then get", hint.List(step.Lacking)))
	}
	r.behind(step)
}

// behind prints the change to make in the files that a workload is applied from.
func (r *rolloutRun) behind(step plan.Repointing) {
	w := step.Workload
	g := r.generations[w.Namespace]
	next := func(name string) string {
		if s, older := g.Older(name); older && (s.SameValue || r.o.values) {
			return s.Name
		}
		return ""
	}
	for _, b := range w.Behind(next, func(name string) bool { return g.Current[name] }) {
		r.findings = true
		from := b.Old
		if from == "" {
			from = "the older name"
		}
		r.console.say(fmt.Sprintf("manifest is behind: %s in namespace %q, %s: change %s to %s (%s), or the next apply goes back", w, w.Namespace, b.Where, from, b.New, b.Source))
	}
	if len(step.Rename) > 0 && w.Manager() != "" && !r.o.force {
		for _, ref := range w.References() {
			if name, ok := step.Rename[ref.Secret]; ok {
				r.console.say(fmt.Sprintf("manifest is behind: %s in namespace %q, %s: change %s to %s in the source that %s applies", w, w.Namespace, ref.Where, ref.Secret, name, w.Manager()))
			}
		}
	}
}

func (r *rolloutRun) conclude() error {
	if len(r.steps) == 0 && !r.blind {
		r.console.note("no workload in %s names a Secret of this .env", r.Target.Places())
	}
	if r.findings {
		return errFindings
	}
	return nil
}

func values(m map[string]string) (out []string) {
	for _, k := range action.SortedKeys(m) {
		out = append(out, m[k])
	}
	return out
}
