// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	apps "k8s.io/client-go/kubernetes/typed/apps/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

var toSecond = map[string]string{"secret-a": "secret-a-g2"}

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
func TestRepoint(t *testing.T) {
	l := newLab(t)
	for _, w := range []workload.Workload{
		l.store(t, deployment("web", 0, everywhere())), l.store(t, statefulSet("web", 0, everywhere())),
		l.store(t, daemonSet("web", nowhere(everywhere()))), l.store(t, cronJob("web", everywhere())),
	} {
		l.proxy.Reset()
		dry, err := l.client.Repoint(t.Context(), w, toSecond, true)
		if err != nil || !slices.Equal(secrets(dry), []string{"secret-a-g2"}) || len(l.proxy.Writes()) != 0 {
			t.Errorf("%s, dry run: %v, %s, %d writes", w, err, secrets(dry), len(l.proxy.Writes()))
		}
		if now := l.get(t, w.Kind, "web"); !equality.Semantic.DeepEqual(now.Template, w.Template) {
			t.Errorf("%s: the dry run changed it", w)
		}
		now, err := l.client.Repoint(t.Context(), w, toSecond, false)
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
		back, err := l.client.Repoint(t.Context(), now, map[string]string{"secret-a-g2": "secret-a"}, false)
		if err != nil || string(now.Patch(map[string]string{"secret-a-g2": "secret-a"})) != string(w.Back(toSecond)) ||
			!equality.Semantic.DeepEqual(back.Template, w.Template) {
			t.Errorf("%s: the way back: %v, %+v", w, err, back.Template)
		}
	}
}

func TestRepointOfNothing(t *testing.T) {
	l := newLab(t)
	w := l.store(t, deployment("web", 0, everywhere()))
	job := w
	job.Kind = workload.Job
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.proxy.Reset()
	if now, err := l.client.Repoint(t.Context(), w, map[string]string{"secret-b": "secret-b-g2"}, false); err != nil || now.UID != w.UID {
		t.Errorf("nothing to change: %v, %+v", err, now)
	}
	if _, err := l.client.Repoint(t.Context(), job, toSecond, false); err == nil || !strings.Contains(err.Error(), "not patched") {
		t.Errorf("a Job: %v", err)
	}
	if _, err := l.client.Repoint(ctx, w, toSecond, false); !errors.Is(err, context.Canceled) {
		t.Errorf("after Ctrl-C: %v", err)
	}
	if requests := l.proxy.Requests(); len(requests) != 0 {
		t.Errorf("requests: %+v", requests)
	}
}

func TestRepointOfWhatHasChanged(t *testing.T) {
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
		{"another image", func(t *corev1.PodTemplateSpec) { t.Spec.Containers[0].Image = "example.com/app:2" }, false, []string{"secret-a-g2"}},
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
				now, err := l.client.Repoint(t.Context(), w, toSecond, dryRun)
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

func TestRepointInDoubt(t *testing.T) {
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
			now, err := l.client.Repoint(t.Context(), w, toSecond, false)
			if (err == nil) != (tc.want == landed) || errors.Is(err, cluster.ErrDoubtful) != (tc.want == doubtful) || errors.Is(err, cluster.ErrStale) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
			if err == nil && !slices.Equal(secrets(now), []string{"secret-a-g2"}) {
				t.Errorf("it is said to name %s", secrets(now))
			}
			if err != nil {
				_ = explained(t, cluster.Result{Err: err}, "secret-a")
			}
			if patches := len(namesIn(l.proxy.Requests(), http.MethodPatch)); patches != tc.patches {
				t.Errorf("%d patches, want %d", patches, tc.patches)
			}
			l.proxy.Reset()
			if got := secrets(l.get(t, workload.Deployment, "web"))[0]; (got == "secret-a-g2") != tc.done {
				t.Errorf("it names %s", got)
			}
		})
	}
}

