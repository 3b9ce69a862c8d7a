// SPDX-License-Identifier: Apache-2.0

// Package usage finds what refers to Secrets by name, and says of each reference
// what it stands for. Live objects go in one at a time, in the form that any kind
// has (unstructured); what Classify needs of them comes out, and in the end
// findings. It is pure: it makes no requests, and knows names of Secrets but
// nothing of what is in them.
//
// A finding too many keeps a Secret alive; one too few breaks a pod. In the kinds
// that every API server has, the fields that refer to a Secret are known, and only
// they are uses. In a custom resource any equal string is one. Elsewhere a name
// may be mentioned, and a mention can be ignored, which a use cannot.
package usage

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

// Hit is one place of an object that names a Secret.
type Hit struct {
	Secret string
	Path   string // as .spec.volumes[0].secret.secretName
	Class  Class  // Use, Manifest or Mention
	// In is what the path begins in: an annotation, a field manager's manifest, an
	// object of a Helm release; empty: the object itself.
	In string
}

// Find gives every place of an object that names a wanted Secret, in a fixed order.
func Find(obj *unstructured.Unstructured, names func(string) bool) []Hit {
	f := finder{names}
	var hits []Hit
	if isRelease(obj) {
		hits = f.release(obj)
	} else {
		hits = f.object(obj)
		hits = append(hits, f.manifests(obj, hits)...)
	}
	slices.SortFunc(hits, func(a, b Hit) int {
		return cmp.Or(strings.Compare(a.In, b.In), strings.Compare(a.Path, b.Path), cmp.Compare(a.Class, b.Class), strings.Compare(a.Secret, b.Secret))
	})
	return hits
}

// finder looks for wanted names.
type finder struct{ names func(string) bool }

// object gives the hits of an object but for those of the manifests that its
// annotations hold.
func (f finder) object(obj *unstructured.Unstructured) []Hit {
	kind := groupKind(obj)
	switch {
	case isReport(kind):
		return nil
	case kind == controllerRevision:
		return under(".data", f.value(place{how: builtIn}, obj.Object["data"]))
	case kind == secret:
		return f.fields(builtIn, "", map[string]any{"metadata": content(obj.Object)["metadata"]})
	case kind.Kind != "" && scheme.Scheme.IsGroupRegistered(kind.Group):
		return f.fields(builtIn, "", content(obj.Object))
	default:
		status := f.value(place{how: state}, obj.Object["status"])
		return append(f.fields(custom, "", content(obj.Object)), under(".status", status)...)
	}
}

// isReport says of a kind that its objects tell of others and use nothing.
func isReport(kind schema.GroupKind) bool {
	return kind.Kind == "Event" && (kind.Group == "" || kind.Group == "events.k8s.io") || kind.Group == "metrics.k8s.io"
}

// content is an object without what identifies it, its status, and the annotations that
// are manifests.
func content(object map[string]any) map[string]any {
	object = without(object, "apiVersion", "kind", "status")
	metadata, _ := object["metadata"].(map[string]any)
	object["metadata"] = without(metadata, "name", "generateName", "namespace", "uid", "managedFields")
	annotations, ok := metadata["annotations"].(map[string]any)
	if ok {
		object["metadata"].(map[string]any)["annotations"] = without(annotations, LastApplied, KappOriginal, manifest.AnnotationManifest)
	}
	return object
}

// without gives a copy of an object without some of its keys; of none an empty one.
func without(object map[string]any, keys ...string) map[string]any {
	rest := map[string]any{}
	for key, value := range object {
		if !slices.Contains(keys, key) {
			rest[key] = value
		}
	}
	return rest
}

// value gives the hits in a value. Paths are made on the way back only, as nearly no
// value is a hit.
func (f finder) value(p place, v any) (hits []Hit) {
	switch v := v.(type) {
	case string:
		return f.text(p, v)
	case []any:
		for i, element := range v {
			hits = append(hits, under("["+strconv.Itoa(i)+"]", f.value(p, element))...)
		}
	case map[string]any:
		return f.fields(p.how, p.key, v)
	}
	return hits
}

// fields gives the hits in an object that stands under the key parent, perhaps in lists.
func (f finder) fields(how reading, parent string, object map[string]any) (hits []Hit) {
	for key, v := range object {
		p := place{how, parent, key, object}
		p.how = p.inner()
		if p.how == nothing {
			continue
		}
		found := f.value(p, v)
		if how == free || how == custom {
			found = append(found, f.mentions(key)...)
		}
		if len(found) > 0 {
			hits = append(hits, under(child(key), found)...)
		}
	}
	return hits
}

// text gives the hits in a string.
func (f finder) text(p place, text string) []Hit {
	if p.how == free && p.parent == "binaryData" {
		text = decoded(text)
	}
	switch p.leaf() {
	case reference:
		return f.equal(Use, text)
	case anything:
		if hits := f.equal(Use, text); hits != nil {
			return hits
		}
		return f.mentions(text)
	case mention:
		return f.mentions(text)
	default:
		return nil
	}
}

func (f finder) equal(class Class, text string) []Hit {
	if !f.names(text) {
		return nil
	}
	return []Hit{{Secret: text, Class: class}}
}

func (f finder) mentions(text string) (hits []Hit) {
	for _, name := range mentioned(text, f.names) {
		hits = append(hits, Hit{Secret: name, Class: Mention})
	}
	return hits
}

// under puts a step before the paths of hits.
func under(step string, hits []Hit) []Hit {
	for i := range hits {
		hits[i].Path = step + hits[i].Path
	}
	return hits
}

var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// child is the step of a path to a key, which in a custom resource may be any text.
func child(key string) string {
	if plainKey.MatchString(key) {
		return "." + key
	}
	return "['" + plain(key) + "']"
}

// plain keeps control characters from a terminal.
func plain(text string) string {
	quoted := strconv.Quote(text)
	return quoted[1 : len(quoted)-1]
}
