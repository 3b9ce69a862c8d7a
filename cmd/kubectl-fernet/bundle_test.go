// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// ownKey gives the place a key that no other test has.
func (p rotatedPlace) ownKey() {
	p.t.Helper()
	env := filepath.Join(p.dir, ".env")
	write(p.t, env, strings.Replace(string(read(p.t, env)), testKey, freshKey(p.t), 1))
}

// application is a Deployment that has these Secrets, the keyring first, as its environment.
func application(secrets ...string) string {
	text := `apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: 3
  minReadySeconds: 1
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: app
        image: i
        envFrom:
`
	for _, name := range secrets {
		text += "        - secretRef: {name: " + name + "}\n"
	}
	return text
}

// A rotation of a bundle of 15 entries, with its rollout, writes one Secret of tokens, one
// keyring and one patch; four bundles of 500 entries are four creates, and a few looks.
func TestRequestsOfBundles(t *testing.T) {
	t.Run("rotate and roll out", func(t *testing.T) {
		p := rotatedPlace{newPlace(t, 15).bundled()}
		p.ownKey()
		p.must("push")
		p.must("rotate", "--prepare", "--key-secret", "fernet-key", "--yes")
		p.kubectl(application("fernet-key-g1", "web-g1"), "create", "-f", "-")
		proxy := startProxy(t)
		if code, out := p.fernet(proxy, "rotate", "--rollout", "--key-secret", "fernet-key", "--yes"); code != 0 {
			t.Fatalf("exit code %d\n%s", code, out)
		}
		creates, patches := asked(proxy, http.MethodPost, "/secrets"), asked(proxy, http.MethodPatch, "/deployments/app")
		if writes := len(proxy.Writes()); creates != 2 || patches != 1 || writes != 3 {
			t.Errorf("%d creates of Secrets, %d patches, %d writes in all; want 2, 1, 3", creates, patches, writes)
		}
		p.kubectl("", "get", "secret", "web-g2", "fernet-key-g2")
	})
	t.Run("four bundles", func(t *testing.T) {
		const bundles, entries, looks = 4, 500, 3
		namespace, proxy := testkube.Namespace(t), startProxy(t)
		for range bundles {
			p := rotatedPlace{newPlace(t, entries).bundled()}
			env := filepath.Join(p.dir, ".env")
			write(t, env, strings.Replace(string(read(t, env)), "FERNET_BUNDLE="+bundleBase, "FERNET_BUNDLE="+p.namespace, 1))
			p.namespace = namespace
			if code, out := p.fernet(proxy, "push"); code != 0 {
				t.Fatalf("exit code %d\n%s", code, out)
			}
			if writes, all := len(proxy.Writes()), len(proxy.Requests()); writes != 1 || all > 1+looks {
				t.Errorf("a bundle of %d entries made %d writes and %d requests", entries, writes, all)
			}
			proxy.Reset()
		}
	})
}

// reader runs the demonstration's reader on the namespace until stop, which gives all that
// it said.
func (p rotatedPlace) reader() (stop func() string) {
	p.t.Helper()
	binary := filepath.Join(p.t.TempDir(), "reader")
	build := exec.Command("go", "build", "-o", binary, "./hack/demo/reader")
	build.Dir = testkube.Root(p.t)
	if out, err := build.CombinedOutput(); err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(binary, p.namespace)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+testkube.Kubeconfig(p.t))
	said, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(said)
	if !lines.Scan() || lines.Text() != "reading" {
		p.t.Fatalf("the reader did not start: %q", lines.Text())
	}
	return func() (text string) {
		p.t.Helper()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			p.t.Fatal(err)
		}
		for lines.Scan() {
			text += lines.Text() + "\n"
		}
		_ = cmd.Wait() // it wants more samples than a slow machine may give; what it saw counts
		return text
	}
}

// A Deployment goes from single Secrets to a bundle and back while it runs: at each moment
// each Ready pod opens what it has, to the values that it always had.
func TestApplicationThatChangesItsForm(t *testing.T) {
	p := rotatedPlace{newPlace(t, 3)}
	p.ownKey()
	p.must("push")
	p.must("rotate", "--prepare", "--key-secret", "fernet-key", "--yes")
	p.kubectl(application("fernet-key-g1", "secret-00", "secret-01", "secret-02"), "create", "-f", "-")
	p.kubectl("", "rollout", "status", "deployment", "app", "--timeout=2m")
	stop := p.reader()
	env := filepath.Join(p.dir, ".env")
	single := string(read(t, env))

	p.place = p.bundled()
	p.changeForm([]string{"web-g1"}, []string{"web-g2"})
	now := string(read(t, env))
	write(t, env, strings.Replace(now, "FERNET_BUNDLE="+bundleBase+"\n", "", 1))
	if now == single {
		t.Error("the .env has the key of before")
	}
	p.changeForm([]string{"secret-00-g3", "secret-01-g3", "secret-02-g3"}, []string{"secret-00-g4", "secret-01-g4", "secret-02-g4"})

	if text := stop(); !sawAll.MatchString(text) {
		t.Errorf("the reader saw:\n%s", text)
	} else {
		t.Log(text)
	}
}

