// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

func object(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: "shop", Name: name, UID: "uid-of-x", Labels: map[string]string{"l": "1"}, Annotations: map[string]string{"a": "2"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
	}
}

func ownedBy(kind, name string) []metav1.OwnerReference {
	controls := true
	return []metav1.OwnerReference{{Kind: "Thing", Name: "other"}, {Kind: kind, Name: name, Controller: &controls}}
}

// each gives one object of each kind, with the same template.
func each(t *testing.T, template corev1.PodTemplateSpec) map[Kind]runtime.Object {
	t.Helper()
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&template)
	if err != nil {
		t.Fatal(err)
	}
	rollout := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"template": raw}}}
	rollout.SetAPIVersion("argoproj.io/v1alpha1")
	rollout.SetKind("Rollout")
	meta := object("web")
	rollout.SetNamespace(meta.Namespace)
	rollout.SetName(meta.Name)
	rollout.SetUID(meta.UID)
	rollout.SetLabels(meta.Labels)
	rollout.SetAnnotations(meta.Annotations)
	rollout.SetManagedFields(meta.ManagedFields)
	cron := &batchv1.CronJob{ObjectMeta: meta}
	cron.Spec.JobTemplate.Spec.Template = template
	return map[Kind]runtime.Object{
		Deployment:  &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Template: template}},
		StatefulSet: &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Template: template}},
		DaemonSet:   &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Template: template}},
		CronJob:     cron,
		Job:         &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Template: template}},
		Pod:         &corev1.Pod{ObjectMeta: meta, Spec: template.Spec},
		Rollout:     rollout,
	}
}

func TestOfReadsEveryKindAlike(t *testing.T) {
	template := everywhere()
	patchable := 0
	for kind, o := range each(t, template) {
		w, ok := Of(o)
		if !ok || w.Kind != kind || w.Namespace != "shop" || w.Name != "web" || w.UID != "uid-of-x" || w.Labels["l"] != "1" || w.Annotations["a"] != "2" {
			t.Errorf("%s: %v, %+v", kind, ok, w)
		}
		if got, want := len(w.References()), len(References(&template)); got != want {
			t.Errorf("%s: %d references, want %d", kind, got, want)
		}
		if (len(w.ManagedFields) == 1) != (kind != Pod) || w.Owner != "" || w.Finished {
			t.Errorf("%s: %+v", kind, w)
		}
		if kind.Patchable() {
			patchable++
		} else if w.Progress().State != Manual {
			t.Errorf("%s: %+v", kind, w.Progress())
		}
	}
	if patchable != 4 {
		t.Errorf("%d patchable kinds", patchable)
	}
	if w, _ := Of(each(t, template)[CronJob]); w.String() != "cronjob/web" {
		t.Errorf("called %s", w)
	}
}

func TestOfWhatIsNone(t *testing.T) {
	broken := each(t, corev1.PodTemplateSpec{})[Rollout].(*unstructured.Unstructured)
	broken.Object["spec"] = map[string]any{"template": map[string]any{"spec": map[string]any{"containers": "none"}}}
	if w, ok := Of(broken); ok || w.String() != "rollout/web" {
		t.Errorf("a Rollout with a broken template: %v, %s", ok, w)
	}
	broken.Object["spec"] = map[string]any{"template": "none"}
	if _, ok := Of(broken); ok {
		t.Error("a Rollout whose template is none passes")
	}
	broken.Object["spec"] = map[string]any{"workloadRef": map[string]any{"kind": "Deployment", "name": "web"}}
	if w, ok := Of(broken); !ok || w.References() != nil {
		t.Errorf("a Rollout with a workloadRef: %v, %+v", ok, w)
	}
	for _, apiVersion := range []string{"example.com/v1", "apps/v1"} {
		broken.SetAPIVersion(apiVersion)
		if _, ok := Of(broken); ok {
			t.Errorf("a Rollout of %s passes", apiVersion)
		}
	}
	if _, ok := Of(&corev1.Secret{}); ok {
		t.Error("a Secret passes")
	}
}

func TestOfPodsAndJobs(t *testing.T) {
	for _, tc := range []struct {
		name            string
		object          runtime.Object
		owner, phase    string
		ready, finished bool
	}{
		{name: "running pod", object: &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{OwnerReferences: ownedBy("ReplicaSet", "web-1")},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{
				{Type: corev1.PodReady, Status: corev1.ConditionTrue}, {Type: corev1.PodScheduled, Status: corev1.ConditionFalse}}},
		}, owner: "ReplicaSet/web-1", phase: "Running", ready: true},
		{name: "pod that is not ready", object: &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionFalse}, {Type: corev1.PodScheduled, Status: corev1.ConditionTrue}}}}, phase: "Running"},
		{name: "pending pod", object: &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending}}, phase: "Pending"},
		{name: "succeeded pod", object: &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodSucceeded}}, phase: "Succeeded", finished: true},
		{name: "failed pod", object: &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed}}, phase: "Failed", finished: true},
		{name: "job of a cron job", object: &batchv1.Job{ObjectMeta: metav1.ObjectMeta{OwnerReferences: ownedBy("CronJob", "nightly")}}, owner: "CronJob/nightly"},
		{name: "complete job", object: job(batchv1.JobComplete, corev1.ConditionTrue), finished: true},
		{name: "failed job", object: job(batchv1.JobFailed, corev1.ConditionTrue), finished: true},
		{name: "job that did not fail", object: job(batchv1.JobFailed, corev1.ConditionFalse)},
		{name: "suspended job", object: job(batchv1.JobSuspended, corev1.ConditionTrue)},
	} {
		w, ok := Of(tc.object)
		if !ok || w.Owner != tc.owner || w.Phase != tc.phase || w.Ready != tc.ready || w.Finished != tc.finished {
			t.Errorf("%s: %v, %+v", tc.name, ok, w)
		}
		if (w.Progress().State == Done) != tc.finished {
			t.Errorf("%s: %+v", tc.name, w.Progress())
		}
	}
}

func job(condition batchv1.JobConditionType, status corev1.ConditionStatus) *batchv1.Job {
	return &batchv1.Job{Status: batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: condition, Status: status}}}}
}
