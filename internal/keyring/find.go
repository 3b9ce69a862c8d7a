// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

// The variables that hold keys in an .env or a key file. In the environment they are
// FERNET_KEY and FERNET_KEY_PREVIOUS, which a file may have instead of the first two.
const (
	VarKey         = "KEY"
	VarPrevious    = "KEY_PREVIOUS"
	VarNext        = "KEY_NEXT"
	EnvVarKey      = "FERNET_KEY"
	EnvVarPrevious = "FERNET_KEY_PREVIOUS"
)

// Variables are all of these names.
var Variables = []string{VarKey, VarPrevious, VarNext, EnvVarKey, EnvVarPrevious}

// ErrNoKey says that no source holds a key.
var ErrNoKey = errors.New("no key")

// Source is one place where keys may stand.
type Source struct {
	key, previous, next place
	err                 error // what keeps it from being read
}

// place is one variable of a source; a variable that is not there has no name.
type place struct {
	path, name string
	line       int
	value      envfile.Value
}

func (p place) there() bool { return p.name != "" }

func (p place) errorf(message string, hint hint.Text) error {
	return &envfile.Error{Path: p.path, Line: p.line, Message: p.name + ": " + message, Way: hint}
}

// FromFile reads the keys of a parsed .env or key file. Both spellings of one variable in a
// file are an error of Find.
func FromFile(f *envfile.File) (s Source) {
	at := func(spellings ...string) (found place) {
		for _, name := range spellings {
			entry, ok := f.Lookup(name)
			if !ok {
				continue
			}
			here := place{path: f.Path, name: name, line: entry.Line, value: entry.Value}
			if found.there() {
				s.err = here.errorf(fmt.Sprintf("means the same as %s in line %d", found.name, found.line), "leave one of the two lines")
			}
			found = here
		}
		return found
	}
	s.next, s.previous, s.key = at(VarNext), at(VarPrevious, EnvVarPrevious), at(VarKey, EnvVarKey)
	return s
}

var bare = regexp.MustCompile(`^\s*[A-Za-z0-9_-]{43}=\s*$`)

// Named gives the bytes of a key file as those of an .env: a file that holds a key and
// nothing else means KEY.
func Named(data []byte) []byte {
	if bare.Match(data) {
		return slices.Concat([]byte(VarKey+"="), bytes.TrimSpace(data), []byte("\n"))
	}
	return data
}

// Holds says whether a file has any variable that holds keys.
func Holds(f *envfile.File) bool {
	return slices.ContainsFunc(f.Entries, func(e envfile.Entry) bool { return slices.Contains(Variables, e.Name) })
}

// HasPrevious says whether a file has previous keys.
func HasPrevious(f *envfile.File) bool { return len(FromFile(f).previous.split()) > 0 }

// environment is the path of what stands in no file.
const environment = "environment"

// FromEnvironment takes the values of FERNET_KEY and FERNET_KEY_PREVIOUS; an
// empty one counts as not set, and a final line break is no part of one. A value of
// a Secret has to be one that decrypt takes in a Pod, with the same line break.
func FromEnvironment(key, previous string) Source {
	at := func(name, value string) place {
		if line, ended := strings.CutSuffix(value, "\n"); ended {
			value = strings.TrimSuffix(line, "\r")
		}
		if value == "" {
			return place{}
		}
		return place{path: environment, name: name, value: envfile.NewValue(value)}
	}
	return Source{key: at(EnvVarKey, key), previous: at(EnvVarPrevious, previous)}
}

// Find makes the keyring of all sources: the primary, KEY_NEXT, then the
// previous keys, newest first. Sources may repeat each other; where two hold
// different values, it is an error. ErrNoKey means that no source has a KEY.
func Find(sources ...Source) (*Keyring, error) {
	var whole Source
	for _, s := range sources {
		if s.err != nil {
			return nil, s.err
		}
		if err := whole.merge(s); err != nil {
			return nil, err
		}
	}
	if !whole.key.there() {
		return nil, ErrNoKey
	}
	return whole.keyring()
}

func (s *Source) merge(other Source) error {
	for _, pair := range []struct{ mine, theirs *place }{
		{&s.key, &other.key}, {&s.previous, &other.previous}, {&s.next, &other.next},
	} {
		switch {
		case !pair.theirs.there():
		case !pair.mine.there():
			*pair.mine = *pair.theirs
		case pair.mine.value.Reveal() != pair.theirs.value.Reveal():
			return pair.theirs.errorf("differs from "+pair.mine.name+" in "+pair.mine.path, "leave the keys in one of the two places only")
		}
	}
	return nil
}

func (s *Source) keyring() (*Keyring, error) {
	primary, err := s.key.one()
	if err != nil {
		return nil, err
	}
	if len(s.next.split()) > 1 {
		return nil, s.next.errorf("more than one key", "one key is staged at a time; what else has to open belongs into "+VarPrevious)
	}
	keys, texts := []Key{primary}, []string{}
	for _, p := range []place{s.next, s.previous} {
		for _, text := range p.split() {
			k, err := p.parse(text)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(keys, k.equal) {
				return nil, p.errorf("key "+k.id+" stands in the keyring twice", "remove it here")
			}
			keys, texts = append(keys, k), append(texts, text)
		}
	}
	ring, err := decrypt.ParseKeys(s.key.value.Reveal(), texts...)
	if err != nil {
		return nil, s.key.errorf(err.Error(), "")
	}
	from := s.key.path
	if from == environment {
		from = s.key.name
	}
	return &Keyring{keys: keys, staged: len(s.next.split()), open: ring, from: from}, nil
}

func (p place) one() (Key, error) {
	return p.parse(p.value.Reveal())
}

func (p place) parse(text string) (Key, error) {
	k, err := newKey(text)
	var refused *decrypt.KeyError
	if errors.As(err, &refused) {
		return Key{}, p.errorf(string(refused.Reason), "a key is the 44 characters that `kubectl fernet keygen` prints")
	}
	return k, err
}

// split gives the comma-separated keys of KEY_PREVIOUS; an empty variable has none.
func (p place) split() []string {
	if !p.there() || strings.TrimSpace(p.value.Reveal()) == "" {
		return nil
	}
	parts := strings.Split(p.value.Reveal(), ",")
	for i, part := range parts {
		parts[i] = strings.TrimSpace(part)
	}
	return parts
}

// Generate makes a fresh key and its text.
func Generate() (text string, key Key, err error) {
	text, err = generate()
	if err != nil {
		return "", Key{}, err
	}
	key, err = newKey(text)
	return text, key, err
}
