// SPDX-License-Identifier: Apache-2.0

package hint_test

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

// reader is a bash that reads words as they would be typed. It is restricted and finds no
// program, so that a word which it does not take as one can do nothing.
type reader struct {
	in  io.Writer
	out *bufio.Reader
}

func newReader(f *testing.F) *reader {
	f.Helper()
	cmd := exec.Command("bash", "--noprofile", "--norc", "-r", "-c", `while IFS= read -r line; do eval "set -- $line"; printf '%s\0' "$#" "$1"; done`)
	cmd.Env, cmd.Dir = []string{"PATH=/nowhere"}, f.TempDir()
	in, err := cmd.StdinPipe()
	if err != nil {
		f.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _, _ = in.Close(), cmd.Wait() })
	return &reader{in, bufio.NewReader(out)}
}

// read gives how many words a line has, and the first.
func (r *reader) read(line string) (count, word string, err error) {
	if _, err = io.WriteString(r.in, line+"\n"); err == nil {
		count, err = r.out.ReadString(0)
	}
	if err == nil {
		word, err = r.out.ReadString(0)
	}
	return strings.TrimSuffix(count, "\x00"), strings.TrimSuffix(word, "\x00"), err
}

// FuzzWord: bash reads each word that was quoted as that one word, and a terminal shows it on
// one line.
func FuzzWord(f *testing.F) {
	for _, word := range append(hostile, "-x", "=a", "a=~", "~", "a:~/b", "[a]", "{a..c}", "!$", "\u00a0", "\U0001f600", "é\xff'", "$'x'", `\`) {
		f.Add(word)
	}
	bash := newReader(f)
	f.Fuzz(func(t *testing.T, word string) {
		if strings.Contains(word, "\x00") {
			return // no argument of a program has one
		}
		quoted := string(hint.Word(word))
		if !hint.Shown(quoted) {
			t.Fatalf("%q is not shown as it is: %q", word, quoted)
		}
		if count, got, err := bash.read(quoted); err != nil || count != "1" || got != word {
			t.Errorf("%q as %s: bash reads %s words, the first %q, %v", word, quoted, count, got, err)
		}
		if list := fmt.Sprint(hint.Format("a %s", word)); list != "a "+quoted {
			t.Errorf("in a hint it is %s", list)
		}
	})
}
