// SPDX-License-Identifier: Apache-2.0

package action

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/gitstate"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
)

// The names that files have where nothing else is said, and the variable that names a cluster.
const (
	DefaultEnv    = ".env"
	DefaultLedger = "fernet-ledger.csv"
	VarCluster    = "CLUSTER_NAME"
)

// The environment variables of the keys.
const (
	EnvVarKey      = keyring.EnvVarKey
	EnvVarPrevious = keyring.EnvVarPrevious
)

// NewKey gives a fresh key and its id.
func NewKey() (text, id string, err error) {
	text, key, err := keyring.Generate()
	return text, key.ID(), err
}

// ErrKeyless says that there is no key anywhere.
var ErrKeyless = errors.New("no KEY in it")

// Project is a .env that was read and checked, with its keys and its ledger.
type Project struct {
	File    *envfile.File
	Keys    *keyring.Keyring // nil without a key
	Sealer  *seal.Sealer     // nil without a key
	Entries []envfile.Entry  // those of this run, in order; which are wanted where, the session says
	Wanted  []plan.Wanted    // the same, as the planner sees them
	Holders []Holder         // the files that hold keys

	raw     []byte                 // of File; nil where there is none
	names   map[string]bool        // of the entries of File
	belongs func(name string) bool // of an entry: FERNET_MATCH does not leave it out
	bundled bool                   // the entries go into one bundle
}

// WithKeys gives the project as it is with another keyring.
func (p *Project) WithKeys(ring *keyring.Keyring) *Project {
	with := *p
	with.Keys, with.Sealer = ring, seal.New(ring, p.Entries)
	return &with
}

// Has says whether the .env has an entry of that name; what FERNET_MATCH leaves out counts as
// not in it.
func (p *Project) Has(name string) bool {
	return p.names[name] && p.belongs(name)
}

// takes says whether an entry is one of this run.
func (p *Project) takes(name string) bool {
	return slices.ContainsFunc(p.Wanted, func(w plan.Wanted) bool { return w.EnvKey == name })
}

// clusterName gives CLUSTER_NAME, which is about to be printed: what cannot be a
// name may be a value that slipped into its line.
func (p *Project) clusterName() (string, error) {
	entry, _ := p.File.Lookup(VarCluster)
	if name := entry.Value.Reveal(); !strings.ContainsAny(name, "=\r\n") {
		return name, nil
	}
	return "", p.at(entry, VarCluster+" does not look like the name of a context or a cluster", "write the name alone on that line")
}

// at is an error about one entry.
func (p *Project) at(e envfile.Entry, message string, way hint.Text) error {
	return &envfile.Error{Path: p.File.Path, Line: e.Line, Message: message, Way: way}
}

// located adds the place in the .env to an error about an entry.
func (p *Project) located(err error) error {
	var spelling *plan.SpellingError
	if errors.As(err, &spelling) {
		e, _ := p.File.Lookup(spelling.Want.EnvKey)
		return p.at(e, spelling.Error(), hint.Format("spell it as it was pushed: %s", spelling.Spelling))
	}
	return err
}

// load reads what needs neither cluster nor ledger.
func (s *Session) load(ctx context.Context) error {
	what := s.reading
	file, raw, err := envfile.ReadFile(s.Env)
	elsewhere := s.FernetKey != "" || s.KeyFile != ""
	optional := what == Keys || s.Env == DefaultEnv && (what == Names || what == EntriesIfAny && elsewhere)
	if optional && errors.Is(err, fs.ErrNotExist) {
		file, err = &envfile.File{Path: s.Env}, nil
		if what == EntriesIfAny {
			what = Keys
		}
	}
	if err != nil {
		return MissingEnv(s.Env, s.Ledger, s.Command, err)
	}
	s.Project = &Project{File: file, raw: raw, names: map[string]bool{}}
	for _, e := range file.Entries {
		s.Project.names[e.Name] = true
	}
	if s.reading = what; what == EntriesIfAny {
		s.reading = Entries
	}
	if err := s.configure(); err != nil {
		return err
	}
	switch s.reading {
	case Names:
		s.Project.choose(s.Settings.chooses)
		s.findAnyKeys()
		return nil
	case Keys:
		s.Project.choose(s.Settings.chooses)
		return s.findKeys()
	}
	if err := s.findKeys(); err != nil {
		return err
	}
	if err := s.Project.take(s.Settings.chooses, s.AllowEmpty); err != nil {
		return err
	}
	s.fileWarnings(file)
	if text := GitWarning(ctx, s.Env); text != "" && !settingsOnly(file) {
		s.warn("%s", text)
	}
	return nil
}

