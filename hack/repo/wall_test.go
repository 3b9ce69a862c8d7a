// SPDX-License-Identifier: Apache-2.0

package repo

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/kubectl-fernet/kubectl-fernet/"

// deps lists what a package is built from, itself included.
func deps(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", module+pkg).Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pkg, err)
	}
	return strings.Fields(string(out))
}

// The half of the program that writes files and talks to the network has no type
// for a value or a key: it is not built from any package that has one.
func TestWall(t *testing.T) {
	plaintext := []string{
		module + "internal/envfile", module + "internal/keyring", module + "internal/seal", module + "decrypt",
		"github.com/fernet/fernet-go", "github.com/joho/godotenv",
	}
	for _, pkg := range []string{"internal/token", "internal/ledger", "internal/manifest", "internal/plan", "internal/cluster"} {
		for _, dep := range deps(t, pkg) {
			if slices.Contains(plaintext, dep) {
				t.Errorf("%s is built from %s", pkg, dep)
			}
		}
	}
	// The test would be blind if the names were wrong.
	for _, pkg := range plaintext {
		if !slices.Contains(deps(t, "cmd/kubectl-fernet"), pkg) {
			t.Errorf("the plugin is not built from %s: is that still its name?", pkg)
		}
	}
}

// Below internal/cli nothing knows flags, and only internal/cluster dials.
func TestOnlyCliKnowsFlagsAndOnlyClusterDials(t *testing.T) {
	only := map[string]string{
		"github.com/spf13/cobra":                    "internal/cli",
		"github.com/spf13/pflag":                    "internal/cli",
		"k8s.io/client-go/kubernetes/typed/core/v1": "internal/cluster",
		"k8s.io/client-go/metadata":                 "internal/cluster",
	}
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"internal/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		fields := strings.Fields(line)
		pkg := strings.TrimPrefix(fields[0], module)
		for _, imported := range fields[1:] {
			allowed, restricted := only[imported]
			if restricted && pkg == allowed {
				found[imported] = true
			}
			if restricted && pkg != allowed && pkg != "internal/testkube" {
				t.Errorf("%s imports %s, which is for %s", pkg, imported, allowed)
			}
		}
	}
	if len(found) != len(only) {
		t.Errorf("only %d of %d imports were found where they belong", len(found), len(only))
	}
}

// A use case, and what it decides with, can be run without a terminal: by a test, or by a
// controller.
func TestUseCasesKnowNoTerminal(t *testing.T) {
	terminal := regexp.MustCompile(`^github\.com/spf13/|^k8s\.io/cli-runtime|^golang\.org/x/term$|/internal/cli$`)
	streams := regexp.MustCompile(`\bos\.Std(in|out|err)\b|\bfmt\.Print`)
	for _, pkg := range []string{"action", "plan", "target", "hint"} {
		out, err := exec.Command("go", "list", "-f", `{{join .Imports " "}}`, module+"internal/"+pkg).Output()
		if err != nil || len(strings.Fields(string(out))) == 0 {
			t.Fatalf("go list %s: %v", pkg, err)
		}
		for _, imported := range strings.Fields(string(out)) {
			if terminal.MatchString(imported) {
				t.Errorf("internal/%s imports %s", pkg, imported)
			}
		}
		for name, text := range sources(t, pkg) {
			if found := streams.FindString(text); found != "" {
				t.Errorf("internal/%s/%s has %s", pkg, name, found)
			}
		}
	}
}

// The command line speaks with the use cases, and not with what is below them.
func TestTheCommandLineKnowsUseCasesAlone(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{join .Imports " "}}`, module+"internal/cli").Output()
	imports := strings.Fields(string(out))
	if err != nil || !slices.Contains(imports, module+"internal/action") {
		t.Fatalf("go list cli: %v, %q", err, imports)
	}
	for _, below := range []string{"cluster", "ledger", "seal", "keyring", "atomicfile", "keysecret", "usage", "workload", "gitstate"} {
		if slices.Contains(imports, module+"internal/"+below) {
			t.Errorf("internal/cli imports %s", below)
		}
	}
}

// The write protocol is in one file, so nothing else may append to a ledger.
func TestRowsAreAppendedInOneFile(t *testing.T) {
	var where []string
	for _, pkg := range []string{"action", "cli", "cluster", "plan", "seal"} {
		for name, text := range sources(t, pkg) {
			if regexp.MustCompile(`ledger\.Append\(`).MatchString(text) {
				where = append(where, pkg+"/"+name)
			}
		}
	}
	if !slices.Equal(where, []string{"action/journal.go"}) {
		t.Errorf("rows are appended in %q", where)
	}
}

// sources gives the files of a package but for its tests.
func sources(t *testing.T, pkg string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "internal", pkg, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("internal/%s has no files: %v", pkg, err)
	}
	texts := map[string]string{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(file)] = string(text)
	}
	return texts
}

// Windows has no modes: only internal/atomicfile, which knows that, judges who has access to
// a file.
func TestOnlyAtomicfileJudgesModes(t *testing.T) {
	judges := regexp.MustCompile(`Perm\(\)\s*&`)
	root, seen := "../..", false
	for _, dir := range []string{"internal", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			if err != nil || !judges.Match(source) {
				return err
			}
			owner := strings.Contains(filepath.ToSlash(path), "internal/atomicfile/")
			if seen = seen || owner; !owner && !strings.Contains(string(source), "Perm()&0o200") { // whether we may write is no question of others
				t.Errorf("%s judges a mode: atomicfile.Exposed does", path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !seen {
		t.Error("internal/atomicfile judges no mode: this test looks for something else")
	}
}
