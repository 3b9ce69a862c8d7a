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
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

const (
	canary     = "canary-7f3a0c55"
	python     = "/usr/bin/python3" // the one that owns Debian's packages
	pythonLine = "apt-get update && apt-get install -y --no-install-recommends python3 python3-cryptography"
	nodeLine   = "apt-get update && apt-get install -y --no-install-recommends nodejs npm"
	npmLine    = "npm ci --prefix examples/node" // fills npm's cache
	patience   = 20 * time.Second                // for a service to start, or to refuse to
)

// folders are the examples; each has a pod.yaml.
var folders = []string{"go-web", "python", "node", "fernet-exec"}

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

// mount makes a folder as the kubelet makes a volume.
func mount(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(dir, "..2026_11_21"), 0o700))
	must(os.Symlink("..2026_11_21", filepath.Join(dir, "..data")))
	for name, content := range files {
		must(os.WriteFile(filepath.Join(dir, "..data", name), []byte(content), 0o600))
		must(os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
	}
	return dir
}

// keyFiles are the data of the Secret fernet-keys during a rotation, made from
// files that end in a line break. The current key is already the one that was
// staged, and so is there twice.
var keyFiles = map[string]string{
	"FERNET_KEY":          testKey(0).Encode() + "\n",
	"FERNET_KEY_PREVIOUS": testKey(0).Encode() + "," + testKey(1).Encode() + "\n",
}

// environment is what a pod has: keys as variables, or in a folder.
func environment(secrets string, more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOST=127.0.0.1", "SECRETS_DIR=" + secrets}, more...)
}

func keyVariables() []string {
	return []string{"FERNET_KEY=" + keyFiles["FERNET_KEY"], "FERNET_KEY_PREVIOUS=" + keyFiles["FERNET_KEY_PREVIOUS"]}
}

func TestGo(t *testing.T) {
	binary := build(t, "./go-web")
	checkService(t, func(secrets string) *exec.Cmd {
		cmd := exec.Command(binary)
		cmd.Env = environment(secrets, "KEYS_DIR="+mount(t, keyFiles))
		return cmd
	})
}

func TestPython(t *testing.T) {
	needPython(t)
	checkService(t, func(secrets string) *exec.Cmd {
		cmd := exec.Command(python, "python/app.py")
		cmd.Env = environment(secrets, keyVariables()...)
		return cmd
	})
}

func needPython(t *testing.T) {
	t.Helper()
	skipOnRequest(t)
	if out, err := exec.Command(python, "-c", "import cryptography.fernet").CombinedOutput(); err != nil {
		t.Fatalf("%v; type: %s\n%s", err, pythonLine, out)
	}
}

