// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"bytes"
	"crypto/aes"
	"encoding/base64"
	"errors"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/fernet/fernet-go"
)

// checkOpen holds an attempt to open to the rules that have no exception:
// fernet-go opens what we open, to the same bytes; encoding it again gives the
// identical text; an error is one of the two types, without a plaintext.
func checkOpen(t *testing.T, token string) (opened bool) {
	t.Helper()
	got, err := testRing(testKey(0)).OpenResult([]byte(token))
	if err != nil {
		var malformed *MalformedError
		var noKey *NoKeyError
		if !errors.As(err, &malformed) && !errors.As(err, &noKey) {
			t.Fatalf("error of type %T", err)
		}
		if got.Plaintext != nil {
			t.Fatal("a plaintext comes with the error")
		}
		return false
	}
	if theirs := fernetGo(token); theirs == nil || !bytes.Equal(theirs, got.Plaintext) {
		t.Fatalf("fernet-go opens it to %q, we to %q", theirs, got.Plaintext)
	}
	raw, err := base64.URLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	again := valid(string(got.Plaintext))
	again.seconds, again.iv = uint64(got.Time.Unix()), raw[9:25]
	if again.text() != token {
		t.Fatal("encoded again, it is another text")
	}
	return true
}

// FuzzOpen takes any text.
func FuzzOpen(f *testing.F) {
	for _, plain := range []string{"", canary, strings.Repeat("x", 32)} {
		text := valid(plain).text()
		for _, seed := range []string{text, text + "\n", text[:len(text)-4], text + text, strings.TrimRight(text, "=")} {
			f.Add(seed)
		}
	}
	for _, seed := range []string{"", "=", "gAAAAA==", "%%%%", "\xff\xfe"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) { checkOpen(t, token) })
}

// FuzzEntries takes any environment, any file and any glob: nothing panics, a
// variable changes only if it opens, what opens does so under WithDoubleBase64,
// too, and where there is no error no variable has a token.
func FuzzEntries(f *testing.F) {
	good := valid(canary).text()
	for _, seed := range []string{
		"SECRET_A=" + good, "SECRET_A=" + good + "\x00B=" + good + "\r\n", "SECRET_A\x00=\x00\x00=SECRET=" + good, "FERNET_KEY=" + keyText(0),
		"FERNET_KEY=" + keyText(0) + "\n\x00FERNET_KEY_PREVIOUS=,", "SECRET_A=" + base64.StdEncoding.EncodeToString([]byte(good)),
		"A='" + good + "'\x00B=" + good[:60] + "\x00C=postgres://u:" + good + "@db/x", "PATH=" + good,
	} {
		f.Add(seed, "SECRET*")
		f.Add(seed, "[")
	}
	f.Fuzz(func(t *testing.T, list, glob string) {
		environ := strings.Split(list, "\x00")
		_, _ = KeysFromEnviron(environ)
		ring := testRing(testKey(0))
		_, _ = ring.FS(fstest.MapFS{"SECRET": {Data: []byte(list)}, dataLink: {Data: []byte(list)}}, glob)
		_, _, _ = ring.Environ(environ, Require(glob))
		plain, _, err := ring.Environ(environ, Skip(glob))
		if err != nil {
			wantNoValue(t, environ, err)
			return
		}
		for i, entry := range environ {
			name, value, found := strings.Cut(entry, "=")
			skipped, _ := path.Match(glob, name)
			want, openErr := ring.Open(trimNewline([]byte(value)))
			switch after := name + "=" + string(want); {
			case skipped || !found || name == keyName || name == previousName:
				if plain[i] != entry {
					t.Errorf("%q became %q", entry, plain[i])
				}
			case openErr == nil && plain[i] != after || openErr != nil && plain[i] != entry:
				t.Errorf("%q became %q", entry, plain[i])
			case openErr != nil && len(value) > keyLength && strings.HasPrefix(value, prefix):
				t.Errorf("%q stays", entry)
			}
			twice, err := ring.WithDoubleBase64().Open(trimNewline([]byte(value)))
			if openErr == nil && (err != nil || !bytes.Equal(twice, want)) {
				t.Errorf("WithDoubleBase64 opens it to %q, %v", twice, err)
			}
		}
	})
}

