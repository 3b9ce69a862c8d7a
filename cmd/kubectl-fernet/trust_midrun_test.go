// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// midRuns are changes of a real cluster between the first write of a command and its second.
var midRuns = []struct {
	name   string
	verbs  []string
	change func(s *site, u *upstream) (undo func())
	says   string
}{
	{"the client certificate has expired", []string{"push", "rotate", "retire", "rollout", "restore"}, expire, `the API server does not accept these credentials(.|\n)*\nhint: .*log in again: `},
	{"the right is taken away", []string{"push", "rotate", "retire", "rollout", "restore"}, disown, `cannot (create|patch|delete) resource "\w+"(.|\n)*kubectl fernet rbac --for `},
	{"the quota is reached", []string{"push", "rotate", "restore"}, fillQuota, "exceeded quota: full"},
	{"a policy denies", []string{"push", "rotate", "restore"}, deny, "denied request: not on a Friday"},
}

// mutations are changes of what a cluster stores.
var mutations = map[string]func(s *site, u *upstream) (undo func()){
	"a policy adds data": mutateByPolicy("JSONPatch{op: 'add', path: '/data/added', value: 'eA=='}"), "a webhook adds data": mutateByWebhook,
	"a policy takes the binding away": mutateByPolicy("JSONPatch{op: 'add', path: '/metadata/annotations', value: {'added': 'eA=='}}"),
}

// TestTrustMidRun changes a real cluster in the middle of a command: what holds at every moment
// holds, the message says what changed, and the next run, once that is undone, finishes.
func TestTrustMidRun(t *testing.T) {
	n := 0
	t.Run("changes", func(t *testing.T) {
		for _, m := range midRuns {
			for _, sw := range sweeps {
				if !slices.Contains(m.verbs, sw.name) {
					continue
				}
				n++
				t.Run(m.name+" "+sw.name, func(t *testing.T) {
					t.Parallel()
					sw.survives(t, func(s *site) bool {
						code, out, undo := s.changed(sw.args(s), m.change)
						if code != 2 || !regexp.MustCompile(m.says).MatchString(out) {
							t.Errorf("exit code %d\n%s", code, out)
						}
						s.holds()
						undo()
						return true
					})
				})
			}
		}
	})
	testkube.Cases(t, n)
}

// clockVariable holds, in a command's environment, by how much its clock is off.
const clockVariable = "FERNET_TEST_CLOCK"

// TestTrustClock runs each command of the sweeps with a clock that has gone back an hour since
// what it finds was written.
func TestTrustClock(t *testing.T) {
	t.Run("commands", func(t *testing.T) {
		for _, sw := range sweeps {
			t.Run(sw.name, func(t *testing.T) {
				t.Parallel()
				s := sw.prepare(t)
				began, found := time.Now(), len(s.rows())
				cmd := s.plugin(testkube.Kubeconfig(t), sw.args(s)...)
				cmd.Env = append(cmd.Env, clockVariable+"=-1h")
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				added := s.rows()[found:]
				if none := strings.HasPrefix(sw.name, "pull") || sw.name == "wire" || sw.name == "rollout"; none != (len(added) == 0) {
					t.Errorf("%d rows were added", len(added))
				}
				for _, row := range added {
					if row.Time.After(began) {
						t.Errorf("a row of %v, and it began at %v", row.Time, began)
					}
				}
				s.settled()
				sw.check(s)
			})
		}
	})
	testkube.Cases(t, len(sweeps))
}

// rows are those of the ledger.
func (p place) rows() []ledger.Row {
	p.t.Helper()
	rows, _, err := ledger.Parse(ledgerName, read(p.t, filepath.Join(p.dir, ledgerName)))
	if err != nil && p.bytesOf(ledgerName) != "" {
		p.t.Fatal(err)
	}
	return rows
}

// upstream is how the proxy reaches the API server: as an administrator, until it becomes
// somebody else.
type upstream struct {
	t   *testing.T
	now atomic.Pointer[http.RoundTripper]
}

func (u *upstream) become(config *rest.Config) {
	u.t.Helper()
	transport, err := rest.TransportFor(config)
	if err != nil {
		u.t.Fatal(err)
	}
	u.now.Store(&transport)
}

