// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// release is what git says of the tree.
type release struct {
	version string    // as krew wants it: semantic, with a v
	commit  string    // 40 hex digits
	time    time.Time // of the commit
}

// releaseTag is a semantic version with a v and no build metadata, which would
// make two versions equal. (semver.org, item 2, 9 and 10)
var releaseTag = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`)

// readRelease asks git. A commit with a release tag and no change in the tree is
// that release; all else is a development version, which sorts below them all.
func readRelease(ctx context.Context, env []string, root string) (release, error) {
	head, err := git(ctx, env, root, "show", "-s", "--format=%H %ct", "HEAD")
	if err != nil {
		return release{}, err
	}
	commit, seconds, _ := strings.Cut(head, " ")
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return release{}, fmt.Errorf("git show: time of the commit: %w", err)
	}
	version, err := readVersion(ctx, env, root, commit)
	return release{version, commit, time.Unix(unix, 0).UTC()}, err
}

func readVersion(ctx context.Context, env []string, root, commit string) (string, error) {
	changes, err := git(ctx, env, root, "status", "--porcelain", "--untracked-files=normal")
	if err != nil {
		return "", err
	}
	if changes != "" {
		return "v0.0.0-dev+" + commit[:12] + ".dirty", nil
	}
	tags, err := git(ctx, env, root, "tag", "--points-at", "HEAD")
	if err != nil {
		return "", err
	}
	var versions []string
	for _, tag := range strings.Fields(tags) {
		if releaseTag.MatchString(tag) {
			versions = append(versions, tag)
		}
	}
	switch len(versions) {
	case 0:
		return "v0.0.0-dev+" + commit[:12], nil
	case 1:
		return versions[0], nil
	default:
		return "", fmt.Errorf("commit %s is tagged as several releases: %s", commit[:12], strings.Join(versions, ", "))
	}
}

func git(ctx context.Context, env []string, root string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Env = root, env
	out, err := output(cmd)
	return strings.TrimSpace(string(out)), err
}

// output is what cmd prints; its error quotes what it complained of.
func output(cmd *exec.Cmd) ([]byte, error) {
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args[:2], " "), err, strings.TrimSpace(string(exit.Stderr)))
	}
	return out, err
}
