// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

const rotateLong = `Re-encrypt every Secret of this .env with a new key, under new names. Run it
again to finish what was interrupted.

Each current Secret gets a next generation that holds the same value, with the
same age, under the new key; nothing is deleted or overwritten, so running and
restarting pods keep what they have. What rotate does follows from what it finds:

  a Secret that is not under KEY yet   is brought there: an interrupted rotation
                                       is finished by the same command
  all under KEY, KEY_PREVIOUS empty    takes KEY_NEXT, or makes a key, and rotates
  all under KEY, KEY_PREVIOUS not      says what is left to do, exit code 1
  --new-key, whatever it finds         makes a fresh key, never KEY_NEXT, which
                                       may have leaked with the file, and rotates

The new key is on disk, in the .env or the --key-file, before anything is sealed
with it. Without -n it goes through the namespaces of FERNET_NAMESPACE, else all that the
ledger knows.

Applications must hold the new key before they see a token under it: --prepare
stages it, or FERNET_KEY_SECRET in the .env keeps the keyring in the cluster. Then rollout
points the workloads to the new generations, and retire removes the old ones.`

const rotateExample = `  # a key that applications can be given before anything is sealed with it
  kubectl fernet rotate --prepare

  # the rotation; run it again if it was interrupted
  kubectl fernet rotate

  # keyring, tokens and workloads in one go
  kubectl fernet rotate --key-secret fernet-key --rollout

  # back to the old key, as long as nothing was sent under the new one
  kubectl fernet rotate --abort`

type rotateOptions struct {
	workOptions
	rolloutOptions
	prepare, abort, newKey, rollout, yes bool
}

// newRotate makes the verb; run is a.rotate, or what a test puts in its place.
func newRotate(a *app, run func(context.Context, *rotateOptions) error) *cobra.Command {
	o := &rotateOptions{}
	cmd := &cobra.Command{
		Use:     "rotate",
		Short:   "Re-encrypt all Secrets with a new key",
		Long:    rotateLong,
		Example: rotateExample,
		Args:    noArguments,
		RunE:    runsInContexts(a, o, &o.workOptions, &o.output, run),
	}
	f := cmd.Flags()
	o.workOptions.addFlags(f)
	o.contextsFlag(f)
	o.rolloutOptions.addFlags(f)
	o.detailFlags(f)
	f.BoolVar(&o.prepare, "prepare", false, "only stage the next key as KEY_NEXT: it opens, and seals nothing yet")
	f.BoolVar(&o.abort, "abort", false, "return to the key before, as long as nothing was sent under the new one")
	f.BoolVar(&o.newKey, "new-key", false, "make a fresh key whatever is staged or not finished yet, and rotate to it")
	f.BoolVar(&o.rollout, "rollout", false, "then update the workloads, and wait; its flags are those of rollout")
	o.keySecretFlag(f, "keep the keyring in Secrets of this name")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	o.outputFlag(cmd, resultFormats...)
	return cmd
}

func (o *rotateOptions) validate(namespace string) error {
	switch {
	case o.prepare && (o.abort || o.newKey || o.rollout):
		return errors.New("--prepare only stages a key: leave out --abort, --new-key and --rollout")
	case o.abort && (o.newKey || o.rollout || o.keySecret != ""):
		return errors.New("--abort goes with no other step of a rotation")
	}
	if err := checkFormat(o.output, resultFormats...); err != nil {
		return err
	}
	if err := o.rolloutOptions.validate(); err != nil {
		return err
	}
	return o.workOptions.validate(namespace)
}

func (a *app) rotate(ctx context.Context, o *rotateOptions) error {
	s, err := a.open(ctx, o.workOptions, action.Rotate{}.Needs())
	if err != nil {
		return err
	}
	defer s.Close()
	step := a.rotateIn
	switch {
	case o.prepare:
		step = a.stageKey
	case o.abort:
		step = a.abortRotation
	}
	return a.ended(s, &o.workOptions, "RotateReport", step(ctx, o, s))
}

// rotateIn looks at the state and does what follows from it.
func (a *app) rotateIn(ctx context.Context, o *rotateOptions, s *action.Session) error {
	p, err := action.Rotate{NewKey: o.newKey}.Plan(ctx, s)
	if err != nil {
		return err
	}
	switch p.Phase {
	case action.RotateBlocked:
		return a.blockedRotation(s, p)
	case action.RotateComplete:
		return a.completeRotation(ctx, o, s, p)
	}
	question := fmt.Sprintf("bring %s in %s under key %s?", hint.Count(p.ToCreate(), "Secret"), s.Target.Places(), p.Key)
	if err := a.confirm(ctx, o.yes || o.dryRun != dryRunNone, question); err != nil {
		return err
	}
	switch err = p.Apply(ctx); {
	case errors.Is(err, action.ErrBlocked):
		return a.blockedRotation(s, p)
	case err != nil && !errors.Is(err, action.ErrUnrecorded):
		return err
	}
	o.newKey = false // other contexts are brought under this one
	// What was created has to be told, also if it could not be recorded.
	return cmp.Or(err, a.reportRotation(ctx, o, s, p))
}

// blockedRotation says what keeps a rotation from being written.
func (a *app) blockedRotation(s *action.Session, p *action.RotatePlan) error {
	a.explain(s, p.Decisions())
	a.report(secretItems(s, p.Unwritten())...)
	if slices.ContainsFunc(p.Moves, func(m plan.Move) bool { return m.Outcome == plan.Blocked || m.Outcome == plan.Failed }) {
		return errEntries
	}
	return errFindings
}

