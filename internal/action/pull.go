// SPDX-License-Identifier: Apache-2.0

package action

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

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

// Pull brings back into a .env what was pushed.
type Pull struct {
	Recall
	Out   string // the file to write
	Force bool   // takes the recorded values where the file has others
}

// PullPlan is what pull is about to do.
type PullPlan struct {
	Added, Replaced, Differ []Value
	Unchanged               int
	Fresh                   bool     // there is no such file yet
	Variables               []string // of ours that the file lacked, and gets
	ClusterNewer            bool     // the cluster has newer values than the ledger

	machine   Machine
	out       string
	old, data []byte
	unlock    func()
}

// Close lets go of the lock. It may be called more than once.
func (p *PullPlan) Close() {
	if p.unlock != nil {
		p.unlock()
		p.unlock = nil
	}
}

// Plan takes the lock, gets the values back and merges them into what is there. With an
// error nothing is held; else Close has to be called.
func (v Pull) Plan(ctx context.Context, r Request) (*PullPlan, error) {
	if err := v.checkOut(r); err != nil {
		return nil, err
	}
	p := &PullPlan{machine: r.Machine, out: v.Out}
	var err error
	if p.unlock, err = r.lockFor(v.Out); err != nil {
		return nil, err
	}
	if err = v.plan(ctx, r, p); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (v Pull) plan(ctx context.Context, r Request, p *PullPlan) (err error) {
	if p.old, err = r.present(v.Out); err != nil {
		return err
	}
	values, recalled, err := v.Run(ctx, r)
	if err != nil {
		return err
	}
	p.ClusterNewer = recalled.ClusterNewer
	cluster, settings := oneCluster(values), settingsOf(values) // of all: places that agree are left out below
	if values, err = Agreed(values); err != nil {
		return err
	}
	if len(p.old) > 0 {
		return v.into(r, p, values, cluster, settings, recalled.Project)
	}
	p.Fresh, p.Added = true, values
	if err := writable(v.Flags(r.Paths), values); err != nil {
		return err
	}
	if entry, ok := recalled.Project.File.Lookup(VarCluster); ok && cluster == "" {
		cluster = entry.Value.Reveal()
	}
	p.data, err = envfile.Format(pulled(values, cluster, settings, recalled.Project))
	return err
}

// into merges values into the file that is there.
func (v Pull) into(r Request, p *PullPlan, values []Value, cluster string, settings []envfile.Entry, project *Project) error {
	file, err := envfile.Parse(v.Out, p.old)
	if err != nil {
		return err
	}
	if err := p.merge(file, values); err != nil {
		return err
	}
	if v.Force {
		p.Replaced, p.Differ = p.Differ, nil
	}
	if err := writable(v.Flags(r.Paths), slices.Concat(p.Added, p.Replaced)); err != nil {
		return err
	}
	variables := missingVariables(file, r.KeyFile, cluster, settings, project)
	for _, e := range variables {
		p.Variables = append(p.Variables, e.Name)
	}
	p.data, err = envfile.Edit(v.Out, p.old, changesTo(slices.Concat(variables, entriesOf(p.Added), entriesOf(p.Replaced)))...)
	return err
}

// Apply writes the file, if it changes or others can read it, and gives the mode that it
// had in that case.
func (p *PullPlan) Apply() (written bool, opened fs.FileMode, err error) {
	if opened = exposed(p.out); !p.Fresh && bytes.Equal(p.data, p.old) && opened == 0 {
		return false, 0, nil
	}
	if _, err := envfile.Parse(p.out, p.data); err != nil {
		return false, 0, err
	}
	return true, opened, p.machine.replace(p.out, p.old, p.data)
}

// merge holds values against a file. A name that the file spells otherwise is an
// error, as in push: with a second entry beside it nothing could be pushed any more.
func (p *PullPlan) merge(file *envfile.File, values []Value) error {
	there, spelled := map[string]envfile.Entry{}, map[string]envfile.Entry{}
	for _, e := range file.Entries {
		there[e.Name] = e
		if base, err := names.Base(e.Name); err == nil && !ours(e.Name) {
			spelled[base] = e
		}
	}
	for _, v := range values {
		e, ok := there[v.Entry.Name]
		base, _ := names.Split(v.Token.Secret)
		other, near := spelled[base]
		switch {
		case ok && e.Value.Equal(v.Entry.Value):
			p.Unchanged++
		case ok:
			p.Differ = append(p.Differ, v)
		case near && !v.Bundled():
			return &envfile.Error{Path: file.Path, Line: other.Line, Message: other.Name + " was pushed as " + v.Entry.Name, Way: hint.Format("spell it as it was pushed: %s", v.Entry.Name)}
		default:
			p.Added = append(p.Added, v)
		}
	}
	return nil
}

func entriesOf(values []Value) (entries []envfile.Entry) {
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
// are not kept in a --key-file, with the settings that it lacks, and CLUSTER_NAME, if there
// is just one. A file that has keys has settings as its owner wants them.
func missingVariables(file *envfile.File, keyFile, cluster string, settings []envfile.Entry, s *Project) (missing []envfile.Entry) {
	inKeyFile := slices.ContainsFunc(s.Holders, func(h Holder) bool { return h.Path == keyFile })
	keyless := !keyring.Holds(file) && !inKeyFile
	if keyless {
		missing = keyEntries(s)
	}
	if _, has := file.Lookup(VarCluster); !has && cluster != "" {
		missing = append(missing, envfile.Entry{Name: VarCluster, Value: envfile.NewValue(cluster)})
	}
	if keyless {
		missing = append(missing, slices.DeleteFunc(settings, func(e envfile.Entry) bool {
			_, has := file.Lookup(e.Name)
			return has
		})...)
	}
	return missing
}

// settingsOf gives the settings that values tell: their namespaces, where all come from the
// same ones of one cluster, and their names, where the default would not choose them all.
func settingsOf(values []Value) (settings []envfile.Entry) {
	setting := func(name string, items []string) {
		settings = append(settings, envfile.Entry{Name: name, Value: envfile.NewValue(strings.Join(items, ","))})
	}
	if namespaces := oneChoiceOfNamespaces(values); oneCluster(values) != "" && len(namespaces) > 0 {
		setting(VarNamespace, namespaces)
	}
	var list []string
	for _, v := range values {
		if !slices.Contains(list, v.Entry.Name) {
			list = append(list, v.Entry.Name)
		}
	}
	if slices.ContainsFunc(list, func(name string) bool { return !matchesAny([]string{DefaultMatch}, name) }) {
		setting(VarMatch, list)
	}
	if base := oneBundle(values); base != "" {
		setting(VarBundle, []string{base})
	}
	return settings
}

// oneBundle gives the base name of the bundle that all values come from; empty where one
// comes from elsewhere.
func oneBundle(values []Value) (base string) {
	for i, v := range values {
		of, _ := names.Split(v.Token.Secret)
		if !v.Bundled() || i > 0 && of != base {
			return ""
		}
		base = of
	}
	return base
}

// oneChoiceOfNamespaces gives the namespaces of values, sorted, if each entry has a value in
// all of them.
func oneChoiceOfNamespaces(values []Value) (namespaces []string) {
	at, all := map[string]map[string]bool{}, map[string]bool{} // by entry
	for _, v := range values {
		if at[v.Entry.Name] == nil {
			at[v.Entry.Name] = map[string]bool{}
		}
		at[v.Entry.Name][v.Token.Namespace], all[v.Token.Namespace] = true, true
	}
	for _, of := range at {
		if len(of) != len(all) {
			return nil
		}
	}
	return SortedKeys(all)
}

// writable refuses values that no .env can hold.
func writable(flags hint.Text, values []Value) error {
	for _, v := range values {
		if _, err := envfile.Quote(v.Entry.Value.Reveal()); err != nil {
			return hint.With(fmt.Errorf("%s: %w", v.Entry.Name, err), "%s", BytesHint(v.Entry.Name, flags))
		}
	}
	return nil
}

const anotherOut = "--out another file"

// checkOut refuses what a .env must not take the place of, before anything waits
// for it or makes a lock beside it.
func (v Pull) checkOut(r Request) error {
	spared := []struct{ path, what string }{
		{r.Ledger, "the ledger"},
		{resolved(r.Ledger) + ledger.LockSuffix, "the ledger's lock file"},
		{filepath.Join(filepath.Dir(v.Out), DefaultLedger+ledger.LockSuffix), "the ledger's lock file"},
	}
	if r.KeyFile != "" && !SameFile(r.KeyFile, r.Env) {
		spared = append(spared, struct{ path, what string }{r.KeyFile, "the --key-file"})
	}
	for _, s := range spared {
		if SameFile(v.Out, s.path) || resolved(v.Out) == resolved(s.path) {
			return hint.With(fmt.Errorf("%s: it is %s", v.Out, s.what), anotherOut)
		}
	}
	info, err := os.Stat(v.Out)
	switch {
	case errors.Is(err, fs.ErrNotExist) && isLink(v.Out):
		return hint.With(fmt.Errorf("%s: a symbolic link to a file that does not exist", v.Out), "create that file, or remove the link; or "+anotherOut)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return hint.With(fmt.Errorf("%s: is a directory", v.Out), "--out %s", filepath.Join(v.Out, DefaultEnv))
	case !info.Mode().IsRegular():
		return hint.With(fmt.Errorf("%s: not a regular file", v.Out), anotherOut)
	case info.Size() > envfile.MaxSize:
		return hint.With(fmt.Errorf("%s: it is larger than any .env", v.Out), anotherOut)
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
func (m Machine) present(path string) ([]byte, error) {
	old, err := atomicfile.Read(m.Files, path, envfile.MaxSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, hint.With(fmt.Errorf("%s: permission denied", path), "chmod 600 %s; or %s", path, hint.Text(anotherOut))
	case err != nil:
		return nil, err
	case beginsLikeLedger(old):
		return nil, hint.With(fmt.Errorf("%s: it begins like a ledger", path), anotherOut)
	}
	return old, nil
}

// beginsLikeLedger asks the ledger's own reader about the first line.
func beginsLikeLedger(data []byte) bool {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	_, _, err := ledger.Parse("", append(bytes.Clone(line), '\n'))
	return err == nil && len(bytes.TrimSpace(line)) > 0
}

// pulled gives the whole file: the keys, the cluster, the settings, the entries.
func pulled(values []Value, cluster string, settings []envfile.Entry, s *Project) []envfile.Entry {
	entries := keyEntries(s)
	if cluster != "" {
		entries = append(entries, envfile.Entry{Name: VarCluster, Value: envfile.NewValue(cluster)})
	}
	return slices.Concat(entries, settings, entriesOf(values))
}

func keyEntries(s *Project) []envfile.Entry {
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
func oneCluster(values []Value) string {
	name := values[0].Cluster
	if slices.ContainsFunc(values, func(v Value) bool { return v.Cluster != name }) {
		return ""
	}
	return name
}

// BytesHint names the command that still gives a value which does not fit; flags are those
// with which it looks for it at the same place.
func BytesHint(name string, flags hint.Text) hint.Text {
	return hint.Format("kubectl fernet reveal %s%s >FILE gives its bytes", name, flags)
}
