// SPDX-License-Identifier: Apache-2.0

// Package repo holds tests of the repository itself: what is in it, against the
// lists that name it.
package repo

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// `./...` does not cross modules, so a module that the Makefile does not list is
// neither vetted, nor tested, nor linted, and nothing says so.
func TestMakefileListsEveryModule(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	listed, found := modules(t, string(makefile)), goMods(t)
	for _, module := range found {
		if !slices.Contains(listed, module) {
			t.Errorf("%s/go.mod: add %s to MODULES in the Makefile", module, module)
		}
	}
	for _, module := range listed {
		if !slices.Contains(found, module) {
			t.Errorf("Makefile: MODULES has %s, which has no go.mod", module)
		}
	}
}

// modules reads the list out of a Makefile.
func modules(t *testing.T, makefile string) []string {
	t.Helper()
	joined := strings.ReplaceAll(makefile, "\\\n", " ")
	list := regexp.MustCompile(`(?m)^MODULES\s*[:?]?=([^#\n]*)`).FindAllStringSubmatch(joined, -1)
	if len(list) != 1 {
		t.Fatalf("Makefile sets MODULES %d times, want once", len(list))
	}
	return strings.Fields(list[0][1])
}

// goMods lists the folders of the tree that are modules. What git ignores is no
// part of it: bin, dist and npm's folders.
func goMods(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "bin", "node_modules"}, entry.Name()):
			return filepath.SkipDir
		case entry.Name() == "go.mod":
			folder, err := filepath.Rel(root, filepath.Dir(path))
			found = append(found, filepath.ToSlash(folder))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestModulesReadsTheMakefile(t *testing.T) {
	for name, makefile := range map[string]string{
		"one line":     "A = b\nMODULES := . x hack/y # all of them\nB = c\n",
		"several":      "MODULES = . \\\n\tx \\\n\thack/y\n",
		"conditional":  "MODULES ?= . x hack/y\n",
		"used as well": "MODULES := . x hack/y\nlint:\n\tlint.sh $(MODULES)\n",
	} {
		if got := modules(t, makefile); !slices.Equal(got, []string{".", "x", "hack/y"}) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
