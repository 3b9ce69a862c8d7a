// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	apps "k8s.io/client-go/kubernetes/typed/apps/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

var toSecond = workload.Rename{"secret-a": "secret-a-g2"}

// rename gives a template with other names in its references.
func rename(t corev1.PodTemplateSpec, from, to string) corev1.PodTemplateSpec {
	raw, err := json.Marshal(t)
	if err != nil {
		panic(err)
	}
	text := strings.ReplaceAll(string(raw), `"name":"`+from+`"`, `"name":"`+to+`"`)
	text = strings.ReplaceAll(text, `"secretName":"`+from+`"`, `"secretName":"`+to+`"`)
	t = corev1.PodTemplateSpec{}
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		panic(err)
	}
	return t
}

// The API server itself applies the patch: all references change, nothing else
// does, and the way back leads back.
func TestPatch(t *testing.T) {
	l := newLab(t)
	for _, w := range []workload.Workload{
		l.store(t, deployment("web", 0, everywhere())), l.store(t, statefulSet("web", 0, everywhere())),
		l.store(t, daemonSet("web", nowhere(everywhere()))), l.store(t, cronJob("web", everywhere())),
	} {
		l.proxy.Reset()
		dry, err := l.client.Patch(t.Context(), w, toSecond, true)
		if err != nil || !slices.Equal(secrets(dry), []string{"secret-a-g2"}) || len(l.proxy.Writes()) != 0 {
			t.Errorf("%s, dry run: %v, %s, %d writes", w, err, secrets(dry), len(l.proxy.Writes()))
		}
		if now := l.get(t, w.Kind, "web"); !equality.Semantic.DeepEqual(now.Template, w.Template) {
			t.Errorf("%s: the dry run changed it", w)
		}
		now, err := l.client.Patch(t.Context(), w, toSecond, false)
		if err != nil || len(l.proxy.Writes()) != 1 {
			t.Errorf("%s: %v, %d writes", w, err, len(l.proxy.Writes()))
		}
		if want := rename(w.Template, "secret-a", "secret-a-g2"); !equality.Semantic.DeepEqual(now.Template, want) {
			t.Errorf("%s: got %+v\nwant %+v", w, now.Template, want)
		}
		if live := l.get(t, w.Kind, "web"); !equality.Semantic.DeepEqual(live.Template, now.Template) {
			t.Errorf("%s: live %+v", w, live.Template)
		}
		if !slices.ContainsFunc(now.ManagedFields, func(e metav1.ManagedFieldsEntry) bool { return e.Manager == "kubectl-fernet" }) {
			t.Errorf("%s: managed fields %+v", w, now.ManagedFields)
		}
		back, err := l.client.Patch(t.Context(), now, workload.Rename{"secret-a-g2": "secret-a"}, false)
		if err != nil || !equality.Semantic.DeepEqual(back.Template, w.Template) {
			t.Errorf("%s: the way back: %v, %+v", w, err, back.Template)
		}
	}
}

func TestPatchOfNothing(t *testing.T) {
	l := newLab(t)
	w := l.store(t, deployment("web", 0, everywhere()))
	job := w
	job.Kind = workload.Job
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.proxy.Reset()
	if now, err := l.client.Patch(t.Context(), w, workload.Rename{"secret-b": "secret-b-g2"}, false); err != nil || now.UID != w.UID {
		t.Errorf("nothing to change: %v, %+v", err, now)
	}
	if _, err := l.client.Patch(t.Context(), job, toSecond, false); err == nil || !strings.Contains(err.Error(), "not patched") {
		t.Errorf("a Job: %v", err)
	}
	if _, err := l.client.Patch(ctx, w, toSecond, false); !errors.Is(err, context.Canceled) {
		t.Errorf("after Ctrl-C: %v", err)
	}
	if requests := l.proxy.Requests(); len(requests) != 0 {
		t.Errorf("requests: %+v", requests)
	}
}