func TestNode(t *testing.T) {
	dir := nodeFolder(t)
	checkService(t, func(secrets string) *exec.Cmd {
		cmd := exec.Command("node", filepath.Join(dir, "app.js"))
		cmd.Env = environment(secrets, keyVariables()...)
		return cmd
	})
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
	cmd := exec.Command("go", "build", "-o", binary, ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}

// checkService holds a service to what all of them do, in the middle of a
// rotation.
func checkService(t *testing.T, command func(secrets string) *exec.Cmd) {
	t.Helper()
	url, log := serve(t, command(mount(t, map[string]string{
		"SECRET-API-TOKEN": seal(t, canary, 0), "SECRET-DB-PASSWORD": seal(t, "größe", 1) + "\n",
	})))
	if !strings.Contains(log, "SECRET-DB-PASSWORD is still under") || strings.Contains(log, "SECRET-API-TOKEN is") {
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
		{"/rotation", "", "SECRET-DB-PASSWORD", 200},
		{"/other", canary, "", 404},
	} {
		code, body := get(t, url+tt.path, tt.bearer)
		if code != tt.code || tt.want != "" && body != tt.want+"\n" {
			t.Errorf("%s: %d %q, want %d %q", tt.path, code, body, tt.code, tt.want)
		}
	}
	for name, tt := range map[string]struct {
		files map[string]string
		says  string
	}{
		"a token of another key": {map[string]string{"SECRET-API-TOKEN": seal(t, canary, 0), "SECRET-B": seal(t, canary, 2)}, "SECRET-B"},
		"no SECRET-API-TOKEN":    {map[string]string{"SECRET-B": seal(t, canary, 0)}, "SECRET-API-TOKEN"},
		"an empty one":           {map[string]string{"SECRET-API-TOKEN": seal(t, "", 0)}, "SECRET-API-TOKEN"},
		"a plain value":          {map[string]string{"SECRET-API-TOKEN": seal(t, canary, 0), "db_password": "changeme"}, "db_password"},
	} {
		cmd := command(mount(t, tt.files))
		if log, err := end(t, cmd); err == nil || !strings.Contains(log, tt.says) {
			t.Errorf("%s: it ends with %v, %q", name, err, log)
		}
	}
}

// serve starts a service until the test ends, and gives what it said before it
// listened.
func serve(t *testing.T, cmd *exec.Cmd) (url, log string) {
	t.Helper()
	cmd.Env = append(cmd.Env, "PORT=0")
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
	cmd.Env = append(cmd.Env, "PORT=0")
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

// The pod of fernet-exec, with its paths moved into temporary folders: what the
// init container does, then what the container does.
func TestFernetExec(t *testing.T) {
	binary := build(t, "../decrypt/cmd/fernet-exec")
	pod := manifest(t, "fernet-exec").Spec.Template.Spec
	secrets := mount(t, map[string]string{"SECRET-DB-PASSWORD": seal(t, canary, 1)})
	installed := t.TempDir()
	here := map[string]string{"/fernet-exec": binary, "/fernet": installed, "/fernet/fernet-exec": installed + "/fernet-exec", "/etc/secrets": secrets}
	run := func(command []string, env ...string) (stdout, stderr string, code int) {
		t.Helper()
		var args []string
		for _, arg := range command {
			if path, moved := here[arg]; moved {
				arg = path
			}
			args = append(args, arg)
		}
		var errs strings.Builder
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env, cmd.Stderr = env, &errs
		out, _ := cmd.Output()
		return string(out), errs.String(), cmd.ProcessState.ExitCode()
	}
	if _, stderr, code := run(pod.InitContainers[0].Command); code != 0 {
		t.Fatalf("the init container: code %d, %s", code, stderr)
	}
	stdout, stderr, _ := run(pod.Containers[0].Command, append(keyVariables(), "SECRET_API_TOKEN="+seal(t, "value", 0))...)
	if want := "SECRET_API_TOKEN=value\nSECRET-DB-PASSWORD=" + canary + "\n"; stdout != want {
		t.Errorf("the program's environment is %q, want %q", stdout, want)
	}
	if !strings.Contains(stderr, "still needed, for: SECRET-DB-PASSWORD\n") {
		t.Errorf("stderr %q does not say what the previous key opened", stderr)
	}
	if _, stderr, code := run(pod.Containers[0].Command, append(keyVariables(), "SECRET_API_TOKEN=changeme")...); code != 125 || !strings.Contains(stderr, "SECRET_API_TOKEN: not sealed") {
		t.Errorf("a plain value: code %d, %q", code, stderr)
	}
}

// The image of that init container: what its Dockerfile builds of what it copies, and
// nothing else of the tree, is what the pod runs.
func TestFernetExecImage(t *testing.T) {
	content, err := os.ReadFile("fernet-exec/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	src, out := filepath.Join(work, "src"), filepath.Join(work, "out")
	said := map[string][]string{} // the arguments of an instruction, the last ones
	for _, line := range strings.Split(string(content), "\n") {
		instruction, arguments, _ := strings.Cut(line, " ")
		fields := strings.Fields(arguments)
		said[instruction] = fields
		switch {
		case instruction == "COPY" && len(fields) == 2:
			if err := os.CopyFS(filepath.Join(src, fields[1]), os.DirFS(filepath.Join("..", fields[0]))); err != nil {
				t.Fatal(err)
			}
		case instruction == "RUN":
			cmd := exec.Command("sh", "-c", strings.ReplaceAll(arguments, "/out/", out+"/"))
			cmd.Dir, cmd.Env = src, append(os.Environ(), "GOWORK=off", "GOFLAGS=")
			if said, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", line, err, said)
			}
		}
	}
	container := manifest(t, "fernet-exec").Spec.Template.Spec.InitContainers[0]
	for instruction, want := range map[string]string{
		"WORKDIR": "/src", "FROM": "scratch", "USER": "65532", "COPY": "--from=build /out/fernet-exec " + container.Command[0],
		"ENTRYPOINT": `["` + container.Command[0] + `"]`,
	} {
		if got := strings.Join(said[instruction], " "); got != want {
			t.Errorf("%s %s, want %s", instruction, got, want)
		}
	}
	installed := t.TempDir()
	cmd := exec.Command(filepath.Join(out, "fernet-exec"), "--install", installed)
	cmd.Env = []string{}
	if said, err := cmd.CombinedOutput(); err != nil || len(said) > 0 {
		t.Fatalf("%v: %s", err, said)
	}
	built, err := os.ReadFile(filepath.Join(out, "fernet-exec"))
	if err != nil {
		t.Fatal(err)
	}
	if copied, err := os.ReadFile(filepath.Join(installed, "fernet-exec")); err != nil || !bytes.Equal(copied, built) {
		t.Errorf("installed are %d bytes, %v; want %d", len(copied), err, len(built))
	}
}

func manifest(t *testing.T, folder string) appsv1.Deployment {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, "pod.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var deployment appsv1.Deployment
	if err := yaml.UnmarshalStrict(content, &deployment); err != nil {
		t.Fatal(err)
	}
	return deployment
}

func TestAPIServerTakesTheManifests(t *testing.T) {
	kubectl := filepath.Join(testkube.Root(t), "bin", "kubectl")
	if _, err := os.Stat(kubectl); err != nil {
		t.Fatalf("%v; type: make localkube", err)
	}
	namespace := testkube.Namespace(t)
	apply := func(file string) (string, error) {
		out, err := exec.Command(kubectl, "--kubeconfig", testkube.Kubeconfig(t), "-n", namespace,
			"apply", "--dry-run=server", "--validate=strict", "-f", file).CombinedOutput()
		return string(out), err
	}
	for _, folder := range folders {
		file := filepath.Join(folder, "pod.yaml")
		want := fmt.Sprintf("deployment.apps/%s created (server dry run)\n", manifest(t, folder).Name)
		if out, err := apply(file); err != nil || out != want {
			t.Errorf("%s: %v\n%s, want %s", file, err, out, want)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		broken := filepath.Join(t.TempDir(), "pod.yaml")
		if err := os.WriteFile(broken, bytes.Replace(content, []byte("mountPath: "), []byte("mountpath: "), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := apply(broken); err == nil {
			t.Errorf("%s with a misspelt field: %s", file, out)
		}
	}
}

// Each service reads the folders and the variables that its manifest gives it.
func TestManifestsFitThePrograms(t *testing.T) {
	for folder, source := range map[string]string{"go-web": "main.go", "python": "app.py", "node": "app.js"} {
		program, err := os.ReadFile(filepath.Join(folder, source))
		if err != nil {
			t.Fatal(err)
		}
		container := manifest(t, folder).Spec.Template.Spec.Containers[0]
		var given []string
		for _, volume := range container.VolumeMounts {
			given = append(given, volume.MountPath)
		}
		for _, variable := range container.Env {
			given = append(given, variable.Name)
		}
		if len(given) < 2 {
			t.Errorf("%s: the manifest gives only %q", folder, given)
		}
		for _, name := range given {
			if !bytes.Contains(program, []byte(name)) {
				t.Errorf("%s: the program does not know %s", folder, name)
			}
		}
	}
}
