// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

var older = map[string]string{"secret-a": "secret-a-g3", "secret-a-g2": "secret-a-g3", "keys": "keys-g2"}

const annotation = "annotation kubectl.kubernetes.io/last-applied-configuration"

func TestBehindTheLastAppliedConfiguration(t *testing.T) {
	keptBy := func(token string) string {
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
		{"up to date", fmt.Sprintf(deployment, keptBy("secret-a-g3")), Deployment, nil},
		{"another Secret", fmt.Sprintf(deployment, keptBy("secret-z")), Deployment, nil},
		{"generation 2", fmt.Sprintf(deployment, keptBy("secret-a-g2")), Deployment,
			[]Behind{{annotation, "volume tokens", "secret-a-g2", "secret-a-g3"}}},
		{"cron job", `{"spec":{"jobTemplate":{"spec":{"template":` + keptBy("secret-a") + `}}}}`, CronJob,
			[]Behind{{annotation, "volume tokens", "secret-a", "secret-a-g3"}}},
		{"pod", keptBy("secret-a"), Pod,
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

// managed gives the fields of an API server: what CI applied by the server's own apply,
// and what we patched ten seconds later, where that took references from CI.
func managed(ci, our string) []metav1.ManagedFieldsEntry {
	applied := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	patched := metav1.NewTime(applied.Add(10 * time.Second))
	entries := []metav1.ManagedFieldsEntry{
		{Manager: "ci", Operation: metav1.ManagedFieldsOperationApply, Time: &applied, FieldsV1: &metav1.FieldsV1{}},
		{Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate, Subresource: "status", Time: &patched, FieldsV1: &metav1.FieldsV1{}},
		{Manager: "kubectl-fernet", Operation: metav1.ManagedFieldsOperationUpdate, Time: &patched, FieldsV1: &metav1.FieldsV1{}},
	}
	for i, fields := range []string{ci, "{}", our} {
		entries[i].FieldsV1.SetRawBytes([]byte(`{"f:spec":{"f:template":{"f:spec":` + fields + `}}}`))
	}
	return entries
}

// What an API server writes about a container and two volumes.
const (
	ciOwnsAll = `{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:env":{"k:{\"name\":\"SECRET_A\"}":{".":{},"f:name":{},"f:valueFrom":{"f:secretKeyRef":{}}}},"f:envFrom":{},"f:image":{},"f:name":{}}},` +
		`"f:volumes":{"k:{\"name\":\"all\"}":{".":{},"f:name":{},"f:projected":{"f:sources":{}}},"k:{\"name\":\"tokens\"}":{".":{},"f:name":{},"f:secret":{"f:secretName":{}}}}}`
	ciOwnsItems = `{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:env":{"k:{\"name\":\"SECRET_A\"}":{".":{},"f:name":{}}},"f:image":{},"f:name":{}}},` +
		`"f:volumes":{"k:{\"name\":\"all\"}":{".":{},"f:name":{}},"k:{\"name\":\"tokens\"}":{".":{},"f:name":{}}}}`
	ciOwnsImage = `{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:image":{},"f:name":{}}}}`
	weOwn       = `{"f:containers":{"k:{\"name\":\"app\"}":{"f:env":{"k:{\"name\":\"SECRET_A\"}":{"f:valueFrom":{"f:secretKeyRef":{}}}},"f:envFrom":{}}},` +
		`"f:volumes":{"k:{\"name\":\"all\"}":{"f:projected":{"f:sources":{}}},"k:{\"name\":\"tokens\"}":{"f:secret":{"f:secretName":{}}}}}`
)

func patchedTemplate() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		Containers: []corev1.Container{{
			Name: "app", Env: []corev1.EnvVar{env("SECRET_A", "secret-a-g2")}, EnvFrom: []corev1.EnvFromSource{envFrom("secret-a-g2")},
		}},
		Volumes: []corev1.Volume{volume("tokens", "secret-a-g2"), {Name: "all", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{LocalObjectReference: local("secret-a-g2")}}},
		}}}},
	}}
}

