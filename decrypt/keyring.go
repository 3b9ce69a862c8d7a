// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"fmt"
	"io"
	"strings"
)

// Keyring holds the keys of an application: one primary, and any number of
// previous ones. Under every verb of fmt, in JSON and in log/slog it prints as
// the ids of its keys: [redacted kab12cd34]. The zero Keyring opens nothing.
//
// A nil *Keyring opens nothing, either; fmt prints it as <nil>.
type Keyring struct {
	keys []key
	// twice lets decode look beneath a second layer of base64.
	twice bool
}

// ParseKeys makes a keyring of the texts of its keys, the previous ones in any
// order; the newest first is the fastest. A key that is given twice, as happens
// when an application is moved to a new key, counts once, where it is first. An
// error is a *KeyError about a text that is not a usable Fernet key.
func ParseKeys(primary string, previous ...string) (*Keyring, error) {
	texts := append([]string{primary}, previous...)
	ring := new(Keyring)
	for i, text := range texts {
		k, reason := parseKey(text)
		if reason != "" {
			return nil, &KeyError{Position: i, Reason: reason}
		}
		if !contains(texts[:i], text) {
			ring.keys = append(ring.keys, k)
		}
	}
	return ring, nil
}

// contains compares texts: of each key, parseKey takes only one.
func contains(texts []string, text string) bool {
	for _, t := range texts {
		if t == text {
			return true
		}
	}
	return false
}

// KeyIDs gives the ids of the keys, the primary key's first. An id is "k" and
// eight hex digits; it is safe to print and to commit.
func (r *Keyring) KeyIDs() []string {
	if r == nil {
		return nil
	}
	ids := make([]string, 0, len(r.keys))
	for _, k := range r.keys {
		ids = append(ids, k.id)
	}
	return ids
}

// WithDoubleBase64 gives a keyring of the same keys that also opens a token
// which somebody base64-encoded once more before it went into a Secret, as one
// does by hand. The outer layer is what base64(1) and Python's b64encode write;
// line breaks in it are skipped, and so is one final line break inside it.
// Nothing else is taken more lightly. A token then has more than one text.
func (r *Keyring) WithDoubleBase64() *Keyring {
	if r == nil {
		return nil
	}
	return &Keyring{keys: r.keys, twice: true}
}

// String gives the ids of the keys: [redacted kab12cd34 k56ef7890].
func (r Keyring) String() string {
	return "[" + strings.Join(append([]string{"redacted"}, r.KeyIDs()...), " ") + "]"
}

// Format prints what String gives, whatever the verb.
func (r Keyring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// MarshalText gives what String does, to JSON, log/slog and the like.
func (r Keyring) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
