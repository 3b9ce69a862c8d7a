// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
)

// packed is a release as Helm stores it in a ConfigMap.
func packed(t *testing.T, text string) string {
	t.Helper()
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(compressed.Bytes())
}

// store is an object in which Helm keeps revision 3 of the release shop.
func store(t *testing.T, kind, status, data string) *unstructured.Unstructured {
	t.Helper()
	obj := object(t, fmt.Sprintf(`
apiVersion: v1
kind: %s
metadata: {name: sh.helm.release.v1.shop.v3, namespace: shop, labels: {owner: helm, name: shop, version: "3", status: %s}}
data: {other: secret-a}
`, kind, status))
	if kind == "Secret" {
		obj.Object["type"] = usage.HelmRelease
		data = base64.StdEncoding.EncodeToString([]byte(data))
	}
	if err := unstructured.SetNestedField(obj.Object, data, "data", "release"); err != nil {
		t.Fatal(err)
	}
	return obj
}

const chart = `---
# Source: shop/templates/serviceaccount.yaml
apiVersion: v1
kind: ServiceAccount
metadata: {name: secret-a, labels: {app: secret-a}}
imagePullSecrets: [{name: secret-a}]
--- # the next one
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    spec:
      containers: [{name: app, args: [--secret=secret-b-g2]}]
      volumes: [{name: secret-b-g2, secret: {secretName: secret-a}}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: x, namespace: elsewhere}
secrets: [{name: secret-a}]
---
kind: List
apiVersion: v1
items: [{apiVersion: v1, kind: ServiceAccount, metadata: {name: listed}, secrets: [{name: secret-a}]}, 1]
---
broken: [secret-b-g2
---
apiVersion: v1
kind: Secret
metadata: {name: made}
stringData: {x: secret-a}
`

const hook = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate}\nspec: {template: {spec: {containers: [{name: c, envFrom: [{secretRef: {name: secret-a}}]}]}}}"

func TestHelmReleases(t *testing.T) {
	text := mustJSON(t, map[string]any{"name": "shop", "manifest": chart, "hooks": []any{map[string]any{"manifest": hook}}})
	const deployed = `
manifest the last applied manifest names it: deployment.apps/web |.spec.template.spec.volumes[0].secret.secretName
manifest the last applied manifest names it: job.batch/migrate |.spec.template.spec.containers[0].envFrom[0].secretRef.name
manifest the last applied manifest names it: serviceaccount/listed |.secrets[0].name
manifest the last applied manifest names it: serviceaccount/secret-a |.imagePullSecrets[0].name
mention the name is mentioned |
mention the name is mentioned: deployment.apps/web |.spec.template.spec.containers[0].args[0]`
	const older = `
history older Helm release helm release shop|
history older Helm release: deployment.apps/web helm release shop|.spec.template.spec.containers[0].args[0]
history older Helm release: deployment.apps/web helm release shop|.spec.template.spec.volumes[0].secret.secretName
history older Helm release: job.batch/migrate helm release shop|.spec.template.spec.containers[0].envFrom[0].secretRef.name
history older Helm release: serviceaccount/listed helm release shop|.secrets[0].name
history older Helm release: serviceaccount/secret-a helm release shop|.imagePullSecrets[0].name`
	for _, kind := range []string{"Secret", "ConfigMap"} {
		for status, want := range map[string]string{"deployed": deployed, "pending-upgrade": deployed, "superseded": older, "failed": older, "uninstalled": older} {
			obj := store(t, kind, status, packed(t, text))
			seen, ok := usage.Look(obj, wanted)
			if !ok {
				t.Fatalf("%s %s: nothing is kept", kind, status)
			}
			var got []string
			for _, f := range usage.Classify([]usage.Seen{seen}) {
				got = append(got, strings.TrimSpace(className[f.Class]+" "+f.Reason+" "+f.Owner+"|"+f.Field))
				if f.Object() != "helm release shop, revision 3" || f.Root != "helm release shop" || f.Kind != kind || f.Name != obj.GetName() {
					t.Errorf("%s %s: %+v", kind, status, f)
				}
			}
			if sorted(strings.Join(got, "\n")) != sorted(strings.TrimPrefix(want, "\n")) {
				t.Errorf("%s %s: found\n%s\nwant%s", kind, status, strings.Join(got, "\n"), want)
			}
		}
	}
}

// Where a release cannot be read, its text is looked through; a bomb is not unpacked.
func TestHelmReleasesThatCannotBeRead(t *testing.T) {
	bomb := packed(t, `{"manifest":"`+strings.Repeat(" ", 65<<20)+`secretName: secret-a"}`)
	base64OfText := base64.StdEncoding.EncodeToString([]byte(`{"manifest": "secret-a"}`))
	for name, tc := range map[string]struct {
		data string
		want int
	}{
		"text": {"of secret-a", 1}, "no gzip": {base64.StdEncoding.EncodeToString([]byte("\x1f\x8b\x08secret-a")), 0}, "no JSON": {packed(t, "secret-a"), 0},
		"not compressed": {base64OfText, 1}, "a bomb": {bomb, 0}, "empty": {packed(t, "{}"), 0}, "other types": {packed(t, `{"manifest": 1}`), 0},
	} {
		obj := store(t, "ConfigMap", "deployed", tc.data)
		if got := usage.Find(obj, wanted); len(got) != tc.want || tc.want == 1 && got[0].Class != usage.Mention {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for name, data := range map[string]any{"none": nil, "a number": int64(1), "empty": ""} {
		obj := store(t, "ConfigMap", "deployed", "x")
		obj.Object["data"].(map[string]any)["release"] = data
		if got := lines(usage.Find(obj, wanted)); got != "mention secret-a .data.other" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Of what is no release of Helm's the text is looked through as of any ConfigMap.
func TestLooksLikeAHelmRelease(t *testing.T) {
	data := packed(t, mustJSON(t, map[string]any{"manifest": chart}))
	for _, labels := range []map[string]string{nil, {"owner": "someone"}} {
		obj := store(t, "ConfigMap", "deployed", data)
		obj.SetLabels(labels)
		if got := lines(usage.Find(obj, wanted)); got != "mention secret-a .data.other" {
			t.Errorf("%v: %s", labels, got)
		}
	}
	obj := store(t, "Secret", "deployed", data)
	obj.Object["type"] = "Opaque"
	if got := usage.Find(obj, wanted); got != nil {
		t.Errorf("an Opaque Secret: %+v", got)
	}
}
