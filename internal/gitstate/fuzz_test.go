// SPDX-License-Identifier: Apache-2.0

package gitstate

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzGitFile takes any .git file of a work tree, whose data are in the folder data beside it or
// nowhere. Where git finds the data, so do we; what we find has what a repository has.
func FuzzGitFile(f *testing.F) {
	for _, text := range []string{"gitdir: data\n", "gitdir: ./data", "gitdir: data\r\n", "gitdir: ../tree/data/\n", "gitdir:data\n", "gitdir: data\nmore\n", "gitdir:  data \n", "gitdir: ", "", "GITDIR: data\n", "gitdir: tree\n"} {
		f.Add(text)
	}
	tree := filepath.Join(f.TempDir(), "tree")
	if err := os.Mkdir(tree, 0o700); err != nil {
		f.Fatal(err)
	}
	if out, err := exec.Command("git", "init", "-q", "--separate-git-dir", filepath.Join(tree, "data"), tree).CombinedOutput(); err != nil {
		f.Fatalf("%v: %s", err, out)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "\x00") || strings.Contains(text, "..") && !strings.Contains(text, "../tree") || strings.Contains(text, ": /") {
			return // a path that git cuts, or one to anywhere on this machine
		}
		put(t, filepath.Join(tree, ".git"), text)
		repo, found := repositoryOf(filepath.Join(tree, ".env"))
		if _, err := os.Stat(filepath.Join(repo.data, "HEAD")); found && (err != nil || repo.tree == "") {
			t.Errorf("%q: data in %q: %v", text, repo.data, err)
		}
		cmd := exec.Command("git", "-C", tree, "rev-parse", "--absolute-git-dir")
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "GIT_CEILING_DIRECTORIES=" + filepath.Dir(tree), "GIT_CONFIG_NOSYSTEM=1", "HOME=" + tree}
		if out, err := cmd.Output(); err == nil && (!found || strings.TrimSpace(string(out)) != filepath.Clean(repo.data)) {
			t.Errorf("%q: git has its data in %q, we find %t, %q", text, out, found, repo.data)
		}
	})
}
