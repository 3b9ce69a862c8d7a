// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

const statusLong = `Show what is in the cluster, how old it is, who uses it, and what to do next. No
key is needed; without one the ledger's rows are not authenticated.

A keyring that is kept in the cluster has a row of its own, under the name of its
Secret.

  SECRET     the current generation
  KEY-AGE    since the key was first used here: the ledger's first row under it,
             else the oldest Secret that carries its id

With -o wide also:

  VALUE-AGE  since the value was sealed; a rotation keeps it
  USED-BY    workloads and pods that name the current generation
  OLDER      generations before it that are still there, and who names them

What STATE says:

  current     all is well
  retire      older generations are still there: kubectl fernet retire
  rollout     a workload names an older generation: kubectl fernet rollout, and
              with --update where the value changed
  unfinished  a rotation has not reached it: kubectl fernet rotate
  missing     the ledger has a newer generation than the namespace
  broken      a workload names a generation that is not there

The exit code is 1 when something is over age, or in one of the last four states.
It is 2 when something could not be looked at: the rest is shown. Without a ledger
the labels of the Secrets tell, which prove nothing; of those alone no rotation is
called unfinished, since they may be another project's.`

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
}

// age is a duration that may be given in days and weeks.
type age time.Duration

// longestAge is about 292 years.
const longestAge = time.Duration(math.MaxInt64)

func (a *age) String() string {
	if *a == 0 {
		return ""
	}
	return duration.HumanDuration(time.Duration(*a))
}

