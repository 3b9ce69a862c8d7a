// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// These tests run the programs for Windows under Wine; `make test-windows` does. What is left
// out stands here, once: docs/windows.md has it from here.

// kept are scripts of testdata/script that are left out, and what keeps them out.
type kept struct {
	why     string
	scripts []string
}

// notUnderWine are they, beside those that type into a terminal.
var notUnderWine = []kept{
	{"commands of POSIX after `exec-env`", []string{
		"bundle", "compare", "example-exec-env", "exec-env", "hints-files", "recall-exec", "recall-lost", "recall-rotated", "recall-unrecorded",
		"settings-match", "shared-flags", "user-on-call",
	}},
	{"modes of files", []string{"hints-names", "init", "init-settings", "keys", "modes", "verify"}},
	{"symbolic links of Unix, which Wine hides", []string{"rotate-env"}},
	{"files that git tracks, for no git of Windows is here", []string{"first-hour"}},
	{"words of Linux for what a system says, and slashes in the paths of messages", []string{"contexts", "rotate-retired", "target"}},
}

// unshown is what no test shows, because Wine is no Windows.
var unshown = []string{
	"ACLs, and what a file inherits from its folder; NTFS, ReFS and network shares, and how durable they are",
	"a replacement of a file that is read-only, which Wine allows and Windows may refuse",
	"PowerShell, cmd.exe's quoting, a real console and its colours, Ctrl-Break",
	"antivirus, indexers and OneDrive, which open or hide files for a while",
	"symbolic links of Windows and junctions; paths of servers (UNC)",
	"the programs for arm64, and Windows's own certificates",
}

// TestWineScripts runs scripts of testdata/script as they are, but for the plugin, which is the one for Windows.
func TestWineScripts(t *testing.T) {
	params := underWine(t)
	files := scriptFiles(t, params.Dir)
	out := append([]kept{{"typing into a terminal, which Wine's console is not", typing(t, files)}}, notUnderWine...)
	for _, left := range out {
		for _, script := range left.scripts {
			file := filepath.Join(params.Dir, script+".txtar")
			if !slices.Contains(files, file) {
				t.Errorf("%s is not there, or is left out twice", script)
			}
			files = slices.DeleteFunc(files, func(f string) bool { return f == file })
		}
	}
	testkube.Table(t, "windows.md", "wine", leftOut(len(files), len(scriptFiles(t, windowsScripts(t))), out))
	params.Dir, params.Files = "", files
	testscript.Run(t, params)
}

// typing gives the scripts that type into a terminal.
func typing(t *testing.T, files []string) (scripts []string) {
	t.Helper()
	for _, file := range files {
		if bytes.Contains(read(t, file), []byte("\nttyin ")) {
			scripts = append(scripts, strings.TrimSuffix(filepath.Base(file), ".txtar"))
		}
	}
	return scripts
}

// TestWineWindows runs testdata/windows: what is peculiar to Windows.
func TestWineWindows(t *testing.T) {
	params := underWine(t)
	params.Dir = windowsScripts(t)
	testscript.Run(t, params)
}

func windowsScripts(t *testing.T) string {
	return filepath.Join(testkube.Root(t), "testdata", "windows")
}

func scriptFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	return files
}

// underWine is what scripts are run with: those programs on PATH that start the ones for Windows.
func underWine(t *testing.T) testscript.Params {
	testkube.Kubeconfig(t)
	wine := filepath.Join(testkube.Root(t), "bin", "wine")
	if os.Getenv("WINEPREFIX") == "" {
		t.Fatal("this needs Wine; type:\n\tmake test-windows")
	}
	params := scripts(t)
	params.Cmds["mode"] = func(*testscript.TestScript, bool, []string) {} // Windows files have none
	params.Setup = func(env *testscript.Env) error {
		if err := setup(t, env); err != nil {
			return err
		}
		env.Setenv("PATH", wine+":"+env.Getenv("PATH"))
		env.Setenv("TMPDIR", os.TempDir()) // where Wine's server listens
		for _, name := range []string{"WINEPREFIX", "WINEDEBUG", "WINEDLLOVERRIDES"} {
			env.Setenv(name, os.Getenv(name))
		}
		return nil
	}
	return params
}

// leftOut words what was run and what was not.
func leftOut(asTheyAre, ofWindows int, out []kept) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d scripts of `testdata/script` as they are, and the %d of `testdata/windows`. Left out are:\n\n", asTheyAre, ofWindows)
	for _, left := range out {
		fmt.Fprintf(&text, "* %s: %s (`%s`)\n", hint.Count(len(left.scripts), "script"), left.why, strings.Join(left.scripts, "`, `"))
	}
	text.WriteString("\nWine cannot show:\n\n")
	for _, what := range unshown {
		fmt.Fprintf(&text, "* %s\n", what)
	}
	return text.String()
}
