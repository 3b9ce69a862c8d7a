// SPDX-License-Identifier: Apache-2.0

package testkube

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
)

func secret(name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func TestNamespaceIsFreshAndGoesAway(t *testing.T) {
	client := core.NewForConfigOrDie(RESTConfig(t))
	var first string
	t.Run("inside", func(t *testing.T) {
		first = Namespace(t)
		if second := Namespace(t); second == first {
			t.Errorf("two namespaces are called %s", first)
		}
		if _, err := client.Secrets(first).Create(t.Context(), secret("a"), metav1.CreateOptions{}); err != nil {
			t.Errorf("a fresh namespace cannot be used at once: %v", err)
		}
	})
	got, err := client.Namespaces().Get(t.Context(), first, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) && (err != nil || got.DeletionTimestamp == nil) {
		t.Errorf("after its test %s is neither gone nor going (%v)", first, err)
	}
}

func TestUserMayDoWhatTheRulesSay(t *testing.T) {
	here, elsewhere := Namespace(t), Namespace(t)
	kubeconfig := User(t, here, "pusher", rbacv1.PolicyRule{
		APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"create", "get"},
	})
	raw, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil || raw.CurrentContext != "pusher" {
		t.Fatalf("current context %q (%v), want pusher", raw.CurrentContext, err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client := core.NewForConfigOrDie(config)
	if _, err := client.Secrets(here).Create(t.Context(), secret("a"), metav1.CreateOptions{}); err != nil {
		t.Errorf("create: %v", err)
	}
	if _, err := client.Secrets(here).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list gives %v, want Forbidden", err)
	}
	if _, err := client.Secrets(elsewhere).Get(t.Context(), "a", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("get in another namespace gives %v, want Forbidden", err)
	}
}

func TestAwaitRuleWaits(t *testing.T) {
	config, namespace := RESTConfig(t), Namespace(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	rule := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods/log"}, Verbs: []string{"get"}}
	if err := awaitRule(ctx, config, namespace, "nobody", rule); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("for a user without the right: %v, want the deadline", err)
	}
	if err := awaitRule(t.Context(), config, namespace, "system:kube-controller-manager", rbacv1.PolicyRule{
		APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"create"},
	}); err != nil {
		t.Errorf("for a user with the right: %v", err)
	}
}

// TestOwnControlPlane is its own helper: as such it starts a control plane, tells where, and waits to be killed.
func TestOwnControlPlane(t *testing.T) {
	const helper = "TESTKUBE_HELPER"
	if os.Getenv(helper) != "" {
		runtime.GC() // must not close the lifeline
		fmt.Fprintf(os.Stdout, "data in %s\n", get(t).dataDir)
		runtime.GC()
		time.Sleep(time.Minute)
		t.Fatal("nobody killed the helper")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestOwnControlPlane$")
	cmd.Env = append(os.Environ(), helper+"=1", "FERNET_TEST_KUBECONFIG=", "FERNET_TEST_DATADIR=")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	dir, found := strings.CutPrefix(strings.TrimSpace(line), "data in ")
	time.Sleep(200 * time.Millisecond)
	if _, err := os.Stat(filepath.Join(dir, "kubeconfig")); !found || err != nil {
		t.Errorf("the helper says %q: %v", line, err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(dir); os.IsNotExist(err) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s outlives the program that started it", dir)
		}
	}
}

func TestWithoutLocalkube(t *testing.T) {
	dir := t.TempDir()
	mod := "module github.com/kubectl-fernet/kubectl-fernet\n"
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if _, err := start(); err == nil || !strings.Contains(err.Error(), "run: make localkube") {
		t.Errorf("without bin/localkube: %v", err)
	}
	if Root(t) != dir {
		t.Errorf("root is %s, want %s", Root(t), dir)
	}
}
