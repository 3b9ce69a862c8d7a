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
	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keysecret"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
)

const retireLong = `Delete the generations that nothing uses any more, and drop the old key.

A Secret is deleted only if it is ours, older than the current generation of its
name, and if nothing in its namespace refers to it, in any kind of object that
can be listed. After the deletes it looks again; a Secret that somebody began to
use meanwhile is put back with the same bytes. Nothing but Secrets of ours is
ever deleted.

What keeps a Secret:

  in use    a pod, a template, an unfinished job or any other object names it
  history   only a return to an older revision would need it: --drop-rollback

The previous keys leave the .env when every Secret that the ledger's signed rows
have, in every cluster and namespace, is gone or opens with KEY alone, when a look
at the Secrets of all namespaces finds none that carries such a key's id and opens
with it, and when no value of the .env is stale.

It cannot see programs that read Secrets through the API, nor Helm's history.
Old tokens in git, in backups of etcd and in the ledger stay readable with the
old key: if it leaked, change the values too.

With NAME (of an entry that is no longer in the .env) all its generations go.`

const retireExample = `  # what could go, and what keeps the rest
  kubectl fernet retire --dry-run

  # also what only a rollback would need
  kubectl fernet retire --drop-rollback

  # an entry that was removed from the .env
  kubectl fernet retire SECRET_OLD`

type retireOptions struct {
	workOptions
	names                     []string
	dropRollback, strict, yes bool
	forget, forgetNamespaces  []string
	skipClusterCheck          bool
	ignore                    []string // NAMESPACE/NAME
}

