// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"
	"testing"

	"github.com/fernet/fernet-go"
)

// bare is the least that opens a token with the standard library: it looks at
// the signature and at nothing else, and its states are prepared, so that only
// one goroutine at a time may use it.
type bare struct {
	mac   hash.Hash
	block cipher.Block
}

func newBare(raw []byte) (bare, error) {
	block, err := aes.NewCipher(raw[16:])
	return bare{hmac.New(sha256.New, raw[:16]), block}, err
}

func (b bare) open(token []byte) []byte {
	raw := make([]byte, base64.URLEncoding.DecodedLen(len(token)))
	n, err := base64.URLEncoding.Decode(raw, token)
	if err != nil {
		return nil
	}
	raw = raw[:n]
	b.mac.Reset()
	b.mac.Write(raw[:n-macSize])
	if !hmac.Equal(b.mac.Sum(nil), raw[n-macSize:]) {
		return nil
	}
	plain := raw[ivEnd : n-macSize]
	cipher.NewCBCDecrypter(b.block, raw[timeEnd:ivEnd]).CryptBlocks(plain, plain)
	return plain[:len(plain)-int(plain[len(plain)-1])]
}

// BenchmarkOpen stands beside bare fernet-go and the bare standard library. 36
// bytes are a UUID.
func BenchmarkOpen(b *testing.B) {
	var theirs fernet.Key
	copy(theirs[:], testKey(0))
	keys := []*fernet.Key{&theirs}
	ring := testRing(testKey(0))
	least, err := newBare(testKey(0))
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{36, 1 << 10, 64 << 10} {
		plain := strings.Repeat("x", size)
		token := []byte(valid(plain).text())
		for _, by := range []struct {
			name string
			open func() []byte
		}{
			{"decrypt", func() []byte { plain, _ := ring.Open(token); return plain }},
			{"fernet-go", func() []byte { return fernet.VerifyAndDecrypt(token, 0, keys) }},
			{"stdlib", func() []byte { return least.open(token) }},
		} {
			open := by.open
			if string(open()) != plain {
				b.Fatalf("%s does not open", by.name)
			}
			b.Run(fmt.Sprintf("%s/%d", by.name, size), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; i < b.N; i++ {
					open()
				}
			})
		}
	}
}

// BenchmarkParseKeys takes one key. decrypt also makes its id and its cipher;
// fernet-go only decodes it.
func BenchmarkParseKeys(b *testing.B) {
	text := keyText(0)
	for _, by := range []struct {
		name  string
		parse func() error
	}{
		{"decrypt", func() error { _, err := ParseKeys(text); return err }},
		{"fernet-go", func() error { _, err := fernet.DecodeKey(text); return err }},
		{"stdlib", func() error {
			raw, err := base64.URLEncoding.DecodeString(text)
			if err != nil {
				return err
			}
			_, err = newBare(raw)
			return err
		}},
	} {
		parse := by.parse
		b.Run(by.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; i < b.N; i++ {
				if err := parse(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
