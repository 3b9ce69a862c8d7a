// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// The list fits the tree: each text to change is there once, each test exists, each rule has
// mutations, and they are spread over the code.
func TestListFitsTheTree(t *testing.T) {
	t.Chdir("../..")
	rules, packages := map[string]int{}, map[string]bool{}
	for _, m := range mutations {
		rules[m.rule]++
		packages[filepath.Dir(m.file)] = true
		source, err := os.ReadFile(m.file)
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := m.apply(source); err != nil {
			t.Errorf("%s: %v", m.name(), err)
		}
		if m.old == m.new {
			t.Errorf("%s: nothing is changed", m.name())
		}
		if !hasTest(t, m.dir, m.test) {
			t.Errorf("%s: %s has no %s", m.name(), m.dir, m.test)
		}
	}
	for i := 1; i <= 10; i++ {
		if rule := fmt.Sprintf("R%d", i); rules[rule] < 2 {
			t.Errorf("%s has %d mutations", rule, rules[rule])
		}
	}
	if len(packages) < 8 {
		t.Errorf("only %d packages are changed", len(packages))
	}
}

func hasTest(t *testing.T, dir, test string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(source, []byte("func "+test+"(t *testing.T) {")) {
			return true
		}
	}
	return false
}
