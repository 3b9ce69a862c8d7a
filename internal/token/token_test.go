// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

var testKey = sha256.Sum256([]byte("canary-7f3a0c55 key"))

// forge signs a token of these parts, good or bad, under testKey; padded is
// encrypted if it is whole blocks.
func forge(version byte, seconds uint64, padded []byte) string {
	raw := binary.BigEndian.AppendUint64([]byte{version}, seconds)
	raw = append(raw, "0123456789abcdef"...)
	iv, body := raw[9:25], bytes.Clone(padded)
	if len(body)%aes.BlockSize == 0 {
		block, err := aes.NewCipher(testKey[16:])
		if err != nil {
			panic(err)
		}
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(body, body)
	}
	raw = append(raw, body...)
	mac := hmac.New(sha256.New, testKey[:16])
	mac.Write(raw)
	return base64.URLEncoding.EncodeToString(mac.Sum(raw))
}

func pad(n int) []byte {
	size := aes.BlockSize - n%aes.BlockSize
	return append(bytes.Repeat([]byte{'x'}, n), bytes.Repeat([]byte{byte(size)}, size)...)
}

func TestParse(t *testing.T) {
	const seconds = 1_700_000_000
	for _, tt := range []struct{ plain, size, plainMax int }{
		{0, 73, 15}, {15, 73, 15}, {16, 89, 31}, {786_367, 786_425, 786_367},
	} {
		got, err := token.Parse(forge(0x80, seconds, pad(tt.plain)))
		want := token.Info{Time: time.Unix(seconds, 0).UTC(), Size: tt.size, PlainMax: tt.plainMax}
		if err != nil || got != want {
			t.Errorf("%d bytes: %+v, %v; want %+v", tt.plain, got, err, want)
		}
	}
}

// malformed spoils one thing of a token each, without a look at the padding.
func malformed() map[string]string {
	good := forge(0x80, 1, pad(15))
	return map[string]string{
		"empty":              "",
		"line break behind":  good + "\n",
		"line breaks inside": good[:8] + "\r\n\r\n" + good[8:],
		"blank before":       " " + good,
		"standard alphabet":  good[:40] + "+" + good[41:],
		"not ASCII":          good[:40] + "é" + good[42:],
		"garbage behind":     good + "AAAA",
		"a token behind":     good + good,
		"no padding":         strings.TrimRight(good, "="),
		"too much padding":   good + "=",
		"= inside":           good[:40] + "=" + good[41:],
		"bits at the end":    good[:97] + "B==",
		"cut":                good[:96],
		"version 0":          forge(0, 1, pad(15)),
		"version 0x81":       forge(0x81, 1, pad(15)),
		"no block":           forge(0x80, 1, nil),
		"72 bytes":           forge(0x80, 1, make([]byte, 15)),
		"half a block over":  forge(0x80, 1, make([]byte, 24)),
		"a version alone":    "gA==",
	}
}

func TestParseRefuses(t *testing.T) {
	for name, text := range malformed() {
		t.Run(name, func(t *testing.T) {
			info, err := token.Parse(text)
			if err == nil || info != (token.Info{}) {
				t.Fatalf("Parse gives %+v, %v", info, err)
			}
			agree(t, text)
			if len(text) > 8 && strings.Contains(err.Error(), text[:8]) {
				t.Error("the error contains the token")
			}
		})
	}
}

// agree holds token and decrypt to one syntax: they refuse the same texts in the
// same words, and read the same time and length from the others.
func agree(t *testing.T, text string) {
	t.Helper()
	ring, err := decrypt.ParseKeys(base64.URLEncoding.EncodeToString(testKey[:]))
	if err != nil {
		t.Fatal(err)
	}
	info, parseErr := token.Parse(text)
	result, openErr := ring.OpenResult([]byte(text))
	var defect *decrypt.MalformedError
	syntax := errors.As(openErr, &defect) && defect.Defect != decrypt.DefectPadding
	switch {
	case syntax != (parseErr != nil):
		t.Fatalf("token says %v, decrypt %v", parseErr, openErr)
	case syntax && parseErr.Error() != openErr.Error():
		t.Fatalf("token says %q, decrypt %q", parseErr, openErr)
	case openErr != nil:
		return
	case !info.Time.Equal(result.Time):
		t.Fatalf("token says %v, decrypt %v", info.Time, result.Time)
	case len(result.Plaintext) > info.PlainMax || len(result.Plaintext) < info.PlainMax-15:
		t.Fatalf("a plaintext of %d bytes, where %d is the greatest", len(result.Plaintext), info.PlainMax)
	}
}

// FuzzAgree takes any text, and the parts of a token to be signed.
func FuzzAgree(f *testing.F) {
	for _, text := range malformed() {
		f.Add(text, byte(0x80), uint64(1), pad(3))
	}
	f.Add(forge(0x80, 1, pad(40)), byte(0x80), uint64(1)<<63, pad(16))
	f.Add("", byte(0x80), uint64(1), []byte("pad byte is zero"))
	f.Add("====", byte(0x7f), uint64(1), []byte{})
	f.Fuzz(func(t *testing.T, text string, version byte, seconds uint64, padded []byte) {
		agree(t, text)
		agree(t, forge(version, seconds, padded))
	})
}

// Whoever must not hold a key imports this package, so it must not bring one.
func TestImportsTheStandardLibraryAlone(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	const itself = "github.com/kubectl-fernet/kubectl-fernet/internal/token"
	if got := strings.TrimSpace(string(out)); got != itself {
		t.Errorf("it depends on %q", got)
	}
}

// The length of a token follows from that of its plaintext.
func TestLen(t *testing.T) {
	for _, plain := range []int{0, 1, 15, 16, 17, 31, 32, 1000, 786_367} {
		if got, want := token.Len(plain), len(forge(0x80, 1, pad(plain))); got != want {
			t.Errorf("Len(%d) = %d, want %d", plain, got, want)
		}
	}
}
