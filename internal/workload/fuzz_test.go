// SPDX-License-Identifier: Apache-2.0

package workload_test

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// FuzzManifest takes any manifest and wires it in each manner. What was wired is written and
// read as YAML, lacks nothing then, and still has all references that it had.
func FuzzManifest(f *testing.F) {
	for i := range kinds {
		for n, tt := range templates {
			if n%len(kinds) == i { // each template once
				f.Add(tt.inKind(f, i))
			}
		}
	}
	for _, text := range []string{"kind: Pod\napiVersion: v1\n", "kind: Pod\napiVersion: v1\nspec: {containers: [{name: app, env: 7}]}\n", "apiVersion: batch/v1\nkind: CronJob\nspec: {jobTemplate: null}\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		w, ok := ofText(t, text)
		if !ok {
			return
		}
		for _, manner := range manners {
			wiring := manner.wiring
			wiring.Exec = nil // a container without a command cannot have it
			fitting, err := wiring.Fit(w)
			if err != nil {
				continue
			}
			wired, err := fitting.Apply(w)
			if err != nil {
				continue // a place of the patch is taken by something else
			}
			written, err := yaml.Marshal(wired.Raw)
			if err != nil {
				t.Fatal(err)
			}
			again, ok := ofText(t, string(written))
			if !ok {
				t.Fatalf("%s: it cannot be read any more: %s", manner.name, written)
			}
			if fitting, err := wiring.Fit(again); err != nil || !fitting.Unchanged() {
				t.Errorf("%s: wired, it lacks something: %v\n%s", manner.name, err, written)
			}
			for _, ref := range w.References() {
				if !slices.ContainsFunc(again.References(), func(r workload.Reference) bool { return r.Secret == ref.Secret }) {
					t.Errorf("%s: %s is not named any more", manner.name, ref.Secret)
				}
			}
		}
	})
}

// ofText reads a manifest as kubectl does.
func ofText(t *testing.T, text string) (w workload.Workload, ok bool) {
	t.Helper()
	form, err := yaml.YAMLToJSON([]byte(text))
	o := &unstructured.Unstructured{}
	if err != nil || o.UnmarshalJSON(form) != nil {
		return w, false
	}
	w, ok, err = workload.OfManifest(o)
	return w, ok && err == nil
}

// inKind is a template in a manifest of the i-th kind.
func (tt template) inKind(t testing.TB, i int) string {
	t.Helper()
	text, err := yaml.Marshal(tt.manifest(t, i).Raw)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
