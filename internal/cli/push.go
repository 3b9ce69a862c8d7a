// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
)

const pushLong = `Encrypt the secrets of a .env and create them in the cluster. What is there is
never overwritten, and the ledger beside the .env says what was written where.

Each entry whose name starts with SECRET, or that was pushed here before, becomes
one immutable Secret that holds a Fernet token. FERNET_MATCH in the .env names
others, FERNET_NAMESPACE the namespaces; with FERNET_KEY_SECRET the keyring goes
into a Secret too. What is there already stays as it is; a changed value is written
under the next generation's name, and only with --update.

What it says of an entry:

  created     a new immutable Secret
  unchanged   the cluster has this value already
  differs     the cluster has another value: --update
  stale       the .env has a value that was replaced: pull, or --revert NAME
  orphan      pushed once, no longer in the .env; left alone
  replaced    a bundle has its entries now, or it was a bundle; left alone
  foreign     somebody else's Secret has the name; left alone
  misplaced   a token of ours that was made for another place; left alone
  superseded  under a newer key than this .env has; its namespace is left alone,
              or where only the ledger says so, this entry (--ignore-key)
  held        not written because of a superseded entry beside it
  failed      the error is on stderr

The exit code is 0 when all is well, 1 when something needs attention, 2 when
something failed, 130 when it was interrupted: the same command then finishes.`

const pushExample = `  # the SECRET entries of .env into the current namespace
  kubectl fernet push --env .env

  # what would happen, as the API server sees it
  kubectl fernet push --dry-run=server

  # changed values become the next generation, in two namespaces
  kubectl fernet push --update --namespaces staging,production

  # and let the workloads follow
  kubectl fernet push --update --rollout

  # manifests to commit, without a cluster
  kubectl fernet push --dry-run=client --record -o yaml`

// pushOptions is a push as the flags ask for it.
type pushOptions struct {
	workOptions
	rolloutOptions
	update  bool
	revert  []string
	drop    bool
	record  bool
	rollout bool
	print   *printOptions
}

// newPush makes the verb; run is a.push, or what a test puts in its place.
func newPush(a *app, run func(context.Context, *pushOptions) error) *cobra.Command {
	o := &pushOptions{print: newPrintOptions()}
	var assumeYes bool
	cmd := &cobra.Command{
		Use:     "push",
		Short:   "Encrypt the secrets of a .env into the cluster",
		Long:    pushLong,
		Example: pushExample,
		Args:    noArguments,
		RunE:    runsInContexts(a, o, &o.workOptions, o.print.flags.OutputFormat, run),
	}
	f := cmd.Flags()
	o.workOptions.addFlags(f)
	o.contextsFlag(f)
	o.rolloutOptions.addFlags(f)
	o.detailFlags(f)
	defer markDetail(f, "same-cluster", "yes", "drop-entries")
	f.BoolVar(&o.rollout, "rollout", false, "with --update: then update the workloads, and wait; its flags are those of rollout")
	f.Lookup("dry-run").Usage = "the `mode`: none, client (no cluster is needed) or server"
	f.BoolVar(&o.update, "update", false, "write the next generation of what differs")
	o.bundleFlag(f)
	o.keySecretFlag(f, "keep the keyring in Secrets of this name")
	f.StringSliceVar(&o.revert, "revert", nil, "publish these entries although their value was replaced once")
	f.BoolVar(&o.drop, "drop-entries", false, "with --update: a bundle loses the entries that left the .env")
	f.BoolVar(&o.record, "record", false, "with --dry-run=client: record the printed tokens")
	f.BoolVar(&o.sameCluster, "same-cluster", false, "this is the right cluster although all is gone: create it again")
	f.BoolVar(&assumeYes, "yes", false, "no effect (push never prompts)")
	o.print.addFlags(cmd)
	return cmd
}

func (o *pushOptions) validate(namespace string) error {
	switch {
	case o.record && o.dryRun != dryRunClient:
		return errors.New("--record goes with --dry-run=client")
	case o.drop && !o.update:
		return errors.New("--drop-entries goes with --update")
	case o.rollout && !o.update:
		return errors.New("--rollout goes with --update")
	case o.rollout && o.dryRun == dryRunClient:
		return errors.New("--rollout needs a cluster: --dry-run=server")
	}
	if err := o.rolloutOptions.validate(); err != nil {
		return err
	}
	if err := o.print.validate(); err != nil {
		return err
	}
	return o.workOptions.validate(namespace)
}

// push looks, decides, writes and reports; with --rollout the workloads follow.
func (a *app) push(ctx context.Context, o *pushOptions) error {
	o.output = *o.print.flags.OutputFormat // its objects stand alone on stdout
	verb := action.Push{Update: o.update, Revert: o.revert, Drop: o.drop, Keep: o.record}
	needs := verb.Needs()
	needs.Offline = o.dryRun == dryRunClient
	s, err := a.open(ctx, o.workOptions, needs)
	if err != nil {
		return err
	}
	defer s.Close()
	p, err := verb.Plan(ctx, s)
	if err != nil {
		return err
	}
	if err = p.Apply(ctx); err != nil && !errors.Is(err, action.ErrUnrecorded) {
		return err
	}
	// What was created has to be told, also if it could not be recorded.
	if err := cmp.Or(err, a.reportPush(ctx, o, s, p)); err != nil || !o.rollout {
		return err
	}
	o.values = true
	err = a.rollout(ctx, s, o.rolloutOptions.verb(), true)
	if o.output == "name" {
		a.changed()
	}
	return err
}
