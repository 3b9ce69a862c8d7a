// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

const (
	testKey   = "8wjBHTr1D9Hn2w2E1wHkUOb0cSgEJVkUIYW6Jk1cP2E="
	testToken = "gAAAAABlU_EAMDEyMzQ1Njc4OWFiY2RlZqrtKI-OpiA3se9kUtejVGOVU4SNczTK5An6Mf2LDCkbfk5IZLoNScVi7e0q1M2x8w=="
)

// emptyFolder goes to a folder with nothing in it, away from any cluster.
func emptyFolder(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
