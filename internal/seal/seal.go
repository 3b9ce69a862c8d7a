// SPDX-License-Identifier: Apache-2.0

// Package seal is the one door between plaintext and token: entries of an .env
// go in and ledger rows come out, tokens go in and a verdict comes out. It makes
// and checks the binding of a token to its place. It writes no file and dials
// nobody; its errors name entries, never values.
package seal

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

const (
	bindingInfo   = "kubectl-fernet binding v1"
	bindingPrefix = "v1:"
	bundleInfo    = "kubectl-fernet binding v2"
)

// Sealer seals and judges with one keyring and the entries of one .env.
type Sealer struct {
	ring   *keyring.Keyring
	values map[string]envfile.Value
}

// New makes a sealer for the entries that may pass it.
func New(ring *keyring.Keyring, entries []envfile.Entry) *Sealer {
	values := make(map[string]envfile.Value, len(entries))
	for _, e := range entries {
		values[e.Name] = e.Value
	}
	return &Sealer{ring: ring, values: values}
}

// Seal fills in the crypto columns of a row (key id, token, binding) from these entries:
// all of a bundle, which a row without an EnvKey is, or else its one. An entry that comes with a
// token of the same value keeps it, time and all, so far as one key made it: a Secret has
// tokens of the first key alone. Each token is opened again before it is handed out, so
// that none leaves which an application could not open.
func (s *Sealer) Seal(row ledger.Row, entries ...token.Entry) (ledger.Row, error) {
	if !row.Bundle() && len(entries) == 0 {
		entries = []token.Entry{{Name: row.EnvKey}}
	}
	sealed := make([]token.Entry, len(entries))
	for i, e := range entries {
		value, ok := s.values[e.Name]
		if !ok {
			return row, fmt.Errorf("%s: no such entry", e.Name)
		}
		text, err := s.seal([]byte(value.Reveal()), e.Token)
		if err != nil {
			return row, fmt.Errorf("%s: %w", e.Name, err)
		}
		sealed[i] = token.Entry{Name: e.Name, Token: text}
	}
	row = s.complete(row, sealed)
	return row, manifest.CheckSize(row)
}

// CheckSize refuses a row that would be too large, once these entries are sealed into it.
func (s *Sealer) CheckSize(row ledger.Row, names []string) error {
	entries := make([]token.Entry, len(names))
	for i, name := range names {
		entries[i] = token.Entry{Name: name, Token: strings.Repeat("-", token.Len(s.values[name].Len()))}
	}
	return manifest.CheckSize(s.complete(row, entries))
}

// Reseal fills in the crypto columns of a row from what the keyring opens, a token or a
// bundle: the same plaintexts under the first key, with the same times.
func (s *Sealer) Reseal(row ledger.Row, from token.Token) (ledger.Row, error) {
	entries := from.Entries()
	for i, e := range entries {
		plain, _, err := s.ring.Open(e.Token)
		if err == nil {
			entries[i].Token, err = s.seal(plain, e.Token)
		}
		if err != nil {
			return row, fmt.Errorf("secret %s: %w", from.Secret, err)
		}
	}
	return s.complete(row, entries), nil // as large as before
}

// errOther says that a fresh token does not do what it was made for.
var errOther = errors.New("its fresh token does not open to the value that went in")

// seal gives a token under the first key: the one there is, if that opens it to this very
// plaintext, or one with its time if another key does; else a fresh one.
func (s *Sealer) seal(plain []byte, have string) (string, error) {
	key, text := s.ring.Primary(), ""
	was, by, openErr := s.ring.Open(have)
	info, parseErr := token.Parse(have)
	var err error
	switch reusable := openErr == nil && parseErr == nil && bytes.Equal(was, plain); {
	case reusable && by.ID() == key.ID():
		text = have
	case reusable:
		text, err = key.SealAt(plain, info.Time)
	default:
		text, err = key.Seal(plain)
	}
	if err != nil {
		return "", err
	}
	again, _, err := s.ring.Alone().Open(text)
	is, parseErr := token.Parse(text)
	if err != nil || parseErr != nil || !bytes.Equal(again, plain) || openErr == nil && bytes.Equal(was, plain) && !is.Time.Equal(info.Time) {
		return "", errOther
	}
	return text, nil
}

