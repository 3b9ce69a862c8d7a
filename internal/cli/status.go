// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

const statusLong = `Show what is in the cluster, how old it is and who uses it. No key is needed;
without one the ledger's rows are not authenticated.

  KEY-AGE    since the key was first used here: the ledger's first row under it,
             else the oldest Secret that carries its id
  VALUE-AGE  since the value was sealed; a rotation keeps it
  USED-BY    workloads and pods that name the current generation
  OLDER      generations before it that are still there

What STATE says:

  current     all is well
  retire      older generations are still there: kubectl fernet retire
  rollout     a workload names an older generation: kubectl fernet rollout
  unfinished  a rotation was interrupted: kubectl fernet rotate
  missing     the ledger has a newer generation than the namespace

The exit code is 1 when something is over age, unfinished or missing, or when a
workload names an older generation. Without a ledger the labels of the Secrets
tell, which prove nothing.`

const statusExample = `  # the namespaces that the ledger knows
  kubectl fernet status

  # in a CI job: fail when a key is older than a quarter
  kubectl fernet status --max-age 90d

  # all namespaces, with everything
  kubectl fernet status -A -o yaml`

type statusOptions struct {
	workOptions
	allNamespaces       bool
	maxAge, maxValueAge age
	output              string
}

// age is a duration that may be given in days and weeks.
type age time.Duration

func (a *age) String() string {
	if *a == 0 {
		return ""
	}
	return duration.HumanDuration(time.Duration(*a))
}

func (a *age) Set(text string) error {
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if n, err := strconv.Atoi(strings.TrimSuffix(text, unit)); err == nil && strings.HasSuffix(text, unit) && n > 0 {
			*a = age(time.Duration(n) * length)
			return nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return errors.New("a length of time, such as 90d, 12w or 36h")
	}
	*a = age(d)
	return nil
}

func (a *age) Type() string { return "age" }

// newStatus makes the verb; run is a.status, or what a test puts in its place.
func newStatus(a *app, run func(context.Context, *statusOptions) error) *cobra.Command {
	o := &statusOptions{}
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show what is in the cluster, how old it is and who uses it",
		Long:    statusLong,
		Example: statusExample,
		Args:    noArguments,
		RunE:    runsInContexts(a, o, &o.workOptions, &o.output, run),
	}
	f := cmd.Flags()
	f.StringVar(&o.env, "env", action.DefaultEnv, "the .env file; it may be missing")
	f.StringVar(&o.ledger, "ledger", "", "the ledger (default "+action.DefaultLedger+" beside the .env)")
	f.StringArrayVar(&o.match, "match", []string{defaultMatch}, "which entries are secrets: a glob over their names, repeatable")
	f.StringSliceVar(&o.namespaces, "namespaces", nil, "several namespaces, comma-separated, instead of -n")
	o.contextsFlag(f)
	f.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "every namespace of the cluster")
	f.BoolVar(&o.ignoreName, "ignore-cluster-name", false, "do not let CLUSTER_NAME of the .env choose or check the target")
	f.IntVar(&o.parallel, "parallel", defaultParallel, "requests under way at once")
	f.Var(&o.maxAge, "max-age", "exit code 1 when a key is older, such as 90d")
	f.Var(&o.maxValueAge, "max-value-age", "exit code 1 when a value is older, such as 52w")
	f.StringVarP(&o.output, "output", "o", "", "wide, json, yaml or name")
	return cmd
}

func (o *statusOptions) validate(namespace string) error {
	if err := checkFormat(o.output, "wide", "json", "yaml", "name"); err != nil {
		return err
	}
	if o.allNamespaces && (namespace != "" || len(o.namespaces) > 0) {
		return errors.New("-A and a choice of namespaces exclude each other")
	}
	return o.workOptions.validate(namespace)
}

// statusRun is one status under way.
type statusRun struct {
	*work
	o     *statusOptions
	since map[string]time.Time
	items []plan.Status
}

