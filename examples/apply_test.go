// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// header is the comment at the top of a pod.yaml: what to type, and the wire that makes
// such a pod.
type header struct {
	t     *testing.T
	lines []string
	wire  []string // the arguments of kubectl fernet
}

func headerOf(t *testing.T, folder string) header {
	t.Helper()
	h := header{t: t}
	var prose []string
	for line := range strings.Lines(documents(t, folder)[0]) {
		text, comment := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "#")
		if !comment {
			break
		}
		if command, indented := strings.CutPrefix(text, "   "); indented {
			h.lines = append(h.lines, command)
			continue
		}
		prose = append(prose, strings.TrimSpace(text))
	}
	wire := regexp.MustCompile("`kubectl fernet (wire [^`]+)`").FindStringSubmatch(strings.Join(prose, " "))
	if len(h.lines) == 0 || wire == nil {
		t.Fatalf("%s: its header has the commands %q, and no wire", folder, h.lines)
	}
	h.wire = strings.Fields(wire[1])
	return h
}

// line gives the one that begins with a word.
func (h header) line(word string) string {
	h.t.Helper()
	for _, line := range h.lines {
		if strings.HasPrefix(line, word+" ") {
			return line
		}
	}
	h.t.Fatalf("no line begins with %s: %q", word, h.lines)
	return ""
}

// newcomer is somebody who has kubectl, the plugin and a namespace, and is in a copy of an
// example's folder.
type newcomer struct {
	t    *testing.T
	dir  string
	path string // PATH
	kube string // its kubeconfig
}

// newNewcomer is warned of what the Pod Security Standard "restricted" does not admit.
func newNewcomer(t *testing.T, plugin string) newcomer {
	t.Helper()
	kubectl := filepath.Join(testkube.Root(t), "bin", "kubectl")
	if _, err := os.Stat(kubectl); err != nil {
		t.Fatalf("%v; type: make localkube", err)
	}
	path := filepath.Dir(plugin) + ":" + filepath.Dir(kubectl) + ":" + os.Getenv("PATH")
	n := newcomer{t, t.TempDir(), path, filepath.Join(t.TempDir(), "config")}
	n.copy(testkube.Kubeconfig(t), n.kube)
	namespace := testkube.Namespace(t)
	n.does("kubectl label namespace " + namespace + " pod-security.kubernetes.io/warn=restricted")
	n.does("kubectl config set-context --current --namespace " + namespace)
	return n
}

func (n newcomer) copy(from, to string) {
	n.t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		n.t.Fatal(err)
	}
	n.write(to, string(content))
}

func (n newcomer) write(path, content string) {
	n.t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// types runs a line of a shell.
func (n newcomer) types(line string) (stdout, stderr string, code int) {
	n.t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir, cmd.Env = n.dir, append(os.Environ(), "PATH="+n.path, "KUBECONFIG="+n.kube)
	return run(n.t, cmd)
}

// does runs one that has to succeed.
func (n newcomer) does(line string) (stdout, stderr string) {
	n.t.Helper()
	stdout, stderr, code := n.types(line)
	if code != 0 {
		n.t.Fatalf("%s: code %d\n%s%s", line, code, stdout, stderr)
	}
	return stdout, stderr
}

// secrets gives those of the namespace.
func (n newcomer) secrets() data {
	n.t.Helper()
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Data     map[string][]byte
		}
	}
	stdout, _ := n.does("kubectl get secrets -o json")
	if err := json.Unmarshal([]byte(stdout), &list); err != nil {
		n.t.Fatal(err)
	}
	all := data{}
	for _, item := range list.Items {
		all[item.Metadata.Name] = map[string]string{}
		for key, value := range item.Data {
			all[item.Metadata.Name][key] = string(value)
		}
	}
	return all
}

// file gives a file of the folder, without the line break at its end, as $(cat FILE) does.
func (n newcomer) file(name string) string {
	n.t.Helper()
	content, err := os.ReadFile(filepath.Join(n.dir, name))
	if err != nil {
		n.t.Fatal(err)
	}
	return strings.TrimRight(string(content), "\n")
}

// example is what a folder holds, and the test that its pod works with real Secrets.
type example struct {
	folder  string
	applied []string // objects
	works   func(t *testing.T, n newcomer, secrets data)
}