// complete fills in the crypto columns of a row whose tokens are under the first key.
func (s *Sealer) complete(row ledger.Row, sealed []token.Entry) ledger.Row {
	row.KeyID = s.ring.Primary().ID()
	if row.Bundle() {
		row.Token = token.Join(sealed)
	} else {
		row.Token = sealed[0].Token
	}
	row.Binding = bindingOf(s.ring.Primary(), row.Placed())
	return row
}

// Rebind gives the binding of a token at another place.
func (s *Sealer) Rebind(t token.Token) (string, error) {
	_, by, err := s.ring.Open(t.Entries()[0].Token)
	if err != nil {
		return "", fmt.Errorf("secret %s: %w", t.Secret, err)
	}
	return bindingOf(by, t), nil
}

// Open gives the plaintext of a token, as the entry that it was sealed from had it; of a
// bundle that of the entry which EnvKey names. It refuses one that was not made for its
// place.
func (s *Sealer) Open(t token.Token) (envfile.Value, error) { return s.Opener()(t) }

// Opener is Open for many tokens: a bundle that was bound for one of its entries is so for
// the next one.
func (s *Sealer) Opener() func(token.Token) (envfile.Value, error) {
	var bound token.Token
	return func(t token.Token) (envfile.Value, error) {
		value, err := s.open(t, t.Entry("") == bound)
		if err == nil && token.Joined(t.Token) {
			bound = t.Entry("")
		}
		return value, err
	}
}

func (s *Sealer) open(t token.Token, bound bool) (envfile.Value, error) {
	entries := t.Entries()
	if len(entries) != 1 {
		return envfile.Value{}, fmt.Errorf("secret %s: it has no such entry", t.Secret)
	}
	plain, _, err := s.ring.Open(entries[0].Token)
	if err != nil {
		return envfile.Value{}, fmt.Errorf("secret %s: %w", t.Secret, err)
	}
	if !bound && s.judgeBinding(t) != token.BindingHolds {
		return envfile.Value{}, fmt.Errorf("secret %s: its token was made for another place, or nothing says for which", t.Secret)
	}
	return envfile.NewValue(string(plain)), nil
}

// SameValue says whether both open, and to the same plaintext; bundles, whether they have
// the same entries and each of these does.
func (s *Sealer) SameValue(a, b token.Token) bool {
	return slices.EqualFunc(a.Entries(), b.Entries(), func(a, b token.Entry) bool {
		x, _, errX := s.ring.Open(a.Token)
		y, _, errY := s.ring.Open(b.Token)
		return a.Name == b.Name && errX == nil && errY == nil && bytes.Equal(x, y)
	})
}

// Judge says what the keyring makes of a token in its place: whether it opens
// and with which key, whether to the value that the entry has now, and whether
// its binding holds. A bundle opens if each of its tokens does.
func (s *Sealer) Judge(t token.Token) token.Verdict {
	entries := t.Entries()
	if len(entries) == 0 {
		return token.Verdict{}
	}
	v := token.Verdict{Opens: true, Same: true}
	for i, e := range entries {
		plain, by, err := s.ring.Open(e.Token)
		if err != nil {
			return token.Verdict{}
		}
		value, ok := s.values[e.Name]
		v.Same = v.Same && ok && bytes.Equal(plain, []byte(value.Reveal()))
		switch {
		case i == 0:
			v.KeyID = by.ID()
		case v.KeyID != by.ID():
			v.KeyID = ""
		}
	}
	if v.Binding = s.judgeBinding(t); v.KeyID == "" && v.Binding == token.BindingHolds {
		v.Binding = token.BindingWrong // no Secret of ours has tokens of two keys
	}
	return v
}

