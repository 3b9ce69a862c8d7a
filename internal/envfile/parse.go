// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

// blanks are the only characters that are trimmed.
const blanks = " \t\v\f"

// span is where an entry stands, as offsets into the file's bytes.
type span struct {
	line, next int // its first line, and the line after its last
	value, end int // the value with its quotes
}

var (
	// conflict is a line that git writes where it cannot merge.
	conflict = regexp.MustCompile(`^(<{7} |\|{7} |={7}$|>{7} )`)
	// keyBehind is a line KEY=… that was appended to a file without a final line break.
	keyBehind = regexp.MustCompile(`KEY(_PREVIOUS|_NEXT)?=[A-Za-z0-9_-]{43}=$`)
)

type parser struct {
	file  *File
	text  string
	pos   int // begin of a line
	line  int // its number
	lines map[string]int
	above bareAbove
}

// Parse reads the bytes of an .env; path is for messages only. It stops at the
// first error, which is an *Error.
func Parse(path string, data []byte) (*File, error) {
	if err := checkEncrypted(path, data); err != nil {
		return nil, err
	}
	if err := checkEncoding(path, data); err != nil {
		return nil, err
	}
	p := &parser{file: &File{Path: path}, text: string(data), line: 1, lines: map[string]int{}}
	if strings.HasPrefix(p.text, byteOrderMark) {
		p.pos = len(byteOrderMark)
	}
	for p.pos < len(p.text) {
		if err := p.statement(); err != nil {
			return nil, err
		}
	}
	return p.file, nil
}

// statement reads a blank line, a comment or an entry with all its lines.
func (p *parser) statement() error {
	line := p.restOfLine(p.pos)
	if body := strings.TrimSpace(line); body == "" || body[0] == '#' {
		p.advance(p.pos)
		return nil
	}
	if conflict.MatchString(line) {
		return p.fail(0, "a merge conflict that is not resolved", "keep what is right, and delete the lines that begin with <<<<<<<, ======= and >>>>>>>")
	}
	left, _, found := strings.Cut(line, "=")
	if !found {
		return p.fail(0, "no `=` in this line", "a line is NAME=VALUE; a value of several lines stands in quotes")
	}
	name, err := p.name(left)
	if err != nil {
		return err
	}
	after := p.pos + len(left) + len("=")
	start := after + blankPrefix(line[len(left)+1:])
	value, end, err := p.value(label(name), start)
	if err != nil {
		return err
	}
	if end-start == len(value) && p.continues(name, value) {
		return p.fail(0, "it looks like the end of a value of several lines, and not like a name", "write that value on one line, or put quotes around all of it; if it is a name, put quotes behind its `=`")
	}
	if keyBehind.MatchString(p.text[start:end]) {
		return p.fail(0, label(name)+": a line break is missing before the key at the end of its value", "begin a new line before KEY=")
	}
	s := span{line: p.pos, value: start, end: end, next: p.nextLine(end)}
	p.warn(name, value, s)
	p.lines[name] = p.line
	written := strings.TrimRight(p.text[after:s.next], "\r\n")
	p.file.Entries = append(p.file.Entries, Entry{Name: name, Value: valueOf(name, value), Line: p.line, written: hidden(written)})
	p.file.spans = append(p.file.spans, s)
	p.above = bareAbove{line: p.line + 1, value: p.text[start:end]}
	p.advance(end)
	return nil
}

// value reads the value that begins at an offset, and says where it ends.
func (p *parser) value(name string, start int) (value string, end int, err error) {
	rest := p.restOfLine(start)
	if rest != "" && (rest[0] == '\'' || rest[0] == '"') {
		return p.quoted(name, start)
	}
	value = unquoted(rest)
	// On one line, with `\n` as two characters, it is a value like any other.
	if strings.HasPrefix(value, "-----BEGIN ") && !strings.Contains(value, "-----END ") {
		return "", 0, p.fail(0, name+": a PEM block without quotes", "put quotes around it, from -----BEGIN to the dashes after END")
	}
	return value, start + len(value), nil
}

// unquoted ends before a blank and `#`, or at the end of the line. A `#` as the
// first character begins no comment.
func unquoted(text string) string {
	for i := 1; i < len(text); i++ {
		if text[i] == '#' && strings.IndexByte(blanks, text[i-1]) >= 0 {
			text = text[:i]
			break
		}
	}
	return strings.TrimRight(text, blanks)
}

