// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"errors"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
)

// The changes below are to the file that holds the keys, an .env or a key file;
// envfile.Edit carries them out. A variable keeps the name under which it stands there. No key is ever thrown away but by Drop, and by Renew one
// that nothing was sealed with.

// Stage gives the change that puts a fresh key into KEY_NEXT.
func Stage(f *envfile.File, fresh string) []envfile.Change {
	s := FromFile(f)
	return []envfile.Change{envfile.SetAfter(s.key.name, VarNext, fresh)}
}

// Advance gives the changes that make KEY_NEXT, or a fresh key where none is
// staged, the one that seals; the one that did goes to the head of KEY_PREVIOUS.
func Advance(f *envfile.File, fresh string) []envfile.Change {
	s := FromFile(f)
	if next := s.next.split(); len(next) > 0 {
		fresh = next[0]
	}
	return s.seals(fresh, s.previous.split())
}

// Renew gives the changes that make a fresh key the one that seals, whatever is staged:
// a KEY_NEXT may have leaked with the file. It goes behind the key that sealed into
// KEY_PREVIOUS if it is to be kept, and else is thrown away.
func Renew(f *envfile.File, fresh string, keepStaged bool) []envfile.Change {
	s := FromFile(f)
	previous := s.previous.split()
	if keepStaged {
		previous = append(s.next.split(), previous...)
	}
	return s.seals(fresh, previous)
}

// seals gives the changes that make a key KEY, and KEY the head of these previous keys.
func (s *Source) seals(key string, previous []string) []envfile.Change {
	return []envfile.Change{
		envfile.Set(s.key.name, key),
		envfile.SetAfter(s.key.name, s.previousName(), strings.Join(append([]string{s.key.value.Reveal()}, previous...), ",")),
		envfile.Remove(VarNext),
	}
}

// ErrNoWayBack says that there is no key to return to, or no place to keep the
// current one.
var ErrNoWayBack = errors.New("no rotation has begun (KEY_PREVIOUS is empty), or another key is staged already (KEY_NEXT)")

// Retreat is the reverse of Advance: the newest previous key seals again, and
// the one that did is staged, so that nothing sealed with it is lost.
func Retreat(f *envfile.File) ([]envfile.Change, error) {
	s := FromFile(f)
	previous := s.previous.split()
	if len(previous) == 0 || len(s.next.split()) > 0 {
		return nil, ErrNoWayBack
	}
	return append([]envfile.Change{
		envfile.Set(s.key.name, previous[0]),
		envfile.SetAfter(s.key.name, VarNext, s.key.value.Reveal()),
	}, s.setPrevious(previous[1:])), nil
}

// Drop gives the change that throws the previous keys away: what only they open
// is lost from then on to whoever has no other copy.
func Drop(f *envfile.File) envfile.Change {
	s := FromFile(f)
	return envfile.Remove(s.previousName())
}

func (s *Source) setPrevious(keys []string) envfile.Change {
	if len(keys) == 0 {
		return envfile.Remove(s.previousName())
	}
	return envfile.SetAfter(s.key.name, s.previousName(), strings.Join(keys, ","))
}

// previousName gives the name under which the previous keys stand, or are to stand beside
// the key.
func (s *Source) previousName() string {
	switch {
	case s.previous.there():
		return s.previous.name
	case s.key.name == EnvVarKey:
		return EnvVarPrevious
	default:
		return VarPrevious
	}
}
