// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fernet/fernet-go"
)

const canary = "canary-7f3a0c55"

// testKey gives the bytes of a key that nobody uses; the same n, the same key.
func testKey(n byte) []byte {
	raw := sha256.Sum256([]byte{'k', 'e', 'y', n})
	return raw[:]
}

func testRing(keys ...[]byte) *Keyring {
	ring := new(Keyring)
	for _, raw := range keys {
		ring.keys = append(ring.keys, newKey(raw))
	}
	return ring
}

// forged is a token in the making; each field may be wrong. It is signed last.
type forged struct {
	version byte
	seconds uint64
	iv      []byte
	padded  []byte // plaintext and padding; what is over whole blocks stays as it is
	key     []byte
}

// valid gives a token of plain that is right in everything, to be spoilt.
func valid(plain string) forged {
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	padded := append([]byte(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	return forged{version, 1_700_000_000, []byte("0123456789abcdef"), padded, testKey(0)}
}

func (f forged) raw() []byte {
	raw := append([]byte{f.version}, make([]byte, 8)...)
	binary.BigEndian.PutUint64(raw[1:], f.seconds)
	raw = append(append(raw, f.iv...), f.padded...)
	if body := raw[1+8+len(f.iv):]; len(f.iv) == aes.BlockSize && len(body) >= aes.BlockSize {
		block, _ := aes.NewCipher(f.key[16:])
		whole := len(body) / aes.BlockSize * aes.BlockSize
		cipher.NewCBCEncrypter(block, f.iv).CryptBlocks(body[:whole], body[:whole])
	}
	return sign(f.key, raw)
}

func (f forged) text() string { return base64.URLEncoding.EncodeToString(f.raw()) }

func sign(key, body []byte) []byte {
	return append(body, hmacSHA256(key[:16], body)...)
}

func wantDefect(t *testing.T, err error, want Defect) {
	t.Helper()
	var malformed *MalformedError
	if !errors.As(err, &malformed) {
		t.Fatalf("error %v, want a MalformedError: %s", err, want)
	}
	if malformed.Defect != want {
		t.Errorf("defect %q, want %q", malformed.Defect, want)
	}
}

func wantNoKey(t *testing.T, err error, ids ...string) {
	t.Helper()
	var noKey *NoKeyError
	if !errors.As(err, &noKey) {
		t.Fatalf("error %v, want a NoKeyError", err)
	}
	if got, want := strings.Join(noKey.KeyIDs, " "), strings.Join(ids, " "); got != want {
		t.Errorf("tried %q, want %q", got, want)
	}
}

// The vectors of github.com/fernet/spec. Their key is public, so ParseKeys
// refuses it; they run beneath that rule. The one about a far-future time is
// invalid for readers with a time to live; to us it is the empty plaintext.
func TestSpecification(t *testing.T) {
	key, err := base64.URLEncoding.DecodeString(published)
	if err != nil {
		t.Fatal(err)
	}
	ring := testRing(key)
	for _, tt := range []struct {
		name, token string
		opens       bool
		want        string
		defect      Defect
	}{
		{"valid", "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==", true, "hello", ""},
		{"far-future time", "gAAAAAAdwStRAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAnja1xKYyhd-Y6mSkTOyTGJmw2Xc2a6kBd-iX9b_qXQcw==", true, "", ""},
		{"incorrect mac", "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUFBQUFBQQ==", false, "", ""},
		{"too short", "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA==", false, "", DefectShort},
		{"invalid base64", "%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==", false, "", DefectAlphabet},
		{"payload not whole blocks, of 15 bytes", "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_v7mrfyudzUm", false, "", DefectShort},
		{"padding error", "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNYIbkuKNqOhw==", false, "", DefectPadding},
		{"incorrect iv", "gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAkLhFLHpGtDBRLRTZeUfWgHSv49TF2AUEZ1TIvcZjK1zQ==", false, "", DefectPadding},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plain, err := ring.Open([]byte(tt.token))
			switch {
			case tt.opens && (err != nil || string(plain) != tt.want):
				t.Errorf("Open gives %q, %v; want %q", plain, err, tt.want)
			case !tt.opens && tt.defect == "":
				wantNoKey(t, err, ring.KeyIDs()...)
			case !tt.opens:
				wantDefect(t, err, tt.defect)
			}
		})
	}
}

