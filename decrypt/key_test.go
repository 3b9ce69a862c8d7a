// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func keyText(n byte) string { return base64.URLEncoding.EncodeToString(testKey(n)) }

func ofSize(n int) string {
	return base64.URLEncoding.EncodeToString(append(testKey(0), testKey(1)...)[:n])
}

// badKeys has each text that people put in the place of a key. Long runs of
// words are canaries: no error may hold a piece of them.
var badKeys = []struct {
	name, text string
	want       KeyReason
}{
	{"empty", "", KeyEmpty},
	{"PEM", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n", KeyPEM},
	{"two keys", keyText(0) + "," + keyText(1), KeyList},
	{"two keys and a blank", keyText(0) + ", " + keyText(1), KeyList},
	{"blank before", " " + keyText(0), KeyBlank},
	{"blank inside", keyText(0)[:20] + " " + keyText(0)[20:], KeyBlank},
	{"line break behind", keyText(0) + "\n", KeyBlank},
	{"line break inside", keyText(0)[:20] + "\n" + keyText(0)[20:], KeyBlank},
	{"line break for a character", keyText(0)[:20] + "\n" + keyText(0)[21:], KeyBlank},
	{"carriage return", keyText(0) + "\r", KeyBlank},
	{"no-break space", keyText(0) + "\u00a0", KeyBlank},
	{"zero-width space", keyText(0) + "\u200b", KeyBlank},
	{"quotes", `"` + keyText(0) + `"`, KeyBlank},
	{"typographic quotes", "“" + keyText(0) + "”", KeyBlank},
	{"age", "AGE-SECRET-KEY-1QQPQYSVQGUR9J5TV8S6W0E7QF3X2L4M", KeyAge},
	{"age recipient", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p", KeyAge},
	{"JWT", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl", KeyJWT},
	{"AWS key id", "AKIA7F3A0C55CANARY00", KeyAWS},
	{"AWS secret key", "canary7f3a0c55/CANARY+7f3a0c55canary7f3a", KeyAWS},
	{"token", valid("").text(), KeyToken},
	{"hex", hex.EncodeToString(testKey(0)), KeyHex},
	{"hex, upper case", strings.ToUpper(hex.EncodeToString(testKey(0))), KeyHex},
	{"name in front", "KEY=" + keyText(0), KeyAlphabet},
	{"not ASCII", keyText(0)[:42] + "é", KeyAlphabet},
	{"not UTF-8", keyText(0)[:43] + "\xff", KeyAlphabet},
	{"= inside", keyText(0)[:20] + "=" + keyText(0)[21:], KeyAlphabet},
	{"a word", "canarytree", KeyShort},
	{"a word of hexadecimal digits", "bad", KeyShort},
	{"hex of 16 bytes", hex.EncodeToString(testKey(0)[:16]), KeyHex},
	{"16 bytes", ofSize(16), KeyShort},
	{"24 bytes", ofSize(24), KeyShort},
	{"31 bytes", ofSize(31), KeyShort},
	{"33 bytes", ofSize(33), KeyLong},
	{"48 bytes", ofSize(48), KeyLong},
	{"64 bytes", ofSize(64), KeyLong},
	{"standard alphabet", base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\xfb\xef\xbe", 10) + "\xff\xff")), KeyStandard},
	{"43 characters", keyText(0)[:43], KeyPadding},
	{"two =", keyText(0) + "=", KeyPadding},
	{"last character", nonCanonical(keyText(0), 1), KeyTail},
	{"all zero", base64.URLEncoding.EncodeToString(make([]byte, 32)), KeyZero},
	{"published", "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=", KeyPublished},
}

func TestParseKeysRefuses(t *testing.T) {
	for _, tt := range badKeys {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseKeys(tt.text)
			wantKeyError(t, err, 0, tt.want)
			wantNoPiece(t, err.Error(), tt.text)
			_, err = ParseKeys(keyText(2), keyText(3), tt.text)
			wantKeyError(t, err, 2, tt.want)
			wantNoPiece(t, err.Error(), tt.text)
		})
	}
}

// Who moves an application to a new key may have it twice for a while.
func TestParseKeysTakesAKeyOnce(t *testing.T) {
	ring, err := ParseKeys(keyText(0), keyText(1), keyText(0), keyText(1), keyText(2))
	wantKeys(t, ring, err, 0, 1, 2)
	_, err = ParseKeys(keyText(0), keyText(0), "changeme")
	wantKeyError(t, err, 2, KeyShort)
	if !strings.HasPrefix(err.Error(), "previous key 2: ") {
		t.Errorf("%q does not say which key", err)
	}
}

func wantKeyError(t *testing.T, err error, position int, reason KeyReason) {
	t.Helper()
	var keyError *KeyError
	if !errors.As(err, &keyError) {
		t.Fatalf("error %v, want a KeyError: %s", err, reason)
	}
	if keyError.Position != position || keyError.Reason != reason {
		t.Errorf("key %d: %q; want key %d: %q", keyError.Position, keyError.Reason, position, reason)
	}
}

// wantNoPiece refuses any five characters of secret in a message.
func wantNoPiece(t *testing.T, message, secret string) {
	t.Helper()
	const piece = 5
	for i := 0; i+piece <= len(secret); i++ {
		if strings.Contains(message, secret[i:i+piece]) {
			t.Fatalf("the message holds characters %d to %d of its input", i, i+piece)
		}
	}
}

func TestParseKeysAccepts(t *testing.T) {
	ring, err := ParseKeys(keyText(0), keyText(1), keyText(2))
	if err != nil {
		t.Fatal(err)
	}
	for n := byte(0); n < 3; n++ {
		f := valid(canary)
		f.key = testKey(n)
		if got, err := ring.OpenResult([]byte(f.text())); err != nil || string(got.Plaintext) != canary {
			t.Errorf("key %d: %v", n, err)
		}
	}
	for _, odd := range []string{
		strings.Repeat("a", 42) + "Y=",  // like a word
		"deadbeef" + keyText(0)[8:],     // like hex
		"gAAAAABl" + keyText(0)[8:],     // like a token
		"eyJhbGci" + keyText(0)[8:],     // like a JWT
		strings.Repeat("-_", 21) + "8=", // like punctuation
	} {
		if _, err := ParseKeys(odd); err != nil {
			t.Errorf("a good key of odd looks: %v", err)
		}
	}
}

// The ids were computed by another implementation (Python's hmac and hashlib).
func TestKeyIDs(t *testing.T) {
	ring := testRing([]byte(strings.Repeat("\xff", 32)), testKey(0))
	if got, want := strings.Join(ring.KeyIDs(), " "), "kede673d6 kc731cccc"; got != want {
		t.Errorf("key ids %s, want %s", got, want)
	}
}
