// SPDX-License-Identifier: Apache-2.0

package repo

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// workflow is what these tests look at.
type workflow struct {
	Permissions map[string]string
	Env         map[string]string
	Jobs        map[string]struct {
		Permissions map[string]string
		Env         map[string]string
		Steps       []struct {
			Uses, Run string
			With      map[string]any
			Env       map[string]string
		}
	}
}

// workflows gives the text of each, and what it says.
func workflows(t *testing.T) (texts map[string]string, parsed map[string]workflow) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%d workflows: %v", len(files), err)
	}
	texts, parsed = map[string]string{}, map[string]workflow{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var w workflow
		if err := yaml.Unmarshal(text, &w); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		texts[filepath.Base(file)], parsed[filepath.Base(file)] = string(text), w
	}
	return texts, parsed
}

// A tag of somebody else's can move to other code: each action is named by its commit, and a
// comment says which version that is.
func TestWorkflowsPinActions(t *testing.T) {
	uses := regexp.MustCompile(`(?m)\buses:.*$`)
	pinned := regexp.MustCompile(`^uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	texts, _ := workflows(t)
	commits := map[string]string{}
	for name, text := range texts {
		for _, line := range uses.FindAllString(text, -1) {
			if !pinned.MatchString(line) && !strings.HasPrefix(line, "uses: ./") {
				t.Errorf("%s: not a commit with its version behind it: %s", name, line)
			}
			action, at, _ := strings.Cut(line, "@")
			if other, has := commits[action]; has && other != at {
				t.Errorf("%s: %s: elsewhere it is %s", name, line, other)
			}
			commits[action] = at
		}
	}
}

// A step has the repository's token only where it creates the release, and no job may more than
// it has to.
func TestWorkflowsGiveTheTokenToOneStep(t *testing.T) {
	texts, parsed := workflows(t)
	may := map[string]string{"build": "attestations: write\ncontents: read\nid-token: write\n", "publish": "contents: write\n"}
	tokens := 0
	for name, w := range parsed {
		if text, _ := yaml.Marshal(w.Permissions); string(text) != "contents: read\n" {
			t.Errorf("%s: all jobs may %s", name, text)
		}
		for job, j := range w.Jobs {
			text, _ := yaml.Marshal(j.Permissions)
			if want := may[job]; len(j.Permissions) > 0 && string(text) != want {
				t.Errorf("%s: %s may %s, want %s", name, job, text, want)
			}
			for _, step := range j.Steps {
				if strings.HasPrefix(step.Uses, "actions/checkout@") && step.With["persist-credentials"] != false {
					t.Errorf("%s: %s: the checkout keeps the token", name, job)
				}
				if step.Env["GH_TOKEN"] != "" {
					tokens++
				}
			}
		}
		if n := strings.Count(texts[name], "github.token") + strings.Count(texts[name], "secrets."); n != map[string]int{"release.yml": 1}[name] {
			t.Errorf("%s names the token %d times", name, n)
		}
	}
	if tokens != 1 {
		t.Errorf("%d steps have the token", tokens)
	}
}

// The release gets all that dist makes and what signs it, and a dist of another version none.
func TestReleaseUploadsAll(t *testing.T) {
	_, parsed := workflows(t)
	steps := parsed["release.yml"].Jobs["publish"].Steps
	const gh = "#!/bin/sh\nfor last; do case $last in dist/*) [ -e \"$last\" ] || exit 1; echo \"$last\" ;; esac; done\n"
	files := []string{
		"checksums.txt", "checksums.txt.sigstore.json", "fernet.yaml", "kubectl-fernet_v0.1.0.spdx.json",
		"kubectl-fernet_v0.1.0_darwin_arm64.tar.gz", "kubectl-fernet_v0.1.0_linux_amd64.tar.gz",
	}
	folder := t.TempDir()
	for _, name := range files {
		writeFile(t, filepath.Join(folder, "dist", name), "")
	}
	writeFile(t, filepath.Join(folder, "gh"), gh)
	for tag, ok := range map[string]bool{"v0.1.0": true, "v0.1.1": false} {
		cmd := exec.Command("bash", "-e", "-c", steps[len(steps)-1].Run)
		cmd.Dir, cmd.Env = folder, []string{"PATH=" + folder + ":" + os.Getenv("PATH"), "TAG=" + tag}
		out, err := cmd.Output()
		if (err == nil) != ok {
			t.Errorf("%s: %v", tag, err)
		}
		for _, name := range files {
			if ok && !strings.Contains(string(out), "dist/"+name+"\n") {
				t.Errorf("%s is not uploaded:\n%s", name, out)
			}
		}
	}
}

// writeFile writes a program, or any file, and its folder.
func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