func TestPatchOfWhatHasChanged(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*corev1.PodTemplateSpec) // nil: it is deleted
		stale  bool
		names  []string
	}{
		{"deleted", nil, true, nil},
		{"repointed by somebody", func(t *corev1.PodTemplateSpec) { *t = rename(*t, "secret-a", "secret-a-g2") }, false, []string{"secret-a-g2"}},
		{"repointed elsewhere", func(t *corev1.PodTemplateSpec) { *t = rename(*t, "secret-a", "secret-a-g3") }, true, []string{"secret-a-g3"}},
		{"one reference changed", func(t *corev1.PodTemplateSpec) { t.Spec.Volumes[0].Secret.SecretName = "secret-b" }, true, []string{"secret-a", "secret-b"}},
		{"one reference gone", func(t *corev1.PodTemplateSpec) { t.Spec.Volumes = t.Spec.Volumes[:2] }, true, []string{"secret-a"}},
		{"another image", func(t *corev1.PodTemplateSpec) { t.Spec.Containers[0].Image = "example.com/app:2" }, true, []string{"secret-a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t)
			w := l.store(t, deployment("web", 0, everywhere()))
			client := apps.NewForConfigOrDie(testkube.RESTConfig(t)).Deployments(l.namespace)
			if tc.change == nil {
				if err := client.Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
			} else {
				changed := deployment("web", 0, everywhere())
				tc.change(&changed.Spec.Template)
				if _, err := client.Update(t.Context(), changed, metav1.UpdateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			for _, dryRun := range []bool{true, false} {
				now, err := l.client.Patch(t.Context(), w, toSecond, dryRun)
				if errors.Is(err, cluster.ErrStale) != tc.stale || (err != nil) != tc.stale {
					t.Errorf("dry run %v: %v", dryRun, err)
				}
				if err == nil && !slices.Equal(secrets(now), tc.names) {
					t.Errorf("dry run %v gives %s", dryRun, secrets(now))
				}
			}
			if tc.change != nil {
				if got := secrets(l.get(t, workload.Deployment, "web")); !slices.Equal(got, tc.names) {
					t.Errorf("it names %s, want %s", got, tc.names)
				}
			}
		})
	}
}

func TestPatchInDoubt(t *testing.T) {
	for name, change := range map[string]workload.Change{"rename": toSecond, "wiring": &workload.Wiring{Tokens: []workload.Tokens{{Secret: "web-g1", Length: map[string]int{"A": 100}}}}} {
		t.Run(name, func(t *testing.T) { patchInDoubt(t, change) })
	}
}

func patchInDoubt(t *testing.T, change workload.Change) {
	t.Helper()
	const landed, doubtful, refused = "landed", "doubtful", "refused"
	writes := faultproxy.Writes
	for _, tc := range []struct {
		name    string
		rules   []faultproxy.Rule
		want    string
		patches int
		done    bool
	}{
		{"reply lost", []faultproxy.Rule{writes(faultproxy.DropReply())}, landed, 1, true},
		{"504, applied", []faultproxy.Rule{writes(faultproxy.StatusAfter(504, nil))}, landed, 1, true},
		{"sent again after its success", []faultproxy.Rule{faultproxy.First(1, writes(faultproxy.StatusAfter(503, faultproxy.RetryAfter(0))))}, landed, 2, true},
		{"throttled", []faultproxy.Rule{faultproxy.First(2, writes(faultproxy.Status(429, faultproxy.RetryAfter(0), nil)))}, landed, 3, true},
		{"never arrived", []faultproxy.Rule{writes(faultproxy.ResetBefore())}, doubtful, 1, false},
		{"504, not applied", []faultproxy.Rule{writes(faultproxy.Status(504, nil, nil))}, doubtful, 1, false},
		{"408", []faultproxy.Rule{writes(faultproxy.Status(408, nil, nil))}, doubtful, 1, false},
		{"sent again, then refused", []faultproxy.Rule{faultproxy.First(1, writes(faultproxy.Status(503, faultproxy.RetryAfter(0), nil))), writes(faultproxy.Status(403, nil, nil))}, doubtful, 2, false},
		{"nobody can look", []faultproxy.Rule{writes(faultproxy.DropReply()), reads(faultproxy.Status(500, nil, nil))}, doubtful, 1, true},
		{"refused, nobody can look", []faultproxy.Rule{writes(faultproxy.Status(403, nil, nil)), reads(faultproxy.Status(500, nil, nil))}, doubtful, 1, false},
		{"refused", []faultproxy.Rule{writes(faultproxy.Status(403, nil, nil))}, refused, 1, false},
		{"a webhook's 422", []faultproxy.Rule{writes(faultproxy.Status(422, nil, nil))}, refused, 1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t)
			w := l.store(t, deployment("web", 0, once()))
			l.proxy.Reset(tc.rules...)
			now, err := l.client.Patch(t.Context(), w, change, false)
			if (err == nil) != (tc.want == landed) || errors.Is(err, cluster.ErrDoubtful) != (tc.want == doubtful) || errors.Is(err, cluster.ErrStale) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
			if err == nil && change.Compare(w, now) != workload.Applied {
				t.Errorf("it is said to name %s", secrets(now))
			}
			if err != nil {
				_ = explained(t, cluster.Result{Err: err}, "secret-a")
			}
			if patches := len(namesIn(l.proxy.Requests(), http.MethodPatch)); patches != tc.patches {
				t.Errorf("%d patches, want %d", patches, tc.patches)
			}
			l.proxy.Reset()
			if live := l.get(t, workload.Deployment, "web"); (change.Compare(w, live) == workload.Applied) != tc.done {
				t.Errorf("it names %s", secrets(live))
			}
		})
	}
}