// changed runs a command, one write after the other, and makes a change when the second one is
// on its way.
func (s *site) changed(args []string, change func(*site, *upstream) func()) (code int, out string, undo func()) {
	s.t.Helper()
	u, config := &upstream{t: s.t}, rest.CopyConfig(testkube.RESTConfig(s.t))
	config.Wrap(func(admin http.RoundTripper) http.RoundTripper { return switched{admin, u} })
	var came atomic.Bool
	changed, writes := make(chan struct{}), 0
	proxy, err := faultproxy.Start(s.t.Context(), config, faultproxy.Options{}, func(r faultproxy.Request) faultproxy.Action {
		if !r.IsWrite() {
			return nil
		}
		if writes++; writes != 2 {
			return nil
		}
		came.Store(true)
		go func() {
			defer close(changed)
			undo = change(s, u)
		}()
		return faultproxy.Hold(changed, nil)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(proxy.Close)
	said, err := s.plugin(proxyKubeconfig(s.t, proxy), oneByOne(args)...).CombinedOutput()
	if !came.Load() {
		s.t.Fatalf("there was no second write\n%s", said)
	}
	<-changed
	s.saysNothing(string(said), proxy.Requests())
	if undo == nil {
		s.t.Fatal("the change could not be made")
	}
	return exitCode(s.t, err), string(said), undo
}

// oneByOne has a command write one thing after the other.
func oneByOne(args []string) []string {
	if args[0] == "rollout" || args[0] == "retire" {
		return args
	}
	return slices.Concat(args, []string{"--parallel", "1"})
}

// switched takes the upstream's way, the administrator's as long as there is none.
type switched struct {
	admin http.RoundTripper
	*upstream
}

func (s switched) RoundTrip(r *http.Request) (*http.Response, error) {
	if now := s.now.Load(); now != nil {
		return (*now).RoundTrip(r)
	}
	return s.admin.RoundTrip(r)
}

// WrappedRoundTripper lets client-go find what is behind it.
func (s switched) WrappedRoundTripper() http.RoundTripper { return s.admin }

func expire(s *site, u *upstream) (undo func()) {
	u.become(testkube.Expired(s.t))
	return func() {}
}

// disown leaves the right to look.
func disown(s *site, u *upstream) (undo func()) {
	s.t.Helper()
	looks := rbacv1.PolicyRule{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"get", "list", "watch"}}
	config, err := clientcmd.BuildConfigFromFlags("", testkube.User(s.t, s.namespace, "disowned-"+s.namespace, looks))
	if err != nil {
		s.t.Error(err)
		return nil
	}
	u.become(config)
	return func() {}
}

// fillQuota allows no more Secrets than there are.
func fillQuota(s *site, _ *upstream) (undo func()) {
	s.t.Helper()
	quotas := corev1client.NewForConfigOrDie(testkube.RESTConfig(s.t)).ResourceQuotas(s.namespace)
	full := corev1.ResourceList{"count/secrets": *resource.NewQuantity(int64(len(s.secrets())), resource.DecimalSI)}
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "full"}, Spec: corev1.ResourceQuotaSpec{Hard: full}}
	if _, err := quotas.Create(s.t.Context(), quota, metav1.CreateOptions{}); err != nil {
		s.t.Error(err)
	}
	s.until("the quota counts", func() bool {
		q, err := quotas.Get(s.t.Context(), "full", metav1.GetOptions{})
		used := q.Status.Used["count/secrets"]
		return err == nil && used.Equal(full["count/secrets"])
	})
	return func() {
		if err := quotas.Delete(s.t.Context(), "full", metav1.DeleteOptions{}); err != nil {
			s.t.Error(err)
		}
	}
}

// until waits for a condition, a minute at most.
func (s *site) until(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	s.t.Errorf("%s: not within a minute", what)
}

func deny(s *site, _ *upstream) (undo func()) {
	s.t.Helper()
	policy := "deny-" + s.namespace
	return putIntoEffect(s.t, fmt.Sprintf(policyManifest, policy, "'a value'", "", "Deny", s.namespace), policy, s.namespace)
}

// mutatingManifest is a policy that adds to the data of each Secret which is created.
const mutatingManifest = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  reinvocationPolicy: Never
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [secrets]}
  mutations:
  - patchType: JSONPatch
    jsonPatch: {expression: "[%[3]s]"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec:
  policyName: %[1]s
  matchResources:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[2]s}}
`

func mutateByPolicy(patch string) func(*site, *upstream) func() {
	return func(s *site, _ *upstream) (undo func()) {
		s.t.Helper()
		return putIntoEffect(s.t, fmt.Sprintf(mutatingManifest, "mutate-"+s.namespace, s.namespace, patch), "added: eA==", s.namespace)
	}
}

// webhookManifest has the API server send each Secret which is created to a server of ours.
const webhookManifest = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: %[1]s}
webhooks:
- name: mutate.example.com
  clientConfig: {url: %[2]s, caBundle: %[3]s}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [secrets]}]
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[4]s}}
  sideEffects: None
  admissionReviewVersions: [v1]
`

func mutateByWebhook(s *site, _ *upstream) (undo func()) {
	s.t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		kind := admissionv1.PatchTypeJSONPatch
		review.Response = &admissionv1.AdmissionResponse{
			UID: review.Request.UID, Allowed: true, PatchType: &kind, Patch: []byte(`[{"op":"add","path":"/data/added","value":"eA=="}]`),
		}
		review.Request = nil
		_ = json.NewEncoder(w).Encode(review)
	}))
	s.t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	bundle, err := json.Marshal(authority)
	if err != nil {
		s.t.Error(err)
	}
	return putIntoEffect(s.t, fmt.Sprintf(webhookManifest, "mutate-"+s.namespace, server.URL, bundle, s.namespace), "added: eA==", s.namespace)
}

