// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/finding"
	"github.com/kubectl-fernet/kubectl-fernet/internal/gitstate"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

const verifyLong = `Prove that the cluster, the ledger and the keyring agree.

Every live token of ours has to open, in its own place; the ledger has to say the
same as the cluster; key ids, labels and immutability have to be as they were
written; the .env has to be private. What is not so has a stable code, a sentence
and a way out: docs/findings.md lists them all.

The exit code is 1 when there is an error among the findings; warnings alone
leave it at 0.`

const verifyExample = `  # the namespaces that the ledger knows
  kubectl fernet verify

  # for a CI job
  kubectl fernet verify -o json`

type verifyOptions struct {
	workOptions
	output string
}

// newVerify makes the verb; run is a.verify, or what a test puts in its place.
func newVerify(a *app, run func(context.Context, *verifyOptions) error) *cobra.Command {
	o := &verifyOptions{}
	cmd := &cobra.Command{
		Use:     "verify",
		Short:   "Prove that the cluster, the ledger and the keyring agree",
		Long:    verifyLong,
		Example: verifyExample,
		Args:    noArguments,
		RunE:    runsInContexts(a, o, &o.workOptions, &o.output, run),
	}
	f := cmd.Flags()
	o.addFlags(f)
	o.contextsFlag(f)
	_ = f.MarkHidden("dry-run") // nothing is ever written
	f.StringVarP(&o.output, "output", "o", "", "json or yaml")
	return cmd
}

func (o *verifyOptions) validate(namespace string) error {
	if err := checkFormat(o.output, "json", "yaml"); err != nil {
		return err
	}
	return o.workOptions.validate(namespace)
}

// verifyRun is one verify under way.
type verifyRun struct {
	*work
	found []plan.Finding
	seen  bool // something of ours was there to look at
}

func (a *app) verify(ctx context.Context, o *verifyOptions) error {
	w, close, err := a.start(ctx, o.workOptions, action.Needs{Spreads: true})
	if err != nil {
		return err
	}
	defer close()
	if err := w.Start(); err != nil {
		return err
	}
	r := &verifyRun{work: w}
	r.files(ctx)
	r.rows()
	for _, namespace := range w.Target.Namespaces {
		if err := r.namespace(ctx, namespace); err != nil {
			return err
		}
	}
	return r.report(o.output)
}

// files looks at who can read the files that hold keys or values.
func (r *verifyRun) files(ctx context.Context) {
	paths := map[string]bool{}
	for _, h := range r.Project.Holders {
		paths[h.Path] = true
	}
	if len(r.Project.Wanted) > 0 {
		paths[r.o.env] = true
	}
	for _, path := range action.SortedKeys(paths) {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
			r.found = append(r.found, plan.Finding{Code: finding.EnvMode, Detail: path})
		}
		switch gitstate.Of(ctx, path) {
		case gitstate.Tracked:
			r.found = append(r.found, plan.Finding{Code: finding.EnvTracked, Detail: path})
		case gitstate.Visible:
			r.found = append(r.found, plan.Finding{Code: finding.EnvVisible, Detail: path})
		}
	}
}

// rows names what is wrong with the ledger as a whole: edited rows about other
// places than the target, of which the namespaces say nothing, and unsigned ones.
func (r *verifyRun) rows() {
	edited, more := r.Book.Edited()
	named := map[[3]string]bool{}
	for _, e := range edited {
		at := [3]string{e.Cluster, e.Namespace, e.Secret}
		if named[at] {
			continue
		}
		named[at] = true
		if e.Cluster != r.Target.Cluster || !slices.Contains(r.Target.Namespaces, e.Namespace) {
			r.found = append(r.found, plan.Finding{Code: finding.LedgerRow, Namespace: e.Namespace, Secret: e.Secret, EnvKey: e.EnvKey, Detail: fmt.Sprintf("%s:%d", r.o.ledger, e.Line)})
		}
	}
	if more > 0 {
		r.found = append(r.found, plan.Finding{Code: finding.LedgerRow, Detail: fmt.Sprintf("%s: %s more", r.o.ledger, hint.Count(more, "row"))})
	}
	first := r.Book.FirstUse(r.Target.Cluster)
	for _, id := range action.SortedKeys(first) {
		if plan.FromFuture(first[id], time.Now()) {
			r.found = append(r.found, plan.Finding{Code: finding.Future, Detail: fmt.Sprintf("%s: the first row under key %s", r.o.ledger, id)})
		}
	}
	if unsigned, line := r.Book.Unsigned(); unsigned > 0 {
		r.found = append(r.found, plan.Finding{Code: finding.Unsigned, Detail: fmt.Sprintf("%s:%d: %s", r.o.ledger, line, hint.Count(unsigned, "row"))})
	}
}

