// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

// The settings of a .env.
const (
	VarNamespace = "FERNET_NAMESPACE"
	VarMatch     = "FERNET_MATCH"
	VarBundle    = "FERNET_BUNDLE"
	VarKeySecret = "FERNET_KEY_SECRET" // #nosec G101 -- the name of a setting

	ourPrefix = "FERNET_"
	// DefaultMatch says which entries are secrets where nothing else is said.
	DefaultMatch = "SECRET*"
)

// Settings are what a .env says about where its entries go and which they are. Flags
// override them for one run.
type Settings struct {
	Namespaces []string // none: the kubeconfig's
	Match      []string // globs over the names of entries
	Bundle     string   // the base name of the bundle; empty: one Secret for each entry
	KeySecret  string   // the base name of the keyring Secrets; empty: none is kept

	own    []string          // the globs of FERNET_MATCH, which alone decide; none: it is not set
	places map[string]string // where each setting that is set stands: a flag, or a line of the .env
}

// readSettings reads the settings of a .env. One without a value counts as not set.
func readSettings(file *envfile.File) (s Settings, err error) {
	s.places = map[string]string{}
	for _, e := range file.Entries {
		set := setters[e.Name]
		if set == nil || strings.TrimSpace(e.Value.Reveal()) == "" {
			continue
		}
		if err := set(&s, e.Value.Reveal()); err != nil {
			return s, &envfile.Error{Path: file.Path, Line: e.Line, Message: e.Name + ": " + err.Error(), Way: hint.Of(err)}
		}
		s.places[e.Name] = fmt.Sprintf("%s:%d: %s", file.Path, e.Line, e.Name)
	}
	s.own = s.Match
	return s, s.distinct()
}

// setters take the value of a setting, or say what is wrong with it without showing it.
var setters = map[string]func(*Settings, string) error{
	VarNamespace: func(s *Settings, value string) error {
		s.Namespaces = split(value)
		return checkNamespaces(s.Namespaces)
	},
	VarMatch: func(s *Settings, value string) error {
		s.Match = split(value)
		return CheckGlobs(s.Match)
	},
	VarBundle: func(s *Settings, value string) error {
		s.Bundle = strings.TrimSpace(value)
		return CheckBaseName(s.Bundle)
	},
	VarKeySecret: func(s *Settings, value string) error {
		s.KeySecret = strings.TrimSpace(value)
		return CheckBaseName(s.KeySecret)
	},
}

func split(value string) []string {
	items := strings.Split(value, ",")
	for i, item := range items {
		items[i] = strings.TrimSpace(item)
	}
	return items
}

func checkNamespaces(list []string) error {
	for i, name := range list {
		switch {
		case names.CheckNamespace(name) != nil:
			return fmt.Errorf("item %d is no namespace: %w", i+1, names.ErrNamespace)
		case slices.Contains(list[:i], name):
			return fmt.Errorf("item %d is the same namespace as one before it", i+1)
		}
	}
	return nil
}

// matchable is what a glob over names of entries consists of.
var matchable = regexp.MustCompile(`^[A-Za-z0-9_.*?\[\]^\\-]+$`)

// CheckGlobs refuses globs that can match no name of an entry.
func CheckGlobs(globs []string) error {
	for i, glob := range globs {
		_, err := path.Match(glob, "")
		switch {
		case glob == "":
			return fmt.Errorf("pattern %d is empty", i+1)
		case err != nil:
			return fmt.Errorf("pattern %d is no valid one", i+1)
		case !matchable.MatchString(glob):
			return fmt.Errorf("pattern %d can match no name of an entry", i+1)
		}
	}
	return nil
}

// CheckBaseName refuses what cannot be the name, without its generation, of Secrets.
func CheckBaseName(name string) error {
	if !names.IsBase(name) {
		return fmt.Errorf("not the name of a Secret: up to %d lower-case letters, digits, \"-\" and \".\", and no ending like -g2", names.MaxBase)
	}
	return nil
}

// IsGeneration says whether a name is that of a generation of a keyring or a bundle.
func IsGeneration(name string) bool {
	base, _, numbered := names.SplitNumbered(name)
	return numbered && names.IsBase(base)
}

