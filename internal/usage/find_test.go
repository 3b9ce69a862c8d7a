// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
)

// object reads a manifest as the API server's JSON: numbers are int64.
func object(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	json, err := yaml.YAMLToJSON([]byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(json); err != nil {
		t.Fatal(err)
	}
	return obj
}

func wanted(name string) bool { return name == "secret-a" || name == "secret-b-g2" }

var findCases = []struct {
	name, object string
	want         []string // secret, path and annotation
}{
	{"everywhere in a spec", `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  template:
    spec:
      containers:
      - env:
        - {name: A, valueFrom: {secretKeyRef: {name: secret-a, key: SECRET-A}}}
        envFrom: [{secretRef: {name: other}}, {secretRef: {name: secret-b-g2}}]
        args: [--from, secret-a]
      volumes: [{name: v, secret: {secretName: secret-a}}]
`, []string{
		"secret-a .spec.template.spec.containers[0].args[1]",
		"secret-b-g2 .spec.template.spec.containers[0].envFrom[1].secretRef.name",
		"secret-a .spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef.name",
		"secret-a .spec.template.spec.volumes[0].secret.secretName",
	}},
	{"in what is no spec", `
apiVersion: v1
kind: ServiceAccount
metadata: {name: x, labels: {uses: secret-a}, ownerReferences: [{kind: Secret, name: secret-a}]}
secrets: [{name: secret-a}]
`, []string{"secret-a .secrets[0].name"}},
	{"what is called like a Secret, labelled or picked by its name", `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: x, labels: {app: secret-a}}
spec:
  serviceName: secret-a
  selector: {matchLabels: {app: secret-a}, matchExpressions: [{key: app, operator: In, values: [secret-a]}]}
  template:
    metadata: {labels: {app: secret-a}}
    spec:
      nodeSelector: {pool: secret-a}
      hostname: secret-a
      subdomain: secret-a
      affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{labelSelector: {matchLabels: {app: secret-a}}}]}}
      containers:
      - name: secret-a
        image: secret-a
        ports: [{name: secret-a, containerPort: 80}]
        env: [{name: secret-a, value: x}]
        volumeMounts: [{name: secret-a, mountPath: /secret-a}]
      volumes: [{name: secret-a, secret: {secretName: secret-b-g2}}, {name: x, secret: {secretName: secret-a}}]
`, []string{"secret-b-g2 .spec.template.spec.volumes[0].secret.secretName", "secret-a .spec.template.spec.volumes[1].secret.secretName"}},
	{"a Service and a port of an Ingress", `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: x}
spec:
  tls: [{secretName: secret-b-g2}]
  rules: [{http: {paths: [{backend: {service: {name: secret-a, port: {number: 80}}}}]}}]
`, []string{"secret-b-g2 .spec.tls[0].secretName"}},
	{"the same words where they may be references", `
apiVersion: example.com/v1
kind: Thing
metadata: {name: x}
spec: {selector: secret-a, volumes: [{name: secret-a}], service: {name: secret-a}, env: [{name: secret-a}], containers: [{name: secret-a}], serviceName: [secret-a], image: {name: secret-a}}
`, []string{
		"secret-a .spec.containers[0].name", "secret-a .spec.env[0].name", "secret-a .spec.image.name", "secret-a .spec.selector",
		"secret-a .spec.service.name", "secret-a .spec.serviceName[0]", "secret-a .spec.volumes[0].name",
	}},
	{"no part of a text, no key, no number", `
apiVersion: v1
kind: ConfigMap
metadata: {name: x}
data: {secret-a: "x", text: "the secret-a", more: "secret-a\n", json: '["secret-a"]', other: secret-a-g2}
spec: [1, 2.5, true, null]
`, nil},
	{"not what it is called", `
apiVersion: secret-a
kind: secret-a
metadata: {name: secret-a, namespace: secret-a, uid: secret-a, managedFields: [{manager: secret-a}]}
`, nil},
	{"an odd key", "kind: X\nmetadata: {name: x}\ndata: {a.b/c: secret-a, \"\\e[2J\": [secret-a]}",
		[]string{`secret-a .data['\x1b[2J'][0]`, "secret-a .data['a.b/c']"}},
	{"annotations", `
kind: X
metadata:
  name: x
  annotations:
    plain: secret-a
    text: uses secret-a
    object: '{"a": [{"b": "secret-a"}, "secret-a", "secret-b-g2"]}'
    array: "\n [\"secret-b-g2\"]"
    key: '{"secret-a": 1}'
    string: '"secret-a"'
    broken: '{"a": "secret-a"'
    example.com/nested: '{"metadata": {"annotations": {"x": "[\"secret-a\"]"}}}'
spec: {template: {metadata: {annotations: {inject: '{"from": "secret-a"}'}}}}
`, []string{
		"secret-b-g2 .metadata.annotations.array [array]",
		"secret-a .metadata.annotations.object [object]",
		"secret-b-g2 .metadata.annotations.object [object]",
		"secret-a .metadata.annotations.plain [plain]",
		"secret-a .metadata.annotations['example.com/nested'] [example.com/nested]",
		"secret-a .spec.template.metadata.annotations.inject [inject]",
	}},
	{"a manifest", `
kind: X
metadata:
  name: x
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: '{"kind":"X","metadata":{"name":"secret-a"},"spec":"secret-b-g2"}'
    elsewhere: '{"kind":"Secret","metadata":{"name":"secret-a"}}'
`, []string{
		"secret-a .metadata.annotations.elsewhere [elsewhere]",
		"secret-b-g2 .metadata.annotations['" + usage.LastApplied + "'] [" + usage.LastApplied + "]",
	}},
	{"a ControllerRevision", `
apiVersion: apps/v1
kind: ControllerRevision
metadata: {name: x, labels: {x: secret-a}, annotations: {x: secret-a, y: '["secret-a"]'}}
data: {spec: {template: {metadata: {annotations: {x: '["secret-a"]'}}, spec: secret-b-g2}}}
revision: 3
`, []string{"secret-a .data.spec.template.metadata.annotations.x [x]", "secret-b-g2 .data.spec.template.spec"}},
	{"another one's ControllerRevision", `
apiVersion: example.com/v1
kind: ControllerRevision
metadata: {name: x, labels: {x: secret-a}, annotations: {note: secret-a}}
`, []string{"secret-a .metadata.annotations.note [note]"}},
	{"annotations that are none", "kind: X\nannotations: [secret-a]\nspec: {annotations: {x: 1, z: [secret-a]}}",
		[]string{"secret-a .annotations[0]", "secret-a .spec.annotations.z [z]"}},
}

func TestFind(t *testing.T) {
	for _, tc := range findCases {
		t.Run(tc.name, func(t *testing.T) {
			obj := object(t, tc.object)
			before := obj.DeepCopy()
			var got []string
			for _, hit := range usage.Find(obj, wanted) {
				line := hit.Secret + " " + hit.Path
				if hit.Annotation != "" {
					line += " [" + hit.Annotation + "]"
				}
				got = append(got, line)
			}
			if a, b := strings.Join(got, "\n"), strings.Join(tc.want, "\n"); a != b {
				t.Errorf("found\n%s\nwant\n%s", a, b)
			}
			if obj.GetName() != before.GetName() || len(obj.GetManagedFields()) != len(before.GetManagedFields()) {
				t.Error("changed the object")
			}
		})
	}
}