// settingsOnly says that a file has neither a key nor a value: anybody may read it, and it
// may be committed.
func settingsOnly(file *envfile.File) bool {
	return !slices.ContainsFunc(file.Entries, func(e envfile.Entry) bool { return e.Name != VarCluster && setters[e.Name] == nil })
}

// takePushed adds, to the entries that the globs choose, those of the .env that were pushed
// to a namespace of the target.
func (s *Session) takePushed() error {
	pushed := map[string]bool{}
	namespaces := s.Target.Namespaces
	if s.reading != Entries { // their values are of no interest
		namespaces = SortedKeys(s.Known)
	}
	for _, namespace := range namespaces {
		maps.Copy(pushed, s.pushedBesides(namespace))
	}
	chosen := func(name string) bool { return pushed[name] || s.Settings.chooses(name) }
	if s.reading != Entries {
		s.Project.choose(chosen)
		return nil
	}
	return s.Project.take(chosen, s.AllowEmpty)
}

// findKeys makes the keyring of the .env, the --key-file and the environment.
func (s *Session) findKeys() error {
	p := s.Project
	files := []Holder{{Path: s.Env, File: p.File, raw: p.raw}}
	if s.KeyFile != "" && !SameFile(s.KeyFile, s.Env) {
		keys, raw, err := envfile.ReadFileAs(s.KeyFile, keyring.Named)
		if errors.Is(err, fs.ErrNotExist) {
			return hint.With(err, "check the path of --key-file")
		}
		if errors.Is(err, envfile.ErrEmpty) {
			return hint.With(err, "name the file that has the key: --key-file FILE")
		}
		if err != nil {
			return err
		}
		s.fileWarnings(keys)
		files = append(files, Holder{Path: s.KeyFile, File: keys, raw: raw})
	}
	var sources []keyring.Source
	for _, h := range files {
		sources = append(sources, keyring.FromFile(h.File))
		if h.holdsKeys() {
			p.Holders = append(p.Holders, h)
		}
	}
	ring, err := keyring.Find(append(sources, keyring.FromEnvironment(s.FernetKey, s.FernetKeyOld))...)
	if errors.Is(err, keyring.ErrNoKey) {
		return s.keyless()
	}
	if err == nil {
		s.Project = p.WithKeys(ring)
	}
	return err
}

// keyless is the error of a run that finds no key.
func (s *Session) keyless() error {
	message, environment := cmp.Or(s.KeyFile, s.Env)+": "+ErrKeyless.Error(), "not set"
	if s.FernetKeyEmpty {
		environment = "empty"
	}
	switch {
	case s.KeyFile == "" && s.Project.raw == nil:
		message = fmt.Sprintf("no key: %s does not exist, and %s is %s", s.Env, EnvVarKey, environment)
	case s.FernetKeyEmpty:
		message += fmt.Sprintf(", and %s is %s", EnvVarKey, environment)
	}
	err := keylessError(message)
	switch _, statErr := os.Stat(s.Ledger); {
	case s.KeyFile != "":
		return hint.With(err, "name the file that has the key: --key-file FILE")
	case statErr == nil:
		return hint.With(err, "the tokens in %s have a key already: give it as KEY in %s, as FERNET_KEY or as --key-file FILE", s.Ledger, s.Env)
	default:
		return hint.With(err, "kubectl fernet init%s", EnvFlag(s.Env))
	}
}

// keylessError is ErrKeyless with the place where the key is missing.
type keylessError string

func (e keylessError) Error() string { return string(e) }

// Is makes it ErrKeyless.
func (keylessError) Is(target error) bool { return target == ErrKeyless }

// findAnyKeys takes the keys that are at hand, if there are any that can be used.
func (s *Session) findAnyKeys() {
	if ring, err := keyring.Find(keyring.FromFile(s.Project.File), keyring.FromEnvironment(s.FernetKey, s.FernetKeyOld)); err == nil {
		s.Project.Keys, s.Project.Sealer = ring, seal.New(ring, nil)
	}
}

// choose takes the entries that are chosen, without a look at their values.
func (p *Project) choose(chosen func(name string) bool) {
	p.Wanted = nil
	for _, e := range p.File.Entries {
		if base, err := names.Base(e.Name); (err == nil || p.bundled) && chosen(e.Name) {
			p.Wanted = append(p.Wanted, plan.Wanted{EnvKey: e.Name, Base: base, Line: e.Line})
		}
	}
}

