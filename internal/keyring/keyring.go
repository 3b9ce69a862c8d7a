// SPDX-License-Identifier: Apache-2.0

// Package keyring finds the Fernet keys and hands out a keyring: its first key
// seals, all of its keys open. Keys come from an .env file, a key file with the
// same variables, or the environment; two sources that disagree are refused.
// Nothing in this package prints a key: a Key shows its id under every verb of
// fmt, and an error names the place of a bad key, never a character of it.
package keyring

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fernet/fernet-go"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

// Key is one Fernet key. The bytes are behind a function because fmt prints the
// unexported fields of foreign structs by reflection, past all methods, and
// follows pointers to arrays there.
type Key struct {
	raw func() *fernet.Key
	id  string
}

// newKey takes the text of a key that decrypt's rules accept.
func newKey(text string) (Key, error) {
	ring, err := decrypt.ParseKeys(text)
	if err != nil {
		return Key{}, err
	}
	raw := new(fernet.Key)
	if _, err := base64.URLEncoding.Strict().Decode(raw[:], []byte(text)); err != nil {
		return Key{}, errors.New("not a Fernet key") // unreachable after ParseKeys; the cause may quote the key
	}
	redact.Add(text, string(raw[:]))
	return Key{raw: func() *fernet.Key { return raw }, id: ring.KeyIDs()[0]}, nil
}

func (k Key) equal(other Key) bool { return *k.raw() == *other.raw() }

// ID is the key id of DESIGN: safe to print and to commit, a hint, no proof.
func (k Key) ID() string { return k.id }

// String hides the key and shows its id.
func (k Key) String() string { return "[redacted " + k.id + "]" }

// Format makes every verb of fmt print what String does.
func (k Key) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, k.String()) }

// MarshalText makes JSON and structured logs print what String does.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Seal makes a Fernet token of plain with the current time and a random IV.
func (k Key) Seal(plain []byte) (string, error) {
	token, err := fernet.EncryptAndSign(plain, k.raw())
	if err != nil {
		return "", fmt.Errorf("no randomness for a token under key %s", k.id)
	}
	return string(token), nil
}

// SealAt is Seal with the time that the token is to carry: a rotation keeps the
// time of the token that it replaces, as the age of a value does not change with
// its key. The Fernet library knows only the current time, so its token is
// stamped anew: the eight bytes after the version, and the HMAC over all before it.
func (k Key) SealAt(plain []byte, at time.Time) (string, error) {
	token, err := k.Seal(plain)
	if err != nil {
		return "", err
	}
	raw, err := base64.URLEncoding.DecodeString(token)
	if err != nil {
		return "", errors.New("a fresh token is not base64") // unreachable; the cause may quote it
	}
	signed := raw[:len(raw)-sha256.Size]
	binary.BigEndian.PutUint64(signed[1:9], uint64(at.Unix()))
	mac := hmac.New(sha256.New, k.raw()[:16]) // the first half of a key signs
	mac.Write(signed)
	return base64.URLEncoding.EncodeToString(mac.Sum(signed)), nil
}

// Subkey derives 32 bytes for one purpose: HKDF-SHA256 with an empty salt.
func (k Key) Subkey(info string) []byte {
	subkey, err := hkdf.Key(sha256.New, k.raw()[:], nil, info, sha256.Size)
	if err != nil {
		panic("hkdf of 32 bytes failed") // only lengths over 255 hashes fail
	}
	return subkey
}

// Keyring holds the keys of one .env: the primary first, then those that only open.
type Keyring struct {
	keys   []Key
	staged int // how many of the keys behind the primary are KEY_NEXT: 0 or 1
	open   *decrypt.Keyring
	from   string // the file or the variable that has the primary key
}

// From names the file that the primary key stands in, or FERNET_KEY.
func (r *Keyring) From() string { return r.from }

// Primary is the key that seals.
func (r *Keyring) Primary() Key { return r.keys[0] }

// Keys gives all keys, the primary first.
func (r *Keyring) Keys() []Key { return slices.Clone(r.keys) }

// IDs lists the key ids, the primary's first.
func (r *Keyring) IDs() []string { return r.open.KeyIDs() }

// Staged gives the id of KEY_NEXT, empty where there is none.
func (r *Keyring) Staged() string {
	if r.staged == 0 {
		return ""
	}
	return r.keys[1].id
}

// Previous gives the ids of the keys in KEY_PREVIOUS, the newest first.
func (r *Keyring) Previous() []string { return r.IDs()[1+r.staged:] }

// Alone gives the keyring that has the primary key and no other.
func (r *Keyring) Alone() *Keyring {
	primary := r.keys[0]
	open, err := decrypt.ParseKeys(primary.raw().Encode())
	if err != nil {
		panic("a key that was accepted before is not any more") // the error may not be shown
	}
	return &Keyring{keys: []Key{primary}, open: open}
}

// WithoutPrevious gives the keyring that has the primary key, and the staged one.
func (r *Keyring) WithoutPrevious() *Keyring {
	keys := r.keys[:1+r.staged]
	var texts []string
	for _, k := range keys {
		texts = append(texts, k.raw().Encode())
	}
	open, err := decrypt.ParseKeys(texts[0], texts[1:]...)
	if err != nil {
		panic("keys that were accepted before are not any more") // the error may not be shown
	}
	return &Keyring{keys: slices.Clone(keys), staged: r.staged, open: open}
}

// Reveal gives the texts of the keys, the primary's first: for the one Secret
// that may hold them.
func (r *Keyring) Reveal() (primary string, others []string) {
	for _, k := range r.keys[1:] {
		others = append(others, k.raw().Encode())
	}
	return r.keys[0].raw().Encode(), others
}

// Has says whether a key of that id is in the keyring.
func (r *Keyring) Has(id string) bool {
	_, ok := r.byID(id)
	return ok
}

// Contains says whether one of the keys stands anywhere in text.
func (r *Keyring) Contains(text string) bool {
	return slices.ContainsFunc(r.keys, func(k Key) bool { return strings.Contains(text, k.raw().Encode()) })
}

func (r *Keyring) byID(id string) (Key, bool) {
	for _, k := range r.keys {
		if k.id == id {
			return k, true
		}
	}
	return Key{}, false
}

// String hides the keys and shows their ids.
func (r Keyring) String() string { return fmt.Sprint(r.keys) }

// Format makes every verb of fmt print what String does.
func (r Keyring) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, r.String()) }

// MarshalText makes JSON and structured logs print what String does.
func (r Keyring) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Open gives the plaintext of a token and the key that opened it. The error is
// decrypt's: malformed, or no key opens it.
func (r *Keyring) Open(token string) (plain []byte, by Key, err error) {
	result, err := r.open.OpenResult([]byte(token))
	if err != nil {
		return nil, Key{}, err
	}
	by, _ = r.byID(result.KeyID)
	return result.Plaintext, by, nil
}

func generate() (string, error) {
	var k fernet.Key
	if err := k.Generate(); err != nil {
		return "", fmt.Errorf("no randomness for a key")
	}
	return k.Encode(), nil
}
