// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
)

const (
	defaultEnv    = ".env"
	defaultLedger = "fernet-ledger.csv"
	defaultMatch  = "SECRET*"

	varCluster = "CLUSTER_NAME"
)

// ours are the variables that are never pushed, whatever the glob.
var ours = map[string]bool{
	keyring.VarKey: true, keyring.VarPrevious: true, keyring.VarNext: true, varCluster: true,
	keyring.EnvVarKey: true, keyring.EnvVarPrevious: true,
}

// sourceOptions are the flags of every verb that reads an .env.
type sourceOptions struct {
	env, ledger, keyFile string
	match                []string
	allowEmpty           bool
}

func (o *sourceOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.env, "env", defaultEnv, "the .env file")
	f.StringVar(&o.ledger, "ledger", "", "the ledger (default "+defaultLedger+" beside the .env)")
	f.StringVar(&o.keyFile, "key-file", "", "a file with KEY and KEY_PREVIOUS, instead of those in the .env")
	f.StringArrayVar(&o.match, "match", []string{defaultMatch}, "which entries are secrets: a glob over their names, repeatable")
	f.BoolVar(&o.allowEmpty, "allow-empty", false, "accept secrets with an empty value")
}

func (o *sourceOptions) complete() {
	if o.ledger == "" {
		o.ledger = filepath.Join(filepath.Dir(o.env), defaultLedger)
	}
}

func (o *sourceOptions) validate() error {
	for _, glob := range o.match {
		if _, err := path.Match(glob, ""); err != nil {
			return fmt.Errorf("--match: %q is no valid pattern", glob)
		}
	}
	for flag, file := range map[string]string{"--env": o.env, "--key-file": o.keyFile} {
		if file != "" && sameFile(file, o.ledger) {
			return fmt.Errorf("%s and --ledger are the same file: %s", flag, file)
		}
	}
	return nil
}

func sameFile(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// errKeyless says that there is no key anywhere.
var errKeyless = errors.New("no KEY in it")

// source is a read and checked .env with its keys.
type source struct {
	options sourceOptions
	file    *envfile.File
	raw     []byte
	ring    *keyring.Keyring
	holders []holder        // the files that hold keys
	entries []envfile.Entry // those that match, in order
	wanted  []plan.Wanted   // the same, as the planner sees them
}

// clusterName gives CLUSTER_NAME, which is about to be printed: what cannot be a
// name may be a value that slipped into its line.
func (s *source) clusterName() (string, error) {
	entry, _ := s.file.Lookup(varCluster)
	if name := entry.Value.Reveal(); !strings.ContainsAny(name, "=\r\n") {
		return name, nil
	}
	return "", s.at(entry, varCluster+" does not look like the name of a context or a cluster", "write the name alone on that line")
}

// load reads and checks everything that needs no cluster.
func (a *app) load(o sourceOptions) (*source, error) {
	file, raw, err := envfile.ReadFile(o.env)
	if err != nil {
		return nil, err
	}
	s := &source{options: o, file: file, raw: raw}
	if err := a.findKeys(s); err != nil {
		return nil, err
	}
	if err := s.choose(); err != nil {
		return nil, err
	}
	a.fileWarnings(file)
	a.gitWarnings(o.env)
	a.valueNotes(s)
	return s, nil
}

// findKeys makes the keyring of the .env, the --key-file and the environment.
func (a *app) findKeys(s *source) error {
	files := []holder{{path: s.options.env, file: s.file, raw: s.raw}}
	if path := s.options.keyFile; path != "" && !sameFile(path, s.options.env) {
		keys, raw, err := envfile.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return withHint(err, "check the path of --key-file")
		}
		if err != nil {
			return err
		}
		a.fileWarnings(keys)
		files = append(files, holder{path: path, file: keys, raw: raw})
	}
	var sources []keyring.Source
	for _, h := range files {
		sources = append(sources, keyring.FromFile(h.file))
		if h.holdsKeys() {
			s.holders = append(s.holders, h)
		}
	}
	ring, err := keyring.Find(append(sources, keyring.FromEnvironment(a.envKey, a.envOld))...)
	if errors.Is(err, keyring.ErrNoKey) {
		return withHint(fmt.Errorf("%s: %w", s.options.env, errKeyless), "kubectl fernet init%s", envFlag(s.options.env))
	}
	s.ring = ring
	return err
}

func (a *app) fileWarnings(file *envfile.File) {
	for _, w := range file.Warnings {
		a.console.warn("%s: %s", place(file.Path, w.Line, w.Name), w.Message)
	}
}