// A Deployment gets its Secrets by wire, and then a new key without the old one: at each
// moment each Ready pod opens what it has.
func TestWiredApplication(t *testing.T) {
	p := rotatedPlace{newPlace(t, 12).bundled()}
	p.ownKey()
	write(t, filepath.Join(p.dir, ".env"), string(read(t, filepath.Join(p.dir, ".env")))+"FERNET_KEY_SECRET=fernet-key\n")
	p.must("push")
	p.kubectl(strings.TrimSuffix(application(), "        envFrom:\n"), "create", "-f", "-")
	p.kubectl("", "rollout", "status", "deployment", "app", "--timeout=2m")
	p.must("wire", "deployment/app", "--yes", "--workload-timeout", "2m")
	p.awaitPods(3) // those of before have no key, which the reader calls an error
	stop := p.reader()
	p.must("rotate", "--rollout", "--yes", "--workload-timeout", "2m")
	p.awaitUnnamed("web-g1")
	out := p.must("retire", "--ignore", "history", "--yes")
	if !strings.Contains(out, "secret/web-g1 deleted") {
		t.Errorf("the old generation is there:\n%s", out)
	}
	if text := stop(); !sawAll.MatchString(text) {
		t.Errorf("the reader saw:\n%s", text)
	}
}

// sawAll is what the reader says where every Ready pod opened all that it had.
var sawAll = regexp.MustCompile(`^(\d+) samples of all Ready pods\n((?:\d+ of them with old and new pods of app side by side\n)?)$`)

// changeForm pushes the form that the .env wants, brings the Deployment there, rotates, and
// retires the other form. created are the Secrets that the push makes, and left those that
// there are in the end.
func (p rotatedPlace) changeForm(created, left []string) {
	p.t.Helper()
	out := p.must("push")
	for _, name := range created {
		if !strings.Contains(out, "secret/"+name+" created") {
			p.t.Fatalf("no %s:\n%s", name, out)
		}
	}
	keyring := p.kubectl("", "get", "deployment", "app", "-o", "jsonpath={.spec.template.spec.containers[0].envFrom[0].secretRef.name}")
	p.kubectl(application(append([]string{keyring}, created...)...), "replace", "-f", "-")
	p.kubectl("", "rollout", "status", "deployment", "app", "--timeout=2m")
	p.must("rotate", "--rollout", "--key-secret", "fernet-key", "--yes", "--workload-timeout", "2m")
	for _, name := range append([]string{keyring}, created...) { // the pods of before end by themselves
		p.awaitUnnamed(name)
	}
	out = p.must("retire", "--ignore", "history", "--yes")
	have := strings.Fields(p.kubectl("", "get", "secrets", "--selector", "app.kubernetes.io/managed-by=kubectl-fernet,kubectl-fernet.github.io/kind!=keyring", "-o", "jsonpath={.items[*].metadata.name}"))
	if strings.Join(have, " ") != strings.Join(left, " ") {
		p.t.Fatalf("there are %q, want %q:\n%s", have, left, out)
	}
}

// awaitPods waits until so many pods are left.
func (p rotatedPlace) awaitPods(n int) {
	p.t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		pods := strings.Fields(p.kubectl("", "get", "pods", "-o", "name"))
		switch {
		case len(pods) == n:
			return
		case time.Now().After(end):
			p.t.Fatalf("two minutes later there are %q", pods)
		}
	}
}

// awaitUnnamed waits until no pod has a Secret.
func (p rotatedPlace) awaitUnnamed(secret string) {
	p.t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		named := strings.Fields(p.kubectl("", "get", "pods", "-o", "jsonpath={.items[*].spec.containers[*].envFrom[*].secretRef.name}"))
		switch {
		case !slices.Contains(named, secret):
			return
		case time.Now().After(end):
			p.t.Fatalf("two minutes later a pod has %s", secret)
		}
	}
}
