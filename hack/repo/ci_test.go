// SPDX-License-Identifier: Apache-2.0

package repo

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every line that docs/ci.md has for a shell or a job is one of the script ci.txtar, and so
// is the manifest.
func TestLinesOfThePageAboutCI(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "ci.md"))
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join(root, "testdata", "script", "ci.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	run, manifest, _ := strings.Cut(string(script), "\n-- cronjob.yaml --\n")
	run = regexp.MustCompile(`(?m)^#.*`).ReplaceAllString(run, "")
	lines, manifests := linesToRun(string(page))
	for _, line := range lines {
		if !strings.Contains(run, line) {
			t.Errorf("ci.txtar does not run: %s", line)
		}
	}
	if len(manifests) != 1 || manifests[0] != manifest {
		t.Errorf("cronjob.yaml of ci.txtar is not that of the page: %q", manifests)
	}
	if len(lines) < 15 {
		t.Errorf("only %d lines", len(lines))
	}
}

// linesToRun gives the lines of shells and of jobs, with the script's variables for
// namespaces, and the manifests.
func linesToRun(page string) (lines, manifests []string) {
	item := regexp.MustCompile(`^ *- (?:run: )?(kubectl .*)$`)
	namespaces := strings.NewReplacer("-n shop", "-n $NS", "shop:", "$NS:", "-n ops", "-n $ops")
	for _, block := range regexp.MustCompile("(?s)```(sh|yaml)\n(.*?)```").FindAllStringSubmatch(page, -1) {
		if strings.HasPrefix(block[2], "apiVersion:") {
			manifests = append(manifests, block[2])
			continue
		}
		for line := range strings.SplitSeq(strings.TrimSpace(block[2]), "\n") {
			if found := item.FindStringSubmatch(line); found != nil {
				line = found[1]
			} else if block[1] == "yaml" {
				continue
			}
			lines = append(lines, namespaces.Replace(line))
		}
	}
	return lines, manifests
}
