// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"reflect"
	"strings"
	"testing"
)

// The environment of the command, without PATH, after --rename.
func TestRename(t *testing.T) {
	a, b := "A="+sealed(t, "a", 0), "B="+sealed(t, "b", 0)
	dir := folder(t, "f.file", sealed(t, "f", 0), "g", sealed(t, "old", 1))
	for _, tt := range []struct {
		name  string
		env   []string
		args  string
		want  []string
		notes string
	}{
		{"a variable, in its place", []string{a, b, "Z=z"}, "N=A", []string{"N=a", "B=b", "Z=z"}, ""},
		{"a file", []string{a}, "N=f.file", []string{"A=a", "N=f", "g=old"}, "g"},
		{"the note has the old name", nil, "N=g", []string{"f.file=f", "N=old"}, "g"},
		{"two names for one", []string{a, b}, "N=A M=A", []string{"N=a", "M=a", "B=b"}, ""},
		{"it stays, and has another", []string{a}, "A=A N=A", []string{"A=a", "N=a"}, ""},
		{"said twice", []string{a}, "N=A N=A", []string{"N=a"}, ""},
		{"swap", []string{a, b}, "A=B B=A", []string{"B=a", "A=b"}, ""},
		{"swap with a file", []string{a}, "A=f.file f.file=A", []string{"f.file=a", "A=f", "g=old"}, "g"},
		{"in a row", []string{a, b}, "B=A C=B", []string{"B=a", "C=b"}, ""},
		{"from a name that is obeyed", []string{"HOME=" + a[2:]}, "N=HOME", []string{"N=a"}, ""},
		{"to a name that is obeyed", []string{a}, "NODE_OPTIONS=A", []string{"NODE_OPTIONS=a"}, ""},
		{"a name as globs have it", []string{`[*?\=` + a[2:], "B=plain"}, `N=[*?\`, []string{"N=a", "B=plain"}, ""},
		{"an odd new name", []string{a}, "a b.c-ü=A", nil, ""}, // its argument has a blank
	} {
		t.Run(tt.name, func(t *testing.T) {
			var args []string
			for _, arg := range strings.Fields(tt.args) {
				args = append(args, "--rename", arg)
			}
			if tt.want == nil {
				args, tt.want = []string{"--rename", tt.args}, []string{"a b.c-ü=a"}
			}
			if tt.name == "a file" || tt.notes != "" {
				args = append(args, "--dir", dir)
			}
			stdout, stderr, code := finish(t, start(tt.env, append(args, "env", "-0")...))
			_, got, _ := strings.Cut(stdout, "\x00")
			if want := strings.Join(tt.want, "\x00") + "\x00"; code != 0 || got != want {
				t.Errorf("code %d, %q; the command's environment is %q, want %q", code, stderr, got, want)
			}
			if notes := "fernet-exec: a previous key is still needed, for: " + tt.notes + "\n"; (tt.notes != "" || stderr != "") && stderr != notes {
				t.Errorf("stderr %q, want %q", stderr, notes)
			}
		})
	}
}

// Of two variables with one name, each moves; getenv(3) goes on to find the first.
// (os/exec starts no command with two.)
func TestRenameOfTwoWithOneName(t *testing.T) {
	environ := append([]string{"A=" + sealed(t, "first", 0), "no variable", "A=" + sealed(t, "second", 0)}, keys...)
	o, err := parse([]string{"--rename", "N=A", "true"})
	if err != nil {
		t.Fatal(err)
	}
	env, opened, err := o.open(environ, io.Discard)
	if want := append([]string{"N=first", "no variable", "N=second"}, keys...); err != nil || !reflect.DeepEqual(env, want) {
		t.Errorf("%q, %v; want %q", env, err, want)
	}
	if len(opened) != 1 || string(opened["N"].Plaintext) != "first" {
		t.Errorf("opened %v", opened)
	}
}

func TestRenameRefuses(t *testing.T) {
	token, foreign := sealed(t, canary, 0), sealed(t, canary, 5)
	a, b := "A="+token, "B="+token
	const all, already = " would all have this name", "a variable or file has this name already"
	for _, tt := range []struct {
		name string
		env  []string
		args string
		want []string // lines of stderr: how each begins, behind "fernet-exec: "
	}{
		{"nothing there", []string{a}, "N=X", []string{"X: --rename: no variable"}},
		{"each name that is not there", []string{a}, "N=X M=X O=Y", []string{"X: --rename: no variable", "Y: --rename: no variable"}},
		{"plain", []string{"A=changeme"}, "N=A", []string{"A: not sealed, and --rename moves opened values alone"}},
		{"does not open", []string{"A=" + foreign}, "N=A", []string{"A: no key opens"}},
		{"skipped", []string{a}, "--skip=A N=A", []string{"A: --rename: no variable"}},
		{"two values", []string{a, b}, "N=A N=B", []string{"N: --rename: A, B" + all}},
		{"two values and a third", []string{a, b, "N=x"}, "N=A N=B", []string{"N: --rename: " + already}},
		{"a plain variable", []string{a, "N=x"}, "N=A", []string{"N: --rename: " + already}},
		{"a sealed variable", []string{a, b}, "B=A", []string{"B: --rename: " + already}},
		{"a skipped variable", []string{a, b}, "--skip=B B=A", []string{"B: --rename: " + already}},
		{"a variable that also stays", []string{a, b}, "B=A B=B", []string{"B: --rename: " + already}},
		{"half a swap, twice", []string{a, b, "C=x", "D=x"}, "C=A D=B", []string{"C: --rename: " + already, "D: --rename: " + already}},
		{"PATH", []string{a}, "PATH=A", []string{"PATH: --rename: " + already}},
		{"a file", []string{a}, "--dir=DIR f=A", []string{"f: --rename: " + already}},
		{"file and variable of one name", []string{"f=" + token}, "--dir=DIR N=f", []string{"DIR/f: the environment has a variable"}},
		{"both kinds", []string{a, b}, "N=X B=A", []string{"X: --rename: no", "B: --rename: " + already}},
		{"no =", []string{a}, "A", []string{`invalid value "A" for flag -rename: it is not NEW=OLD`}},
		{"no new name", []string{a}, "=A", []string{`invalid value "=A" for flag -rename: it is not NEW=OLD`}},
		{"no old name", []string{a}, "N=", []string{`invalid value "N=" for flag -rename: it is not NEW=OLD`}},
		{"the key", []string{a}, "FERNET_KEY=A", []string{`invalid value "FERNET_KEY=A" for flag -rename: these names are for keys`}},
		{"the previous keys", []string{a}, "FERNET_KEY_PREVIOUS=A", []string{`invalid value "FERNET_KEY_PREVIOUS=A" for flag -rename: these names`}},
		{"from the key", []string{a}, "N=FERNET_KEY", []string{"FERNET_KEY: --rename: no variable"}},
		{"a token in place of its name", []string{a}, "N=" + token, []string{"a name that has a token in it: --rename: no variable"}},
		{"a token alone", []string{a}, strings.TrimRight(token, "="), []string{`invalid value "(a token)" for flag -rename: it is not`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := folder(t, "f", token)
			var args []string
			for _, arg := range strings.Fields(strings.Replace(tt.args, "DIR", dir, 1)) {
				if !strings.HasPrefix(arg, "--") {
					args = append(args, "--rename")
				}
				args = append(args, arg)
			}
			stdout, stderr, code := finish(t, start(tt.env, append(args, ran...)...))
			told, _, _ := strings.Cut(stderr, "usage: ")
			lines := strings.Split(strings.TrimSuffix(told, "\n"), "\n")
			if code != 125 || stdout != "" || len(lines) != len(tt.want) {
				t.Fatalf("code %d, stdout %q, stderr %q; want %q", code, stdout, told, tt.want)
			}
			for i, want := range tt.want {
				if want = "fernet-exec: " + strings.Replace(want, "DIR", dir, 1); !strings.HasPrefix(lines[i], want) {
					t.Errorf("stderr %q, want %q", lines[i], want)
				}
			}
			for _, hidden := range []string{canary, token[10:30], foreign[10:30], "changeme"} {
				if strings.Contains(stderr, hidden) {
					t.Errorf("stderr shows %q", hidden)
				}
			}
		})
	}
}
