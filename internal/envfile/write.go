// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// Quote gives the text after `=` that reads back as exactly v: bare where every
// parser would read it alike, else in single quotes, where nothing is expanded,
// else in double quotes, unless python-dotenv would not find the closing one
// after a backslash. A NUL and bytes that are not UTF-8 cannot be written.
func Quote(v string) (string, error) {
	switch {
	case strings.ContainsRune(v, 0):
		return "", errors.New("a value with a NUL byte cannot be written")
	case !utf8.ValidString(v):
		return "", errors.New("a value that is not UTF-8 cannot be written")
	case bare(v) && !strings.ContainsAny(v, "$'\"`"):
		return v, nil
	case !strings.ContainsAny(v, "'\r") && !strings.Contains(v, `\\`) && !strings.HasSuffix(v, `\`):
		return "'" + v + "'", nil
	case bare(v) && strings.HasSuffix(v, `\`):
		return v, nil
	default:
		return doubleQuoted(v), nil
	}
}

// quoteFor is Quote, but an empty value gets quotes where the name could be taken
// for the end of a longer value.
func quoteFor(name, v string) (string, error) {
	if v == "" && token.Encoded(name) {
		return "''", nil
	}
	return Quote(v)
}

// onlyPadding says whether v is nothing but what ends base64.
func onlyPadding(v string) bool { return v != "" && strings.Trim(v, "=") == "" }

// bare says whether v can stand without quotes: no blanks but inner spaces, no
// quote at its begin, and no `#`, with which Node's dotenv ends it anywhere.
func bare(v string) bool {
	if strings.Trim(v, " ") != v || onlyPadding(v) || strings.Contains(v, "#") || strings.IndexAny(v, "'\"`") == 0 || strings.HasPrefix(v, "-----BEGIN ") {
		return false
	}
	return !strings.ContainsFunc(v, func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) })
}

var doubleQuoteEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", `\r`)

func doubleQuoted(v string) string { return `"` + doubleQuoteEscaper.Replace(v) + `"` }

// Format writes entries as an .env that reads back as the same names and
// values in the same order.
func Format(entries []Entry) ([]byte, error) {
	var b bytes.Buffer
	seen := map[string]bool{}
	for i, e := range entries {
		if !validName.MatchString(e.Name) || token.Kind(e.Name) != "" || seen[e.Name] {
			return nil, fmt.Errorf("entry %d: its name is not valid, or there twice", i+1)
		}
		seen[e.Name] = true
		text, err := quoteFor(e.Name, e.Value.Reveal())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name, err)
		}
		fmt.Fprintf(&b, "%s=%s\n", e.Name, text)
	}
	return b.Bytes(), nil
}

// Change is one edit of a file.
type Change struct {
	name   string
	value  Value
	after  string // the entry behind which a new line goes
	remove bool
}

// Set gives an entry a value: in its place where it exists, else in a new line
// at the end.
func Set(name, value string) Change { return Change{name: name, value: NewValue(value)} }

// SetAfter is Set, but a new line goes right behind the entry called anchor,
// where there is one.
func SetAfter(anchor, name, value string) Change {
	return Change{name: name, value: NewValue(value), after: anchor}
}

// Remove deletes the lines of an entry; where there is none, nothing.
func Remove(name string) Change { return Change{name: name, remove: true} }

// Edit returns the bytes of a file after the changes, made one after the other.
// Every byte that they are not about stays: comments, order, blanks, BOM, line
// ends, a missing last line end. path is for messages only.
func Edit(path string, data []byte, changes ...Change) ([]byte, error) {
	for _, c := range changes {
		f, err := Parse(path, data)
		if err != nil {
			return nil, err
		}
		if data, err = f.edit(data, c); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return data, nil
}

func (f *File) edit(data []byte, c Change) ([]byte, error) {
	at := f.index(c.name)
	switch {
	case c.remove && at < 0:
		return data, nil
	case c.remove:
		return splice(data, f.spans[at].line, f.spans[at].next, ""), nil
	case !validName.MatchString(c.name) || token.Kind(c.name) != "":
		return nil, errors.New("not a valid name for an entry")
	}
	text, err := quoteFor(c.name, c.value.Reveal())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	if at >= 0 {
		return f.replace(data, at, c, text), nil
	}
	if anchor := f.index(c.after); anchor >= 0 {
		return insertLine(data, f.spans[anchor].next, c.name+"="+text), nil
	}
	return appendLine(data, c.name+"="+text), nil
}

// index gives the position of an entry, -1 where there is none.
func (f *File) index(name string) int {
	return slices.IndexFunc(f.Entries, func(e Entry) bool { return e.Name == name })
}

// insertLine puts a line where one begins, with the line end of the one before.
func insertLine(data []byte, at int, line string) []byte {
	before := data[:at]
	if !bytes.HasSuffix(before, []byte("\n")) {
		return appendLine(data, line)
	}
	end := "\n"
	if bytes.HasSuffix(before, []byte("\r\n")) {
		end = "\r\n"
	}
	return splice(data, at, at, line+end)
}

// replace puts a value in another's place. What follows on the line can make a
// bare value mean something else (`A= # note`), or join it (`A="x"#note`): then
// it gets quotes.
func (f *File) replace(data []byte, at int, c Change, text string) []byte {
	s := f.spans[at]
	edited := splice(data, s.value, s.end, text)
	again, err := Parse(f.Path, edited)
	if err == nil && len(again.Entries) == len(f.Entries) && again.Entries[at].Value.Equal(c.value) {
		return edited
	}
	return splice(data, s.value, s.end, doubleQuoted(c.value.Reveal()))
}

func splice(data []byte, from, to int, text string) []byte {
	return bytes.Join([][]byte{data[:from], []byte(text), data[to:]}, nil)
}

// appendLine adds a line in the style of the last one: its line end, or none.
func appendLine(data []byte, line string) []byte {
	end := "\n"
	if i := bytes.LastIndexByte(data, '\n'); i > 0 && data[i-1] == '\r' {
		end = "\r\n"
	}
	if bytes.HasSuffix(data, []byte("\n")) || len(bytes.TrimPrefix(data, []byte(byteOrderMark))) == 0 {
		return splice(data, len(data), len(data), line+end)
	}
	return splice(data, len(data), len(data), end+line)
}
