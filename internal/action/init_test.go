// SPDX-License-Identifier: Apache-2.0

package action

import (
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

func TestAddLines(t *testing.T) {
	for _, c := range []struct{ name, old, want string }{
		{"no file", "absent", "a\n*.b\n"},
		{"empty", "", "a\n*.b\n"},
		{"other lines", "x\n", "x\na\n*.b\n"},
		{"no last line end", "x", "x\na\n*.b\n"},
		{"one there", "*.b\nx\n", "*.b\nx\na\n"},
		{"all there", "*.b\n\n# x\na", "*.b\n\n# x\na"},
		{"CRLF", "a\r\n*.b\r\n", "a\r\n*.b\r\n"},
		{"CRLF, one missing", "a\r\nx\r\n", "a\r\nx\r\n*.b\n"},
		{"in a comment, or in part", "#a\nab\n!a\n", "#a\nab\n!a\na\n*.b\n"},
	} {
		emptyFolder(t)
		mode := fs.FileMode(0o644)
		if c.old != "absent" {
			put(t, "file", c.old)
			mode = 0o600
		}
		for range 2 { // the second time changes nothing
			if err := On(atomicfile.OS).addLines("file", []string{"a", "*.b"}); err != nil {
				t.Fatal(err)
			}
			if got := get(t, "file"); got != c.want {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
		}
		if info, err := os.Stat("file"); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", c.name, info.Mode(), err)
		}
	}
	if err := os.Mkdir("folder", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := On(atomicfile.OS).addLines("folder", []string{"a"}); err == nil {
		t.Error("a folder took lines")
	}
}

// What editors leave beside a .env is ignored too, whatever its name has in it.
func TestIgnoreLines(t *testing.T) {
	for _, name := range []string{".env", "staging.env", "#a", "!a", `a\b*c?[d] e`, "a#b", "a "} {
		emptyFolder(t)
		if out, err := exec.Command("git", "init", "-q", ".").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if err := On(atomicfile.OS).gitInit(name); err != nil {
			t.Fatal(err)
		}
		swap := "." + strings.TrimPrefix(name, ".")
		for _, file := range []string{name, name + "~", name + ".bak", name + ".orig", name + ".save", swap + ".swp", swap + ".swo", "#" + name + "#", ".#" + name, name + ".fernet-tmp"} {
			if err := exec.Command("git", "check-ignore", "--quiet", "--", file).Run(); err != nil {
				t.Errorf("%q is not ignored: %v\n%s", file, err, get(t, ".gitignore"))
			}
		}
		for _, file := range []string{"x" + name, name + "x", "fernet-ledger.csv", ".gitignore"} {
			if err := exec.Command("git", "check-ignore", "--quiet", "--", file).Run(); err == nil {
				t.Errorf("%q is ignored", file)
			}
		}
	}
}

func TestExisting(t *testing.T) {
	emptyFolder(t)
	put(t, "empty", "")
	put(t, "some", "# x\nA=1\n")
	put(t, "bom", "\ufeff")
	put(t, "key", "A=1\nKEY=\n")
	put(t, "previous", "KEY_PREVIOUS="+testKey)
	put(t, "next", "\n\nKEY_NEXT="+testKey)
	put(t, "broken", "a line")
	if err := os.Symlink("absent", "link"); err != nil {
		t.Fatal(err)
	}
	const nothing = "; nothing was written"
	for _, c := range []struct{ file, want, err, hint string }{
		{"absent", "<nil>", "", ""},
		{"empty", "", "", ""},
		{"some", "# x\nA=1\n", "", ""},
		{"bom", "\ufeff", "", ""},
		{"key", "<nil>", "key:2: it has a KEY already" + nothing, "kubectl fernet push --env key"},
		{"previous", "<nil>", "previous:1: it has a KEY_PREVIOUS already" + nothing, "kubectl fernet push --env previous"},
		{"next", "<nil>", "next:3: it has a KEY_NEXT already" + nothing, "kubectl fernet push --env next"},
		{"broken", "<nil>", "broken:1: no `=` in this line", "a line is NAME=VALUE"},
		{"link", "<nil>", "link: a symbolic link to a file that does not exist", "create that file"},
	} {
		file, got, err := existing(c.file)
		if err == nil {
			if _, _, err = (Init{Env: c.file}).variables(file); err != nil {
				got = nil
			}
		}
		text := string(got)
		if got == nil {
			text = "<nil>"
		}
		if text != c.want {
			t.Errorf("%s: %q, want %q", c.file, text, c.want)
		}
		switch {
		case c.err == "" && err != nil, c.err != "" && (err == nil || !strings.HasPrefix(err.Error(), c.err) || !strings.HasPrefix(string(hint.Of(err)), c.hint)):
			t.Errorf("%s: %v, %s", c.file, err, hint.Of(err))
		}
	}
}