// namespace verifies the Secrets of one namespace, and who uses them.
func (r *verifyRun) namespace(ctx context.Context, namespace string) error {
	mine := plan.Mine(r.RecordsIn(namespace), r.Project.Wanted)
	view, err := r.View(ctx, namespace, mine, true) // a token may have been copied under any name
	if err != nil {
		return err
	}
	r.seen = r.seen || len(view.Objects)+len(view.Records) > 0
	r.found = append(r.found, plan.Verify(view, r.Project.Wanted, r.Project.Sealer.Judge, r.Project.Keys, time.Now())...)
	if r.Unlisted[namespace] {
		r.found = append(r.found, plan.Finding{Code: finding.Unseen, Namespace: namespace, Detail: "secrets"})
		return r.users(ctx, view, mine)
	}
	held, err := r.Keyrings(ctx, namespace)
	if err != nil {
		return err
	}
	for _, h := range held {
		r.found = append(r.found, plan.Finding{Code: finding.Keyring, Namespace: namespace, Secret: h.Object.Name})
	}
	return r.users(ctx, view, mine)
}

// users names the workloads that use an older generation.
func (r *verifyRun) users(ctx context.Context, view plan.View, mine []plan.Wanted) error {
	g := plan.Successors(view, mine, r.Project.Sealer.Judge, r.Project.Keys, r.Project.Sealer.SameValue)
	list, denied, err := r.Cluster.Workloads(ctx, view.Namespace)
	if err != nil {
		return err
	}
	if len(denied) > 0 {
		r.found = append(r.found, plan.Finding{Code: finding.Unseen, Namespace: view.Namespace, Detail: hint.Few(denied)})
	}
	older := map[plan.Finding]bool{}
	for _, w := range list {
		for _, ref := range w.References() {
			if _, is := g.Older(ref.Secret); is && !w.Finished {
				older[plan.Finding{Code: finding.Older, Namespace: view.Namespace, Secret: ref.Secret, Detail: w.String()}] = true
			}
		}
	}
	r.found = append(r.found, slices.SortedFunc(maps.Keys(older), func(a, b plan.Finding) int {
		return strings.Compare(a.Secret+a.Detail, b.Secret+b.Detail)
	})...)
	return nil
}

// verifyItem is one finding in the JSON form.
type verifyItem struct {
	plan.Finding
	Level    finding.Level `json:"level"`
	Sentence string        `json:"sentence"`
	WayOut   string        `json:"wayOut"`
}

// report prints the findings and gives the exit code.
func (r *verifyRun) report(format string) error {
	count := map[finding.Level]int{}
	items := make([]verifyItem, len(r.found))
	for i, f := range r.found {
		kind := finding.Of(f.Code)
		items[i] = verifyItem{f, kind.Level, kind.Sentence, kind.WayOut}
		count[kind.Level]++
	}
	if done, err := printReport(r.work, format, "VerifyReport", items); !done {
		r.tell(items)
	} else if err != nil {
		return err
	}
	if !r.seen {
		r.console.note("nothing of this .env is in %s", r.Target.Places())
	}
	r.console.print(hint.Count(count[finding.Error], "error") + ", " + hint.Count(count[finding.Warning], "warning") + "\n")
	if count[finding.Error] > 0 {
		return errFindings
	}
	return nil
}

// tell prints the findings: a line each on stdout, then on stderr the way out of
// each kind.
func (r *verifyRun) tell(items []verifyItem) {
	hints := map[string]bool{}
	for _, item := range items {
		what := item.Detail
		if item.Secret != "" {
			what = "secret/" + item.Secret
			if len(r.Target.Namespaces) > 1 {
				what += " in " + item.Namespace
			}
			if item.Detail != "" {
				what += " (" + item.Detail + ")"
			}
		}
		fmt.Fprintf(r.Out, "%s %s: %s: %s\n", item.Code, item.Level, what, item.Sentence)
		hints["hint: "+string(item.Code)+": "+item.WayOut] = true
	}
	for _, hint := range action.SortedKeys(hints) {
		r.console.say(hint)
	}
}
