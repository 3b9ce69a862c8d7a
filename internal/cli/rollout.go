// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

const rolloutLong = `Update the workloads to the newest Secrets, a few at a time, and wait for them.

Deployments, StatefulSets, DaemonSets and CronJobs that name an older generation
of a Secret get one patch each, tokens and keyring together; Kubernetes' own
rolling update does the rest. A reference moves only to a Secret with the same
value; --update lets changed values follow too. One that names what is gone is
mended in the same way.

A workload is patched only when its key goes with it: its template names our
keyring Secret (rotate --key-secret), or --apps-have-key names the key that the
applications have already.

Each patch is first asked as a dry run. Then a few workloads at a time are
patched and waited for, those that are not healthy last; what fails holds
nothing else up. A rollout fails when its controller gives up, or makes no
progress for as long as its own progressDeadlineSeconds say; how to undo it is
printed, and the old generations are still there.

Workloads that Argo CD, Flux, Helm or a controller keep are skipped; --force
patches them anyway. What has to change in the files of the others is printed.`

const rolloutExample = `  # workloads that name our keyring Secret
  kubectl fernet rollout

  # applications were given the key that rotate --prepare staged
  kubectl fernet rollout --apps-have-key kab12cd34

  # what would be patched
  kubectl fernet rollout --dry-run

  # one of them first
  kubectl fernet rollout deployment/web`

// rolloutOptions are the flags of a rollout, on its own or after rotate and push.
type rolloutOptions struct {
	workloadTimeout time.Duration
	maxProgressing  int
	appsHaveKey     string
	force           bool
	failFast        bool
	noWait          bool
	values          bool // changed values follow
}

func (o *rolloutOptions) addFlags(f *pflag.FlagSet) {
	f.DurationVar(&o.workloadTimeout, "workload-timeout", 0, "how long a rollout may make no progress (default: its own progressDeadlineSeconds, or 10m)")
	f.IntVar(&o.maxProgressing, "max-progressing", action.DefaultMaxProgressing, "how many workloads roll out at once")
	f.StringVar(&o.appsHaveKey, "apps-have-key", "", "the id of a key that the applications have already")
	f.BoolVar(&o.force, "force", false, "patch also what Argo CD, Flux, Helm or a controller keep")
	f.BoolVar(&o.failFast, "fail-fast", false, "patch nothing more after a failure")
	f.BoolVar(&o.noWait, "no-wait", false, "patch, and do not wait for the rollouts")
}

// detailFlags leaves the flags of a rollout to the help of rollout.
func (o *rolloutOptions) detailFlags(f *pflag.FlagSet) {
	markDetail(f, "workload-timeout", "max-progressing", "apps-have-key", "force", "fail-fast", "no-wait")
}

var keyID = regexp.MustCompile(`^k[0-9a-f]{8}$`)

func (o *rolloutOptions) validate() error {
	switch {
	case o.appsHaveKey != "" && !keyID.MatchString(o.appsHaveKey):
		return errors.New("--apps-have-key takes the id of a key, such as kab12cd34, never a key")
	case o.workloadTimeout < 0:
		return errors.New("--workload-timeout must be longer than nothing")
	case o.maxProgressing < 1:
		return errors.New("--max-progressing must be 1 or more")
	default:
		return nil
	}
}

// verb is what the flags ask for.
func (o *rolloutOptions) verb() action.Rollout {
	return action.Rollout{
		AppsHaveKey: o.appsHaveKey, MaxProgressing: o.maxProgressing, WorkloadTimeout: o.workloadTimeout,
		Force: o.force, Values: o.values, FailFast: o.failFast, NoWait: o.noWait,
	}
}

type rolloutVerb struct {
	workOptions
	rolloutOptions
	only, skip   []string // TYPE/NAME
	selector     string
	dropPrevious bool
	yes          bool
}

