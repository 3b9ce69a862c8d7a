// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

const pullLong = `Recreate the .env, or add what it lacks, from the ledger or the cluster. What is
in the file stays as it is.

With the repository, which has the ledger, and the key a colleague has all the
secrets of the project in one command. The key comes from the .env that is there,
from --key-file or from FERNET_KEY. Afterwards only you can read the file.

Entries that the file lacks are added at its end. All that is in it stays as it
is: comments, layout, entries that were never pushed. Where a value differs from
the recorded one the file's stays, its entry is named, and the exit code is 1;
--force takes the recorded ones, after a question that names them. A file without
a key gets the keys too, unless they come from --key-file, and CLUSTER_NAME, if
all values come from one cluster, and the settings as far as the ledger knows them.
Where there is no file, a whole one is written.

From the cluster comes what the ledger knows, and what the key proves to be of this
project. Nothing is written when the current value of an entry is not there.`

const pullExample = `  # from the ledger, without a cluster
  kubectl fernet pull --key-file key.env

  # what the cluster has now, also where the .env has another value
  kubectl fernet pull --from cluster --force --yes

  # from one of several namespaces, to look at
  kubectl fernet pull -n staging --out staging.env`

type pullOptions struct {
	recallOptions
	out        string
	force, yes bool
}

// newPull makes the verb; run is a.pull, or what a test puts in its place.
func newPull(a *app, run func(context.Context, *pullOptions) error) *cobra.Command {
	o := &pullOptions{}
	cmd := &cobra.Command{
		Use:     "pull",
		Short:   "Recreate the .env from the ledger or the cluster",
		Long:    pullLong,
		Example: pullExample,
		Args:    noArguments,
		RunE:    runs(a, o, run),
	}
	f := cmd.Flags()
	o.addFlags(f)
	f.StringVar(&o.out, "out", "", "the file to write (default the .env)")
	f.BoolVar(&o.force, "force", false, "take the recorded values where the file has others, after a question")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	return cmd
}

func (o *pullOptions) complete() {
	o.recallOptions.complete()
	if o.out == "" {
		o.out = o.env
	}
}

func (a *app) pull(ctx context.Context, o *pullOptions) error {
	p, err := action.Pull{Recall: o.asRecall(), Out: o.out, Force: o.force}.Plan(ctx, a.request(o.workOptions))
	if err != nil {
		return err
	}
	defer p.Close()
	if len(p.Replaced) > 0 {
		a.console.flush()
		question := fmt.Sprintf("replace %s (%s)?", hint.Count(len(p.Replaced), "value"), listed(p.Replaced))
		if err := a.confirm(ctx, o.yes, question); err != nil {
			return err
		}
	}
	written, opened, err := p.Apply()
	if err != nil {
		return err
	}
	if written {
		a.narrowed(o.out, opened)
		a.gitWarning(ctx, o.out)
	}
	return a.reportPull(o, p)
}

// reportPull says what the file got.
func (a *app) reportPull(o *pullOptions, p *action.PullPlan) error {
	if p.Fresh {
		_, err := fmt.Fprintf(a.Out, "%s written with %s\n", redact.Visible(o.out), hint.Count(len(p.Added), "entry"))
		return err
	}
	if len(p.Variables) > 0 {
		a.console.note("%s had no %s: added", o.out, strings.Join(p.Variables, ", "))
	}
	if _, err := fmt.Fprintf(a.Out, "%s: %s\n", redact.Visible(o.out), merged(p)); err != nil || len(p.Differ) == 0 {
		return err
	}
	a.console.flush()
	way := hint.Format("to take the recorded values: %s --force", a.typed)
	if p.ClusterNewer {
		way = hint.Format("to compare with the cluster, which has newer values: %s --from cluster", a.typed)
	}
	a.console.print("hint: " + string(way) + "\n")
	return errFindings
}

// merged says in one line what became of the values, without one.
func merged(p *action.PullPlan) string {
	var parts []string
	say := func(n int, format string, args ...any) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d ", n)+fmt.Sprintf(format, args...))
		}
	}
	say(len(p.Added), "added")
	say(len(p.Replaced), "replaced (%s)", listed(p.Replaced))
	say(len(p.Differ), "kept (differs: %s)", listed(p.Differ))
	say(p.Unchanged, "unchanged")
	return strings.Join(parts, ", ")
}

func listed(values []action.Value) string {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = v.Entry.Name
	}
	return strings.Join(names, ", ")
}
