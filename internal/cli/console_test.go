// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheTargetComesFirst(t *testing.T) {
	var out bytes.Buffer
	c := newConsole(&out)
	c.warn("%d", 1)
	c.note("%s", "two")
	c.say("three")
	if out.Len() > 0 {
		t.Errorf("before the target is known: %q", &out)
	}
	c.begin("target: x")
	c.note("four")
	c.print("no line end")
	if want := "target: x\nwarning: 1\nnote: two\nthree\nnote: four\nno line end"; out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
}

func TestWhatWasHeldIsToldWithoutATarget(t *testing.T) {
	var out bytes.Buffer
	c := newConsole(&out)
	c.warn("a")
	c.note("b")
	c.flush()
	c.flush()
	c.say("c")
	if want := "warning: a\nnote: b\nc\n"; out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
}

func TestAFileIsNoTerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if newConsole(f).terminal || newConsole(&bytes.Buffer{}).terminal {
		t.Error("a file or a buffer is taken for a terminal")
	}
}

// screen gives what a terminal shows after text.
func screen(text string) string {
	const erase = "\r\x1b[K"
	var shown string
	for i, part := range strings.Split(text, erase) {
		if i > 0 {
			shown = shown[:strings.LastIndexByte(shown, '\n')+1]
		}
		shown += part
	}
	return shown
}

// TestProgress runs in a bubble, where a second of sleep takes no time and ends
// exactly then.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		c := &console{w: &out, terminal: true}
		c.begin("target: x")
		shows := func(when, want string) {
			t.Helper()
			if got := screen(out.String()); got != "target: x\n"+want {
				t.Errorf("%s: %q", when, got)
			}
		}
		bar := c.progress("creating", 10)
		time.Sleep(time.Second - 1)
		bar(1)
		shows("within a second", "")
		time.Sleep(time.Nanosecond)
		bar(2)
		shows("after a second", "creating [======                        ] 2/10")
		time.Sleep(100*time.Millisecond - 1)
		bar(3)
		shows("too soon", "creating [======                        ] 2/10")
		time.Sleep(time.Nanosecond)
		bar(4)
		shows("a tenth of a second later", "creating [============                  ] 4/10")
		c.say("a line")
		shows("after a line", "a line\n")
		time.Sleep(time.Second)
		bar(9)
		shows("below the line", "a line\ncreating [===========================   ] 9/10")
		bar(10)
		shows("when all is done", "a line\n")
		c.print("summary\n")
		shows("at the end", "a line\nsummary\n")
	})
}

func TestProgressOfWhatIsQuickOrNotWatched(t *testing.T) {
	for _, c := range []struct {
		terminal bool
		takes    time.Duration
	}{{true, time.Second - 1}, {false, time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			bar := (&console{w: &out, terminal: c.terminal}).progress("creating", 2)
			bar(1)
			time.Sleep(c.takes)
			bar(1)
			bar(2)
			if out.Len() > 0 {
				t.Errorf("terminal %v, %s: wrote %q", c.terminal, c.takes, &out)
			}
		})
	}
}

func TestConsoleFromManyGoroutines(t *testing.T) {
	var out bytes.Buffer
	c := newConsole(&out)
	var talkers sync.WaitGroup
	for i := range 8 {
		talkers.Go(func() {
			if i == 4 {
				c.begin("target: x")
			}
			for j := range 50 {
				c.note("%d-%d", i, j)
			}
		})
	}
	talkers.Wait()
	lines := map[string]int{}
	for _, line := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
		lines[line]++
	}
	for i := range 8 {
		for j := range 50 {
			if n := lines[fmt.Sprintf("note: %d-%d", i, j)]; n != 1 {
				t.Fatalf("note %d-%d is there %d times", i, j, n)
			}
		}
	}
	if !strings.HasPrefix(out.String(), "target: x\n") || len(lines) != 401 {
		t.Errorf("%d lines, the first %.20q", len(lines), out.String())
	}
}

// progress gives a function to call with the count of what is done.
func (c *console) progress(what string, total int) func(done int) {
	c.show(what, 0, total)
	return func(done int) { c.show(what, done, total) }
}

// Requests that go on for longer than a second without a word are shown on a terminal, and
// leave no trace there; elsewhere nothing is.
func TestRequestsAreShownAfterASecond(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		var out strings.Builder
		c := &console{w: &out, terminal: terminal, open: true}
		c.say("target")
		c.working()
		if out.String() != "target\n" {
			t.Errorf("at once: %q", out.String())
		}
		c.spoke = time.Now().Add(-2 * time.Second)
		c.working()
		c.working() // too soon for another line
		c.say("done")
		want := "target\n"
		if terminal {
			want += "\r\x1b[Kworking: 2 requests\r\x1b[K"
		}
		if got := out.String(); got != want+"done\n" {
			t.Errorf("terminal %v: %q", terminal, got)
		}
	}
}

// The bar is gone before stdout goes on at the same place, and at the end.
func TestNoBarStaysBeforeStdout(t *testing.T) {
	var terminal strings.Builder
	c := &console{w: &terminal, terminal: true, open: true}
	stdout := belowBar{&terminal, c}
	c.working()
	_, _ = fmt.Fprintln(stdout, "NAME")
	_, _ = fmt.Fprintln(stdout, "SECRET_A")
	c.drawn = time.Time{}
	c.working()
	c.flush()
	if want := "\r\x1b[Kworking: 1 request\r\x1b[KNAME\nSECRET_A\n\r\x1b[Kworking: 2 requests\r\x1b[K"; terminal.String() != want {
		t.Errorf("%q, want %q", &terminal, want)
	}
}
