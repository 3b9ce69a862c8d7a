// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

const rotateLong = `Bring every secret of this .env in the cluster under a new key.

Each current Secret gets a next generation that holds the same value, with the
same age, under the new key; nothing is deleted or overwritten, so running and
restarting pods keep what they have. What rotate does follows from what it finds:

  a Secret that is not under KEY yet   is brought there: an interrupted rotation
                                       is finished by the same command
  all under KEY, KEY_PREVIOUS empty    takes KEY_NEXT, or makes a key, and rotates
  all under KEY, KEY_PREVIOUS not      says what is left to do, exit code 1;
                                       --new-key starts the next one anyway

The new key is on disk, in the .env or the --key-file, before anything is sealed
with it. Without -n it goes through all namespaces that the ledger knows.

Applications must hold the new key before they see a token under it: --prepare
stages it, or --key-secret keeps the keyring in the cluster. Then rollout
points the workloads to the new generations, and retire removes the old ones.`

const rotateExample = `  # a key that applications can be given before anything is sealed with it
  kubectl fernet rotate --prepare

  # the rotation; run it again if it was interrupted
  kubectl fernet rotate

  # keyring, tokens and workloads in one go
  kubectl fernet rotate --key-secret fernet-key --rollout

  # back to the old key, as long as nothing was sent under the new one
  kubectl fernet rotate --abort`

// errStopped is why the rest of a rotation was not sent.
var errStopped = errors.New("not sent: the first create did not succeed")

type rotateOptions struct {
	workOptions
	rolloutOptions
	prepare, abort, newKey, rollout, yes bool
	keySecret                            string
}

// newRotate makes the verb; run is a.rotate, or what a test puts in its place.
func newRotate(a *app, run func(context.Context, *rotateOptions) error) *cobra.Command {
	o := &rotateOptions{}
	cmd := &cobra.Command{
		Use:     "rotate",
		Short:   "Bring every secret of this .env in the cluster under a new key",
		Long:    rotateLong,
		Example: rotateExample,
		Args:    noArguments,
		RunE:    runs(a, o, run),
	}
	f := cmd.Flags()
	o.workOptions.addFlags(f)
	o.rolloutOptions.addFlags(f)
	f.BoolVar(&o.prepare, "prepare", false, "only stage the next key as KEY_NEXT: it opens, and seals nothing yet")
	f.BoolVar(&o.abort, "abort", false, "return to the key before, as long as nothing was sent under the new one")
	f.BoolVar(&o.newKey, "new-key", false, "start the next rotation although the last one is not finished")
	f.BoolVar(&o.rollout, "rollout", false, "then point the workloads to the new generations, and wait")
	f.StringVar(&o.keySecret, "key-secret", "", "keep the keyring too, as an immutable Secret of this name and its generations")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	return cmd
}

func (o *rotateOptions) validate(namespace string) error {
	switch {
	case o.prepare && (o.abort || o.newKey || o.rollout):
		return errors.New("--prepare only stages a key: leave out --abort, --new-key and --rollout")
	case o.abort && (o.newKey || o.rollout || o.keySecret != ""):
		return errors.New("--abort goes with no other step of a rotation")
	}
	if o.keySecret != "" {
		if base, err := names.Base(o.keySecret); err != nil || base != o.keySecret {
			return errors.New("--key-secret: not the name of a Secret: lower-case letters, digits, \"-\" and \".\", and no ending like -g2")
		}
	}
	if err := o.rolloutOptions.validate(); err != nil {
		return err
	}
	return o.workOptions.validate(namespace)
}

// rotateRun is one rotation under way.
type rotateRun struct {
	*work
	o      *rotateOptions
	holder action.Holder
	views  []plan.View
	moves  []plan.Move
}

// rotate looks at the state and does what follows from it.
func (a *app) rotate(ctx context.Context, o *rotateOptions) error {
	w, close, err := a.start(ctx, o.workOptions, action.Needs{Writes: true, Spreads: true})
	if err != nil {
		return err
	}
	defer close()
	if err := w.Start(); err != nil {
		return err
	}
	r := &rotateRun{work: w, o: o}
	if r.holder, err = w.KeyHolder(); err != nil {
		return err
	}
	if err := r.keySecretIsFree(); err != nil {
		return err
	}
	switch {
	case o.prepare:
		return r.prepare(ctx)
	case o.abort:
		return r.abort(ctx)
	}
	if r.views, err = w.LookAll(ctx); err != nil {
		return err
	}
	if r.moves, err = w.moves(r.views); err != nil {
		return err
	}
	return r.advance(ctx)
}

// keySecretIsFree refuses a name for the keyring that an entry has.
func (r *rotateRun) keySecretIsFree() error {
	for _, entry := range plan.Mine(r.Records, r.Project.Wanted) {
		if entry.Base == r.o.keySecret {
			return withHint(fmt.Errorf("--key-secret %s is the Secret of %s", r.o.keySecret, entry.EnvKey), "choose another name, such as fernet-key")
		}
	}
	return nil
}