// distinct refuses one base name for two things.
func (s Settings) distinct() error {
	if s.Bundle == "" || s.Bundle != s.KeySecret {
		return nil
	}
	return hint.With(fmt.Errorf("%s is the name of the bundle too (%s)", s.places[VarKeySecret], s.places[VarBundle]), "choose another name, such as fernet-key")
}

// applied gives the settings as the flags of a request override them.
func (s Settings) applied(r Request) (Settings, error) {
	override := func(name, flag string, given bool) bool {
		if given {
			s.places[name] = flag
		}
		return given
	}
	if named := r.Target.Named(); override(VarNamespace, "-n", len(named) > 0) {
		s.Namespaces = named
	}
	if override(VarMatch, "--match", len(r.Match) > 0) {
		s.Match = r.Match
	}
	if override(VarBundle, "--bundle", r.Bundle != "") {
		s.Bundle = r.Bundle
	}
	if override(VarKeySecret, "--key-secret", r.KeySecret != "") {
		s.KeySecret = r.KeySecret
	}
	if len(s.Match) == 0 {
		s.Match = []string{DefaultMatch}
	}
	return s, s.distinct()
}

// NewSettings makes settings of flags.
func NewSettings(namespaces, match []string, bundle, keySecret string) (Settings, error) {
	s := Settings{places: map[string]string{VarBundle: "--bundle", VarKeySecret: "--key-secret"}}
	for _, flag := range []struct{ name, variable, value string }{
		{"-n", VarNamespace, strings.Join(namespaces, ",")}, {"--match", VarMatch, strings.Join(match, ",")},
		{"--bundle", VarBundle, bundle}, {"--key-secret", VarKeySecret, keySecret},
	} {
		if flag.value == "" {
			continue
		}
		if err := setters[flag.variable](&s, flag.value); err != nil {
			return s, fmt.Errorf("%s: %w", flag.name, err)
		}
	}
	return s, s.distinct()
}

// entries gives the settings as variables, those that say something.
func (s Settings) entries() (entries []envfile.Entry) {
	for _, e := range []struct{ name, value string }{
		{VarNamespace, strings.Join(s.Namespaces, ",")}, {VarMatch, strings.Join(s.Match, ",")},
		{VarBundle, s.Bundle}, {VarKeySecret, s.KeySecret},
	} {
		if e.value != "" {
			entries = append(entries, envfile.Entry{Name: e.name, Value: envfile.NewValue(e.value)})
		}
	}
	return entries
}

// missing gives those of the settings that a file lacks, and refuses one that it has with
// another value.
func (s Settings) missing(file *envfile.File) (missing []envfile.Entry, err error) {
	for _, e := range s.entries() {
		there, _ := file.Lookup(e.Name)
		has := strings.TrimSpace(there.Value.Reveal())
		switch {
		case has == "":
			missing = append(missing, e)
		case !slices.Equal(split(has), split(e.Value.Reveal())):
			return nil, &envfile.Error{Path: file.Path, Line: there.Line, Message: e.Name + " has another value already; nothing was written", Way: "change it there, or leave out its flag"}
		}
	}
	return missing, nil
}

var notInBase = regexp.MustCompile(`[^a-z0-9.]+`)

// FolderName makes a base name of the name of the folder that a .env is in.
func FolderName(env string) (string, error) {
	folder, err := filepath.Abs(filepath.Dir(env))
	if err != nil {
		return "", err
	}
	name := strings.Trim(notInBase.ReplaceAllString(strings.ToLower(filepath.Base(folder)), "-"), "-.")
	if err := CheckBaseName(name); err != nil {
		return "", hint.With(fmt.Errorf("the folder's name gives no name for a Secret: %w", err), "name it: --bundle NAME")
	}
	return name, nil
}

// chooses says whether an entry is one of this run by its name alone.
func (s Settings) chooses(name string) bool { return !ours(name) && matchesAny(s.Match, name) }

