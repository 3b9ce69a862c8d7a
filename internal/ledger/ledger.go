// SPDX-License-Identifier: Apache-2.0

// Package ledger keeps the record of everything ever written to a cluster: rows
// go in and become lines of an append-only CSV file, signed, and durable before
// Append returns; the file's lines come out as a Book of records, whose state is a
// fold that neither order nor duplicates change, so that git can merge ledgers as
// sets of lines. Each row is exactly one line.
//
// Whoever may merge can write a ledger, so a row is a claim. What its mac proves is
// for Keys to say; only evidence adds up to records that permit anything.
//
// It refuses, with file and line and the way out, whatever is not exactly a
// ledger, and alters nothing then: other columns, merge conflicts, what a
// spreadsheet made of it, formulas, cut tokens, impossible names. Only what an
// interrupted write left after the last line break is cut off, under the lock.
//
// A row holds names, key ids and tokens. There is no type here for a plaintext or
// a key, and no error shows any text of a cell.
package ledger

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gocarina/gocsv"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

// MaxSize is the most that a ledger may have, in bytes.
const MaxSize = 2 << 30

// Ledger is an open ledger, to be appended to under its lock.
type Ledger struct {
	fsys  atomicfile.FS
	path  string // as the user calls it, for messages
	guard *Guard
	notes []string

	mu     sync.Mutex
	sign   func(cells []string) string
	book   *Book
	lines  int
	info   fs.FileInfo // of the file that was read; nil until there is one
	size   int64
	open   bool  // its last line lacks the line break
	failed error // a write that did not come to its end
}

// Read gives what a ledger's rows add up to, without its lock and without changing
// it. A missing file has none. What an interrupted write, or one under way, has
// left at the end is not read.
func Read(fsys atomicfile.FS, path string, keys Keys) (*Book, error) {
	book := NewBook(keys)
	target, err := atomicfile.Resolve(path)
	if errors.Is(err, fs.ErrNotExist) { // its folder
		return book, nil
	}
	if err != nil {
		return nil, systemError(path, err)
	}
	_, _, err = load(fsys, path, target, os.O_RDONLY, book)
	return book, err
}

// Open reads a ledger for appending under its lock. It refuses at once what could
// not be appended to. A torn end is cut off, with a note: if it was a planned row
// its request was never sent, and what a created row says the cluster says too.
// The file is made by the first Append, with mode 0600, so that a run that
// records nothing leaves none.
func Open(fsys atomicfile.FS, path string, guard *Guard, keys Keys) (*Ledger, error) {
	target, err := atomicfile.Resolve(path)
	if err != nil {
		return nil, systemError(path, err)
	}
	if guard == nil || guard.ledger != target || !guard.held() {
		return nil, fmt.Errorf("%s: opened without its lock", path)
	}
	book := NewBook(keys)
	c, info, err := load(fsys, path, target, os.O_RDWR, book)
	if err != nil {
		return nil, err
	}
	l := &Ledger{fsys: fsys, path: path, guard: guard, sign: keys.Sign, book: book, lines: c.lines, info: info, size: c.size, open: c.open}
	if c.crlf {
		l.note("its lines end in CR LF, so something else has written it; %q in .gitattributes keeps git from doing so", "fernet-ledger.csv merge=union -text")
	}
	if c.tail > 0 {
		if err := cut(fsys, target, info, c); err != nil {
			return nil, systemError(path, err)
		}
		l.note("an interrupted run left %s of an unfinished last row; they are cut off, and nothing is lost by it", hint.Count(c.tail, "byte"))
	}
	return l, nil
}

func (l *Ledger) note(format string, args ...any) {
	l.notes = append(l.notes, l.path+": "+fmt.Sprintf(format, args...))
}

// load reads a file into a book: target, which path leads to. Without one, info is nil;
// else it is that of the very file that was read. A torn book is mended by a second look.
func load(fsys atomicfile.FS, path, target string, flag int, book *Book) (c content, info fs.FileInfo, err error) {
	c, info, err = visit(fsys, path, target, flag, book.Add)
	if err == nil && book.torn {
		_, _, err = visit(fsys, path, target, flag, book.mend)
		book.settle()
	}
	return c, info, err
}

// visit checks a file and visits its rows.
func visit(fsys atomicfile.FS, path, target string, flag int, each func(Row)) (c content, info fs.FileInfo, err error) {
	info, err = fsys.Stat(target)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil, nil
	}
	if err != nil {
		return c, nil, systemError(path, err)
	}
	if err := check(path, info, flag); err != nil {
		return c, nil, err
	}
	f, err := fsys.OpenFile(target, flag, 0)
	if err != nil {
		return c, nil, systemError(path, err)
	}
	if info, err = f.Stat(); err != nil {
		return c, nil, errors.Join(systemError(path, err), f.Close())
	}
	if err := check(path, info, flag); err != nil {
		return c, nil, errors.Join(err, f.Close())
	}
	if flag != os.O_RDONLY && atomicfile.Borrowed(filepath.Dir(target), info) {
		err := &Error{Path: path, Message: "has a second name, and others may write this folder: to append to it could change another file of yours",
			Way: hint.Format("cp %s new.csv && mv new.csv %s", path, path)}
		return c, nil, errors.Join(err, f.Close())
	}
	c, err = decode(path, f, each)
	return c, info, errors.Join(err, f.Close())
}

