// SPDX-License-Identifier: Apache-2.0

package cli

// The rules of what is printed where:
//
//   stdout is the product: one line or object per Secret, a key, a version.
//   stderr is the conversation: first the target, then warnings and notes in
//   the order in which they were found, then errors with their hints, last the
//   summary. A progress bar shows there only on a terminal, only after a
//   second, and leaves no trace.
//
// Whatever a text comes from, a terminal obeys nothing of it: the console shows
// control characters as escapes, line breaks within a line too, and app.Out does the
// same for stdout. Only app.product, for objects, scripts and values, is exact.

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

// console writes the conversation. It holds what is said before the target is
// known, because the target comes first. Safe for concurrent use.
type console struct {
	mutex    sync.Mutex
	w        io.Writer
	terminal bool
	width    func() int // of the terminal
	held     []string
	open     bool
	bar      bool // a progress bar stands on the current line

	began, drawn time.Time // of the count that is under way
	counting     bool
	requests     int       // so far
	spoke        time.Time // when the last line was written
}

func newConsole(w io.Writer) *console {
	f, _ := w.(*os.File)
	c := &console{w: w, terminal: draws(w)}
	c.width = func() int {
		width, _, err := term.GetSize(int(f.Fd())) // #nosec G115 -- as above
		if err != nil {
			return 0
		}
		return width
	}
	return c
}

// isTerminal says whether a stream is one.
func isTerminal(stream any) bool { return terminalOf(stream) != nil }

// draws says whether a stream is a terminal on which escape sequences work.
func draws(stream any) bool {
	f := terminalOf(stream)
	return f != nil && obeysEscapes(f)
}

// terminalOf gives the terminal that a stream is.
func terminalOf(stream any) *os.File {
	if below, ok := stream.(belowBar); ok {
		stream = below.Writer
	}
	if f, ok := stream.(*os.File); ok && term.IsTerminal(int(f.Fd())) { // #nosec G115 -- a file descriptor fits
		return f
	}
	return nil
}

// begin prints the target line and what was held.
func (c *console) begin(line string) {
	c.mutex.Lock()
	c.held = append([]string{line + "\n"}, c.held...)
	c.mutex.Unlock()
	c.flush()
}

// hold goes back to before the target is known.
func (c *console) hold() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.open = false
}

// flush prints what is held, and leaves no bar for what comes next.
func (c *console) flush() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.erase()
	c.open = true
	for _, line := range c.held {
		c.write(line)
	}
	c.held = nil
}

func (c *console) warn(format string, args ...any) { c.say("warning: " + fmt.Sprintf(format, args...)) }
func (c *console) note(format string, args ...any) { c.say("note: " + fmt.Sprintf(format, args...)) }

func (c *console) hint(text hint.Text) { c.say("hint: " + string(text)) }
func (c *console) next(text hint.Text) { c.print("next: " + string(text) + "\n") }

func (c *console) say(line string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if !c.open {
		c.held = append(c.held, line+"\n")
		return
	}
	c.write(line + "\n")
}

func (c *console) print(text string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.write(text)
}

func (c *console) write(text string) {
	c.erase()
	c.spoke = time.Now()
	line := strings.TrimRight(text, "\n")
	_, _ = io.WriteString(c.w, redact.Visible(line)+text[len(line):])
}

func (c *console) erase() {
	if c.bar {
		_, _ = io.WriteString(c.w, "\r\x1b[K")
		c.bar = false
	}
}

// belowBar is stdout, which may be the same terminal as stderr: before anything is written
// there the console takes its bar away.
type belowBar struct {
	io.Writer
	console *console
}

func (b belowBar) Write(text []byte) (int, error) {
	b.console.mutex.Lock()
	defer b.console.mutex.Unlock()
	b.console.erase()
	return b.Writer.Write(text)
}

// working draws on a terminal, once a second has passed without a word, that requests are
// made: so no wait is silent, whatever it is for.
func (c *console) working() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	now := time.Now()
	c.requests++
	if !c.terminal || !c.open || c.counting || now.Sub(c.spoke) < time.Second || now.Sub(c.drawn) < 100*time.Millisecond {
		return
	}
	c.drawn = now
	c.draw("working: " + hint.Count(c.requests, "request"))
}

// draw puts a line where the next one will stand.
func (c *console) draw(line string) {
	if c.width != nil && len(line) >= c.width() {
		return // a line that wraps could not be taken back
	}
	_, _ = fmt.Fprint(c.w, "\r\x1b[K"+line)
	c.bar = true
}

// show draws a bar on a terminal once a second has passed since the count began, which
// done 0 does.
func (c *console) show(what string, done, total int) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	now := time.Now()
	if done == 0 {
		c.began, c.drawn = now, time.Time{}
	}
	c.counting = done < total
	if !c.terminal || now.Sub(c.began) < time.Second || now.Sub(c.drawn) < 100*time.Millisecond && done < total {
		return
	}
	c.drawn = now
	if done == total {
		c.write("")
		return
	}
	const width = 30
	full := done * width / total
	line := fmt.Sprintf("%s [%s%s] %d/%d", what, strings.Repeat("=", full), strings.Repeat(" ", width-full), done, total)
	if c.width != nil && len(line) >= c.width() {
		line = fmt.Sprintf("%d/%d", done, total)
	}
	c.draw(line)
}
