// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

const retireLong = `Delete the old Secrets that nothing uses any more, and drop the old key when
nothing needs it.

A Secret is deleted only if it is ours, older than the current generation of its
name, and if nothing in its namespace refers to it, in any kind of object that
can be listed. After the deletes it looks again; a Secret that somebody began to
use meanwhile is put back with the same bytes. Nothing but Secrets of ours is
ever deleted.

What keeps a Secret, and the word by which it is overlooked:

  in use         a pod, a template, an unfinished job or a custom resource refers
                 to it: nothing overlooks that
  in a manifest  the next apply would refer to it again: --ignore manifests
  mentioned      its name stands in an argument, a variable, an annotation, a
                 ConfigMap, …: --ignore mentions
  history        only a return to an older revision would need it: --ignore history

With --strict a kind of object that cannot be listed keeps every Secret, unless
--ignore names it; what holds pods always does.

The previous keys leave the .env when every Secret that the ledger's signed rows
have, in every cluster and namespace, is gone or opens with KEY alone, when a look
at the Secrets of all namespaces finds none that carries such a key's id and opens
with it, and when no value of the .env is stale.

It cannot see programs that read Secrets through the API.
Old tokens in git, in backups of etcd and in the ledger stay readable with the
old key: if it leaked, change the values too.

With NAME (of an entry that is no longer in the .env) all its generations go.`

const retireExample = `  # what could go, and what keeps the rest
  kubectl fernet retire --dry-run

  # also what only a rollback would need
  kubectl fernet retire --ignore history

  # an entry that was removed from the .env
  kubectl fernet retire SECRET_OLD`

type retireOptions struct {
	workOptions
	names                    []string
	strict, yes              bool
	forget, forgetNamespaces []string
	skipClusterCheck         bool
	ignore                   []string // as they were typed
}

// newRetire makes the verb; run is a.retire, or what a test puts in its place.
func newRetire(a *app, run func(context.Context, *retireOptions) error) *cobra.Command {
	o := &retireOptions{}
	cmd := &cobra.Command{
		Use:               "retire [NAME...]",
		Short:             "Delete unused old Secrets and the old key",
		Long:              retireLong,
		Example:           retireExample,
		ValidArgsFunction: a.words(recordedNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.complete()
			o.names = args
			if err := o.validate(*a.connect.Namespace); err != nil {
				return err
			}
			return a.eachContext(cmd.Context(), &o.workOptions, cmd.Name(), o.output, func(ctx context.Context) error { return run(ctx, o) })
		},
	}
	f := cmd.Flags()
	o.addFlags(f)
	o.contextsFlag(f)
	f.BoolVar(&o.strict, "strict", false, "delete nothing while any kind of object could not be looked at")
	f.StringArrayVar(&o.forgetNamespaces, "forget-namespace", nil, "a namespace whose Secrets were lost for good, repeatable")
	f.StringArrayVar(&o.forget, "forget-cluster", nil, "a cluster of the ledger that is gone for good, repeatable")
	f.BoolVar(&o.skipClusterCheck, "skip-cluster-check", false, "drop the old key without a look at the Secrets of all namespaces")
	f.StringArrayVar(&o.ignore, "ignore", nil, "what may be overlooked: history, mentions, manifests, with --strict a kind, or NAMESPACE/NAME of a mirrored copy; repeatable")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	o.outputFlag(cmd, resultFormats...)
	return cmd
}

// aKind is a kind of object as kubectl writes it: widgets.example.com.
var aKind = regexp.MustCompile(`^[a-z][a-z0-9-]*(\.[a-z0-9.-]+)?$`)

func (o *retireOptions) validate(namespace string) error {
	for _, word := range o.ignore {
		in, name, isCopy := strings.Cut(word, "/")
		if isCopy && (names.CheckNamespace(in) != nil || name == "") || !isCopy && !aKind.MatchString(word) {
			return withHint(errors.New("--ignore: not history, mentions, manifests, a kind or NAMESPACE/NAME"), "the report names the word to type")
		}
	}
	if kinds := o.ignored().Kinds; len(kinds) > 0 && !o.strict {
		return withHint(fmt.Errorf("--ignore %s: no word, and no NAMESPACE/NAME; a kind goes with --strict", kinds[0]), "the words are history, mentions and manifests")
	}
	if err := checkFormat(o.output, resultFormats...); err != nil {
		return err
	}
	return o.workOptions.validate(namespace)
}

