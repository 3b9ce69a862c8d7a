// SPDX-License-Identifier: Apache-2.0

package action

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/gitstate"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
)

const (
	newFileHead = `# Entries whose names %s become Kubernetes Secrets:
#   kubectl fernet push --env %s
`
	newFileExamples = `#SECRET_DB_PASSWORD='a value'
#SECRET-API-TOKEN='another value'
`
	ledgerAttribute = DefaultLedger + " merge=union -text"
)

// Init writes a .env with a fresh key, or adds the key to one, and settings.
type Init struct {
	Env      string
	Cluster  string   // the name of the current context, for CLUSTER_NAME; empty: none is known
	Settings Settings // to be written
}

// Initialised is what init did.
type Initialised struct {
	Key     string      // the id of the new key; empty: the file had one
	Wrote   []string    // what was written: the names of variables, settings with their values
	Created bool        // there was no such file
	Opened  fs.FileMode // the mode of a file that others could read, else 0
	Match   []string    // the globs that choose entries
	Entries int         // of the file, without names of ours
	Chosen  int         // of these, by the globs
}

// Run writes the .env, under its lock, after git was told to ignore it: a key that git can
// see is one too many.
func (i Init) Run(m Machine) (done Initialised, err error) {
	unlock, err := m.lockFor(i.Env)
	if err != nil {
		return done, err
	}
	defer unlock()
	file, old, err := existing(i.Env)
	if err != nil {
		return done, err
	}
	variables, id, err := i.variables(file)
	if err != nil {
		return done, err
	}
	made, err := i.bytes(old, variables)
	if err != nil {
		return done, err
	}
	if err := m.gitInit(i.Env); err != nil {
		return done, err
	}
	done = Initialised{Key: id, Created: old == nil, Opened: exposed(i.Env), Wrote: written(variables)}
	i.count(file, &done)
	return done, m.replace(i.Env, old, made)
}

// count says how many entries push would take.
func (i Init) count(file *envfile.File, done *Initialised) {
	there, _ := readSettings(file) // which was checked
	done.Match = i.Settings.Match
	if len(done.Match) == 0 {
		done.Match = there.Match
	}
	if len(done.Match) == 0 {
		done.Match = []string{DefaultMatch}
	}
	for _, e := range file.Entries {
		if !ours(e.Name) {
			done.Entries++
			if matchesAny(done.Match, e.Name) {
				done.Chosen++
			}
		}
	}
}

// Writes says whether there are settings to write.
func (i Init) Writes() bool { return len(i.Settings.entries()) > 0 }

// variables gives what a file lacks: a fresh key, whose id is given too, CLUSTER_NAME and the
// settings. One that has a key gets the settings alone.
func (i Init) variables(file *envfile.File) (variables []envfile.Entry, id string, err error) {
	missing, err := i.Settings.missing(file)
	if err != nil {
		return nil, "", err
	}
	for _, name := range keyring.Variables {
		if e, ok := file.Lookup(name); ok && i.Writes() {
			return missing, "", nil
		} else if ok {
			return nil, "", hint.With(fmt.Errorf("%s:%d: it has a %s already; nothing was written", i.Env, e.Line, name), "kubectl fernet push --env %s", i.Env)
		}
	}
	text, id, err := NewKey()
	if err != nil {
		return nil, "", err
	}
	variables = []envfile.Entry{{Name: keyring.VarKey, Value: envfile.NewValue(text)}}
	if _, has := file.Lookup(VarCluster); !has && i.Cluster != "" {
		variables = append(variables, envfile.Entry{Name: VarCluster, Value: envfile.NewValue(i.Cluster)})
	}
	return append(variables, missing...), id, nil
}

// written names variables; of a setting the value may be shown.
func written(variables []envfile.Entry) (list []string) {
	for _, e := range variables {
		text := e.Name
		if quoted, err := envfile.Quote(e.Value.Reveal()); err == nil && setters[e.Name] != nil {
			text += "=" + quoted
		}
		list = append(list, text)
	}
	return list
}

// replace writes a .env that is as it was read, and says what to do if it is not.
func (m Machine) replace(env string, old, made []byte) error {
	err := atomicfile.Replace(m.Files, env, old, made)
	if errors.Is(err, atomicfile.ErrChanged) || errors.Is(err, fs.ErrExist) {
		return hint.With(fmt.Errorf("%s changed while this run was under way; it was not touched", env), "run the command again")
	}
	return err
}

// exposed gives the mode of a file to which others than its owner have access, 0
// of any other one.
func exposed(path string) fs.FileMode {
	info, err := os.Stat(path)
	if err != nil || !atomicfile.Exposed(info) {
		return 0
	}
	return info.Mode().Perm()
}

