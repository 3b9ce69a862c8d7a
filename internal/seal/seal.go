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

// Seal fills in the crypto columns of a row (key id, token, binding) from the
// entry that its EnvKey names. The fresh token is opened again before it is
// handed out, so that no token leaves which an application could not open.
func (s *Sealer) Seal(row ledger.Row) (ledger.Row, error) {
	value, ok := s.values[row.EnvKey]
	if !ok {
		return row, fmt.Errorf("%s: no such entry", row.EnvKey)
	}
	key := s.ring.Primary()
	text, err := key.Seal([]byte(value.Reveal()))
	if err != nil {
		return row, fmt.Errorf("%s: %w", row.EnvKey, err)
	}
	plain, by, err := s.ring.Open(text)
	if err != nil || by.ID() != key.ID() || string(plain) != value.Reveal() {
		return row, fmt.Errorf("%s: its fresh token does not open to the value that went in", row.EnvKey)
	}
	if len(text) > manifest.MaxToken {
		return row, fmt.Errorf("%s: its token has %d bytes, a Secret holds %d", row.EnvKey, len(text), manifest.MaxToken)
	}
	row.KeyID, row.Token = key.ID(), text
	row.Binding = Bind(key, row.Namespace, row.Secret, row.EnvKey, text)
	return row, nil
}

// Reseal fills in the crypto columns of a row from a token that the keyring
// opens: the same plaintext under the primary key, with the same time. The new
// token is opened with the primary key alone before it is handed out.
func (s *Sealer) Reseal(row ledger.Row, from token.Token) (ledger.Row, error) {
	plain, _, err := s.ring.Open(from.Token)
	if err != nil {
		return row, fmt.Errorf("secret %s: %w", from.Secret, err)
	}
	was, err := token.Parse(from.Token)
	if err != nil {
		return row, fmt.Errorf("secret %s: %w", from.Secret, err)
	}
	key := s.ring.Primary()
	text, err := key.SealAt(plain, was.Time)
	if err != nil {
		return row, fmt.Errorf("secret %s: %w", row.Secret, err)
	}
	again, _, err := s.ring.Alone().Open(text)
	is, parseErr := token.Parse(text)
	if err != nil || parseErr != nil || !bytes.Equal(again, plain) || !is.Time.Equal(was.Time) {
		return row, fmt.Errorf("secret %s: its fresh token is not the old one under another key", row.Secret)
	}
	row.KeyID, row.Token = key.ID(), text
	row.Binding = Bind(key, row.Namespace, row.Secret, row.EnvKey, text)
	return row, nil
}

// Rebind gives the binding of a token at another place.
func (s *Sealer) Rebind(t token.Token) (string, error) {
	_, by, err := s.ring.Open(t.Token)
	if err != nil {
		return "", fmt.Errorf("secret %s: %w", t.Secret, err)
	}
	return Bind(by, t.Namespace, t.Secret, t.EnvKey, t.Token), nil
}

// Open gives the plaintext of a token, as the entry that it was sealed from had
// it. It refuses one that was not made for its place.
func (s *Sealer) Open(t token.Token) (envfile.Value, error) {
	plain, by, err := s.ring.Open(t.Token)
	if err != nil {
		return envfile.Value{}, fmt.Errorf("secret %s: %w", t.Secret, err)
	}
	if judgeBinding(by, t) != token.BindingHolds {
		return envfile.Value{}, fmt.Errorf("secret %s: its token was made for another place, or nothing says for which", t.Secret)
	}
	return envfile.NewValue(string(plain)), nil
}

// SameValue says whether both tokens open, and to the same plaintext.
func (s *Sealer) SameValue(a, b token.Token) bool {
	x, _, errX := s.ring.Open(a.Token)
	y, _, errY := s.ring.Open(b.Token)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// Judge says what the keyring makes of a token in its place: whether it opens
// and with which key, whether to the value that the entry has now, and whether
// its binding holds.
func (s *Sealer) Judge(t token.Token) token.Verdict {
	plain, by, err := s.ring.Open(t.Token)
	if err != nil {
		return token.Verdict{}
	}
	value, ok := s.values[t.EnvKey]
	return token.Verdict{
		Opens:   true,
		KeyID:   by.ID(),
		Same:    ok && bytes.Equal(plain, []byte(value.Reveal())),
		Binding: judgeBinding(by, t),
	}
}

func judgeBinding(by keyring.Key, t token.Token) token.Binding {
	switch want := Bind(by, t.Namespace, t.Secret, t.EnvKey, t.Token); {
	case t.Binding == "":
		return token.BindingAbsent
	case hmac.Equal([]byte(want), []byte(t.Binding)):
		return token.BindingHolds
	default:
		return token.BindingWrong
	}
}

// Bind ties a token to its place under the key that the token opens with:
// "v1:" and the unpadded base64url of an HMAC-SHA256 over namespace, Secret
// name, data key and token, each preceded by its length as big-endian u32.
// Fernet has no associated data, so without it a token could be moved under
// another name unnoticed.
func Bind(key keyring.Key, namespace, secret, dataKey, token string) string {
	mac := hmac.New(sha256.New, key.Subkey(bindingInfo))
	for _, part := range []string{namespace, secret, dataKey, token} {
		_ = binary.Write(mac, binary.BigEndian, uint32(len(part))) // #nosec G115 -- a token has at most 1 MiB
		mac.Write([]byte(part))
	}
	return bindingPrefix + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
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