// A patch that answered 504 lands after Repoint has looked: the next one finds it.
func TestRepointLandsLater(t *testing.T) {
	l := newLab(t)
	w := l.store(t, deployment("web", 0, once()))
	release := make(chan struct{})
	l.proxy.Reset(faultproxy.First(1, faultproxy.Writes(faultproxy.LandWhen(release))))
	if _, err := l.client.Repoint(t.Context(), w, toSecond, false); !errors.Is(err, cluster.ErrDoubtful) {
		t.Errorf("at first: %v", err)
	}
	close(release)
	until(t, "the patch has landed", func() bool { return secrets(l.get(t, workload.Deployment, "web"))[0] == "secret-a-g2" })
	if now, err := l.client.Repoint(t.Context(), w, toSecond, false); err != nil || now.UID != w.UID {
		t.Errorf("then: %v", err)
	}
}

func TestRepointIsWaitedForAfterCtrlC(t *testing.T) {
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
	if now, err := l.client.Repoint(ctx, w, toSecond, false); err != nil || secrets(now)[0] != "secret-a-g2" {
		t.Errorf("%v, %s", err, secrets(now))
	}
}

func TestRepointThatIsRefused(t *testing.T) {
	l := newLab(t)
	w := l.store(t, deployment("web", 0, everywhere()))
	_, err := l.client.Repoint(t.Context(), w, map[string]string{"secret-a": "Not_A_Name"}, false)
	says(t, explained(t, cluster.Result{Err: err}), "the API server refuses the object: Deployment.apps \"web\" is invalid: [spec.template.spec.", "")
	rule := rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get"}}
	user := load(t, testkube.User(t, l.namespace, "reader-"+l.namespace, rule))
	for _, dryRun := range []bool{true, false} {
		_, err = connect(t, user, nil).Repoint(t.Context(), w, toSecond, dryRun)
		says(t, explained(t, cluster.Result{Err: err}), `cannot patch resource "deployments"`, "verbs get, list and patch")
	}
	if errors.Is(err, cluster.ErrDoubtful) || errors.Is(err, cluster.ErrStale) {
		t.Errorf("without the right to patch: %v", err)
	}
	l.proxy.Reset(faultproxy.Writes(faultproxy.Status(200, asJSON, []byte(`{"apiVersion":"apps/v1","kind":"Deployment"}`))))
	if _, err := l.client.Repoint(t.Context(), w, toSecond, false); err == nil || !strings.Contains(err.Error(), "stored other names") {
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
	behind := func(t *testing.T, want int, old string) {
		t.Helper()
		w := l.get(t, workload.Deployment, "web")
		got := w.Behind(func(name string) string { return toSecond[name] }, func(name string) bool { return slices.Contains(slices.Collect(maps.Values(toSecond)), name) })
		if len(got) != want {
			t.Errorf("%d places: %+v\nwant %d; fields %v", len(got), got, want, w.ManagedFields)
		}
		for i, b := range got {
			if r := w.References()[i]; b.Where != r.Where || b.Source != "field manager ci" || b.Old != old || b.New != "secret-a-g2" {
				t.Errorf("%+v, want %s", b, r.Where)
			}
		}
	}
	if err := apply(t, everywhere()); err != nil {
		t.Fatal(err)
	}
	behind(t, references, "secret-a")
	if _, err := l.client.Repoint(t.Context(), l.get(t, workload.Deployment, "web"), toSecond, false); err != nil {
		t.Fatal(err)
	}
	behind(t, references, "")
	if err := apply(t, everywhere()); !apierrors.IsConflict(err) {
		t.Errorf("the manifest as it was: %v, want a conflict", err)
	}
	behind(t, references, "")
	if err := apply(t, rename(everywhere(), "secret-a", "secret-a-g2")); err != nil {
		t.Errorf("the manifest with the new names: %v", err)
	}
	behind(t, 0, "")
}

// greedy is once, with a container that asks for more than a node has.
func greedy() corev1.PodTemplateSpec {
	t := once()
	t.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("65")}
	return t
}

// await waits for a rollout for as long as a slow machine needs.
func (l lab) await(t *testing.T, w workload.Workload) (workload.Workload, []string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var told []string
	now, err := l.client.AwaitRollout(ctx, w, func(text string) { told = append(told, text) })
	if len(slices.Compact(slices.Clone(told))) != len(told) {
		t.Errorf("%s: told %q", w, told)
	}
	return now, told, err
}