func (a *app) status(ctx context.Context, o *statusOptions) error {
	w, close, err := a.start(ctx, o.workOptions, action.Needs{Read: action.Names, Spreads: true})
	if err != nil {
		return err
	}
	defer close()
	r := &statusRun{work: w, o: o}
	line := w.Target.String()
	if o.allNamespaces {
		line = fmt.Sprintf("target: context %q, cluster %q, all namespaces", w.Target.Context, w.Target.Cluster)
	}
	a.console.begin(line)
	if w.Project.Keys == nil && len(w.Records) > 0 {
		a.console.note("no key is at hand, so the rows of %s are not authenticated", o.ledger)
	}
	if err := w.Dial(); err != nil {
		return err
	}
	if err := r.gather(ctx); err != nil {
		return err
	}
	r.judgeAges(time.Now())
	if err := r.print(); err != nil {
		return err
	}
	return r.next()
}

// gather reads the Secrets of the namespaces and who refers to them.
func (r *statusRun) gather(ctx context.Context) error {
	if r.o.allNamespaces {
		found, err := r.Cluster.Labelled(ctx, "", manifest.Selector)
		if err != nil {
			return err
		}
		r.Target.Namespaces = r.everywhere(found)
	}
	var views []plan.View
	var all []manifest.Object
	for _, namespace := range r.Target.Namespaces {
		view, err := r.View(ctx, namespace, plan.Mine(r.RecordsIn(namespace), r.Project.Wanted), true)
		if err != nil {
			return err
		}
		if r.Unlisted[namespace] {
			r.console.warn("namespace %q: not allowed to list Secrets: only what the ledger and the .env name is shown", namespace)
		}
		views = append(views, view)
		all = append(all, view.Objects...)
	}
	r.since = plan.Since(r.Book.FirstUse(r.Target.Cluster), all)
	for _, view := range views {
		used, err := r.used(ctx, view.Namespace, view.Objects)
		if err != nil {
			return err
		}
		r.items = append(r.items, plan.StatusOf(view, r.mine(), used, r.since)...)
	}
	return nil
}

// everywhere gives the namespaces of labelled Secrets and of the ledger.
func (r *statusRun) everywhere(found []manifest.Object) []string {
	known := map[string]bool{}
	for _, o := range found {
		known[o.Namespace] = true
	}
	for _, record := range r.Records {
		if record.State == ledger.Created && !record.Hint {
			known[record.Namespace] = true
		}
	}
	return action.SortedKeys(known)
}

// mine says which base names to show: those of the .env and the ledger, and all
// where there is neither, or with -A.
func (r *statusRun) mine() func(base string) bool {
	if r.o.allNamespaces || len(r.Records) == 0 && len(r.Project.Wanted) == 0 {
		return func(string) bool { return true }
	}
	bases := map[string]bool{}
	for _, w := range plan.Mine(r.Records, r.Project.Wanted) {
		bases[w.Base] = true
	}
	return func(base string) bool { return bases[base] }
}

// used gives, by Secret, the workloads and pods that name it.
func (r *statusRun) used(ctx context.Context, namespace string, objects []manifest.Object) (map[string][]string, error) {
	used := map[string][]string{}
	if len(objects) == 0 {
		return used, nil
	}
	list, denied, err := r.Cluster.Workloads(ctx, namespace)
	if err != nil {
		return nil, err
	}
	pods, err := r.Cluster.Pods(ctx, namespace)
	if err != nil {
		var refused *cluster.Error
		if !errors.As(err, &refused) {
			return nil, err
		}
		denied = append(denied, "pods")
	}
	if len(denied) > 0 {
		slices.Sort(denied)
		r.console.warn("namespace %q: not allowed to look at %s", namespace, strings.Join(slices.Compact(denied), ", "))
	}
	for _, w := range append(list, pods...) {
		if w.Finished {
			continue
		}
		for _, ref := range w.References() {
			if names := used[ref.Secret]; !slices.Contains(names, w.String()) {
				used[ref.Secret] = append(names, w.String())
			}
		}
	}
	return used, nil
}

