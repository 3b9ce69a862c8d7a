// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apps "k8s.io/client-go/kubernetes/typed/apps/v1"
	batch "k8s.io/client-go/kubernetes/typed/batch/v1"
	core "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// everywhere is a pod template that names secret-a in each common place.
func everywhere() corev1.PodTemplateSpec {
	ref := corev1.LocalObjectReference{Name: "secret-a"}
	container := func(name string) corev1.Container {
		return corev1.Container{
			Name: name, Image: "example.com/app",
			EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: ref}}},
			Env: []corev1.EnvVar{
				{Name: "PLAIN", Value: "secret-a"},
				{Name: "A", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: ref, Key: "A"}}},
			},
		}
	}
	volume := func(name string, source corev1.VolumeSource) corev1.Volume {
		return corev1.Volume{Name: name, VolumeSource: source}
	}
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{container("init")},
			Containers:     []corev1.Container{container("app")},
			Volumes: []corev1.Volume{
				volume("tokens", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "secret-a"}}),
				volume("all", corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
					Sources: []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{LocalObjectReference: ref}}},
				}}),
				volume("disk", corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "csi.example.com", NodePublishSecretRef: &ref}}),
			},
		},
	}
}

// references is how many references everywhere has.
const references = 7

// once is a pod template of one container that names secret-a once.
func once() corev1.PodTemplateSpec {
	t := everywhere()
	t.Spec.InitContainers, t.Spec.Volumes = nil, t.Spec.Volumes[:1]
	t.Spec.Containers[0].Env, t.Spec.Containers[0].EnvFrom = nil, nil
	return t
}

var webPods = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}

func deployment(name string, replicas int32, t corev1.PodTemplateSpec) *appsv1.Deployment {
	return &appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: webPods, Template: t},
	}
}

func statefulSet(name string, replicas int32, t corev1.PodTemplateSpec) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.StatefulSetSpec{Replicas: &replicas, Selector: webPods, Template: t},
	}
}

func daemonSet(name string, t corev1.PodTemplateSpec) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DaemonSetSpec{Selector: webPods, Template: t}}
}

// nowhere keeps the Pods of a template from every node.
func nowhere(t corev1.PodTemplateSpec) corev1.PodTemplateSpec {
	t.Spec.NodeSelector = map[string]string{"example.com/no-such": "node"}
	return t
}

func ending(t corev1.PodTemplateSpec) batchv1.JobSpec {
	t.Spec.RestartPolicy = corev1.RestartPolicyNever
	return batchv1.JobSpec{Template: t}
}

func cronJob(name string, t corev1.PodTemplateSpec) *batchv1.CronJob {
	suspend := true
	return &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: batchv1.CronJobSpec{
		Schedule: "@yearly", Suspend: &suspend, JobTemplate: batchv1.JobTemplateSpec{Spec: ending(t)},
	}}
}

// store makes an object of one of the kinds of workloads, and gives it as the
// client of the lab sees it.
func (l lab) store(t *testing.T, object any) workload.Workload {
	t.Helper()
	config, ctx, opts := testkube.RESTConfig(t), t.Context(), metav1.CreateOptions{}
	a, b := apps.NewForConfigOrDie(config), batch.NewForConfigOrDie(config)
	var err error
	var kind workload.Kind
	switch o := object.(type) {
	case *appsv1.Deployment:
		kind = workload.Deployment
		_, err = a.Deployments(l.namespace).Create(ctx, o, opts)
	case *appsv1.StatefulSet:
		kind = workload.StatefulSet
		_, err = a.StatefulSets(l.namespace).Create(ctx, o, opts)
	case *appsv1.DaemonSet:
		kind = workload.DaemonSet
		_, err = a.DaemonSets(l.namespace).Create(ctx, o, opts)
	case *batchv1.CronJob:
		kind = workload.CronJob
		_, err = b.CronJobs(l.namespace).Create(ctx, o, opts)
	case *batchv1.Job:
		kind = workload.Job
		_, err = b.Jobs(l.namespace).Create(ctx, o, opts)
	case *corev1.Pod:
		kind = workload.Pod
		_, err = core.NewForConfigOrDie(config).Pods(l.namespace).Create(ctx, o, opts)
	}
	if err != nil {
		t.Fatalf("workload for the test: %v", err)
	}
	return l.get(t, kind, object.(metav1.Object).GetName())
}

