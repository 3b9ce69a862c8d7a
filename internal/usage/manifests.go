// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"encoding/json"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// The annotations in which a program keeps the manifest that it applied last.
const (
	LastApplied  = "kubectl.kubernetes.io/last-applied-configuration"
	KappOriginal = "kapp.k14s.io/original"
)

// manifests gives the hits in the manifests of an object that itself has the hits own.
// A ReplicaSet has copies of its owner's annotations, which nobody applies again.
func (f finder) manifests(obj *unstructured.Unstructured, own []Hit) (hits []Hit) {
	kind := groupKind(obj)
	if kind == controllerRevision || kind == replicaSet && ownerOf(obj).object != "" {
		return nil
	}
	for _, key := range []string{LastApplied, KappOriginal} {
		if text, _, _ := unstructured.NestedString(obj.Object, "metadata", "annotations", key); text != "" {
			hits = append(hits, in("annotation "+key, f.applied(text, own))...)
		}
	}
	return append(hits, f.overrides(obj)...)
}

// applied gives the hits in the text of a manifest. A mention that the live object has
// as well counts there.
func (f finder) applied(text string, own []Hit) []Hit {
	obj := &unstructured.Unstructured{}
	if json.Unmarshal([]byte(text), &obj.Object) != nil {
		return f.mentions(text)
	}
	return slices.DeleteFunc(asManifest(f.object(obj)), func(h Hit) bool {
		return h.Class == Mention && slices.Contains(own, h)
	})
}

// asManifest turns the uses of an object that is not live into those of its manifest.
func asManifest(hits []Hit) []Hit {
	for i := range hits {
		if hits[i].Class == Use {
			hits[i].Class = Manifest
		}
	}
	return hits
}

// in says what the paths of hits begin in.
func in(what string, hits []Hit) []Hit {
	for i := range hits {
		hits[i].In = plain(what)
	}
	return hits
}

// overrides gives the references that rollout changed while the manifest of a field
// manager still has the older Secret.
func (f finder) overrides(obj *unstructured.Unstructured) (hits []Hit) {
	text, _, _ := unstructured.NestedString(obj.Object, "metadata", "annotations", manifest.AnnotationManifest)
	typed := patchable(groupKind(obj))
	if text == "" || typed == nil {
		return nil
	}
	var list []workload.Override
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, typed)
	if w, ok := workload.Of(typed); ok && err == nil {
		list, err = w.Overrides()
	}
	if err != nil {
		return in("annotation "+manifest.AnnotationManifest, f.mentions(text))
	}
	for _, o := range list {
		if f.names(o.Secret) {
			hits = append(hits, in(source(o), []Hit{{Secret: o.Secret, Path: plain(o.Where), Class: Manifest}})...)
		}
	}
	return hits
}

func source(o workload.Override) string {
	if o.Manager == "" {
		return "annotation " + manifest.AnnotationManifest
	}
	return "field manager " + o.Manager
}

// patchable gives an empty object of a kind whose pod template rollout changes; nil: it is none.
func patchable(kind schema.GroupKind) runtime.Object {
	switch kind {
	case deployment:
		return &appsv1.Deployment{}
	case statefulSet:
		return &appsv1.StatefulSet{}
	case daemonSet:
		return &appsv1.DaemonSet{}
	case cronJob:
		return &batchv1.CronJob{}
	default:
		return nil
	}
}
