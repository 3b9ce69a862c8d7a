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
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

const pullLong = `Bring into the .env what the ledger or the cluster has and the .env lacks.

With the repository, which has the ledger, and the key a colleague has all the
secrets of the project in one command. The key comes from the .env that is there,
from --key-file or from FERNET_KEY. Afterwards only you can read the file.

Entries that the file lacks are added at its end. All that is in it stays as it
is: comments, layout, entries that were never pushed. Where a value differs from
the recorded one the file's stays, its entry is named, and the exit code is 1;
--force takes the recorded ones, after a question that names them. A file without
a key gets the keys too, unless they come from --key-file, and CLUSTER_NAME, if
all values come from one cluster. Where there is no file, a whole one is written.

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
		Short:   "Bring back into the .env what was pushed, from the ledger or the cluster",
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
	if err := o.checkOut(); err != nil {
		return err
	}
	unlock, err := a.lockFor(o.out)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := a.present(o.out)
	if err != nil {
		return err
	}
	values, recalled, err := a.recall(ctx, o.recallOptions)
	if err != nil {
		return err
	}
	cluster := oneCluster(values) // of all: places that agree are left out below
	if values, err = action.Agreed(values); err != nil {
		return err
	}
	if len(old) > 0 {
		return a.pullInto(ctx, o, old, values, cluster, recalled)
	}
	if err := o.writable(values); err != nil {
		return err
	}
	if entry, ok := recalled.Project.File.Lookup(action.VarCluster); ok && cluster == "" {
		cluster = entry.Value.Reveal()
	}
	data, err := envfile.Format(pulled(values, cluster, recalled.Project))
	if err != nil {
		return err
	}
	if err := a.writePulled(ctx, o.out, old, data); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.Out, "%s written with %s\n", redact.Visible(o.out), hint.Count(len(values), "entry"))
	return err
}

// pullInto merges values into a file that is there.
func (a *app) pullInto(ctx context.Context, o *pullOptions, old []byte, values []action.Value, cluster string, recalled *action.Recalled) error {
	file, err := envfile.Parse(o.out, old)
	if err != nil {
		return err
	}
	m, err := mergeOf(file, values)
	if err != nil {
		return err
	}
	if o.force {
		m.replaced, m.differ = m.differ, nil
	}
	if err := o.writable(slices.Concat(m.added, m.replaced)); err != nil {
		return err
	}
	if len(m.replaced) > 0 {
		a.console.flush()
		question := fmt.Sprintf("replace %s (%s)?", hint.Count(len(m.replaced), "value"), listed(m.replaced))
		if err := a.confirm(ctx, o.yes, question); err != nil {
			return err
		}
	}
	variables := missingVariables(file, o, cluster, recalled.Project)
	data, err := envfile.Edit(o.out, old, changesTo(slices.Concat(variables, entriesOf(m.added), entriesOf(m.replaced)))...)
	if err != nil {
		return err
	}
	if !bytes.Equal(data, old) || exposed(o.out) != 0 {
		if err := a.writePulled(ctx, o.out, old, data); err != nil {
			return err
		}
	}
	if len(variables) > 0 {
		a.console.note("%s had no %s: added", o.out, strings.Join(namesOf(variables), ", "))
	}
	if _, err := fmt.Fprintf(a.Out, "%s: %s\n", redact.Visible(o.out), m); err != nil || len(m.differ) == 0 {
		return err
	}
	a.console.flush()
	way := hint.Format("to take the recorded values: %s --force", a.typed)
	if recalled.ClusterNewer {
		way = hint.Format("to compare with the cluster, which has newer values: %s --from cluster", a.typed)
	}
	a.console.print("hint: " + string(way) + "\n")
	return errFindings
}

// merge is what a pull does with each value.
type merge struct {
	added, replaced, differ []action.Value
	unchanged               int
}

// mergeOf holds values against a file. A name that the file spells otherwise is an
// error, as in push: with a second entry beside it nothing could be pushed any more.
func mergeOf(file *envfile.File, values []action.Value) (m merge, err error) {
	there, spelled := map[string]envfile.Entry{}, map[string]envfile.Entry{}
	for _, e := range file.Entries {
		there[e.Name] = e
		if base, err := names.Base(e.Name); err == nil && !action.Ours(e.Name) {
			spelled[base] = e
		}
	}
	for _, v := range values {
		e, ok := there[v.Entry.Name]
		base, _ := names.Split(v.Token.Secret)
		other, near := spelled[base]
		switch {
		case ok && e.Value.Equal(v.Entry.Value):
			m.unchanged++
		case ok:
			m.differ = append(m.differ, v)
		case near:
			return merge{}, &envfile.Error{Path: file.Path, Line: other.Line, Message: other.Name + " was pushed as " + v.Entry.Name, Way: hint.Format("spell it as it was pushed: %s", v.Entry.Name)}
		default:
			m.added = append(m.added, v)
		}
	}
	return m, nil
}

// String says it in one line, without a value.
func (m merge) String() string {
	var parts []string
	say := func(n int, format string, args ...any) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d ", n)+fmt.Sprintf(format, args...))
		}
	}
	say(len(m.added), "added")
	say(len(m.replaced), "replaced (%s)", listed(m.replaced))
	say(len(m.differ), "kept (differs: %s)", listed(m.differ))
	say(m.unchanged, "unchanged")
	return strings.Join(parts, ", ")
}

func listed(values []action.Value) string { return strings.Join(namesOf(entriesOf(values)), ", ") }

func namesOf(entries []envfile.Entry) (list []string) {
	for _, e := range entries {
		list = append(list, e.Name)
	}
	return list
}

func entriesOf(values []action.Value) (entries []envfile.Entry) {
	for _, v := range values {
		entries = append(entries, v.Entry)
	}
	return entries
}

func changesTo(entries []envfile.Entry) (changes []envfile.Change) {
	for _, e := range entries {
		changes = append(changes, envfile.Set(e.Name, e.Value.Reveal()))
	}
	return changes
}

// missingVariables gives what of ours a file gets: the keys, if it has none and they
// are not kept in a --key-file, and CLUSTER_NAME, if there is just one.
func missingVariables(file *envfile.File, o *pullOptions, cluster string, s *action.Project) (missing []envfile.Entry) {
	inKeyFile := slices.ContainsFunc(s.Holders, func(h action.Holder) bool { return h.Path == o.keyFile })
	keyless := !slices.ContainsFunc(file.Entries, func(e envfile.Entry) bool { return action.Ours(e.Name) && e.Name != action.VarCluster })
	if keyless && !inKeyFile {
		missing = keyEntries(s)
	}
	if _, has := file.Lookup(action.VarCluster); !has && cluster != "" {
		missing = append(missing, envfile.Entry{Name: action.VarCluster, Value: envfile.NewValue(cluster)})
	}
	return missing
}

// writable refuses values that no .env can hold.
func (o *pullOptions) writable(values []action.Value) error {
	for _, v := range values {
		if _, err := envfile.Quote(v.Entry.Value.Reveal()); err != nil {
			return withHint(fmt.Errorf("%s: %w", v.Entry.Name, err), "%s", o.bytesHint(v.Entry.Name))
		}
	}
	return nil
}

// writePulled writes a file that can be read again.
func (a *app) writePulled(ctx context.Context, path string, old, data []byte) error {
	if _, err := envfile.Parse(path, data); err != nil {
		return err
	}
	was := exposed(path)
	if err := a.replace(path, old, data); err != nil {
		return err
	}
	a.narrowed(path, was)
	a.gitWarning(ctx, path)
	return nil
}

const anotherOut = "--out another file"

// checkOut refuses what a .env must not take the place of, before anything waits
// for it or makes a lock beside it.
func (o *pullOptions) checkOut() error {
	spared := []struct{ path, what string }{
		{o.ledger, "the ledger"},
		{resolved(o.ledger) + ledger.LockSuffix, "the ledger's lock file"},
		{filepath.Join(filepath.Dir(o.out), action.DefaultLedger+ledger.LockSuffix), "the ledger's lock file"},
	}
	if o.keyFile != "" && !action.SameFile(o.keyFile, o.env) {
		spared = append(spared, struct{ path, what string }{o.keyFile, "the --key-file"})
	}
	for _, s := range spared {
		if action.SameFile(o.out, s.path) || resolved(o.out) == resolved(s.path) {
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
		return withHint(fmt.Errorf("%s: is a directory", o.out), "--out %s", filepath.Join(o.out, action.DefaultEnv))
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

// present gives the bytes of the file to pull into, nil where there is none.
func (a *app) present(path string) ([]byte, error) {
	old, err := atomicfile.Read(a.machine.Files, path, envfile.MaxSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, withHint(fmt.Errorf("%s: permission denied", path), "chmod 600 %s; or %s", path, hint.Text(anotherOut))
	case err != nil:
		return nil, err
	case beginsLikeLedger(old):
		return nil, withHint(fmt.Errorf("%s: it begins like a ledger", path), anotherOut)
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
func pulled(values []action.Value, cluster string, s *action.Project) []envfile.Entry {
	entries := keyEntries(s)
	if cluster != "" {
		entries = append(entries, envfile.Entry{Name: action.VarCluster, Value: envfile.NewValue(cluster)})
	}
	return append(entries, entriesOf(values)...)
}

func keyEntries(s *action.Project) []envfile.Entry {
	primary, others := s.Keys.Reveal()
	entries := []envfile.Entry{{Name: keyring.VarKey, Value: envfile.NewValue(primary)}}
	if staged := s.Keys.Staged(); staged != "" {
		entries = append(entries, envfile.Entry{Name: keyring.VarNext, Value: envfile.NewValue(others[0])})
		others = others[1:]
	}
	if len(others) > 0 {
		entries = append(entries, envfile.Entry{Name: keyring.VarPrevious, Value: envfile.NewValue(strings.Join(others, ","))})
	}
	return entries
}

// oneCluster gives the cluster that all values come from, nothing where they come
// from several.
func oneCluster(values []action.Value) string {
	name := values[0].Cluster
	if slices.ContainsFunc(values, func(v action.Value) bool { return v.Cluster != name }) {
		return ""
	}
	return name
}