// Every text here spoils one thing about a good token; fernet-go opens those
// that say so, because it looks less closely.
func TestMalformedText(t *testing.T) {
	good := valid(canary).text()                  // 73 bytes: one byte in the last group, so "=="
	long := valid(strings.Repeat("x", 20)).text() // 89 bytes: "="
	for _, tt := range []struct {
		name, token string
		want        Defect
		lax         bool
	}{
		{"line break behind", good + "\n", DefectAlphabet, true},
		{"line break inside", good[:40] + "\r\n" + good[40:], DefectAlphabet, true},
		{"four line breaks", good[:40] + "\n\n\n\n" + good[40:], DefectAlphabet, true},
		{"blank before", " " + good, DefectAlphabet, false},
		{"quoted", `"` + good + `"`, DefectAlphabet, false},
		{"zero byte behind", good + "\x00", DefectAlphabet, true},
		{"not ASCII", "ｇ" + good[1:], DefectAlphabet, false},
		{"standard alphabet", strings.NewReplacer("-", "+", "_", "/").Replace(good), DefectAlphabet, false},
		{"letters behind the padding", good + "AAAA", DefectTail, true},
		{"a second token behind", good + good, DefectTail, true},
		{"no padding", strings.TrimRight(good, "="), DefectLength, false},
		{"one = too few", strings.TrimSuffix(good, "="), DefectLength, false},
		{"one = too many", good + "=", DefectLength, true},
		{"four = too many", good + "====", DefectTail, true},
		{"= inside", good[:40] + "=" + good[41:], DefectTail, false},
		{"bits behind the end", nonCanonical(good, 2), DefectTail, true},
		{"bits behind the end, one =", nonCanonical(long, 1), DefectTail, true},
		{"empty", "", DefectShort, false},
		{"only padding", "====", DefectTail, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.token == good || tt.token == long {
				t.Fatal("the case spoils nothing")
			}
			_, err := testRing(testKey(0)).Open([]byte(tt.token))
			wantDefect(t, err, tt.want)
			if lax := fernetGo(tt.token) != nil; lax != tt.lax {
				t.Errorf("fernet-go opens it: %v, want %v", lax, tt.lax)
			}
		})
	}
}

// nonCanonical sets the lowest bit of the last digit before n characters of
// padding, which no decoder keeps.
func nonCanonical(text string, n int) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	at := len(text) - n - 1
	digit := strings.IndexByte(digits, text[at])
	return text[:at] + string(digits[digit|1]) + text[at+1:]
}

func fernetGo(token string) []byte {
	var key fernet.Key
	copy(key[:], testKey(0))
	return fernet.VerifyAndDecrypt([]byte(token), 0, []*fernet.Key{&key})
}

// Every token here has a good signature, so whoever made it has the key.
func TestMalformedSigned(t *testing.T) {
	block := func(b ...byte) []byte { // b stands at the end of one block
		return append(make([]byte, 16-len(b)), b...)
	}
	cut := func(n int) string { // n bytes of a token, and a signature
		return base64.URLEncoding.EncodeToString(sign(testKey(0), valid(canary).raw()[:n]))
	}
	padded := func(p []byte) string { f := valid(""); f.padded = p; return f.text() }
	versioned := func(v byte) string { f := valid(canary); f.version = v; return f.text() }
	for _, tt := range []struct {
		name, token string
		want        Defect
	}{
		{"version 0x00", versioned(0), DefectVersion},
		{"version 0x81", versioned(0x81), DefectVersion},
		{"signature alone", base64.URLEncoding.EncodeToString(append([]byte{version}, sign(testKey(0), nil)...)), DefectShort},
		{"no IV: 41 bytes", cut(9), DefectShort},
		{"half an IV", cut(17), DefectShort},
		{"no block: 57 bytes", cut(25), DefectShort},
		{"72 bytes", cut(40), DefectShort},
		{"a byte over", padded(append(block(1), 0)), DefectBlocks},
		{"a byte missing of two blocks", padded(append(block(1), make([]byte, 15)...)), DefectBlocks},
		{"pad 0", padded(block(0)), DefectPadding},
		{"pad 17", padded(bytes.Repeat([]byte{17}, 32)), DefectPadding},
		{"pad 32", padded(bytes.Repeat([]byte{32}, 32)), DefectPadding},
		{"pad 16 in 15 bytes", padded(append([]byte{0}, bytes.Repeat([]byte{16}, 15)...)), DefectPadding},
		{"pad 255", padded(bytes.Repeat([]byte{255}, 256)), DefectPadding},
		{"pad 3, middle 2", padded(block(3, 2, 3)), DefectPadding},
		{"pad 3, first 1", padded(block(1, 3, 3)), DefectPadding},
		{"pad as in ISO 7816", padded(block(0x80, 0, 0)), DefectPadding},
		{"pad as in ANSI X9.23", padded(block(0, 0, 3)), DefectPadding},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plain, err := testRing(testKey(1), testKey(0)).Open([]byte(tt.token))
			wantDefect(t, err, tt.want)
			if plain != nil {
				t.Error("a plaintext comes with the error")
			}
		})
	}
}

