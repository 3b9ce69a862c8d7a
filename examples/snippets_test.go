// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// A snippet reads this file and has its plaintext in the variable password then.
const (
	snippetFolder = "/etc/secrets"
	snippetFile   = "SECRET-TEST-1"
)

// languages has what makes a program of a snippet, by the word behind its fence: it
// prints the password.
var languages = map[string]struct {
	file, before, after string
	needs               func(t *testing.T) string // gives a folder for the program
	run                 []string
}{
	"go": {
		"main.go",
		"package main\n\nimport (\n\t\"log\"\n\t\"os\"\n\n\t\"github.com/kubectl-fernet/kubectl-fernet/decrypt\"\n)\n\nfunc main() {\n",
		"\tos.Stdout.Write(password)\n}\n",
		(*testing.T).TempDir, []string{"go", "run"},
	},
	"python": {
		"snippet.py", "", "import sys\nsys.stdout.buffer.write(password)\n",
		func(t *testing.T) string { needPython(t); return t.TempDir() }, []string{python},
	},
	"js": {"snippet.js", "", "process.stdout.write(password);\n", nodeFolder, []string{"node"}},
}

// elsewhere has the fences of what is no program.
var elsewhere = map[string]string{
	"yaml": "parts of manifests; TestAPIServerTakesTheManifests has whole ones",
	"":     "drawings",
}

type snippet struct{ place, language, code string }

var fence = regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$")

// snippets gives the code that README.md and docs show.
func snippets(t *testing.T) []snippet {
	t.Helper()
	root := testkube.Root(t)
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages in docs: %v", err)
	}
	var found []snippet
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		if filepath.Base(page) == "ledger.md" { // no code for applications; TestLedgerDocument runs it
			continue
		}
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range fence.FindAllStringSubmatch(string(content), -1) {
			if _, known := elsewhere[match[1]]; !known {
				found = append(found, snippet{filepath.Base(page) + "/" + match[1], match[1], match[2]})
			}
		}
	}
	return found
}

// situation is what an application finds: the keys, and a file, which is under
// another key than FERNET_KEY in the middle of a rotation.
type situation struct {
	name, key, previous, file string
	rotation, fails           bool
}

func situations(t *testing.T) []situation {
	t.Helper()
	k0, k1, k2 := testKey(0).Encode(), testKey(1).Encode(), testKey(2).Encode()
	return []situation{
		{"one key", k0, "", seal(t, canary, 0), false, false},
		{"the key is new, and so is the token", k0, k1, seal(t, canary, 0), false, false},
		{"line breaks behind all", k0 + "\n", k1 + "\n", seal(t, canary, 1) + "\n", true, false},
		{"the next key is staged", k1, k0, seal(t, canary, 0), true, false},
		{"the key is new, the token old", k0, k1, seal(t, canary, 1), true, false},
		{"the second of two previous keys", k0, k2 + ", " + k1, seal(t, canary, 1), true, false},
		{"previous keys in lines, the key again", k0, k0 + "\n" + k2 + "\n" + k1 + "\n", seal(t, canary, 1), true, false},
		{"a token of another key", k0, k1, seal(t, canary, 2), false, true},
		{"a token of another key, and no previous one", k0, "", seal(t, canary, 2), false, true},
		{"a plain value", k0, k1, canary, false, true},
	}
}

// check gives the situations in which a snippet does not do what it should.
func (s snippet) check(t *testing.T) (wrong []string) {
	t.Helper()
	language, known := languages[s.language]
	if !known {
		t.Fatalf("%s: nobody runs a snippet in this language", s.place)
	}
	program := filepath.Join(language.needs(t), language.file)
	for _, now := range situations(t) {
		secrets := mount(t, map[string]string{snippetFile: now.file})
		code := language.before + strings.ReplaceAll(s.code, snippetFolder, secrets) + language.after
		if err := os.WriteFile(program, []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(language.run[0], append(language.run[1:], program)...)
		cmd.Env = append(os.Environ(), "FERNET_KEY="+now.key)
		if now.previous != "" {
			cmd.Env = append(cmd.Env, "FERNET_KEY_PREVIOUS="+now.previous)
		}
		var errs strings.Builder
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if now.fails != (err != nil) || now.fails != (string(out) != canary) || now.fails && len(out) > 0 {
			wrong = append(wrong, now.name+": "+string(out)+errs.String())
		}
	}
	return wrong
}

// Who copies a snippet can read secrets before, during and after a rotation.
func TestSnippets(t *testing.T) {
	tried := map[string]bool{}
	for _, s := range snippets(t) {
		tried[s.place] = true
		t.Run(s.place, func(t *testing.T) {
			for _, wrong := range s.check(t) {
				t.Error(wrong)
			}
		})
	}
	for _, want := range []string{"README.md/go", "README.md/python", "README.md/js"} {
		if !tried[want] {
			t.Errorf("not found: %s", want)
		}
	}
}

// A snippet that knows one key alone is found to be wrong in the middle of a
// rotation, and there alone.
func TestSnippetsOfOneKeyAreFound(t *testing.T) {
	for _, s := range []snippet{
		{"go", "go", `
	keys, err := decrypt.ParseKeys(os.Getenv("FERNET_KEY"))
	if err != nil {
		log.Fatal(err)
	}
	secrets, err := keys.Dir("/etc/secrets")
	if err != nil {
		log.Fatal(err)
	}
	password := secrets["SECRET-TEST-1"].Plaintext
`},
		{"python", "python", `
import os
from cryptography.fernet import Fernet
password = Fernet(os.environ["FERNET_KEY"]).decrypt(open("/etc/secrets/SECRET-TEST-1", "rb").read())
`},
		{"js", "js", `
const fs = require("fs");
const fernet = require("fernet");
const secret = new fernet.Secret(process.env.FERNET_KEY.trim());
const token = fs.readFileSync("/etc/secrets/SECRET-TEST-1", "utf8").trim();
const password = new fernet.Token({ secret, token, ttl: 0 }).decode();
`},
	} {
		t.Run(s.language, func(t *testing.T) {
			wrong := strings.Join(s.check(t), "\n")
			for _, now := range situations(t) {
				if found := strings.Contains(wrong, now.name+": "); found != now.rotation {
					t.Errorf("%s: found to be wrong: %v; all: %s", now.name, found, wrong)
				}
			}
		})
	}
}