// take takes the entries that are chosen, and checks their names and values.
func (p *Project) take(chosen func(name string) bool, allowEmpty bool) error {
	p.Entries, p.Wanted = nil, nil
	lines := map[string]envfile.Entry{} // by base name
	for _, e := range p.File.Entries {
		if !chosen(e.Name) {
			continue
		}
		base, err := names.Base(e.Name)
		if err != nil && !p.bundled {
			return p.at(e, err.Error(), "rename the entry")
		}
		if first, taken := lines[base]; taken && !p.bundled {
			return p.at(e, fmt.Sprintf("%s and %s (line %d) would both be Secret %s", e.Name, first.Name, first.Line, base), "rename one of them")
		}
		lines[base] = e
		if err := p.checkValue(e, allowEmpty); err != nil {
			return err
		}
		p.Entries = append(p.Entries, e)
		p.Wanted = append(p.Wanted, plan.Wanted{EnvKey: e.Name, Base: base, Line: e.Line})
	}
	p.Sealer = seal.New(p.Keys, p.Entries)
	return nil
}

func (p *Project) checkValue(e envfile.Entry, allowEmpty bool) error {
	if e.Value.IsEmpty() && !allowEmpty {
		return p.at(e, e.Label()+" has no value", "give it one, or add --allow-empty")
	}
	err := seal.CheckValue(p.Keys, e.Value)
	switch {
	case errors.Is(err, seal.ErrSealed):
		return p.at(e, e.Label()+" "+err.Error(), "write the plaintext here; push seals it")
	case err != nil:
		return p.at(e, e.Label()+" "+err.Error(), "take it out of this file, or leave it out with --match")
	default:
		return nil
	}
}

// unchanged says whether the .env still has the bytes that were read.
func (p *Project) unchanged() error {
	_, raw, err := envfile.ReadFile(p.File.Path)
	if err == nil && !bytes.Equal(raw, p.raw) {
		err = hint.With(fmt.Errorf("%s changed while this run was starting", p.File.Path), "run the command again")
	}
	return err
}

func (s *Session) fileWarnings(file *envfile.File) {
	for _, w := range file.Warnings {
		if w.Line == 0 && settingsOnly(file) {
			continue // who may read it
		}
		s.warn("%s: %s", Place(file.Path, w.Line, w.Name), w.Message)
	}
}

// Place writes file, line and name as far as they are known.
func Place(path string, line int, name string) string {
	if line > 0 {
		path = fmt.Sprintf("%s:%d", path, line)
	}
	if name != "" {
		path += ": " + name
	}
	return path
}

// GitWarning says what git may do with a file that holds secrets and should not be in
// it; empty if there is nothing to say.
func GitWarning(ctx context.Context, env string) string {
	switch gitstate.Of(ctx, env) {
	case gitstate.Tracked:
		return fmt.Sprintf("%s is tracked by git: its values and its key are in the history; `git rm --cached %s`, then kubectl fernet rotate%s", env, hint.Word(env), EnvFlag(env))
	case gitstate.Visible:
		return env + " is not ignored by git: add it to .gitignore"
	default:
		return ""
	}
}

// valueNotes says what may have been meant otherwise: entries that look like secrets and
// are not pushed, placeholders, and values that other parsers read differently.
func (s *Session) valueNotes() {
	p := s.Project
	if s.reading != Entries {
		return
	}
	missed := slices.DeleteFunc(s.leftOut(), func(name string) bool { return !strings.Contains(strings.ToUpper(name), "SECRET") })
	if len(missed) > 0 && len(s.Settings.own) == 0 {
		text := "not pushed, although the name has SECRET in it: " + hint.Few(missed)
		if s.Request.Match == nil {
			text += "; to include: " + string(s.Command+hint.Format(" --match %s", DefaultMatch)+matchFlags(missed))
		}
		s.note("%s", text)
	}
	for _, e := range p.Entries {
		if envfile.Placeholder(e.Value) {
			s.warn("%s:%d: %s looks like a placeholder", p.File.Path, e.Line, e.Name)
		}
		if what := envfile.Substitute(e.Value); what != "" {
			s.warn("%s:%d: %s looks like %s; an application would get it as it stands", p.File.Path, e.Line, e.Name, what)
		}
	}
	if n := len(envfile.SecondOpinion(&envfile.File{Path: p.File.Path, Entries: p.Entries})); n > 0 {
		s.note("other dotenv parsers read %s differently: kubectl fernet lint%s", hint.Count(n, "value"), EnvFlag(s.Env))
	}
}

// leftOut names the entries of the .env that are none of this run.
func (s *Session) leftOut() (names []string) {
	for _, e := range s.Project.File.Entries {
		if !ours(e.Name) && !s.Project.takes(e.Name) {
			names = append(names, e.Name)
		}
	}
	return names
}

