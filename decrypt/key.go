// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"unicode"
)

const (
	keySize   = 32
	keyLength = 44 // of the text

	// published is the key of the test vectors in github.com/fernet/spec.
	published = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="

	keyIDInfo = "kubectl-fernet key id v1"
)

// strict is the alphabet of keys and tokens. It still skips line breaks, so who
// decodes with it must compare the lengths before and after.
var strict = base64.URLEncoding.Strict()

// key is a Fernet key, ready for use.
type key struct {
	id string
	// halves gives the half that signs and the cipher of the half that encrypts.
	// They are behind a function because nothing that prints through reflection
	// can look into one: of a keyring in an unexported field, fmt prints what it
	// reaches without asking our methods.
	halves func() (signing []byte, block cipher.Block)
}

// parseKey takes the text of a key; the reason is empty if it is usable.
func parseKey(text string) (key, KeyReason) {
	raw, err := strict.DecodeString(text)
	switch {
	case err != nil || len(raw) != keySize || len(text) != keyLength:
		return key{}, diagnose(text)
	case string(raw) == string(make([]byte, keySize)):
		return key{}, KeyZero
	case text == published:
		return key{}, KeyPublished
	}
	return newKey(raw), ""
}

// newKey takes 32 bytes of any value, beneath the rules for keys.
func newKey(raw []byte) key {
	block, err := aes.NewCipher(raw[keySize/2:])
	if err != nil {
		panic("AES refuses 16 bytes") // it takes 16, 24 and 32
	}
	signing := raw[:keySize/2]
	return key{
		id:     keyID(raw),
		halves: func() ([]byte, cipher.Block) { return signing, block },
	}
}

// keyID is "k" and the first 8 hex digits of an HMAC of nothing, under a subkey
// that serves no other purpose.
func keyID(raw []byte) string {
	return "k" + hex.EncodeToString(hmacSHA256(subkey(raw, keyIDInfo), nil))[:8]
}

// subkey is HKDF-SHA256 (RFC 5869) with an empty salt, for one block of output.
func subkey(raw []byte, info string) []byte {
	extracted := hmacSHA256(make([]byte, sha256.Size), raw)
	return hmacSHA256(extracted, append([]byte(info), 1))
}

func hmacSHA256(key, message []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(message)
	return mac.Sum(nil)
}

// diagnose says what a text is that is no key. It is for a person who has the
// wrong thing in the right place, and never decides whether a key is taken.
func diagnose(text string) KeyReason {
	switch {
	case text == "":
		return KeyEmpty
	case strings.Contains(text, "-----BEGIN"):
		return KeyPEM
	case strings.Contains(text, ","):
		return KeyList
	case strings.IndexFunc(text, isBlankOrQuote) >= 0:
		return KeyBlank
	case strings.HasPrefix(strings.ToUpper(text), "AGE-SECRET-KEY-") || strings.HasPrefix(text, "age1"):
		return KeyAge
	case strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") >= 2:
		return KeyJWT
	case strings.HasPrefix(text, "gAAAA") && len(text) >= strict.EncodedLen(minSize):
		return KeyToken
	case len(text) >= keySize && consistsOf(text, "0123456789abcdefABCDEF"): // shorter ones may be words
		return KeyHex
	case isAWS(text):
		return KeyAWS
	}
	return diagnoseBase64(text)
}

const (
	upperDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	alphanumers = upperDigits + "abcdefghijklmnopqrstuvwxyz"
)

func diagnoseBase64(text string) KeyReason {
	digits := strings.TrimRight(text, "=")
	size := len(digits) * 6 / 8
	switch {
	case !consistsOf(digits, alphanumers+"+/-_"):
		return KeyAlphabet
	case size < keySize:
		return KeyShort
	case size > keySize:
		return KeyLong
	case strings.ContainsAny(digits, "+/"):
		return KeyStandard
	case len(text) != keyLength:
		return KeyPadding
	}
	return KeyTail
}

// isAWS knows access key ids, 20 characters with a fixed prefix, and secret
// access keys, 40 characters.
func isAWS(text string) bool {
	switch len(text) {
	case 20:
		return (strings.HasPrefix(text, "AKIA") || strings.HasPrefix(text, "ASIA")) && consistsOf(text, upperDigits)
	case 40:
		return consistsOf(text, alphanumers+"+/")
	}
	return false
}

// isBlankOrQuote also takes what cannot be seen: control and format characters.
func isBlankOrQuote(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune("\"'`“”‘’", r)
}

func consistsOf(text, set string) bool {
	return strings.Trim(text, set) == ""
}
