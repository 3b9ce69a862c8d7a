// SPDX-License-Identifier: Apache-2.0

// Package usage finds what still refers to Secrets by name, and says of each
// reference what it stands for. Live objects go in one at a time, in the form
// that any kind has (unstructured); what Classify needs of them comes out, and
// in the end findings, each either hard (something may read the Secret) or
// history (only a way back does). It is pure: it dials nobody, and knows names
// of Secrets but nothing of what is in them.
//
// A finding too many keeps a Secret alive, and for ever where it is a volume that is
// called like its Secret; one too few breaks a pod. So a string that merely looks like a
// name counts, wherever it stands, but for what something else is called, labelled or
// picked by. Not seen are names that are part of a longer text, and keys of maps: a name
// is a value in every reference that Kubernetes itself knows.
package usage

import (
	"cmp"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// LastApplied is the annotation in which `kubectl apply` keeps the manifest.
const LastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Hit is one place of an object that names a Secret.
type Hit struct {
	Secret     string
	Path       string // as .spec.volumes[0].secret.secretName; into a JSON annotation it does not go
	Annotation string // the key of the annotation that holds it; empty: none does
}

// Find gives every string value of an object that is a wanted name, and every
// annotation, of the object or of a template in it, whose value is a JSON object
// or array that holds such a string at any depth. What an object is itself
// called is no reference, nor is what managedFields tell. Of a
// ControllerRevision only the data counts: its annotations are copies that its
// controller makes and nobody applies again.
func Find(obj *unstructured.Unstructured, names func(string) bool) []Hit {
	root := content(obj.Object)
	if groupKind(obj) == controllerRevision {
		root = map[string]any{"data": obj.Object["data"]}
	}
	hits := find("", root, names)
	slices.SortFunc(hits, func(a, b Hit) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Secret, b.Secret))
	})
	return hits
}

// content is an object without what it says of itself.
func content(object map[string]any) map[string]any {
	object = maps.Clone(object)
	delete(object, "apiVersion")
	delete(object, "kind")
	if metadata, ok := object["metadata"].(map[string]any); ok {
		metadata = maps.Clone(metadata)
		for _, key := range []string{"name", "namespace", "uid", "managedFields"} {
			delete(metadata, key)
		}
		object["metadata"] = metadata
	}
	return object
}

// find gives hits with paths that begin at v, which stands under the key parent, perhaps
// in a list; paths are made on the way back only, as nearly no value is a hit.
func find(parent string, v any, names func(string) bool) (hits []Hit) {
	switch v := v.(type) {
	case string:
		if names(v) {
			return []Hit{{Secret: v}}
		}
	case []any:
		for i, element := range v {
			for _, hit := range find(parent, element, names) {
				hits = append(hits, hit.under("["+strconv.Itoa(i)+"]"))
			}
		}
	case map[string]any:
		for key, element := range v {
			if refersToNothing(parent, key, v) {
				continue
			}
			found := find(key, element, names)
			if annotations, ok := element.(map[string]any); ok && key == "annotations" {
				found = findAnnotations(annotations, names)
			}
			for _, hit := range found {
				hits = append(hits, hit.under(child(key)))
			}
		}
	}
	return hits
}

// pickers are the keys of what objects are labelled with and picked by, and of owners,
// which are of the same namespace and go when their owner goes.
var pickers = map[string]bool{
	"labels": true, "matchLabels": true, "matchExpressions": true, "selector": true, "labelSelector": true, "nodeSelector": true, "ownerReferences": true,
}

// textual are the keys whose text is the name of an image, a Service or a host.
var textual = map[string]bool{"image": true, "serviceName": true, "subdomain": true, "hostname": true}

// called says, by the key above, beside which other keys a name is what that thing itself
// is called. A volume has its source beside it, whatever that is.
var called = map[string][]string{
	"volumeMounts": {"mountPath"}, "volumeDevices": {"devicePath"},
	"containers": {"image"}, "initContainers": {"image"}, "ephemeralContainers": {"image"},
	"containerStatuses": {"image"}, "initContainerStatuses": {"image"}, "ephemeralContainerStatuses": {"image"},
	"ports": {"port", "containerPort"}, "service": {"port"}, "env": {"value", "valueFrom"},
}

// refersToNothing says of a key of an object that its value is what something is called,
// labelled or picked by.
func refersToNothing(parent, key string, object map[string]any) bool {
	_, isText := object[key].(string)
	switch {
	case pickers[key]:
		return !isText // a custom resource may pick a Secret by its name
	case textual[key]:
		return isText
	case key != "name" || !isText:
		return false
	case parent == "volumes":
		return len(object) > 1
	default:
		return slices.ContainsFunc(called[parent], func(other string) bool { _, has := object[other]; return has })
	}
}

// findAnnotations gives one hit for each name that an annotation holds.
func findAnnotations(annotations map[string]any, names func(string) bool) (hits []Hit) {
	for key, value := range annotations {
		found := find(key, value, names)
		if text, ok := value.(string); ok {
			found = append(found, find("", parse(key, text), names)...)
		}
		seen := map[string]bool{}
		for _, hit := range found {
			if !seen[hit.Secret] {
				hits = append(hits, Hit{Secret: hit.Secret, Path: child(key), Annotation: key})
			}
			seen[hit.Secret] = true
		}
	}
	return hits
}

// parse gives the value of an annotation that is a JSON object or array; nil for
// every other. A manifest is read as the object that it is.
func parse(key, text string) (value any) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[") || json.Unmarshal([]byte(text), &value) != nil {
		return nil
	}
	if object, ok := value.(map[string]any); ok && key == LastApplied {
		return content(object)
	}
	return value
}

func (h Hit) under(parent string) Hit {
	h.Path = parent + h.Path
	return h
}

var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// child is the step of a path to a key. Quote keeps control characters, which a
// key of a custom resource may have, from a terminal.
func child(key string) string {
	if plainKey.MatchString(key) {
		return "." + key
	}
	quoted := strconv.Quote(key)
	return "['" + quoted[1:len(quoted)-1] + "']"
}
