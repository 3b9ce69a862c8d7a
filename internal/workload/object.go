// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
)

// manifests are the kinds whose manifests have a pod template.
var manifests = map[schema.GroupKind]Kind{
	{Group: "apps", Kind: "Deployment"}: Deployment, {Group: "apps", Kind: "StatefulSet"}: StatefulSet, {Group: "apps", Kind: "DaemonSet"}: DaemonSet,
	{Group: "batch", Kind: "CronJob"}: CronJob, {Group: "batch", Kind: "Job"}: Job, {Kind: "Pod"}: Pod, {Group: Rollouts.Group, Kind: "Rollout"}: Rollout,
	{Group: "apps", Kind: "ReplicaSet"}: "ReplicaSet", {Kind: "ReplicationController"}: "ReplicationController",
}

// OfManifest makes a Workload of an object that is in a file. ok says that its kind has a
// pod template; the error, that this cannot be read.
func OfManifest(o *unstructured.Unstructured) (w Workload, ok bool, err error) {
	kind, ok := manifests[o.GroupVersionKind().GroupKind()]
	if !ok {
		return Workload{}, false, nil
	}
	w = Workload{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName(), Labels: o.GetLabels(), Annotations: o.GetAnnotations(), Raw: o}
	template, found, err := unstructured.NestedMap(o.Object, steps(kind.pointer())...)
	if kind == Pod {
		template, found, err = o.Object, true, nil
	}
	if err == nil && found {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(template, &w.Template)
	}
	switch {
	case err != nil:
		return w, true, errUnreadable // the cause quotes the manifest
	case !found || len(w.Template.Spec.Containers) == 0:
		return w, true, errNoTemplate
	}
	return w, true, nil
}

var (
	errUnreadable = errors.New("its pod template cannot be read")
	errNoTemplate = errors.New("it has no pod template with a container")
)

// Apply gives the workload as the wiring makes it, with its object.
func (f Fitting) Apply(w Workload) (Workload, error) {
	o := &unstructured.Unstructured{}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(w.Raw)
	if err != nil {
		return w, errUnreadable
	}
	o.Object = content
	if o.GetKind() == "" { // what the API's typed clients decode has none
		o.SetGroupVersionKind(w.Kind.GroupVersion().WithKind(string(w.Kind)))
	}
	if !f.Unchanged() {
		if err := patch(o, encode(f.steps)); err != nil {
			return w, err
		}
	}
	w.Raw = o
	return w, nil
}

func patch(o *unstructured.Unstructured, steps []byte) error {
	text, err := json.Marshal(o.Object)
	if err != nil {
		return errUnreadable
	}
	decoded, err := jsonpatch.DecodePatch(steps)
	if err == nil {
		text, err = decoded.Apply(text)
	}
	if err != nil {
		return fmt.Errorf("its manifest cannot take the change: %w", err)
	}
	return o.UnmarshalJSON(text)
}
