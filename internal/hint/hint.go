// SPDX-License-Identifier: Apache-2.0

// Package hint writes the way out of an error: text that a user may paste into a
// shell. What stands in the program is taken as it is; every word that comes from
// outside (a path, a name of the kubeconfig, a ledger's cell, a server's text) is
// quoted, so that a shell reads it as one word and executes nothing of it. The
// types hold this: a format is an untyped constant, and its arguments are quoted
// unless they are a Text already.
package hint

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text is part of a hint, ready to be typed. Converting a string to it says that
// the string is the program's own.
type Text string

// constant is the type of formats: an untyped constant becomes one by itself, a
// string variable does not compile.
type constant string

// Format puts a hint together as fmt.Sprintf does. Arguments are quoted with Word,
// but for a Text and for numbers.
func Format(format constant, args ...any) Text {
	words := make([]any, len(args))
	for i, arg := range args {
		switch arg := arg.(type) {
		case Text, int:
			words[i] = arg
		case string:
			words[i] = Word(arg)
		default:
			words[i] = Word(fmt.Sprint(arg))
		}
	}
	return Text(fmt.Sprintf(string(format), words...))
}

// List quotes each of several words.
func List(words []string) Text {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = string(Word(word))
	}
	return Text(strings.Join(quoted, ", "))
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,-][A-Za-z0-9_./:@%+,=-]*$`)

// Word quotes a word so that a POSIX shell reads it as it is; one that a terminal
// would not show as it is gets bash's and zsh's $'…', with escapes.
func Word(word string) Text {
	switch {
	case plain.MatchString(word):
		return Text(word)
	case Shown(word):
		return Text("'" + strings.ReplaceAll(word, "'", `'\''`) + "'")
	}
	var b strings.Builder
	b.WriteString("$'")
	for i := 0; i < len(word); {
		r, size := utf8.DecodeRuneInString(word[i:])
		switch {
		case r == '\'' || r == '\\':
			b.WriteString(`\` + string(r))
		case r == utf8.RuneError && size == 1 || !unicode.IsPrint(r):
			for _, c := range []byte(word[i : i+size]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return Text(b.String() + "'")
}

// Shown says whether a terminal shows a text as it is, on one line.
func Shown(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// failure is an error with the way out of it.
type failure struct {
	error
	hint Text
}

func (f failure) Unwrap() error { return f.error }

// Hint gives the way out.
func (f failure) Hint() Text { return f.hint }

// With adds a hint, as Format makes it, to an error.
func With(err error, format constant, args ...any) error {
	return failure{err, Format(format, args...)}
}

// Of gives the way out that an error, or one that it wraps, knows; empty where none
// does. The outermost one that knows a way decides, also with an empty one.
func Of(err error) Text {
	var with interface{ Hint() Text }
	if errors.As(err, &with) {
		return with.Hint()
	}
	return ""
}
