// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"bytes"
	"unicode/utf8"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

const byteOrderMark = "\ufeff"

// checkEncoding refuses everything that is not UTF-8 text with LF or CRLF.
func checkEncoding(path string, data []byte) error {
	at := func(offset int, message string, hint hint.Text) error {
		line := 1 + bytes.Count(data[:offset], []byte("\n"))
		return &Error{Path: path, Line: line, Message: message, Way: hint}
	}
	if isUTF16(data) {
		return &Error{Path: path, Message: "is UTF-16, not UTF-8", Way: "save it as UTF-8; PowerShell: Set-Content -Encoding utf8"}
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return at(i, "a NUL byte", "an .env is text; delete the byte, or encode the value as base64")
	}
	if i := firstInvalid(data); i >= 0 {
		return at(i, "not UTF-8", "save it as UTF-8")
	}
	if i := firstLoneCR(data); i >= 0 {
		return at(i, "a carriage return that is not part of a CRLF line end", `save it with LF or CRLF line ends; a CR in a value is written as \r in double quotes`)
	}
	return nil
}

// isUTF16 knows it by its byte order mark, or by a first character in Latin-1.
func isUTF16(data []byte) bool {
	return bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) ||
		len(data) >= 2 && (data[0] == 0) != (data[1] == 0)
}

func firstInvalid(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

func firstLoneCR(data []byte) int {
	for i, c := range data {
		if c == '\r' && !bytes.HasPrefix(data[i+1:], []byte("\n")) {
			return i
		}
	}
	return -1
}
