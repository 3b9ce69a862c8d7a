// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"io"
	"log"
	"os"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

// overheard is what others write to stderr: credential plugins, which client-go
// starts, and libraries. It passes the console like every other text from outside.
type overheard struct {
	console *console
	stderr  *os.File // the process's own
	from    *os.File
	to      *os.File // stands in for it
	drained chan struct{}
}

const (
	// drainMark goes through the pipe behind what has to be shown first.
	drainMark = "\x00kubectl-fernet: drained\x00"
	// promptDelay is after how long a line without an end counts as a question.
	promptDelay = 100 * time.Millisecond
)

// overhear puts a pipe in the place of stderr. Where there can be none, others write
// to nowhere.
func overhear(c *console) *overheard {
	from, to, err := os.Pipe()
	if err != nil {
		return nil
	}
	o := &overheard{console: c, stderr: os.Stderr, from: from, to: to, drained: make(chan struct{}, 1)}
	os.Stderr = to
	log.SetOutput(to)
	go o.listen()
	return o
}

// drain waits until all that was written has been shown.
func (o *overheard) drain() {
	if o == nil {
		return
	}
	if _, err := io.WriteString(o.to, drainMark); err == nil {
		<-o.drained
	}
}

// stop drains and gives the process its own stderr back.
func (o *overheard) stop() {
	if o == nil || os.Stderr == o.stderr {
		return
	}
	o.drain()
	os.Stderr = o.stderr
	log.SetOutput(io.Discard)
}

// listen shows whole lines, so that what is cut out of them is found whole, and the
// begin of one when nothing more comes: a question to the user.
func (o *overheard) listen() {
	var held []byte
	buffer := make([]byte, 32<<10)
	for {
		if len(held) > 0 && o.from.SetReadDeadline(time.Now().Add(promptDelay)) != nil {
			held = o.show(held, true) // here nobody can wait for more
		}
		n, err := o.from.Read(buffer)
		_ = o.from.SetReadDeadline(time.Time{})
		held = append(held, buffer[:n]...)
		for at := bytes.Index(held, []byte(drainMark)); at >= 0; at = bytes.Index(held, []byte(drainMark)) {
			o.show(held[:at], true)
			held = held[at+len(drainMark):]
			select {
			case o.drained <- struct{}{}:
			default: // a mark that is not ours
			}
		}
		held = o.show(held, errors.Is(err, os.ErrDeadlineExceeded))
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
}

// show prints lines, and gives what is left without a line end, unless that is to
// be printed too.
func (o *overheard) show(text []byte, all bool) (left []byte) {
	for len(text) > 0 {
		line, rest, ended := bytes.Cut(text, []byte("\n"))
		if !ended && !all {
			return text
		}
		end := ""
		if ended {
			end = "\n"
		}
		o.console.print(redact.Clean(string(bytes.TrimSuffix(line, []byte("\r")))) + end)
		text = rest
	}
	return nil
}