// ownNames refuses names of the bundle and of the keyring that the Secret of an entry has,
// and an entry of a Secret of its own whose generations would have the names of a bundle's.
func (s *Session) ownNames() error {
	recorded := plan.Mine(s.Records, nil)
	for _, w := range s.Project.Wanted {
		if s.Settings.Bundle == "" && slices.ContainsFunc(recorded, func(r plan.Wanted) bool { return r.Bundle() && r.Base == w.Base }) {
			return &envfile.Error{Path: s.Env, Line: w.Line, Message: fmt.Sprintf("%s: the ledger has a bundle of the name of its Secret, %s", w.EnvKey, w.Base), Way: "rename the entry"}
		}
	}
	for _, w := range slices.Concat(s.Project.Wanted, recorded) {
		switch {
		case w.Base == "": // of a bundle, as no Secret could have its name
		case w.Base == s.Settings.Bundle && !w.Bundle():
			return hint.With(fmt.Errorf("%s: %s is the Secret of %s", s.Settings.places[VarBundle], w.Base, w.EnvKey), "choose another name, such as app")
		case w.Base == s.Settings.KeySecret:
			return hint.With(fmt.Errorf("%s: %s is the Secret of %s", s.Settings.places[VarKeySecret], w.Base, w.Name()), "choose another name, such as fernet-key")
		}
	}
	return nil
}

// SameFile says whether two paths lead to one file.
func SameFile(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// EnvFlag gives the --env to type for a file.
func EnvFlag(env string) hint.Text {
	if env == DefaultEnv {
		return ""
	}
	return hint.Format(" --env %s", env)
}

// Holder is a file that holds keys, an .env or a --key-file, as it was read.
type Holder struct {
	Path string
	File *envfile.File
	raw  []byte
}

func (h Holder) holdsKeys() bool { return keyring.Holds(h.File) }

// keyHolder gives the one file whose keys a rotation may change, and refuses
// where the keys stand in several places: they could not be changed together.
func (s *Session) keyHolder() (Holder, error) {
	inEnvironment := s.FernetKey != "" || s.FernetKeyOld != ""
	switch held := s.Project.Holders; {
	case len(held) == 1 && !inEnvironment:
		return held[0], nil
	case len(held) == 0:
		return Holder{}, hint.With(errors.New("the key is in FERNET_KEY alone: there is no file in which a new key could be kept"),
			"put KEY into %s, or into a --key-file, and unset FERNET_KEY", s.Env)
	case inEnvironment:
		return Holder{}, hint.With(fmt.Errorf("the key is in %s and in FERNET_KEY too, which cannot be changed with it", held[0].Path),
			"unset FERNET_KEY FERNET_KEY_PREVIOUS")
	default:
		return Holder{}, hint.With(fmt.Errorf("keys are in %s and in %s, which cannot be changed together", held[0].Path, held[1].Path),
			"leave them in one of the two files")
	}
}

// Edited is a holder with changed keys, and the keyring that it then makes.
type Edited struct {
	Keys *keyring.Keyring
	from Holder
	raw  []byte
}

// Edit gives what a holder becomes; nothing is written yet.
func (h Holder) Edit(changes ...envfile.Change) (Edited, error) {
	raw, err := envfile.Edit(h.Path, keyring.Named(h.raw), changes...)
	if err != nil {
		return Edited{}, err
	}
	file, err := envfile.Parse(h.Path, raw)
	if err != nil {
		return Edited{}, err
	}
	ring, err := keyring.Find(keyring.FromFile(file))
	return Edited{from: h, raw: raw, Keys: ring}, err
}

// save makes the changed keys durable (R1); afterwards the session goes on with the new
// keyring. It refuses a file that was changed since it was read.
func (s *Session) save(e Edited) error {
	err := atomicfile.Replace(s.Files, e.from.Path, e.from.raw, e.raw)
	if errors.Is(err, atomicfile.ErrChanged) {
		return hint.With(fmt.Errorf("%s changed while this run was under way; it was not touched", e.from.Path), "run the command again")
	}
	if err != nil {
		return err
	}
	s.Project = s.Project.WithKeys(e.Keys)
	if s.ledger != nil {
		s.ledger.SignWith(s.Project.ledgerKeys().Sign)
	}
	return nil
}

// ledgerKeys gives the ledger what it uses of the keyring, where there is one.
func (p *Project) ledgerKeys() ledger.Keys {
	if p.Keys == nil {
		return ledger.Keys{}
	}
	return seal.New(p.Keys, p.File.Entries).Ledger() // what is pushed is known only after it was read
}