// completeRotation is where everything is under KEY and older keys are still held.
func (a *app) completeRotation(ctx context.Context, o *rotateOptions, s *action.Session, p *action.RotatePlan) error {
	if err := p.Confirm(); err != nil {
		return err
	}
	a.report(secretItems(s, p.Decisions())...)
	if o.rollout || o.keySecret != "" {
		return a.finishRotation(ctx, o, s)
	}
	if err := s.KeepKeyrings(ctx); err != nil {
		return err
	}
	for _, id := range s.Project.Keys.Previous() {
		a.report(action.KeyItem(id, plan.Kept, false))
	}
	a.console.print(fmt.Sprintf("all Secrets already use key %s; older keys still in %s: %s\n", p.Key, p.Holder.Path, strings.Join(s.Project.Keys.Previous(), ", ")))
	a.console.next(nextSteps(o.sourceOptions, p.Key) + "; to start another rotation all the same: kubectl fernet rotate --new-key" + o.paths().Flags())
	return errFindings
}

func nextSteps(o sourceOptions, id string) hint.Text {
	flags := o.paths().Flags()
	return hint.Format("once applications hold key %s, kubectl fernet rollout%s --apps-have-key %s, then kubectl fernet retire%s", id, flags, id, flags)
}

// reportRotation prints what came of the rotation and goes on to what follows it.
func (a *app) reportRotation(ctx context.Context, o *rotateOptions, s *action.Session, p *action.RotatePlan) error {
	results := p.Decisions()
	if err := a.results(s, &o.workOptions, results); err != nil {
		return err
	}
	a.explain(s, results)
	if names := p.Differing(); len(names) > 0 {
		a.console.note("%s has another value than the cluster for %s; the cluster's was kept: kubectl fernet push --update%s publishes the other",
			o.env, hint.Few(names), o.paths().Flags())
	}
	count := a.summary(results)
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case count[plan.Failed]+count[plan.Foreign]+count[plan.NotSent] > 0:
		return errEntries
	}
	if o.dryRun == dryRunNone {
		if err := a.finishRotation(ctx, o, s); err != nil {
			return err
		}
	}
	if count[plan.Misplaced]+count[plan.Superseded] > 0 {
		return errFindings
	}
	return nil
}

// finishRotation does what the flags ask for beyond the tokens, and says what is next.
func (a *app) finishRotation(ctx context.Context, o *rotateOptions, s *action.Session) error {
	if err := s.KeepKeyrings(ctx); err != nil {
		return err
	}
	flags := o.paths().Flags()
	switch {
	case o.rollout:
		if err := a.rollout(ctx, s, o.rolloutOptions.verb(), true); err != nil {
			return err
		}
		a.console.next("kubectl fernet retire" + flags)
	case s.Settings.KeySecret != "":
		a.console.next("kubectl fernet rollout" + flags + ", then kubectl fernet retire" + flags)
	default:
		a.console.next(nextSteps(o.sourceOptions, s.Project.Keys.IDs()[0]))
	}
	return nil
}

// stageKey stages the next key, so that applications can be given it.
func (a *app) stageKey(ctx context.Context, o *rotateOptions, s *action.Session) error {
	p, err := action.StageKey{}.Plan(ctx, s)
	if err != nil {
		return err
	}
	thrownAway := p.Changes() && o.dryRun != dryRunNone // the next run makes another one
	if err := a.confirm(ctx, !p.Changes() || o.yes || o.dryRun != dryRunNone, "stage a next key in "+p.Path+"?"); err != nil {
		return err
	}
	if err := p.Apply(ctx); err != nil {
		return err
	}
	switch {
	case thrownAway:
		a.did(&o.workOptions, action.KeyItem("", plan.Staged, true), "a new key staged")
	case p.Changes():
		a.did(&o.workOptions, action.KeyItem(p.Now, plan.Staged, true), "key/"+p.Now+" staged")
	default:
		a.did(&o.workOptions, action.KeyItem(p.Now, plan.Staged, false), "key/"+p.Now+" staged already")
	}
	if err := s.KeepKeyrings(ctx); err != nil {
		return err
	}
	flags := o.paths().Flags()
	switch {
	case thrownAway:
	case s.Settings.KeySecret != "":
		a.console.next("kubectl fernet rollout" + flags + " gives workloads this keyring; then kubectl fernet rotate" + flags)
	default:
		a.console.next(hint.Format("give applications the value of KEY_NEXT in %s as one more key in FERNET_KEY_PREVIOUS and restart them; then kubectl fernet rotate%s, and kubectl fernet rollout%s --apps-have-key %s",
			p.Path, flags, flags, p.Now))
	}
	return nil
}

// abortRotation returns to the key before.
func (a *app) abortRotation(ctx context.Context, o *rotateOptions, s *action.Session) error {
	p, err := action.Abort{}.Plan(ctx, s)
	if err != nil {
		return err
	}
	if err := a.confirm(ctx, o.yes || o.dryRun != dryRunNone, fmt.Sprintf("return from key %s to key %s?", p.Was, p.Now)); err != nil {
		return err
	}
	if err := p.Apply(ctx); err != nil {
		return err
	}
	a.did(&o.workOptions, action.KeyItem(p.Now, plan.Current, true), "key/"+p.Now+" current again")
	a.did(&o.workOptions, action.KeyItem(p.Was, plan.Staged, true), "key/"+p.Was+" staged")
	return nil
}
