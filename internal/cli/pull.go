// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
)

const pullLong = `Write the .env again, from the ledger or the cluster.

With the repository, which has the ledger, and the key a colleague has all the
secrets of the project in one command. The key comes from the .env that is there,
from --key-file or from FERNET_KEY. What was never pushed, and comments, cannot
come back.`

const pullExample = `  # from the ledger, without a cluster
  kubectl fernet pull --key-file key.env

  # what the cluster has now, over the .env that is there
  kubectl fernet pull --from cluster --force

  # from one of several namespaces, to look at
  kubectl fernet pull -n staging --out staging.env`

type pullOptions struct {
	recallOptions
	out   string
	force bool
}

// newPull makes the verb; run is a.pull, or what a test puts in its place.
func newPull(a *app, run func(context.Context, *pullOptions) error) *cobra.Command {
	o := &pullOptions{}
	cmd := &cobra.Command{
		Use:     "pull",
		Short:   "Write the .env again, from the ledger or the cluster",
		Long:    pullLong,
		Example: pullExample,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.complete()
			if o.out == "" {
				o.out = o.env
			}
			if err := o.validate(*a.connect.Namespace); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	o.addFlags(f)
	f.StringVar(&o.out, "out", "", "the file to write (default the .env)")
	f.BoolVar(&o.force, "force", false, "replace the file if it exists")
	return cmd
}

func (a *app) pull(ctx context.Context, o *pullOptions) error {
	unlock, err := a.lockFor(o.out)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := os.ReadFile(o.out)
	switch {
	case err == nil && !o.force:
		return withHint(fmt.Errorf("%s exists", o.out), "--force replaces it; --out writes another file")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	values, s, err := a.recall(ctx, o.recallOptions)
	if err != nil {
		return err
	}
	if values, err = agreed(values); err != nil {
		return err
	}
	data, err := envfile.Format(a.pulled(values, s))
	if err != nil {
		return err
	}
	if err := atomicfile.Replace(a.files, o.out, old, data); err != nil {
		return err
	}
	a.gitWarnings(o.out)
	fmt.Fprintf(a.Out, "%s written with %d entries\n", o.out, len(values))
	a.console.print("what was never pushed, and comments, are not in it\n")
	return nil
}

// pulled gives the whole file: the keys, the cluster, the entries.
func (a *app) pulled(values []value, s *source) []envfile.Entry {
	primary, others := s.ring.Reveal()
	entries := []envfile.Entry{{Name: keyring.VarKey, Value: envfile.NewValue(primary)}}
	if staged := s.ring.Staged(); staged != "" {
		entries = append(entries, envfile.Entry{Name: keyring.VarNext, Value: envfile.NewValue(others[0])})
		others = others[1:]
	}
	if len(others) > 0 {
		entries = append(entries, envfile.Entry{Name: keyring.VarPrevious, Value: envfile.NewValue(strings.Join(others, ","))})
	}
	if name := clusterOf(values, s); name != "" {
		entries = append(entries, envfile.Entry{Name: varCluster, Value: envfile.NewValue(name)})
	}
	for _, v := range values {
		entries = append(entries, v.entry)
	}
	return entries
}

// clusterOf gives the CLUSTER_NAME of a pulled file: the one that all values come
// from, else the one that was there.
func clusterOf(values []value, s *source) string {
	name := values[0].Cluster
	for _, v := range values {
		if v.Cluster != name {
			entry, _ := s.file.Lookup(varCluster)
			return entry.Value.Reveal()
		}
	}
	return name
}