var overridden = []string{"container app, env SECRET_A", "container app, envFrom 0", "volume all, source 0", "volume tokens"}

func TestOverridesStandUntilTheManifestCatchesUp(t *testing.T) {
	later := func(entries []metav1.ManagedFieldsEntry, d time.Duration) []metav1.ManagedFieldsEntry {
		at := metav1.NewTime(entries[2].Time.Add(d))
		entries[0].Time = &at
		return entries
	}
	edit := func(change func(*metav1.ManagedFieldsEntry)) []metav1.ManagedFieldsEntry {
		entries := managed(ciOwnsItems, weOwn)
		change(&entries[0])
		return entries
	}
	for _, tc := range []struct {
		name, manager string
		fields        []metav1.ManagedFieldsEntry
		want          []string
	}{
		{"patched", "ci", managed(ciOwnsItems, weOwn), overridden},
		{"applied with the new names", "ci", managed(ciOwnsAll, weOwn), nil},
		{"applied without the items, but for a list of the container", "ci", managed(ciOwnsImage, weOwn), overridden[1:2]},
		{"applied without any", "ci", managed("{}", weOwn), nil},
		{"applied later than we patched", "ci", later(managed(ciOwnsItems, weOwn), time.Second), nil},
		{"applied in the same second", "ci", later(managed(ciOwnsItems, weOwn), 0), overridden},
		{"applied, and nothing is ours", "ci", later(managed(ciOwnsItems, weOwn), time.Second)[:2], overridden},
		{"applied at no known time", "ci", edit(func(e *metav1.ManagedFieldsEntry) { e.Time = nil }), overridden},
		{"a manager that is not known", "", managed(ciOwnsAll, weOwn), overridden},
		{"a manager of nothing", "kapp", managed(ciOwnsAll, weOwn), overridden},
		{"a manager that updates", "ci", edit(func(e *metav1.ManagedFieldsEntry) { e.Operation = metav1.ManagedFieldsOperationUpdate }), overridden},
		{"a manager of the status", "ci", edit(func(e *metav1.ManagedFieldsEntry) { e.Subresource = "status" }), overridden},
	} {
		var list []Override
		for _, where := range overridden {
			list = append(list, Override{tc.manager, where, "secret-a"})
		}
		text, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		w := Workload{Kind: Deployment, Template: patchedTemplate(), ManagedFields: tc.fields, Annotations: map[string]string{manifest.AnnotationManifest: string(text)}}
		stand, err := w.Overrides()
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		var got []string
		for _, o := range stand {
			if got = append(got, o.Where); o.Secret != "secret-a" || o.Manager != tc.manager {
				t.Errorf("%s: %+v", tc.name, o)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q stand, want %q", tc.name, got, tc.want)
		}
	}
}

// What is no longer there at all, or was never an item, is judged by what it was in.
func TestOverridesOfPlacesThatAreGone(t *testing.T) {
	for where, stands := range map[string]bool{
		"volume gone": false, "container gone, env A": false, "container app, env GONE": false,
		"container app, envFrom 7": true, "volume all, source 7": true, "init container app, envFrom 0": false, "ephemeral container app, env A": false,
		"imagePullSecrets 0": true,
	} {
		text := fmt.Sprintf(`[{"manager":"ci","where":%q,"secret":"secret-a"}]`, where)
		w := Workload{Kind: Deployment, Template: patchedTemplate(), ManagedFields: managed(ciOwnsItems, weOwn), Annotations: map[string]string{manifest.AnnotationManifest: text}}
		if list, err := w.Overrides(); err != nil || (len(list) == 1) != stands {
			t.Errorf("%s: %+v, %v", where, list, err)
		}
	}
	if list, err := (Workload{}).Overrides(); list != nil || err != nil {
		t.Errorf("no annotation: %+v, %v", list, err)
	}
	if _, err := (Workload{Annotations: map[string]string{manifest.AnnotationManifest: "secret-a"}}).Overrides(); err == nil {
		t.Error("an annotation that is none passes")
	}
}