// lockFor takes the lock that guards a .env, and removes what a killed run left
// of its next content.
func (m Machine) lockFor(env string) (unlock func(), err error) {
	if _, err := os.Stat(filepath.Dir(env)); err != nil {
		return nil, hint.With(fmt.Errorf("%s: its folder does not exist", env), "mkdir -p %s", filepath.Dir(env))
	}
	guard, err := ledger.Lock(filepath.Join(filepath.Dir(env), DefaultLedger))
	if err != nil {
		return nil, err
	}
	_, err = atomicfile.CleanLeftover(m.Files, env)
	if errors.Is(err, atomicfile.ErrDangling) { // reading it says so better
		err = nil
	}
	return func() { _ = guard.Unlock() }, err
}

// existing gives a .env and its bytes, which are nil where there is none; an empty file
// counts as one that is there.
func existing(env string) (*envfile.File, []byte, error) {
	file, raw, err := envfile.ReadFile(env)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !isLink(env):
		return &envfile.File{Path: env}, nil, nil
	case errors.Is(err, envfile.ErrEmpty):
		return &envfile.File{Path: env}, []byte{}, nil
	}
	return file, raw, err
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// bytes gives the whole new content of the file.
func (i Init) bytes(old []byte, variables []envfile.Entry) ([]byte, error) {
	if len(old) == 0 {
		lines, err := envfile.Format(variables)
		if err != nil {
			return nil, err
		}
		which := "start with SECRET"
		if len(i.Settings.Match) > 0 {
			which = "match " + VarMatch
		}
		text := fmt.Sprintf(newFileHead, which, i.Env) + string(lines)
		if i.Cluster == "" {
			text += "#" + VarCluster + "=the name of a context in your kubeconfig\n"
		}
		return []byte(text + newFileExamples), nil
	}
	made, err := envfile.Edit(i.Env, old, changesTo(variables)...)
	if err == nil && !bytes.HasSuffix(made, []byte("\n")) {
		made = append(made, '\n') // or the next line that somebody appends would be CLUSTER_NAME's
	}
	return made, err
}

// gitInit keeps the .env, what editors make of it, its temporary file and the
// ledger's lock out of git, and lets git merge ledgers as what they are: sets of
// lines.
func (m Machine) gitInit(env string) error {
	if !gitstate.InWorkTree(env) {
		return nil
	}
	dir := filepath.Dir(env)
	ignored := append(ignoreLines(filepath.Base(env)), "*"+atomicfile.Suffix, DefaultLedger+ledger.LockSuffix)
	if err := m.addLines(filepath.Join(dir, ".gitignore"), ignored); err != nil {
		return err
	}
	return m.addLines(filepath.Join(dir, ".gitattributes"), []string{ledgerAttribute})
}

// ignoreLines gives the lines of .gitignore for a file that holds secrets: its name,
// and those of the copies that vim, Emacs, nano and people make beside it.
func ignoreLines(name string) []string {
	swap := name // vim hides its swap files, as this one may be already
	if !strings.HasPrefix(name, ".") {
		swap = "." + name
	}
	lines := []string{name, name + "~", name + ".bak", name + ".orig", name + ".save", swap + ".swp", swap + ".swo", "#" + name + "#", ".#" + name}
	for i, line := range lines {
		lines[i] = ignoreLine(line)
	}
	return lines
}

var ignoreSpecial = regexp.MustCompile(`^[#!]|[\\*?\[ ]`)

// ignoreLine writes a file name so that .gitignore takes it literally.
func ignoreLine(name string) string { return ignoreSpecial.ReplaceAllString(name, `\$0`) }

// addLines appends those lines that a file does not have; no other byte changes.
func (m Machine) addLines(path string, lines []string) error {
	old, err := atomicfile.Read(m.Files, path, envfile.MaxSize)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	have := map[string]bool{}
	for _, line := range strings.Split(string(old), "\n") {
		have[strings.TrimSpace(line)] = true
	}
	made := bytes.Clone(old)
	if len(made) > 0 && !bytes.HasSuffix(made, []byte("\n")) {
		made = append(made, '\n')
	}
	before := len(made)
	for _, line := range lines {
		if !have[line] {
			made = append(made, line+"\n"...)
		}
	}
	switch {
	case len(made) == before:
		return nil
	case old == nil:
		return atomicfile.Create(m.Files, path, made, 0o644)
	default:
		return atomicfile.ReplacePublic(m.Files, path, old, made)
	}
}
