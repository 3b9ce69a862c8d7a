// SPDX-License-Identifier: Apache-2.0

// Package token reads what a Fernet token shows to somebody without its key:
// the text of a token goes in, its time and lengths come out. It refuses every
// text that no encoder writes and that package decrypt would refuse as malformed
// under any key, in the same words; only the padding, which is encrypted, and the
// signature are left to who has the key. It imports the standard library alone,
// so that the parts of the program that must not hold a key can use it. Errors
// never contain the token.
package token

import (
	"crypto/aes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"time"
)

// Info is what a token shows without its key. Nothing of it is proven: whoever
// wrote the text can have put any time into it.
type Info struct {
	// Time is when the token says it was made, to the second, in UTC.
	Time time.Time
	// Size is the length of the decoded token in bytes.
	Size int
	// PlainMax is the greatest possible length of the plaintext in bytes; it is
	// at most 15 less than that.
	PlainMax int
}

// A decoded token, after https://github.com/fernet/spec: version, time, IV,
// cipher blocks, signature.
const (
	version  = 0x80
	timeEnd  = 1 + 8
	overhead = timeEnd + aes.BlockSize + sha256.Size
	minSize  = overhead + aes.BlockSize // 73

	digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)

// Len gives the length of the token of a plaintext of so many bytes.
func Len(plain int) int {
	padded := (plain/aes.BlockSize + 1) * aes.BlockSize
	return strict.EncodedLen(overhead + padded)
}

// The texts are those of decrypt's Defects.
var (
	errAlphabet = errors.New("malformed token: a character that is not URL-safe base64, such as a blank or line break")
	errLength   = errors.New("malformed token: not a whole number of base64 groups of four; it was cut, or its padding is missing")
	errTail     = errors.New("malformed token: an ending that no base64 encoder writes")
	errVersion  = errors.New("malformed token: not of Fernet version 0x80")
	errShort    = errors.New("malformed token: shorter than the 73 bytes that every token has")
	errBlocks   = errors.New("malformed token: not a whole number of cipher blocks; it was cut or joined")
)

// strict still skips line breaks, so Parse compares lengths before and after.
var strict = base64.URLEncoding.Strict()

// Parse takes the text of a token: canonical URL-safe base64 with padding,
// version 0x80, at least 73 bytes, whole cipher blocks, and nothing around it.
func Parse(text string) (Info, error) {
	raw, err := strict.DecodeString(text)
	size := len(raw)
	switch {
	case err != nil || strict.EncodedLen(size) != len(text):
		return Info{}, base64Error(text)
	case size > 0 && raw[0] != version:
		return Info{}, errVersion
	case size < minSize:
		return Info{}, errShort
	case (size-minSize)%aes.BlockSize != 0:
		return Info{}, errBlocks
	}
	seconds := binary.BigEndian.Uint64(raw[1:timeEnd])
	return Info{
		Time:     time.Unix(int64(seconds), 0).UTC(), // beyond 2^63 the date means nothing, as in decrypt
		Size:     size,
		PlainMax: size - overhead - 1,
	}, nil
}

func base64Error(text string) error {
	switch {
	case strings.Trim(text, digits+"=") != "":
		return errAlphabet
	case len(text)%4 != 0:
		return errLength
	}
	return errTail
}