// newRollout makes the verb; run is a.rolloutAlone, or what a test puts in its place.
func newRollout(a *app, run func(context.Context, *rolloutVerb) error) *cobra.Command {
	o := &rolloutVerb{}
	cmd := &cobra.Command{
		Use:     "rollout [TYPE/NAME...]",
		Short:   "Update workloads to the newest Secrets, and wait",
		Long:    rolloutLong,
		Example: rolloutExample,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.complete()
			o.only = args
			if err := errors.Join(o.validate(), o.rolloutOptions.validate(), o.workOptions.validate(*a.connect.Namespace)); err != nil {
				return err
			}
			return a.eachContext(cmd.Context(), &o.workOptions, cmd.Name(), o.output, func(ctx context.Context) error { return run(ctx, o) })
		},
	}
	f := cmd.Flags()
	o.workOptions.addFlags(f)
	o.contextsFlag(f)
	o.rolloutOptions.addFlags(f)
	f.StringVarP(&o.selector, "selector", "l", "", "only workloads with these labels")
	f.StringArrayVar(&o.skip, "skip", nil, "leave this TYPE/NAME alone; repeatable")
	f.BoolVar(&o.values, "update", false, "let references follow to changed values too")
	f.BoolVar(&o.dropPrevious, "drop-previous", false, "take the previous keys out of the keyring Secrets now: one more restart")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	o.outputFlag(cmd, resultFormats...)
	return cmd
}

func (o *rolloutVerb) validate() error {
	if err := checkFormat(o.output, resultFormats...); err != nil {
		return err
	}
	for _, names := range []*[]string{&o.only, &o.skip} {
		for i, name := range *names {
			full, ok := action.ParseWorkload(name)
			if !ok {
				return withHint(errors.New("a workload is named as TYPE/NAME"), "such as deployment/web, sts/db, ds/agent or cronjob/tick")
			}
			(*names)[i] = full
		}
	}
	if _, err := labels.Parse(o.selector); err != nil {
		return errors.New("--selector: not a selector of labels, such as app=web")
	}
	return nil
}

func (a *app) rolloutAlone(ctx context.Context, o *rolloutVerb) error {
	s, err := a.open(ctx, o.workOptions, action.Rollout{}.Needs())
	if err != nil {
		return err
	}
	defer s.Close()
	return a.ended(s, &o.workOptions, "RolloutReport", a.rolloutIn(ctx, o, s))
}

func (a *app) rolloutIn(ctx context.Context, o *rolloutVerb, s *action.Session) error {
	if err := s.Start(); err != nil {
		return err
	}
	verb := o.verb()
	verb.Only, verb.Skip, verb.DropPrevious = o.only, o.skip, o.dropPrevious
	if o.selector != "" {
		verb.Selector, _ = labels.Parse(o.selector) // which validate did
	}
	return a.rollout(ctx, s, verb, o.yes)
}

// rollout points the workloads to the current generations, also at the end of push and rotate.
func (a *app) rollout(ctx context.Context, s *action.Session, verb action.Rollout, yes bool) error {
	yes = yes || s.Mode != action.Live
	p, err := verb.Plan(ctx, s)
	if err != nil {
		return err
	}
	if gone := p.Unproven(); len(gone) > 0 && s.Mode == action.Live {
		err := a.confirm(ctx, yes, fmt.Sprintf("point %s to the current value all the same?", hint.Few(gone)))
		switch {
		case err == nil:
			if err := p.Accept(ctx); err != nil {
				return err
			}
		case !errors.Is(err, errNotConfirmed):
			return err
		}
	}
	if n := p.Patches(); n > 0 {
		if err := a.confirm(ctx, yes, fmt.Sprintf("patch %s in %s?", hint.Count(n, "workload"), s.Target.Places())); err != nil {
			return err
		}
	}
	if err := p.Apply(ctx); err != nil {
		return err
	}
	return a.afterRollout(ctx, s, p)
}

// afterRollout sums up and gives the exit code.
func (a *app) afterRollout(ctx context.Context, s *action.Session, p *action.RolloutPlan) error {
	if text := p.Summary(); text != "" {
		a.console.print(text + "\n")
	}
	if keys := p.Lacking(); len(keys) > 0 {
		a.console.hint(hint.Format("add it to their FERNET_KEY_PREVIOUS and restart them, then: kubectl fernet rollout%s --apps-have-key %s; or keep the keyring in the cluster: kubectl fernet rotate%s --key-secret %s, and name it in their templates", s.Flags(), keys[0], s.Flags(), cmp.Or(s.Settings.KeySecret, "fernet-key")))
	}
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case p.Failed():
		return errEntries
	case p.Findings():
		return errFindings
	default:
		return nil
	}
}
