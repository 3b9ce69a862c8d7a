// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// These tests build the plugin itself, from this repository's commit.

// repository gives this repository's root, absolute.
func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(repositoryRoot)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := git(t.Context(), os.Environ(), root, "rev-parse", "--verify", "HEAD"); err != nil {
		t.Fatalf("this needs a git work tree with a commit; type:\n\tgit clone https://github.com/kubectl-fernet/kubectl-fernet\n%v", err)
	}
	return root
}

// realDist builds one platform for real.
func realDist(t *testing.T, root string, p platform, env ...string) dist {
	t.Helper()
	d := newDist(t, root)
	d.platforms, d.compile, d.licenses, d.modules, d.env = []platform{p}, goBuild, goLicenses, linkedModules, append(os.Environ(), env...)
	if err := d.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTwoClonesGiveTheSameBytes(t *testing.T) {
	root := repository(t)
	linux := platform{"linux", "amd64"}
	first, second := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "another", "folder")
	for _, folder := range []string{first, second} {
		runIn(t, ".", os.Environ(), "git", "clone", "-q", root, folder)
	}
	a := realDist(t, first, linux)
	b := realDist(t, second, linux, "GOCACHE="+t.TempDir(), "HOME="+t.TempDir(), "TZ=Asia/Tokyo",
		"GOPATH="+goEnv(t, "GOPATH"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"), "GOFLAGS=-buildvcs=true", "CGO_ENABLED=1")
	names := fileNames(t, a.out)
	if len(names) != 3 {
		t.Fatalf("files %q", names)
	}
	for _, name := range names {
		if !bytes.Equal(readFile(t, a.out, name), readFile(t, b.out, name)) {
			t.Errorf("%s differs between two clones", name)
		}
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	return runIn(t, ".", os.Environ(), "go", "env", name)
}

// krewTools builds krew and its manifest checker and gives their folder.
func krewTools(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	runIn(t, filepath.Join(repositoryRoot, "hack", "krew"), os.Environ(), "go", "build", "-o", bin,
		"sigs.k8s.io/krew/cmd/krew", "sigs.k8s.io/krew/cmd/validate-krew-manifest")
	return bin
}

// The checker of krew's index installs each platform's archive. It downloads them;
// here a kubectl gives krew those that were built, whose sums krew still compares.
func TestKrewAcceptsTheManifests(t *testing.T) {
	tree := newTree(t)
	runIn(t, tree, gitEnv(), "git", "tag", "v0.1.0")
	d := newDist(t, tree)
	if err := d.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	tools := krewTools(t)
	kubectl := "#!/bin/sh\nset -eu\nshift\n" +
		`exec krew "$@" --archive="` + d.out + `/kubectl-fernet_v0.1.0_${KREW_OS}_${KREW_ARCH}.tar.gz"` + "\n"
	if err := os.WriteFile(filepath.Join(tools, "kubectl"), []byte(kubectl), 0o755); err != nil {
		t.Fatal(err)
	}
	check := filepath.Join(tools, "validate-krew-manifest")
	env := append(os.Environ(), "PATH="+tools+string(filepath.ListSeparator)+os.Getenv("PATH"))
	said := runIn(t, ".", env, check, "-manifest="+filepath.Join(d.out, "fernet.yaml"))
	if installed := strings.Count(said, "installed  spec.platforms"); installed != len(allPlatforms) {
		t.Errorf("%d platforms were installed:\n%s", installed, said)
	}
	runIn(t, ".", env, check, "-skip-install", "-manifest="+filepath.Join(repositoryRoot, "plugins", "fernet.yaml"))
}

// shell is a user's: a home with krew in its default folder, and PATH, which has
// ~/.local/bin.
type shell struct {
	home string
	env  []string
}

func newShell(t *testing.T, root string) shell {
	t.Helper()
	kubectl := filepath.Join(root, "bin")
	if _, err := os.Stat(filepath.Join(kubectl, "kubectl")); err != nil {
		t.Fatalf("this needs bin/kubectl; type:\n\tmake localkube\n%v", err)
	}
	home := t.TempDir()
	local := filepath.Join(home, ".local", "bin")
	if err := os.MkdirAll(local, 0o755); err != nil {
		t.Fatal(err)
	}
	path := strings.Join([]string{filepath.Join(home, ".krew", "bin"), local, kubectl, "/usr/bin", "/bin"}, ":")
	return shell{home, []string{"HOME=" + home, "PATH=" + path, "KREW_NO_UPGRADE_CHECK=1"}}
}

func (s shell) run(t *testing.T, line string) string {
	t.Helper()
	return runIn(t, s.home, s.env, "sh", "-c", line)
}

// install has krew install the archive under a manifest with the given sum.
func (s shell) install(t *testing.T, krew string, d dist, archive, sum string) ([]byte, error) {
	t.Helper()
	r, err := readRelease(t.Context(), d.env, d.root)
	if err != nil {
		t.Fatal(err)
	}
	sums := sumsOfAll(r.version) // of the platforms that were not built
	sums[archive] = sum
	manifest, err := d.manifest(r.version, sums)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(s.home, "fernet.yaml"), string(manifest))
	cmd := exec.CommandContext(t.Context(), krew, "install",
		"--manifest="+filepath.Join(s.home, "fernet.yaml"), "--archive="+filepath.Join(d.out, archive))
	cmd.Env = s.env
	return cmd.CombinedOutput()
}

func TestKrewInstall(t *testing.T) {
	root := repository(t)
	user := newShell(t, root)
	krew := filepath.Join(krewTools(t), "krew")
	d := realDist(t, root, platform{runtime.GOOS, runtime.GOARCH})
	for archive, sum := range readSums(t, d.out) {
		if !strings.HasSuffix(archive, ".tar.gz") {
			continue
		}
		if out, err := user.install(t, krew, d, archive, noSum); err == nil {
			t.Fatalf("krew installed an archive with another sum:\n%s", out)
		}
		if out, err := user.install(t, krew, d, archive, sum); err != nil {
			t.Fatalf("krew install: %v\n%s", err, out)
		}
	}
	t.Run("version", func(t *testing.T) { checkVersion(t, user, d) })
	t.Run("completion", func(t *testing.T) { checkCompletion(t, user, d) })
	t.Run("materials", func(t *testing.T) { checkMaterials(t, d) })
	t.Run("licences", func(t *testing.T) { checkLicenses(t, filepath.Join(user.home, ".krew", "store", "fernet")) })
}

// The archive for Windows is unpacked and its program run, under Wine; `make test-windows` does.
func TestWineArchive(t *testing.T) {
	root, folder := repository(t), t.TempDir()
	d := realDist(t, root, platform{"windows", "amd64"})
	for archive := range readSums(t, d.out) {
		if strings.HasSuffix(archive, ".tar.gz") {
			runIn(t, folder, os.Environ(), "tar", "-xzf", filepath.Join(d.out, archive))
		}
	}
	r, err := readRelease(t.Context(), d.env, d.root)
	if err != nil {
		t.Fatal(err)
	}
	said := runIn(t, folder, os.Environ(), "wine64", filepath.Join(folder, platform{os: "windows"}.binary()), "version", "-o", "json")
	var got struct{ Version, Commit, Platform string }
	if err := json.Unmarshal([]byte(said), &got); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if got.Version != r.version || got.Commit != r.commit || got.Platform != "windows/amd64" {
		t.Errorf("%+v, want %+v", got, r)
	}
	readFile(t, folder, "LICENSE")
}

// checkLicenses fails unless what krew installed has our licence, and one for Go
// and each module that the program says it is linked from, and for no other.
func checkLicenses(t *testing.T, store string) {
	versions := fileNames(t, store)
	if len(versions) != 1 {
		t.Fatalf("installed %q", versions)
	}
	store = filepath.Join(store, versions[0])
	readFile(t, store, "LICENSE")
	info, err := buildinfo.ReadFile(filepath.Join(store, platform{os: runtime.GOOS}.binary()))
	if err != nil {
		t.Fatal(err)
	}
	linked := []string{info.GoVersion}
	for _, m := range info.Deps {
		if m.Path != info.Main.Path+"/decrypt" {
			linked = append(linked, m.Path+"@"+m.Version)
		}
	}
	licensed := licensedModules(t, filepath.Join(store, licenseFolder))
	for _, m := range linked {
		if !slices.Contains(licensed, m) {
			t.Errorf("no licence of %s", m)
		}
	}
	for _, m := range licensed {
		if !slices.Contains(linked, m) {
			t.Errorf("a licence of %s, which is not linked", m)
		}
	}
}

// licensedModules gives the modules that have a licence below folder.
func licensedModules(t *testing.T, folder string) []string {
	t.Helper()
	var modules []string
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && licenseName.MatchString(entry.Name()) {
			name, err = filepath.Rel(folder, filepath.Dir(name))
			module, version, _ := strings.Cut(filepath.ToSlash(name), "@")
			version, _, _ = strings.Cut(version, "/") // of a folder of the module
			modules = append(modules, strings.TrimSuffix(module+"@"+version, "@"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return modules
}

func checkVersion(t *testing.T, user shell, d dist) {
	r, err := readRelease(t.Context(), d.env, d.root)
	if err != nil {
		t.Fatal(err)
	}
	if got := user.run(t, "kubectl fernet version"); !strings.Contains(got, r.version) {
		t.Errorf("version %q, want %s", got, r.version)
	}
	var got struct{ Version, Commit, Platform string }
	if err := json.Unmarshal([]byte(user.run(t, "kubectl fernet version -o json")), &got); err != nil {
		t.Fatal(err)
	}
	if got.Version != r.version || got.Commit != r.commit || got.Platform != runtime.GOOS+"/"+runtime.GOARCH {
		t.Errorf("%+v, want %+v", got, r)
	}
}

// checkCompletion types what README.md says, as it stands there.
func checkCompletion(t *testing.T, user shell, d dist) {
	const ask = "kubectl __complete fernet ''"
	if before := user.run(t, ask); strings.Contains(before, "push\t") {
		t.Errorf("completes before README.md was followed:\n%s", before)
	}
	typed := 0
	for line := range strings.Lines(string(readFile(t, d.root, "README.md"))) {
		if command, ok := strings.CutPrefix(line, "    "); ok && strings.Contains(command, completion) {
			user.run(t, command)
			typed++
		}
	}
	if typed != 2 {
		t.Errorf("README.md has %d commands for completion, want 2", typed)
	}
	script := readFile(t, user.home, ".local", "bin", completion)
	if want := readFile(t, d.root, "hack", "dist", completion); !bytes.Equal(script, want) {
		t.Errorf("the plugin prints\n%s\nthe archive has\n%s", script, want)
	}
	verbs := user.run(t, ask)
	for _, verb := range []string{"init\t", "push\t", "version\t"} {
		if !strings.Contains("\n"+verbs, "\n"+verb) {
			t.Errorf("%s lacks %q:\n%s", ask, verb, verbs)
		}
	}
}
