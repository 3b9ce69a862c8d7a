// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible gives a line of text with everything as an escape that a terminal would
// obey or not show: control characters, line breaks, directions of writing, blanks
// that are none, and bytes that are not UTF-8.
func Visible(line string) string { return visible(line, "") }

// visible lets the characters of plain through.
func visible(text, plain string) string {
	obeyed := func(r rune) bool { return !unicode.IsPrint(r) && !strings.ContainsRune(plain, r) }
	if utf8.ValidString(text) && !strings.ContainsFunc(text, obeyed) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case !obeyed(r):
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			b.WriteString(control(r))
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += size
	}
	return b.String()
}

func control(r rune) string {
	switch r {
	case '\n':
		return `\n`
	case '\r':
		return `\r`
	case '\t':
		return `\t`
	default:
		return fmt.Sprintf(`\x%02x`, r)
	}
}

// Writer writes lines of text to a terminal or a file, each of them as Visible
// shows it; line ends and tabs stay.
func Writer(w io.Writer) io.Writer { return writer{w} }

type writer struct{ to io.Writer }

func (w writer) Write(text []byte) (int, error) {
	if _, err := io.WriteString(w.to, visible(string(text), "\n\t")); err != nil {
		return 0, err
	}
	return len(text), nil
}
