// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func writeTemp(t *testing.T, content string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.env")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// refused asserts an *Error about a path, with this message and hint.
func refused(t *testing.T, err error, path, message, hint string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Path != path || e.Message != message || string(e.Way) != hint || e.Line != 0 {
		t.Errorf("%#v; want %q, hint %q", err, message, hint)
	}
}

func TestReadFile(t *testing.T) {
	content := "\ufeffA=b\r\n# c"
	f, data, err := ReadFile(writeTemp(t, content, 0o600))
	if err != nil || string(data) != content || len(f.Entries) != 1 || len(f.Warnings) != 0 {
		t.Errorf("%+v, %q, %v", f, data, err)
	}
	path := writeTemp(t, "# nothing yet\n", 0o600)
	if f, _, err := ReadFile(path); err != nil || len(f.Entries) != 0 || f.Path != path {
		t.Errorf("only comments: %+v, %v", f, err)
	}
	var e *Error
	if _, data, err := ReadFile(writeTemp(t, "\n"+canary, 0o600)); !errors.As(err, &e) || e.Line != 2 || data != nil {
		t.Errorf("%q, %v", data, err)
	}
}

func TestOriginalFile(t *testing.T) {
	f, _, err := ReadFile("../../testdata/original.env")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range f.Entries {
		names = append(names, e.Name)
	}
	if got := strings.Join(names, " "); got != "KEY CLUSTER_NAME SECRET-TEST-1 SECRET-TEST-2" {
		t.Error(got)
	}
	if e, _ := f.Lookup("SECRET-TEST-2"); e.Value.Reveal() != "a004ce4c-f22d-46a1-ad39-f9c2a0a31619" || e.Line != 4 {
		t.Errorf("line %d", e.Line)
	}
}

func TestReadFileRefuses(t *testing.T) {
	folder := t.TempDir()
	_, _, err := ReadFile(folder)
	refused(t, err, folder, "is a directory", "name the file in it: --env "+folder+"/.env")

	missing := filepath.Join(folder, "it's")
	_, _, err = ReadFile(missing)
	refused(t, err, missing, "no such file", `kubectl fernet init --env '`+folder+`/it'\''s'`)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("the cause is lost")
	}
	t.Chdir(folder)
	_, _, err = ReadFile(".env")
	refused(t, err, ".env", "no such file", "kubectl fernet init")

	empty := writeTemp(t, "", 0o600)
	_, _, err = ReadFile(empty)
	refused(t, err, empty, "is empty", "kubectl fernet init --env "+empty)
	if !errors.Is(err, ErrEmpty) {
		t.Error("not ErrEmpty")
	}
	largest := writeTemp(t, "A="+strings.Repeat("b", MaxSize-2), 0o600)
	if _, data, err := ReadFile(largest); err != nil || len(data) != MaxSize {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	large := writeTemp(t, "A="+strings.Repeat("b", MaxSize-1), 0o600)
	_, _, err = ReadFile(large)
	refused(t, err, large, "has 8388609 bytes; an .env has at most 8388608", "is this the right file?")
	_, _, err = ReadFile(large + "/x")
	refused(t, err, large+"/x", "not a directory", "")
}

// Root can open everything, so the mapping is tested apart from the opening.
func TestOpenErrorPermission(t *testing.T) {
	err := openError(".env", &fs.PathError{Op: "open", Path: ".env", Err: fs.ErrPermission})
	refused(t, err, ".env", "permission denied", "chmod 600 .env")
}

// meddled is an open file that something happens to while it is read.
type meddled struct {
	*os.File
	meddle func()
}

func (m *meddled) Read(p []byte) (int, error) {
	if m.meddle != nil {
		m.meddle()
		m.meddle = nil
	}
	return m.File.Read(p)
}

func TestChangedWhileRead(t *testing.T) {
	other := writeTemp(t, "A=b\n", 0o600)
	write := func(content string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(content), 0o600) }
	}
	later := func(path string) error { return os.Chtimes(path, time.Time{}, time.Unix(2, 0)) }
	sameTick := func(meddle func(string) error) func(string) error {
		return func(path string) error {
			return errors.Join(meddle(path), os.Chtimes(path, time.Time{}, time.Unix(1, 0)))
		}
	}
	tests := map[string]struct {
		meddle func(path string) error
		stat   string // "": the file itself
		want   bool
	}{
		"not at all":   {sameTick(write("A=b\n")), "", false},
		"rewritten":    {later, "", true},
		"grown":        {sameTick(write("A=b\nC=d\n")), "", true},
		"shrunk":       {sameTick(write("A")), "", true},
		"another file": {sameTick(write("A=b\n")), other, true},
	}
	for name, tt := range tests {
		path := writeTemp(t, "A=b\n", 0o600)
		f, err := os.Open(path)
		if err := errors.Join(err, os.Chtimes(path, time.Time{}, time.Unix(1, 0))); err != nil {
			t.Fatal(err)
		}
		before, err := os.Stat(path)
		if tt.stat != "" {
			before, err = os.Stat(tt.stat)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = readWhole(path, before, &meddled{f, func() {
			if err := tt.meddle(path); err != nil {
				t.Error(err)
			}
		}})
		if tt.want {
			refused(t, err, path, "changed while it was read", "run the command again")
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
