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
	"slices"
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
	modules   func(program []byte) ([]module, error)                                           // that a program is linked from
	env       []string                                                                         // the environment of git and go
	log       io.Writer
}

// packed is an archive that was written.
type packed struct {
	name, sum string // of the file, its SHA-256 in hex
	modules   []module
	licenses  []file
}

// run writes the archives, their bill of materials and checksums.txt, and fernet.yaml, which
// has to name every platform, when every platform was built.
func (d dist) run(ctx context.Context) error {
	r, err := readRelease(ctx, d.env, d.root)
	if err != nil {
		return err
	}
	if err := d.clear(); err != nil {
		return err
	}
	var all []packed
	for _, p := range d.platforms {
		archive, err := d.pack(ctx, r, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.archive(r.version), err)
		}
		_, _ = fmt.Fprintf(d.log, "%s  %s\n", archive.sum, archive.name)
		all = append(all, archive)
	}
	materials, err := billOfMaterials(r, all)
	if err == nil {
		err = d.write(bill(r.version), materials)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", bill(r.version), err)
	}
	if err := d.write("checksums.txt", []byte(checksums(append(all, packed{name: bill(r.version), sum: sumOf(materials)})))); err != nil {
		return err
	}
	if len(d.platforms) < len(allPlatforms) {
		return nil
	}
	sums := map[string]string{}
	for _, archive := range all {
		sums[archive.name] = archive.sum
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
	for _, pattern := range []string{"kubectl-fernet_*.tar.gz", "kubectl-fernet_*.spdx.json", "checksums.txt", "fernet.yaml"} {
		old, err := filepath.Glob(filepath.Join(d.out, pattern))
		if err != nil {
			return err
		}
		for _, name := range old {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// pack writes one platform's archive.
func (d dist) pack(ctx context.Context, r release, p platform) (packed, error) {
	program, err := d.compile(ctx, d.env, d.root, r, p)
	if err != nil {
		return packed{}, err
	}
	modules, err := d.modules(program)
	if err != nil {
		return packed{}, err
	}
	license, err := os.ReadFile(filepath.Join(d.root, "LICENSE"))
	if err != nil {
		return packed{}, err
	}
	licenses, err := d.licenses(ctx, d.env, d.root, p)
	if err != nil {
		return packed{}, err
	}
	files := append(slices.Clone(licenses), file{p.binary(), 0o755, program}, file{"LICENSE", 0o644, license})
	if p.os != "windows" {
		script, err := os.ReadFile(filepath.Join(d.root, "hack", "dist", completion))
		if err != nil {
			return packed{}, err
		}
		files = append(files, file{completion, 0o755, script})
	}
	var archive bytes.Buffer
	if err := writeArchive(&archive, r.time, files); err != nil {
		return packed{}, err
	}
	name := p.archive(r.version)
	return packed{name, sumOf(archive.Bytes()), modules, licenses}, d.write(name, archive.Bytes())
}

// sumOf gives the SHA-256 of a file's content in hex.
func sumOf(content []byte) string { return fmt.Sprintf("%x", sha256.Sum256(content)) }

// checksums gives the lines that `sha256sum -c` reads.
func checksums(files []packed) string {
	var text strings.Builder
	for _, f := range files {
		_, _ = fmt.Fprintf(&text, "%s  %s\n", f.sum, f.name)
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
