// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	// toolsModule asks for the versions that the tests below mean.
	toolsModule = "module tools\n\nrequire (\n\tk8s.io/kubernetes v1.36.3\n)\n\nrequire (\n\tgo.etcd.io/etcd/server/v3 v3.6.8 // indirect\n)\n"

	// fakeGo writes a program that says "built", and notes the package.
	fakeGo = `[ "$1" = build ] || exit 0
while [ "$1" != -o ]; do shift; done
echo "$3" >>"$BUILT"
printf '#!/bin/sh\necho built\n' >"$2"
chmod +x "$2"`
)

// checkout is a repository with nothing in it but build.sh and its versions, and a PATH that has nothing but what a test
// installs, a false go, and the tools of build.sh.
type checkout struct{ root, tools string }

func newCheckout(t *testing.T) checkout {
	t.Helper()
	c := checkout{root: t.TempDir(), tools: t.TempDir()}
	script, err := os.ReadFile("build.sh")
	if err != nil {
		t.Fatal(err)
	}
	c.write(t, c.script(), string(script))
	c.write(t, filepath.Join(c.root, "hack/localkube/tools/go.mod"), toolsModule)
	c.write(t, filepath.Join(c.root, "hack/localkube/tools/go.sum"), "")
	for _, name := range strings.Fields("awk bash cat chmod dirname grep head ln mkdir realpath rm sed sha256sum uname") {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(c.tools, name)); err != nil {
			t.Fatal(err)
		}
	}
	c.write(t, filepath.Join(c.tools, "go"), "#!/bin/sh\n"+fakeGo)
	return c
}

func (c checkout) script() string         { return filepath.Join(c.root, "hack/localkube/build.sh") }
func (c checkout) bin(name string) string { return filepath.Join(c.root, "bin", name) }

func (checkout) write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
}

// installed makes a folder of programs, given as NAME=WHAT IT SAYS OF ITS VERSION.
func (c checkout) installed(t *testing.T, programs ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, program := range programs {
		name, says, _ := strings.Cut(program, "=")
		c.write(t, filepath.Join(dir, name), "#!/bin/sh\necho '"+says+"'\n")
	}
	return dir
}

// build runs build.sh and returns what it says and the packages that it builds. Programs are in assets and in path.
func (c checkout) build(t *testing.T, assets, path string, args ...string) (says, packages string) {
	t.Helper()
	built := filepath.Join(t.TempDir(), "built")
	cmd := exec.Command(c.script(), args...)
	cmd.Env = []string{"BUILT=" + built, "KUBEBUILDER_ASSETS=" + assets, "PATH=" + path + ":" + c.tools}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	names, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	return string(out), strings.Join(strings.Fields(string(names)), " ")
}

func TestBuildsWhatIsMissing(t *testing.T) {
	c := newCheckout(t)
	says, packages := c.build(t, "", "", "etcd", "kubectl")
	if want := "go.etcd.io/etcd/server/v3 k8s.io/kubernetes/cmd/kubectl ./hack/localkube"; packages != want {
		t.Errorf("built %s, want %s", packages, want)
	}
	for _, want := range []string{"etcd: building v3.6.8", "kubectl: building v1.36.3"} {
		if !strings.Contains(says, want) {
			t.Errorf("says %s, want %s", says, want)
		}
	}
	if says, packages = c.build(t, "", "", "etcd", "kubectl"); packages != "./hack/localkube" || says != "" {
		t.Errorf("again: built %s and says %q, want the launcher alone and nothing", packages, says)
	}
	c.write(t, filepath.Join(c.root, "hack/localkube/tools/go.sum"), "other")
	if _, packages = c.build(t, "", "", "etcd"); !strings.Contains(packages, "etcd") {
		t.Errorf("with other sources: built %s, want etcd", packages)
	}
}

func TestInstalledPrograms(t *testing.T) {
	for _, tt := range []struct {
		name, program, says string
		links               bool
	}{
		{"the version", "kubectl=Client Version: v1.36.3", "kubectl: using ", true},
		{"of a distribution", "kubectl=Client Version: v1.36.0-gke.1", "kubectl: using ", true},
		{"one minor before", "kube-apiserver=Kubernetes v1.35.9", "version 1.35\n", true},
		{"one minor after", "etcd=etcd Version: 3.7.0", "version 3.7\n", true},
		{"two minors before", "kube-apiserver=Kubernetes v1.34.9", "version 1.34; accepted: 1.35 to 1.37\n", false},
		{"two minors after", "kubectl=Client Version: v1.38.0", "version 1.38; accepted: 1.35 to 1.37\n", false},
		{"another major", "etcd=etcd Version: 2.6.8", "version 2.6; accepted: 3.5 to 3.7\n", false},
		{"no version", "etcd=cannot", "version unknown; accepted: 3.5 to 3.7\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCheckout(t)
			name, _, _ := strings.Cut(tt.program, "=")
			path := c.installed(t, tt.program)
			says, _ := c.build(t, "", path, "--installed", name)
			target, _ := os.Readlink(c.bin(name))
			if links := target == filepath.Join(path, name); links != tt.links || !strings.Contains(says, tt.says) {
				t.Errorf("links to %q and says %s, want a link: %v, and %s", target, says, tt.links, tt.says)
			}
		})
	}
}

func TestAssetsComeFirst(t *testing.T) {
	c := newCheckout(t)
	old, first, second := c.installed(t, "etcd=etcd Version: 3.1.0"), c.installed(t, "etcd=etcd Version: 3.6.1"), c.installed(t, "etcd=etcd Version: 3.6.2")
	c.build(t, first, second, "--installed", "etcd")
	if target, _ := os.Readlink(c.bin("etcd")); target != filepath.Join(first, "etcd") {
		t.Errorf("links to %s, want KUBEBUILDER_ASSETS", target)
	}
	c.build(t, old, second, "--installed", "etcd")
	if target, _ := os.Readlink(c.bin("etcd")); target != filepath.Join(second, "etcd") {
		t.Errorf("links to %s, want the first that fits", target)
	}
}

// TestTestsGetTheVersionItself follows a demonstration, which found a program, with what tests want, and the other way round.
func TestTestsGetTheVersionItself(t *testing.T) {
	c := newCheckout(t)
	path := c.installed(t, "etcd=etcd Version: 3.6.1")
	c.build(t, "", path, "--installed", "etcd")
	if _, packages := c.build(t, "", path, "etcd"); !strings.Contains(packages, "etcd") {
		t.Errorf("built %s, want etcd too", packages)
	}
	for name, want := range map[string]string{c.bin("etcd"): "built\n", filepath.Join(path, "etcd"): "etcd Version: 3.6.1\n"} {
		if out, err := exec.Command(name).Output(); err != nil || string(out) != want {
			t.Errorf("%s is %q (%v), want %q", name, out, err, want)
		}
	}
	if says, packages := c.build(t, "", path, "--installed", "etcd"); packages != "./hack/localkube" || says != "" {
		t.Errorf("what is built is not used: built %s and says %s", packages, says)
	}
}

// TestNoLinkToItself has bin/ on PATH, with a program in it whose version would do but whose sources have changed.
func TestNoLinkToItself(t *testing.T) {
	c := newCheckout(t)
	c.write(t, c.bin("etcd"), "#!/bin/sh\necho 'etcd Version: 3.6.8'\n")
	says, packages := c.build(t, "", filepath.Dir(c.bin("etcd")), "--installed", "etcd")
	if !strings.Contains(packages, "etcd") || strings.Contains(says, "using") {
		t.Errorf("built %s and says %s, want etcd too, and nothing of an installed one", packages, says)
	}
}