// wantNoValue refuses an error that shows a token.
func wantNoValue(t *testing.T, environ []string, err error) {
	t.Helper()
	for _, entry := range environ {
		_, value, _ := strings.Cut(entry, "=")
		if len(value) > keyLength && strings.HasPrefix(value, prefix) && strings.Contains(err.Error(), value) {
			t.Errorf("%q shows a value", err)
		}
	}
}

// wraps are what a token becomes by mistake: each keeps the text of it.
var wraps = []func(token, junk string) string{
	func(token, junk string) string { return token + "\n" + strings.TrimLeft(junk, alphanumers+"-_=") },
	func(token, _ string) string { return strings.TrimRight(token, "=") },
	func(token, _ string) string { return base64.StdEncoding.EncodeToString([]byte(token)) },
	func(token, _ string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(" " + token + "\r\n"))
	},
	func(token, _ string) string { return `"` + token + `"` },
	func(token, junk string) string { return junk + "://" + token },
	func(token, junk string) string { return token + junk },
	func(token, junk string) string { return token[:46+len(junk)%(len(token)-46)] },
	func(token, junk string) string { return token[:60] + " " + junk + token[60:] },
}

// FuzzNearly spoils a token in up to three ways. Whatever comes of it opens to
// what was sealed, or is an error; it never stays.
func FuzzNearly(f *testing.F) {
	for first := range wraps {
		f.Add(byte(first), byte(255), byte(255), "x", "hunter-two")
		f.Add(byte(first), byte(first), byte(0), " ", "")
	}
	f.Fuzz(func(t *testing.T, first, second, third byte, junk, plain string) {
		value := valid(plain).text()
		for i, n := range []byte{first, second, third} {
			if int(n) < len(wraps) && (i == 0 || n < 5) { // the others may cut what is encoded
				value = wraps[n](value, junk)
			}
		}
		env, _, err := testRing(testKey(0)).Environ([]string{"A=" + value})
		if err == nil && env[0] != "A="+plain {
			t.Errorf("a token became %q, and stays", value)
		}
		if err != nil && strings.Contains(err.Error(), prefix) {
			t.Errorf("the error shows a token: %v", err)
		}
	})
}

// FuzzSigned takes any body and signs it, so that the mutations get past the
// signature. It knows from the body alone whether it may open.
func FuzzSigned(f *testing.F) {
	good := valid(canary)
	f.Add(good.version, good.seconds, good.iv, good.padded)
	f.Add(byte(0x81), good.seconds, good.iv, good.padded)
	f.Add(good.version, uint64(1)<<63, good.iv, good.padded)
	f.Add(good.version, good.seconds, good.iv[:15], good.padded)
	f.Add(good.version, good.seconds, good.iv, []byte{})
	f.Add(good.version, good.seconds, good.iv, good.padded[:15])
	for _, pad := range []byte{0, 1, 16, 17, 32, 255} {
		f.Add(good.version, good.seconds, good.iv, bytes.Repeat([]byte{pad}, 32))
	}
	f.Fuzz(func(t *testing.T, version byte, seconds uint64, iv, padded []byte) {
		token := forged{version, seconds, iv, padded, testKey(0)}
		if len(iv) != aes.BlockSize { // the body is then not what padded says
			checkOpen(t, token.text())
			return
		}
		want := version == 0x80 && len(padded) > 0 && len(padded)%aes.BlockSize == 0 && exactlyPadded(padded)
		if got := checkOpen(t, token.text()); got != want {
			t.Errorf("opened: %v, want %v", got, want)
		}
	})
}

func exactlyPadded(p []byte) bool {
	for n := 1; n <= aes.BlockSize; n++ {
		if bytes.HasSuffix(p, bytes.Repeat([]byte{byte(n)}, n)) && p[len(p)-1] == byte(n) {
			return true
		}
	}
	return false
}

// FuzzParseKeys: what we take, fernet-go takes as the same bytes, and it is the
// only text of these bytes; what we refuse, we refuse without quoting it.
func FuzzParseKeys(f *testing.F) {
	for _, bad := range badKeys {
		f.Add(bad.text)
	}
	f.Add(keyText(0))
	fixed := map[string]bool{}
	for _, bad := range badKeys {
		fixed["primary key: "+string(bad.want)] = true
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := ParseKeys(text)
		if err != nil {
			if !fixed[err.Error()] {
				t.Fatalf("%q is not one of the fixed texts", err)
			}
			return
		}
		theirs, err := fernet.DecodeKey(text)
		if err != nil || theirs.Encode() != text {
			t.Errorf("fernet-go: %v", err)
		}
	})
}
