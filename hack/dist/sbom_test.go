// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// What SPDX 2.3 asks of each text that we write.
var (
	spdxIDs      = regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`)
	spdxLicences = regexp.MustCompile(`^(NOASSERTION|(Apache-2\.0|BSD-[23]-Clause|ISC|MIT)( AND (Apache-2\.0|BSD-[23]-Clause|ISC|MIT))*)$`)
	spdxPurls    = regexp.MustCompile(`^pkg:golang/[a-z0-9._~/-]+@[A-Za-z0-9._%-]+$`)
	sha256Hex    = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// readMaterials reads a bill of materials and fails on what the specification does not allow.
func readMaterials(t *testing.T, text []byte) spdxDocument {
	t.Helper()
	var doc spdxDocument
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	need := func(ok bool, format string, args ...any) {
		t.Helper()
		if !ok {
			t.Errorf(format, args...)
		}
	}
	location := func(text string) bool {
		address, err := url.Parse(text)
		return err == nil && address.IsAbs() && address.Fragment == ""
	}
	need(doc.Version == "SPDX-2.3" && doc.DataLicense == "CC0-1.0" && doc.ID == documentID && doc.Name != "", "document %+v", doc)
	need(location(doc.Namespace), "namespace %q", doc.Namespace)
	_, err := time.Parse("2006-01-02T15:04:05Z", doc.Creation.Created)
	need(err == nil, "created %q", doc.Creation.Created)
	need(len(doc.Creation.Creators) == 1 && strings.HasPrefix(doc.Creation.Creators[0], "Tool: "), "creators %q", doc.Creation.Creators)
	ids := map[string]bool{doc.ID: true}
	for _, p := range doc.Packages {
		need(spdxIDs.MatchString(p.ID) && !ids[p.ID], "id %q", p.ID)
		ids[p.ID] = true
		need(p.Name != "" && p.Version != "" && !p.FilesAnalyzed && p.Copyright != "", "package %+v", p)
		need(p.Download == noAssertion || location(p.Download), "%s: from %q", p.ID, p.Download)
		need(spdxLicences.MatchString(p.Concluded) && spdxLicences.MatchString(p.Declared), "%s: licences %q, %q", p.ID, p.Concluded, p.Declared)
		need(slices.Contains([]string{"ARCHIVE", "LIBRARY"}, p.Purpose), "%s: purpose %q", p.ID, p.Purpose)
		for _, c := range p.Checksums {
			need(c.Algorithm == "SHA256" && sha256Hex.MatchString(c.Value), "%s: checksum %v", p.ID, c)
		}
		for _, r := range p.References {
			need(r.Category == "PACKAGE-MANAGER" && r.Type == "purl" && spdxPurls.MatchString(r.Locator), "%s: reference %v", p.ID, r)
		}
	}
	described := 0
	for _, r := range doc.Relationships {
		need(ids[r.From] && ids[r.To] && slices.Contains([]string{"DESCRIBES", "CONTAINS"}, r.Type), "relationship %v", r)
		if r.From == doc.ID {
			described++
		}
	}
	need(described > 0, "it describes nothing")
	return doc
}

// contained gives the purls of what an archive contains, and their licences.
func (doc spdxDocument) contained(archive string) map[string]string {
	packages := map[string]spdxPackage{}
	for _, p := range doc.Packages {
		packages[p.ID] = p
	}
	inside := map[string]string{}
	for _, r := range doc.Relationships {
		if p := packages[r.To]; packages[r.From].Name == archive {
			inside[p.References[0].Locator] = p.Declared
		}
	}
	return inside
}

func TestMaterials(t *testing.T) {
	tree := newTree(t)
	runIn(t, tree, gitEnv(), "git", "tag", "v0.1.0")
	d := newDist(t, tree)
	if err := d.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	doc := readMaterials(t, readFile(t, d.out, bill("v0.1.0")))
	sums := readSums(t, d.out)
	for _, p := range allPlatforms {
		name := p.archive("v0.1.0")
		at := slices.IndexFunc(doc.Packages, func(p spdxPackage) bool { return p.File == name })
		if at < 0 || doc.Packages[at].Checksums[0].Value != sums[name] {
			t.Errorf("%s: not there, or with another sum", name)
		}
		got := fmt.Sprint(doc.contained(name))
		if want := "map[pkg:golang/a.example/a@v1.0.0:MIT pkg:golang/github.com/kubectl-fernet/kubectl-fernet/decrypt@v0.1.0:Apache-2.0]"; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if len(doc.Packages) != len(allPlatforms)+2 {
		t.Errorf("%d packages", len(doc.Packages))
	}
}

func TestModulesAsPackages(t *testing.T) {
	for purl, m := range map[string]module{
		"pkg:golang/github.com/burntsushi/toml@v1.2.3":        {Path: "github.com/BurntSushi/toml", Version: "v1.2.3"},
		"pkg:golang/a.example/a/v2@v2.0.0%2Bincompatible":     {Path: "a.example/a/v2", Version: "v2.0.0+incompatible"},
		"pkg:golang/stdlib@1.26.4":                            {Path: "go1.26.4"},
		"pkg:golang/a.example/a@v0.0.0-20260102030405-abcdef": {Path: "a.example/a", Version: "v0.0.0-20260102030405-abcdef"},
	} {
		if p := m.spdx("MIT"); p.References[0].Locator != purl || !spdxIDs.MatchString(p.ID) || !spdxPurls.MatchString(purl) {
			t.Errorf("%v: %+v", m, p)
		}
	}
}

// checkMaterials wants all modules that the program was linked from, each with its licence.
func checkMaterials(t *testing.T, d dist) {
	names, err := filepath.Glob(filepath.Join(d.out, "*.spdx.json"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%q, %v", names, err)
	}
	doc := readMaterials(t, readFile(t, names[0]))
	inside := doc.contained(doc.Packages[0].Name)
	found := map[string]bool{}
	for purl, declared := range inside {
		name, _, _ := strings.Cut(purl, "@")
		found[name] = true
		if declared == noAssertion {
			t.Errorf("%s: no licence", purl)
		}
	}
	for _, name := range []string{"stdlib", "k8s.io/client-go", "github.com/fernet/fernet-go", "github.com/kubectl-fernet/kubectl-fernet/decrypt"} {
		if !found["pkg:golang/"+name] {
			t.Errorf("%s is missing", name)
		}
	}
	if len(inside) != len(doc.Packages)-1 || len(inside) < 20 {
		t.Errorf("%d modules of %d packages", len(inside), len(doc.Packages))
	}
}