// belongs says whether an entry that is in the .env counts as one of it.
func (s Settings) belongs(name string) bool {
	return !ours(name) && (len(s.own) == 0 || matchesAny(s.own, name)) || s.chooses(name)
}

func matchesAny(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool {
		ok, _ := path.Match(glob, name) // checked before
		return ok
	})
}

// selected refuses a run that has nothing to do: a glob that was given chooses no entry, or
// nothing is chosen at all. For a verb that spreads what the ledger has is something, too.
func (s *Session) selected(spreads bool) error {
	for i, glob := range s.Settings.Match {
		if s.Settings.places[VarMatch] == "" || slices.ContainsFunc(s.Project.File.Entries, func(e envfile.Entry) bool {
			return !ours(e.Name) && matchesAny([]string{glob}, e.Name)
		}) {
			continue
		}
		if s.Request.Match != nil {
			return s.selectsNone(fmt.Sprintf("no entry of %s matches %s", s.Env, glob), glob)
		}
		return s.selectsNone(fmt.Sprintf("%s: no entry matches pattern %d", s.Settings.places[VarMatch], i+1), glob)
	}
	if len(s.Project.Wanted) > 0 || spreads && len(s.recordedNamespaces()) > 0 {
		return nil
	}
	return s.selectsNone(fmt.Sprintf("no entry of %s matches %s", s.Env, DefaultMatch), "")
}

// selectsNone says which entries may have been meant, the one with the nearest name first.
func (s *Session) selectsNone(text, glob string) error {
	left := s.leftOut()
	literal := strings.Trim(glob, "*?")
	if near := hint.Nearest(literal, left); near != "" && len(literal) > 3 {
		left = append([]string{near}, slices.DeleteFunc(left, func(name string) bool { return name == near })...)
	}
	if len(left) == 0 {
		return hint.With(errors.New(text), "write NAME=VALUE into %s, one line for each secret", s.Env)
	}
	var flags hint.Text
	for _, name := range hint.First(left) {
		flags += hint.Format(" --match %s", name)
	}
	command := s.Command
	if s.Request.Match != nil {
		command = "instead of that"
	}
	return hint.With(fmt.Errorf("%s; it has %s", text, hint.Few(left)), "%s%s", command, flags)
}

// ours says whether a variable is one of this program, which is never pushed.
func ours(name string) bool {
	return slices.Contains(keyring.Variables, name) || name == VarCluster || strings.HasPrefix(name, ourPrefix)
}

// StrangeSettings finds the names that look like a setting and are none.
func StrangeSettings(file *envfile.File) (found []envfile.Finding) {
	for _, e := range file.Entries {
		if !strings.HasPrefix(e.Name, ourPrefix) || setters[e.Name] != nil || slices.Contains(keyring.Variables, e.Name) {
			continue
		}
		cause := "no setting of this program"
		if near := nearestSetting(e.Name); near != "" {
			cause += "; did you mean " + near + "?"
		}
		found = append(found, envfile.Finding{Line: e.Line, Name: e.Name, Cause: cause})
	}
	return found
}

func nearestSetting(name string) string {
	if name == ourPrefix+keyring.VarNext {
		return keyring.VarNext
	}
	return hint.Nearest(name, append(SortedKeys(setters), keyring.EnvVarKey, keyring.EnvVarPrevious))
}

// configure reads the settings, and applies the flags to them and them to the request.
func (s *Session) configure() error {
	read, err := readSettings(s.Project.File)
	if err != nil {
		return err
	}
	s.Project.belongs = read.belongs
	s.Request.Target.Settled = read.Namespaces
	if s.Settings, err = read.applied(s.Request); err != nil {
		return err
	}
	s.Project.belongs, s.Project.bundled = s.Settings.belongs, s.Settings.Bundle != ""
	for _, f := range StrangeSettings(s.Project.File) {
		s.note("%s: %s", Place(s.Env, f.Line, f.Name), f.Cause)
	}
	return nil
}

// SettingsIn gives the settings of a .env, none of one that is missing.
func SettingsIn(env string) (Settings, error) {
	file, _, err := envfile.ReadFile(env)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return Settings{}, err
	}
	return readSettings(file)
}
