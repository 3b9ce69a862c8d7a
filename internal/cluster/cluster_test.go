// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// canary is what every token of these tests begins with.
const canary = "gAAAAABlcanary-7f3a-"

var (
	asJSON    = http.Header{"Content-Type": {"application/json"}}
	plainText = http.Header{"Content-Type": {"text/plain"}}
)

// lab is a fresh namespace, seen by its administrator, and a Client that
// reaches it through a proxy.
type lab struct {
	namespace string
	admin     core.SecretInterface
	proxy     *faultproxy.Proxy
	way       string // the kubeconfig that leads through the proxy
	client    *cluster.Client
}

// another gives another Client, which knows nothing yet.
func (l lab) another(t *testing.T) *cluster.Client { return connect(t, load(t, l.way), nil) }

// newLab makes a lab whose client may do everything, or, with verbs, only these
// to Secrets.
func newLab(t *testing.T, verbs ...string) lab {
	t.Helper()
	namespace, upstream := testkube.Namespace(t), testkube.RESTConfig(t)
	admin := core.NewForConfigOrDie(upstream).Secrets(namespace)
	if len(verbs) > 0 {
		rule := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: verbs}
		upstream = load(t, testkube.User(t, namespace, "user-of-"+namespace, rule))
	}
	proxy, err := faultproxy.Start(t.Context(), upstream, faultproxy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	kubeconfig := filepath.Join(t.TempDir(), "proxy")
	if err := proxy.Kubeconfig(kubeconfig, "proxy", "proxy"); err != nil {
		t.Fatal(err)
	}
	return lab{namespace, admin, proxy, kubeconfig, connect(t, load(t, kubeconfig), nil)}
}

func load(t *testing.T, kubeconfig string) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func connect(t *testing.T, config *rest.Config, trace cluster.Trace) *cluster.Client {
	t.Helper()
	client, err := cluster.Connect(config, trace, 0)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// row is a valid row of the lab's namespace, with a token of its own.
func (l lab) row(name string) ledger.Row {
	base, generation := names.Split(name)
	return ledger.Row{
		Namespace: l.namespace, Secret: name, Generation: generation, EnvKey: strings.ToUpper(base),
		KeyID: "kab12cd34", Token: canary + name + "==", Binding: "v1:binding-of-" + name,
	}
}

func (l lab) rows(names ...string) (rows []ledger.Row) {
	for _, name := range names {
		rows = append(rows, l.row(name))
	}
	return rows
}

// ours stores Secrets as this tool makes them, after changing them.
func (l lab) ours(t *testing.T, change func(*corev1.Secret), names ...string) {
	t.Helper()
	var work sync.WaitGroup
	for some := range slices.Chunk(names, max(1, len(names)/32)) {
		work.Go(func() {
			for _, name := range some {
				s := manifest.Secret(l.row(name))
				if change != nil {
					change(s)
				}
				if _, err := l.admin.Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
					t.Errorf("Secret %s for the test: %v", name, err)
				}
			}
		})
	}
	work.Wait()
}

func unlabelled(s *corev1.Secret) { s.Labels = nil }

// extended has more than was sent.
func extended(s *corev1.Secret) { s.Data["ADDED"] = []byte("x") }

func otherToken(s *corev1.Secret) {
	for key := range s.Data {
		s.Data[key] = []byte(canary + "other==")
	}
}

// deleting stores a Secret of ours that a finalizer keeps from going away,
// until release.
func (l lab) deleting(t *testing.T, name string) (release func()) {
	t.Helper()
	l.ours(t, func(s *corev1.Secret) { s.Finalizers = []string{"example.com/hold"} }, name)
	if err := l.admin.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() {
		s := manifest.Secret(l.row(name))
		if _, err := l.admin.Update(context.WithoutCancel(t.Context()), s, metav1.UpdateOptions{}); err != nil {
			t.Errorf("releasing Secret %s: %v", name, err)
		}
	})
	return release
}

// live gives the Secrets of the namespace as the administrator sees them.
func (l lab) live(t *testing.T) map[string]corev1.Secret {
	t.Helper()
	list, err := l.admin.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Error(err)
		return nil
	}
	found := make(map[string]corev1.Secret, len(list.Items))
	for _, s := range list.Items {
		found[s.Name] = s
	}
	return found
}

// names gives the last parts of the paths of those requests that have method.
func namesIn(requests []faultproxy.Request, method string) (list []string) {
	for _, r := range requests {
		if r.Method == method {
			list = append(list, r.Path[strings.LastIndex(r.Path, "/")+1:])
		}
	}
	slices.Sort(list)
	return list
}

// reads is a rule about GETs and LISTs.
func reads(a faultproxy.Action) faultproxy.Rule {
	return func(r faultproxy.Request) faultproxy.Action {
		if r.Method == "GET" {
			return a
		}
		return nil
	}
}

// until waits for what must come soon.
func until(t *testing.T, what string, come func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !come(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("waited in vain until %s", what)
			return
		}
	}
}
