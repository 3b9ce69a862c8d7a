// SPDX-License-Identifier: Apache-2.0

package decrypt_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const modulePath = "github.com/kubectl-fernet/kubectl-fernet/decrypt"

const application = `package main

import (
	"fmt"
	"os"

	"` + modulePath + `"
)

func main() {
	ring, err := decrypt.KeysFromEnviron(os.Environ())
	if err != nil {
		panic(err)
	}
	_, opened, err := ring.Environ(os.Environ())
	fmt.Println(string(opened["SECRET_A"].Plaintext), err)
}
`

// An application that requires this module gets one more with it, and needs no
// newer Go than go.mod says: it is built and run by exactly that one, which the
// go command downloads.
func TestModuleOfAnApplication(t *testing.T) {
	checkout, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(mod)
	if lines == nil {
		t.Fatal("go.mod has no go line")
	}
	lowest := string(lines[1])

	dir := t.TempDir()
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"go.mod":  "module example.test/application\n\ngo " + lowest + "\n\nrequire " + modulePath + " v0.0.0\n\nreplace " + modulePath + " => " + checkout + "\n",
		"go.sum":  string(sums),
		"main.go": application,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(toolchain string, args ...string) string {
		t.Helper()
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+toolchain, "GOFLAGS=-mod=mod", "GOWORK=off",
			"FERNET_KEY="+exampleKey, "SECRET_A="+exampleSealed)
		var progress strings.Builder // what go says of downloads is not the command's output
		cmd.Stderr = &progress
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go %s: %v\n%s%s\nperhaps type: GOTOOLCHAIN=%s go version", strings.Join(args, " "), err, out, progress.String(), toolchain)
		}
		return strings.TrimSpace(string(out))
	}
	list := strings.Split(run("local", "list", "-m", "-f", "{{.Path}}", "all"), "\n")
	if want := "example.test/application github.com/fernet/fernet-go " + modulePath; strings.Join(list, " ") != want {
		t.Errorf("modules %q, want %q", list, want)
	}
	if got := run("go"+lowest, "version"); !strings.HasPrefix(got, "go version go"+lowest+" ") {
		t.Fatalf("asked for go%s, got %s", lowest, got)
	}
	run("go"+lowest, "build", modulePath+"/...")
	if got := run("go"+lowest, "run", "."); got != "correct horse <nil>" {
		t.Errorf("the application says %q", got)
	}
}
