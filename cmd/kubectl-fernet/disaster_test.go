// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// The namespace is deleted, the .env is lost, the cluster is gone: the ledger and
// the key bring everything back, onto another cluster that is called otherwise.
func TestDisaster(t *testing.T) {
	for _, tt := range []struct {
		name, settings   string
		restored, pushed string
	}{
		{"single Secrets", "", "\n100 created, 0 unchanged", "0 created, 50 unchanged"},
		{"a bundle", "FERNET_BUNDLE=web\n", "\n2 created, 0 unchanged", "0 created, 1 unchanged"},
	} {
		t.Run(tt.name, func(t *testing.T) { disaster(t, tt.settings, tt.restored, tt.pushed) })
	}
}

func disaster(t *testing.T, settings, restored, pushed string) {
	p := newPlace(t, 50)
	p.set(settings)
	here := testkube.Kubeconfig(t)
	run := func(kubeconfig string, args ...string) string {
		t.Helper()
		cmd := exec.Command("kubectl-fernet", args...)
		cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "KUBECONFIG="+kubeconfig)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run(here, "push", "-n", p.namespace)
	run(here, "rotate", "--yes")
	keys := envOnly(t, filepath.Join(p.dir, ".env"), "KEY", "KEY_PREVIOUS")
	if err := os.Remove(filepath.Join(p.dir, ".env")); err != nil {
		t.Fatal(err)
	}
	if err := corev1client.NewForConfigOrDie(testkube.RESTConfig(t)).Namespaces().Delete(t.Context(), p.namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}

	elsewhere, _ := secondControlPlane(t, p.namespace)
	if out := run(elsewhere, "restore", "-n", p.namespace, "--yes"); !strings.Contains(out, restored) || !strings.Contains(out, `cluster "elsewhere"`) {
		t.Errorf("restore:\n%s", out)
	}
	write(t, filepath.Join(p.dir, "key.env"), keys)
	run(elsewhere, "pull", "--from", "cluster", "-n", p.namespace, "--key-file", "key.env")
	file, _, err := envfile.ReadFile(filepath.Join(p.dir, ".env"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range p.values {
		if entry, ok := file.Lookup(name); !ok || entry.Value.Reveal() != want {
			t.Errorf("%s came back otherwise, or not at all", name)
		}
	}
	if text := string(read(t, filepath.Join(p.dir, ".env"))); !strings.Contains(text, settings) {
		t.Errorf("%q did not come back", settings)
	}
	// Nothing authenticated what was restored, until a run with the key confirms it.
	if out := run(elsewhere, "push", "-n", p.namespace); !strings.Contains(out, pushed) {
		t.Errorf("push:\n%s", out)
	}
	if out := run(elsewhere, "verify"); !strings.Contains(out, "\n0 errors, 1 warning\n") || !strings.Contains(out, "FERNET015 warning: ") {
		t.Errorf("verify:\n%s", out)
	}
}

// envOnly gives the lines of some variables.
func envOnly(t *testing.T, file string, names ...string) string {
	t.Helper()
	var lines string
	for _, name := range names {
		lines += regexp.MustCompile(`(?m)^` + name + `=.*\n`).FindString(string(read(t, file)))
	}
	return lines
}

// secondControlPlane starts one whose kubeconfig uses other names, with one empty
// namespace, and gives a way to stop it.
func secondControlPlane(t *testing.T, namespace string) (kubeconfig string, stop func()) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "written")
	cmd := exec.Command(filepath.Join(testkube.Root(t), "bin", "localkube"), "--data-dir", filepath.Join(dir, "data"), "--kubeconfig", file)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	t.Cleanup(stop)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "localkube ready\n" {
		t.Fatalf("the second control plane says %q, %v", line, err)
	}
	kubeconfig = filepath.Join(dir, "kubeconfig")
	write(t, kubeconfig, regexp.MustCompile(`(: "?)localkube\b`).ReplaceAllString(string(read(t, file)), "${1}elsewhere"))
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if _, err := corev1client.NewForConfigOrDie(config).Namespaces().Create(context.Background(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return kubeconfig, stop
}
