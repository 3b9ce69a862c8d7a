// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		line string
		want request
		err  string
	}{
		{line: "--data-dir d --kubeconfig k", want: request{verb: "serve", dataDir: "d", kubeconfig: "k", args: []string{}}},
		{line: "--api-only --data-dir d --kubeconfig k", want: request{verb: "serve", dataDir: "d", kubeconfig: "k", apiOnly: true, args: []string{}}},
		{line: "user --data-dir d --kubeconfig k ann g1 g2",
			want: request{verb: "user", dataDir: "d", kubeconfig: "k", args: []string{"ann", "g1", "g2"}}},
		{line: "run -- go test -v", want: request{verb: "run", args: []string{"go", "test", "-v"}}},
		{line: "run --api-only make", want: request{verb: "run", apiOnly: true, args: []string{"make"}}},
		{line: "run --data-dir d make", want: request{verb: "run", dataDir: "d", args: []string{"make"}}},
		{line: "", err: "--data-dir is missing"},
		{line: "--data-dir d", err: "--kubeconfig is missing"},
		{line: "--data-dir d --kubeconfig k start", err: `unknown command or argument "start"`},
		{line: "--data d", err: "flag provided but not defined: -data"},
		{line: "user --data-dir d --kubeconfig k", err: "the user's NAME is missing"},
		{line: "user --api-only --data-dir d --kubeconfig k ann", err: "flag provided but not defined: -api-only"},
		{line: "user --kubeconfig k ann", err: "--data-dir is missing"},
		{line: "run --data-dir d", err: "the COMMAND to run is missing"},
		{line: "run --kubeconfig k -- make", err: "flag provided but not defined: -kubeconfig"},
		{line: "-h", err: "flag: help requested"},
	} {
		got, err := parse(strings.Fields(tt.line))
		switch {
		case tt.err != "":
			if err == nil || err.Error() != tt.err {
				t.Errorf("%q: error %v, want %s", tt.line, err, tt.err)
			}
		case err != nil || !reflect.DeepEqual(got, tt.want):
			t.Errorf("%q: %+v (%v), want %+v", tt.line, got, err, tt.want)
		}
	}
}

// TestRefused runs the command line in a program that has none of the control plane's commands beside it.
func TestRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{"used/file": "", "mine": "apiVersion: v1\n"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		line, says string
		code       int
	}{
		{"-h", "usage:", 0},
		{"--data-dir new", "--kubeconfig is missing\nusage:", 2},
		{"--data-dir new --kubeconfig k", "etcd is not in", 1},
		{"--data-dir new --kubeconfig k", "run: make localkube", 1},
		{"run -- true", "run: make localkube", 1},
		{"--data-dir new --kubeconfig mine", "kubeconfig mine was not written by localkube; name another file", 1},
		{"--data-dir new --kubeconfig used", "kubeconfig: read used: is a directory", 1},
		{"user --data-dir used --kubeconfig k ann", "used is not the data directory of a control plane", 1},
		{"user --data-dir used --kubeconfig mine ann", "name another file", 1},
	} {
		var out bytes.Buffer
		code := run(context.Background(), strings.Fields(tt.line), streams{out: &out, err: &out})
		if code != tt.code || !strings.Contains(out.String(), tt.says) {
			t.Errorf("%q: exit code %d, want %d, and says %q, want %q", tt.line, code, tt.code, out.String(), tt.says)
		}
	}
	if content, _ := os.ReadFile("mine"); string(content) != "apiVersion: v1\n" {
		t.Errorf("a kubeconfig that is not ours is now %q", content)
	}
}