// envFlag gives the --env to type for a file.
func envFlag(env string) hint.Text {
	if env == defaultEnv {
		return ""
	}
	return hint.Format(" --env %s", env)
}

// aimed gives the flags with which a command of a hint works on the same .env and, where
// one was named, in this namespace.
func (w *work) aimed(namespace string) hint.Text {
	flags := envFlag(w.o.env)
	if w.named() {
		flags += hint.Format(" -n %s", namespace)
	}
	return flags
}

// choose picks the entries that match and checks their names and values.
func (s *source) choose() error {
	lines := map[string]envfile.Entry{} // by base name
	for _, e := range s.file.Entries {
		if ours[e.Name] || !matchesAny(s.options.match, e.Name) {
			continue
		}
		base, err := names.Base(e.Name)
		if err != nil {
			return s.at(e, err.Error(), "rename the entry")
		}
		if first, taken := lines[base]; taken {
			return s.at(e, fmt.Sprintf("%s and %s (line %d) would both be Secret %s", e.Name, first.Name, first.Line, base), "rename one of them")
		}
		lines[base] = e
		if err := s.check(e); err != nil {
			return err
		}
		s.entries = append(s.entries, e)
		s.wanted = append(s.wanted, plan.Wanted{EnvKey: e.Name, Base: base, Line: e.Line})
	}
	return nil
}

func (s *source) check(e envfile.Entry) error {
	if e.Value.IsEmpty() && !s.options.allowEmpty {
		return s.at(e, e.Label()+" has no value", "give it one, or add --allow-empty")
	}
	err := seal.CheckValue(s.ring, e.Value)
	switch {
	case errors.Is(err, seal.ErrSealed):
		return s.at(e, e.Label()+" "+err.Error(), "write the plaintext here; push seals it")
	case err != nil:
		return s.at(e, e.Label()+" "+err.Error(), "take it out of this file, or leave it out with --match")
	default:
		return nil
	}
}

func (s *source) at(e envfile.Entry, message string, hint hint.Text) error {
	return &envfile.Error{Path: s.file.Path, Line: e.Line, Message: message, Way: hint}
}

func matchesAny(globs []string, name string) bool {
	for _, glob := range globs {
		if ok, _ := path.Match(glob, name); ok { // validated before
			return true
		}
	}
	return false
}

// unchanged says whether the .env still has the bytes that were read.
func (s *source) unchanged() error {
	_, raw, err := envfile.ReadFile(s.options.env)
	if err == nil && !bytes.Equal(raw, s.raw) {
		err = withHint(fmt.Errorf("%s changed while this run was starting", s.options.env), "run the command again")
	}
	return err
}

// valueNotes says what somebody may have meant otherwise: entries that look
// like secrets and are not pushed, placeholders, and values that other parsers
// read differently.
func (a *app) valueNotes(s *source) {
	var unmatched, missed []string
	for _, e := range s.file.Entries {
		switch {
		case ours[e.Name] || matchesAny(s.options.match, e.Name):
		case strings.Contains(strings.ToUpper(e.Name), "SECRET"):
			missed = append(missed, e.Name)
			fallthrough
		default:
			unmatched = append(unmatched, e.Name)
		}
	}
	if len(missed) > 0 {
		a.console.note("not pushed, although the name has SECRET in it: %s", hint.Few(missed))
	}
	if len(s.entries) == 0 {
		a.console.note("%s", a.nothingMatches(s, unmatched))
	}
	for _, e := range s.entries {
		if envfile.Placeholder(e.Value) {
			a.console.warn("%s:%d: %s looks like a placeholder", s.file.Path, e.Line, e.Name)
		}
	}
	if n := len(envfile.SecondOpinion(&envfile.File{Path: s.file.Path, Entries: s.entries})); n > 0 {
		a.console.note("other dotenv parsers read %d of these values differently: kubectl fernet lint%s", n, envFlag(s.options.env))
	}
}

func (a *app) nothingMatches(s *source, unmatched []string) string {
	text := fmt.Sprintf("no entry of %s matches %s", s.options.env, strings.Join(s.options.match, " or "))
	if len(unmatched) == 0 {
		return text
	}
	flags := ""
	for _, name := range hint.First(unmatched) {
		flags += string(hint.Format(" --match %s", name))
	}
	return fmt.Sprintf("%s; it has %s. To push them: %s%s", text, hint.Few(unmatched), a.typed, flags)
}
