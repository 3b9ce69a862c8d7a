// SPDX-License-Identifier: Apache-2.0

// Package tools has no code but this test: the module is there for its go.mod, whose tool lines are the commands of a
// control plane. As these bring the kubelet's packages along, the test of what a kubelet really does is here too.
package tools

import (
	"context"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/kubernetes/pkg/kubelet/secret"
)

// patience is how long the control plane and the kubelet's cache have for one thing.
const patience = time.Minute

// TestKubeletReadsImmutableSecretStale replaces an immutable Secret and a mutable one under their names while a pod uses
// them, and asks the kubelet's own Secret cache what the next pod gets. That the cache has the new bytes of the mutable one,
// which was replaced last, shows that it is not merely late.
func TestKubeletReadsImmutableSecretStale(t *testing.T) {
	n := newNode(t)
	n.create(t, "immutable", "old", true)
	n.create(t, "mutable", "old", false)
	n.startPod("a", "immutable", "mutable")
	n.await(t, "immutable", "old")
	n.await(t, "mutable", "old")

	n.remove(t, "immutable")
	n.create(t, "immutable", "new", true)
	n.remove(t, "mutable")
	n.create(t, "mutable", "new", false)
	n.startPod("b", "immutable", "mutable")
	n.await(t, "mutable", "new")
	if got, err := n.read("immutable"); err != nil || got != "old" {
		t.Errorf("pod b gets %q (%v) from a replaced immutable Secret, not the stale bytes: "+
			"the kubelet now reads fresh: docs/rotation.md's reason for generations is gone", got, err)
	}

	n.create(t, "immutable-g2", "new", true)
	n.startPod("c", "immutable-g2")
	n.await(t, "immutable-g2", "new")
}

// node is a kubelet's Secret cache, as the kubelet makes it, beside the Secrets of a namespace in a real API server.
type node struct {
	namespace string
	secrets   core.SecretInterface
	cache     secret.Manager
}

func newNode(t *testing.T) node {
	t.Helper()
	kubeconfig := os.Getenv("FERNET_TEST_KUBECONFIG")
	if kubeconfig == "" {
		t.Fatal("FERNET_TEST_KUBECONFIG is not set; in the repository's root, run: " +
			"bin/localkube run -- go -C hack/localkube/tools test ./...")
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatalf("control plane: %v", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatalf("control plane: %v", err)
	}
	namespace := newNamespace(t, client.CoreV1().Namespaces())
	return node{namespace, client.CoreV1().Secrets(namespace), secret.NewWatchingSecretManager(client, time.Minute)}
}

func newNamespace(t *testing.T, namespaces core.NamespaceInterface) string {
	t.Helper()
	made, err := namespaces.Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "kubelet-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("namespace: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		_ = namespaces.Delete(ctx, made.Name, metav1.DeleteOptions{}) // the control plane goes away anyway
	})
	return made.Name
}

func (n node) create(t *testing.T, name, value string, immutable bool) {
	t.Helper()
	object := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Data:       map[string][]byte{"value": []byte(value)},
		Immutable:  &immutable,
	}
	if _, err := n.secrets.Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
}

func (n node) remove(t *testing.T, name string) {
	t.Helper()
	if err := n.secrets.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatalf("delete %s: %v", name, err)
	}
}

// startPod tells the cache what the kubelet tells it when a pod comes to the node.
func (n node) startPod(name string, secrets ...string) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: n.namespace, Name: name, UID: types.UID(name)}}
	for _, s := range secrets {
		source := corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: s}}
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: s, VolumeSource: source})
	}
	n.cache.RegisterPod(pod)
}

func (n node) read(name string) (string, error) {
	object, err := n.cache.GetSecret(n.namespace, name)
	if err != nil {
		return "", err
	}
	return string(object.Data["value"]), nil
}

func (n node) await(t *testing.T, name, want string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		got, err := n.read(name)
		if err == nil && got == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %v the kubelet reads %q (%v) from %s, want %q", patience, got, err, name, want)
		}
	}
}