// moves plans the rotation of what the views show, under the keyring of now.
func (w *work) moves(views []plan.View) ([]plan.Move, error) {
	var all []plan.Move
	for _, view := range views {
		mine := plan.Mine(view.Records, w.Project.Wanted)
		moves, err := plan.Rotate(view, mine, w.Project.Sealer.Judge, w.Project.Keys, w.Project.Sealer.SameValue, w.Project.Has)
		if err != nil {
			return nil, w.Located(err)
		}
		all = append(all, moves...)
	}
	return all, nil
}

func count(moves []plan.Move, outcomes ...plan.Outcome) (n int) {
	for _, m := range moves {
		if slices.Contains(outcomes, m.Outcome) {
			n++
		}
	}
	return n
}

// advance is the function of the state.
func (r *rotateRun) advance(ctx context.Context) error {
	if err := r.obstacles(); err != nil {
		return err
	}
	previous, key := r.Project.Keys.Previous(), r.Project.Keys.IDs()[0]
	pending, lost := 0, 0 // not under KEY yet; under KEY, and gone
	for _, m := range r.moves {
		switch {
		case m.Outcome == plan.Created && m.Lost && m.Row.KeyID == key:
			lost++
		case m.Outcome == plan.Created:
			pending++
		}
	}
	switch {
	case pending+lost == 0 && count(r.moves, plan.Unchanged) == 0:
		return withHint(fmt.Errorf("nothing of %s is in %s, so there is nothing to rotate", r.o.env, r.Target.Places()), "kubectl fernet push%s", action.EnvFlag(r.o.env))
	case pending > 0:
		r.console.note("%d of %d Secrets are not under KEY %s yet", pending, pending+lost+count(r.moves, plan.Unchanged), key)
		return r.carryOut(ctx, nil)
	case len(previous) == 0 || r.o.newKey:
		return r.start(ctx)
	case lost > 0:
		return r.carryOut(ctx, nil)
	default:
		return r.leftToDo(ctx)
	}
}

// obstacles ends a rotation before anything is written.
func (r *rotateRun) obstacles() error {
	blocked, superseded := count(r.moves, plan.Blocked, plan.Failed), 0
	for _, m := range r.moves {
		if m.Outcome == plan.Superseded && !m.ByRow {
			superseded++
		}
	}
	if blocked+superseded == 0 {
		return nil
	}
	r.explain(r.Session, decisions(r.moves))
	if blocked > 0 {
		return errEntries
	}
	return errFindings
}

// start makes KEY_NEXT, or a fresh key, the one that seals, and rotates to it.
func (r *rotateRun) start(ctx context.Context) error {
	fresh, _, err := keyring.Generate()
	if err != nil {
		return err
	}
	e, err := r.holder.Edit(keyring.Advance(r.holder.File, fresh)...)
	if err != nil {
		return err
	}
	before := r.Project
	r.Project = before.WithKeys(e.Keys)
	if r.moves, err = r.work.moves(r.views); err != nil {
		return err
	}
	if err := r.obstacles(); err != nil {
		return err
	}
	r.Project = before
	return r.carryOut(ctx, &e)
}

// leftToDo is where everything is under KEY and older keys are still held.
func (r *rotateRun) leftToDo(ctx context.Context) error {
	if r.o.dryRun == dryRunNone { // a run that was killed at its end may have left rows to write
		if err := r.Record(r.Confirmed(r.views...)...); err != nil {
			return err
		}
	}
	if r.o.rollout || r.o.keySecret != "" {
		return r.finish(ctx)
	}
	ids := r.Project.Keys.IDs()
	r.console.print(fmt.Sprintf("everything in %s is under KEY %s already; the key before it, %s, is still held\n",
		r.Target.Places(), ids[0], strings.Join(r.Project.Keys.Previous(), ", ")))
	r.console.next(nextSteps(r.o.sourceOptions, ids[0]) + "; to start another rotation all the same: kubectl fernet rotate --new-key")
	return errFindings
}

func nextSteps(o sourceOptions, id string) hint.Text {
	flags := action.EnvFlag(o.env)
	return hint.Format("once applications hold key %s, kubectl fernet rollout%s --apps-hold %s, then kubectl fernet retire%s", id, flags, id, flags)
}