// A patch that answered 504 lands after Patch has looked: the next one finds it.
func TestPatchLandsLater(t *testing.T) {
	l := newLab(t)
	w := l.store(t, deployment("web", 0, once()))
	release := make(chan struct{})
	l.proxy.Reset(faultproxy.First(1, faultproxy.Writes(faultproxy.LandWhen(release))))
	if _, err := l.client.Patch(t.Context(), w, toSecond, false); !errors.Is(err, cluster.ErrDoubtful) {
		t.Errorf("at first: %v", err)
	}
	close(release)
	until(t, "the patch has landed", func() bool { return secrets(l.get(t, workload.Deployment, "web"))[0] == "secret-a-g2" })
	if now, err := l.client.Patch(t.Context(), w, toSecond, false); err != nil || now.UID != w.UID {
		t.Errorf("then: %v", err)
	}
}

func TestPatchIsWaitedForAfterCtrlC(t *testing.T) {
	l := newLab(t)
	w := l.store(t, deployment("web", 0, once()))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	release := make(chan struct{})
	l.proxy.Reset(func(r faultproxy.Request) faultproxy.Action {
		if r.IsWrite() {
			cancel()
			close(release)
			return faultproxy.Hold(release, nil)
		}
		return nil
	})
	if now, err := l.client.Patch(ctx, w, toSecond, false); err != nil || secrets(now)[0] != "secret-a-g2" {
		t.Errorf("%v, %s", err, secrets(now))
	}
}

func TestPatchThatIsRefused(t *testing.T) {
	l := newLab(t)
	w := l.store(t, deployment("web", 0, everywhere()))
	_, err := l.client.Patch(t.Context(), w, workload.Rename{"secret-a": "Not_A_Name"}, false)
	says(t, explained(t, cluster.Result{Err: err}), "the API server refuses the object: Deployment.apps \"web\" is invalid: [spec.template.spec.", "")
	rule := rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get"}}
	user := load(t, testkube.User(t, l.namespace, "reader-"+l.namespace, rule))
	for _, dryRun := range []bool{true, false} {
		_, err = connect(t, user, nil).Patch(t.Context(), w, toSecond, dryRun)
		says(t, explained(t, cluster.Result{Err: err}), `cannot patch resource "deployments"`, "ask for that verb")
	}
	if errors.Is(err, cluster.ErrDoubtful) || errors.Is(err, cluster.ErrStale) {
		t.Errorf("without the right to patch: %v", err)
	}
	l.proxy.Reset(faultproxy.Writes(faultproxy.Status(200, asJSON, []byte(`{"apiVersion":"apps/v1","kind":"Deployment"}`))))
	if _, err := l.client.Patch(t.Context(), w, toSecond, false); err == nil || !strings.Contains(err.Error(), "stored something else") {
		t.Errorf("when somebody puts the old names back: %v", err)
	}
}

// What a server-side apply has set is behind before our patch and after it, and
// is not once the manifest is applied with the new names.
func TestBehindAServerSideApply(t *testing.T) {
	l := newLab(t)
	client := apps.NewForConfigOrDie(testkube.RESTConfig(t)).Deployments(l.namespace)
	apply := func(t *testing.T, pods corev1.PodTemplateSpec) error {
		manifest, err := json.Marshal(deployment("web", 0, pods))
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Patch(t.Context(), "web", types.ApplyPatchType, manifest, metav1.PatchOptions{FieldManager: "ci"})
		return err
	}
	behind := func(t *testing.T, want int) {
		t.Helper()
		w := l.get(t, workload.Deployment, "web")
		got := w.Behind(func(name string) string { return toSecond[name] })
		if len(got) != want {
			t.Errorf("%d places: %+v\nwant %d; fields %v", len(got), got, want, w.ManagedFields)
		}
		for i, b := range got {
			if r := w.References()[i]; b.Where != r.Where || b.Source != "field manager ci" || b.Old != "secret-a" || b.New != "secret-a-g2" {
				t.Errorf("%+v, want %s", b, r.Where)
			}
		}
	}
	if err := apply(t, everywhere()); err != nil {
		t.Fatal(err)
	}
	behind(t, references)
	until(t, "no status is written meanwhile", func() bool {
		_, err := l.client.Patch(t.Context(), l.get(t, workload.Deployment, "web"), toSecond, false)
		if err != nil && !errors.Is(err, cluster.ErrStale) {
			t.Fatal(err)
		}
		return err == nil
	})
	behind(t, references)
	if err := apply(t, everywhere()); !apierrors.IsConflict(err) {
		t.Errorf("the manifest as it was: %v, want a conflict", err)
	}
	behind(t, references)
	if err := apply(t, rename(everywhere(), "secret-a", "secret-a-g2")); err != nil {
		t.Errorf("the manifest with the new names: %v", err)
	}
	behind(t, 0)
}
