// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/gocarina/gocsv"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

const (
	maxLine   = maxToken + 16<<10 // bytes; no row is longer
	batchSize = 512               // rows; gocsv is given so many at a time
)

// content is what is to be said of a ledger beside its rows.
type content struct {
	lines int   // the number of the last one
	size  int64 // bytes that count
	tail  int   // bytes after them: the torn beginning of a row
	open  bool  // the last row lacks its line break
	crlf  bool  // lines end in CR LF
}

// Parse reads the bytes of a ledger. tail is the number of bytes at the end that
// an interrupted write left and that are not a whole row; they are not read. All
// else that is not exactly a ledger is an *Error, which calls the file name.
func Parse(name string, data []byte) (rows []Row, tail int, err error) {
	c, err := decode(name, bytes.NewReader(data), func(row Row) { rows = append(rows, row) })
	if err != nil {
		return nil, 0, err
	}
	return rows, c.tail, nil
}

// decode reads a ledger as a stream, so that it is never in memory as a whole.
func decode(name string, in io.Reader, visit func(Row)) (content, error) {
	d := newDecoder(name, in)
	var c content
	err := d.header()
	for err == nil {
		var n int
		n, err = d.fill()
		if d.convert(d.batch[:n], visit) != nil {
			return content{}, d.fail("not a row", hintLine)
		}
	}
	if errors.Is(err, io.EOF) {
		err = d.end(&c, visit)
	}
	if err != nil {
		return content{}, err
	}
	c.lines = d.lines.number
	return c, nil
}

// convert lets gocsv turn checked records into rows.
func (d *decoder) convert(records [][]string, visit func(Row)) error {
	if len(records) == 0 {
		return nil // an empty file, says gocsv
	}
	rows := d.rows[:len(records)]
	clear(rows)
	if err := gocsv.UnmarshalCSVWithoutHeaders(checked{records: records}, &rows); err != nil {
		return err
	}
	for i := range rows {
		rows[i].Line = d.at[i]
		visit(rows[i])
	}
	return nil
}

// checked hands records to gocsv, which reads them in one go.
type checked struct {
	gocsv.CSVReader
	records [][]string
}

func (c checked) ReadAll() ([][]string, error) { return c.records, nil }

// decoder takes a ledger apart with encoding/csv and lets nothing pass that is
// not the exact header or a valid row.
type decoder struct {
	name       string
	lines      *lines
	csv        *csv.Reader
	batch      [][]string // reused, as are rows
	rows       []Row
	at         []int // the lines of batch
	seenHeader bool
}

func newDecoder(name string, in io.Reader) *decoder {
	d := &decoder{name: name, lines: &lines{in: bufio.NewReaderSize(in, 64<<10)}, batch: make([][]string, batchSize), rows: make([]Row, batchSize), at: make([]int, batchSize)}
	d.csv = csv.NewReader(d.lines)
	d.csv.ReuseRecord = true
	d.csv.FieldsPerRecord = -1 // counted here, for a better message
	return d
}

// fail is an error about the current line.
func (d *decoder) fail(message string, hint hint.Text) error {
	return &Error{Path: d.name, Line: d.lines.number, Message: message, Way: hint}
}

// read gives the cells of one line. What encoding/csv says of it is for
// explainLine alone; other errors are the file's.
func (d *decoder) read() (record []string, syntax, err error) {
	d.lines.granted = true
	record, err = d.csv.Read()
	var p *csv.ParseError
	switch {
	case err == nil:
		return record, nil, nil
	case errors.As(err, &p), errors.Is(err, errOpenQuote):
		return nil, err, nil
	case errors.Is(err, io.EOF):
		return nil, nil, io.EOF
	case errors.Is(err, errLongLine):
		return nil, nil, &Error{Path: d.name, Line: d.lines.number + 1, Message: errLongLine.Error(), Way: hintLine}
	}
	return nil, nil, systemError(d.name, err)
}

func (d *decoder) header() error {
	record, syntax, err := d.read()
	switch {
	case err != nil:
		return err
	case !slices.Equal(record, columns):
		return d.fail(explainHeader(d.lines.current, record, syntax))
	}
	d.seenHeader = true
	return nil
}

