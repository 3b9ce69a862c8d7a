// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

const rolloutLong = `Point the workloads to the current generations, and wait.

Deployments, StatefulSets, DaemonSets and CronJobs that name an older generation
of a Secret get one patch each, tokens and keyring together; Kubernetes' own
rolling update does the rest. A reference moves only to a Secret with the same
value; --update lets changed values follow too.

A workload is patched only when its key goes with it: its template names our
keyring Secret (rotate --key-secret), or --apps-have-key names the key that the
applications hold already. Otherwise nothing is patched at all.

When a rollout fails it stops there and prints the way back: the old generations
are still there. Who applies an older manifest again goes back too, so what has
to change in the files is printed. Workloads that Argo CD, Flux or Helm keep are
left to them, unless --force says otherwise.`

const rolloutExample = `  # workloads that name our keyring Secret
  kubectl fernet rollout

  # applications were given the key that rotate --prepare staged
  kubectl fernet rollout --apps-have-key kab12cd34

  # what would be patched
  kubectl fernet rollout --dry-run`

// rolloutOptions are the flags of a rollout, on its own or after rotate and push.
type rolloutOptions struct {
	timeout     time.Duration
	appsHaveKey string
	force       bool
	values      bool // changed values follow
}

func (o *rolloutOptions) addFlags(f *pflag.FlagSet) {
	f.DurationVar(&o.timeout, "workload-timeout", defaultTimeout, "how long all rollouts together may take")
	f.StringVar(&o.appsHaveKey, "apps-have-key", "", "the id of a key that the applications hold already")
	f.BoolVar(&o.force, "force", false, "patch also what Argo CD, Flux or Helm keep")
}

const defaultTimeout = 5 * time.Minute

var keyID = regexp.MustCompile(`^k[0-9a-f]{8}$`)

func (o *rolloutOptions) validate() error {
	switch {
	case o.appsHaveKey != "" && !keyID.MatchString(o.appsHaveKey):
		return errors.New("--apps-have-key takes the id of a key, such as kab12cd34, never a key")
	case o.timeout <= 0:
		return errors.New("--workload-timeout must be longer than nothing")
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
	s, err := a.open(ctx, o.workOptions, action.Rollout{}.Needs())
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
	p, err := action.Rollout{AppsHaveKey: o.appsHaveKey, Timeout: o.timeout, Force: o.force, Values: o.values}.Plan(ctx, s)
	if err != nil {
		return err
	}
	if n := p.Patches(); n > 0 {
		question := fmt.Sprintf("patch %s in %s, one after the other?", hint.Count(n, "workload"), s.Target.Places())
		if err := a.confirm(ctx, yes || s.Mode != action.Live, question); err != nil {
			return err
		}
	}
	findings, err := p.Apply(ctx)
	if err == nil && findings {
		err = errFindings
	}
	return err
}