// newRetire makes the verb; run is a.retire, or what a test puts in its place.
func newRetire(a *app, run func(context.Context, *retireOptions) error) *cobra.Command {
	o := &retireOptions{}
	cmd := &cobra.Command{
		Use:               "retire [NAME...]",
		Short:             "Delete the generations that nothing uses any more, and drop the old key",
		Long:              retireLong,
		Example:           retireExample,
		ValidArgsFunction: a.words(recordedNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.complete()
			o.names = args
			if err := o.validate(*a.connect.Namespace); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	o.addFlags(f)
	f.BoolVar(&o.dropRollback, "drop-rollback", false, "delete also what only a return to an older revision would need")
	f.BoolVar(&o.strict, "strict", false, "delete nothing while any kind of object could not be looked at")
	f.StringArrayVar(&o.forgetNamespaces, "forget-namespace", nil, "a namespace whose Secrets were lost for good, repeatable")
	f.StringArrayVar(&o.forget, "forget-cluster", nil, "a cluster of the ledger that is gone for good, repeatable")
	f.BoolVar(&o.skipClusterCheck, "skip-cluster-check", false, "drop the old key without a look at the Secrets of all namespaces")
	f.StringArrayVar(&o.ignore, "ignore", nil, "NAMESPACE/NAME of a mirrored copy that need not be opened any more, repeatable")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	return cmd
}

func (o *retireOptions) validate(namespace string) error {
	for _, place := range o.ignore {
		if in, name, ok := strings.Cut(place, "/"); !ok || names.CheckNamespace(in) != nil || name == "" {
			return withHint(errors.New("--ignore: not NAMESPACE/NAME"), "name the copy as the report does: --ignore backup/secret-a")
		}
	}
	return o.workOptions.validate(namespace)
}

// retireRun is one retire under way.
type retireRun struct {
	*work
	o        *retireOptions
	items    []*retired
	held     []keysecret.Held          // the newest keyring Secrets
	denied   map[string][]cluster.Kind // by namespace
	skipped  []plan.Decision
	returned []manifest.Object // retired before, there again, and opened by no key
	views    []plan.View
	left     bool // something blocks: exit code 1
}

// retired is one Secret that could go.
type retired struct {
	plan.Retirement
	keyring *keysecret.Held // of a keyring Secret, which has no ledger row
	uses    []usage.Finding // that keep it
	history []usage.Finding // that --drop-rollback gives up
	deleted bool            // by this run, whatever came after
	outcome string
	reason  string
}

const (
	outcomeDeleted  = "deleted"
	outcomeInUse    = "in use"
	outcomeHistory  = "kept for rollback"
	outcomeUnseen   = "kept, unproven"
	outcomeRestored = "put back"
	outcomeFailed   = "failed"
	outcomeUnsent   = "not sent"
)

func (a *app) retire(ctx context.Context, o *retireOptions) error {
	w, close, err := a.start(ctx, o.workOptions, action.Needs{Writes: true, Spreads: true})
	if err != nil {
		return err
	}
	defer close()
	if err := w.Start(); err != nil {
		return err
	}
	if slices.Contains(o.forget, w.Target.Cluster) {
		return fmt.Errorf("--forget-cluster %s: that is the cluster of this run", w.Target.Cluster)
	}
	r := &retireRun{work: w, o: o, denied: map[string][]cluster.Kind{}}
	leaving, err := r.leaving()
	if err != nil {
		return err
	}
	if err := r.collect(ctx, leaving); err != nil {
		return err
	}
	if err := r.judge(ctx); err != nil {
		return err
	}
	if err := r.carryOut(ctx); err != nil {
		return err
	}
	return r.conclude(ctx)
}

// leaving says which entries go altogether: those of the arguments.
func (r *retireRun) leaving() (func(envKey string) bool, error) {
	chosen := map[string]bool{}
	for _, name := range r.o.names {
		envKey := ""
		for _, record := range r.Records {
			base, _ := names.Split(record.Secret)
			if !record.Hint && (name == record.EnvKey || name == base || name == record.Secret) {
				envKey = record.EnvKey
			}
		}
		switch {
		case envKey == "" && r.wasRecorded(name):
			r.console.note("%s: every Secret of it that the ledger has was deleted", name)
			continue
		case envKey == "":
			return nil, withHint(errors.New("an argument is no entry that the ledger knows in this cluster"), "kubectl fernet status%s lists them", action.EnvFlag(r.o.env))
		case r.Project.Has(envKey):
			return nil, withHint(fmt.Errorf("%s is still in %s: its older generations go without naming it", envKey, r.o.env), "remove it there first, if it is to go altogether")
		}
		chosen[envKey] = true
	}
	return func(envKey string) bool { return chosen[envKey] }, nil
}

// wasRecorded says whether the ledger's evidence ever had an entry, or a base name.
func (r *retireRun) wasRecorded(name string) bool {
	base, err := names.Base(name)
	for _, at := range r.Known {
		if at.Past.Known(name) > 0 || err == nil && at.Past.Known(base) > 0 {
			return true
		}
	}
	return false
}

// collect finds what could go: tokens and keyrings.
func (r *retireRun) collect(ctx context.Context, leaving func(string) bool) error {
	views, err := r.LookAll(ctx)
	if err != nil {
		return err
	}
	r.views = views
	for _, view := range views {
		if slices.Contains(r.o.forgetNamespaces, view.Namespace) && len(view.Objects) > 0 {
			return fmt.Errorf("--forget-namespace %s: Secrets that the ledger recorded are there", view.Namespace)
		}
		mine := plan.Mine(view.Records, r.Project.Wanted)
		if len(r.o.names) > 0 {
			mine = slices.DeleteFunc(mine, func(w plan.Wanted) bool { return !leaving(w.EnvKey) })
		}
		candidates, skipped := plan.Retire(view, mine, r.Project.Sealer.Judge, r.Project.Keys, leaving)
		for _, c := range candidates {
			r.items = append(r.items, &retired{Retirement: c})
		}
		r.skipped = append(r.skipped, skipped...)
		r.returned = append(r.returned, plan.PutBack(view, mine, r.Project.Sealer.Judge, r.Project.Keys)...)
		if len(r.o.names) > 0 {
			continue
		}
		if err := r.collectKeyrings(ctx, view.Namespace); err != nil {
			return err
		}
	}
	return nil
}

func (r *retireRun) collectKeyrings(ctx context.Context, namespace string) error {
	all, err := r.Keyrings(ctx, namespace)
	if err != nil {
		return err
	}
	for _, held := range all {
		if held.Generation < keysecret.Newest(all, held.Base).Generation {
			r.items = append(r.items, &retired{Retirement: plan.Retirement{Object: held.Object}, keyring: &held})
		} else {
			r.held = append(r.held, held)
		}
	}
	return nil
}

// judge walks over each namespace and decides what may go.
func (r *retireRun) judge(ctx context.Context) error {
	findings, err := r.walk(ctx)
	if err != nil {
		return err
	}
	for _, item := range r.items {
		for _, f := range findings[item.Object.Namespace] {
			switch {
			case f.Secret != item.Object.Name:
			case f.Class == usage.History:
				item.history = append(item.history, f)
			default:
				item.uses = append(item.uses, f)
			}
		}
		switch {
		case item.Gone: // what uses it all the same is found after the deletes
			item.outcome = outcomeDeleted
		case len(item.uses) > 0:
			item.outcome = outcomeInUse
		case r.blind(item.Object.Namespace):
			item.outcome = outcomeUnseen
		case len(item.history) > 0 && !r.o.dropRollback:
			item.outcome = outcomeHistory
		default:
			item.outcome = outcomeDeleted
		}
		r.left = r.left || item.outcome != outcomeDeleted
	}
	return nil
}

// walk gives, by namespace, what refers to what could go.
func (r *retireRun) walk(ctx context.Context) (map[string][]usage.Finding, error) {
	names := map[string]map[string]bool{}
	for _, item := range r.items {
		if item.outcome != "" && item.outcome != outcomeDeleted {
			continue // after the deletes: only what went
		}
		if names[item.Object.Namespace] == nil {
			names[item.Object.Namespace] = map[string]bool{}
		}
		names[item.Object.Namespace][item.Object.Name] = true
	}
	findings := map[string][]usage.Finding{}
	for namespace, wanted := range names {
		walk, err := r.Cluster.Walk(ctx, namespace, func(name string) bool { return wanted[name] }, min(r.o.parallel, defaultParallel))
		if err != nil {
			return nil, err
		}
		findings[namespace], r.denied[namespace] = walk.Findings, walk.Denied
	}
	return findings, nil
}

// blind says whether something could not be looked at that may well use Secrets.
func (r *retireRun) blind(namespace string) bool {
	return slices.ContainsFunc(r.denied[namespace], func(k cluster.Kind) bool { return k.PodHolding || r.o.strict })
}

// going gives what is to be deleted.
func (r *retireRun) going() (items []*retired) {
	for _, item := range r.items {
		if item.outcome == outcomeDeleted {
			items = append(items, item)
		}
	}
	return items
}

// conclude prints the report, and drops the previous keys if that is proven.
func (r *retireRun) conclude(ctx context.Context) error {
	r.report()
	if ctx.Err() != nil {
		return errInterrupted
	}
	failed := slices.ContainsFunc(r.items, func(i *retired) bool { return i.outcome == outcomeFailed })
	if failed {
		return errEntries
	}
	if len(r.o.names) == 0 {
		if err := r.dropKeys(ctx); err != nil {
			return err
		}
	}
	if r.left || len(r.skipped) > 0 || len(r.returned) > 0 {
		return errFindings
	}
	return nil
}

// report says what went, and what keeps the rest.
func (r *retireRun) report() {
	for _, item := range r.items {
		where := ""
		if len(r.Target.Namespaces) > 1 {
			where = " in " + item.Object.Namespace
		}
		fmt.Fprintf(r.Out, "secret/%s %s%s%s\n", item.Object.Name, item.outcome, where, r.o.dryRun.suffix())
	}
	for _, item := range r.items {
		r.explainItem(item)
	}
	r.explain(r.Session, r.skipped)
	if slices.ContainsFunc(r.items, func(i *retired) bool { return i.outcome == outcomeHistory }) {
		r.console.hint(r.typed + " --drop-rollback gives the way back to those revisions up")
	}
	for _, namespace := range r.Target.Namespaces {
		if kinds := r.denied[namespace]; len(kinds) > 0 {
			names := make([]string, len(kinds))
			for i, k := range kinds {
				names[i] = k.String()
			}
			r.console.warn("namespace %q: not allowed to look at %s", namespace, strings.Join(names, ", "))
		}
	}
	r.explainReturned()
	if len(r.items) == 0 && len(r.skipped) == 0 && len(r.returned) == 0 {
		r.console.note("no older generation is in %s", r.Target.Places())
	}
}

func (r *retireRun) explainReturned() {
	for _, o := range r.returned {
		r.console.warn("secret/%s in namespace %q was retired and was put back; no key of this keyring opens it, so it is not deleted", o.Name, o.Namespace)
		r.console.hint(hint.Format("kubectl delete secret %s -n %s if nothing uses it", o.Name, o.Namespace))
	}
}

func (r *retireRun) explainItem(item *retired) {
	name := item.Object.Name
	switch item.outcome {
	case outcomeFailed:
		r.console.say(fmt.Sprintf("error: secret/%s: %s", name, hint.OneLine(item.reason)))
	case outcomeInUse, outcomeRestored:
		for _, f := range item.uses {
			r.console.say(fmt.Sprintf("%s: secret/%s: %s: %s, %s", item.outcome, name, f.Object(), f.Reason, f.Path))
		}
		fallthrough
	case outcomeHistory:
		for _, text := range item.rollbacks() {
			r.console.say(fmt.Sprintf("history: secret/%s: %s", name, text))
		}
	case outcomeDeleted:
		for _, text := range item.rollbacks() {
			r.console.say(fmt.Sprintf("given up with secret/%s: %s", name, text))
		}
	}
}

// rollbacks says, once for each object, what history needs the Secret.
func (item *retired) rollbacks() (texts []string) {
	for _, f := range item.history {
		text := f.Object() + ": " + f.Reason
		if f.Revision != "" {
			text += fmt.Sprintf(", kubectl rollout undo %s --to-revision=%s", cmp.Or(f.Owner, f.Object()), f.Revision)
		}
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return texts
}
