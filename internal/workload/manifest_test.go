// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var older = map[string]string{"secret-a": "secret-a-g3", "secret-a-g2": "secret-a-g3", "keys": "keys-g2"}

const annotation = "annotation kubectl.kubernetes.io/last-applied-configuration"

func TestBehindTheLastAppliedConfiguration(t *testing.T) {
	manifest := func(token string) string {
		text, err := json.Marshal(web(token, "keys-g2"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	deployment := `{"metadata":{"name":"secret-a"},"spec":{"selector":{"app":"secret-a"},"template":%s}}`
	for _, tc := range []struct {
		name, manifest string
		kind           Kind
		want           []Behind
	}{
		{"none", "", Deployment, nil},
		{"up to date", fmt.Sprintf(deployment, manifest("secret-a-g3")), Deployment, nil},
		{"another Secret", fmt.Sprintf(deployment, manifest("secret-z")), Deployment, nil},
		{"generation 2", fmt.Sprintf(deployment, manifest("secret-a-g2")), Deployment,
			[]Behind{{annotation, "volume tokens", "secret-a-g2", "secret-a-g3"}}},
		{"cron job", `{"spec":{"jobTemplate":{"spec":{"template":` + manifest("secret-a") + `}}}}`, CronJob,
			[]Behind{{annotation, "volume tokens", "secret-a", "secret-a-g3"}}},
		{"pod", manifest("secret-a"), Pod,
			[]Behind{{annotation, "volume tokens", "secret-a", "secret-a-g3"}}},
		{"no JSON", "secret-a", Deployment, nil},
		{"no object", `["secret-a"]`, Deployment, nil},
		{"no template", `{"spec":{"replicas":1}}`, Deployment, nil},
		{"no pod template", `{"spec":{"template":"secret-a"}}`, Deployment, nil},
	} {
		w := Workload{Kind: tc.kind, Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: tc.manifest}, Template: web("secret-a-g3", "keys-g2")}
		if got := w.Behind(func(name string) string { return older[name] }); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

// field is a way in the fields of a field manager, as the API server writes them.
func field(way ...string) string {
	return "{" + strings.Join(way, ":{") + ":{}" + strings.Repeat("}", len(way))
}

const (
	tokens = `"k:{\"name\":\"tokens\"}"`
	app    = `"k:{\"name\":\"app\"}"`
	keyEnv = `"k:{\"name\":\"KEY\"}"`
)

func inTemplate(way ...string) []string {
	return append([]string{`"f:spec"`, `"f:template"`, `"f:spec"`}, way...)
}

// entry is what a field manager owns.
func entry(manager string, operation metav1.ManagedFieldsOperationType, fields string) metav1.ManagedFieldsEntry {
	e := metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, FieldsV1: &metav1.FieldsV1{}}
	e.FieldsV1.SetRawBytes([]byte(fields))
	return e
}

const apply, update = metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate

func TestBehindAServerSideApply(t *testing.T) {
	name := field(inTemplate(`"f:volumes"`, tokens, `"f:secret"`, `"f:secretName"`)...)
	item := field(inTemplate(`"f:volumes"`, tokens, `"f:name"`)...)
	otherItem := field(inTemplate(`"f:volumes"`, `"k:{\"name\":\"other\"}"`, `"f:secret"`, `"f:secretName"`)...)
	secretKey := field(inTemplate(`"f:containers"`, app, `"f:env"`, keyEnv, `"f:valueFrom"`, `"f:secretKeyRef"`)...)
	before := web("secret-a", "keys-g1")
	status := entry("ci", apply, name)
	status.Subresource = "status"
	for _, tc := range []struct {
		name     string
		template corev1.PodTemplateSpec
		fields   []metav1.ManagedFieldsEntry
		want     []Behind
	}{
		{"not patched yet", before, []metav1.ManagedFieldsEntry{entry("ci", apply, name)}, []Behind{{"field manager ci", "volume tokens", "secret-a", "secret-a-g3"}}},
		{"an update", before, []metav1.ManagedFieldsEntry{entry("ci", update, name)}, nil},
		{"another field", before, []metav1.ManagedFieldsEntry{entry("ci", apply, item)}, nil},
		{"another volume", before, []metav1.ManagedFieldsEntry{entry("ci", apply, otherItem)}, nil},
		{"a subresource", before, []metav1.ManagedFieldsEntry{status}, nil},
		{"no fields", before, []metav1.ManagedFieldsEntry{{Manager: "ci", Operation: apply}}, nil},
		{"broken fields", before, []metav1.ManagedFieldsEntry{entry("ci", apply, "{")}, nil},
		{"our own apply", before, []metav1.ManagedFieldsEntry{entry("kubectl-fernet", apply, name)}, nil},
		{"a variable, owned as a whole", web("x", "keys"), []metav1.ManagedFieldsEntry{entry("ci", apply, secretKey)}, []Behind{{"field manager ci", "container app, env KEY", "keys", "keys-g2"}}},
	} {
		w := Workload{Kind: Deployment, Template: tc.template, ManagedFields: tc.fields}
		if got := w.Behind(func(name string) string { return older[name] }); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}
