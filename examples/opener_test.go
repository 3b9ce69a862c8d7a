// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// openedBy gives a pod whose init containers have run; fernet-exec is the only program in
// their image.
func openedBy(t *testing.T, fernetExec, folder string, secrets data) *pod {
	t.Helper()
	p := newPod(t, folder, secrets)
	for _, c := range p.spec.InitContainers {
		if _, stderr, code := run(t, p.command(c.Name, map[string]string{"/fernet-exec": fernetExec})); code != 0 {
			t.Fatalf("init container %s: code %d, %s", c.Name, code, stderr)
		}
	}
	return p
}

// legacySecrets, and those below, are Secrets in the middle of a rotation.
func legacySecrets(t *testing.T) data {
	t.Helper()
	return data{"fernet-key-g1": keyring, "legacy-g1": {"API_TOKEN": seal(t, "value", 0), "DATABASE_URL": seal(t, canary, 1)}}
}

func postgresSecrets(t *testing.T) data {
	t.Helper()
	return data{"fernet-key-g1": keyring, "postgres-g1": {"POSTGRES_PASSWORD": seal(t, canary+"\n", 1)}}
}

func TestFernetExec(t *testing.T) {
	p := openedBy(t, build(t, "../decrypt/cmd/fernet-exec"), "fernet-exec", legacySecrets(t))
	checkLegacy(t, p, map[string]string{"API_TOKEN": "value", "DATABASE_URL": canary})
	_, stderr, _ := run(t, p.command("legacy", map[string]string{"/app/server": "/usr/bin/env"}))
	if !strings.Contains(stderr, "still needed, for: DATABASE_URL\n") {
		t.Errorf("stderr %q does not say what the previous key opened", stderr)
	}
}

// checkLegacy looks at the environment in which the image's own program is started.
func checkLegacy(t *testing.T, p *pod, values map[string]string) {
	t.Helper()
	stdout, stderr, code := run(t, p.command("legacy", map[string]string{"/app/server": "/usr/bin/env"}))
	var want string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		want += name + "=" + values[name] + "\n"
	}
	if code != 0 || stdout != want {
		t.Errorf("code %d, %s; the program's environment is %q, want %q", code, stderr, stdout, want)
	}
}

func TestPostgres(t *testing.T) {
	p := openedBy(t, build(t, "../decrypt/cmd/fernet-exec"), "postgres", postgresSecrets(t))
	checkPostgres(t, p, canary+"\n")
}

// checkPostgres reads the password where the entrypoint of the image does.
func checkPostgres(t *testing.T, p *pod, password string) {
	t.Helper()
	wantFiles(t, p.here("postgres", "/run/secrets/postgres"), map[string]string{"POSTGRES_PASSWORD": password})
	path, found := strings.CutPrefix(strings.Join(p.environment("postgres"), "\n"), "POSTGRES_PASSWORD_FILE=")
	if !found {
		t.Fatalf("the environment of the container is %q: want the file alone", path)
	}
	if content, err := os.ReadFile(p.here("postgres", path)); err != nil || string(content) != password {
		t.Errorf("%s: %q, %v; want %q", path, content, err, password)
	}
}

func TestNginx(t *testing.T) {
	certificate, key := selfSigned(t)
	checkNginx(t, openedBy(t, build(t, "../decrypt/cmd/fernet-exec"), "nginx", data{
		"fernet-key-g1": keyring, "nginx-g1": {"TLS_CERTIFICATE": seal(t, certificate, 0), "TLS_KEY": seal(t, key, 1)},
	}), certificate, key)
}

// selfSigned gives a certificate and its key, in the way of the header of the manifest.
func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	needOpenSSL(t)
	dir := t.TempDir()
	cmd := exec.Command("sh", "-e", "-c", headerOf(t, "nginx").line("openssl"))
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	read := func(name string) string {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	return read("tls.crt"), read("tls.key")
}

func needOpenSSL(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatalf("%v; type: apt-get update && apt-get install -y --no-install-recommends openssl", err)
	}
}

var certificateLine = regexp.MustCompile(`(?m)^ +(ssl_certificate|ssl_certificate_key) (\S+);$`)

// checkNginx reads the pair where the configuration has it.
func checkNginx(t *testing.T, p *pod, certificate, key string) {
	t.Helper()
	wantFiles(t, p.here("nginx", "/etc/nginx/tls"), map[string]string{"tls.crt": certificate, "tls.key": key})
	config, err := os.ReadFile(p.here("nginx", "/etc/nginx/conf.d/default.conf"))
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{}
	for _, line := range certificateLine.FindAllStringSubmatch(string(config), -1) {
		paths[line[1]] = p.here("nginx", line[2])
	}
	pair, err := tls.LoadX509KeyPair(paths["ssl_certificate"], paths["ssl_certificate_key"])
	if err != nil {
		t.Fatalf("%q: %v", paths, err)
	}
	if name := pair.Leaf.Subject.CommonName; name != "www.example.com" {
		t.Errorf("the certificate is that of %s", name)
	}
	if environment := p.environment("nginx"); len(environment) > 0 {
		t.Errorf("nginx gets the variables %q", environment)
	}
}

