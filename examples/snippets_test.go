// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"encoding/base64"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// A snippet reads this file or this variable, and has the plaintext in its variable
// password then.
const (
	snippetFolder   = "/etc/secrets"
	snippetFile     = "SECRET-TEST-1"
	snippetVariable = "SECRET_TEST_1"
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
	"js":   {"snippet.js", "", "process.stdout.write(password);\n", nodeFolder, []string{"node"}},
	"ruby": {"snippet.rb", "", "$stdout.write(password)\n", needs("ruby", "-ropenssl", "-e", "0"), []string{"ruby"}},
	"php": {
		"snippet.php", "<?php\n", "echo $password;\n",
		needs("php", "-r", "exit(extension_loaded('openssl') ? 0 : 1);"), []string{"php", "-d", "display_errors=stderr"},
	},
	"java": {
		"Main.java", "",
		`class Main {
	public static void main(String[] arguments) throws Exception {
		byte[] password = Secrets.file("/etc/secrets/SECRET-TEST-1");
		if (!Arrays.equals(password, Secrets.variable("SECRET_TEST_1"))) {
			throw new Exception("the variable has another value");
		}
		System.out.write(password);
		System.out.flush();
	}
}
`,
		needs("javac", "-version"), []string{"sh", "-c", `d=${0%/*}; [ -f "$d/Main.class" ] || javac -d "$d" "$0" && exec java -cp "$d" Main`},
	},
}

const languagesLine = "apt-get update && apt-get install -y --no-install-recommends ruby php-cli default-jdk-headless"

// needs makes sure that a command succeeds, and gives a folder.
func needs(name string, arguments ...string) func(t *testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		skipOnRequest(t)
		if out, err := exec.Command(name, arguments...).CombinedOutput(); err != nil {
			t.Fatalf("%v; type: %s\n%s", err, languagesLine, out)
		}
		return t.TempDir()
	}
}

// elsewhere has the fences of what is no program, or none that is run.
var elsewhere = map[string]string{
	"yaml":       "parts of manifests; TestAPIServerTakesTheManifests has whole ones",
	"sh":         "jobs of a CI; testdata/script/ci.txtar runs their lines, and TestLinesOfThePageAboutCI compares",
	"dockerfile": "there is no container runtime here",
	"rust":       "not run, as docs/languages.md says",
	"csharp":     "not run, as docs/languages.md says",
	"":           "drawings",
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
				found = append(found, alternatives(snippet{filepath.Base(page) + "/" + match[1], match[1], match[2]})...)
			}
		}
	}
	return found
}

var ways = regexp.MustCompile("(?m)^(?:#|//) from a (?:variable|file)$")

// alternatives gives the programs of a snippet that ends with what is for a variable,
// then what is for a file.
func alternatives(s snippet) []snippet {
	parts := ways.Split(s.code, -1)
	if len(parts) != 3 {
		return []snippet{s}
	}
	return []snippet{
		{s.place + "/variable", s.language, parts[0] + parts[1]},
		{s.place + "/file", s.language, parts[0] + parts[2]},
	}
}

// situation is what an application finds: the keys, and a token, which is under
// another key than FERNET_KEY in the middle of a rotation.
type situation struct {
	name, key, previous, token string
	rotation, fails            bool
}

func situations(t *testing.T) []situation {
	t.Helper()
	k0, k1, k2 := testKey(0).Encode(), testKey(1).Encode(), testKey(2).Encode()
	return []situation{
		{"one key", k0, unset, seal(t, canary, 0), false, false},
		{"an empty previous key", k0, "", seal(t, canary, 0), false, false},
		{"the key is new, and so is the token", k0, k1, seal(t, canary, 0), false, false},
		{"line breaks behind all", k0 + "\n", k1 + "\n", seal(t, canary, 1) + "\n", true, false},
		{"the next key is staged", k1, k0, seal(t, canary, 0), true, false},
		{"the key is new, the token old", k0, k1, seal(t, canary, 1), true, false},
		{"the second of two previous keys", k0, k2 + ", " + k1, seal(t, canary, 1), true, false},
		{"previous keys in lines, the key again", k0, k0 + "\n" + k2 + "\n" + k1 + "\n", seal(t, canary, 1), true, false},
		{"a token of another key", k0, k1, seal(t, canary, 2), false, true},
		{"a token of another key, and no previous one", k0, unset, seal(t, canary, 2), false, true},
		{"a token that was changed", k0, k1, older(t, seal(t, canary, 0)), false, true},
		{"a plain value", k0, k1, canary, false, true},
	}
}

// unset is a previous key that is not even empty.
const unset = "unset"

// older gives a token the time of a second before: it decrypts as ever, and is not
// what the key signed.
func older(t *testing.T, token string) string {
	t.Helper()
	raw, err := base64.URLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	const version, seconds = 1, 8
	binary.BigEndian.PutUint64(raw[version:], binary.BigEndian.Uint64(raw[version:version+seconds])-1)
	return base64.URLEncoding.EncodeToString(raw)
}

// check gives the situations in which a snippet does not do what it should.
func (s snippet) check(t *testing.T) (wrong []string) {
	t.Helper()
	language, known := languages[s.language]
	if !known {
		t.Fatalf("%s: nobody runs a snippet in this language", s.place)
	}
	dir := language.needs(t)
	program, secrets := filepath.Join(dir, language.file), filepath.Join(dir, "secrets")
	// The same text in each situation, so that it is compiled once.
	code := strings.ReplaceAll(language.before+s.code+language.after, snippetFolder, secrets)
	if err := os.WriteFile(program, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, now := range situations(t) {
		_ = os.Remove(secrets)
		if err := os.Symlink(mount(t, map[string]string{snippetFile: now.token}), secrets); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(language.run[0], append(language.run[1:], program)...)
		cmd.Env = append(os.Environ(), "FERNET_KEY="+now.key, snippetVariable+"="+now.token)
		if now.previous != unset {
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
	for _, want := range []string{
		"README.md/go", "README.md/python", "README.md/js", "languages.md/java",
		"languages.md/go/variable", "languages.md/python/variable", "languages.md/js/variable", "languages.md/ruby/variable", "languages.md/php/variable",
		"languages.md/go/file", "languages.md/python/file", "languages.md/js/file", "languages.md/ruby/file", "languages.md/php/file",
	} {
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