// fill reads up to a batch of rows; n are in it even when there is an error.
func (d *decoder) fill() (n int, err error) {
	for n < len(d.batch) {
		record, syntax, err := d.read()
		switch {
		case err != nil:
			return n, err
		case slices.Equal(record, columns):
			continue // two ledgers joined into one
		case syntax == nil:
			syntax = checkCells(record)
		}
		if syntax != nil {
			return n, d.fail(explainLine(d.lines.current, record, syntax))
		}
		d.batch[n], d.at[n] = append(d.batch[n][:0], record...), d.lines.number
		n++
	}
	return n, nil
}

// end looks at the bytes after the last line break.
func (d *decoder) end(c *content, visit func(Row)) error {
	c.size, c.crlf = d.lines.size, d.lines.crlf
	tail := d.lines.tail
	if len(tail) == 0 {
		return nil
	}
	d.lines.number++
	record, syntax := csv.NewReader(bytes.NewReader(tail)).Read()
	if syntax == nil {
		syntax = checkCells(record)
	}
	switch {
	case !d.seenHeader && !strings.HasPrefix(headerLine, strings.TrimRight(string(tail), "\x00")): // a power cut can leave zeros
		return d.fail(explainHeader(tail, record, syntax))
	case d.seenHeader && syntax == nil:
		c.open, c.size = true, c.size+int64(len(tail))
		c.crlf = c.crlf || bytes.HasSuffix(tail, []byte("\r"))
		d.at[0] = d.lines.number
		return d.convert([][]string{record}, visit)
	case d.seenHeader && !torn(tail):
		return d.fail(explainLine(tail, record, syntax))
	}
	c.tail = len(tail)
	return nil
}

// torn says whether bytes can be the beginning of a row: every cell but the last
// is whole. What an editor or a spreadsheet did to a last line is not cut off.
func torn(tail []byte) bool {
	text := string(tail)
	cells := strings.Split(text, ",")
	return strings.Contains(text, `"`) || len(cells) <= columnCount && checkEach(cells[:len(cells)-1]) == nil
}

// errOpenQuote says that a cell goes on after the end of its line. encoding/csv
// would read on to the next quote, however far; a row is one line, or git could
// not merge ledgers.
var errOpenQuote = errors.New("a quoted cell does not end on its line")

var errLongLine = errors.New("longer than any row")

// lines passes on whole lines, one for each time that it is granted, without
// blank ones. The bytes after the last line break become the tail.
type lines struct {
	in      *bufio.Reader
	granted bool
	current []byte // the line handed out last
	rest    []byte // of it, still to be copied
	number  int    // of it, from 1
	size    int64  // bytes up to its end
	crlf    bool
	tail    []byte
	long    []byte // a line that the buffer of in cannot hold
}

func (l *lines) Read(p []byte) (int, error) {
	for len(l.rest) == 0 {
		if !l.granted {
			return 0, errOpenQuote
		}
		if err := l.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

func (l *lines) next() error {
	line, err := l.readLine()
	if errors.Is(err, io.EOF) {
		l.tail = line
	}
	if err != nil {
		return err
	}
	l.number++
	l.size += int64(len(line))
	l.crlf = l.crlf || bytes.HasSuffix(line, []byte("\r\n"))
	if len(bytes.TrimRight(line, "\r\n")) == 0 {
		return nil
	}
	l.granted, l.current, l.rest = false, line, line
	return nil
}

// readLine gives a line that is valid until the next call. A long one is put
// together here: encoding/csv would take bufio.ErrBufferFull for its own.
func (l *lines) readLine() ([]byte, error) {
	line, err := l.in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	l.long = l.long[:0]
	for errors.Is(err, bufio.ErrBufferFull) {
		if l.long = append(l.long, line...); len(l.long) > maxLine {
			return nil, errLongLine
		}
		line, err = l.in.ReadSlice('\n')
	}
	l.long = append(l.long, line...)
	return l.long, err
}
