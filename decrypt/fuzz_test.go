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

// FuzzEntries takes any environment, any files and any glob: nothing panics, an
// entry changes only if it matches and opens, and what opens does so under
// WithDoubleBase64, too.
func FuzzEntries(f *testing.F) {
	good := valid(canary).text()
	for _, seed := range []string{
		"SECRET_A=" + good, "SECRET_A=" + good + "\nB=" + good, "SECRET_A\n=\n\n=SECRET=" + good, "FERNET_KEY=" + keyText(0),
		"FERNET_KEY=" + keyText(0) + "\nFERNET_KEY_PREVIOUS=,", "SECRET_A=" + base64.StdEncoding.EncodeToString([]byte(good)),
	} {
		f.Add(seed, "SECRET*")
		f.Add(seed, "[")
	}
	f.Fuzz(func(t *testing.T, lines, glob string) {
		_, _ = KeysFromEnviron(strings.Split(lines, "\n"))
		ring, environ := testRing(testKey(0)), strings.Split(lines, "\n")
		plain, _, err := ring.Environ(environ, glob)
		if err != nil {
			return
		}
		for i, entry := range environ {
			name, value, _ := strings.Cut(entry, "=")
			matched, _ := path.Match(glob, name)
			want, openErr := ring.Open([]byte(value))
			if plain[i] != entry && (!matched || openErr != nil || plain[i] != name+"="+string(want)) {
				t.Errorf("%q became %q", entry, plain[i])
			}
			twice, err := ring.WithDoubleBase64().Open([]byte(value))
			if openErr == nil && (err != nil || !bytes.Equal(twice, want)) {
				t.Errorf("WithDoubleBase64 opens it to %q, %v", twice, err)
			}
		}
		_, _ = ring.FS(fstest.MapFS{"SECRET": {Data: []byte(lines)}, dataLink: {Data: []byte(lines)}}, glob)
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
