// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// completion is the program that kubectl asks for the plugin's completions. It
// is a shell script, so there is none for Windows.
const completion = "kubectl_complete-fernet"

// platform is a GOOS and a GOARCH, which are krew's names too.
type platform struct{ os, arch string }

var allPlatforms = []platform{
	{"darwin", "amd64"}, {"darwin", "arm64"},
	{"linux", "amd64"}, {"linux", "arm64"},
	{"windows", "amd64"}, {"windows", "arm64"},
}

func (p platform) binary() string {
	if p.os == "windows" {
		return "kubectl-fernet.exe"
	}
	return "kubectl-fernet"
}

func (p platform) archive(version string) string {
	return fmt.Sprintf("kubectl-fernet_%s_%s_%s.tar.gz", version, p.os, p.arch)
}

// dist is one run.
type dist struct {
	root      string // the git work tree
	out       string // where the files go; made when it is missing
	platforms []platform
	compile   func(ctx context.Context, env []string, root string, r release, p platform) ([]byte, error)
	licenses  func(ctx context.Context, env []string, root string, p platform) ([]file, error) // of what compile links
	env       []string                                                                         // the environment of git and go
	log       io.Writer
}

// run writes the archives and checksums.txt, and fernet.yaml, which has to name
// every platform, when every platform was built.
func (d dist) run(ctx context.Context) error {
	r, err := readRelease(ctx, d.env, d.root)
	if err != nil {
		return err
	}
	if err := d.clear(); err != nil {
		return err
	}
	sums := map[string]string{}
	for _, p := range d.platforms {
		name := p.archive(r.version)
		if sums[name], err = d.pack(ctx, r, p); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		_, _ = fmt.Fprintf(d.log, "%s  %s\n", sums[name], name)
	}
	if err := d.write("checksums.txt", []byte(d.checksums(r, sums))); err != nil {
		return err
	}
	if len(d.platforms) < len(allPlatforms) {
		return nil
	}
	manifest, err := d.manifest(r.version, sums)
	if err != nil {
		return err
	}
	return d.write("fernet.yaml", manifest)
}

// clear removes what an earlier run left, so that the folder holds one release.
func (d dist) clear() error {
	if err := os.MkdirAll(d.out, 0o755); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(d.out, "kubectl-fernet_*.tar.gz"))
	if err != nil {
		return err
	}
	for _, name := range append(old, filepath.Join(d.out, "checksums.txt"), filepath.Join(d.out, "fernet.yaml")) {
		if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// pack writes one platform's archive and gives its SHA-256 in hex.
func (d dist) pack(ctx context.Context, r release, p platform) (string, error) {
	program, err := d.compile(ctx, d.env, d.root, r, p)
	if err != nil {
		return "", err
	}
	license, err := os.ReadFile(filepath.Join(d.root, "LICENSE"))
	if err != nil {
		return "", err
	}
	files, err := d.licenses(ctx, d.env, d.root, p)
	if err != nil {
		return "", err
	}
	files = append(files, file{p.binary(), 0o755, program}, file{"LICENSE", 0o644, license})
	if p.os != "windows" {
		script, err := os.ReadFile(filepath.Join(d.root, "hack", "dist", completion))
		if err != nil {
			return "", err
		}
		files = append(files, file{completion, 0o755, script})
	}
	var archive bytes.Buffer
	if err := writeArchive(&archive, r.time, files); err != nil {
		return "", err
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(archive.Bytes()))
	return sum, d.write(p.archive(r.version), archive.Bytes())
}

// checksums gives the lines that `sha256sum -c` reads.
func (d dist) checksums(r release, sums map[string]string) string {
	var text strings.Builder
	for _, p := range d.platforms {
		name := p.archive(r.version)
		_, _ = fmt.Fprintf(&text, "%s  %s\n", sums[name], name)
	}
	return text.String()
}

func (d dist) manifest(version string, sums map[string]string) ([]byte, error) {
	template, err := os.ReadFile(filepath.Join(d.root, ".krew.yaml"))
	if err != nil {
		return nil, err
	}
	return renderManifest(template, version, sums)
}

func (d dist) write(name string, data []byte) error {
	return os.WriteFile(filepath.Join(d.out, name), data, 0o644)
}
