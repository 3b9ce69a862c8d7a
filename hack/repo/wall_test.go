// SPDX-License-Identifier: Apache-2.0

package repo_test

import (
	"os/exec"
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
