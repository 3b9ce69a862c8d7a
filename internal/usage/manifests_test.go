// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
)

const inApplied = " in annotation " + usage.LastApplied

// A manifest is read as the object that it is.
func TestFindInManifests(t *testing.T) {
	const (
		spec     = `{"volumes":[{"name":"secret-b-g2","secret":{"secretName":"secret-a"}}],"containers":[{"name":"c","args":["secret-b-g2"]}]}`
		template = `.spec.template.spec`
	)
	for _, tc := range []struct{ name, kind, key, text, want string }{
		{"a Deployment", "apps/v1 Deployment", usage.LastApplied,
			`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"secret-a","labels":{"app":"secret-a"}},"spec":{"template":{"spec":` + spec + `}}}`,
			"mention secret-a .data.live\nmention secret-b-g2 " + template + ".containers[0].args[0]" + inApplied + "\nmanifest secret-a " + template + ".volumes[0].secret.secretName" + inApplied},
		{"a mention that the live object has", "v1 ConfigMap", usage.LastApplied, `{"apiVersion":"v1","kind":"ConfigMap","data":{"live":"secret-a","new":"secret-a"}}`,
			"mention secret-a .data.live\nmention secret-a .data.new" + inApplied},
		{"a custom resource", "example.com/v1 Thing", usage.LastApplied, `{"apiVersion":"example.com/v1","kind":"Thing","spec":{"from":"secret-b-g2"}}`,
			"manifest secret-b-g2 .spec.from" + inApplied + "\nuse secret-a .data.live"},
		{"kapp", "v1 ServiceAccount", usage.KappOriginal, `{"apiVersion":"v1","kind":"ServiceAccount","secrets":[{"name":"secret-b-g2"}]}`,
			"manifest secret-b-g2 .secrets[0].name in annotation " + usage.KappOriginal + "\nmention secret-a .data.live"},
		{"no JSON", "v1 ConfigMap", usage.LastApplied, `{"secret-b-g2`, "mention secret-b-g2 " + inApplied + "\nmention secret-a .data.live"},
		{"a list", "v1 ConfigMap", usage.LastApplied, `["secret-b-g2"]`, "mention secret-b-g2 " + inApplied + "\nmention secret-a .data.live"},
		{"null", "v1 ConfigMap", usage.LastApplied, `null`, "mention secret-a .data.live"},
		{"a copy that a ReplicaSet has", "apps/v1 ReplicaSet", usage.KappOriginal, `{"apiVersion":"v1","kind":"ServiceAccount","secrets":[{"name":"secret-b-g2"}]}`, "mention secret-a .data.live"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			obj := object(t, "{data: {live: secret-a}, metadata: {name: x, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d, controller: true}]}, apiVersion: x, kind: X}")
			obj.SetAnnotations(map[string]string{tc.key: tc.text})
			setKind(obj, tc.kind)
			if got := lines(usage.Find(obj, wanted)); sorted(got) != sorted(tc.want) {
				t.Errorf("found\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

// What rollout has recorded about a workload's manifest counts on the workload alone.
func TestFindWhatRolloutRecorded(t *testing.T) {
	const text = `[{"manager":"","where":"volume a","secret":"secret-a"},{"manager":"ci","where":"container app, env A","secret":"secret-b-g2"},{"manager":"ci","where":"volume b","secret":"other"}]`
	const want = "manifest secret-a volume a in annotation " + manifest.AnnotationManifest + "\nmanifest secret-b-g2 container app, env A in field manager ci"
	for kind, want := range map[string]string{
		"apps/v1 Deployment": want, "apps/v1 StatefulSet": want, "apps/v1 DaemonSet": want, "batch/v1 CronJob": want,
		"apps/v1 ReplicaSet": "", "v1 Pod": "", "batch/v1 Job": "", "apps/v1 ControllerRevision": "", "example.com/v1 Deployment": "",
	} {
		obj := object(t, "{apiVersion: x, kind: X, metadata: {name: x}}")
		setKind(obj, kind)
		obj.SetAnnotations(map[string]string{manifest.AnnotationManifest: text})
		if got := lines(usage.Find(obj, wanted)); sorted(got) != sorted(want) {
			t.Errorf("%s: found\n%s\nwant\n%s", kind, got, want)
		}
	}
	broken := object(t, "{apiVersion: apps/v1, kind: Deployment, metadata: {name: x, annotations: {"+manifest.AnnotationManifest+": secret-a}}}")
	if got, want := lines(usage.Find(broken, wanted)), "mention secret-a  in annotation "+manifest.AnnotationManifest; got != want {
		t.Errorf("broken: %s", got)
	}
	odd := object(t, "{apiVersion: apps/v1, kind: Deployment, metadata: {name: x, annotations: {"+manifest.AnnotationManifest+`: '[{"manager":"\u001b[2J","where":"\u001b[2J","secret":"secret-a"}]'}}}`)
	if got := lines(usage.Find(odd, wanted)); got != `manifest secret-a \x1b[2J in field manager \x1b[2J` {
		t.Errorf("control characters: %q", got)
	}
	typeless := object(t, "{apiVersion: apps/v1, kind: Deployment, spec: 1, metadata: {name: x, annotations: {"+manifest.AnnotationManifest+": "+mustJSON(t, text)+"}}}")
	if got := usage.Find(typeless, wanted); len(got) != 2 || got[0].Class != usage.Mention {
		t.Errorf("a workload that is none: %+v", got)
	}
}

// A manifest that its manager has applied since is none that is behind.
func TestFindWhatAManagerHasCaughtUpWith(t *testing.T) {
	const fields = `{"f:spec": {"f:template": {"f:spec": {"f:volumes": {"k:{\"name\":\"a\"}": {"f:name": {}%s}}}}}}`
	const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: x
  annotations: {` + manifest.AnnotationManifest + `: '[{"manager":"ci","where":"volume a","secret":"secret-a"}]'}
  managedFields: [{manager: ci, operation: Apply, apiVersion: apps/v1, fieldsType: FieldsV1, fieldsV1: `
	const spec = "}]\nspec: {template: {spec: {volumes: [{name: a, secret: {secretName: other}}]}}}"
	behind := object(t, deployment+fmt.Sprintf(fields, "")+spec)
	if got := usage.Find(behind, wanted); len(got) != 1 || got[0].Class != usage.Manifest {
		t.Errorf("not applied again: %+v", got)
	}
	applied := object(t, deployment+fmt.Sprintf(fields, `, "f:secret": {"f:secretName": {}}`)+spec)
	if got := usage.Find(applied, wanted); got != nil {
		t.Errorf("applied again: %+v", got)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
