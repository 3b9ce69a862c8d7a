// SPDX-License-Identifier: Apache-2.0

package decrypt_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
)

// environVector is a case of environ.json.
type environVector struct {
	vectorHead
	Environ      []string          `json:"environ"`
	Skip         []string          `json:"skip"`
	Require      []string          `json:"require"`
	Files        map[string][]byte `json:"files"`
	Globs        []string          `json:"globs"`
	DoubleBase64 bool              `json:"double_base64"`
	Opens        *struct {
		Environ []string `json:"environ"`
		openedEntries
	} `json:"opens"`
}

// openedEntries has the messages by their names, and the names of those that a
// previous key opened.
type openedEntries struct {
	Opened   map[string][]byte `json:"opened"`
	Previous []string          `json:"previous"`
}

func (v *environVector) check(t *testing.T) {
	v.wantComplete(t, v.Opens != nil)
	ring, err := decrypt.KeysFromEnviron(v.Environ)
	if err != nil {
		t.Fatalf("the keys: %v", err)
	}
	if v.DoubleBase64 {
		ring = ring.WithDoubleBase64()
	}
	given := append([]string(nil), v.Environ...)
	choices := []decrypt.Option{decrypt.Skip(v.Skip...), decrypt.Require(v.Require...)}
	if v.Files != nil {
		choices = append(choices, decrypt.AddDir(makeFolder(t, v.Files, nil), v.Globs...))
	}
	environ, secrets, err := ring.Environ(given, choices...)
	if !reflect.DeepEqual(given, v.Environ) {
		t.Error("the environment that was given is another now")
	}
	if err != nil || v.Opens == nil {
		v.wantRefused(t, err)
		if environ != nil || secrets != nil {
			t.Error("a result comes with the error")
		}
		return
	}
	if !reflect.DeepEqual(environ, v.Opens.Environ) {
		t.Errorf("environment:\n%q, want\n%q", environ, v.Opens.Environ)
	}
	v.Opens.want(t, secrets)
}

func (o openedEntries) want(t *testing.T, secrets decrypt.Secrets) {
	t.Helper()
	got := openedEntries{map[string][]byte{}, append([]string{}, secrets.Previous()...)}
	for name, result := range secrets {
		got.Opened[name] = result.Plaintext
	}
	if !reflect.DeepEqual(got, o) {
		t.Errorf("opened %q, want %q", got, o)
	}
}

// folderVector is a case of files.json.
type folderVector struct {
	vectorHead
	Primary  string            `json:"primary"`
	Previous []string          `json:"previous"`
	Files    map[string][]byte `json:"files"`
	Links    map[string]string `json:"links"`
	Large    map[string]int    `json:"large"`
	Through  string            `json:"through"`
	Globs    []string          `json:"globs"`
	Opens    *openedEntries    `json:"opens"`
}

func (v *folderVector) check(t *testing.T) {
	v.wantComplete(t, v.Opens != nil)
	ring, err := decrypt.ParseKeys(v.Primary, v.Previous...)
	if err != nil {
		t.Fatalf("the keys: %v", err)
	}
	for name, size := range v.Large {
		v.Files[name] = bytes.Repeat([]byte("A"), size)
	}
	if v.Through != "Dir" {
		files := fstest.MapFS{}
		for name, content := range v.Files {
			files[name] = &fstest.MapFile{Data: content}
		}
		secrets, err := ring.FS(files, v.Globs...)
		v.want(t, secrets, err)
	}
	if v.Through == "Dir" || v.Through == "" && v.hasFolders() {
		secrets, err := ring.Dir(makeFolder(t, v.Files, v.Links), v.Globs...)
		v.want(t, secrets, err)
	}
}

// hasFolders says whether a real folder may make a difference; the others are
// left to FS, for speed.
func (v *folderVector) hasFolders() bool {
	for name := range v.Files {
		if path.Dir(name) != "." {
			return true
		}
	}
	return false
}

func (v *folderVector) want(t *testing.T, secrets decrypt.Secrets, err error) {
	t.Helper()
	if err == nil && v.Opens != nil {
		v.Opens.want(t, secrets)
		return
	}
	v.wantRefused(t, err)
	if secrets != nil {
		t.Error("a result comes with the error")
	}
}

// makeFolder gives the path of a folder with files and links, or of none if
// files is nil.
func makeFolder(t *testing.T, files map[string][]byte, links map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if files == nil {
		return filepath.Join(dir, "none")
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		must(os.MkdirAll(filepath.Dir(file), 0o700))
		must(os.WriteFile(file, content, 0o600))
	}
	for name, target := range links {
		must(os.Symlink(filepath.FromSlash(target), filepath.Join(dir, name)))
	}
	return dir
}

// keySourceVector is a case of key-source.json.
type keySourceVector struct {
	vectorHead
	Source  string            `json:"source"`
	Environ []string          `json:"environ"`
	Files   map[string][]byte `json:"files"`
	Links   map[string]string `json:"links"`
	Content *[]byte           `json:"content"`
	KeyIDs  []string          `json:"key_ids"`
}

func (v *keySourceVector) check(t *testing.T) {
	v.wantComplete(t, v.KeyIDs != nil)
	ring, err := v.keys(t)
	if err == nil && v.KeyIDs != nil {
		if got := ring.KeyIDs(); !reflect.DeepEqual(got, v.KeyIDs) {
			t.Errorf("keys %q, want %q", got, v.KeyIDs)
		}
		return
	}
	v.wantRefused(t, err)
	if ring != nil {
		t.Error("a keyring comes with the error")
	}
}

func (v *keySourceVector) keys(t *testing.T) (*decrypt.Keyring, error) {
	t.Helper()
	switch v.Source {
	case "environ":
		return decrypt.KeysFromEnviron(v.Environ)
	case "folder":
		return decrypt.KeysFromDir(makeFolder(t, v.Files, v.Links))
	case "file":
		if v.Content == nil {
			return decrypt.KeysFromFile(filepath.Join(t.TempDir(), "none"))
		}
		return decrypt.KeysFromFile(filepath.Join(makeFolder(t, map[string][]byte{"keys": *v.Content}, nil), "keys"))
	}
	t.Fatalf("source %q", v.Source)
	return nil, nil
}

// classifyPlace gives an error about a place, not about a key or token, as a
// vector has it; name is that of the entry. What was asked for itself has none.
func classifyPlace(err error, name string) refused {
	if filepath.IsAbs(name) {
		name = ""
	}
	var bad *decrypt.NameError
	switch {
	case errors.Is(err, path.ErrBadPattern):
		return refused{Error: "glob"}
	case errors.As(err, &bad):
		return refused{Error: nameClasses[bad.Reason], Name: name}
	case errors.Is(err, decrypt.ErrNotSealed):
		return refused{Error: "not-sealed", Name: name}
	case errors.Is(err, decrypt.ErrNoFiles):
		return refused{Error: "file/none", Name: name}
	case errors.Is(err, fs.ErrNotExist):
		return refused{Error: "file/missing", Name: name}
	case errors.Is(err, decrypt.ErrTooLarge):
		return refused{Error: "file/too-large", Name: name}
	case strings.HasSuffix(err.Error(), ": not a regular file"):
		return refused{Error: "file/not-regular", Name: name}
	}
	return refused{Error: "an error of no class"}
}

var nameClasses = map[decrypt.NameReason]string{
	decrypt.NameObeyed: "name/obeyed",
	decrypt.NameTaken:  "name/taken",
	decrypt.NameEquals: "name/equals",
}