// wantFiles holds a folder of fernet-exec --write to its files, which the group may read.
func wantFiles(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), "..") {
			names = append(names, entry.Name())
		}
	}
	if sorted := slices.Sorted(maps.Keys(want)); !slices.Equal(names, sorted) {
		t.Fatalf("there are the files %q, want %q", names, sorted)
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil || string(content) != want[name] || info.Mode() != 0o440 {
			t.Errorf("%s: mode %v, %d bytes, %v; want 0440 and %d bytes", name, info.Mode(), len(content), err, len(want[name]))
		}
	}
}

// Whoever may write Secrets, and has no key, chooses no value.
func TestPlainValuesAreRefused(t *testing.T) {
	binary := build(t, "../decrypt/cmd/fernet-exec")
	for _, tt := range []struct{ folder, container, secret, entry string }{
		{"fernet-exec", "legacy", "legacy-g1", "API_TOKEN"},
		{"postgres", "open", "postgres-g1", "POSTGRES_PASSWORD"},
		{"nginx", "open", "nginx-g1", "TLS_KEY"},
	} {
		tokens := map[string]string{"DATABASE_URL": seal(t, "x", 0), "TLS_CERTIFICATE": seal(t, "x", 0)}
		tokens[tt.entry] = "changeme"
		p := newPod(t, tt.folder, data{"fernet-key-g1": keyring, tt.secret: tokens})
		programs := map[string]string{"/fernet-exec": binary, "/fernet/fernet-exec": binary, "/app/server": "/usr/bin/env"}
		stdout, stderr, code := run(t, p.command(tt.container, programs))
		if code != 125 || stdout != "" || !strings.Contains(stderr, tt.entry+": not sealed") {
			t.Errorf("%s: code %d, %q, %q", tt.folder, code, stdout, stderr)
		}
	}
}

// What a process has that fernet-exec became: what /proc and a core dump show.
func TestProcessOfTheCommand(t *testing.T) {
	binary := build(t, "../decrypt/cmd/fernet-exec")
	secrets := legacySecrets(t)
	token := secrets["legacy-g1"]["DATABASE_URL"]
	for _, tt := range []struct {
		name  string
		argv  []string
		value bool // it has it
	}{
		{"environment", []string{"/bin/cat"}, true},
		{"files", []string{"--write", memory(t), "--", "/bin/cat"}, false},
	} {
		cmd := exec.Command(binary, tt.argv...)
		cmd.Env = newPod(t, "fernet-exec", secrets).environment("legacy")
		environ, all := whatProcShows(t, cmd)
		for what, text := range map[string]struct {
			text string
			want bool
		}{
			"value": {canary, tt.value}, "token": {token, false}, "key": {testKey(1).Encode(), false},
		} {
			if got := strings.Contains(environ, text.text); got != text.want {
				t.Errorf("%s: /proc/PID/environ has the %s: %t", tt.name, what, got)
			}
			if got := strings.Contains(all, text.text); got != text.want {
				t.Errorf("%s: the memory of the process has the %s: %t", tt.name, what, got)
			}
		}
	}
}

// whatProcShows starts a command that answers each line, and gives its environment and all
// of its memory.
func whatProcShows(t *testing.T, cmd *exec.Cmd) (environ, all string) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	_, _ = in.Write([]byte("started?\n"))
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	proc := fmt.Sprintf("/proc/%d/", cmd.Process.Pid)
	content, err := os.ReadFile(proc + "environ")
	if err != nil {
		t.Fatal(err)
	}
	return string(content), memoryOf(t, proc)
}

// memoryOf gives what is mapped and can be read.
func memoryOf(t *testing.T, proc string) string {
	t.Helper()
	maps, err := os.ReadFile(proc + "maps")
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(proc + "mem")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var all bytes.Buffer
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		if _, err := fmt.Sscanf(line, "%x-%x r", &from, &to); err != nil || from < 0 || to < 0 {
			continue
		}
		piece := make([]byte, to-from)
		n, _ := file.ReadAt(piece, from) // some of the kernel's pages are no memory
		all.Write(piece[:n])
	}
	if all.Len() == 0 {
		t.Fatal("nothing of the process can be read")
	}
	return all.String()
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
	container := newPod(t, "fernet-exec", nil).container("fernet-exec")
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
