// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// Every hint that names a command is typed, literally, where a script first makes the program
// print it: the script runs up to there, a shell runs the command in its folder and with its
// environment, and the exit code is the one in typedFile, where each 2 has its reason.
// UPDATE_TYPED=1 runs all scripts, to find where that is.
func TestEachHintIsTyped(t *testing.T) {
	testkube.Kubeconfig(t)
	hints := commandHints(t)
	situations := readSituations(t)
	if os.Getenv("UPDATE_TYPED") != "" {
		situations = findSituations(t, hints, situations)
	}
	for format := range hints {
		if _, has := situations[format]; !has && unscripted[format] == "" {
			t.Errorf("no script makes the program print, so that it can be typed (UPDATE_TYPED=1): %s", format)
		}
	}
	typed := make([]typedCommand, len(situations))
	t.Run("typed", func(t *testing.T) {
		for i, format := range slices.Sorted(maps.Keys(situations)) {
			situation := situations[format]
			t.Run(fmt.Sprintf("%s/%d", situation.Script, i), func(t *testing.T) {
				t.Parallel()
				pattern, has := hints[format]
				if !has {
					t.Fatalf("the program has no such hint with a command: %s", format)
				}
				typed[i] = typeIn(t, situation.Script, pattern)
				t.Logf("%s\n%s\n%d: %s", format, typed[i].Command, typed[i].Code, typed[i].Said)
			})
		}
	})
	for i, format := range slices.Sorted(maps.Keys(situations)) {
		was := situations[format]
		is := situation{was.Script, typed[i].Code, was.Why}
		if os.Getenv("UPDATE_TYPED") != "" {
			situations[format] = is
			continue
		}
		if typed[i].Command != "" && is != was { // else it was not asked for, or has failed above
			t.Errorf("%s\n%s: %s\nexit code %d, want %d: %s", format, was.Script, typed[i].Command, is.Code, was.Code, typed[i].Said)
		}
	}
	writeSituations(t, situations)
	testkube.Cases(t, len(situations))
}

// A command that a hint names may only fail for a reason that somebody wrote down.
func TestEachHintThatFailsHasItsReason(t *testing.T) {
	for format, s := range readSituations(t) {
		if (s.Code > 1 || s.Code < 0) != (s.Why != "") {
			t.Errorf("exit code %d, and the reason is %q: %s", s.Code, s.Why, format)
		}
	}
}

// situation is where a hint is typed, and what came of it.
type situation struct {
	Script string `json:"script"`
	Code   int    `json:"code"`
	Why    string `json:"why,omitempty"`
}

// typedCommand is a command of a hint, its exit code and the first line of what it said.
type typedCommand struct {
	Command string
	Code    int
	Said    string
}

const typedFile = "testdata/hints.json"

func readSituations(t *testing.T) map[string]situation {
	t.Helper()
	situations := map[string]situation{}
	text, err := os.ReadFile(filepath.Join(testkube.Root(t), typedFile))
	if err == nil {
		err = json.Unmarshal(text, &situations)
	}
	if err != nil && os.Getenv("UPDATE_TYPED") == "" {
		t.Fatal(err)
	}
	return situations
}

func writeSituations(t *testing.T, situations map[string]situation) {
	t.Helper()
	if os.Getenv("UPDATE_TYPED") == "" {
		return
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(situations); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(testkube.Root(t), typedFile), text.String())
}

