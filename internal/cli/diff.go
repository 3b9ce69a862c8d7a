// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

const diffLong = `Say, entry by entry, how the cluster differs from the .env. No value is shown,
unless --show-values asks for it.

  same          the cluster has this value
  re-encrypted  the same value, under another key than KEY or in another token
                than the ledger's
  missing       the .env has it, and it is not there
  differs       the cluster has another value
  orphan        pushed once, no longer in the .env
  foreign       somebody else's Secret has the name
  misplaced     a token of ours that was made for another place
  superseded    under a newer key than this .env has

The exit code is 0 when all values are the same, 1 when something differs, 2 when
it could not be found out.`

const diffExample = `  # the .env and the cluster
  kubectl fernet diff

  # the .env and the ledger, without a cluster
  kubectl fernet diff --against ledger

  # with the values
  kubectl fernet diff --show-values`

type diffOptions struct {
	workOptions
	against         string
	output          string
	showValues, yes bool
}

// newDiff makes the verb; run is a.diff, or what a test puts in its place.
func newDiff(a *app, run func(context.Context, *diffOptions) error) *cobra.Command {
	o := &diffOptions{}
	cmd := &cobra.Command{
		Use:     "diff",
		Short:   "Say how the cluster differs from the .env, without a value",
		Long:    diffLong,
		Example: diffExample,
		Args:    noArguments,
		RunE:    runsInContexts(a, o, &o.workOptions, &o.output, run),
	}
	f := cmd.Flags()
	o.addFlags(f)
	o.contextsFlag(f)
	_ = f.MarkHidden("dry-run") // nothing is ever written
	f.StringVar(&o.against, "against", fromCluster, "cluster, or ledger (no cluster is needed)")
	f.BoolVar(&o.showValues, "show-values", false, "show the values that differ, in plaintext")
	f.BoolVar(&o.yes, "yes", false, "with --show-values: do not ask, even where the output is no terminal")
	f.StringVarP(&o.output, "output", "o", "", "json or yaml")
	return cmd
}

func (o *diffOptions) validate(namespace string) error {
	if o.against != fromCluster && o.against != fromLedger {
		return withHint(errors.New("--against: neither the cluster nor the ledger"), "--against cluster, or --against ledger")
	}
	if err := checkFormat(o.output, "json", "yaml"); err != nil {
		return err
	}
	if o.showValues && o.output != "" {
		return errors.New("--show-values is for people: leave out -o")
	}
	return o.workOptions.validate(namespace)
}

// diffItem is one entry in the JSON form.
type diffItem struct {
	Namespace string       `json:"namespace"`
	EnvKey    string       `json:"envKey"`
	Secret    string       `json:"secret"`
	State     plan.Outcome `json:"state"`
	Reason    string       `json:"reason,omitempty"`
}

func (a *app) diff(ctx context.Context, o *diffOptions) error {
	offline := o.against == fromLedger
	if out, ok := a.product.(*os.File); o.showValues && (!ok || !term.IsTerminal(int(out.Fd()))) { // #nosec G115 -- a file descriptor fits
		if err := a.confirm(ctx, o.yes, "the output is no terminal: write plaintext values to it?"); err != nil {
			return err
		}
	}
	w, close, err := a.start(ctx, o.workOptions, action.Needs{Offline: offline})
	if err != nil {
		return err
	}
	defer close()
	w.Announce()
	if namespaces := w.RecordedNamespaces(); offline && len(namespaces) > 0 && len(w.RecordsIn(w.Target.Namespaces[0])) == 0 {
		w.console.note("the ledger has nothing of namespace %q; it has %s", w.Target.Namespaces[0], hint.Few(namespaces))
	}
	if !offline {
		if err := w.Dial(); err != nil {
			return err
		}
	}
	var all []plan.Decision
	for _, namespace := range w.Target.Namespaces {
		view, err := w.look(ctx, namespace, w.Project.Wanted)
		if err != nil {
			return err
		}
		decisions, err := plan.Diff(view, w.Project.Wanted, w.Project.Sealer.Judge, w.Project.Keys, w.Project.Has)
		if err != nil {
			return w.Located(err)
		}
		all = append(all, decisions...)
		if o.showValues {
			w.showValues(view, decisions)
		}
	}
	return w.reportDiff(o, all)
}

// reportDiff prints the lines, or the report, and gives the exit code.
func (w *work) reportDiff(o *diffOptions, all []plan.Decision) error {
	items := make([]diffItem, len(all))
	differs := false
	for i, d := range all {
		items[i] = diffItem{d.Row.Namespace, d.Row.EnvKey, d.Row.Secret, d.Outcome, hint.OneLine(d.Reason)}
		differs = differs || !slices.Contains([]plan.Outcome{plan.Identical, plan.Reencrypted}, d.Outcome)
	}
	done, err := printReport(w, o.output, "DiffReport", items)
	if !done && !o.showValues {
		err = w.lines(w.Session, o.dryRun, all)
		w.explain(w.Session, all)
	}
	switch {
	case err != nil:
		return err
	case differs:
		return errFindings
	default:
		return nil
	}
}

// showValues prints both sides of what differs.
func (w *work) showValues(view plan.View, decisions []plan.Decision) {
	live := map[string]token.Token{}
	for _, o := range view.Objects {
		live[o.Name] = o.Placed()
	}
	for _, r := range view.Records { // the annotation may have been edited since
		if live[r.Secret].Token == r.Token {
			live[r.Secret] = r.Placed()
		}
	}
	for _, d := range decisions {
		if d.Outcome == plan.Identical || d.Outcome == plan.Reencrypted {
			continue
		}
		fmt.Fprintf(w.Out, "%s (%s, secret/%s in %s)\n", d.Row.EnvKey, d.Outcome, d.Row.Secret, d.Row.Namespace)
		if value, err := w.Project.Sealer.Open(live[d.Row.Secret]); err == nil {
			fmt.Fprintf(w.Out, "- %s\n", strconv.Quote(value.Reveal()))
		}
		if entry, ok := w.Project.File.Lookup(d.Row.EnvKey); ok {
			fmt.Fprintf(w.Out, "+ %s\n", strconv.Quote(entry.Value.Reveal()))
		}
	}
}