// TestTrustMutation has a cluster store something else than was sent, from the second write on:
// the first such Secret is named and is the last, it does not count as done, and once it is deleted
// the next run finishes.
func TestTrustMutation(t *testing.T) {
	n, verbs := 0, []string{"push", "rotate", "restore"}
	t.Run("changes", func(t *testing.T) {
		for name, change := range mutations {
			for _, sw := range sweeps {
				if !slices.Contains(verbs, sw.name) {
					continue
				}
				n++
				t.Run(name+" "+sw.name, func(t *testing.T) {
					t.Parallel()
					sw.survives(t, func(s *site) bool {
						before := s.ours()
						code, out, undo := s.changed(sw.args(s), change)
						says := ": the API server took the Secret and stored something else: a webhook or a policy in the cluster changes Secrets\nhint: "
						if code != 2 || !strings.Contains(out, says) {
							t.Errorf("exit code %d\n%s", code, out)
						}
						undo()
						s.deleteChanged(before, out)
						return true
					})
				})
			}
		}
	})
	testkube.Cases(t, n)
}

// deleteChanged deletes what the cluster changed, which the output names.
func (s *site) deleteChanged(before map[string]corev1.Secret, out string) {
	s.t.Helper()
	secrets, changed := corev1client.NewForConfigOrDie(testkube.RESTConfig(s.t)).Secrets(s.namespace), 0
	for name, live := range s.ours() {
		if _, was := before[name]; was || live.Data["added"] == nil && live.Annotations["added"] == "" {
			continue
		}
		changed++
		if !strings.Contains(out, "error: secret/"+name+": ") {
			s.t.Errorf("%s is not named\n%s", name, out)
		}
		if err := secrets.Delete(s.t.Context(), name, metav1.DeleteOptions{}); err != nil {
			s.t.Error(err)
		}
	}
	if changed != 1 {
		s.t.Errorf("%d were changed\n%s", changed, out)
	}
}

// TestTrustNamespaceIsDeleted has the namespace deleted in the middle of a command. Once there is
// a new one of that name, all comes back.
func TestTrustNamespaceIsDeleted(t *testing.T) {
	verbs := map[string]func(*testing.T) *site{
		"push": emptySite, "rotate": newSite, "restore": deletedSite, "retire": rolledOutSite,
	}
	t.Run("verbs", func(t *testing.T) {
		for name, prepare := range verbs {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := prepare(t)
				i := slices.IndexFunc(sweeps, func(sw sweep) bool { return sw.name == name })
				recorded := s.bytesOf(ledgerName)
				code, out, undo := s.changed(sweeps[i].args(s), deleteNamespace)
				says := ": the namespace is being deleted\nhint: wait until it is gone, then create it again\n"
				stopped := code == 2 && strings.Contains(out, says)
				if deletes := name == "retire"; !stopped && !deletes || deletes && code == 2 { // as the namespace does
					t.Errorf("exit code %d\n%s", code, out)
				}
				s.keepsRows(recorded)
				undo()
				s.must("restore")
				s.must("push")
				s.must("verify")
				live, ring := map[string]string{}, s.keys().ring(t)
				for _, secret := range s.secrets() {
					for entry, text := range secret.Data {
						plain, err := ring.Open(text)
						if err != nil {
							t.Errorf("%s: %v", secret.Name, err)
						}
						live[entry] = string(plain)
					}
				}
				if !maps.Equal(live, s.values) {
					t.Errorf("%d of %d values are back", len(live), len(s.values))
				}
			})
		}
	})
	testkube.Cases(t, len(verbs))
}

// deleteNamespace deletes it, with all that is in it, but for something that a finalizer holds, as
// deletes in real clusters take their time. undo waits until it is gone, and makes a new one.
func deleteNamespace(s *site, _ *upstream) (undo func()) {
	s.t.Helper()
	client := corev1client.NewForConfigOrDie(testkube.RESTConfig(s.t))
	ctx, configMaps, namespaces := s.t.Context(), client.ConfigMaps(s.namespace), client.Namespaces()
	held := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "held", Finalizers: []string{"example.com/holds"}}}
	if _, err := configMaps.Create(ctx, held, metav1.CreateOptions{}); err != nil {
		s.t.Error(err)
	}
	release := func() error {
		_, err := configMaps.Patch(context.WithoutCancel(ctx), "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		return err
	}
	s.t.Cleanup(func() { _ = release() }) // it is gone unless the test failed
	if err := namespaces.Delete(ctx, s.namespace, metav1.DeleteOptions{}); err != nil {
		s.t.Error(err)
	}
	return func() {
		if err := release(); err != nil {
			s.t.Error(err)
		}
		again := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}
		s.until("the namespace is gone", func() bool {
			_, err := namespaces.Create(ctx, again, metav1.CreateOptions{})
			return err == nil
		})
	}
}
