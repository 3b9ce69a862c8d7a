// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

const pullLong = `Write the .env again, from the ledger or the cluster.

With the repository, which has the ledger, and the key a colleague has all the
secrets of the project in one command. The key comes from the .env that is there,
from --key-file or from FERNET_KEY. What was never pushed, and comments, cannot
come back. The file is readable by you only.

From the cluster comes what the ledger knows, and what the key proves to be of this
project. Nothing is written when the current value of an entry is not there.`

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
		RunE:    runs(a, o, run),
	}
	f := cmd.Flags()
	o.addFlags(f)
	f.StringVar(&o.out, "out", "", "the file to write (default the .env)")
	f.BoolVar(&o.force, "force", false, "replace the file if it exists")
	return cmd
}

func (o *pullOptions) complete() {
	o.recallOptions.complete()
	if o.out == "" {
		o.out = o.env
	}
}

func (a *app) pull(ctx context.Context, o *pullOptions) error {
	if err := o.checkOut(); err != nil {
		return err
	}
	unlock, err := a.lockFor(o.out)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := o.replaced()
	if err != nil {
		return err
	}
	values, s, err := a.recall(ctx, o.recallOptions)
	if err != nil {
		return err
	}
	cluster := clusterOf(values, s) // of all: places that agree are left out below
	if values, err = agreed(values); err != nil {
		return err
	}
	for _, v := range values {
		if _, err := envfile.Quote(v.entry.Value.Reveal()); err != nil {
			return withHint(fmt.Errorf("%s: %w", v.entry.Name, err), "%s", o.bytesHint(v.entry.Name))
		}
	}
	data, err := envfile.Format(pulled(values, cluster, s))
	if err != nil {
		return err
	}
	if err := atomicfile.ReplacePrivate(a.files, o.out, old, data); err != nil {
		return err
	}
	a.gitWarnings(o.out)
	a.console.print("what was never pushed, and comments, are not in it\n")
	_, err = fmt.Fprintf(a.Out, "%s written with %s\n", redact.Visible(o.out), counted(len(values), "entry"))
	return err
}

const anotherOut = "--out another file"

// checkOut refuses what a .env must not take the place of, before anything waits
// for it or makes a lock beside it.
func (o *pullOptions) checkOut() error {
	spared := []struct{ path, what string }{
		{o.ledger, "the ledger"},
		{resolved(o.ledger) + ledger.LockSuffix, "the ledger's lock file"},
		{filepath.Join(filepath.Dir(o.out), defaultLedger+ledger.LockSuffix), "the ledger's lock file"},
	}
	if o.keyFile != "" && !sameFile(o.keyFile, o.env) {
		spared = append(spared, struct{ path, what string }{o.keyFile, "the --key-file"})
	}
	for _, s := range spared {
		if sameFile(o.out, s.path) || resolved(o.out) == resolved(s.path) {
			return withHint(fmt.Errorf("%s: it is %s", o.out, s.what), anotherOut)
		}
	}
	info, err := os.Stat(o.out)
	switch {
	case errors.Is(err, fs.ErrNotExist) && isLink(o.out):
		return withHint(fmt.Errorf("%s: a symbolic link to a file that does not exist", o.out), "create that file, or remove the link; or "+anotherOut)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return withHint(fmt.Errorf("%s: is a directory", o.out), "--out %s", filepath.Join(o.out, defaultEnv))
	case !info.Mode().IsRegular():
		return withHint(fmt.Errorf("%s: not a regular file", o.out), anotherOut)
	case info.Size() > envfile.MaxSize:
		return withHint(fmt.Errorf("%s: it is larger than any .env", o.out), anotherOut)
	}
	return nil
}

// resolved gives the one path of a file, which may be missing.
func resolved(path string) string {
	target, err := atomicfile.Resolve(path)
	if err != nil {
		target = path
	}
	if target, err = filepath.Abs(target); err != nil {
		return path
	}
	return target
}

// replaced gives the bytes that are to be replaced, nil where there are none.
func (o *pullOptions) replaced() ([]byte, error) {
	old, err := os.ReadFile(o.out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, withHint(fmt.Errorf("%s: permission denied", o.out), "chmod 600 %s; or %s", o.out, hint.Text(anotherOut))
	case err != nil:
		return nil, err
	case beginsLikeLedger(old):
		return nil, withHint(fmt.Errorf("%s: it begins like a ledger", o.out), anotherOut)
	case !o.force:
		return nil, withHint(fmt.Errorf("%s exists", o.out), "--force replaces it; --out writes another file")
	}
	return old, nil
}

// beginsLikeLedger asks the ledger's own reader about the first line.
func beginsLikeLedger(data []byte) bool {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	_, _, err := ledger.Parse("", append(bytes.Clone(line), '\n'))
	return err == nil && len(bytes.TrimSpace(line)) > 0
}

// pulled gives the whole file: the keys, the cluster, the entries.
func pulled(values []value, cluster string, s *source) []envfile.Entry {
	primary, others := s.ring.Reveal()
	entries := []envfile.Entry{{Name: keyring.VarKey, Value: envfile.NewValue(primary)}}
	if staged := s.ring.Staged(); staged != "" {
		entries = append(entries, envfile.Entry{Name: keyring.VarNext, Value: envfile.NewValue(others[0])})
		others = others[1:]
	}
	if len(others) > 0 {
		entries = append(entries, envfile.Entry{Name: keyring.VarPrevious, Value: envfile.NewValue(strings.Join(others, ","))})
	}
	if cluster != "" {
		entries = append(entries, envfile.Entry{Name: varCluster, Value: envfile.NewValue(cluster)})
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
