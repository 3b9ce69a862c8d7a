// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
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

func (a *app) status(ctx context.Context, o *statusOptions) error {
	verb := action.Status{AllNamespaces: o.allNamespaces, MaxAge: time.Duration(o.maxAge), MaxValueAge: time.Duration(o.maxValueAge)}
	s, err := a.open(ctx, o.workOptions, verb.Needs())
	if err != nil {
		return err
	}
	defer s.Close()
	r, err := verb.Run(ctx, s)
	if err != nil {
		return err
	}
	if err := a.printStatus(o, s, r.Items); err != nil {
		return err
	}
	return a.afterStatus(o, s, r)
}

func (a *app) printStatus(o *statusOptions, s *action.Session, items []plan.Status) error {
	if done, err := printReport(a, s, o.output, "StatusReport", items); done {
		return err
	}
	if o.output != "name" {
		return a.statusTable(items, o.output == "wide", len(s.Target.Namespaces) > 1)
	}
	for _, item := range items {
		if item.Secret != "" {
			fmt.Fprintf(a.Out, "secret/%s\n", item.Secret)
		}
	}
	return nil
}

func (a *app) statusTable(items []plan.Status, wide, several bool) error {
	if len(items) == 0 {
		return nil
	}
	now := a.machine.Now()
	w := printers.GetNewTabWriter(a.Out)
	row := func(namespace string, cells ...string) {
		if several {
			cells = append([]string{namespace}, cells...)
		}
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	row("NAMESPACE", "NAME", "SECRET", "KEY", "KEY-AGE", "VALUE-AGE", "USED-BY", "OLDER", "STATE")
	for _, s := range items {
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

// afterStatus says what to do, and gives the exit code.
func (a *app) afterStatus(o *statusOptions, s *action.Session, r *action.StatusReport) error {
	count, over, future := map[plan.State]int{}, 0, 0
	for _, item := range r.Items {
		count[item.State]++
		over += len(item.OverAge)
		future += len(item.Future)
	}
	flags := action.EnvFlag(o.env)
	switch {
	case len(r.Items) == 0:
		a.console.note("nothing of this .env is in %s", s.Target.Places())
	case count[plan.StateMissing] > 0:
		a.console.next("kubectl fernet restore" + flags + " puts back what is missing")
	case count[plan.StateUnfinished] > 0:
		a.console.next("kubectl fernet rotate" + flags + " finishes the rotation")
	case count[plan.StateRollout] > 0:
		a.console.next("kubectl fernet rollout" + flags + " points the workloads to the current generations")
	case over > 0:
		a.console.next("kubectl fernet rotate" + flags + " makes a new key; values over age have to be changed where they come from, then kubectl fernet push --update" + flags)
	case count[plan.StateRetire] > 0 || r.Previous:
		a.console.next("kubectl fernet retire" + flags + " deletes what nothing uses any more")
	}
	if future > 0 {
		a.console.hint(hint.Format("kubectl fernet verify%s names what is from the future: check the clock of the machine that wrote it", action.EnvFlag(o.env)))
	}
	if over+future+count[plan.StateMissing]+count[plan.StateUnfinished]+count[plan.StateRollout] > 0 {
		return errFindings
	}
	return nil
}
