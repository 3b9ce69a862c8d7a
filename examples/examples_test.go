// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fernet/fernet-go"
)

const (
	canary     = "canary-7f3a0c55"
	python     = "/usr/bin/python3" // the one that owns Debian's packages
	pythonLine = "apt-get update && apt-get install -y --no-install-recommends python3 python3-cryptography"
	nodeLine   = "apt-get update && apt-get install -y --no-install-recommends nodejs npm"
	npmLine    = "npm ci --prefix examples/node" // fills npm's cache
	patience   = time.Minute                     // for a service to start, or to refuse to
)

// testKey gives a key that nobody uses; the same n, the same key.
func testKey(n byte) *fernet.Key {
	key := new(fernet.Key)
	copy(key[:], bytes.Repeat([]byte{'k', n}, 16))
	return key
}

func seal(t *testing.T, plain string, key byte) string {
	t.Helper()
	token, err := fernet.EncryptAndSign([]byte(plain), testKey(key))
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

// keyring is the data of a keyring Secret during a rotation, made from files that end in
// a line break. The current key is already the one that was staged, and so is there twice.
var keyring = map[string]string{
	"FERNET_KEY":          testKey(0).Encode() + "\n",
	"FERNET_KEY_PREVIOUS": testKey(0).Encode() + "," + testKey(1).Encode() + "\n",
}

// service is the command of an example that opens its tokens itself.
type service struct {
	folder, source string
	argv           []string
}

func goService(t *testing.T) service {
	t.Helper()
	return service{"go-web", "main.go", []string{build(t, "./go-web")}}
}

func pythonService(t *testing.T) service {
	t.Helper()
	needPython(t)
	return service{"python", "app.py", []string{python, "python/app.py"}}
}

func nodeService(t *testing.T) service {
	t.Helper()
	return service{"node", "app.js", []string{"node", filepath.Join(nodeFolder(t), "app.js")}}
}

// command makes it, in a pod that finds these Secrets.
func (s service) command(t *testing.T, secrets data) *exec.Cmd {
	t.Helper()
	p := newPod(t, s.folder, secrets)
	container := p.spec.Containers[0]
	cmd := exec.Command(s.argv[0], s.argv[1:]...)
	cmd.Env = append(p.environment(container.Name), "PATH="+os.Getenv("PATH"), "HOST=127.0.0.1", "PORT=0")
	source, err := os.ReadFile(filepath.Join(s.folder, s.source))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range container.VolumeMounts {
		if !bytes.Contains(source, []byte(m.MountPath)) {
			t.Fatalf("%s does not know the folder %s of its manifest", s.source, m.MountPath)
		}
		cmd.Env = append(cmd.Env, "SECRETS_DIR="+p.folders[m.Name])
	}
	return cmd
}

func TestGo(t *testing.T) { checkService(t, goService(t)) }

func TestPython(t *testing.T) { checkService(t, pythonService(t)) }

func TestNode(t *testing.T) { checkService(t, nodeService(t)) }

func needPython(t *testing.T) {
	t.Helper()
	skipOnRequest(t)
	if out, err := exec.Command(python, "-c", "import cryptography.fernet").CombinedOutput(); err != nil {
		t.Fatalf("%v; type: %s\n%s", err, pythonLine, out)
	}
}

// nodeFolder gives a folder with the example for Node and what it needs.
func nodeFolder(t *testing.T) string {
	t.Helper()
	skipOnRequest(t)
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v; type: %s", err, nodeLine)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc", "app.js"} {
		content, err := os.ReadFile("node/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	npm := exec.Command("npm", "ci", "--prefer-offline")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v; see what this says: %s\n%s", err, npmLine, out)
	}
	return dir
}

func skipOnRequest(t *testing.T) {
	t.Helper()
	if os.Getenv("SKIP_INTEROP") == "1" {
		t.Skip("SKIP_INTEROP=1: not compared with other implementations")
	}
}

// build gives the path of a program.
func build(t *testing.T, dir string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), filepath.Base(dir))
	cmd := exec.Command("go", "build", "-trimpath", "-gcflags=all=-dwarf=false", "-ldflags", "-s -w", "-o", binary, ".") // as make build, whose cache it finds
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}

// checkService holds a service to what all of them do, in the middle of a
// rotation.
func checkService(t *testing.T, s service) {
	t.Helper()
	command := func(tokens map[string]string) *exec.Cmd {
		t.Helper()
		return s.command(t, data{"web-g1": tokens, "fernet-key-g1": keyring})
	}
	url, log := serve(t, command(map[string]string{
		"SECRET_API_TOKEN": seal(t, canary, 0), "SECRET_DB_PASSWORD": seal(t, "größe", 1) + "\n",
	}))
	if !strings.Contains(log, "SECRET_DB_PASSWORD is still under") || strings.Contains(log, "SECRET_API_TOKEN is") {
		t.Errorf("it says %q, not which secret is under a previous key", log)
	}
	if strings.Contains(log, canary) {
		t.Error("it logs a secret")
	}
	for _, tt := range []struct {
		path, bearer, want string
		code               int
	}{
		{"/", canary, "hello", 200},
		{"/", canary + "x", "unauthorized", 401},
		{"/", "", "unauthorized", 401},
		{"/rotation", "", "SECRET_DB_PASSWORD", 200},
		{"/other", canary, "", 404},
	} {
		code, body := get(t, url+tt.path, tt.bearer)
		if code != tt.code || tt.want != "" && body != tt.want+"\n" {
			t.Errorf("%s: %d %q, want %d %q", tt.path, code, body, tt.code, tt.want)
		}
	}
	for name, tt := range map[string]struct {
		tokens map[string]string
		says   string
	}{
		"a token of another key": {map[string]string{"SECRET_API_TOKEN": seal(t, canary, 0), "SECRET_B": seal(t, canary, 2)}, "SECRET_B"},
		"no SECRET_API_TOKEN":    {map[string]string{"SECRET_B": seal(t, canary, 0)}, "SECRET_API_TOKEN"},
		"an empty one":           {map[string]string{"SECRET_API_TOKEN": seal(t, "", 0)}, "SECRET_API_TOKEN"},
		"a plain value":          {map[string]string{"SECRET_API_TOKEN": seal(t, canary, 0), "SECRET_B": "größe"}, "SECRET_B"},
	} {
		if log, err := end(t, command(tt.tokens)); err == nil || !strings.Contains(log, tt.says) {
			t.Errorf("%s: it ends with %v, %q", name, err, log)
		}
	}
}

// serve starts a service until the test ends, and gives what it said before it
// listened.
func serve(t *testing.T, cmd *exec.Cmd) (url, log string) {
	t.Helper()
	read, write := io.Pipe()
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = write.CloseWithError(fmt.Errorf("ended: %w", cmd.Wait()))
		close(done)
	}()
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = read.Close()
		<-done
	})
	lines := bufio.NewScanner(read)
	for lines.Scan() {
		if _, address, found := strings.Cut(lines.Text(), "listening on "); found {
			go func() { _, _ = io.Copy(io.Discard, read) }()
			return "http://" + address, log
		}
		log += lines.Text() + "\n"
	}
	t.Fatalf("it %v, after %q", lines.Err(), log)
	return "", ""
}

// end runs a service that should not start; if it does, it is stopped, and there
// is no error.
func end(t *testing.T, cmd *exec.Cmd) (log string, err error) {
	t.Helper()
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	err = cmd.Wait()
	if !late.Stop() {
		return out.String(), nil
	}
	return out.String(), err
}

func get(t *testing.T, url, bearer string) (code int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+bearer)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}