// check refuses by kind, size and mode. The mode is looked at because root could
// write a file in spite of it, against what its owner wants.
func check(path string, info fs.FileInfo, flag int) error {
	e := &Error{Path: path}
	switch {
	case info.IsDir():
		e.Message, e.Way = "is a directory", hint.Format("name a file in it: --ledger %s", filepath.Join(path, "fernet-ledger.csv"))
	case !info.Mode().IsRegular():
		e.Message, e.Way = "not a regular file", "name another with --ledger"
	case info.Size() > MaxSize:
		e.Message, e.Way = "over 2 GiB", "is this the right file? move it away and push again: what is in the cluster is found there"
	case flag != os.O_RDONLY && info.Mode().Perm()&0o200 == 0:
		e.Message, e.Way = "is read-only", hint.Format("chmod u+w %s", path)
	default:
		return nil
	}
	return e
}

// cut shortens the file that was read durably. It opens the file by itself: Windows
// does not shorten what is open for appending.
func cut(fsys atomicfile.FS, path string, read fs.FileInfo, c content) error {
	f, err := fsys.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && (!os.SameFile(info, read) || info.Size() != c.size+int64(c.tail)) {
		err = errReplaced
	}
	if err == nil {
		err = f.Truncate(c.size)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Book gives what all rows add up to, those that were appended since Open too. It
// must not be used while Append may be called.
func (l *Ledger) Book() *Book { return l.book }

// SignWith makes the rows that are appended from now on be signed otherwise: a
// rotation goes on with its new key.
func (l *Ledger) SignWith(sign func(cells []string) string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sign = sign
}

// Notes gives what Open has to tell the user.
func (l *Ledger) Notes() []string { return l.notes }

// Append signs rows and adds them with one write and one fsync; when it returns nil
// they are durable. Times are kept in UTC and whole seconds. A row that breaks a rule
// stops all of them, and nothing is written. After a write that failed the
// ledger takes no more: the next Open finds what is there. It may be called from
// several goroutines.
func (l *Ledger) Append(rows ...Row) error {
	if len(rows) == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return l.failed
	}
	rows = l.expand(rows)
	for i := range rows {
		l.complete(&rows[i], i)
	}
	data, err := l.encode(rows)
	if err != nil {
		return err
	}
	if l.size+int64(len(data)) > MaxSize {
		return &Error{Path: l.path, Message: "would grow over 2 GiB", Way: "move it away and push again: what is in the cluster is found there"}
	}
	if err := l.write(data); err != nil {
		l.failed = systemError(l.path, err)
		return l.failed
	}
	if l.size == 0 {
		l.lines = 1
	}
	l.lines, l.size, l.open = l.lines+len(rows), l.size+int64(len(data)), false
	for _, row := range rows {
		l.book.Add(row)
	}
	return nil
}

// expand gives the rows as they stand in the file: a bundle's with the planned rows of its
// entries where the ledger lacks one, because without them nothing could rebuild it.
func (l *Ledger) expand(rows []Row) (all []Row) {
	planned := map[[2]string]bool{} // clusters and bindings, of this call
	for _, row := range rows {
		entries := row.Placed().Entries()
		if !row.Bundle() {
			all = append(all, row)
			continue
		}
		about := row
		about.Token = ""
		if lacks := row.Token != "" && !planned[[2]string{row.Cluster, row.Binding}] && l.book.lacks(row); lacks {
			planned[[2]string{row.Cluster, row.Binding}] = true
			row.State, row.UID = Planned, ""
			for _, e := range entries {
				row.EnvKey, row.Token = e.Name, e.Token
				all = append(all, row)
			}
			if about.State == Planned && about.UID == "" {
				continue
			}
		}
		all = append(all, about)
	}
	return all
}

// complete fills in what a row has from the ledger.
func (l *Ledger) complete(row *Row, i int) {
	row.Time = row.Time.UTC().Truncate(time.Second)
	row.Line = max(l.lines, 1) + i + 1
	if row.MAC = ""; l.sign != nil {
		row.MAC = l.sign(row.Cells())
	}
}

// encode gives the bytes to append: what the file still lacks, and the rows.
func (l *Ledger) encode(rows []Row) ([]byte, error) {
	var b bytes.Buffer
	switch {
	case l.size == 0:
		b.WriteString(headerLine)
	case l.open:
		b.WriteByte('\n')
	}
	w := &checkedWriter{Writer: csv.NewWriter(&b)}
	if err := gocsv.MarshalCSVWithoutHeaders(rows, w); err != nil {
		if w.refused != nil {
			return nil, fmt.Errorf("%s: row %d of %d cannot be written: %w", l.path, w.count, len(rows), w.refused)
		}
		return nil, fmt.Errorf("%s: a row cannot be written", l.path)
	}
	return b.Bytes(), nil
}

// checkedWriter is gocsv's CSVWriter, and lets only pass what can be read again.
type checkedWriter struct {
	*csv.Writer
	count   int
	refused error
}

func (w *checkedWriter) Write(record []string) error {
	w.count++
	if w.refused = checkCells(record); w.refused != nil {
		return w.refused
	}
	return w.Writer.Write(record)
}

var (
	errReplaced = errors.New("something else has changed it while this run was under way")
	errUnlocked = errors.New("its lock was given back")
)

// write makes data durable at the end of the file, which must still be the one
// that was read: git or an editor may have put another in its place.
func (l *Ledger) write(data []byte) error {
	if !l.guard.held() {
		return errUnlocked
	}
	flag := os.O_WRONLY | os.O_APPEND
	if l.info == nil {
		flag |= os.O_CREATE | os.O_EXCL
	}
	f, err := l.fsys.OpenFile(l.guard.ledger, flag, 0o600)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) || errors.Is(err, atomicfile.ErrIrregular) {
		return errReplaced
	}
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && (info.Size() != l.size || l.info != nil && !os.SameFile(info, l.info)) {
		err = errReplaced
	}
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil && l.info == nil {
		err = l.fsys.SyncDir(filepath.Dir(l.guard.ledger))
	}
	l.info = info
	return err
}