// judgeAges marks what is older than allowed.
func (r *statusRun) judgeAges(now time.Time) {
	for i := range r.items {
		r.items[i].JudgeTimes(now, time.Duration(r.o.maxAge), time.Duration(r.o.maxValueAge))
	}
}

func (r *statusRun) print() error {
	if done, err := printReport(r.work, r.o.output, "StatusReport", r.items); done {
		return err
	}
	switch r.o.output {
	case "name":
		for _, s := range r.items {
			if s.Secret != "" {
				fmt.Fprintf(r.Out, "secret/%s\n", s.Secret)
			}
		}
		return nil
	default:
		return r.table(time.Now())
	}
}

func (r *statusRun) table(now time.Time) error {
	if len(r.items) == 0 {
		return nil
	}
	wide, several := r.o.output == "wide", len(r.Target.Namespaces) > 1
	w := printers.GetNewTabWriter(r.Out)
	row := func(namespace string, cells ...string) {
		if several {
			cells = append([]string{namespace}, cells...)
		}
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	row("NAMESPACE", "NAME", "SECRET", "KEY", "KEY-AGE", "VALUE-AGE", "USED-BY", "OLDER", "STATE")
	for _, s := range r.items {
		state := string(s.State)
		if len(s.OverAge) > 0 {
			state += ", " + strings.Join(s.OverAge, " and ") + " over age"
		}
		if len(s.Future) > 0 {
			state += ", " + strings.Join(s.Future, " and ") + " from the future"
		}
		older := make([]string, len(s.Older))
		for i, o := range s.Older {
			older[i] = o.Secret
			if wide && len(o.UsedBy) > 0 {
				older[i] += " (" + strings.Join(o.UsedBy, ",") + ")"
			}
		}
		row(s.Namespace, s.EnvKey, none(s.Secret), none(s.KeyID), ageOf(s.KeySince, now), ageOf(s.ValueSince, now), list(s.UsedBy, wide), list(older, wide), state)
	}
	return w.Flush()
}

func none(text string) string {
	if text == "" {
		return "<none>"
	}
	return text
}

func ageOf(since *time.Time, now time.Time) string {
	if since == nil {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(*since))
}

// list gives the first name and how many more there are, or with wide all.
func list(names []string, wide bool) string {
	switch {
	case len(names) == 0:
		return "<none>"
	case wide:
		return strings.Join(names, ",")
	case len(names) == 1:
		return names[0]
	default:
		return fmt.Sprintf("%s + %d more", names[0], len(names)-1)
	}
}

// next says what to do, and gives the exit code.
func (r *statusRun) next() error {
	count, over, future := map[plan.State]int{}, 0, 0
	for _, s := range r.items {
		count[s.State]++
		over += len(s.OverAge)
		future += len(s.Future)
	}
	flags := action.EnvFlag(r.o.env)
	switch previous, _ := r.Project.File.Lookup(keyring.VarPrevious); {
	case len(r.items) == 0:
		r.console.note("nothing of this .env is in %s", r.Target.Places())
	case count[plan.StateMissing] > 0:
		r.console.next("kubectl fernet restore" + flags + " puts back what is missing")
	case count[plan.StateUnfinished] > 0:
		r.console.next("kubectl fernet rotate" + flags + " finishes the rotation")
	case count[plan.StateRollout] > 0:
		r.console.next("kubectl fernet rollout" + flags + " points the workloads to the current generations")
	case over > 0:
		r.console.next("kubectl fernet rotate" + flags + " makes a new key; values over age have to be changed where they come from, then kubectl fernet push --update" + flags)
	case count[plan.StateRetire] > 0 || !previous.Value.IsEmpty():
		r.console.next("kubectl fernet retire" + flags + " deletes what nothing uses any more")
	}
	if future > 0 {
		r.console.hint(hint.Format("kubectl fernet verify%s names what is from the future: check the clock of the machine that wrote it", action.EnvFlag(r.o.env)))
	}
	if over+future+count[plan.StateMissing]+count[plan.StateUnfinished]+count[plan.StateRollout] > 0 {
		return errFindings
	}
	return nil
}
