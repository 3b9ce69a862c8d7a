// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// licenseFolder is where an archive has the licences of what is linked into its
// program, by module and version.
const licenseFolder = "licenses"

// legalName matches the files that a redistribution has to carry along.
// licenseName matches those of them that permit it.
var (
	legalName   = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([-._].*)?$`)
	licenseName = regexp.MustCompile(`(?i)^(licen[cs]e|copying)`)
)

// module is one that packages are linked from.
type module struct {
	Path, Version, Dir string
	Main               bool
}

// name is the module's in licenseFolder.
func (m module) name() string {
	if m.Version == "" {
		return m.Path
	}
	return m.Path + "@" + m.Version
}

// linkedPackage is what `go list` says of a package of the program. The standard
// library's have no module.
type linkedPackage struct {
	Dir    string
	Module *module
}

// goLicenses gives the licences, notices and patent grants of all that is linked
// into a platform's program but ours, which LICENSE is for. A module without a
// licence is an error, and so is one that is not in permitted.
func goLicenses(ctx context.Context, env []string, root string, p platform) ([]file, error) {
	env = buildEnv(env, p)
	packages, err := listPackages(ctx, env, root)
	if err != nil {
		return nil, err
	}
	own := ""
	for _, pkg := range packages {
		if pkg.Module != nil && pkg.Module.Main {
			own = pkg.Module.Path
		}
	}
	standard, err := standardLibrary(ctx, env, root)
	if err != nil {
		return nil, err
	}
	found := licenses{}
	if err := found.add(standard, standard.Dir); err != nil {
		return nil, err
	}
	for _, pkg := range packages {
		if m := pkg.Module; m != nil && m.Path != own && !strings.HasPrefix(m.Path, own+"/") {
			if err := found.add(*m, pkg.Dir); err != nil {
				return nil, err
			}
		}
	}
	return found.files(), nil
}

func listPackages(ctx context.Context, env []string, root string) ([]linkedPackage, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Dir,Module", programPackage)
	cmd.Dir, cmd.Env = root, env
	out, err := output(cmd)
	if err != nil {
		return nil, err
	}
	var packages []linkedPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg linkedPackage
		err := decoder.Decode(&pkg)
		if errors.Is(err, io.EOF) {
			return packages, nil
		}
		if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		packages = append(packages, pkg)
	}
}

// standardLibrary gives Go itself as a module. The licence of its root is the
// only one that counts: what Go vendors has the same, and crypto/internal/boring
// is empty without cgo.
func standardLibrary(ctx context.Context, env []string, root string) (module, error) {
	cmd := exec.CommandContext(ctx, "go", "env", "-json", "GOROOT", "GOVERSION")
	cmd.Dir, cmd.Env = root, env
	out, err := output(cmd)
	if err != nil {
		return module{}, err
	}
	var said struct{ GOROOT, GOVERSION string }
	if err := json.Unmarshal(out, &said); err != nil {
		return module{}, fmt.Errorf("go env: %w", err)
	}
	return module{Path: said.GOVERSION, Dir: said.GOROOT}, nil
}

// licenses has the text of each legal file by its name in the archive.
type licenses map[string][]byte

// add takes the files that hold for the package in dir: those beside it, and in
// each folder above it up to the module's, which has to have a licence. Code that
// a module has from elsewhere has its own, below the module's.
func (l licenses) add(m module, dir string) error {
	for ; ; dir = filepath.Dir(dir) {
		inside, err := filepath.Rel(m.Dir, dir)
		if err != nil || inside == ".." || strings.HasPrefix(inside, ".."+string(filepath.Separator)) {
			return fmt.Errorf("%s: the package in %s is not below the module's %s", m.name(), dir, m.Dir)
		}
		licensed, err := l.addFolder(dir, path.Join(licenseFolder, m.name(), filepath.ToSlash(inside)))
		if err != nil {
			return fmt.Errorf("%s: %w", m.name(), err)
		}
		if inside != "." {
			continue
		}
		if !licensed {
			return fmt.Errorf("%s: no licence in %s: it may not be shipped", m.name(), dir)
		}
		return nil
	}
}

// addFolder takes the legal files of one folder and says whether a licence was
// among them.
func (l licenses) addFolder(dir, name string) (licensed bool, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !legalName.MatchString(entry.Name()) || path.Ext(entry.Name()) == ".go" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return false, err
		}
		if licenseName.MatchString(entry.Name()) {
			if _, err := permitted(text); err != nil {
				return false, fmt.Errorf("%s: %w", filepath.Join(dir, entry.Name()), err)
			}
			licensed = true
		}
		l[path.Join(name, entry.Name())] = text
	}
	return licensed, nil
}

func (l licenses) files() []file {
	var files []file
	for name, text := range l {
		files = append(files, file{name, 0o644, text})
	}
	return files
}

// permits has a sentence of each licence that we ship code under. refuses matches
// what asks for more than a copy of its text.
var (
	permits = []struct{ id, sentence string }{
		{"Apache-2.0", "licensed under the apache license, version 2.0"},
		{"Apache-2.0", "apache license version 2.0, january 2004"},
		{bsd, "redistribution and use in source and binary forms, with or without modification, are permitted provided that the following conditions are met"},
		{"ISC", "permission to use, copy, modify, and distribute this software for any purpose with or without fee is hereby granted"},
		{"ISC", "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"},
		{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy"},
	}
	refuses = regexp.MustCompile(`\bgnu\b|mozilla public|eclipse public|common development and distribution|` +
		`server side public|business source|commons clause|creative commons|all advertising materials`)
)

// bsd stands for the two BSD licences, which begin alike.
const bsd = "BSD"

// bsdOf tells them apart: the third clause is about the names of the authors.
func bsdOf(words string) string {
	if strings.Contains(words, "neither the name") || strings.Contains(words, "may not be used to endorse") {
		return "BSD-3-Clause"
	}
	return "BSD-2-Clause"
}

// permitted names the licences in text, by their identifiers in SPDX. A text without one that we know, and one
// that refuses matches, is an error: a person has to read it.
func permitted(text []byte) ([]string, error) {
	words := strings.ToLower(strings.Join(strings.Fields(string(text)), " "))
	if found := refuses.FindString(words); found != "" {
		return nil, fmt.Errorf("%q: not a licence that hack/dist/licenses.go permits", found)
	}
	var ids []string
	for _, known := range permits {
		id := known.id
		if id == bsd {
			id = bsdOf(words)
		}
		if strings.Contains(words, known.sentence) && (len(ids) == 0 || ids[len(ids)-1] != id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("no licence that hack/dist/licenses.go knows")
	}
	return ids, nil
}