func (a *age) Set(text string) error {
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		n, err := strconv.Atoi(strings.TrimSuffix(text, unit))
		if err == nil && strings.HasSuffix(text, unit) && n > 0 && n <= int(longestAge/length) {
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
		Use:     "status [NAME...]",
		Short:   "Show what is in the cluster, how old, who uses it",
		Long:    statusLong,
		Example: statusExample,
		RunE:    takesNames(a, o, &o.workOptions, run),

		ValidArgsFunction: a.words(recordedNames),
	}
	f := cmd.Flags()
	f.StringVar(&o.env, "env", action.DefaultEnv, "the .env file; it may be missing")
	f.StringVar(&o.ledger, "ledger", "", "the ledger (default "+action.DefaultLedger+" beside the .env)")
	f.StringArrayVar(&o.match, "match", nil, matchUsage)
	f.StringSliceVar(&o.namespaces, "namespaces", nil, "several namespaces, comma-separated, instead of -n")
	o.contextsFlag(f)
	f.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "every namespace of the cluster")
	f.BoolVar(&o.ignoreName, "ignore-cluster-name", false, "do not let CLUSTER_NAME of the .env choose or check the target")
	f.IntVar(&o.parallel, "parallel", defaultParallel, "requests under way at once")
	f.Var(&o.maxAge, "max-age", "exit code 1 when a key is older, such as 90d")
	f.Var(&o.maxValueAge, "max-value-age", "exit code 1 when a value is older, such as 52w")
	o.outputFlag(cmd, "wide", "json", "yaml", "name")
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
	verb := action.Status{AllNamespaces: o.allNamespaces, MaxAge: time.Duration(o.maxAge), MaxValueAge: time.Duration(o.maxValueAge), Only: o.only}
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
	var table strings.Builder
	w := printers.GetNewTabWriter(redact.Writer(&table))
	var states []plan.State // by line below the header
	row := func(namespace string, cells ...string) {
		if several {
			cells = append([]string{namespace}, cells...)
		}
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	header := []string{"NAME", "STATE", "SECRET", "KEY", "KEY-AGE"}
	if wide {
		header = append(header, "VALUE-AGE", "USED-BY", "OLDER")
	}
	row("NAMESPACE", header...)
	for _, s := range items {
		cells := []string{s.Name(), stateOf(s, wide), none(s.Secret), none(s.KeyID), ageOf(s.KeySince, now) + odd(s)}
		if wide {
			cells = append(cells, ageOf(s.ValueSince, now), list(s.UsedBy), older(s))
		}
		row(s.Namespace, cells...)
		states = append(states, s.State)
		for _, entry := range s.Entries {
			cells := []string{"  " + entry.EnvKey, "", "", "", ""}
			if wide {
				cells = append(cells, ageOf(entry.ValueSince, now), "", "")
			}
			row(s.Namespace, cells...)
			states = append(states, "")
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(a.product, a.paintColumn(table.String(), "STATE", states))
	return err
}

// stateOf gives the state of an item.
func stateOf(s plan.Status, wide bool) string {
	state := s.State.Words()
	for _, gone := range s.Gone {
		if wide {
			state += ", " + gone.Secret + " is gone (" + strings.Join(gone.UsedBy, ",") + ")"
		}
	}
	return state
}

// odd says what is odd about the times of an item.
func odd(s plan.Status) (text string) {
	if len(s.OverAge) > 0 {
		text += ", " + strings.Join(s.OverAge, " and ") + " over age"
	}
	if len(s.Future) > 0 {
		text += ", " + strings.Join(s.Future, " and ") + " from the future"
	}
	return text
}

// older gives the older generations of an item and who names them.
func older(s plan.Status) string {
	texts := make([]string, len(s.Older))
	for i, o := range s.Older {
		texts[i] = o.Secret
		if len(o.UsedBy) > 0 {
			texts[i] += " (" + strings.Join(o.UsedBy, ",") + ")"
		}
	}
	return list(texts)
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

func list(names []string) string { return none(strings.Join(names, ",")) }

// afterStatus says what to do, and gives the exit code.
func (a *app) afterStatus(o *statusOptions, s *action.Session, r *action.StatusReport) error {
	count, over, future := map[plan.State]int{}, 0, 0
	for _, item := range r.Items {
		count[item.State]++
		over += len(item.OverAge)
		future += len(item.Future)
		a.tellGone(item)
	}
	if len(r.Items) == 0 && len(s.Unseen) == 0 {
		a.console.note("nothing of this .env is in %s", s.Target.Places())
	}
	if len(r.Forgotten) > 0 {
		first := r.Forgotten[0]
		a.console.say(fmt.Sprintf("secret/%s in namespace %q is under key %s, an older one that this keyring no longer has", first.Secret, first.Namespace, first.KeyID))
		a.console.hint(olderKey(s, first.KeyID))
	}
	if next := a.nextStep(o, r, count, over); next != "" {
		a.console.next(next)
	}
	if future > 0 {
		a.console.hint(hint.Format("kubectl fernet verify%s names what is from the future: check the clock of the machine that wrote it", o.paths().Flags()))
	}
	if over+future+count[plan.Broken]+count[plan.Missing]+count[plan.Unfinished]+count[plan.ToRollOut] > 0 {
		return errFindings
	}
	return nil
}

// tellGone names who cannot start because of an item.
func (a *app) tellGone(item plan.Status) {
	for _, gone := range item.Gone {
		a.console.say(fmt.Sprintf("broken: secret/%s in namespace %q is not there, and is named by %s", gone.Secret, item.Namespace, hint.Few(gone.UsedBy)))
	}
	if item.Retired() {
		a.console.hint("its entry was retired: take the name out of the templates, or put the entry back into the .env and push it")
	}
}

// nextStep gives the most urgent one, empty for none.
func (a *app) nextStep(o *statusOptions, r *action.StatusReport, count map[plan.State]int, over int) hint.Text {
	flags := o.paths().Flags()
	switch {
	case count[plan.Missing] > 0, slices.ContainsFunc(r.Items, plan.Status.NeedsRestore):
		return "kubectl fernet restore" + flags + " puts back what is missing"
	case slices.ContainsFunc(r.Items, plan.Status.NeverThere):
		return "kubectl fernet push" + flags + " creates what is not there"
	case count[plan.Unfinished] > len(r.Forgotten):
		return "kubectl fernet rotate" + flags + " finishes the rotation"
	case count[plan.Unfinished] > 0:
		return ""
	case slices.ContainsFunc(r.Items, func(item plan.Status) bool {
		return item.State == plan.ToRollOut || item.State == plan.Broken && !item.Retired()
	}):
		if slices.ContainsFunc(r.Items, plan.Status.NeedsUpdate) {
			return "kubectl fernet rollout" + flags + " --update points the workloads to the current generations, which have other values"
		}
		return "kubectl fernet rollout" + flags + " points the workloads to the current generations"
	case over > 0:
		return "kubectl fernet rotate" + flags + " makes a new key; values over age have to be changed where they come from, then kubectl fernet push --update" + flags
	case count[plan.ToRetire]+count[plan.Replaced] > 0 || r.Previous:
		return "kubectl fernet retire" + flags + " deletes what nothing uses any more"
	default:
		return ""
	}
}
