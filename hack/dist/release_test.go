// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repositoryRoot is this repository's.
const repositoryRoot = "../.."

// gitEnv is an environment in which git knows nobody's settings and commits at
// someTime.
func gitEnv() []string {
	return append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=c", "GIT_COMMITTER_EMAIL=c@example.com",
		"GIT_AUTHOR_DATE=1600000000 +0100", "GIT_COMMITTER_DATE=1700000000 +0100")
}

func runIn(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// newTree gives a work tree of one commit with what a release needs beside its
// programs, taken from this repository.
func newTree(t *testing.T) string {
	t.Helper()
	tree := t.TempDir()
	for _, name := range []string{"LICENSE", ".krew.yaml", "hack/dist/" + completion} {
		data, err := os.ReadFile(filepath.Join(repositoryRoot, name))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(tree, name), string(data))
	}
	writeFile(t, filepath.Join(tree, ".gitignore"), "/dist/\n")
	runIn(t, tree, gitEnv(), "git", "init", "-q")
	runIn(t, tree, gitEnv(), "git", "add", ".")
	runIn(t, tree, gitEnv(), "git", "commit", "-q", "-m", "all")
	return tree
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestReadRelease(t *testing.T) {
	for name, test := range map[string]struct {
		tags    []string
		change  string // a file to write
		version string // COMMIT stands for 12 digits
		err     string
	}{
		"no tag":              {version: "v0.0.0-dev+COMMIT"},
		"release":             {tags: []string{"v0.1.0"}, version: "v0.1.0"},
		"candidate":           {tags: []string{"v1.20.3-rc.1"}, version: "v1.20.3-rc.1"},
		"library's tag too":   {tags: []string{"decrypt/v0.2.0", "v0.1.0"}, version: "v0.1.0"},
		"library's alone":     {tags: []string{"decrypt/v0.2.0"}, version: "v0.0.0-dev+COMMIT"},
		"no semantic one":     {tags: []string{"v1", "v1.2", "v01.2.3", "v1.2.3+x", "1.2.3"}, version: "v0.0.0-dev+COMMIT"},
		"two releases":        {tags: []string{"v0.1.0", "v0.1.1"}, err: "tagged as several releases: v0.1.0, v0.1.1"},
		"changed, tagged":     {tags: []string{"v0.1.0"}, change: "LICENSE", version: "v0.0.0-dev+COMMIT.dirty"},
		"new file, tagged":    {tags: []string{"v0.1.0"}, change: "new.go", version: "v0.0.0-dev+COMMIT.dirty"},
		"ignored one, tagged": {tags: []string{"v0.1.0"}, change: "dist/x", version: "v0.1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			tree := newTree(t)
			for _, tag := range test.tags {
				runIn(t, tree, gitEnv(), "git", "tag", tag)
			}
			if test.change != "" {
				writeFile(t, filepath.Join(tree, test.change), "changed\n")
			}
			commit := runIn(t, tree, gitEnv(), "git", "rev-parse", "HEAD")
			r, err := readRelease(t.Context(), gitEnv(), tree)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want %q", err, test.err)
				}
				return
			}
			want := release{strings.ReplaceAll(test.version, "COMMIT", commit[:12]), commit, someTime}
			if err != nil || r != want {
				t.Errorf("%+v, %v; want %+v", r, err, want)
			}
		})
	}
}

func TestReadReleaseOutsideGit(t *testing.T) {
	env := append(gitEnv(), "GIT_CEILING_DIRECTORIES=/")
	_, err := readRelease(t.Context(), env, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "not a git repository") {
		t.Errorf("error %v", err)
	}
}

func TestCheckRelease(t *testing.T) {
	const decrypt = "github.com/kubectl-fernet/kubectl-fernet/decrypt"
	for name, test := range map[string]struct{ gomod, want string }{
		"fit":         {"require " + decrypt + " v0.1.0\n", ""},
		"replace":     {"require " + decrypt + " v0.1.0\nreplace " + decrypt + " => ./decrypt\n", "replace " + decrypt},
		"odd replace": {"replace\t(\n\t\t" + decrypt + "   =>  ./decrypt\n)\n", "replace " + decrypt},
		"two":         {"replace (\n\ta.example/a => ./a\n\ta.example/b => ./b\n)\n", "replace ("},
		"exclude":     {"exclude a.example/a v1.0.0\n", "exclude a.example/a"},
		"untagged":    {"require (\n\t" + decrypt + " v0.0.0-00010101000000-000000000000\n)\n", decrypt + " v0.0.0-"},
		"in comment":  {"// replace nothing\nrequire " + decrypt + " v0.1.0\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			gomod := filepath.Join(t.TempDir(), "go.mod")
			writeFile(t, gomod, "module m\n\ngo 1.26.0\n\n"+test.gomod)
			out, err := exec.CommandContext(t.Context(), "sh", "check-release.sh", gomod).CombinedOutput()
			if test.want == "" {
				if err != nil || len(out) > 0 {
					t.Errorf("%v: %s", err, out)
				}
				return
			}
			if err == nil || !strings.Contains(string(out), test.want) || !strings.Contains(string(out), "hint: docs/release.md") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