func examples() []example {
	password := "example password"
	opened := func(t *testing.T, folder string, secrets data) *pod {
		t.Helper()
		return openedBy(t, build(t, "../decrypt/cmd/fernet-exec"), folder, secrets)
	}
	serves := func(service func(t *testing.T) service) func(t *testing.T, n newcomer, secrets data) {
		return func(t *testing.T, _ newcomer, secrets data) {
			t.Helper()
			url, log := serve(t, service(t).command(t, secrets))
			if code, body := get(t, url, "example-api-token"); code != 200 || log != "" {
				t.Errorf("%d %q, and it says %q", code, body, log)
			}
		}
	}
	return []example{
		{"go-web", []string{"deployment.apps/go-web"}, serves(goService)},
		{"python", []string{"deployment.apps/python-web"}, serves(pythonService)},
		{"node", []string{"deployment.apps/node-web"}, serves(nodeService)},
		{"fernet-exec", []string{"deployment.apps/legacy"}, func(t *testing.T, _ newcomer, secrets data) {
			t.Helper()
			checkLegacy(t, opened(t, "fernet-exec", secrets), map[string]string{
				"API_TOKEN": "example-api-token", "DATABASE_URL": "postgres://app:example-password@db.example.com/app",
			})
		}},
		{"postgres", []string{"service/postgres", "statefulset.apps/postgres"}, func(t *testing.T, _ newcomer, secrets data) {
			t.Helper()
			checkPostgres(t, opened(t, "postgres", secrets), password)
		}},
		{"nginx", []string{"configmap/nginx", "deployment.apps/nginx"}, func(t *testing.T, n newcomer, secrets data) {
			t.Helper()
			checkNginx(t, opened(t, "nginx", secrets), n.file("tls.crt"), n.file("tls.key"))
		}},
	}
}

// Who types the header of a manifest has an application that works: the API server takes
// the manifest, wire adds nothing to it, and the programs open what push made.
func TestAPIServerTakesTheManifests(t *testing.T) {
	plugin := build(t, "../cmd/kubectl-fernet")
	for _, e := range examples() {
		t.Run(e.folder, func(t *testing.T) {
			if e.folder == "nginx" {
				needOpenSSL(t)
			}
			n, h := newNewcomer(t, plugin), headerOf(t, e.folder)
			for _, name := range []string{".env.example", "pod.yaml"} {
				n.copy(filepath.Join(e.folder, name), filepath.Join(n.dir, name))
			}
			var stdout, stderr string
			for _, line := range h.lines {
				stdout, stderr = n.does(line)
			}
			if want := strings.Join(e.applied, " created\n") + " created\n"; stdout != want || stderr != "" {
				t.Errorf("applied: %q, %q; want %q", stdout, stderr, want)
			}
			n.needsNoWire(h)
			n.hides(e.applied[len(e.applied)-1])
			n.misspells()
			e.works(t, n, n.secrets())
		})
	}
}

// needsNoWire wants the manifest and the workload to have all that wire would add.
func (n newcomer) needsNoWire(h header) {
	n.t.Helper()
	line := "kubectl fernet " + strings.Join(h.wire, " ")
	flags, _, _ := strings.Cut(line, " -- ") // the manifest names the command already
	if stdout, _ := n.does(flags + " --yes --no-wait"); stdout != h.wire[1]+" unchanged\n" {
		n.t.Errorf("%s: %s", flags, stdout)
	}
	if _, stderr := n.does(flags + " --local -f pod.yaml"); !strings.HasPrefix(stderr, "0 manifests changed") {
		n.t.Errorf("%s: %s", flags, stderr)
	}
}

// hides wants no value, token or key in what describes a workload.
func (n newcomer) hides(workload string) {
	n.t.Helper()
	for _, line := range []string{"kubectl describe " + workload, "kubectl get -o yaml " + workload} {
		stdout, _ := n.does(line)
		for name, secret := range n.secrets() {
			for key, value := range secret {
				if value != "" && strings.Contains(stdout, value) {
					n.t.Errorf("%s shows %s of %s", line, key, name)
				}
			}
			if !strings.Contains(stdout, name) {
				n.t.Errorf("%s does not name %s", line, name)
			}
		}
		if strings.Contains(stdout, "example-api-token") || strings.Contains(stdout, "example password") {
			n.t.Errorf("%s shows a value", line)
		}
	}
}

// misspells sees that the API server looks at fields and at the standard "restricted".
func (n newcomer) misspells() {
	n.t.Helper()
	for _, tt := range []struct{ from, to, says string }{
		{"securityContext:", "securitycontext:", "unknown field"},
		{"runAsNonRoot: true", "runAsNonRoot: false", `would violate PodSecurity "restricted:`},
	} {
		content := strings.Replace(n.file("pod.yaml"), tt.from, tt.to, 1)
		n.write(filepath.Join(n.dir, "broken.yaml"), content)
		if _, stderr, _ := n.types("kubectl apply --dry-run=server -f broken.yaml"); !strings.Contains(stderr, tt.says) {
			n.t.Errorf("%s: %q", tt.to, stderr)
		}
	}
}
