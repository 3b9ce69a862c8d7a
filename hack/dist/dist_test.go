// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// fakeCompile stands for the compiler: its program says what it was built from.
func fakeCompile(_ context.Context, _ []string, _ string, r release, p platform) ([]byte, error) {
	return fmt.Appendf(nil, "%s %s %s %s", r.version, r.commit, p.os, p.arch), nil
}

func fakeLicenses(_ context.Context, _ []string, _ string, p platform) ([]file, error) {
	return []file{{"licenses/a.example/a@v1.0.0/LICENSE", 0o644, []byte("of " + p.os + "\n" + mit)}}, nil
}

// fakeModules stands for what the linker wrote: two modules, one of them with a licence.
func fakeModules([]byte) ([]module, error) {
	return []module{{Path: "a.example/a", Version: "v1.0.0"}, {Path: "github.com/kubectl-fernet/kubectl-fernet/decrypt", Version: "v0.1.0", Main: true}}, nil
}

func newDist(t *testing.T, root string) dist {
	t.Helper()
	return dist{
		root: root, out: filepath.Join(t.TempDir(), "dist"), platforms: allPlatforms,
		compile: fakeCompile, licenses: fakeLicenses, modules: fakeModules, env: gitEnv(), log: &bytes.Buffer{},
	}
}

func readFile(t *testing.T, elements ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func fileNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// readSums reads checksums.txt: hex sums by file name.
func readSums(t *testing.T, dir string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	for line := range strings.Lines(string(readFile(t, dir, "checksums.txt"))) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok {
			t.Fatalf("checksums.txt: %q", line)
		}
		sums[name] = sum
	}
	return sums
}

func TestDist(t *testing.T) {
	tree := newTree(t)
	runIn(t, tree, gitEnv(), "git", "tag", "v0.1.0")
	d := newDist(t, tree)
	if err := d.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"checksums.txt", "fernet.yaml",
		"kubectl-fernet_v0.1.0.spdx.json",
		"kubectl-fernet_v0.1.0_darwin_amd64.tar.gz", "kubectl-fernet_v0.1.0_darwin_arm64.tar.gz",
		"kubectl-fernet_v0.1.0_linux_amd64.tar.gz", "kubectl-fernet_v0.1.0_linux_arm64.tar.gz",
		"kubectl-fernet_v0.1.0_windows_amd64.tar.gz", "kubectl-fernet_v0.1.0_windows_arm64.tar.gz",
	}
	if got := fileNames(t, d.out); !reflect.DeepEqual(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	sums := readSums(t, d.out)
	if len(sums) != len(allPlatforms)+1 {
		t.Errorf("%d sums", len(sums))
	}
	for name, sum := range sums {
		if got := fmt.Sprintf("%x", sha256.Sum256(readFile(t, d.out, name))); got != sum {
			t.Errorf("%s: sum %s, is %s", name, sum, got)
		}
	}
	if changes := runIn(t, tree, gitEnv(), "git", "status", "--porcelain", "--ignored"); changes != "" {
		t.Errorf("the tree was touched:\n%s", changes)
	}
}

func TestDistArchiveContents(t *testing.T) {
	tree := newTree(t)
	commit := runIn(t, tree, gitEnv(), "git", "rev-parse", "HEAD")
	version := "v0.0.0-dev+" + commit[:12]
	d := newDist(t, tree)
	if err := d.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	license := entry{"LICENSE", 0o644, string(readFile(t, repositoryRoot, "LICENSE"))}
	script := entry{completion, 0o755, "#!/bin/sh\nexec kubectl fernet __complete \"$@\"\n"}
	for _, p := range allPlatforms {
		program := strings.Join([]string{version, commit, p.os, p.arch}, " ")
		others := entry{"licenses/a.example/a@v1.0.0/LICENSE", 0o644, "of " + p.os + "\n" + mit}
		want := []entry{license, {"kubectl-fernet", 0o755, program}, script, others}
		if p.os == "windows" {
			want = []entry{license, {"kubectl-fernet.exe", 0o755, program}, others}
		}
		got := readArchive(t, readFile(t, d.out, p.archive(version)), someTime)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %.300v", p, got)
		}
	}
}

// A folder never holds parts of two releases, and what is not ours stays.
func TestDistAgain(t *testing.T) {
	tree := newTree(t)
	d := newDist(t, tree)
	if err := d.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(d.out, "notes.txt"), "mine\n")
	runIn(t, tree, gitEnv(), "git", "tag", "v0.2.0")
	d.platforms = []platform{{"linux", "amd64"}}
	if err := d.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"checksums.txt", "kubectl-fernet_v0.2.0.spdx.json", "kubectl-fernet_v0.2.0_linux_amd64.tar.gz", "notes.txt"}
	if got := fileNames(t, d.out); !reflect.DeepEqual(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

func TestDistErrors(t *testing.T) {
	broken := func(context.Context, []string, string, release, platform) ([]byte, error) {
		return nil, errors.New("does not compile")
	}
	unlinked := func([]byte) ([]module, error) { return nil, errors.New("says nothing") }
	unlicensed := func(context.Context, []string, string, platform) ([]file, error) {
		return nil, errors.New("a.example/a@v1.0.0: no licence")
	}
	for name, test := range map[string]struct {
		prepare func(tree string, d *dist) error
		want    string
	}{
		"program":     {func(_ string, d *dist) error { d.compile = broken; return nil }, "darwin_amd64.tar.gz: does not compile"},
		"dependency":  {func(_ string, d *dist) error { d.licenses = unlicensed; return nil }, "darwin_amd64.tar.gz: a.example/a@v1.0.0: no licence"},
		"materials":   {func(_ string, d *dist) error { d.modules = unlinked; return nil }, "darwin_amd64.tar.gz: says nothing"},
		"no licence":  {func(tree string, _ *dist) error { return os.Remove(filepath.Join(tree, "LICENSE")) }, "LICENSE"},
		"no script":   {func(tree string, _ *dist) error { return os.Remove(filepath.Join(tree, "hack/dist", completion)) }, completion},
		"no template": {func(tree string, _ *dist) error { return os.Remove(filepath.Join(tree, ".krew.yaml")) }, ".krew.yaml"},
		"output":      {func(_ string, d *dist) error { return os.WriteFile(d.out, nil, 0o600) }, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			tree := newTree(t)
			d := newDist(t, tree)
			if err := test.prepare(tree, &d); err != nil {
				t.Fatal(err)
			}
			if err := d.run(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
