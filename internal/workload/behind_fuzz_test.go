// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"encoding/json"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

// FuzzBehind takes any manifest that was applied last, any record of what rollout changed and any
// fields of a field manager. All of what is behind has an older name; a volume of a Deployment
// that names an older Secret is found; a record that was read means the same when it is written.
func FuzzBehind(f *testing.F) {
	template, err := json.Marshal(web("secret-a-g2", "keys"))
	if err != nil {
		f.Fatal(err)
	}
	record := `[{"manager":"ci","where":"volume tokens","secret":"secret-a"},{"manager":"","where":"container app, env KEY","secret":"keys"}]`
	f.Add(`{"spec":{"template":`+string(template)+`}}`, record, field(inTemplate(`"f:volumes"`, tokens, `"f:secret"`, `"f:secretName"`)...))
	f.Add(`{"spec":{"template":{"spec":{"volumes":[{"name":"a","secret":{"secretName":"secret-a"}},{"name":"b","secret":null}]}}}}`, "[null]", "{")
	f.Add(`{"spec":null}`, `[{"where":"volume , "}]`, `{"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{":{}}}}}}`)
	f.Add("secret-a", `{"manager":1}`, field(inTemplate(`"f:containers"`, app, `"f:env"`, keyEnv)...))
	f.Fuzz(func(t *testing.T, applied, record, fields string) {
		for _, operation := range []metav1.ManagedFieldsOperationType{apply, update} {
			w := Workload{
				Kind: Deployment, Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: applied, manifest.AnnotationManifest: record},
				Template: web("secret-a-g2", "keys-g2"), ManagedFields: []metav1.ManagedFieldsEntry{entry("ci", operation, fields)},
			}
			list := w.Behind(func(name string) string { return older[name] })
			for _, b := range list {
				if older[b.Old] != b.New || b.New == "" {
					t.Errorf("%+v is not behind", b)
				}
			}
			for _, v := range volumesOf(applied) {
				if !slices.ContainsFunc(list, func(b Behind) bool { return b.Old == v && b.Source == annotation }) {
					t.Errorf("%s is not found in %s", v, applied)
				}
			}
			if read, err := w.Overrides(); err == nil && len(read) > 0 {
				w.Annotations[manifest.AnnotationManifest] = string(encode(read))
				if again, err := w.Overrides(); err != nil || !slices.Equal(again, read) {
					t.Errorf("%s is read as %+v, and written it is %+v, %v", record, read, again, err)
				}
			}
		}
	})
}

// volumesOf gives the older Secrets of the volumes of a Deployment, as its own type reads them.
func volumesOf(text string) (secrets []string) {
	var o appsv1.Deployment
	if json.Unmarshal([]byte(text), &o) != nil {
		return nil
	}
	for _, v := range o.Spec.Template.Spec.Volumes {
		if v.Secret != nil && older[v.Secret.SecretName] != "" {
			secrets = append(secrets, v.Secret.SecretName)
		}
	}
	return secrets
}
