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
	for len(changes) > 0 {
		f, err := Parse(path, data)
		if err != nil {
			return nil, err
		}
		n := sets(changes)
		if n > 0 {
			data, err = f.set(data, changes[:n])
		} else {
			n = 1
			data, err = f.edit(data, changes[0])
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		changes = changes[n:]
	}
	return data, nil
}

// sets gives how many changes at the begin can be made at once: to values, and to
// one name each.
func sets(changes []Change) int {
	names := map[string]bool{}
	for i, c := range changes {
		if c.remove || c.after != "" || names[c.name] {
			return i
		}
		names[c.name] = true
	}
	return len(changes)
}

// set gives entries their values, where they stand or else in new lines at the end.
func (f *File) set(data []byte, changes []Change) ([]byte, error) {
	wanted, found := map[string]Value{}, map[string]bool{}
	for _, c := range changes {
		wanted[c.name] = c.value
	}
	var out bytes.Buffer
	from := 0
	for i, e := range f.Entries {
		value, ok := wanted[e.Name]
		if !ok {
			continue
		}
		text, err := f.textInPlace(data, i, value)
		if err != nil {
			return nil, err
		}
		out.Write(data[from:f.spans[i].value])
		out.WriteString(text)
		from = f.spans[i].end
		found[e.Name] = true
	}
	out.Write(data[from:])
	var lines []string
	for _, c := range changes {
		if found[c.name] {
			continue
		}
		line, err := newLine(c)
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return appendLines(out.Bytes(), lines), nil
}

// edit carries out a change that is not for set.
func (f *File) edit(data []byte, c Change) ([]byte, error) {
	at, anchor := f.index(c.name), f.index(c.after)
	switch {
	case c.remove && at < 0:
		return data, nil
	case c.remove:
		return splice(data, f.spans[at].line, f.spans[at].next, ""), nil
	case at >= 0 || anchor < 0:
		return f.set(data, []Change{c})
	}
	line, err := newLine(c)
	if err != nil {
		return nil, err
	}
	return insertLine(data, f.spans[anchor].next, line), nil
}

// newLine gives the line of an entry that the file does not have.
func newLine(c Change) (string, error) {
	if !validName.MatchString(c.name) || token.Kind(c.name) != "" {
		return "", errors.New("not a valid name for an entry")
	}
	text, err := quoteFor(c.name, c.value.Reveal())
	if err != nil {
		return "", fmt.Errorf("%s: %w", c.name, err)
	}
	return c.name + "=" + text, nil
}

// index gives the position of an entry, -1 where there is none.
func (f *File) index(name string) int {
	return slices.IndexFunc(f.Entries, func(e Entry) bool { return e.Name == name })
}

// insertLine puts a line where one begins, with the line end of the one before.
func insertLine(data []byte, at int, line string) []byte {
	before := data[:at]
	if !bytes.HasSuffix(before, []byte("\n")) {
		return appendLines(data, []string{line})
	}
	end := "\n"
	if bytes.HasSuffix(before, []byte("\r\n")) {
		end = "\r\n"
	}
	return splice(data, at, at, line+end)
}

// textInPlace gives the text of a value in another's place. What follows on the line
// can make a bare value mean something else (`A= # note`), or join it
// (`A="x"#note`): then it gets quotes.
func (f *File) textInPlace(data []byte, at int, value Value) (string, error) {
	text, err := Quote(value.Reveal())
	if err != nil {
		return "", fmt.Errorf("%s: %w", f.Entries[at].Name, err)
	}
	s := f.spans[at]
	line := splice(data[s.line:s.next], s.value-s.line, s.end-s.line, text)
	again, err := Parse(f.Path, line)
	if err == nil && len(again.Entries) == 1 && again.Entries[0].Value.Equal(value) {
		return text, nil
	}
	return doubleQuoted(value.Reveal()), nil
}

func splice(data []byte, from, to int, text string) []byte {
	return bytes.Join([][]byte{data[:from], []byte(text), data[to:]}, nil)
}

// appendLines adds lines in the style of the last one: its line end, or none.
func appendLines(data []byte, lines []string) []byte {
	if len(lines) == 0 {
		return data
	}
	end := "\n"
	if i := bytes.LastIndexByte(data, '\n'); i > 0 && data[i-1] == '\r' {
		end = "\r\n"
	}
	text := strings.Join(lines, end)
	if bytes.HasSuffix(data, []byte("\n")) || len(bytes.TrimPrefix(data, []byte(byteOrderMark))) == 0 {
		return splice(data, len(data), len(data), text+end)
	}
	return splice(data, len(data), len(data), end+text)
}
