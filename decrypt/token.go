// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"bytes"
	"crypto/aes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
)

// A decoded token, after https://github.com/fernet/spec: version, time, IV,
// cipher blocks, signature over all of these.
const (
	version = 0x80
	timeEnd = 1 + 8
	ivEnd   = timeEnd + aes.BlockSize
	macSize = sha256.Size
	minSize = ivEnd + aes.BlockSize + macSize // 73
)

// decode gives the bytes of a token whose syntax is right. It needs no key. An
// error is a *MalformedError.
func decode(token []byte) ([]byte, error) {
	raw := make([]byte, strict.DecodedLen(len(token)))
	n, err := strict.Decode(raw, token)
	raw = raw[:n]
	switch {
	case err != nil || strict.EncodedLen(n) != len(token):
		return nil, &MalformedError{base64Defect(token)}
	case n > 0 && raw[0] != version:
		return nil, &MalformedError{DefectVersion}
	case n < minSize:
		return nil, &MalformedError{DefectShort}
	case (n-minSize)%aes.BlockSize != 0:
		return nil, &MalformedError{DefectBlocks}
	}
	return raw, nil
}

// decode is the function decode; under WithDoubleBase64 it also looks for a token
// inside what is none.
func (r *Keyring) decode(token []byte) ([]byte, error) {
	raw, err := decode(token)
	if isToken(err) || !r.twice {
		return raw, err
	}
	inner := make([]byte, base64.StdEncoding.DecodedLen(len(token)))
	n, outerErr := base64.StdEncoding.Strict().Decode(inner, token)
	if outerErr != nil {
		return nil, err
	}
	if raw, innerErr := decode(trimNewline(inner[:n])); isToken(innerErr) {
		return raw, innerErr
	}
	return nil, err
}

// isToken tells from the outcome of an attempt to open a text whether it is a
// token at all: canonical base64, version 0x80, at least 73 bytes.
func isToken(err error) bool {
	if err == nil {
		return true // without the allocation below
	}
	var malformed *MalformedError
	return !errors.As(err, &malformed) || malformed.Defect == DefectBlocks || malformed.Defect == DefectPadding
}

// trimNewline takes one final line break off, as editors and echo write it.
func trimNewline(text []byte) []byte {
	if trimmed := bytes.TrimSuffix(text, []byte("\r\n")); len(trimmed) < len(text) {
		return trimmed
	}
	return bytes.TrimSuffix(text, []byte("\n"))
}

// base64Defect says why a text is not canonical base64.
func base64Defect(text []byte) Defect {
	switch {
	case len(bytes.Trim(text, alphanumers+"-_=")) > 0:
		return DefectAlphabet
	case len(text)%4 != 0:
		return DefectLength
	}
	return DefectTail
}