// done waits for a rollout that has to succeed.
func (l lab) done(t *testing.T, w workload.Workload) workload.Workload {
	t.Helper()
	now, told, err := l.await(t, w)
	if err != nil || now.Progress().State != workload.Done || len(told) == 0 || told[len(told)-1] != now.Progress().Text {
		t.Fatalf("%s: %v, %+v, told %q", w, err, now.Progress(), told)
	}
	return now
}

// repoint renames the references of a workload, and gives it as it is then.
func (l lab) repoint(t *testing.T, w workload.Workload, from, to string) workload.Workload {
	t.Helper()
	now, err := l.client.Repoint(t.Context(), w, map[string]string{from: to}, false)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func TestAwaitRollout(t *testing.T) {
	l := newLab(t)
	for _, w := range []workload.Workload{
		l.store(t, deployment("a", 3, once())), l.store(t, statefulSet("b", 2, once())), l.store(t, daemonSet("c", once())), l.store(t, cronJob("d", once())),
	} {
		l.done(t, w)
		w = l.repoint(t, l.get(t, w.Kind, w.Name), "secret-a", "secret-a-g2")
		if state := w.Progress().State; (state == workload.Done) != (w.Kind == workload.CronJob) {
			t.Errorf("%s is %s at once", w, state)
		}
		l.done(t, w)
	}
	// Old Pods may take a moment to be gone.
	until(t, "six Pods run, all with the new name", func() bool {
		pods, err := l.client.Pods(t.Context(), l.namespace)
		return err == nil && len(pods) == 6 && !slices.ContainsFunc(pods, func(p workload.Workload) bool {
			return !p.Ready || secrets(p)[0] != "secret-a-g2"
		})
	})
}

func failed(t *testing.T, err error) *cluster.RolloutError {
	t.Helper()
	var e *cluster.RolloutError
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want a *cluster.RolloutError", err)
	}
	return e
}

