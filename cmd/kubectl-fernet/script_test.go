// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

func TestMain(m *testing.M) {
	// Under its own name the test binary is the tests, under the plugin's name the plugin.
	testscript.Main(m, map[string]func(){"kubectl-fernet": listened})
}

// TestScripts runs testdata/script: the real main, under a real kubectl,
// against a real API server, each script in a namespace of its own ($NS).
func TestScripts(t *testing.T) {
	testkube.Kubeconfig(t)
	testscript.Run(t, scripts(t))
}

// scripts are testdata/script, and what they may use.
func scripts(t *testing.T) testscript.Params {
	return testscript.Params{
		Dir:   filepath.Join(testkube.Root(t), "testdata", "script"),
		Setup: func(env *testscript.Env) error { return setup(t, env) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     exits,
			"example":   example,
			"doc":       doc,
			"taken":     taken,
			"sub":       sub,
			"namespace": func(ts *testscript.TestScript, neg bool, args []string) { namespace(t, ts, args) },
			"user":      func(ts *testscript.TestScript, neg bool, args []string) { user(t, ts, args) },
			"mode":      mode,
			"appears":   appears,
			"typed":     typedHint,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	}
}

// A script may not let the plugin fail without saying how: `! exec` accepts any
// non-zero code, a panic too.
func TestScriptsNameExitCodes(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testkube.Root(t), "testdata", "script", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	testkube.Cases(t, len(files))
	bare := regexp.MustCompile(`(?m)^\s*(\[[^]]*\]\s*)*[!?]\s*exec\s+(kubectl-fernet|kubectl\s+fernet)\b.*$`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range bare.FindAllString(string(text), -1) {
			t.Errorf("%s: use `exits CODE …` instead of: %s", filepath.Base(file), line)
		}
	}
}

func setup(t *testing.T, env *testscript.Env) error {
	ns := testkube.Namespace(t)
	kubeconfig := filepath.Join(env.WorkDir, "kubeconfig")
	data, err := os.ReadFile(testkube.Kubeconfig(t))
	if err != nil {
		return err
	}
	if err := os.WriteFile(kubeconfig, data, 0o600); err != nil {
		return err
	}
	home := filepath.Join(env.WorkDir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	bin := filepath.Join(testkube.Root(t), "bin")
	env.Setenv("PATH", env.Getenv("PATH")+string(filepath.ListSeparator)+bin)
	env.Setenv("KUBECONFIG", kubeconfig)
	env.Setenv("HOME", home)
	env.Setenv("NS", ns)
	env.Setenv("ROOT", testkube.Root(t))
	set := exec.Command(filepath.Join(bin, "kubectl"), "--kubeconfig", kubeconfig, "config", "set-context", "--current", "--namespace", ns)
	if out, err := set.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// exits CODE PROGRAM ARGS…: runs a program that must end with exactly CODE.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// typedHint is typed CODE COMMAND: a hint of the last run has this command, word for word; bash runs it,
// and it must end with exactly CODE.
func typedHint(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: typed CODE COMMAND")
	}
	hinted := regexp.MustCompile(`(?m)^(hint|next): (.*[ :])?` + regexp.QuoteMeta(args[1]) + `([;, ].*)?$`)
	if said := ts.ReadFile("stderr") + ts.ReadFile("stdout"); !hinted.MatchString(said) {
		ts.Fatalf("no hint has: %s", args[1])
	}
	exits(ts, false, []string{args[0], "bash", "-c", args[1]})
}

// sub FILE OLD NEW: replaces every OLD, of which there must be one.
func sub(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: sub FILE OLD NEW")
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not contain %q", args[0], args[1])
	}
	path := ts.MkAbs(args[0])
	info, err := os.Stat(path)
	ts.Check(err)
	ts.Check(os.WriteFile(path, []byte(strings.ReplaceAll(text, args[1], args[2])), info.Mode()))
}

// namespace VAR: makes a further namespace and puts its name into $VAR.
func namespace(t *testing.T, ts *testscript.TestScript, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: namespace VAR")
	}
	ts.Setenv(args[0], testkube.Namespace(t))
}

// user FILE VERBS: writes the kubeconfig of a user who may do VERBS (comma
// separated) on the Secrets of $NS, and nothing else.
func user(t *testing.T, ts *testscript.TestScript, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: user FILE VERBS")
	}
	rule := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: strings.Split(args[1], ",")}
	data, err := os.ReadFile(testkube.User(t, ts.Getenv("NS"), args[0]+"-"+ts.Getenv("NS"), rule))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}

// mode FILE OCTAL: asserts a file's permission bits.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: mode FILE OCTAL")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}

// appears [!] N PATTERN FILE: a pattern occurs exactly N times.
func appears(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: appears N PATTERN FILE")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	if got := len(pattern.FindAllString(ts.ReadFile(args[2]), -1)); got != want {
		ts.Fatalf("%q occurs %d times in %s, want %d", args[1], got, args[2], want)
	}
}
