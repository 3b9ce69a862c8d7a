// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

// A patch writes down what a server-side apply owned, keeps what still stands, and leaves
// nothing behind when all is settled.
func TestPatchRecordsWhoApplied(t *testing.T) {
	name := field(inTemplate(`"f:volumes"`, tokens, `"f:secret"`, `"f:secretName"`)...)
	item := field(inTemplate(`"f:volumes"`, tokens, `"f:name"`)...)
	const record = `[{\"manager\":\"ci\",\"where\":\"volume tokens\",\"secret\":\"secret-a\"}]`
	const path = `"path":"/metadata/annotations/kubectl-fernet.github.io~1manifest"`
	standing := strings.ReplaceAll(record, `\"`, `"`)
	for _, tc := range []struct {
		name        string
		token       string
		fields      []metav1.ManagedFieldsEntry
		annotations map[string]string
		want        string // of the steps behind the renames
	}{
		{"nobody applied it", "secret-a", nil, nil, ""},
		{"no annotation yet", "secret-a", []metav1.ManagedFieldsEntry{entry("ci", apply, name)}, nil,
			`{"op":"test","path":"/metadata/resourceVersion","value":"7"},{"op":"add","path":"/metadata/annotations","value":{"kubectl-fernet.github.io/manifest":"` + record + `"}}`},
		{"another took it over", "secret-a", []metav1.ManagedFieldsEntry{at(1, entry("ci", apply, item)), at(2, entry("kubectl-rollout", update, name))}, map[string]string{"a": "b"}, `{"op":"add",` + path + `,"value":"` + record + `"}`},
		{"another had it before", "secret-a", []metav1.ManagedFieldsEntry{at(2, entry("ci", apply, item)), at(1, entry("kubectl-create", update, name))}, nil, ""},
		{"we took it over", "secret-a", []metav1.ManagedFieldsEntry{at(1, entry("ci", apply, item)), at(2, entry(manifest.FieldManager, update, name))}, nil, ""},
		{"other annotations", "secret-a", []metav1.ManagedFieldsEntry{entry("ci", apply, name)}, map[string]string{"a": "b"}, `{"op":"add",` + path + `,"value":"` + record + `"}`},
		{"one that still stands", "secret-a-g2", []metav1.ManagedFieldsEntry{entry("ci", apply, item)}, map[string]string{manifest.AnnotationManifest: standing}, ""},
		{"one that is settled", "secret-a", []metav1.ManagedFieldsEntry{entry("ci", apply, field(inTemplate(`"f:containers"`)...))}, map[string]string{manifest.AnnotationManifest: standing}, `{"op":"remove",` + path + `,"value":null}`},
	} {
		w := Workload{Kind: Deployment, ResourceVersion: "7", Template: web(tc.token, "k"), ManagedFields: tc.fields, Annotations: tc.annotations}
		got := string(Rename{tc.token: "secret-a-g3"}.Patch(w))
		_, rest, _ := strings.Cut(got, `"value":"secret-a-g3"}`)
		if want := "," + tc.want + "]"; rest != want && (tc.want != "" || rest != "]") {
			t.Errorf("%s: %s\nwant %s", tc.name, rest, tc.want)
		}
	}
}

func at(second int64, e metav1.ManagedFieldsEntry) metav1.ManagedFieldsEntry {
	e.Time = &metav1.Time{Time: time.Unix(second, 0)}
	return e
}

func TestReverted(t *testing.T) {
	name := field(inTemplate(`"f:volumes"`, tokens, `"f:secret"`, `"f:secretName"`)...)
	early, late := at(1, entry("kubectl", update, name)), at(2, entry("argocd-controller", apply, name))
	rename := Rename{"secret-a": "secret-a-g2"}
	for _, tc := range []struct {
		name, secret, manager string
		fields                []metav1.ManagedFieldsEntry
		reverted              bool
	}{
		{"as it was patched", "secret-a-g2", "", []metav1.ManagedFieldsEntry{late}, false},
		{"the old name again, nobody is known", "secret-a", "", nil, true},
		{"the last one to change it is meant", "secret-a", "argocd-controller", []metav1.ManagedFieldsEntry{late, early}, true},
		{"never ourselves", "secret-a", "kubectl", []metav1.ManagedFieldsEntry{early, entry("kubectl-fernet", update, name)}, true},
	} {
		reverted, manager := rename.Reverted(Workload{Kind: Deployment, Template: web(tc.secret, "k"), ManagedFields: tc.fields})
		if reverted != tc.reverted || manager != tc.manager {
			t.Errorf("%s: %v by %q", tc.name, reverted, manager)
		}
	}
}

// Only a patch that writes the first annotation depends on the very object.
func TestStale(t *testing.T) {
	name := field(inTemplate(`"f:volumes"`, tokens, `"f:secret"`, `"f:secretName"`)...)
	rename := Rename{"secret-a": "secret-a-g3"}
	w := Workload{Kind: Deployment, Generation: 1, ResourceVersion: "7", Template: web("secret-a", "k")}
	applied := w
	applied.ManagedFields = []metav1.ManagedFieldsEntry{entry("ci", apply, name)}
	status, scaled := w, w
	status.ResourceVersion, scaled.Generation = "8", 2
	if rename.Stale(w, w) || rename.Stale(w, status) || !rename.Stale(w, scaled) || !rename.Stale(applied, status) {
		t.Error("what a patch tests is not what counts as a change")
	}
}
