// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestInstall(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it is refused there")
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "made")
	at := func(name string) string { return filepath.Join(dir, name) }
	install := func() (said string, code int) {
		cmd := start(nil, "--install", dir)
		cmd.Env = []string{} // no key, no PATH
		stdout, stderr, code := finish(t, cmd)
		return stdout + stderr, code
	}
	check := func() {
		t.Helper()
		if said, code := install(); code != 0 || said != "" {
			t.Fatalf("code %d, %q", code, said)
		}
		info, err := os.Lstat(at("fernet-exec"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(at("fernet-exec")); err != nil || !bytes.Equal(got, program) || info.Mode() != 0o755 {
			t.Errorf("installed are %d bytes of mode %v, %v; want %d", len(got), info.Mode(), err, len(program))
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("in the folder are %v, %v", entries, err)
		}
	}
	check()
	cmd := start([]string{"A=" + sealed(t, "x", 0)}, "sh", "-c", "echo $A")
	cmd.Path = at("fernet-exec")
	if stdout, stderr, code := finish(t, cmd); code != 0 || stdout != "x\n" {
		t.Errorf("the installed program: code %d, %q, %q", code, stdout, stderr)
	}
	check() // an init container that runs again

	// What is in the way is a link, or what a killed run left: both go.
	outside := filepath.Join(t.TempDir(), "outside")
	for _, err := range []error{
		os.WriteFile(outside, []byte("x"), 0o600), os.Remove(at("fernet-exec")),
		os.Symlink(outside, at("fernet-exec")), os.Symlink(outside, at(installing)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	check()
	if got, err := os.ReadFile(outside); err != nil || string(got) != "x" {
		t.Errorf("what a link leads to is %d bytes, %v", len(got), err)
	}
	// A failure leaves what was there.
	if err := os.Remove(at("fernet-exec")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(at("fernet-exec"), 0o700); err != nil {
		t.Fatal(err)
	}
	if said, code := install(); code != 125 || !strings.HasPrefix(said, "fernet-exec: "+dir+": rename") {
		t.Errorf("a folder in its place: code %d, %q", code, said)
	}
}
