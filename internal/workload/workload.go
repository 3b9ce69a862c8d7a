// SPDX-License-Identifier: Apache-2.0

// Package workload knows what runs Pods: in goes an object of the API, out come
// the Secrets that its pod template refers to, the patch that points them
// elsewhere, who else keeps the manifest, and how far its rollout is. It is pure:
// no plaintext type, no key, no network.
package workload

import (
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kind is a kind of workload.
type Kind string

// The kinds of workloads.
const (
	Deployment  Kind = "Deployment"
	StatefulSet Kind = "StatefulSet"
	DaemonSet   Kind = "DaemonSet"
	CronJob     Kind = "CronJob"
	Job         Kind = "Job"     // the template of one that is there cannot change
	Pod         Kind = "Pod"     // nor can that of a Pod
	Rollout     Kind = "Rollout" // of Argo Rollouts, which has rollouts of its own kind
)

// Rollouts is where the API server keeps the Rollouts of Argo Rollouts.
var Rollouts = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}

// Patchable says that the pod template of such a workload can be changed from here.
func (k Kind) Patchable() bool {
	return k == Deployment || k == StatefulSet || k == DaemonSet || k == CronJob
}

// pointer is where such a workload has its pod template. A Pod is one itself.
func (k Kind) pointer() string {
	switch k {
	case CronJob:
		return "/spec/jobTemplate/spec/template"
	case Pod:
		return ""
	default:
		return "/spec/template"
	}
}

// Workload is a live object that runs Pods.
type Workload struct {
	Kind                 Kind
	Namespace, Name, UID string
	Generation           int64
	ResourceVersion      string
	Labels, Annotations  map[string]string
	ManagedFields        []metav1.ManagedFieldsEntry // not of Pods
	Template             corev1.PodTemplateSpec
	Owner                string // its controller, as ReplicaSet/web-5d9c; empty if it has none
	OwnerVersion         string // the apiVersion of its controller
	Phase                string // of a Pod
	Ready                bool   // of a Pod
	Finished             bool   // of a Pod or a Job: it never runs again
	// GaveUp is when a Deployment last exceeded its progress deadline. It stays in
	// its status for a moment after the next change of its template.
	GaveUp time.Time
	// Patience is how long its rollout may stand still before it counts as failed: by its
	// own progressDeadlineSeconds where it has them. Pause is how long one pod may take by
	// its settings alone: to end, and to count as available.
	Patience, Pause time.Duration
	progress        Progress
	Raw             runtime.Object // the object itself, of one that was got or patched
}

// String gives the workload as kubectl writes it: deployment/web.
func (w Workload) String() string { return strings.ToLower(string(w.Kind)) + "/" + w.Name }

// Object gives the workload with its group, as kubectl writes what it prints: deployment.apps/web.
func (w Workload) Object() string {
	kind := strings.ToLower(string(w.Kind))
	switch w.Kind {
	case Deployment, StatefulSet, DaemonSet:
		kind += ".apps"
	case CronJob, Job:
		kind += ".batch"
	case Rollout:
		kind += "." + Rollouts.Group
	}
	return kind + "/" + w.Name
}

// GroupVersion gives the API version of the workload's kind.
func (k Kind) GroupVersion() schema.GroupVersion {
	switch k {
	case CronJob, Job:
		return batchv1.SchemeGroupVersion
	case Pod:
		return corev1.SchemeGroupVersion
	case Rollout:
		return Rollouts.GroupVersion()
	default:
		return appsv1.SchemeGroupVersion
	}
}

// Of makes a Workload of an object; false: it is none, or no pod template can be
// read from it.
func Of(obj runtime.Object) (Workload, bool) {
	switch o := obj.(type) {
	case *appsv1.Deployment:
		w := of(Deployment, o, o.Spec.Template, deployment(o))
		w.GaveUp = exceeded(o)
		if limit := o.Spec.ProgressDeadlineSeconds; limit != nil {
			w.Patience = seconds(*limit) + deadlineMargin
		}
		w.Pause += seconds(o.Spec.MinReadySeconds)
		return w, true
	case *appsv1.StatefulSet:
		w := of(StatefulSet, o, o.Spec.Template, statefulSet(o))
		w.Pause += seconds(o.Spec.MinReadySeconds)
		return w, true
	case *appsv1.DaemonSet:
		w := of(DaemonSet, o, o.Spec.Template, daemonSet(o))
		w.Pause += seconds(o.Spec.MinReadySeconds)
		return w, true
	case *batchv1.CronJob:
		return of(CronJob, o, o.Spec.JobTemplate.Spec.Template, Progress{Done, "its next Job takes the change"}), true
	case *batchv1.Job:
		w := of(Job, o, o.Spec.Template, Progress{})
		w.Finished = finished(o)
		w.progress = fixed(w.Finished)
		return w, true
	case *corev1.Pod:
		return ofPod(o), true
	case *unstructured.Unstructured:
		return ofRollout(o)
	default:
		return Workload{}, false
	}
}

func of(kind Kind, o metav1.Object, template corev1.PodTemplateSpec, progress Progress) Workload {
	w := Workload{
		Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName(), UID: string(o.GetUID()),
		Generation: o.GetGeneration(), ResourceVersion: o.GetResourceVersion(), Patience: defaultPatience, Pause: grace(template),
		Labels: o.GetLabels(), Annotations: o.GetAnnotations(), ManagedFields: o.GetManagedFields(),
		Template: template, progress: progress,
	}
	if owner := metav1.GetControllerOf(o); owner != nil {
		w.Owner, w.OwnerVersion = owner.Kind+"/"+owner.Name, owner.APIVersion
	}
	return w
}

const (
	defaultPatience = 10 * time.Minute // progressDeadlineSeconds of a Deployment that says nothing
	deadlineMargin  = 30 * time.Second // the controller itself is the first to give up
	defaultGrace    = 30 * time.Second // terminationGracePeriodSeconds of a pod that says nothing
)

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

// grace is how long a pod may take to end.
func grace(template corev1.PodTemplateSpec) time.Duration {
	if limit := template.Spec.TerminationGracePeriodSeconds; limit != nil {
		return time.Duration(*limit) * time.Second
	}
	return defaultGrace
}

func ofPod(p *corev1.Pod) Workload {
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: p.Labels, Annotations: p.Annotations},
		Spec:       p.Spec,
	}
	w := of(Pod, p, template, Progress{})
	w.ManagedFields = nil // there are many Pods
	w.Phase = string(p.Status.Phase)
	w.Finished = p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	for _, c := range p.Status.Conditions {
		w.Ready = w.Ready || c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	}
	w.progress = fixed(w.Finished)
	return w
}

// ofRollout reads a Rollout. One without a template has a workloadRef, and its
// references are in the Deployment that this names.
func ofRollout(o *unstructured.Unstructured) (Workload, bool) {
	if o.GroupVersionKind().GroupKind() != (schema.GroupKind{Group: Rollouts.Group, Kind: string(Rollout)}) {
		return Workload{}, false
	}
	raw, found, err := unstructured.NestedMap(o.Object, "spec", "template")
	var template corev1.PodTemplateSpec
	if found && err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &template)
	}
	return of(Rollout, o, template, Progress{State: Manual, Text: "change its manifest: a Rollout is not patched from here"}), err == nil
}

func finished(j *batchv1.Job) bool {
	for _, c := range j.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}
