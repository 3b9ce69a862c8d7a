// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"os/exec"
	"path/filepath"
)

// gitWarnings warns when the .env is in git, or could get there by an `add .`.
func (a *app) gitWarnings(env string) {
	if _, err := exec.LookPath("git"); err != nil || !inWorkTree(env) {
		return
	}
	if gitAgrees(env, "ls-files", "--error-unmatch") {
		a.console.warn("%s is tracked by git: its values and its key are in the history; `git rm --cached %s`, then rotate the key", env, shellWord(env))
		return
	}
	if !gitAgrees(env, "check-ignore", "--quiet") {
		a.console.warn("%s is not ignored by git: add it to .gitignore", env)
	}
}

// inWorkTree says whether a file lies in a git work tree, without running git.
func inWorkTree(file string) bool {
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return false
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
			return true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return false
		}
		dir = parent
	}
}

// gitAgrees runs a git question about a file. Without git, or where it fails
// for any reason, the answer is no.
func gitAgrees(file string, question ...string) bool {
	args := append([]string{"-C", filepath.Dir(file)}, question...)
	return exec.Command("git", append(args, "--", filepath.Base(file))...).Run() == nil // #nosec G204 -- arguments, no shell
}
