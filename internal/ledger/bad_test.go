// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
)

// badFile is a file that is no ledger, where that is to be noticed, and how it is
// to be told.
type badFile struct {
	name, data string
	line       int
	message    string
	hint       string
}

// with gives a ledger whose second row has another text in one column.
func with(column, text string) string {
	cells := strings.Split(strings.TrimSpace(line(created(2))), ",")
	names := strings.Split(strings.TrimSpace(header), ",")
	cells[slices.Index(names, column)] = text
	return header + line(created(1)) + strings.Join(cells, ",") + "\n" + line(created(3))
}

func badFiles() []badFile { return slices.Concat(badHeaders(), badLines(), badCells()) }

func badHeaders() []badFile {
	row := line(created(1))
	return []badFile{
		{"missing header", row + row, 1, "no header line", header[:len(header)-1]},
		{"another file", "KEY=canary-7f3a\n", 1, "no header line", "is this the right file?"},
		{"another file of one line", "canary-7f3a", 1, "no header line", "is this the right file?"},
		{"unknown column", strings.ReplaceAll(header, "mac\n", "mac,canary_7f3a\n") + row, 1, "column 15 is unknown (written by a newer version?)", "newest kubectl-fernet"},
		{"missing column", strings.ReplaceAll(header, "binding,", "") + row, 1, "the column binding is missing", "backup"},
		{"renamed column", strings.ReplaceAll(header, "key_id", "Key_ID") + row, 1, "the column key_id is missing", "backup"},
		{"duplicate column", strings.ReplaceAll(header, "mac\n", "mac,time\n") + row, 1, "column 15 is there twice", "backup"},
		{"other order", "operation,time" + strings.TrimPrefix(header, "time,operation") + row, 1, "another order", "backup"},
		{"byte order mark", "\xef\xbb\xbf" + header + row, 1, "byte order mark", "backup"},
		{"UTF-16", "\xff\xfet\x00i\x00m\x00e\x00\n\x00", 1, "UTF-16", "backup"},
		{"semicolons", strings.ReplaceAll(header+row, ",", ";"), 1, "separated by semicolons", "spreadsheet"},
		{"tabs", strings.ReplaceAll(header+row, ",", "\t"), 1, "separated by tabs", "spreadsheet"},
		{"conflict at the top", "<<<<<<< HEAD\n" + header + row, 1, "merge conflict", "merge=union"},
	}
}

func badLines() []badFile {
	row := line(created(1))
	return []badFile{
		{"a row with semicolons", header + row + strings.ReplaceAll(row, ",", ";"), 3, "separated by semicolons", "spreadsheet"},
		{"field too many", header + row + strings.ReplaceAll(row, "\n", ",\n"), 3, "has 15 cells, not 14", "delete it"},
		{"field too few", header + "prod,web\n" + row, 2, "has 2 cells, not 14", "delete it"},
		{"bare quote", with("cluster", `pr"od`), 3, "a quote where none belongs", "delete it"},
		{"text after a quote", with("cluster", `"pr"od`), 3, "a quote where none belongs", "delete it"},
		{"open quote", with("cluster", `"prod`), 3, "does not end on its line", "delete it"},
		{"line break in a cell", with("cluster", "\"pr\nod\""), 3, "does not end on its line", "delete it"},
		{"conflict, ours", header + "<<<<<<< HEAD\n" + row, 2, "merge conflict", "merge=union"},
		{"conflict, base", header + row + "||||||| canary-7f3a\n", 3, "merge conflict", "merge=union"},
		{"conflict, middle", header + row + "=======\n" + row, 3, "merge conflict", "merge=union"},
		{"conflict, theirs", header + row + ">>>>>>> canary,\"7f3a\n", 3, "merge conflict", "merge=union"},
		{"cut row before others", header + row[:40] + "\n" + row, 2, "has 5 cells, not 14", "delete it"},
		{"zeros before others", header + "\x00\x00\x00\n" + row, 2, "has 1 cells, not 14", "delete it"},
		{"last line no torn row", strings.TrimSuffix(header+row+strings.Replace(row, "2026-03-01T", "01.03.2026 ", 1), "\n"), 3, "time: not a time", "delete it"},
		{"line without end", header + strings.Repeat("canary-7f3a", 200000), 2, "longer than any row", "delete it"},
		{"generation 2 under a base name", with("generation", "2"), 3, "generation: does not fit the Secret's name", "delete it"},
		{"generation 1 under a generation's name", with("secret", "secret-2-g2"), 3, "generation: does not fit the Secret's name", "delete it"},
		{"created without uid", with("uid", ""), 3, "uid: is empty, but the state is created", "delete it"},
	}
}

