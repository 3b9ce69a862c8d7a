// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fernet/fernet-go"
)

func TestEachCheckIsHeldByAVector(t *testing.T) {
	var table bytes.Buffer
	if err := run(t.Context(), filepath.Join("..", "..", "decrypt"), &table); err != nil {
		t.Errorf("%v; see which: go run ./hack/vectors\n%s", err, lines(table.String(), "NONE"))
	}
	for edit, reason := range unseen {
		if !strings.Contains(lines(table.String(), edit+" "), "  -    ("+reason+")\n") {
			t.Errorf("listed as unseen, and it is seen or not there: %s", edit)
		}
	}
}

// A module of two checks, of which its vectors hold one.
func TestACheckThatNothingHoldsIsFound(t *testing.T) {
	module := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":  "module example.test/decrypt\n\ngo 1.18\n",
		"open.go": "package decrypt\n\nfunc open(n int) bool {\n\tif n == 1 {\n\t\treturn false\n\t}\n\tif n == 2 {\n\t\treturn false\n\t}\n\treturn true\n}\n",
		"vectors_test.go": "package decrypt\n\nimport \"testing\"\n\nfunc TestVectors(t *testing.T) {\n\tfor n, want := range []bool{true, false} {\n" +
			"\t\tt.Run(string(rune('a'+n)), func(t *testing.T) {\n\t\t\tif open(n) != want {\n\t\t\t\tt.Fail()\n\t\t\t}\n\t\t})\n\t}\n}\n",
	} {
		if err := os.WriteFile(filepath.Join(module, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var table bytes.Buffer
	if err := run(t.Context(), module, &table); err == nil {
		t.Fatal("no error")
	}
	if got := lines(table.String(), "NONE"); strings.Count(got, "\n") != 1 || !strings.Contains(got, "open: n == 2: never") {
		t.Errorf("found: %s", got)
	}
	for _, want := range []string{"open: n == 1: never", "open: n == 1: always", "open: n == 2: always"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("not tried: %s", want)
		}
	}
	if err := run(t.Context(), t.TempDir(), io.Discard); err == nil || !strings.Contains(err.Error(), "no checks found") {
		t.Errorf("an empty folder: %v", err)
	}
}

// lines gives those of a text that have word in them.
func lines(text, word string) string {
	var found strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			found.WriteString(line)
		}
	}
	return found.String()
}

// Each case says what fernet-go does with it; the vectors' own generator sees to
// what Python does.
func TestWhatVectorsSayOfFernetGo(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "decrypt", "testdata", "vectors", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors (%v)", err)
	}
	tried := map[string]int{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var group struct{ Cases []vector }
		if err := json.Unmarshal(content, &group); err != nil {
			t.Fatal(err)
		}
		for _, v := range group.Cases {
			if v.FernetGo == "" {
				continue
			}
			if got := v.fernetGo(); got != v.FernetGo {
				t.Errorf("%s: fernet-go %s, and the case says %s", v.ID, got, v.FernetGo)
			}
			tried[v.FernetGo]++
		}
	}
	t.Logf("%v", tried)
	for _, verdict := range []string{"agrees", "opens", "refuses", "crashes"} {
		if tried[verdict] == 0 {
			t.Errorf("no case says that fernet-go %s", verdict)
		}
	}
}

type vector struct {
	ID, Primary, Token string
	Previous           []string
	Opens              *struct{ Plaintext []byte }
	Error              string
	FernetGo           string `json:"fernet_go"`
}

// fernetGo gives what fernet-go does, as seen from what the case expects.
func (v vector) fernetGo() (verdict string) {
	defer func() {
		if recover() != nil {
			verdict = "crashes"
		}
	}()
	keys, err := fernet.DecodeKeys(append([]string{v.Primary}, v.Previous...)...)
	if err != nil {
		if strings.HasPrefix(v.Error, "key/") {
			return "agrees"
		}
		return "refuses"
	}
	plain := fernet.VerifyAndDecrypt([]byte(v.Token), 0, keys)
	switch {
	case v.Opens == nil && plain != nil:
		return "opens"
	case v.Opens == nil && strings.HasPrefix(v.Error, "key/"):
		return "takes" // the key, not the token
	case v.Opens != nil && !bytes.Equal(plain, v.Opens.Plaintext):
		return "refuses"
	}
	return "agrees"
}
