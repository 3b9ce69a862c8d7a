// SPDX-License-Identifier: Apache-2.0

package hint_test

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

// hostile are words that a shell must take as they are.
var hostile = []string{
	"", "a", "a b", "$(touch pwned)", "`touch pwned`", "a;touch pwned", "a'b", `a\b`, "a\nb", "\x1b[2Jx", "a\rb", "\u202eb", "~root", "*", "=ls",
	"#x", "!!", "-n", "a\xffb", "'\x1b'", `\'$(touch pwned)`, "{a,b}", "é", "a=b", "a\u009bb",
}

// bash reads each word back as it was, and executes nothing.
func TestWordIsOneWordOfBash(t *testing.T) {
	for _, word := range hostile {
		cmd := exec.Command("bash", "-c", "printf '%s' "+string(hint.Word(word)))
		cmd.Dir = t.TempDir()
		got, err := cmd.Output()
		if err != nil || string(got) != word {
			t.Errorf("%q as %s: bash reads %q, %v", word, hint.Word(word), got, err)
		}
		if left, _ := exec.Command("ls", cmd.Dir).Output(); len(left) > 0 {
			t.Errorf("%q: something was executed", word)
		}
		if !hint.Shown(string(hint.Word(word))) {
			t.Errorf("%q is not shown as it is: %q", word, hint.Word(word))
		}
	}
}

func TestFormatQuotesWhatIsNoText(t *testing.T) {
	bad := "$(x)"
	for got, want := range map[hint.Text]hint.Text{
		hint.Format("a %s", bad):                                 "a '$(x)'",
		hint.Format("a %s", hint.Text(bad)):                      "a $(x)",
		hint.Format("a %s", errors.New(bad)):                     "a '$(x)'",
		hint.Format("a %d %s", 3, hint.List([]string{"b", bad})): "a 3 b, '$(x)'",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestWithKeepsTheError(t *testing.T) {
	cause := errors.New("cause")
	err := hint.With(cause, "type %s", "a b")
	var way interface{ Hint() hint.Text }
	if !errors.Is(err, cause) || !errors.As(err, &way) || way.Hint() != "type 'a b'" || !strings.Contains(err.Error(), "cause") {
		t.Errorf("%v", err)
	}
}
