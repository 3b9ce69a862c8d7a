// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

const restoreLong = `Recreate lost Secrets from the ledger, on any cluster: after a disaster it
rebuilds a namespace. No key is needed, but without one it asks.

Every generation that was created and not deleted comes back, with the same name,
the same tokens and the same metadata.

With the key only what it proves is created: rows that it signed, tokens that it
opens in their own place. The rest is listed, and the exit code is 1. Without a
key nothing can be proven, so whoever can write the ledger decides what is
created: restore then says what it would create and asks, and --yes goes only
together with -n or --namespaces.

A keyring that workloads name and that is gone comes back, with the key, where it is
known that you keep it in the cluster: another namespace has it, or --key-secret or
--yes says so. It has the name that they use only if it is known to have held the
same; else it is a next generation, and rollout moves the workloads.

What is there already stays as it is. Another namespace needs the key, because
a token's binding names its namespace.`

const restoreExample = `  # all namespaces that the ledger knows
  kubectl fernet restore

  # one of them, onto another cluster
  kubectl fernet restore -n production --context new --ignore-cluster-name

  # as a namespace of another name
  kubectl fernet restore -n production --to-namespace copy`

type restoreOptions struct {
	workOptions
	fromCluster, toNamespace string
	yes                      bool
}

// newRestore makes the verb; run is a.restore, or what a test puts in its place.
func newRestore(a *app, run func(context.Context, *restoreOptions) error) *cobra.Command {
	o := &restoreOptions{}
	cmd := &cobra.Command{
		Use:     "restore",
		Short:   "Recreate lost Secrets from the ledger, keyless too",
		Long:    restoreLong,
		Example: restoreExample,
		Args:    noArguments,
		RunE:    runs(a, o, run),
	}
	f := cmd.Flags()
	o.addFlags(f)
	for _, name := range []string{"match", "allow-empty"} { // of no use here
		_ = f.MarkHidden(name)
	}
	f.StringVar(&o.fromCluster, "from-cluster", "", "the cluster, as the ledger names it, that is restored")
	f.StringVar(&o.toNamespace, "to-namespace", "", "another namespace to restore to; needs the key")
	o.keySecretFlag(f, "the name, without its generation, of keyring Secrets that come back where workloads name them")
	o.outputFlag(cmd, resultFormats...)
	f.BoolVar(&o.yes, "yes", false, "bring back every keyring that workloads name; without a key: do not ask, goes with -n or --namespaces")
	return cmd
}

func (o *restoreOptions) validate(namespace string) error {
	if o.toNamespace != "" {
		if len(o.namespaces) > 1 || namespace == "" && len(o.namespaces) == 0 {
			return withHint(errors.New("--to-namespace restores one namespace"), "name it: -n NAMESPACE")
		}
		if err := names.CheckNamespace(o.toNamespace); err != nil {
			return err
		}
	}
	if err := checkFormat(o.output, resultFormats...); err != nil {
		return err
	}
	return o.workOptions.validate(namespace)
}

func (a *app) restore(ctx context.Context, o *restoreOptions) error {
	s, err := a.open(ctx, o.workOptions, action.Restore{}.Needs())
	if err != nil {
		return err
	}
	defer s.Close()
	return a.ended(s, &o.workOptions, "RestoreReport", a.restoreIn(ctx, o, s))
}

func (a *app) restoreIn(ctx context.Context, o *restoreOptions, s *action.Session) error {
	p, err := action.Restore{FromCluster: o.fromCluster, ToNamespace: o.toNamespace}.Plan(ctx, s)
	if err != nil {
		return err
	}
	for _, missing := range p.Keyrings {
		missing.Wanted = missing.Wanted || o.yes
	}
	p.Announce()
	if err := a.confirmRestore(ctx, o, s, p); err != nil {
		return err
	}
	if err = p.Apply(ctx); err != nil && !errors.Is(err, action.ErrUnrecorded) {
		return err
	}
	return cmp.Or(err, a.reportRestore(ctx, o, s, p))
}

// confirmRestore asks about a restore that nothing authenticates.
func (a *app) confirmRestore(ctx context.Context, o *restoreOptions, s *action.Session, p *action.RestorePlan) error {
	if !p.KeyLess {
		return nil
	}
	a.console.warn("without a key nothing of this is authenticated: whoever can write %s decides what is created", o.ledger)
	if o.yes && !s.Target.Named {
		return withHint(errors.New("--yes without a key goes only together with -n or --namespaces"), "name the namespaces that are to be restored, or give the key: --key-file, FERNET_KEY")
	}
	command := a.typed + " --yes"
	switch at := s.Target.Namespaces; {
	case s.Target.Named:
	case len(at) == 1:
		command = hint.Format("%s -n %s --yes", a.typed, at[0])
	default:
		command = hint.Format("%s --namespaces %s --yes", a.typed, strings.Join(at, ","))
	}
	n := p.ToCreate()
	return a.confirmFor(ctx, o.yes || n == 0 || o.dryRun != dryRunNone, fmt.Sprintf("create %s in %s, unauthenticated?", hint.Count(n, "Secret"), s.Target.Places()), command)
}

// reportKeyrings says what is left to do about missing keyrings; findings says that there is.
func (a *app) reportKeyrings(p *action.RestorePlan) (findings bool) {
	for _, missing := range p.Keyrings {
		where := fmt.Sprintf("keyring: %s in namespace %q is named by workloads, and is not there", hint.Few(missing.Named), missing.Namespace)
		switch {
		case missing.Name == "":
			a.console.say(where + ": " + missing.Reason)
		case !missing.Wanted:
			a.console.say(where + "; it was not put back, because that puts the key into the cluster")
			missing.Way = hint.Format("if that is where you keep it: kubectl fernet restore --key-secret %s, with the other flags of this run", missing.Base)
		case !missing.Moves():
			continue
		default:
			a.console.say(where)
		}
		if findings = true; missing.Way != "" {
			a.console.hint(missing.Way)
		}
	}
	return findings
}

func (a *app) reportRestore(ctx context.Context, o *restoreOptions, s *action.Session, p *action.RestorePlan) error {
	if err := a.results(s, &o.workOptions, p.Decisions); err != nil {
		return err
	}
	a.explain(s, p.Decisions)
	keyrings := a.reportKeyrings(p)
	a.report(p.Absent()...)
	count := a.summary(p.Decisions)
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case count[plan.Failed] > 0:
		return errEntries
	case keyrings:
		return errFindings
	case count[plan.Foreign]+count[plan.Unproven]+count[plan.Superseded]+count[plan.Held] > 0, p.Edited():
		return errFindings
	default:
		return nil
	}
}