// A rollout whose Pods find no node fails; so it does for who looks later. The
// way back, whose status tells at first of the failure before it, succeeds.
func TestAwaitRolloutThatFails(t *testing.T) {
	l := newLab(t)
	d := deployment("web", 1, once())
	l.done(t, l.store(t, d))

	deadline := int32(2)
	d.Spec.Template, d.Spec.ProgressDeadlineSeconds = greedy(), &deadline
	client := apps.NewForConfigOrDie(testkube.RESTConfig(t)).Deployments(l.namespace)
	if _, err := client.Update(t.Context(), d, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w := l.get(t, workload.Deployment, "web")
	for _, w := range []func() workload.Workload{
		func() workload.Workload { return w }, func() workload.Workload { return l.get(t, workload.Deployment, "web") },
	} {
		now, _, err := l.await(t, w())
		e := failed(t, err)
		if e.TimedOut || e.Workload != "deployment/web" || now.Progress().State != workload.Failed || !strings.Contains(e.Error(), ", and no progress within the deadline (ProgressDeadlineExceeded)") {
			t.Errorf("%v, %+v", e, now.Progress())
		}
	}

	d.Spec.Template, d.Spec.ProgressDeadlineSeconds = once(), nil
	if _, err := client.Update(t.Context(), d, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	l.done(t, l.get(t, workload.Deployment, "web"))
}

// Until the controller has made Pods for the next template, the status of a
// Deployment tells of the failure of the last one.
func TestAwaitRolloutAfterAFailure(t *testing.T) {
	l := newLab(t)
	answer := func(observed int, updated int, gaveUp string) faultproxy.Action {
		return faultproxy.Status(200, asJSON, fmt.Appendf(nil, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","generation":2},
			"spec":{"replicas":2},"status":{"observedGeneration":%d,"updatedReplicas":%d,"replicas":%[2]d,"availableReplicas":%[2]d,"conditions":[
			{"type":"Progressing","status":"False","reason":"ProgressDeadlineExceeded","lastUpdateTime":%q}]}}`, observed, updated, gaveUp))
	}
	const before, after = "2026-01-02T03:04:05Z", "2026-01-02T03:14:05Z"
	for name, tc := range map[string]struct {
		last faultproxy.Action
		fail bool
	}{
		"then it is done":     {answer(2, 2, before), false},
		"then it fails again": {answer(2, 1, after), true},
	} {
		twice := func(a faultproxy.Action) faultproxy.Rule { return faultproxy.First(2, reads(a)) }
		l.proxy.Reset(twice(answer(1, 2, before)), twice(answer(2, 1, before)), reads(tc.last))
		_, told, err := l.await(t, l.get(t, workload.Deployment, "web"))
		if (err != nil) != tc.fail || tc.fail && failed(t, err).TimedOut {
			t.Errorf("%s: %v, told %q", name, err, told)
		}
		if looks := len(l.proxy.Requests()); looks != 5 {
			t.Errorf("%s: looked %d times, want 5; told %q", name, looks, told)
		}
	}
}

// What never becomes ready is given up when time is up, and the Pods to delete
// are named, for they stay even after the way back.
func TestAwaitRolloutThatTakesTooLong(t *testing.T) {
	l := newLab(t)
	s := statefulSet("db", 2, once())
	l.done(t, l.store(t, s))
	l.store(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "another"}, Spec: greedy().Spec})
	s.Spec.Template = greedy()
	client := apps.NewForConfigOrDie(testkube.RESTConfig(t)).StatefulSets(l.namespace)
	if _, err := client.Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w := l.get(t, workload.StatefulSet, "db")
	until(t, "the last Pod is replaced", func() bool {
		pods, err := l.client.Pods(t.Context(), l.namespace)
		return err == nil && len(pods) == 3 && pods[2].Name == "db-1" && !pods[2].Ready
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := l.client.AwaitRollout(ctx, w, func(string) {})
	e := failed(t, err)
	if !e.TimedOut || !slices.Equal(e.NotReady, []string{"db-1"}) || !strings.Contains(e.Error(), "statefulset/db: the rollout is not done in time: ") || !strings.Contains(e.Error(), "; not ready: db-1") {
		t.Errorf("%+v: %v", e, e)
	}
}

func TestAwaitRolloutByHand(t *testing.T) {
	l := newLab(t)
	paused := deployment("web", 1, once())
	paused.Spec.Paused = true
	byHand := daemonSet("agent", once())
	byHand.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
	for _, w := range []workload.Workload{l.store(t, paused), l.store(t, byHand)} {
		w = l.repoint(t, w, "secret-a", "secret-a-g2")
		now, told, err := l.await(t, w)
		if err != nil || now.Progress().State != workload.Manual || !slices.Equal(told, []string{now.Progress().Text}) {
			t.Errorf("%s: %v, %+v, told %q", w, err, now.Progress(), told)
		}
	}
}

func TestAwaitRolloutOnABadWay(t *testing.T) {
	l := newLab(t)
	w := l.store(t, statefulSet("db", 2, nowhere(once())))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l.proxy.Reset(faultproxy.First(3, reads(faultproxy.Status(500, nil, nil))), func(faultproxy.Request) faultproxy.Action {
		cancel() // it looks again
		return nil
	})
	_, err := l.client.AwaitRollout(ctx, w, func(string) {})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("after Ctrl-C: %v", err)
	}

	ctx, timeUp := context.WithCancelCause(t.Context())
	l.proxy.Reset(faultproxy.First(2, reads(faultproxy.Status(500, nil, nil))), func(faultproxy.Request) faultproxy.Action {
		timeUp(context.DeadlineExceeded)
		return nil
	})
	_, err = l.client.AwaitRollout(ctx, w, func(string) {})
	_ = explained(t, cluster.Result{Err: err})
	if e := failed(t, err); !e.TimedOut || !strings.Contains(e.Error(), "; the last look at it: ") {
		t.Errorf("when nobody answers: %v", err)
	}

	for _, code := range []int{401, 403, 404} {
		l.proxy.Reset(reads(faultproxy.Status(code, nil, nil)))
		_, _, err := l.await(t, w)
		_ = explained(t, cluster.Result{Err: err})
		if errors.As(err, new(*cluster.RolloutError)) || len(l.proxy.Requests()) != 1 {
			t.Errorf("%d: %v, %d requests", code, err, len(l.proxy.Requests()))
		}
	}
}