// findSituations runs all scripts and gives for each hint the first one that shows it. What is
// known already stays while it is true.
func findSituations(t *testing.T, hints map[string]*regexp.Regexp, known map[string]situation) map[string]situation {
	t.Helper()
	scripts, err := filepath.Glob(filepath.Join(testkube.Root(t), "testdata", "script", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	said := make([]string, len(scripts))
	t.Run("find", func(t *testing.T) {
		for i, script := range scripts {
			t.Run(filepath.Base(script), func(t *testing.T) {
				t.Parallel()
				record := filepath.Join(t.TempDir(), "said")
				runQuietly(t, script, recordVariable+"="+record)
				text, _ := os.ReadFile(record)
				said[i] = string(text)
			})
		}
	})
	situations := map[string]situation{}
	for format, pattern := range hints {
		for i, script := range scripts {
			name := strings.TrimSuffix(filepath.Base(script), ".txtar")
			if was := known[format]; pattern.MatchString(said[i]) && (situations[format].Script == "" || was.Script == name) {
				situations[format] = situation{name, was.Code, was.Why}
			}
		}
	}
	return situations
}

// typeIn runs a script until the program says what matches, and types its command.
func typeIn(t *testing.T, script string, pattern *regexp.Regexp) typedCommand {
	t.Helper()
	result := filepath.Join(t.TempDir(), "result")
	log := runQuietly(t, filepath.Join(testkube.Root(t), "testdata", "script", script+".txtar"), patternVariable+"="+pattern.String(), resultVariable+"="+result)
	text, err := os.ReadFile(result)
	if err != nil {
		t.Fatalf("%s does not show %s\n%s", script, pattern, log)
	}
	var typed typedCommand
	if err := json.Unmarshal(text, &typed); err != nil {
		t.Fatal(err)
	}
	return typed
}

// The variables of a plugin that is listened to: a file to which all that it says is added;
// or what it has to say, for its command to be typed, and the file for what came of that.
const (
	recordVariable  = "FERNET_TEST_RECORD"
	patternVariable = "FERNET_TEST_PATTERN"
	resultVariable  = "FERNET_TEST_RESULT"
)

// listened is the program's main. Where somebody listens, it is run as a process of its own.
func listened() {
	record, recording := os.LookupEnv(recordVariable)
	pattern, typing := os.LookupEnv(patternVariable)
	result := os.Getenv(resultVariable)
	if !recording && !typing {
		plugin()
		return
	}
	for _, name := range []string{recordVariable, patternVariable, resultVariable} {
		_ = os.Unsetenv(name)
	}
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	var said heard
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, io.MultiWriter(os.Stdout, &said), io.MultiWriter(os.Stderr, &said)
	code := codeOf(cmd.Run())
	if recording {
		file, err := os.OpenFile(record, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = file.Write(said.Bytes())
		}
		if err != nil {
			panic(err)
		}
		os.Exit(code)
	}
	if _, err := os.Stat(result); err == nil {
		os.Exit(stopped)
	}
	if match := regexp.MustCompile(pattern).FindStringSubmatch(said.String()); match != nil {
		typed, err := json.Marshal(typeCommand(match))
		if err == nil {
			err = os.WriteFile(result, typed, 0o600)
		}
		if err != nil {
			panic(err)
		}
		os.Exit(stopped)
	}
	os.Exit(code)
}

// heard is what a program says, on two streams at once.
type heard struct {
	mutex sync.Mutex
	bytes.Buffer
}

func (h *heard) Write(text []byte) (int, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.Buffer.Write(text)
}

// stopped is the exit code of a program whose script has shown what it is run for: no script
// expects it.
const stopped = 97

// typeCommand runs the command of a hint: what the pattern caught, or the flags that it
// caught added to the command that was run.
func typeCommand(match []string) typedCommand {
	command := strings.Join(match[1:], "")
	if strings.HasPrefix(command, "-") {
		command = "kubectl fernet " + strings.ReplaceAll(string(hint.List(os.Args[1:])), ", ", " ") + " " + command
	}
	out, err := exec.Command("bash", "-c", command).CombinedOutput()
	if bytes.Contains(out, []byte("there is no terminal to ask on")) { // whoever types it says yes
		command += " --yes"
		out, err = exec.Command("bash", "-c", command).CombinedOutput()
	}
	said, _, _ := strings.Cut(string(out), "\n")
	return typedCommand{command, codeOf(err), said}
}

// notStarted is in the place of an exit code where a program did not even start.
const notStarted = -2

// codeOf is the exit code of a program that ended with err; -1 where a signal ended it.
func codeOf(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return notStarted
}

// runQuietly runs a script that is listened to, and gives its log: whether it ends well does
// not matter.
func runQuietly(t *testing.T, script string, variables ...string) string {
	t.Helper()
	params := scripts(t)
	params.Dir, params.Files = "", []string{script}
	prepare := params.Setup
	params.Setup = func(env *testscript.Env) error {
		env.Vars = append(env.Vars, variables...)
		return prepare(env)
	}
	var quiet quietly
	testscript.RunT(&quiet, params)
	return quiet.log.String()
}

// quietly is a test whose end is nobody's failure.
type quietly struct{ log strings.Builder }

func (q *quietly) Skip(...any)       { runtime.Goexit() }
func (q *quietly) Fatal(args ...any) { q.Log(args...); runtime.Goexit() }
func (q *quietly) FailNow()          { runtime.Goexit() }
func (q *quietly) Parallel()         {}
func (q *quietly) Verbose() bool     { return false }
func (q *quietly) Log(args ...any)   { fmt.Fprintln(&q.log, args...) }
func (q *quietly) Run(_ string, f func(testscript.T)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(q)
	}()
	<-done
}

// commandHints gives the hints that name a command, with a pattern that finds the command in
// a hint as it is printed.
func commandHints(t *testing.T) map[string]*regexp.Regexp {
	t.Helper()
	hints := map[string]*regexp.Regexp{}
	for format := range hintFormats(t) {
		if at := commandOf(format); at != nil {
			before, command, after := format[:at[0]], format[at[0]:at[1]], format[at[1]:]
			hints[format] = regexp.MustCompile(`(?m)^(?:hint|next|note|warning): (?:.*[;:.] )?` + textPattern(before) + "(" + commandPattern(command) + ")" + textPattern(after) + "(?:$|[;,:.] )")
		}
	}
	return hints
}

// textPattern matches a part of a format as it is printed.
func textPattern(format string) string {
	parts := verbs.Split(format, -1)
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return strings.Join(parts, `[^\n]*?`)
}

// commandPattern matches a command as it is printed: after a blank one word is put in, behind
// a word any number of flags.
func commandPattern(command string) string {
	const word = `(?:[^\s;,']|,\S|'[^']*')+`
	pattern := strings.ReplaceAll(regexp.QuoteMeta(command), " %s", " "+word)
	return strings.ReplaceAll(pattern, "%s", `(?: -[-a-z]+(?: `+word+`)?)*`)
}

// A command of the program ends where the sentence goes on: after its verb it has flags,
// values of flags, and what is put in. One of another program ends with the sentence, and a
// hint may begin with the flags to add.
var (
	commands = []*regexp.Regexp{
		regexp.MustCompile(`kubectl fernet(?: [a-z-]+(?:%s| %s| -n %s| --for (?:%s|[a-z]+)| --(?:key-secret|match|env|ignore-key|revert|apps-have-key|keyring|namespaces|forget-namespace)[= ](?:%s|'\*'|[a-z]+-key|-f)?| --[a-z-]+| deployment/web| -f web\.yaml| kubectl)*)?`),
		regexp.MustCompile(`(?:kubectl (?:delete|describe|get|create|patch|config)|chmod|mkdir|cp) [^;,]*`),
		regexp.MustCompile(`^(?:-n|--[a-z-]+) (?:%s|\.env|ledger|cluster)(?: --yes)?$`),
	}
	prose = regexp.MustCompile(` (?:if|shows|keeps|prints) .*$|` + "`.*$")
)

// commandOf finds the first command of a hint.
func commandOf(format string) []int {
	for _, command := range commands {
		if at := command.FindStringIndex(format); at != nil && !strings.Contains(format, "COMMAND") && format != "kubectl fernet" && format[0] != ';' {
			if from := prose.FindStringIndex(format[at[0]:at[1]]); from != nil {
				at[1] = at[0] + from[0]
			}
			return at
		}
	}
	return nil
}

// unscripted are the hints whose situation no script can make, with the test that does.
var unscripted = map[string]string{
	"chmod 600 %s":        "root may read all files: TestBadInputs",
	"chmod 600 %s; or %s": "root may read all files",
	"chmod u+w %s":        "root may write all files: TestBadInputs",
	"chmod u+rw %s":       "root may write all files: internal/ledger",
	"kubectl fernet verify%s names what is from the future: check the clock of the machine that wrote it": "TestStreams",
}