// ignored sorts what may be overlooked.
func (o *retireOptions) ignored() (i action.Ignore) {
	for _, word := range o.ignore {
		switch {
		case word == action.IgnoreHistory:
			i.History = true
		case word == action.IgnoreMentions:
			i.Mentions = true
		case word == action.IgnoreManifests:
			i.Manifests = true
		case strings.Contains(word, "/"):
			i.Copies = append(i.Copies, word)
		default:
			i.Kinds = append(i.Kinds, word)
		}
	}
	return i
}

func (a *app) retire(ctx context.Context, o *retireOptions) error {
	s, err := a.open(ctx, o.workOptions, action.Retire{}.Needs())
	if err != nil {
		return err
	}
	defer s.Close()
	return a.ended(s, &o.workOptions, "RetireReport", a.retireIn(ctx, o, s))
}

func (a *app) retireIn(ctx context.Context, o *retireOptions, s *action.Session) error {
	verb := action.Retire{
		Names: o.names, Strict: o.strict, Forget: o.forget, ForgetNamespaces: o.forgetNamespaces,
		SkipClusterCheck: o.skipClusterCheck, Ignore: o.ignored(),
	}
	p, err := verb.Plan(ctx, s)
	if err != nil {
		return err
	}
	if err := a.confirmRetire(ctx, o, s, p); err != nil {
		return err
	}
	if err := p.Apply(ctx); err != nil {
		return err
	}
	a.reportRetire(o, s, p)
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case p.Has(plan.Failed):
		return errEntries
	}
	kept := false
	if len(o.names) == 0 && !o.more { // a key leaves when all are proven
		if kept, err = a.dropKeys(ctx, o, p); err != nil {
			return err
		}
	}
	if kept || p.Findings() {
		return errFindings
	}
	return nil
}

// dropKeys takes the previous keys out of their file, if nothing keeps them.
func (a *app) dropKeys(ctx context.Context, o *retireOptions, p *action.RetirePlan) (kept bool, err error) {
	d, err := p.DropKeys(ctx)
	if err != nil || len(d.Keys) == 0 {
		return false, err
	}
	for _, because := range d.Reasons {
		a.console.say("key kept: " + because.Reason)
		if because.Way != "" {
			a.console.hint(because.Way)
		}
	}
	if len(d.Reasons) > 0 {
		a.report(d.Items(plan.Kept)...)
		return true, nil
	}
	err = a.confirm(ctx, o.yes || o.dryRun != dryRunNone, fmt.Sprintf("nothing needs key %s any more: drop it from %s?", hint.Few(d.Keys), d.Path))
	if errors.Is(err, errNotConfirmed) {
		a.console.say("key kept: not confirmed")
		d.Reasons = append(d.Reasons, action.Kept{Reason: "not confirmed"})
		a.report(d.Items(plan.Kept)...)
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if err := d.Apply(); err != nil {
		return false, err
	}
	a.reportDropped(o, d)
	return false, nil
}

// reportDropped says what is left of the keys that were dropped.
func (a *app) reportDropped(o *retireOptions, d *action.KeyDrop) {
	for _, item := range d.Items(plan.Dropped) {
		a.did(&o.workOptions, item, "key/"+item.Name+" dropped")
	}
	flag := o.paths().Flags()
	for _, held := range d.Holding() {
		a.console.note("%s", hint.Format("secret/%s in namespace %s still holds it: it leaves with the keyring of the next rotation, or at once, with another restart of the pods, by kubectl fernet rollout%s --drop-previous", held.Name, held.Namespace, flag))
	}
	a.console.note("tokens under it in git, in backups of etcd and in the ledger stay readable with it; programs that read Secrets through the API could not be looked at")
}
