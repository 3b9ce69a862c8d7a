// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cli"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// placeholders are the words in the help's examples that stand for something of
// the reader's own. The control plane is shared, so a script says what they are:
// `namespace production` makes a namespace whose name is in $production.
var placeholders = []string{"CMD", "copy", "kab12cd34", "production", "staging"}

var shellWords = regexp.MustCompile(`[^ ,]+`)

// example [CODE] 'LINE': runs a line of the help as it stands there, pipes,
// redirects and ~ included, and requires its exit code: 0, CODE, or one of several
// (0|1) where the line sees what other tests do. A placeholder, as a whole word or
// as an item of a list, is replaced by the script's variable of its name, nothing
// else. What asks is answered by `ttyin -stdin FILE` before it.
func example(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: example [CODE] 'LINE'")
	}
	codes := "0"
	if len(args) == 2 {
		codes = args[0]
	}
	typeLine(ts, codes, args[len(args)-1])
}

// typeLine runs a line that a reader may type, and requires its exit code.
func typeLine(ts *testscript.TestScript, codes, line string) {
	line = shellWords.ReplaceAllStringFunc(line, func(word string) string {
		if !slices.Contains(placeholders, word) {
			return word
		}
		if ts.Getenv(word) == "" {
			ts.Fatalf("this script does not say what %s is", word)
		}
		return ts.Getenv(word)
	})
	cache, err := goCache()
	ts.Check(err)
	ts.Setenv("GOCACHE", cache) // for `go run`: the one below $HOME is empty
	got := 0
	if err := ts.Exec("bash", "-c", "set -o pipefail\n"+line); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if !slices.Contains(strings.Split(codes, "|"), fmt.Sprint(got)) {
		ts.Fatalf("exit code %d, want %s", got, codes)
	}
}

var goCache = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	return strings.TrimSpace(string(out)), err
})

// Whoever types what the help shows gets what it says: each command has an
// example, and each line of one is run by a script, which looks at the result.
func TestEveryExampleIsRun(t *testing.T) {
	run := examplesOfScripts(t)
	shown := map[string]bool{}
	root := cli.Command()
	commands := append(root.Commands(), root)
	for i := 0; i < len(commands); i++ {
		cmd := commands[i]
		if cmd != root {
			commands = append(commands, cmd.Commands()...)
		}
		if cmd.Hidden || !cmd.Runnable() {
			continue
		}
		lines := exampleLines(cmd.Example)
		if len(lines) == 0 {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for _, line := range lines {
			shown[line] = true
			if run[line] == "" {
				t.Errorf("%s: no script runs: %s", cmd.CommandPath(), line)
			}
		}
	}
	for line, script := range run {
		if !shown[line] {
			t.Errorf("%s: in no help: %s", script, line)
		}
	}
	if len(commands) < 19 {
		t.Errorf("only %d commands", len(commands))
	}
}

// exampleLines gives the lines to type.
func exampleLines(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

var (
	anyExample    = regexp.MustCompile(`(?m)^[ \t]*example .*$`)
	quotedExample = regexp.MustCompile(`^example (?:[0-9|]+ )?'((?:[^']|'')+)'$`)
)

// examplesOfScripts gives the lines that scripts run, and one script of each.
func examplesOfScripts(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(testkube.Root(t), "testdata", "script", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	run := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range anyExample.FindAllString(string(text), -1) {
			found := quotedExample.FindStringSubmatch(line)
			if found == nil {
				t.Errorf("%s: write it as example 'LINE': %s", filepath.Base(file), line)
				continue
			}
			run[strings.ReplaceAll(found[1], "''", "'")] = filepath.Base(file)
		}
	}
	return run
}
