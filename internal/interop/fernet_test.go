// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/fernet/fernet-go"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// sealedAt is the time of all tokens, in seconds.
const sealedAt = 1_700_000_000

// testKeys are four keys; the last belongs to nobody.
var testKeys = func() []*fernet.Key {
	keys := make([]*fernet.Key, 4)
	random := rand.NewChaCha8([32]byte([]byte("canary-7f3a0c55-keys-for-interop")))
	for i := range keys {
		keys[i] = new(fernet.Key)
		_, _ = random.Read(keys[i][:])
	}
	return keys
}()

func keyText(i int) string { return testKeys[i].Encode() }

func ring(t *testing.T, keys ...string) *decrypt.Keyring {
	t.Helper()
	r, err := decrypt.ParseKeys(keys[0], keys[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func seal(t *testing.T, plain []byte, key int) string {
	t.Helper()
	tok, err := fernet.EncryptAndSignAtTime(plain, testKeys[key], time.Unix(sealedAt, 0))
	if err != nil {
		t.Fatal(err)
	}
	return string(tok)
}

// lengths are 0 to 300, one below, at and above each multiple of 16 up to 4 KiB,
// 64 KiB, and the longest value whose token fits into a Secret.
func lengths() []int {
	var all []int
	for n := range 301 {
		all = append(all, n)
	}
	for n := 304; n <= 4096; n += 16 {
		all = append(all, n-1, n, n+1)
	}
	return append(all, 64<<10, 786_367)
}

func TestPython(t *testing.T) {
	bytesOf := func(n int) []byte {
		plain := make([]byte, n)
		_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(plain)
		return plain
	}
	bothWays(t, startPython(t), bytesOf)
}

// npm's fernet knows text alone.
func TestNode(t *testing.T) {
	textOf := func(n int) []byte {
		const unit = "größe-日本語-🔑-" // 1 to 4 bytes a character
		text := []byte(strings.Repeat(unit, n/len(unit)))
		return append(text, strings.Repeat("x", n-len(text))...)
	}
	bothWays(t, startNode(t), textOf)
}

func bothWays(t *testing.T, p *peer, plainOf func(int) []byte) {
	t.Helper()
	opener := ring(t, keyText(0))
	for _, n := range lengths() {
		plain := plainOf(n)
		if len(plain) != n {
			t.Fatalf("%d bytes for %d", len(plain), n)
		}
		theirs := p.ask(t, request{Op: "seal", Keys: []string{keyText(0)}, Data: plain, Time: sealedAt})
		checkTheirs(t, opener, theirs, plain)
		got := p.ask(t, request{Op: "open", Keys: []string{keyText(0)}, Token: seal(t, plain, 0)})
		if got.Error != "" || !bytes.Equal(got.Data, plain) {
			t.Fatalf("%d bytes: they open ours to %d bytes, error %q", n, len(got.Data), got.Error)
		}
	}
	if got := p.ask(t, request{Op: "open", Keys: []string{keyText(3)}, Token: seal(t, []byte("x"), 0)}); got.Error == "" {
		t.Error("they open a token with the wrong key, so that their opening proves nothing")
	}
}

func checkTheirs(t *testing.T, opener *decrypt.Keyring, theirs reply, plain []byte) {
	t.Helper()
	n := len(plain)
	if theirs.Error != "" {
		t.Fatalf("%d bytes: they cannot seal: %s", n, theirs.Error)
	}
	result, err := opener.OpenResult([]byte(theirs.Token))
	if err != nil || !bytes.Equal(result.Plaintext, plain) {
		t.Fatalf("%d bytes: we open theirs to %d bytes, %v", n, len(result.Plaintext), err)
	}
	info, err := token.Parse(theirs.Token)
	if err != nil || n > info.PlainMax || n < info.PlainMax-15 {
		t.Fatalf("%d bytes: Parse says at most %d, %v", n, info.PlainMax, err)
	}
	if result.Time.Unix() != sealedAt || info.Time.Unix() != sealedAt {
		t.Fatalf("%d bytes: the times are %v and %v", n, result.Time, info.Time)
	}
}

// MultiFernet and a Keyring are the same thing: the first key seals, all open.
func TestPythonMultiFernet(t *testing.T) {
	p := startPython(t)
	keys := []string{keyText(0), keyText(1), keyText(2)}
	plain := []byte("canary-7f3a0c55")
	for i := range keys {
		tok := seal(t, plain, i)
		if got := p.ask(t, request{Op: "open", Keys: keys, Token: tok}); !bytes.Equal(got.Data, plain) {
			t.Errorf("key %d: MultiFernet: %q", i, got.Error)
		}
		result, err := ring(t, keys...).OpenResult([]byte(tok))
		if err != nil || result.Previous != (i > 0) {
			t.Errorf("key %d: decrypt: previous %v, %v", i, result.Previous, err)
		}
		rotated := p.ask(t, request{Op: "rotate", Keys: keys, Token: tok})
		checkTheirs(t, ring(t, keys[0]), rotated, plain)
	}
	sealed := p.ask(t, request{Op: "seal", Keys: keys, Data: plain, Time: sealedAt})
	checkTheirs(t, ring(t, keys[0]), sealed, plain)
	if got := p.ask(t, request{Op: "open", Keys: keys, Token: seal(t, plain, 3)}); got.Error != "InvalidToken" {
		t.Errorf("a key that MultiFernet lacks: %q", got.Error)
	}
}
