// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// Result is an opened token. It prints as its size and key id; the plaintext
// must be asked for by name.
type Result struct {
	// Plaintext is what was sealed. It is empty and not nil for an empty value.
	Plaintext []byte
	// KeyID is the id of the key that opened the token.
	KeyID string
	// Previous says that it was not the primary key: the old key is still needed.
	Previous bool
	// Time is when the token says it was made, to the second, in UTC. The maker
	// of a token can write any time into it.
	Time time.Time
}

// String gives the size of the plaintext and the key id.
func (r Result) String() string {
	return fmt.Sprintf("[redacted %d bytes under %s]", len(r.Plaintext), r.KeyID)
}

// Format prints what String gives, whatever the verb.
func (r Result) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// MarshalText gives what String does, to JSON, log/slog and the like.
func (r Result) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Open gives the plaintext of a token. It takes the token exactly as an encoder
// writes it: a line break behind it is refused like any other defect. An error
// is a *MalformedError or a *NoKeyError. The token is not changed.
func (r *Keyring) Open(token []byte) ([]byte, error) {
	result, err := r.OpenResult(token)
	return result.Plaintext, err
}

// OpenResult does what Open does, and also tells which key opened the token and
// when the token was made.
func (r *Keyring) OpenResult(token []byte) (Result, error) {
	if r == nil {
		r = new(Keyring)
	}
	raw, err := r.decode(token)
	if err != nil {
		return Result{}, err
	}
	mispadded := false
	for i, k := range r.keys {
		if !k.signed(raw) {
			continue
		}
		if plain, ok := k.decrypt(raw); ok {
			return Result{Plaintext: plain, KeyID: k.id, Previous: i > 0, Time: timeOf(raw)}, nil
		}
		mispadded = true // go on: another key may share the half that signs
		raw, _ = r.decode(token)
	}
	if mispadded {
		return Result{}, &MalformedError{DefectPadding}
	}
	return Result{}, &NoKeyError{KeyIDs: r.KeyIDs()}
}

func (k key) signed(raw []byte) bool {
	signing, _ := k.halves()
	end := len(raw) - macSize
	return hmac.Equal(hmacSHA256(signing, raw[:end]), raw[end:])
}

// decrypt gives the plaintext of a signed token, or false if its padding is not
// n bytes of value n, with n from 1 to 16. It works in place.
func (k key) decrypt(raw []byte) ([]byte, bool) {
	_, block := k.halves()
	iv, plain := raw[timeEnd:ivEnd], raw[ivEnd:len(raw)-macSize]
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, plain)
	pad := plain[len(plain)-1]
	if pad < 1 || pad > aes.BlockSize {
		return nil, false
	}
	end := len(plain) - int(pad)
	for _, b := range plain[end:] {
		if b != pad {
			return nil, false
		}
	}
	return plain[:end:end], true
}

// timeOf reads the seconds since 1970. Beyond the range of time.Time the date is
// meaningless, but Unix still gives the 64 bits of the token.
func timeOf(raw []byte) time.Time {
	return time.Unix(int64(binary.BigEndian.Uint64(raw[1:timeEnd])), 0).UTC()
}
