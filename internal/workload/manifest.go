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
	for _, record := range w.Recorded() {
		if to := next(record.Secret); to != "" {
			add(Behind{"field manager " + record.Manager, record.Where, record.Secret, to})
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
	var fields map[string]any
	if e.FieldsV1 == nil || json.Unmarshal(e.FieldsV1.GetRawBytes(), &fields) != nil {
		return func(Reference) (bool, bool) { return false, false }
	}
	for _, field := range steps(w.Kind.pointer()) {
		fields, _ = fields["f:"+field].(map[string]any)
	}
	template, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&w.Template)
	if err != nil {
		panic("a pod template always has a JSON form: " + err.Error())
	}
	return func(r Reference) (bool, bool) { return follow(fields, keys(template, r.Pointer)) }
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
