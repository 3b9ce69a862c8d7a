// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const mit = "Permission is hereby granted, free of charge,\n  to any person obtaining a copy of this software\n"

// newProgram gives a module whose program is linked from one package of another
// module, which has the given files.
func newProgram(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	writeFile(t, filepath.Join(root, "go.mod"), "module m.example/m\n\ngo 1.26.0\n\nrequire a.example/a v1.2.3\n\nreplace a.example/a v1.2.3 => ./a\n")
	writeFile(t, filepath.Join(root, "LICENSE"), "ours")
	writeFile(t, filepath.Join(root, "cmd/kubectl-fernet/main.go"), "package main\n\nimport _ \"a.example/a/third_party/b\"\n\nfunc main() {}\n")
	writeFile(t, filepath.Join(root, "a/go.mod"), "module a.example/a\n\ngo 1.26.0\n")
	writeFile(t, filepath.Join(root, "a/third_party/b/b.go"), "package b\n")
	for name, text := range files {
		writeFile(t, filepath.Join(root, "a", name), text)
	}
	return root
}

func TestLicenses(t *testing.T) {
	const beside = "a.example/a@v1.2.3/"
	for name, test := range map[string]struct {
		files map[string]string
		want  []string // beside Go's
		err   string
	}{
		"one":                {map[string]string{"License": mit}, []string{beside + "License"}, ""},
		"another spelling":   {map[string]string{"LICENCE-MIT.txt": mit, "license.go": "package a\n"}, []string{beside + "LICENCE-MIT.txt"}, ""},
		"all that is legal":  {map[string]string{"COPYING": mit, "NOTICE": "x", "PATENTS": "y", "README": "z"}, []string{beside + "COPYING", beside + "NOTICE", beside + "PATENTS"}, ""},
		"of copied code too": {map[string]string{"LICENSE": mit, "third_party/b/LICENSE": mit}, []string{beside + "LICENSE", beside + "third_party/b/LICENSE"}, ""},
		"of what is linked":  {map[string]string{"LICENSE": mit, "third_party/c/LICENSE": "GNU", "third_party/c/c.go": "package c\n"}, []string{beside + "LICENSE"}, ""},
		"none":               {nil, nil, "a.example/a@v1.2.3: no licence in "},
		"copied code's only": {map[string]string{"third_party/b/LICENSE": mit}, nil, "a.example/a@v1.2.3: no licence in "},
		"a notice only":      {map[string]string{"NOTICE": mit}, nil, "a.example/a@v1.2.3: no licence in "},
		"unknown":            {map[string]string{"LICENSE": "All rights reserved."}, nil, "a.example/a@v1.2.3: "},
		"copied, unknown":    {map[string]string{"LICENSE": mit, "third_party/b/COPYING": "x"}, nil, filepath.Join("b", "COPYING") + ": no licence that"},
	} {
		t.Run(name, func(t *testing.T) {
			files, err := goLicenses(t.Context(), os.Environ(), newProgram(t, test.files), platform{"linux", "amd64"})
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := names(files); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// names gives the names in licenseFolder but for Go's own files, of which it wants
// the licence.
func names(files []file) []string {
	var others []string
	for _, f := range files {
		others = append(others, strings.TrimPrefix(f.name, licenseFolder+"/"))
	}
	slices.Sort(others)
	license := slices.IndexFunc(others, func(name string) bool { return strings.HasPrefix(name, "go1.") && strings.HasSuffix(name, "/LICENSE") })
	if license < 0 {
		return append(others, "no licence of Go")
	}
	return slices.DeleteFunc(others, func(name string) bool { return strings.HasPrefix(name, "go1.") })
}

// Each release archive can be made: whatever a platform alone is linked from may
// be shipped.
func TestLicensesOfThePlugin(t *testing.T) {
	root := repository(t)
	for _, p := range allPlatforms {
		files, err := goLicenses(t.Context(), os.Environ(), root, p)
		if err != nil {
			t.Fatalf("%v: %v", p, err)
		}
		found := strings.Join(names(files), "\n")
		for module, want := range map[string]bool{
			"github.com/fernet/fernet-go@":         true,
			"k8s.io/client-go@":                    true,
			"github.com/inconshreveable/mousetrap": p.os == "windows", // cobra's, of Windows
			"github.com/kubectl-fernet/":           false,
			"no licence of Go":                     false,
		} {
			if strings.Contains(found, module) != want {
				t.Errorf("%v: %s: found is %t\n%s", p, module, !want, found)
			}
		}
	}
}

func TestPermitted(t *testing.T) {
	const two = "Redistribution and use in source and binary forms, with or without\nmodification, are permitted provided that the following conditions\nare met:\n"
	for name, test := range map[string]struct {
		text string
		want []string
		err  string
	}{
		"Apache":              {"Apache License\n  Version 2.0, January 2004", []string{"Apache-2.0"}, ""},
		"Apache in short":     {"Licensed under the Apache License, Version 2.0 (the \"License\")", []string{"Apache-2.0"}, ""},
		"Apache, both forms":  {"Licensed under the Apache License, Version 2.0\nApache License\nVersion 2.0, January 2004", []string{"Apache-2.0"}, ""},
		"BSD":                 {two, []string{"BSD-2-Clause"}, ""},
		"BSD, names":          {two + "Neither the name of A nor", []string{"BSD-3-Clause"}, ""},
		"BSD, other words":    {two + "The names of A may not be\nused to endorse", []string{"BSD-3-Clause"}, ""},
		"ISC":                 {"Permission to use, copy, modify, and/or distribute this software for any\npurpose with or without fee is hereby granted", []string{"ISC"}, ""},
		"MIT":                 {mit, []string{"MIT"}, ""},
		"two":                 {mit + two, []string{"BSD-2-Clause", "MIT"}, ""},
		"empty":               {"", nil, "no licence that"},
		"none":                {"All rights reserved.", nil, "no licence that"},
		"GPL":                 {"GNU GENERAL PUBLIC LICENSE", nil, `"gnu"`},
		"permitted and AGPL":  {mit + "GNU Affero General Public License", nil, `"gnu"`},
		"MPL":                 {"Mozilla Public License Version 2.0", nil, `"mozilla public"`},
		"advertising":         {two + "3. All advertising\nmaterials mentioning", nil, `"all advertising materials"`},
		"no commercial use":   {mit + "\"Commons Clause\" License Condition v1.0", nil, `"commons clause"`},
		"a word that has one": {mit + "agnus", []string{"MIT"}, ""},
	} {
		got, err := permitted([]byte(test.text))
		if !slices.Equal(got, test.want) || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %q, %v; want %q, %q", name, got, err, test.want, test.err)
		}
	}
}
