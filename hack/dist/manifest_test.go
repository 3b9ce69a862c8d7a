// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const noSum = "0000000000000000000000000000000000000000000000000000000000000000"

// manifest is what our tests read of krew's format.
type manifest struct {
	Spec struct {
		Version, ShortDescription, Description, Caveats string

		Platforms []struct {
			Selector         struct{ MatchLabels struct{ OS, Arch string } }
			URI, SHA256, Bin string
		}
	}
}

func parseManifest(t *testing.T, text []byte) manifest {
	t.Helper()
	var m manifest
	if err := yaml.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// sumsOfAll gives each archive of a version a sum of its own.
func sumsOfAll(version string) map[string]string {
	sums := map[string]string{}
	for i, p := range allPlatforms {
		sums[p.archive(version)] = fmt.Sprintf("%064x", i+1)
	}
	return sums
}

func TestManifest(t *testing.T) {
	const version = "v1.2.3-rc.1"
	sums := sumsOfAll(version)
	text, err := renderManifest(readFile(t, repositoryRoot, ".krew.yaml"), version, sums)
	if err != nil {
		t.Fatal(err)
	}
	checkPlatforms(t, parseManifest(t, text), version, sums)
	if !bytes.HasPrefix(text, []byte("apiVersion: ")) {
		t.Errorf("begins with %.40q", text)
	}
}

// checkPlatforms fails unless m has each platform once, with the address, the
// sum and the program that belong to it.
func checkPlatforms(t *testing.T, m manifest, version string, sums map[string]string) {
	t.Helper()
	if m.Spec.Version != version {
		t.Errorf("version %q, want %q", m.Spec.Version, version)
	}
	var seen []platform
	for _, got := range m.Spec.Platforms {
		p := platform{got.Selector.MatchLabels.OS, got.Selector.MatchLabels.Arch}
		seen = append(seen, p)
		name := p.archive(version)
		uri := "https://github.com/kubectl-fernet/kubectl-fernet/releases/download/" + version + "/" + name
		if got.URI != uri || got.SHA256 != sums[name] || got.Bin != p.binary() {
			t.Errorf("%v: %+v", p, got)
		}
	}
	if !reflect.DeepEqual(seen, allPlatforms) {
		t.Errorf("platforms %v, want %v", seen, allPlatforms)
	}
}

func TestManifestErrors(t *testing.T) {
	call := "{{ addURIAndSha \"https://a.example/{{ .TagName }}/x.tar.gz\" .TagName }}"
	for name, test := range map[string]struct{ template, want string }{
		"nothing built": {call, "no archive was built for https://a.example/v1.0.0/x.tar.gz"},
		"no template":   {"{{ addURIAndSha", "unclosed action"},
		"unknown name":  {"{{ .Version }}", "can't evaluate field Version"},
		"bad uri":       {"{{ addURIAndSha \"{{ .Tag }}\" .TagName }}", "can't evaluate field Tag"},
	} {
		if _, err := renderManifest([]byte(test.template), "v1.0.0", nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
}

// krew's index is reviewed for these: a tagline of a few words, a description without
// commands, for which there is --help, and no caveats where nothing more is needed.
func TestManifestKeepsTheRulesOfKrewsIndex(t *testing.T) {
	spec := parseManifest(t, readFile(t, repositoryRoot, "plugins", "fernet.yaml")).Spec
	if short := spec.ShortDescription; len(short) > 50 || strings.HasSuffix(short, ".") || strings.Contains(strings.ToLower(short), "kube") {
		t.Errorf("short description %q", short)
	}
	if strings.Contains(spec.Description, "kubectl fernet") || spec.Caveats != "" {
		t.Errorf("description %q, caveats %q", spec.Description, spec.Caveats)
	}
	for line := range strings.Lines(spec.Description) {
		if len(line) > 81 {
			t.Errorf("does not fit a terminal: %q", line)
		}
	}
}

// plugins/fernet.yaml is the last release's, .krew.yaml makes the next one's:
// nothing but the release itself may tell them apart.
func TestManifestsAgree(t *testing.T) {
	tree := newTree(t)
	runIn(t, tree, gitEnv(), "git", "tag", "v9.9.9")
	d := newDist(t, tree)
	if err := d.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	built := readFile(t, d.out, "fernet.yaml")
	byBot, err := renderManifest(readFile(t, repositoryRoot, ".krew.yaml"), "v9.9.8", sumsOfAll("v9.9.8"))
	if err != nil {
		t.Fatal(err)
	}
	want := blanked(t, built)
	if got := blanked(t, byBot); !reflect.DeepEqual(got, want) {
		t.Errorf(".krew.yaml:\n%s\ndist/fernet.yaml:\n%s", byBot, built)
	}
	plugin := readFile(t, repositoryRoot, "plugins", "fernet.yaml")
	if got := blanked(t, plugin); !reflect.DeepEqual(got, want) {
		t.Errorf("plugins/fernet.yaml:\n%s\ndist/fernet.yaml:\n%s", plugin, built)
	}
	checkPlatforms(t, parseManifest(t, built), "v9.9.9", readSums(t, d.out))
}

// blanked is a manifest without what each release changes.
func blanked(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := yaml.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	spec, ok := m["spec"].(map[string]any)
	if !ok {
		t.Fatalf("no spec in %v", m)
	}
	spec["version"] = ""
	platforms, ok := spec["platforms"].([]any)
	if !ok {
		t.Fatalf("no platforms in %v", spec)
	}
	for _, p := range platforms {
		fields, ok := p.(map[string]any)
		if !ok {
			t.Fatalf("platform %v", p)
		}
		fields["uri"], fields["sha256"] = "", ""
	}
	return m
}

// Before the first release plugins/fernet.yaml says that there is none; after
// it, no sum may be a placeholder.
func TestPluginManifestIsHonest(t *testing.T) {
	text := readFile(t, repositoryRoot, "plugins", "fernet.yaml")
	m := parseManifest(t, text)
	unreleased := m.Spec.Version == "v0.0.0"
	sums := map[string]string{}
	for _, p := range m.Spec.Platforms {
		if (p.SHA256 == noSum) != unreleased {
			t.Errorf("version %s has the sum %s", m.Spec.Version, p.SHA256)
		}
		sums[platform{p.Selector.MatchLabels.OS, p.Selector.MatchLabels.Arch}.archive(m.Spec.Version)] = p.SHA256
	}
	if bytes.HasPrefix(text, []byte("# No release exists yet")) != unreleased {
		t.Errorf("version %s begins with %.40q", m.Spec.Version, text)
	}
	checkPlatforms(t, m, m.Spec.Version, sums)
}
