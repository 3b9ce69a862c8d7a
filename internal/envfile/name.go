// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

var (
	validName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
	validPrefix = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_.-]*)?`)
	beforeName  = regexp.MustCompile(`^[ \t\v\f]*(export[ \t\v\f]+)?`)
)

const nameHint = "a name is ASCII letters, digits, _ - and . and does not begin with a digit, - or ."

// name reads what stands before `=`. Its errors quote no more than one
// character: a line that is no entry may be part of a secret.
func (p *parser) name(left string) (string, error) {
	before := beforeName.FindString(left)
	name := strings.TrimRight(left[len(before):], blanks)
	if name == "" {
		return "", p.fail(len(before)+1, "empty name before `=`", "a line is NAME=VALUE")
	}
	if good := validPrefix.FindString(name); good != name {
		bad, _ := utf8.DecodeRuneInString(name[len(good):])
		column := len(before+good) + 1 // both are ASCII
		return "", p.fail(column, fmt.Sprintf("%s in a name, column %d", describe(bad), column), badCharacterHint(bad))
	}
	if err := p.secretName(name, len(before)+1); err != nil {
		return "", err
	}
	redact.Name(name)
	if first, taken := p.lines[name]; taken {
		return "", p.fail(0, fmt.Sprintf("%s is on line %d already", label(name), first), "keep one of the two lines")
	}
	return name, nil
}

// secretName refuses a name that holds a key or a token.
func (p *parser) secretName(name string, column int) error {
	kind := token.Kind(name)
	switch {
	case kind == "":
		return nil
	case kind == "key" && len(name) < 44:
		return p.fail(column, "a Fernet key where a name is expected", "write KEY= before it; several keys of KEY_PREVIOUS stand on one line, with commas")
	default:
		return p.fail(column, "a Fernet "+kind+" in a name", "take it out of the name: names are shown, and become names in the cluster")
	}
}

// bareAbove is a value without quotes, and the line below it.
type bareAbove struct {
	line  int
	value string
}

var (
	base64Line = regexp.MustCompile(`^[A-Za-z0-9+/_-]{40,}$`)
	lastDigits = regexp.MustCompile(`[A-Za-z0-9_-]*$`)
)

// continues says whether a name, behind whose `=` there is no more than the rest of
// a padding, is not one but the end of a value that was wrapped: of any base64, of
// the base64 on the line above, or of a key that begins there.
func (p *parser) continues(name, value string) bool {
	switch {
	case value != "":
		return onlyPadding(value)
	case token.Encoded(name):
		return true
	case p.above.line != p.line:
		return false
	}
	begin := lastDigits.FindString(p.above.value)
	wrapped := base64Line.MatchString(p.above.value) && len(p.above.value)%4 == 0 && (len(name)+len("="))%4 == 0 && strings.ContainsAny(name, "abcdefghijklmnopqrstuvwxyz0123456789")
	return wrapped || token.Kind(begin) == "" && len(begin+name) == 43 && token.Kind(begin+name) != ""
}

func describe(r rune) string {
	switch {
	case strings.ContainsRune(blanks, r):
		return "a blank"
	case r > ' ' && r < unicode.MaxASCII:
		return fmt.Sprintf("the character %c", r)
	default:
		return fmt.Sprintf("the character U+%04X", r)
	}
}

func badCharacterHint(r rune) hint.Text {
	switch {
	case r >= 0x2010 && r <= 0x2014 || r == 0x2212: // hyphens, dashes, minus sign
		return "it looks like a hyphen; type a plain - instead"
	case oddBlank(r):
		return "it is invisible; delete it"
	default:
		return nameHint
	}
}
