// SPDX-License-Identifier: Apache-2.0

package gitstate

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
	for name, want := range map[string]State{"tracked.env": Tracked, "sub/tracked.env": Tracked, "ignored.env": "", "visible.env": Visible} {
		if got := Of(t.Context(), filepath.Join(dir, name)); got != want {
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
		if got := Of(t.Context(), filepath.Join(t.TempDir(), ".env")); got != "" {
			t.Errorf("%q", got)
		}
	})
	t.Run("exclude file", func(t *testing.T) {
		put(t, filepath.Join(dir, ".git", "info", "exclude"), "visible.env\n")
		if got := Of(t.Context(), filepath.Join(dir, "visible.env")); got != "" {
			t.Errorf("%q", got)
		}
	})
	t.Run("work tree of its own", func(t *testing.T) {
		tree := filepath.Join(t.TempDir(), "tree")
		git(t, dir, "worktree", "add", "-q", tree)
		if got := Of(t.Context(), filepath.Join(tree, "tracked.env")); got != Tracked {
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

// hostileConfigs are what a checkout's configuration may have; RUN is a program, DIR the checkout.
var hostileConfigs = map[string]string{
	"fsmonitor":         "[core]\nfsmonitor = RUN\n",
	"fsmonitor, hook 2": "[core]\nfsmonitor = RUN\nfsmonitorHookVersion = 2\nuntrackedCache = true\n",
	"hooks":             "[core]\nhooksPath = DIR/hooks\n",
	"filters":           "[filter \"run\"]\nclean = RUN\nsmudge = RUN\nprocess = RUN\n[diff \"run\"]\ntextconv = RUN\n",
	"pager":             "[core]\npager = RUN\neditor = RUN\nsshCommand = RUN\n[pager]\nls-files = RUN\ncheck-ignore = RUN\n",
	"alias":             "[alias]\nls-files = !RUN\ncheck-ignore = !RUN\n",
	"include":           "[includeIf \"gitdir:DIR/\"]\npath = ../more\n[include]\npath = ../more\n",
	"missing objects":   "[extensions]\npartialClone = origin\n[remote \"origin\"]\nurl = ext::RUN\npromisor = true\nuploadpack = RUN\n[protocol \"ext\"]\nallow = always\n",
	"another work tree": "[core]\nworktree = /\nfsmonitor = RUN\n",
	"said to be bare":   "[core]\nbare = true\nfsmonitor = RUN\n",
}

// hostileCheckout is a checkout with that configuration, and all that it may name.
func hostileCheckout(t *testing.T, script, config string) string {
	t.Helper()
	dir := checkout(t)
	for _, hook := range []string{"post-index-change", "fsmonitor-watchman", "pre-auto-gc", "reference-transaction"} {
		put(t, filepath.Join(dir, "hooks", hook), get(t, script))
		if err := os.Chmod(filepath.Join(dir, "hooks", hook), 0o700); err != nil { // #nosec G302 -- it would be run
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(dir, ".gitattributes"), "* filter=run diff=run\n")
	put(t, filepath.Join(dir, "more"), "[core]\nfsmonitor = "+script+"\n")
	path := filepath.Join(dir, ".git", "config")
	put(t, path, get(t, path)+strings.NewReplacer("RUN", script, "DIR", dir).Replace(config))
	return dir
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
	nothingRan := func(t *testing.T) {
		t.Helper()
		if os.Remove(proof) == nil {
			t.Error("the checkout's program was run")
		}
	}
	for name, config := range hostileConfigs {
		t.Run(name, func(t *testing.T) {
			knows(t, hostileCheckout(t, script, config))
			nothingRan(t)
		})
	}
	t.Run("a .git file", func(t *testing.T) {
		dir := hostileCheckout(t, script, hostileConfigs["fsmonitor"])
		if err := os.Rename(filepath.Join(dir, ".git"), filepath.Join(dir, "data")); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, ".git"), "gitdir: data\n")
		knows(t, dir)
		nothingRan(t)
	})
	t.Run("a bare repository", func(t *testing.T) {
		dir := filepath.Join(hostileCheckout(t, script, hostileConfigs["said to be bare"]), ".git")
		put(t, filepath.Join(dir, ".env"), "A=b\n")
		Of(t.Context(), filepath.Join(dir, ".env"))
		nothingRan(t)
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

// put writes a file, and the folder that it is in.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
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