// judgeBinding says how a binding fits the place of a token, or of all tokens of a bundle,
// under the key that opens it. Of a bundle that is the first one's: one key made it all.
func (s *Sealer) judgeBinding(t token.Token) token.Binding {
	entries := t.Entries()
	if t.Binding == "" || len(entries) == 0 {
		return token.BindingAbsent
	}
	_, by, err := s.ring.Open(entries[0].Token)
	if err != nil || !hmac.Equal([]byte(bindingOf(by, t)), []byte(t.Binding)) {
		return token.BindingWrong
	}
	return token.BindingHolds
}

// bindingOf gives the binding of a token, or of a bundle.
func bindingOf(key keyring.Key, t token.Token) string {
	if token.Joined(t.Token) {
		return BindBundle(key, t.Namespace, t.Secret, token.Split(t.Token))
	}
	return Bind(key, t.Namespace, t.Secret, t.EnvKey, t.Token)
}

// Bind ties a token to its place under the key that the token opens with:
// "v1:" and the unpadded base64url of an HMAC-SHA256 over namespace, Secret
// name, data key and token, each preceded by its length as big-endian u32.
// Fernet has no associated data, so without it a token could be moved under
// another name unnoticed.
func Bind(key keyring.Key, namespace, secret, dataKey, token string) string {
	mac := hmac.New(sha256.New, key.Subkey(bindingInfo))
	addTexts(mac, namespace, secret, dataKey, token)
	return bindingPrefix + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// BindBundle ties the tokens of a bundle to their place and to each other: "v2:", their
// number in decimal, ":", and the unpadded base64url of an HMAC-SHA256 over namespace and
// Secret name, each preceded by its length as big-endian u32, the number as big-endian
// u32, and then data key and token of each entry, sorted bytewise by data key, preceded
// by their lengths. So without the key the number tells whether one is missing, and with
// it every other change shows.
func BindBundle(key keyring.Key, namespace, secret string, entries []token.Entry) string {
	mac := hmac.New(sha256.New, key.Subkey(bundleInfo))
	addTexts(mac, namespace, secret)
	_ = binary.Write(mac, binary.BigEndian, uint32(len(entries))) // #nosec G115 -- a Secret has at most 1 MiB
	for _, e := range token.Split(token.Join(entries)) {          // sorted
		addTexts(mac, e.Name, e.Token)
	}
	return token.BundleBinding + strconv.Itoa(len(entries)) + ":" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// addTexts adds texts to a mac, each after its length.
func addTexts(mac hash.Hash, texts ...string) {
	for _, text := range texts {
		_ = binary.Write(mac, binary.BigEndian, uint32(len(text))) // #nosec G115 -- a token has at most 1 MiB
		mac.Write([]byte(text))
	}
}

// ErrSealed says that a value is already a token under a key of the keyring.
var ErrSealed = errors.New("is already a token under this keyring's key")

// CheckValue refuses values that must not be sealed: a token that this keyring
// opens would be sealed twice, a key of the ring would be published to whoever
// holds another one, and a value too long fits no Secret.
func CheckValue(ring *keyring.Keyring, value envfile.Value) error {
	if _, by, err := ring.Open(value.Reveal()); err == nil {
		return fmt.Errorf("%w %s", ErrSealed, by.ID())
	}
	if ring.Contains(value.Reveal()) {
		return errors.New("contains a Fernet key of this keyring")
	}
	if value.Len() > manifest.MaxPlaintext {
		return fmt.Errorf("has %d bytes; at most %d fit into a Secret as a token", value.Len(), manifest.MaxPlaintext)
	}
	return nil
}

// NearToken says what a text is that is all but a token which the keyring opens:
// one with blanks or line breaks around it, or encoded once more. Empty: neither.
func (s *Sealer) NearToken(text string) string {
	opens := func(text string) bool {
		_, _, err := s.ring.Open(text)
		return err == nil
	}
	bare := strings.TrimSpace(text)
	if bare != text && opens(bare) {
		return "a token with a blank or a line break around it"
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		if inner, err := encoding.DecodeString(bare); err == nil && opens(strings.TrimSpace(string(inner))) {
			return "a token that is encoded in base64 twice"
		}
	}
	return ""
}
