// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"os/exec"
	"path/filepath"
)

// gitWarnings warns when the .env is in git, or could get there by an `add .`.
func (a *app) gitWarnings(env string) {
	switch gitState(env) {
	case gitTracked:
		a.console.warn("%s is tracked by git: its values and its key are in the history; `git rm --cached %s`, then kubectl fernet rotate%s", env, shellWord(env), envFlag(env))
	case gitVisible:
		a.console.warn("%s is not ignored by git: add it to .gitignore", env)
	}
}

// What git may do with a file.
const (
	gitTracked = "tracked"
	gitVisible = "not ignored"
)

// gitState gives one of these, or nothing where git has nothing to do with it.
func gitState(file string) string {
	_, err := exec.LookPath("git")
	switch {
	case err != nil || !inWorkTree(file):
		return ""
	case gitAgrees(file, "ls-files", "--error-unmatch"):
		return gitTracked
	case !gitAgrees(file, "check-ignore", "--quiet"):
		return gitVisible
	default:
		return ""
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