func (p *parser) quoted(name string, start int) (value string, end int, err error) {
	quote := p.text[start]
	length := closingQuote(p.text[start+1:], quote)
	if length < 0 {
		return "", 0, p.fail(0, fmt.Sprintf("%s: the quote %c that opens here is never closed", name, quote),
			hint.Text(fmt.Sprintf(`close it; inside, write \%c for the quote and \\ for a backslash before it`, quote)))
	}
	end = start + 1 + length + 1
	tail := strings.Trim(p.restOfLine(end), blanks)
	if tail != "" && tail[0] != '#' {
		return "", 0, p.textAfterQuote(name, quote, strings.Count(p.text[p.pos:end], "\n"))
	}
	return unescape(p.text[start+1:end-1], quote), end, nil
}

func (p *parser) textAfterQuote(name string, quote byte, below int) error {
	message := name + ": text after the closing quote"
	if below > 0 {
		message = fmt.Sprintf("%s of the value that begins on line %d", message, p.line)
	}
	p.line += below
	return p.fail(0, message, hint.Text(fmt.Sprintf(`write \%c for a quote inside the value; a comment begins with a blank and #`, quote)))
}

func closingQuote(text string, quote byte) int {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case quote:
			return i
		}
	}
	return -1
}

// escapes maps the character after a backslash to what the two stand for, per
// kind of quote; other pairs stay as they are.
var escapes = map[byte]map[byte]byte{
	'\'': {'\\': '\\', '\'': '\''},
	'"': {
		'\\': '\\', '\'': '\'', '"': '"', 'a': '\a', 'b': '\b', 'f': '\f',
		'n': '\n', 'r': '\r', 't': '\t', 'v': '\v',
	},
}

// unescape resolves escapes and turns CRLF line ends into LF, so that a value
// does not depend on how an editor or git stores line ends.
func unescape(text string, quote byte) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' && i+1 < len(text) {
			if plain, ok := escapes[quote][text[i+1]]; ok {
				c = plain
				i++
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

// warn notes what is read, but may have been meant otherwise.
func (p *parser) warn(name, value string, s span) {
	add := func(name, message string) {
		p.file.Warnings = append(p.file.Warnings, Warning{Line: p.line, Name: name, Message: message})
	}
	quoted := s.end > s.value && (p.text[s.value] == '"' || p.text[s.value] == '\'')
	first, _ := utf8.DecodeRuneInString(value)
	switch {
	case first == '`' && !strings.Contains(value[1:], "`"):
		add(name, "the value begins with a backtick, which is no quote here: it ends with this line")
	case quoted && strings.HasPrefix(p.text[s.end:], "#"):
		add(name, "a comment right after the closing quote; put a blank before #, or escape the quote")
	case quoted:
	case first == '#':
		add(name, "the value begins with #; it is not a comment here: quote it, or leave nothing after `=`")
	case strings.ContainsRune("\u2018\u2019\u201c\u201d", first) && value != "":
		add(name, fmt.Sprintf("the value begins with U+%04X, which is no quote but part of it", first))
	}
	if i := strings.IndexFunc(value, oddBlank); i >= 0 {
		r, _ := utf8.DecodeRuneInString(value[i:])
		add(name, fmt.Sprintf("U+%04X in the value, a blank or invisible character; it is kept", r))
	}
}

// oddBlank knows the blanks that are not trimmed, and characters without width.
func oddBlank(r rune) bool {
	return r >= 0x1c && r <= 0x1f || r > unicode.MaxASCII && unicode.IsSpace(r) || zeroWidth(r)
}

func zeroWidth(r rune) bool {
	return r >= 0x200b && r <= 0x200d || r == 0x2060 || r == 0xfeff
}

func blankPrefix(text string) int { return len(text) - len(strings.TrimLeft(text, blanks)) }

// restOfLine is the text from an offset to its line's end.
func (p *parser) restOfLine(from int) string {
	line, _, _ := strings.Cut(p.text[from:], "\n")
	return strings.TrimSuffix(line, "\r")
}

func (p *parser) nextLine(from int) int {
	if i := strings.IndexByte(p.text[from:], '\n'); i >= 0 {
		return from + i + 1
	}
	return len(p.text)
}

// advance goes to the line after the one that an offset is in.
func (p *parser) advance(from int) {
	next := p.nextLine(from)
	p.line += strings.Count(p.text[p.pos:next], "\n")
	p.pos = next
}

func (p *parser) fail(column int, message string, hint hint.Text) error {
	return &Error{Path: p.file.Path, Line: p.line, Column: column, Message: message, Way: hint}
}
