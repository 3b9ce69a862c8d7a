// SPDX-License-Identifier: Apache-2.0

// Package envfile turns the bytes of an .env into an ordered list of entries
// and back. It reads python-dotenv's dialect without interpolation: no `$` is
// expanded, nothing is executed, nothing is dropped. What that parser skips in
// silence (a line without `=`, a name given twice, a quote left open, text that
// is not UTF-8) is refused here, with file and line. Edits keep every byte that
// they are not about. Errors, warnings and findings never hold any text of a
// value; and as a line may be nothing but a key, a token or the end of a longer
// value, no name that comes out of here is one of those. docs/env-format.md describes the dialect.
package envfile

import (
	"fmt"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// File is a parsed .env.
type File struct {
	Path     string // for messages only
	Entries  []Entry
	Warnings []Warning

	spans []span // of Entries, in the same order
}

// Entry is one NAME=VALUE.
type Entry struct {
	Name  string
	Value Value
	Line  int // where the name stands, from 1

	written Value // everything after `=`, as it stands in the file; for SecondOpinion
}

// Label is how a message calls an entry whose value is refused: by its name, unless
// that looks like a piece of base64.
func (e Entry) Label() string { return label(e.Name) }

func label(name string) string {
	if token.Encoded(name) {
		return "this entry"
	}
	return name
}

// Warning is about something that was read, but may have been meant otherwise.
type Warning struct {
	Line    int    // 0: about the file
	Name    string // "": about the line, or the file
	Message string
}

// Lookup finds an entry by its exact name.
func (f *File) Lookup(name string) (Entry, bool) {
	for _, e := range f.Entries {
		if e.Name == name {
			return e, true
		}
	}
	return Entry{}, false
}

// Error says what is wrong with a file and what to do about it.
type Error struct {
	Path    string
	Line    int // from 1; 0: about the file
	Column  int // in characters, from 1; 0: none
	Message string
	Way     hint.Text // out of it; may be empty

	cause error
}

// Hint gives the way out.
func (e *Error) Hint() hint.Text { return e.Way }

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Path + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d: %s", e.Path, e.Line, e.Message)
}

// Unwrap gives the cause, where there is one: ErrEmpty, or what the operating
// system said, such as fs.ErrNotExist.
func (e *Error) Unwrap() error { return e.cause }
