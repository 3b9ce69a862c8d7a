// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/finding"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

const verifyLong = `Prove that the cluster, the ledger and the keys agree, and name what does not,
each with a code and a way out.

Every live token of ours has to open, in its own place; the ledger has to say the
same as the cluster; key ids, labels and immutability have to be as they were
written; the .env has to be private. What is not so has a stable code, a sentence
and a way out: docs/findings.md lists them all.

With the ledger and the key at hand no .env is needed: --key-file, or FERNET_KEY.

The exit code is 1 when there is an error among the findings; warnings alone
leave it at 0. It is 2 when something could not be looked at: the rest is verified.`

const verifyExample = `  # the namespaces that the ledger knows
  kubectl fernet verify

  # the ledger alone, without a cluster
  kubectl fernet verify --against ledger

  # for a CI job
  kubectl fernet verify -o json`

type verifyOptions struct {
	workOptions
	against string
}

// newVerify makes the verb; run is a.verify, or what a test puts in its place.
func newVerify(a *app, run func(context.Context, *verifyOptions) error) *cobra.Command {
	o := &verifyOptions{}
	cmd := &cobra.Command{
		Use:     "verify [NAME...]",
		Short:   "Prove that cluster, ledger and keys agree",
		Long:    verifyLong,
		Example: verifyExample,
		RunE:    takesNames(a, o, &o.workOptions, run),

		ValidArgsFunction: a.words(recordedNames),
	}
	f := cmd.Flags()
	o.addFlags(f)
	o.contextsFlag(f)
	_ = f.MarkHidden("dry-run") // nothing is ever written
	f.StringVar(&o.against, "against", fromCluster, "cluster, or ledger: its rows alone (no cluster is needed)")
	o.outputFlag(cmd, "json", "yaml")
	return cmd
}

func (o *verifyOptions) validate(namespace string) error {
	if o.against != fromCluster && o.against != fromLedger {
		return withHint(errors.New("--against: neither the cluster nor the ledger"), "--against cluster, or --against ledger")
	}
	if err := checkFormat(o.output, "json", "yaml"); err != nil {
		return err
	}
	return o.workOptions.validate(namespace)
}

func (a *app) verify(ctx context.Context, o *verifyOptions) error {
	verb := action.Verify{Offline: o.against == fromLedger, Only: o.only}
	s, err := a.open(ctx, o.workOptions, verb.Needs())
	if err != nil {
		return err
	}
	defer s.Close()
	r, err := verb.Run(ctx, s)
	if err != nil {
		return err
	}
	return a.reportVerify(o, s, r)
}

// verifyItem is one finding in the JSON form.
type verifyItem struct {
	plan.Finding
	Level    finding.Level `json:"level"`
	Sentence string        `json:"sentence"`
	WayOut   string        `json:"wayOut"`
}

// reportVerify prints the findings and gives the exit code.
func (a *app) reportVerify(o *verifyOptions, s *action.Session, r *action.VerifyReport) error {
	count := map[finding.Level]int{}
	items := make([]verifyItem, len(r.Found))
	for i, f := range r.Found {
		kind := finding.Of(f.Code)
		items[i] = verifyItem{f, kind.Level, kind.Sentence, kind.WayOut}
		count[kind.Level]++
	}
	if done, err := printReport(a, s, o.output, "VerifyReport", items); !done {
		a.findings(items, len(s.Target.Namespaces) > 1)
	} else if err != nil {
		return err
	}
	if !r.Seen {
		a.console.note("nothing of this .env is in %s", s.Target.Places())
	}
	a.console.print(hint.Count(count[finding.Error], "error") + ", " + hint.Count(count[finding.Warning], "warning") + "\n")
	if count[finding.Error] > 0 {
		return errFindings
	}
	return nil
}

// findings prints them: a line each on stdout, then on stderr the way out of
// each kind.
func (a *app) findings(items []verifyItem, several bool) {
	hints := map[string]bool{}
	for _, item := range items {
		what := item.Detail
		if item.Secret != "" {
			what = "secret/" + item.Secret
			if several {
				what += " in " + item.Namespace
			}
			if item.Detail != "" {
				what += " (" + item.Detail + ")"
			}
		}
		level := map[finding.Level]plan.State{finding.Error: plan.Failed, finding.Warning: plan.Differs}[item.Level]
		fmt.Fprintf(a.product, "%s %s: %s\n", item.Code, a.paint(level, string(item.Level)), redact.Visible(what+": "+item.Sentence))
		hints["hint: "+string(item.Code)+": "+item.WayOut] = true
	}
	for _, hint := range action.SortedKeys(hints) {
		a.console.say(hint)
	}
}