func badCells() (files []badFile) {
	cut := tokenOf(2)
	for _, cell := range []struct{ column, message, texts string }{
		{"time", "not a time", "|2026-03-01|01.03.2026 12:00|2026-03-01T12:00:00+01:00|2026-03-01T12:00:00.5Z|2026-03-01T12:00:00|46082.5|0001-01-01T00:00:00+00:00"},
		{"time", "not set", "0001-01-01T00:00:00Z"},
		{"operation", "not an operation (written by a newer version?)", "|Push|canary-7f3a"},
		{"state", "not a state (written by a newer version?)", "|CREATED|canary-7f3a"},
		{"cluster", "is empty", ""},
		{"cluster", "formula", "=1+1|+1|-1|@canary-7f3a|\tx"},
		{"cluster", "cannot be printed", "a\x00|\xff|a\u200bb|a\u202eb|a\rb"},
		{"cluster", "longer than 1024 bytes", strings.Repeat("a", 1025)},
		{"namespace", "not a namespace's name", "|../x|Web|a-|a.b|a_b|wéb|" + strings.Repeat("a", 64)},
		{"namespace", "formula", "-|-web|=1"},
		{"secret", "not a Secret's name", "|../x|a/b|Secret|a..b|.a|a.|a-|" + strings.Repeat("a", 254)},
		{"secret", "formula", "-a|@a"},
		{"generation", "not a whole number from 1", "|0|1.0|01|0x1|1e0|99999999999999999999|one"},
		{"generation", "formula", "-1|+1"},
		{"env_key", "not a name of an .env entry", "|1A|A B|.A|ä|" + strings.Repeat("A", 254)},
		{"key_id", "not a key id", "|1.23E+07|k1234567|k123456789|K12345678|kABCDEF01"},
		{"token", "not a whole Fernet token", "|gAAAAA|" + cut[:len(cut)-1] + "|" + cut[:len(cut)-4] + "|" + cut + " |" + cut + "=|" + cut[1:] + "|#NAME?"},
		{"binding", "not a binding", "v1:|v2:" + bindingOf(1)[3:] + "|" + bindingOf(1)[3:] + "|" + bindingOf(1)[:45] + "|" + bindingOf(1)[:45] + "B|" + bindingOf(1)[:20] + "\r" + bindingOf(1)[20:]},
		{"uid", "not a UID", "canary-7f3a|" + uidOf(2)[1:] + "|" + uidOf(2)[:35] + "|" + strings.ToUpper(uidOf(10))},
		{"since", "not a whole number from 1", "|0|01|one"},
		{"since", "is a later generation", "2"},
		{"mac", "not a mac", "x|" + macOf(1)[:34] + "|" + macOf(1)[:20] + "|" + macOf(1) + "A|v2" + macOf(1)[2:] + "|v1:0123abcd" + macOf(1)[12:] + "|" + macOf(1)[:34] + "B"},
	} {
		for text := range strings.SplitSeq(cell.texts, "|") {
			files = append(files, badFile{cell.column + " " + text, with(cell.column, text), 3, cell.column + ": ", "delete it"},
				badFile{cell.column + " " + text, with(cell.column, text), 3, cell.message, "delete it"})
		}
	}
	return files
}

