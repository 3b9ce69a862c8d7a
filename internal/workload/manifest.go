// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

// Behind is one place where the manifest of a workload is behind the cluster: who applies
// it again goes back to an older generation, or gets a conflict.
type Behind struct {
	Source   string // how we know: an annotation, or the field manager that applied it
	Where    string // as Reference.Where
	Old, New string // the change to make there
}

// Next gives the generation that is to be used instead of an older one; empty for
// every other name.
type Next func(name string) string

// Behind lists where the manifest is behind, each place once.
func (w Workload) Behind(next Next) []Behind {
	list := w.lastApplied(next)
	add := func(b Behind) {
		if !slices.ContainsFunc(list, func(have Behind) bool { return have.Where == b.Where && have.Old == b.Old }) {
			list = append(list, b)
		}
	}
	for _, e := range w.ManagedFields {
		if !foreignApply(e) {
			continue
		}
		owns := w.owned(e)
		for _, r := range w.References() {
			if field, _ := owns(r); field && next(r.Secret) != "" {
				add(Behind{"field manager " + e.Manager, r.Where, r.Secret, next(r.Secret)})
			}
		}
	}
	overrides, _ := w.Overrides() // what is not ours to read tells nothing
	for _, o := range overrides {
		if to := next(o.Secret); to != "" {
			add(Behind{"field manager " + o.Manager, o.Where, o.Secret, to})
		}
	}
	return list
}

// lastApplied reads the manifest that a client-side kubectl apply leaves behind.
func (w Workload) lastApplied(next Next) (list []Behind) {
	var template corev1.PodTemplateSpec
	part := json.RawMessage(w.Annotations[corev1.LastAppliedConfigAnnotation])
	for _, field := range steps(w.Kind.pointer()) {
		var object map[string]json.RawMessage
		if json.Unmarshal(part, &object) != nil {
			return nil // there is none, or kubectl apply could not use it either
		}
		part = object[field]
	}
	if json.Unmarshal(part, &template) != nil {
		return nil
	}
	for _, r := range References(&template) {
		if to := next(r.Secret); to != "" && to != r.Secret {
			list = append(list, Behind{"annotation " + corev1.LastAppliedConfigAnnotation, r.Where, r.Secret, to})
		}
	}
	return list
}

// owned gives a judge of references: whether a field manager owns the reference
// itself, and whether it owns the innermost named item (volume, container,
// variable) that the reference is in.
func (w Workload) owned(e metav1.ManagedFieldsEntry) func(Reference) (field, item bool) {
	fields := w.fields(e)
	template, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&w.Template)
	if err != nil {
		panic("a pod template always has a JSON form: " + err.Error())
	}
	return func(r Reference) (bool, bool) { return follow(fields, keys(template, r.Pointer)) }
}

// fields gives what a field manager owns of the pod template.
func (w Workload) fields(e metav1.ManagedFieldsEntry) (fields map[string]any) {
	if e.FieldsV1 == nil || json.Unmarshal(e.FieldsV1.GetRawBytes(), &fields) != nil {
		return nil
	}
	for _, field := range steps(w.Kind.pointer()) {
		fields, _ = fields["f:"+field].(map[string]any)
	}
	return fields
}

// key is one step in the fields of a field manager: the name of a field, or of
// an item in a list.
type key struct {
	name string
	item bool
}

// keys turns a pointer, which goes by numbers, into a way by names. An item
// without a name is in a list that has its owners as a whole.
func keys(at any, pointer string) (way []key) {
	for _, step := range steps(pointer) {
		if object, ok := at.(map[string]any); ok {
			at = object[step]
			way = append(way, key{name: step})
			continue
		}
		i, _ := strconv.Atoi(step) // of our own making
		at = at.([]any)[i]
		if name, ok := at.(map[string]any)["name"].(string); ok {
			way = append(way, key{name, true})
		}
	}
	return way
}

// follow goes a way through fields. A field with nothing below it is owned whole.
func follow(fields map[string]any, way []key) (field, item bool) {
	for i, k := range way {
		next, found := below(fields, k)
		if !found {
			return false, !slices.ContainsFunc(way[i:], func(k key) bool { return k.item })
		}
		if len(next) == 0 {
			break
		}
		fields = next
	}
	return true, true
}

func below(fields map[string]any, k key) (map[string]any, bool) {
	if !k.item {
		next, found := fields["f:"+k.name].(map[string]any)
		return next, found
	}
	for text, next := range fields {
		var item struct{ Name string }
		selector, isItem := strings.CutPrefix(text, "k:")
		if isItem && json.Unmarshal([]byte(selector), &item) == nil && item.Name == k.name {
			next, found := next.(map[string]any)
			return next, found
		}
	}
	return nil, false
}

// steps splits a JSON pointer. None of ours has a character to unescape.
func steps(pointer string) []string {
	return strings.FieldsFunc(pointer, func(r rune) bool { return r == '/' })
}

// Override is a reference that rollout changed while a field manager's manifest set it:
// whoever applies that manifest goes back to the Secret. The annotation
// manifest.AnnotationManifest of a workload is a JSON list of them.
type Override struct {
	Manager string `json:"manager"` // empty: it is not known
	Where   string `json:"where"`   // as Reference.Where
	Secret  string `json:"secret"`
}

// Overrides reads the annotation, and gives the entries whose manifest may still name
// the Secret. One of a manager that is not known, or that applies nothing, always may.
func (w Workload) Overrides() ([]Override, error) {
	text, has := w.Annotations[manifest.AnnotationManifest]
	if !has {
		return nil, nil
	}
	var list []Override
	err := json.Unmarshal([]byte(text), &list)
	return slices.DeleteFunc(list, w.caughtUp), err
}

// caughtUp says that a manager has applied another manifest since rollout recorded the
// override: it owns the reference as it is now, or has no longer what the reference was in.
func (w Workload) caughtUp(o Override) bool {
	for _, e := range w.ManagedFields {
		if e.Manager != o.Manager || e.Operation != metav1.ManagedFieldsOperationApply || e.Subresource != "" {
			continue
		}
		if w.afterOurs(e) {
			return true
		}
		hasItem, _ := follow(w.fields(e), item(o.Where))
		return !hasItem || slices.ContainsFunc(w.References(), func(r Reference) bool {
			field, _ := w.owned(e)(r)
			return r.Where == o.Where && field
		})
	}
	return false
}

// afterOurs says that a manager applied later than we last changed the workload.
func (w Workload) afterOurs(e metav1.ManagedFieldsEntry) bool {
	ours := false
	for _, our := range w.ManagedFields {
		if our.Manager != manifest.FieldManager || our.Subresource != "" {
			continue
		}
		if e.Time == nil || our.Time == nil || !our.Time.Before(e.Time) {
			return false
		}
		ours = true
	}
	return ours
}

// item turns a place, as Reference.Where has it, into the way to the innermost named
// item there: a volume, a container or a variable. Other places are in the spec itself.
func item(where string) []key {
	what, in, _ := strings.Cut(where, ", ")
	for kind, list := range map[string]string{"volume ": "volumes", "init container ": "initContainers", "container ": "containers", "ephemeral container ": "ephemeralContainers"} {
		name, ok := strings.CutPrefix(what, kind)
		if !ok {
			continue
		}
		way := []key{{name: "spec"}, {name: list}, {name, true}}
		if variable, ok := strings.CutPrefix(in, "env "); ok {
			way = append(way, key{name: "env"}, key{variable, true})
		}
		return way
	}
	return []key{{name: "spec"}}
}
