// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// git runs git for a test, with nobody's configuration.
func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// checkout makes a work tree with a .env that is tracked, one that is ignored, and
// one that is neither.
func checkout(t *testing.T, options ...string) string {
	t.Helper()
	dir := t.TempDir()
	git(t, dir, append([]string{"init", "-q"}, options...)...)
	put(t, filepath.Join(dir, ".gitignore"), "ignored.env\n")
	for _, name := range []string{"tracked.env", "ignored.env", "visible.env", "sub/tracked.env"} {
		put(t, filepath.Join(dir, name), "A=b\n")
	}
	git(t, dir, "add", "tracked.env", "sub/tracked.env", ".gitignore")
	git(t, dir, "commit", "-q", "-m", "a")
	return dir
}

// knows asserts what git is found to do with each file.
func knows(t *testing.T, dir string) {
	t.Helper()
	for name, want := range map[string]string{"tracked.env": gitTracked, "sub/tracked.env": gitTracked, "ignored.env": "", "visible.env": gitVisible} {
		if got := gitState(filepath.Join(dir, name)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestGitStates(t *testing.T) {
	t.Setenv("GIT_DIR", "/nowhere") // as in a hook
	_ = os.Unsetenv("GIT_DIR")
	dir := checkout(t)
	knows(t, dir)
	t.Run("folder without git", func(t *testing.T) {
		if got := gitState(filepath.Join(t.TempDir(), ".env")); got != "" {
			t.Errorf("%q", got)
		}
	})
	t.Run("exclude file", func(t *testing.T) {
		put(t, filepath.Join(dir, ".git", "info", "exclude"), "visible.env\n")
		if got := gitState(filepath.Join(dir, "visible.env")); got != "" {
			t.Errorf("%q", got)
		}
	})
	t.Run("work tree of its own", func(t *testing.T) {
		tree := filepath.Join(t.TempDir(), "tree")
		git(t, dir, "worktree", "add", "-q", tree)
		if got := gitState(filepath.Join(tree, "tracked.env")); got != gitTracked {
			t.Errorf("%q", got)
		}
	})
	t.Run("another hash", func(t *testing.T) { knows(t, checkout(t, "--object-format=sha256")) })
	t.Run("split index", func(t *testing.T) {
		split := checkout(t)
		git(t, split, "update-index", "--split-index")
		knows(t, split)
	})
}

// GIT_ variables of whoever calls, such as a hook, say nothing about this file.
func TestGitVariablesAreNotUsed(t *testing.T) {
	dir := checkout(t)
	other := checkout(t)
	t.Setenv("GIT_DIR", filepath.Join(other, ".git"))
	t.Setenv("GIT_WORK_TREE", other)
	t.Setenv("GIT_INDEX_FILE", filepath.Join(other, "no-index"))
	knows(t, dir)
}

// A checkout whose configuration runs something is asked all the same, and nothing of
// it is run.
func TestHostileCheckoutsRunNothing(t *testing.T) {
	proof := filepath.Join(t.TempDir(), "pwned")
	script := filepath.Join(t.TempDir(), "run")
	put(t, script, "#!/bin/sh\ntouch '"+proof+"'\ncat\n")
	if err := os.Chmod(script, 0o700); err != nil { // #nosec G302 -- it would be run
		t.Fatal(err)
	}
	config := func(t *testing.T, dir, text string) {
		path := filepath.Join(dir, ".git", "config")
		put(t, path, get(t, path)+text)
	}
	for name, prepare := range map[string]func(t *testing.T, dir string) string{
		"fsmonitor": func(t *testing.T, dir string) string { config(t, dir, "[core]\nfsmonitor = "+script+"\n"); return dir },
		"fsmonitor, hooks 2": func(t *testing.T, dir string) string {
			config(t, dir, "[core]\nfsmonitor = "+script+"\nfsmonitorHookVersion = 2\nuntrackedCache = true\n")
			return dir
		},
		"hooks": func(t *testing.T, dir string) string {
			for _, hook := range []string{"post-index-change", "fsmonitor-watchman", "pre-auto-gc", "reference-transaction"} {
				put(t, filepath.Join(dir, "hooks", hook), get(t, script))
				if err := os.Chmod(filepath.Join(dir, "hooks", hook), 0o700); err != nil { // #nosec G302 -- it would be run
					t.Fatal(err)
				}
			}
			config(t, dir, "[core]\nhooksPath = "+filepath.Join(dir, "hooks")+"\n")
			return dir
		},
		"filters": func(t *testing.T, dir string) string {
			put(t, filepath.Join(dir, ".gitattributes"), "* filter=run diff=run\n")
			config(t, dir, "[filter \"run\"]\nclean = "+script+"\nsmudge = "+script+"\nprocess = "+script+"\n[diff \"run\"]\ntextconv = "+script+"\n")
			return dir
		},
		"pager and alias": func(t *testing.T, dir string) string {
			config(t, dir, "[core]\npager = "+script+"\neditor = "+script+"\nsshCommand = "+script+"\n[pager]\nls-files = "+script+"\ncheck-ignore = "+script+"\n[alias]\nls-files = !"+script+"\ncheck-ignore = !"+script+"\n")
			return dir
		},
		"include": func(t *testing.T, dir string) string {
			put(t, filepath.Join(dir, "more"), "[core]\nfsmonitor = "+script+"\n")
			config(t, dir, "[includeIf \"gitdir:"+dir+"/\"]\npath = ../more\n[include]\npath = ../more\n")
			return dir
		},
		"missing objects": func(t *testing.T, dir string) string {
			config(t, dir, "[extensions]\npartialClone = origin\n[remote \"origin\"]\nurl = ext::"+script+"\npromisor = true\nuploadpack = "+script+"\n[protocol \"ext\"]\nallow = always\n")
			return dir
		},
		"a .git file": func(t *testing.T, dir string) string {
			config(t, dir, "[core]\nfsmonitor = "+script+"\n")
			if err := os.Rename(filepath.Join(dir, ".git"), filepath.Join(dir, "data")); err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(dir, ".git"), "gitdir: data\n")
			return dir
		},
		"another work tree": func(t *testing.T, dir string) string {
			config(t, dir, "[core]\nworktree = /\nfsmonitor = "+script+"\n")
			return dir
		},
		"said to be bare": func(t *testing.T, dir string) string {
			config(t, dir, "[core]\nbare = true\nfsmonitor = "+script+"\n")
			return dir
		},
	} {
		t.Run(name, func(t *testing.T) {
			knows(t, prepare(t, checkout(t)))
			if _, err := os.Stat(proof); err == nil {
				t.Error("the checkout's program was run")
				_ = os.Remove(proof)
			}
		})
	}
	t.Run("bare repository around it", func(t *testing.T) {
		dir := filepath.Join(checkout(t), ".git")
		put(t, filepath.Join(dir, "config"), get(t, filepath.Join(dir, "config"))+"[core]\nbare = true\nfsmonitor = "+script+"\n")
		put(t, filepath.Join(dir, ".env"), "A=b\n")
		gitState(filepath.Join(dir, ".env"))
		if _, err := os.Stat(proof); err == nil {
			t.Error("the checkout's program was run")
		}
	})
}

// What git is asked leaves nothing in the folder for temporary files.
func TestGitLeavesNothingBehind(t *testing.T) {
	dir := checkout(t)
	t.Setenv("TMPDIR", t.TempDir())
	knows(t, dir)
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
