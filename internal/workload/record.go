// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

// Record says that a manifest named a Secret when a patch took that reference from it: the
// next apply of the unchanged manifest wants the old name back.
type Record struct {
	Manager string `json:"manager"` // the field manager of the server-side apply
	Where   string `json:"where"`   // as Reference.Where
	Secret  string `json:"secret"`  // the old name
}

// Recorded returns the records of the workload that still stand. One is settled when its
// manager owns the reference that is at that place now, when it no longer has the volume,
// container or variable, or when it applied another manifest after our last patch: an
// unchanged one would have been a conflict.
func (w Workload) Recorded() (standing []Record) {
	var records []Record
	if json.Unmarshal([]byte(w.Annotations[manifest.AnnotationManifest]), &records) != nil {
		return nil // there are none, or another process wrote them
	}
	for _, record := range records {
		if w.stands(record) {
			standing = append(standing, record)
		}
	}
	return standing
}

func (w Workload) stands(record Record) bool {
	at := slices.IndexFunc(w.References(), func(r Reference) bool { return r.Where == record.Where })
	entry := slices.IndexFunc(w.ManagedFields, func(e metav1.ManagedFieldsEntry) bool { return foreignApply(e) && e.Manager == record.Manager })
	if at < 0 || entry < 0 || w.appliedAfterUs(w.ManagedFields[entry]) {
		return false
	}
	r := w.References()[at]
	field, item := w.owned(w.ManagedFields[entry])(r)
	return item && (!field || r.Secret == record.Secret)
}

// appliedAfterUs says whether a manager applied something later than our last patch. The
// API server's times are whole seconds, so within one it is not known.
func (w Workload) appliedAfterUs(theirs metav1.ManagedFieldsEntry) bool {
	ours := slices.IndexFunc(w.ManagedFields, func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager == manifest.FieldManager && e.Subresource == ""
	})
	return ours >= 0 && theirs.Time != nil && w.ManagedFields[ours].Time != nil && w.ManagedFields[ours].Time.Before(theirs.Time)
}

func encodeRecords(records []Record) []byte {
	text, err := json.Marshal(records)
	if err != nil {
		panic("strings always have a JSON form: " + err.Error())
	}
	return text
}
