// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"maps"
	"path"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// homepage is where releases are.
const homepage = "https://github.com/kubectl-fernet/kubectl-fernet"

// The parts of an SPDX 2.3 document that the bill of materials needs.
type (
	spdxDocument struct {
		Version       string             `json:"spdxVersion"`
		DataLicense   string             `json:"dataLicense"`
		ID            string             `json:"SPDXID"`
		Name          string             `json:"name"`
		Namespace     string             `json:"documentNamespace"`
		Creation      spdxCreation       `json:"creationInfo"`
		Packages      []spdxPackage      `json:"packages"`
		Relationships []spdxRelationship `json:"relationships"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		Name          string         `json:"name"`
		ID            string         `json:"SPDXID"`
		Version       string         `json:"versionInfo"`
		File          string         `json:"packageFileName,omitempty"`
		Purpose       string         `json:"primaryPackagePurpose"`
		Download      string         `json:"downloadLocation"`
		FilesAnalyzed bool           `json:"filesAnalyzed"`
		Checksums     []spdxChecksum `json:"checksums,omitempty"`
		Concluded     string         `json:"licenseConcluded"`
		Declared      string         `json:"licenseDeclared"`
		Copyright     string         `json:"copyrightText"`
		References    []spdxRef      `json:"externalRefs,omitempty"`
	}
	spdxChecksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	spdxRef struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxRelationship struct {
		From string `json:"spdxElementId"`
		Type string `json:"relationshipType"`
		To   string `json:"relatedSpdxElement"`
	}
)

const (
	documentID  = "SPDXRef-DOCUMENT"
	noAssertion = "NOASSERTION"
)

// bill names the file with the bill of materials of a release.
func bill(version string) string { return "kubectl-fernet_" + version + ".spdx.json" }

// billOfMaterials says what is linked into the program of each archive, as the program itself
// says it, and under which licences.
func billOfMaterials(r release, all []packed) ([]byte, error) {
	doc := spdxDocument{
		Version: "SPDX-2.3", DataLicense: "CC0-1.0", ID: documentID, Name: "kubectl-fernet " + r.version,
		Namespace: homepage + "/releases/download/" + r.version + "/" + bill(r.version),
		Creation:  spdxCreation{r.time.Format(time.RFC3339), []string{"Tool: hack/dist"}},
	}
	linked := map[string]spdxPackage{}
	for _, archive := range all {
		own := spdxPackage{
			Name: archive.name, ID: spdxID("archive", archive.name), Version: r.version, File: archive.name, Purpose: "ARCHIVE",
			Download:  homepage + "/releases/download/" + r.version + "/" + archive.name,
			Checksums: []spdxChecksum{{"SHA256", archive.sum}}, Concluded: noAssertion, Declared: "Apache-2.0", Copyright: noAssertion,
		}
		doc.Packages = append(doc.Packages, own)
		doc.Relationships = append(doc.Relationships, spdxRelationship{documentID, "DESCRIBES", own.ID})
		for _, m := range archive.modules {
			declared, err := declared(m, archive.licenses)
			if err != nil {
				return nil, err
			}
			p := m.spdx(declared)
			linked[p.ID] = p
			doc.Relationships = append(doc.Relationships, spdxRelationship{own.ID, "CONTAINS", p.ID})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(linked)) {
		doc.Packages = append(doc.Packages, linked[id])
	}
	text, err := json.MarshalIndent(doc, "", " ")
	return append(text, '\n'), err
}

// linkedModules gives the modules that a program says it is linked from, and Go itself.
func linkedModules(program []byte) ([]module, error) {
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return nil, err
	}
	modules := []module{{Path: info.GoVersion}}
	for _, m := range info.Deps {
		modules = append(modules, linkedModule(m, info.Main.Path))
	}
	return modules, nil
}

// linkedModule gives a module as it is linked, of another place where it is replaced. Those of
// this repository have its licence.
func linkedModule(m *debug.Module, main string) module {
	own := strings.HasPrefix(m.Path, main+"/")
	if m.Replace != nil && !own {
		m = m.Replace
	}
	return module{Path: m.Path, Version: m.Version, Main: own}
}

// declared gives the licences of a module, as its licence files say: all of them hold.
func declared(m module, files []file) (string, error) {
	if m.Main {
		return "Apache-2.0", nil
	}
	ids := map[string]bool{}
	for _, f := range files {
		if strings.HasPrefix(f.name, path.Join(licenseFolder, m.name())+"/") && licenseName.MatchString(path.Base(f.name)) {
			found, err := permitted(f.data)
			if err != nil {
				return "", err
			}
			for _, id := range found {
				ids[id] = true
			}
		}
	}
	return cmp.Or(strings.Join(slices.Sorted(maps.Keys(ids)), " AND "), noAssertion), nil
}

// spdx gives a module as a package.
func (m module) spdx(declared string) spdxPackage {
	name, version := m.Path, m.Version
	if version == "" { // Go itself
		name, version = "stdlib", strings.TrimPrefix(m.Path, "go")
	}
	purl := "pkg:golang/" + strings.ToLower(name) + "@" + strings.ReplaceAll(version, "+", "%2B")
	return spdxPackage{
		Name: name, ID: spdxID("go", name+"-"+version), Version: version, Purpose: "LIBRARY",
		Download: noAssertion, Concluded: noAssertion, Declared: declared, Copyright: noAssertion,
		References: []spdxRef{{"PACKAGE-MANAGER", "purl", purl}},
	}
}

var notInID = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// spdxID gives an identifier, which has letters, digits, dots and hyphens.
func spdxID(kind, name string) string {
	return "SPDXRef-" + kind + "-" + notInID.ReplaceAllString(name, "-")
}