func (l lab) get(t *testing.T, kind workload.Kind, name string) workload.Workload {
	t.Helper()
	w, err := l.client.GetWorkload(t.Context(), kind, l.namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// secrets lists the names that a workload's references have, each once.
func secrets(w workload.Workload) (list []string) {
	for _, r := range w.References() {
		list = append(list, r.Secret)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// under is a rule about what is asked of paths that begin so.
func under(prefix string, a faultproxy.Action) faultproxy.Rule {
	return func(r faultproxy.Request) faultproxy.Action {
		if strings.HasPrefix(r.Path, prefix) {
			return a
		}
		return nil
	}
}

func owned(kind string, controller bool) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: "example.com/v1", Kind: kind, Name: "owner", UID: "1", Controller: &controller}}
}

func TestWorkloads(t *testing.T) {
	l := newLab(t)
	l.store(t, statefulSet("db", 0, everywhere()))
	l.store(t, deployment("web", 0, everywhere()))
	l.store(t, deployment("api", 0, everywhere()))
	l.store(t, daemonSet("agent", nowhere(everywhere())))
	l.store(t, cronJob("nightly", everywhere()))
	for name, owner := range map[string][]metav1.OwnerReference{
		"once": nil, "of-a-workflow": owned("Workflow", true), "of-a-cron-job": owned("CronJob", true), "looked-after": owned("CronJob", false),
	} {
		l.store(t, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: owner}, Spec: ending(nowhere(everywhere()))})
	}
	for name, owner := range map[string][]metav1.OwnerReference{"bare": nil, "made": owned("ReplicaSet", true), "watched": owned("Node", false)} {
		l.store(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: owner}, Spec: nowhere(everywhere()).Spec})
	}
	rollouts, err := json.Marshal(map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "RolloutList", "items": []any{
			map[string]any{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": map[string]any{"name": "green"}, "spec": map[string]any{"template": everywhere()}},
			map[string]any{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": map[string]any{"name": "broken"}, "spec": map[string]any{"template": "none"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"cronjob/nightly", "daemonset/agent", "deployment/api", "deployment/web", "job/looked-after", "job/of-a-workflow", "job/once", "pod/bare", "pod/watched",
	}
	for name, tc := range map[string]struct {
		rules        []faultproxy.Rule
		want, denied []string
	}{
		"without Argo Rollouts": {nil, append(want, "statefulset/db"), nil},
		"with Argo Rollouts": {
			[]faultproxy.Rule{
				under("/apis/argoproj.io/v1alpha1/namespaces/", faultproxy.Status(200, asJSON, rollouts)),
				under("/apis/argoproj.io/v1alpha1", faultproxy.Status(200, asJSON, []byte(`{"kind":"APIResourceList","apiVersion":"v1","resources":[{"name":"rollouts"}]}`))),
			},
			append(want, "rollout/green", "statefulset/db"), []string{"rollout/broken"},
		},
		"with a list that is too old once": {
			[]faultproxy.Rule{faultproxy.First(1, under("/apis/apps/", faultproxy.Status(410, nil, nil)))}, append(want, "statefulset/db"), nil,
		},
	} {
		l.proxy.Reset(tc.rules...)
		list, denied, err := l.another(t).Workloads(t.Context(), l.namespace)
		var got []string
		for _, w := range list {
			got = append(got, w.String())
			if w.Kind != workload.Rollout && w.Namespace != l.namespace || len(w.References()) != references {
				t.Errorf("%s: %s in %q has %d references", name, w, w.Namespace, len(w.References()))
			}
		}
		if err != nil || !slices.Equal(got, tc.want) || !slices.Equal(denied, tc.denied) {
			t.Errorf("%s: %v\ngot  %s\nwant %s\ndenied %s, want %s", name, err, got, tc.want, denied, tc.denied)
		}
	}
	l.proxy.Reset(under("/apis/batch/", faultproxy.Status(500, nil, nil)))
	if list, denied, err := l.client.Workloads(t.Context(), l.namespace); err == nil || list != nil || denied != nil {
		t.Errorf("when a list fails: %v, %s, %s", err, list, denied)
	}
}

func TestWorkloadsOfManyPages(t *testing.T) {
	l := newLab(t)
	const n = 501 // one more than a page
	jobs := batch.NewForConfigOrDie(testkube.RESTConfig(t)).CronJobs(l.namespace)
	var work sync.WaitGroup
	for some := range slices.Chunk(number(n), 50) {
		work.Go(func() {
			for _, name := range some {
				if _, err := jobs.Create(t.Context(), cronJob(name, once()), metav1.CreateOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	list, _, err := l.client.Workloads(t.Context(), l.namespace)
	if err != nil || len(list) != n {
		t.Errorf("%d workloads, %v; want %d", len(list), err, n)
	}
	if lists := len(namesIn(l.proxy.Requests(), http.MethodGet)); lists != 8 {
		t.Errorf("%d requests, want 8: one for each of 7 kinds, and one for the second page", lists)
	}
}

// Who may not list all kinds is told which; what no cluster has is not among them.
func TestWorkloadsWithFewRights(t *testing.T) {
	l := newLab(t)
	rule := rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"list"}}
	user := load(t, testkube.User(t, l.namespace, "lister-"+l.namespace, rule))
	l.store(t, deployment("web", 0, everywhere()))
	list, denied, err := connect(t, user, nil).Workloads(t.Context(), l.namespace)
	want := []string{"cronjobs.batch", "daemonsets.apps", "jobs.batch", "pods", "statefulsets.apps"}
	if err != nil || len(list) != 1 || !slices.Equal(denied, want) {
		t.Errorf("%v, %s, denied %s", err, list, denied)
	}

	const forbidden = "/apis/argoproj.io/v1alpha1/namespaces/"
	for name, tc := range map[string]struct {
		discovery faultproxy.Action
		want      []string
	}{
		"another kind of the group": {faultproxy.Status(200, asJSON, []byte(`{"kind":"APIResourceList","apiVersion":"v1","resources":[{"name":"workflows"}]}`)), nil},
		"it is there":               {faultproxy.Status(200, asJSON, []byte(`{"kind":"APIResourceList","apiVersion":"v1","resources":[{"name":"rollouts"}]}`)), []string{"rollouts.argoproj.io"}},
		"nobody can tell":           {faultproxy.Status(500, nil, nil), []string{"rollouts.argoproj.io"}},
	} {
		l.proxy.Reset(under(forbidden, faultproxy.Status(403, nil, nil)), under("/apis/argoproj.io/v1alpha1", tc.discovery))
		if _, denied, err := l.another(t).Workloads(t.Context(), l.namespace); err != nil || !slices.Equal(denied, tc.want) {
			t.Errorf("%s: %v, denied %s, want %s", name, err, denied, tc.want)
		}
	}
}

func TestPods(t *testing.T) {
	l := newLab(t)
	l.store(t, statefulSet("db", 2, once()))
	l.store(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "bare"}, Spec: nowhere(once()).Spec})
	var got []string
	until(t, "all Pods are as they are going to be", func() bool {
		pods, err := l.client.Pods(t.Context(), l.namespace)
		got = nil
		for _, p := range pods {
			got = append(got, fmt.Sprint(p, " ", p.Phase, " ", p.Ready, " ", p.Owner, " ", secrets(p)))
		}
		return err != nil || slices.Equal(got, []string{
			"pod/bare Pending false  [secret-a]", "pod/db-0 Running true StatefulSet/db [secret-a]", "pod/db-1 Running true StatefulSet/db [secret-a]",
		})
	})
	if t.Failed() {
		t.Errorf("got %q", got)
	}
}

func TestGetWorkload(t *testing.T) {
	l := newLab(t)
	w := l.store(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: nowhere(everywhere()).Spec})
	if w.Kind != workload.Pod || w.Name != "web" || len(w.References()) != references {
		t.Errorf("got %+v", w)
	}
	if j := l.store(t, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: ending(nowhere(everywhere()))}); j.Kind != workload.Job {
		t.Errorf("got %+v", j)
	}
	_, err := l.client.GetWorkload(t.Context(), workload.Deployment, l.namespace, "web")
	says(t, explained(t, cluster.Result{Err: err}), `deployments.apps "web" not found`, "")
	for body, want := range map[string]string{
		`{"kind":"Rollout","apiVersion":"argoproj.io/v1alpha1","metadata":{"name":"web"},"spec":{"template":{}}}`:     "",
		`{"kind":"Rollout","apiVersion":"argoproj.io/v1alpha1","metadata":{"name":"web"},"spec":{"template":"none"}}`: "its pod template cannot be read",
	} {
		l.proxy.Reset(under("/apis/argoproj.io/", faultproxy.Status(200, asJSON, []byte(body))))
		got, err := l.client.GetWorkload(t.Context(), workload.Rollout, l.namespace, "web")
		if want == "" && (err != nil || got.String() != "rollout/web") || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s: %s, %v", body, got, err)
		}
	}
	if _, err := l.client.GetWorkload(t.Context(), "Secret", l.namespace, "web"); err == nil {
		t.Error("a Secret is a workload")
	}
}

// The users of many namespaces are listed together, and those that are not wanted are left
// out; a group that no cluster has is not asked for.
func TestUsersOfManyNamespaces(t *testing.T) {
	all, namespaces := labs(t, 5)
	l := all[0]
	l.store(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "made", OwnerReferences: owned("ReplicaSet", true)}, Spec: nowhere(everywhere()).Spec})
	users, err := l.client.Users(t.Context(), namespaces, func(w workload.Workload) bool { return w.Kind != workload.StatefulSet })
	if err != nil {
		t.Fatal(err)
	}
	for i, namespace := range namespaces {
		want := "[deployment/web]"
		if i == 0 {
			want = "[deployment/web pod/made]"
		}
		if got := users[namespace]; fmt.Sprint(got.Workloads) != want || got.Denied != nil {
			t.Errorf("%s of %d, want %s", got.Workloads, i, want)
		}
	}
	if n := len(l.proxy.Requests()); n > 20 {
		t.Errorf("%d requests for %d namespaces", n, len(namespaces))
	}
}
