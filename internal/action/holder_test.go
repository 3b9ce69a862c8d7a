// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile/faultfs"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
)

const (
	keyBefore = "T5YHqGT4w7N1V6gJ0WG4c8uU5ZJbQ5q2h4w0m1V3X9g="
	keyFresh  = "u0aFh9o7n1tq0H9Bz2h6uI3m8aS5v0mYp4y1Wc7dR2Q="
)

// loaded gives the session of the .env in the current folder.
func loaded(t *testing.T, keyFile, variable string) *Session {
	t.Helper()
	machine := On(atomicfile.OS)
	machine.FernetKey = variable
	s, err := load(t.Context(), Request{Machine: machine, Paths: Paths{Env: DefaultEnv, KeyFile: keyFile}, Match: []string{"SECRET*"}, Tell: func(Event) {}}, Needs{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKeyHolder(t *testing.T) {
	const keys = "KEY=" + testKey + "\nKEY_PREVIOUS=" + keyBefore + "\n"
	for _, tc := range []struct {
		name, env, keyFile, variable string
		want                         string // the path, or the error
		hint                         string
	}{
		{name: "the .env", env: keys, want: ".env"},
		{name: "a key file", keyFile: keys, want: "keys"},
		{name: "a key file without keys beside", env: keys, keyFile: "# nothing\n", want: ".env"},
		{name: "the environment alone", variable: testKey, want: "the key is in FERNET_KEY alone: there is no file in which a new key could be kept", hint: "put KEY into .env, or into a --key-file, and unset FERNET_KEY"},
		{name: "the environment too", env: "KEY=" + testKey + "\n", variable: testKey, want: "the key is in .env and in FERNET_KEY too, which cannot be changed with it", hint: "unset FERNET_KEY FERNET_KEY_PREVIOUS"},
		{name: "two files", env: "KEY=" + testKey + "\n", keyFile: "KEY=" + testKey + "\n", want: "keys are in .env and in keys, which cannot be changed together", hint: "leave them in one of the two files"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			emptyFolder(t)
			put(t, ".env", tc.env+"SECRET_A=x\n")
			keyFile := ""
			if tc.keyFile != "" {
				keyFile = "keys"
				put(t, keyFile, tc.keyFile)
			}
			holder, err := loaded(t, keyFile, tc.variable).keyHolder()
			if tc.hint == "" {
				if err != nil || holder.Path != tc.want {
					t.Errorf("%q, %v", holder.Path, err)
				}
				return
			}
			if err == nil || err.Error() != tc.want || !strings.HasPrefix(string(hint.Of(err)), tc.hint) {
				t.Errorf("%v (%s), want %s (%s)", err, hint.Of(err), tc.want, tc.hint)
			}
		})
	}
}

func TestSaveOfAnEdit(t *testing.T) {
	emptyFolder(t)
	put(t, ".env", "# mine\nKEY="+testKey+"\nSECRET_A=x\nKEY_PREVIOUS="+keyBefore+"\n")
	s := loaded(t, "", "")
	holder, err := s.keyHolder()
	if err != nil {
		t.Fatal(err)
	}
	e, err := holder.Edit(keyring.Drop(holder.File))
	if err != nil || strings.Contains(get(t, ".env"), "mine\nKEY="+testKey+"\nSECRET_A=x\n\n") {
		t.Fatal(err)
	}
	before := get(t, ".env")
	if !strings.Contains(before, keyBefore) {
		t.Error("the edit was written before save")
	}
	if err := s.save(e); err != nil {
		t.Fatal(err)
	}
	if got, want := get(t, ".env"), "# mine\nKEY="+testKey+"\nSECRET_A=x\n"; got != want {
		t.Errorf("the file is\n%s", got)
	}
	if n := len(s.Project.Keys.IDs()); n != 1 {
		t.Errorf("the session goes on with %d keys", n)
	}
}

// What somebody changed meanwhile, and what cannot be written, stays as it is.
func TestSaveThatIsRefused(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(t *testing.T, s *Session)
		want  func(error) bool
	}{
		{"changed", func(t *testing.T, _ *Session) { put(t, ".env", "KEY="+testKey+"\nSECRET_A=y\n") },
			func(err error) bool {
				return err.Error() == ".env changed while this run was under way; it was not touched" && hint.Of(err) != ""
			}},
		{"gone", func(t *testing.T, _ *Session) {
			if err := os.Remove(".env"); err != nil {
				t.Fatal(err)
			}
		}, func(err error) bool {
			return errors.Is(err, fs.ErrNotExist) || errors.Is(err, atomicfile.ErrChanged) || hint.Of(err) != ""
		}},
		{"the disk is full", func(_ *testing.T, s *Session) { s.Files = &faultfs.FS{FailAt: 4} }, func(err error) bool { return errors.Is(err, faultfs.ErrFault) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			emptyFolder(t)
			put(t, ".env", "KEY="+testKey+"\nSECRET_A=x\n")
			s := loaded(t, "", "")
			holder, err := s.keyHolder()
			if err != nil {
				t.Fatal(err)
			}
			e, err := holder.Edit(keyring.Stage(holder.File, keyFresh)...)
			if err != nil {
				t.Fatal(err)
			}
			tc.spoil(t, s)
			err = s.save(e)
			if err == nil || !tc.want(err) {
				t.Errorf("%v", err)
			}
			if data, _ := os.ReadFile(".env"); strings.Contains(string(data), keyFresh) || len(s.Project.Keys.IDs()) != 1 {
				t.Error("the edit was taken all the same")
			}
		})
	}
}

// A key file that holds a key and nothing else becomes one with variables where it is changed.
func TestEditOfABareKeyFile(t *testing.T) {
	emptyFolder(t)
	put(t, ".env", "SECRET_A=x\n")
	put(t, "keys", testKey+"\n")
	s := loaded(t, "keys", "")
	holder, err := s.keyHolder()
	if err != nil {
		t.Fatal(err)
	}
	e, err := holder.Edit(keyring.Stage(holder.File, keyFresh)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.save(e); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile("keys"); !strings.HasPrefix(string(text), "KEY="+testKey+"\n") || !strings.Contains(string(text), "KEY_NEXT="+keyFresh) {
		t.Error("the file was not rewritten with its variables")
	}
}

// An empty FERNET_KEY is named: whoever set it believes that it holds a key.
func TestEmptyFernetKeyIsNamed(t *testing.T) {
	for env, want := range map[string]string{"": "no key: .env does not exist, and FERNET_KEY is empty", "SECRET_A=x\n": ".env: no KEY in it, and FERNET_KEY is empty"} {
		emptyFolder(t)
		if env != "" {
			put(t, ".env", env)
		}
		machine := On(atomicfile.OS)
		machine.FernetKeyEmpty = true
		_, err := load(t.Context(), Request{Machine: machine, Paths: Paths{Env: DefaultEnv}, Tell: func(Event) {}}, Needs{Read: Keys})
		if !errors.Is(err, ErrKeyless) || err.Error() != want {
			t.Errorf("%v", err)
		}
	}
}
