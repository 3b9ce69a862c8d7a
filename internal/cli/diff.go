// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

const diffLong = `Show which entries differ between the .env and the cluster, values hidden.
Exit code 0: all values are the same; 1: something differs.

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

  # one entry, with its values
  kubectl fernet diff SECRET_A --show-values`

type diffOptions struct {
	workOptions
	against         string
	showValues, yes bool
	all             bool // of the lines, what is the same too
}

// newDiff makes the verb; run is a.diff, or what a test puts in its place.
func newDiff(a *app, run func(context.Context, *diffOptions) error) *cobra.Command {
	o := &diffOptions{}
	cmd := &cobra.Command{
		Use:     "diff [NAME...]",
		Short:   "Show what differs between .env and cluster",
		Long:    diffLong,
		Example: diffExample,
		RunE:    takesNames(a, o, &o.workOptions, run),

		ValidArgsFunction: a.words(recordedNames),
	}
	f := cmd.Flags()
	o.addFlags(f)
	o.contextsFlag(f)
	_ = f.MarkHidden("dry-run") // nothing is ever written
	o.bundleFlag(f)
	f.StringVar(&o.against, "against", fromCluster, "cluster, or ledger (no cluster is needed)")
	f.BoolVar(&o.all, "all", false, "also what is the same")
	f.BoolVar(&o.showValues, "show-values", false, "show the values that differ, in plaintext")
	f.BoolVar(&o.yes, "yes", false, "with --show-values: do not ask, even where the output is no terminal")
	o.outputFlag(cmd, "json", "yaml")
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
	Namespace string     `json:"namespace"`
	EnvKey    string     `json:"envKey"`
	Secret    string     `json:"secret"`
	State     plan.State `json:"state"`
	Reason    string     `json:"reason,omitempty"`

	Changes []plan.Change `json:"changes,omitempty"` // of a bundle
}

func (a *app) diff(ctx context.Context, o *diffOptions) error {
	if o.showValues && !isTerminal(a.product) {
		err := a.confirm(ctx, o.yes, "the output is no terminal: write plaintext values to it?")
		if errors.Is(err, errNoTerminal) {
			return withHint(errors.New("showing values needs --yes where the output is no terminal"), "%s --yes", a.typed)
		}
		if err != nil {
			return err
		}
	}
	verb := action.Diff{Offline: o.against == fromLedger, Values: o.showValues, Only: o.only}
	s, err := a.open(ctx, o.workOptions, verb.Needs())
	if err != nil {
		return err
	}
	defer s.Close()
	all, err := verb.Run(ctx, s)
	if o.showValues {
		a.showValues(all)
	}
	if err != nil {
		return err
	}
	return a.reportDiff(o, s, all)
}

// reportDiff prints the lines, or the report, and gives the exit code.
func (a *app) reportDiff(o *diffOptions, s *action.Session, all []action.Difference) error {
	items, decisions := make([]diffItem, len(all)), make([]plan.Decision, len(all))
	for i, d := range all {
		decisions[i] = d.Decision
		items[i] = diffItem{d.Row.Namespace, d.Row.EnvKey, d.Row.Secret, d.Outcome, hint.OneLine(d.Reason), d.Changes}
	}
	done, err := printReport(a, s, o.output, "DiffReport", items)
	if !done && !o.showValues {
		shown := slices.DeleteFunc(slices.Clone(all), func(d action.Difference) bool { return !o.all && !d.Differs() })
		err = a.showDiff(s, shown)
		a.console.print(diffSummary(decisions) + "\n")
	}
	switch {
	case err != nil:
		return err
	case slices.ContainsFunc(all, action.Difference.Differs):
		return errFindings
	default:
		return nil
	}
}

// showDiff prints a line for each entry, and on stderr what there is to say of it.
func (a *app) showDiff(s *action.Session, all []action.Difference) error {
	decisions := make([]plan.Decision, len(all))
	for i, d := range all {
		decisions[i] = d.Decision
	}
	defer a.explain(s, decisions)
	return a.lines(s, dryRunNone, decisions)
}

// diffSummary counts the entries by state.
func diffSummary(all []plan.Decision) string {
	var order []plan.State
	count := map[plan.State]int{}
	for _, d := range all {
		if count[d.Outcome] == 0 && d.Outcome != plan.Same {
			order = append(order, d.Outcome)
		}
		count[d.Outcome]++
	}
	var parts []string
	for _, state := range append(order, plan.Same) {
		parts = append(parts, fmt.Sprintf("%d %s", count[state], state.Words()))
	}
	return strings.Join(parts, ", ")
}

// showValues prints both sides of what differs.
func (a *app) showValues(all []action.Difference) {
	for _, d := range all {
		if !d.Differs() {
			continue
		}
		for _, v := range d.Values {
			fmt.Fprintf(a.Out, "%s (%s, secret/%s in %s)\n", v.Name, d.Outcome.Words(), d.Row.Secret, d.Row.Namespace)
			if v.Live != nil {
				fmt.Fprintf(a.Out, "- %s\n", strconv.Quote(v.Live.Reveal()))
			}
			if v.Env != nil {
				fmt.Fprintf(a.Out, "+ %s\n", strconv.Quote(v.Env.Reveal()))
			}
		}
	}
}