// prepare stages the next key, so that applications can be given it.
func (r *rotateRun) prepare(ctx context.Context) error {
	word, staged := "staged already", r.Project.Keys.Staged()
	thrownAway := staged == "" && r.o.dryRun != dryRunNone
	if staged == "" {
		fresh, key, err := keyring.Generate()
		if err != nil {
			return err
		}
		e, err := r.holder.Edit(keyring.Stage(fresh)...)
		if err != nil {
			return err
		}
		if err := r.confirm(ctx, r.o.yes || r.o.dryRun != dryRunNone, "stage a next key in "+r.holder.Path+"?"); err != nil {
			return err
		}
		word, staged = "staged", key.ID()
		if r.o.dryRun != dryRunNone {
			r.Project = r.Project.WithKeys(e.Keys)
		} else if err := r.Save(e); err != nil {
			return err
		}
	}
	if thrownAway {
		fmt.Fprintf(r.Out, "a new key staged%s\n", r.o.dryRun.suffix())
	} else {
		fmt.Fprintf(r.Out, "key/%s %s%s\n", staged, word, r.o.dryRun.suffix())
	}
	if err := r.finish(ctx); err != nil || thrownAway {
		return err
	}
	if r.o.keySecret != "" {
		r.console.next("kubectl fernet rollout" + action.EnvFlag(r.o.env) + " gives workloads this keyring; then kubectl fernet rotate" + action.EnvFlag(r.o.env))
		return nil
	}
	r.console.next(hint.Format("give applications the value of KEY_NEXT in %s as one more key in FERNET_KEY_PREVIOUS and restart them; then kubectl fernet rotate%s, and kubectl fernet rollout%s --apps-hold %s",
		r.holder.Path, action.EnvFlag(r.o.env), action.EnvFlag(r.o.env), staged))
	return nil
}

// abort returns to the key before. It is possible only while no row of the
// ledger is under the new one: from then on its tokens may be anywhere.
func (r *rotateRun) abort(ctx context.Context) error {
	changes, err := keyring.Retreat(r.holder.File)
	if err != nil {
		return withHint(fmt.Errorf("%s: there is no rotation to take back: %w", r.holder.Path, err), "kubectl fernet status%s", action.EnvFlag(r.o.env))
	}
	id := r.Project.Keys.IDs()[0]
	for _, record := range r.Book.Records() {
		if !record.Hint && record.KeyID == id && record.State != ledger.Failed {
			return withHint(fmt.Errorf("tokens under key %s were sent already (Secret %s in namespace %s)", id, record.Secret, record.Namespace),
				"that is no harm: each token opens with one of the two keys, and both are held; kubectl fernet rotate%s finishes the rotation", action.EnvFlag(r.o.env))
		}
	}
	e, err := r.holder.Edit(changes...)
	if err != nil {
		return err
	}
	if err := r.confirm(ctx, r.o.yes || r.o.dryRun != dryRunNone, fmt.Sprintf("return from key %s to key %s?", id, e.Keys.IDs()[0])); err != nil {
		return err
	}
	if r.o.dryRun == dryRunNone {
		if err := r.Save(e); err != nil {
			return err
		}
	}
	fmt.Fprintf(r.Out, "key/%s current again%s\nkey/%s staged%s\n", e.Keys.IDs()[0], r.o.dryRun.suffix(), id, r.o.dryRun.suffix())
	return nil
}

// told prints what became of the rotation and goes on to what follows it.
func (r *rotateRun) told(ctx context.Context) error {
	results := decisions(r.moves)
	if err := r.lines(r.Session, r.o.dryRun, results); err != nil {
		return err
	}
	r.explain(r.Session, results)
	r.differing()
	count := r.summary(results)
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case count[plan.Failed]+count[plan.Foreign]+count[plan.Unsent] > 0:
		return errEntries
	}
	if r.o.dryRun == dryRunNone {
		if err := r.finish(ctx); err != nil {
			return err
		}
	}
	if count[plan.Misplaced]+count[plan.Superseded] > 0 {
		return errFindings
	}
	return nil
}

// differing names the entries whose value in the .env is not the one that was
// rotated.
func (r *rotateRun) differing() {
	var names []string
	for _, m := range r.moves {
		if m.Differs {
			names = append(names, m.Row.EnvKey)
		}
	}
	if len(names) > 0 {
		r.console.note("%s has another value than the cluster for %s; the cluster's was kept: kubectl fernet push --update%s publishes the other",
			r.o.env, hint.Few(names), action.EnvFlag(r.o.env))
	}
}

// finish does what the flags ask for beyond the tokens, and says what is next.
func (r *rotateRun) finish(ctx context.Context) error {
	if r.o.keySecret != "" {
		for _, namespace := range r.Target.Namespaces {
			if err := r.EnsureKeyring(ctx, namespace, r.o.keySecret); err != nil {
				return err
			}
		}
	}
	id, flags := r.Project.Keys.IDs()[0], action.EnvFlag(r.o.env)
	switch {
	case r.o.prepare:
		return nil
	case r.o.rollout:
		if err := r.rollout(ctx, r.Session, r.o.rolloutOptions, true); err != nil {
			return err
		}
		r.console.next("kubectl fernet retire" + flags)
	case r.o.keySecret != "":
		r.console.next("kubectl fernet rollout" + flags + ", then kubectl fernet retire" + flags)
	default:
		r.console.next(nextSteps(r.o.sourceOptions, id))
	}
	return nil
}

func decisions(moves []plan.Move) []plan.Decision {
	out := make([]plan.Decision, len(moves))
	for i, m := range moves {
		out[i] = m.Decision
	}
	return out
}
