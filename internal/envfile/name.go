// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
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
	if first, taken := p.lines[name]; taken {
		return "", p.fail(0, fmt.Sprintf("%s is on line %d already", name, first), "keep one of the two lines")
	}
	return name, nil
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

func badCharacterHint(r rune) string {
	switch {
	case r >= 0x2010 && r <= 0x2014 || r == 0x2212: // hyphens, dashes, minus sign
		return "it looks like a hyphen; type a plain - instead"
	case oddBlank(r):
		return "it is invisible; delete it"
	default:
		return nameHint
	}
}
