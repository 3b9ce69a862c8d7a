// SPDX-License-Identifier: Apache-2.0

// Package gitstate says what git may do with a file: a path goes in, a State comes out.
// It runs git on data only, never with the configuration of the checkout.
package gitstate

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// State is what git may do with a file.
type State string

// The states of a file; the empty one where git has nothing to do with it, or cannot say.
const (
	Tracked State = "tracked"
	Visible State = "not ignored" // an `add .` takes it
)

// Of gives the state of a file.
func Of(ctx context.Context, file string) State {
	_, err := exec.LookPath("git")
	repo, found := repositoryOf(file)
	if err != nil || !found {
		return ""
	}
	bare, err := repo.withoutPowers()
	defer func() { _ = os.RemoveAll(bare) }()
	if err != nil {
		return ""
	}
	switch {
	case repo.agrees(ctx, bare, file, "--literal-pathspecs", "ls-files", "--error-unmatch"):
		return Tracked
	case !repo.agrees(ctx, bare, file, "check-ignore", "--no-index", "--quiet"):
		return Visible
	default:
		return ""
	}
}

// repository is where a work tree and its data are; with `git worktree` the data
// are in two folders.
type repository struct{ tree, data, common string }

// InWorkTree says whether a file lies in a git work tree.
func InWorkTree(file string) bool {
	_, found := repositoryOf(file)
	return found
}

// repositoryOf finds the work tree that a file lies in, without running git.
func repositoryOf(file string) (repository, bool) {
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return repository{}, false
	}
	for {
		if data := dataOf(dir); data != "" {
			common := data
			if elsewhere, err := os.ReadFile(filepath.Join(data, "commondir")); err == nil {
				common = from(data, strings.TrimSpace(string(elsewhere)))
			}
			return repository{dir, data, common}, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return repository{}, false
		}
		dir = parent
	}
}

// dataOf gives the folder with git's data of a work tree, or nothing where none begins.
func dataOf(tree string) string {
	data := filepath.Join(tree, ".git")
	if info, err := os.Stat(data); err == nil && info.Mode().IsRegular() {
		text, _ := os.ReadFile(data)
		elsewhere, found := strings.CutPrefix(string(text), "gitdir: ")
		if !found {
			return ""
		}
		data = from(tree, strings.TrimSpace(elsewhere))
	}
	if _, err := os.Stat(filepath.Join(data, "HEAD")); err != nil { // #nosec G703 -- whether it is there is all that is asked
		return ""
	}
	return data
}

// from resolves a path that may be relative to a folder.
func from(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

var sha256Objects = regexp.MustCompile(`(?i)objectformat\s*=\s*sha256`)

// withoutPowers makes an empty repository to ask in place of the real one. Whoever
// made a checkout also wrote its configuration, and that can run anything (fsmonitor,
// hooks, filters, a pager, whatever comes next), so git does not get to see it: only
// the index and the patterns of what is ignored, which are data.
func (r repository) withoutPowers() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "kubectl-fernet-git-"); err != nil {
		return "", err
	}
	config := "[core]\n\trepositoryformatversion = 0\n\tbare = false\n"
	if real, _ := os.ReadFile(filepath.Join(r.common, "config")); sha256Objects.Match(real) {
		config = "[core]\n\trepositoryformatversion = 1\n\tbare = false\n[extensions]\n\tobjectformat = sha256\n"
	}
	exclude, _ := os.ReadFile(filepath.Join(r.common, "info", "exclude"))
	write := func(name, text string) error {
		return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600) // #nosec G703 -- in the folder that was just made
	}
	err = errors.Join(
		os.Mkdir(filepath.Join(dir, "objects"), 0o700), os.Mkdir(filepath.Join(dir, "refs"), 0o700), os.Mkdir(filepath.Join(dir, "info"), 0o700),
		write("HEAD", "ref: refs/heads/none\n"), write("config", config), write(filepath.Join("info", "exclude"), string(exclude)))
	shared, _ := filepath.Glob(filepath.Join(r.data, "sharedindex.*"))
	for _, index := range shared {
		_ = os.Symlink(index, filepath.Join(dir, filepath.Base(index)))
	}
	return dir, err
}

// gitLimit is how long git may think about one file.
const gitLimit = 10 * time.Second

// agrees runs a git question about a file. Where git fails for any reason, the
// answer is no.
func (r repository) agrees(ctx context.Context, bare, file string, question ...string) bool {
	ctx, cancel := context.WithTimeout(ctx, gitLimit)
	defer cancel()
	args := append([]string{"-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull, "--no-pager", "-C", filepath.Dir(file)}, question...)
	cmd := exec.CommandContext(ctx, "git", append(args, "--", "./"+filepath.Base(file))...) // #nosec G204 -- arguments, no shell
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "GIT_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, "GIT_DIR="+bare, "GIT_WORK_TREE="+r.tree, "GIT_INDEX_FILE="+filepath.Join(r.data, "index"),
		"GIT_OBJECT_DIRECTORY="+filepath.Join(r.common, "objects"), "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1", "GIT_TERMINAL_PROMPT=0")
	return cmd.Run() == nil
}
