// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"encoding/json"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

// operation is one step of an RFC 6902 JSON Patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// Change is a change of the pod template of a workload w, made by one patch.
type Change interface {
	// Patch returns the JSON Patch. It applies only to the generation that w is of. It is
	// nil if nothing is to change.
	Patch(w Workload) []byte
	// Back returns the patch that undoes Patch.
	Back(w Workload) []byte
	// Compare says how the workload looks now, in a later state.
	Compare(w, now Workload) Sight
	// Stale says whether a later state is not the one that Patch was made for, by what it tests.
	Stale(w, now Workload) bool
	// Reverted says whether a workload that was patched is as before, and who made it so: the
	// field manager, "" if nobody is known.
	Reverted(now Workload) (reverted bool, manager string)
}

// Rename renames Secrets, old name to new, in all references of a workload.
type Rename map[string]string

// renaming is one reference that is renamed.
type renaming struct{ path, where, from, to string }

func (rename Rename) in(w Workload) (list []renaming) {
	for _, r := range w.References() {
		if to := rename[r.Secret]; to != "" && to != r.Secret {
			list = append(list, renaming{w.Kind.pointer() + r.Pointer, r.Where, r.Secret, to})
		}
	}
	return list
}

// Patch applies only where each reference is still what it was. What a server-side apply
// set it records in an annotation of the workload itself, as the apply loses these fields
// to the patch.
func (rename Rename) Patch(w Workload) []byte {
	list := rename.in(w)
	if len(list) == 0 {
		return nil
	}
	steps := []operation{{"test", "/metadata/generation", w.Generation}}
	return encode(append(append(steps, renames(list)...), w.recording(list)...))
}

// Back returns the patch that undoes Patch.
func (rename Rename) Back(w Workload) []byte {
	list := rename.in(w)
	if len(list) == 0 {
		return nil
	}
	for i, c := range list {
		list[i].from, list[i].to = c.to, c.from
	}
	return encode(renames(list))
}

func renames(list []renaming) (steps []operation) {
	for _, c := range list {
		steps = append(steps, operation{"test", c.path, c.from}, operation{"replace", c.path, c.to})
	}
	return steps
}

// encode writes steps of a patch, or overrides.
func encode[T operation | Override](list []T) []byte {
	text, err := json.Marshal(list) // #nosec G117 -- the names of Secrets are no secret
	if err != nil {
		panic("strings and numbers always have a JSON form: " + err.Error())
	}
	return text
}

// recordPath is the annotation's, with the slash of its name escaped.
var recordPath = "/metadata/annotations/" + strings.ReplaceAll(manifest.AnnotationManifest, "/", "~1")

// recording returns the steps that write down which manifests name the old names. A
// workload without any annotation gets them as a whole, which is safe only for the very
// object that was looked at.
func (w Workload) recording(list []renaming) []operation {
	records, _ := w.Overrides() // what another process wrote there is replaced
	for _, c := range list {
		for _, manager := range w.appliers(c) {
			record := Override{Manager: manager, Where: c.where, Secret: c.from}
			if !slices.Contains(records, record) {
				records = append(records, record)
			}
		}
	}
	text := string(encode(records))
	switch _, has := w.Annotations[manifest.AnnotationManifest]; {
	case len(records) == 0 && has:
		return []operation{{"remove", recordPath, nil}}
	case len(records) == 0, w.Annotations[manifest.AnnotationManifest] == text:
		return nil
	case len(w.Annotations) == 0:
		return []operation{
			{"test", "/metadata/resourceVersion", w.ResourceVersion},
			{"add", "/metadata/annotations", map[string]string{manifest.AnnotationManifest: text}},
		}
	default:
		return []operation{{"add", recordPath, text}}
	}
}

// appliers returns the field managers whose manifest may name a reference: those whose
// server-side apply owns it, or owned what it is in when another took it over.
func (w Workload) appliers(c renaming) (managers []string) {
	for _, e := range w.ManagedFields {
		if !foreignApply(e) {
			continue
		}
		owns := w.owned(e)
		for _, r := range w.References() {
			if r.Where != c.where || r.Secret != c.from {
				continue
			}
			if field, item := owns(r); field || item && w.taken(e, r) {
				managers = append(managers, e.Manager)
			}
		}
	}
	return managers
}

// taken says that a field manager, but for ours, changed a reference since the apply e: a
// kubectl rollout undo, or who changed the list that it is in.
func (w Workload) taken(e metav1.ManagedFieldsEntry, r Reference) bool {
	return slices.ContainsFunc(w.ManagedFields, func(other metav1.ManagedFieldsEntry) bool {
		field, _ := w.owned(other)(r)
		return field && other.Manager != manifest.FieldManager && other.Subresource == "" && !other.Time.Before(e.Time)
	})
}

func foreignApply(e metav1.ManagedFieldsEntry) bool {
	return e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == "" && e.Manager != manifest.FieldManager
}

// Stale looks at the generation and, where the patch writes the first annotation, at the version.
func (rename Rename) Stale(w, now Workload) bool {
	version := slices.ContainsFunc(w.recording(rename.in(w)), func(o operation) bool { return o.Op == "test" })
	return now.Generation != w.Generation || version && now.ResourceVersion != w.ResourceVersion
}

// Sight says how a workload looks beside what a change makes of it.
type Sight int

// What a workload can look like.
const (
	Untouched Sight = iota // it is as Patch expects it
	Applied                // it is as Patch leaves it
	Otherwise              // another process was here
)

// Compare looks at each reference. Where there is nothing to rename, it is Applied.
func (rename Rename) Compare(w, now Workload) Sight {
	names := now.secretsByPlace()
	before, after := 0, 0
	list := rename.in(w)
	for _, c := range list {
		switch names[c.path] {
		case c.from:
			before++
		case c.to:
			after++
		}
	}
	switch len(list) {
	case after:
		return Applied
	case before:
		return Untouched
	default:
		return Otherwise
	}
}

func (w Workload) secretsByPlace() map[string]string {
	names := map[string]string{}
	for _, r := range w.References() {
		names[w.Kind.pointer()+r.Pointer] = r.Secret
	}
	return names
}

// Reverted says whether a reference names an old name again, or still. Who made it so is
// the field manager that owns one of them and changed it last.
func (rename Rename) Reverted(now Workload) (reverted bool, manager string) {
	var last *metav1.Time
	for _, r := range now.References() {
		if _, old := rename[r.Secret]; !old {
			continue
		}
		reverted = true
		for _, e := range now.ManagedFields {
			if field, _ := now.owned(e)(r); field && e.Subresource == "" && e.Manager != manifest.FieldManager && (last == nil || e.Time != nil && last.Before(e.Time)) {
				last, manager = e.Time, e.Manager
			}
		}
	}
	return reverted, manager
}