func TestOpen(t *testing.T) {
	for _, plain := range []string{"", "x", canary, strings.Repeat("y", 16), strings.Repeat("\x01", 32), strings.Repeat("z", 70_000)} {
		token := []byte(valid(plain).text())
		before := string(token)
		got, err := testRing(testKey(0)).Open(token)
		if err != nil || got == nil || string(got) != plain {
			t.Errorf("%d bytes: Open gives %d bytes, %v", len(plain), len(got), err)
		}
		if cap(got) != len(got) {
			t.Errorf("%d bytes: the plaintext has the padding behind its end", len(plain))
		}
		if string(token) != before {
			t.Errorf("%d bytes: Open changed the token", len(plain))
		}
	}
}

func TestOpenResult(t *testing.T) {
	ring := testRing(testKey(0), testKey(1), testKey(2))
	for n := byte(0); n < 3; n++ {
		f := valid(canary)
		f.key = testKey(n)
		got, err := ring.OpenResult([]byte(f.text()))
		if err != nil {
			t.Fatal(err)
		}
		if string(got.Plaintext) != canary || got.KeyID != ring.KeyIDs()[n] || got.Previous != (n > 0) {
			t.Errorf("key %d: key id %s, previous %v", n, got.KeyID, got.Previous)
		}
		if want := time.Date(2023, 11, 14, 22, 13, 20, 0, time.UTC); !got.Time.Equal(want) || got.Time.Location() != time.UTC {
			t.Errorf("key %d: time %v, want %v", n, got.Time, want)
		}
	}
	_, err := testRing(testKey(3), testKey(4)).OpenResult([]byte(valid(canary).text()))
	wantNoKey(t, err, testRing(testKey(3), testKey(4)).KeyIDs()...)
	_, err = new(Keyring).Open([]byte(valid(canary).text()))
	wantNoKey(t, err)
}

func TestTimeKeepsItsBits(t *testing.T) {
	for _, seconds := range []uint64{0, 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		f := valid(canary)
		f.seconds = seconds
		got, err := testRing(testKey(0)).OpenResult([]byte(f.text()))
		if err != nil || uint64(got.Time.Unix()) != seconds {
			t.Errorf("%d seconds: %v, %v", seconds, got.Time.Unix(), err)
		}
	}
}

// A wrong key with the right signing half decrypts to noise; the keys behind it
// are still tried.
func TestSharedSigningHalf(t *testing.T) {
	twin := append(append([]byte{}, testKey(0)[:16]...), testKey(1)[16:]...)
	token := []byte(valid(canary).text())
	_, err := testRing(twin).Open(token)
	wantDefect(t, err, DefectPadding)
	if got, err := testRing(twin, testKey(0)).Open(token); err != nil || string(got) != canary {
		t.Errorf("behind a key with the same signing half: %v", err)
	}
}

func TestEveryBitFlipAndTruncationIsRefused(t *testing.T) {
	ring := testRing(testKey(1), testKey(0))
	refused := func(what string, at int, token []byte) {
		if _, err := ring.Open(token); err == nil {
			t.Errorf("%s %d: opened", what, at)
		}
	}
	encode := func(raw []byte) []byte { return []byte(base64.URLEncoding.EncodeToString(raw)) }
	for _, plain := range []string{"", canary, strings.Repeat("x", 40)} {
		f := valid(plain)
		raw, text := f.raw(), []byte(f.text())
		if _, err := ring.Open(text); err != nil {
			t.Fatal(err)
		}
		for bit := 0; bit < 8*len(raw); bit++ {
			raw[bit/8] ^= 1 << (bit % 8)
			refused("bit of the bytes", bit, encode(raw))
			raw[bit/8] ^= 1 << (bit % 8)
		}
		for bit := 0; bit < 8*len(text); bit++ {
			text[bit/8] ^= 1 << (bit % 8)
			refused("bit of the text", bit, text)
			text[bit/8] ^= 1 << (bit % 8)
		}
		for n := range raw {
			refused("first bytes", n, encode(raw[:n]))
			refused("last bytes", n, encode(raw[len(raw)-n:]))
		}
		for n := range text {
			refused("first characters", n, text[:n])
			refused("last characters", n, text[len(text)-n:])
		}
	}
}