func wantError(t *testing.T, err error, path string, want badFile) {
	t.Helper()
	var e *ledger.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error", err)
	}
	if e.Path != path || e.Line != want.line || !strings.Contains(e.Message, want.message) || !strings.Contains(string(e.Way), want.hint) {
		t.Errorf("got line %d: %s\nhint: %s\nwant line %d: %s … %s", e.Line, e.Message, e.Way, want.line, want.message, want.hint)
	}
	if strings.Contains(e.Error()+string(e.Way), "7f3a") {
		t.Errorf("it shows what is in the file: %v", e)
	}
}

func TestBadFiles(t *testing.T) {
	path := newPath(t)
	guard := lock(t, path)
	for _, bad := range badFiles() {
		t.Run(bad.name, func(t *testing.T) {
			rows, tail, err := ledger.Parse("x.csv", []byte(bad.data))
			if rows != nil || tail != 0 {
				t.Errorf("%d rows, a tail of %d", len(rows), tail)
			}
			wantError(t, err, "x.csv", bad)
			put(t, path, bad.data)
			_, err = ledger.Open(atomicfile.OS, path, guard, ledger.Keys{})
			wantError(t, err, path, bad)
			if get(t, path) != bad.data {
				t.Error("the file was altered")
			}
		})
	}
}

// The files of the table are bad for their one fault alone.
func TestWithIsGoodOtherwise(t *testing.T) {
	rows, tail, err := ledger.Parse("x.csv", []byte(with("cluster", "prod")))
	if err != nil || tail != 0 {
		t.Fatal(tail, err)
	}
	wantRows(t, rows, created(1), created(2), created(3))
}

func TestBadKinds(t *testing.T) {
	for _, tc := range []struct {
		badFile
		make     func(t *testing.T, path string)
		readable bool
	}{
		{badFile{name: "directory", message: "is a directory", hint: "--ledger"}, func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, false},
		{badFile{name: "read-only", message: "is read-only", hint: "chmod u+w "}, func(t *testing.T, path string) {
			put(t, path, header)
			if err := os.Chmod(path, 0o400); err != nil {
				t.Fatal(err)
			}
		}, true},
		{badFile{name: "too big", message: "over 2 GiB", hint: "is this the right file?"}, func(t *testing.T, path string) {
			put(t, path, header)
			if err := os.Truncate(path, ledger.MaxSize+1); err != nil { // a hole, no bytes on the disk
				t.Fatal(err)
			}
		}, false},
		{badFile{name: "device", message: "not a regular file", hint: "--ledger"}, func(t *testing.T, path string) {
			if err := os.Symlink(os.DevNull, path); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := newPath(t)
			tc.make(t, path)
			_, err := ledger.Open(atomicfile.OS, path, lock(t, path), ledger.Keys{})
			wantError(t, err, path, tc.badFile)
			_, err = ledger.Read(atomicfile.OS, path, ledger.Keys{})
			if !tc.readable {
				wantError(t, err, path, tc.badFile)
			} else if err != nil {
				t.Errorf("reading it: %v", err)
			}
		})
	}
}

// denied is a system that lets nobody open the ledger.
type denied struct{ atomicfile.FS }

func (denied) OpenFile(name string, _ int, _ fs.FileMode) (atomicfile.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

func TestPermissionDenied(t *testing.T) {
	path := newPath(t)
	put(t, path, header)
	_, err := ledger.Read(denied{atomicfile.OS}, path, ledger.Keys{})
	wantError(t, err, path, badFile{message: "permission denied", hint: "chmod u+rw " + path})
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("the cause is lost: %v", err)
	}
}

func TestMissingFileHasNoRows(t *testing.T) {
	if book, err := ledger.Read(atomicfile.OS, filepath.Join(t.TempDir(), "no", "ledger.csv"), ledger.Keys{}); err != nil || book.Records() != nil {
		t.Errorf("%v, %v", book, err)
	}
}
