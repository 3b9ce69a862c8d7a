// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

// Error says what is wrong with a ledger and what to do about it. It never holds
// any text of a cell.
type Error struct {
	Path    string
	Line    int // from 1; 0: about the file
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

// Unwrap gives what the operating system said, where it did.
func (e *Error) Unwrap() error { return e.cause }

const (
	hintLine     = "take that line from git or a backup; if there is none, delete it: the next push looks at the cluster and records what it finds"
	hintFile     = "take the file from git or a backup, and look at it with nothing that saves: a spreadsheet changes what it shows"
	hintConflict = "delete the marker lines and keep all others, of both sides: their order means nothing; with \"fernet-ledger.csv merge=union -text\" in .gitattributes git does it by itself"
	hintUpgrade  = "install the newest kubectl-fernet"
)

// systemError words what the operating system said about a file.
func systemError(path string, err error) *Error {
	e := &Error{Path: path, Message: err.Error(), cause: err}
	var p *fs.PathError
	switch {
	case errors.Is(err, errReplaced):
		e.Way = "run the command again"
	case errors.Is(err, atomicfile.ErrDangling):
		e.Message, e.Way = atomicfile.ErrDangling.Error(), "make that file, or remove the link"
	case errors.Is(err, fs.ErrPermission):
		e.Message, e.Way = "permission denied", hint.Format("chmod u+rw %s", path)
	case errors.As(err, &p):
		e.Message = p.Err.Error()
	}
	return e
}

// conflicted says whether git left one of its marker lines.
func conflicted(line []byte) bool {
	return slices.ContainsFunc([]string{"<<<<<<<", "|||||||", "=======", ">>>>>>>"}, func(marker string) bool {
		return bytes.HasPrefix(line, []byte(marker))
	})
}

// otherSeparator names what separates the cells of a line instead of commas.
func otherSeparator(line []byte) string {
	count := func(separator string) int { return bytes.Count(line, []byte(separator)) }
	switch {
	case count(",") >= columnCount-1:
		return ""
	case count(";") >= columnCount-1:
		return "semicolons"
	case count("\t") >= columnCount-1:
		return "tabs"
	}
	return ""
}

// explainLine words what is wrong with a line that is no row. record is what
// encoding/csv made of it, err what it or checkCells said.
func explainLine(line []byte, record []string, err error) (message string, way hint.Text) {
	var cell *cellError
	separator := otherSeparator(line)
	switch {
	case conflicted(line):
		return "git left a merge conflict here", hintConflict
	case separator != "":
		return "its cells are separated by " + separator + ", not by commas", hintFile
	case errors.Is(err, errOpenQuote):
		return "a quoted cell does not end on its line", hintLine
	case record == nil:
		return "a quote where none belongs", hintLine
	case len(record) != columnCount:
		return fmt.Sprintf("has %d cells, not %d", len(record), columnCount), hintLine
	case errors.As(err, &cell):
		return cell.Error(), hintLine
	}
	return "not a row", hintLine
}

// explainHeader words what is wrong with a first line that is not the header.
func explainHeader(line []byte, record []string, err error) (message string, way hint.Text) {
	known := 0
	for _, name := range record {
		if slices.Contains(columns, name) {
			known++
		}
	}
	switch {
	case bytes.HasPrefix(line, []byte("\xef\xbb\xbf")):
		return "begins with a byte order mark", hintFile
	case bytes.HasPrefix(line, []byte("\xff\xfe")), bytes.HasPrefix(line, []byte("\xfe\xff")):
		return "is UTF-16, not UTF-8", hintFile
	case conflicted(line), otherSeparator(line) != "":
		return explainLine(line, record, err)
	case known == 0:
		return "no header line", hint.Text("is this the right file? the first line of a ledger is: " + strings.TrimSpace(headerLine))
	}
	return explainColumns(record)
}

func explainColumns(header []string) (message string, way hint.Text) {
	unknown := 0
	for i, name := range header {
		switch {
		case slices.Contains(header[:i], name):
			return fmt.Sprintf("column %d is there twice", i+1), hintFile
		case unknown == 0 && !slices.Contains(columns, name):
			unknown = i + 1
		}
	}
	for _, name := range columns {
		if !slices.Contains(header, name) {
			return "the column " + name + " is missing", hintFile
		}
	}
	if unknown > 0 {
		return fmt.Sprintf("column %d is unknown (written by a newer version?)", unknown), hintUpgrade
	}
	return "its columns are in another order", hintFile
}
