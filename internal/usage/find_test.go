// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"fmt"
	"reflect"
	"slices"
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

// lines describes hits: class, Secret, path and what the path begins in.
func lines(hits []usage.Hit) string {
	var all []string
	for _, hit := range hits {
		line := fmt.Sprintf("%s %s %s", className[hit.Class], hit.Secret, hit.Path)
		if hit.In != "" {
			line += " in " + hit.In
		}
		all = append(all, line)
	}
	return strings.Join(all, "\n")
}

// sorted brings lines into an order.
func sorted(text string) string {
	return strings.Join(slices.Sorted(slices.Values(strings.Split(text, "\n"))), "\n")
}

// setKind makes an object one of another kind, as "apps/v1 Deployment".
func setKind(obj *unstructured.Unstructured, kind string) {
	version, name, _ := strings.Cut(kind, " ")
	obj.SetAPIVersion(version)
	obj.SetKind(name)
}

var className = map[usage.Class]string{usage.Use: "use", usage.Manifest: "manifest", usage.Mention: "mention", usage.History: "history"}

var findCases = []struct{ name, object, want string }{
	{"a pod template", `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  template:
    spec:
      imagePullSecrets: [{name: secret-a}]
      containers:
      - env:
        - {name: A, valueFrom: {secretKeyRef: {name: secret-a, key: SECRET-A}}}
        - {name: B, value: secret-a}
        - {name: C, valueFrom: {configMapKeyRef: {name: secret-a, key: secret-a}}}
        envFrom: [{secretRef: {name: other}}, {secretRef: {name: secret-b-g2}}, {configMapRef: {name: secret-a}}]
        args: [--from, secret-a, "--secret=secret-b-g2", "shop/secret-a,other"]
        command: [/secret-a/run, --mount=/run/secrets/secret-a/x]
      volumes:
      - {name: v, secret: {secretName: secret-a, items: [{key: secret-a, path: secret-a}]}}
      - {name: w, projected: {sources: [{secret: {name: secret-b-g2}}, {configMap: {name: secret-a}}]}}
      - {name: x, csi: {driver: d, nodePublishSecretRef: {name: secret-a}, volumeAttributes: {secretName: secret-b-g2, secretProviderClass: secret-a}}}
      - {name: y, persistentVolumeClaim: {claimName: secret-a}}
`, `
mention secret-a .spec.template.spec.containers[0].args[1]
mention secret-b-g2 .spec.template.spec.containers[0].args[2]
mention secret-a .spec.template.spec.containers[0].args[3]
use secret-b-g2 .spec.template.spec.containers[0].envFrom[1].secretRef.name
use secret-a .spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef.name
mention secret-a .spec.template.spec.containers[0].env[1].value
use secret-a .spec.template.spec.imagePullSecrets[0].name
use secret-a .spec.template.spec.volumes[0].secret.secretName
use secret-b-g2 .spec.template.spec.volumes[1].projected.sources[0].secret.name
use secret-a .spec.template.spec.volumes[2].csi.nodePublishSecretRef.name
use secret-b-g2 .spec.template.spec.volumes[2].csi.volumeAttributes.secretName
mention secret-a .spec.template.spec.volumes[2].csi.volumeAttributes.secretProviderClass`},
	{"a ServiceAccount", `
apiVersion: v1
kind: ServiceAccount
metadata: {name: secret-a, labels: {uses: secret-a}, ownerReferences: [{kind: Secret, name: secret-a}]}
secrets: [{name: secret-a}]
imagePullSecrets: [{name: secret-b-g2}]
`, "use secret-b-g2 .imagePullSecrets[0].name\nuse secret-a .secrets[0].name"},
	{"what is called like a Secret", `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: secret-a, labels: {app: secret-a}}
spec:
  serviceName: secret-a
  selector: {matchLabels: {app: secret-a}, matchExpressions: [{key: app, operator: In, values: [secret-a]}]}
  template:
    metadata: {name: secret-a, labels: {app: secret-a}}
    spec:
      nodeSelector: {pool: secret-a}
      tolerations: [{key: dedicated, value: secret-a}]
      hostname: secret-a
      subdomain: secret-a
      schedulerName: secret-a
      serviceAccountName: secret-a
      serviceAccount: secret-a
      priorityClassName: secret-a
      hostAliases: [{ip: 10.0.0.1, hostnames: [secret-a]}]
      affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{namespaces: [secret-a], topologyKey: secret-a, labelSelector: {matchLabels: {app: secret-a}}}]}}
      containers:
      - name: secret-a
        image: secret-a
        workingDir: secret-a
        ports: [{name: secret-a, containerPort: 80}]
        env: [{name: secret-a, value: x}, {name: x, valueFrom: {resourceFieldRef: {containerName: secret-a, resource: limits.cpu}}}]
        livenessProbe: {httpGet: {path: secret-a, port: secret-a, host: secret-a}}
        volumeMounts: [{name: secret-a, mountPath: secret-a, subPath: secret-a, subPathExpr: secret-a}]
        volumeDevices: [{name: secret-a, devicePath: secret-a}]
        resources: {claims: [{name: secret-a}]}
      volumes:
      - {name: secret-a, secret: {secretName: secret-b-g2}}
      - {name: x, persistentVolumeClaim: {claimName: secret-a}}
      - {name: y, image: {reference: secret-a}}
      - {name: z, hostPath: {path: secret-a}}
  volumeClaimTemplates: [{metadata: {name: secret-a}, spec: {storageClassName: secret-a, volumeName: secret-a}}]
status: {currentRevision: secret-a, conditions: [{message: uses secret-a}]}
`, "use secret-b-g2 .spec.template.spec.volumes[0].secret.secretName"},
	{"a Service", `
apiVersion: v1
kind: Service
metadata: {name: secret-a}
spec: {selector: {app: secret-a}, externalName: secret-a, ports: [{name: secret-a, port: 80, targetPort: secret-a, appProtocol: secret-a}]}
`, ""},
	{"a claim", `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: secret-a}
spec: {volumeName: secret-a, dataSource: {kind: PersistentVolumeClaim, name: secret-a}, selector: {matchLabels: {app: secret-a}}}
`, ""},
	{"an autoscaler", `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: secret-a}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: secret-a}, metrics: [{type: ContainerResource, containerResource: {name: cpu, container: secret-a}}]}
`, ""},
	{"an Ingress", `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: x, annotations: {nginx.ingress.kubernetes.io/auth-secret: shop/secret-a, nginx.ingress.kubernetes.io/auth-tls-secret: secret-a-g3}}
spec:
  tls: [{hosts: [secret-a], secretName: secret-b-g2}]
  rules: [{host: secret-a, http: {paths: [{path: /secret-a, backend: {service: {name: secret-a, port: {name: secret-a}}}}]}}]
`, `
mention secret-a .metadata.annotations['nginx.ingress.kubernetes.io/auth-secret']
use secret-b-g2 .spec.tls[0].secretName`},
	{"a Role", `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: secret-a}
rules: [{apiGroups: [secret-a], resources: [secret-a], verbs: [secret-a], resourceNames: [other, secret-a]}]
`, "mention secret-a .rules[0].resourceNames[1]"},
	{"a RoleBinding", `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: secret-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: secret-a}
subjects: [{kind: ServiceAccount, name: secret-a, namespace: secret-a}]
`, ""},
	{"a ConfigMap", `
apiVersion: v1
kind: ConfigMap
metadata: {name: secret-a}
data:
  secret-a: x
  name: secret-a
  path: secret-a
  text: the secret-a.
  more: "secret-a\n"
  json: '{"pods": "first\nsecret-a"}'
  other: secret-a-g2 other-secret-a secret-a.shop
  mount: secretFile=/run/secrets/secret-a/x "/etc/secret-a" a:/secret-a
  url: https://kubernetes/api/v1/namespaces/shop/secrets/secret-a
  pod.yaml: |
    spec:
      volumes: [{name: v, secret: {secretName: secret-b-g2}}]
  docker-compose.yaml: |
    services:
      app: {secrets: [secret-b-g2]}
binaryData: {secret-b-g2: AAAA, text: c2VjcmV0LWEK, secret: /////w==, broken: secret-a}
immutable: true
`, `
mention secret-b-g2 .binaryData.secret-b-g2
mention secret-a .binaryData.text
mention secret-b-g2 .data['docker-compose.yaml']
mention secret-b-g2 .data['pod.yaml']
mention secret-a .data.json
mention secret-a .data.more
mention secret-a .data.name
mention secret-a .data.path
mention secret-a .data.secret-a
mention secret-a .data.text
mention secret-a .data.url`},
	{"a Secret, whose content is not looked at", `
apiVersion: v1
kind: Secret
metadata: {name: x, labels: {of: secret-a}, annotations: {copied-from: secret-a}}
data: {secret-a: c2VjcmV0LWEK}
stringData: {x: secret-a}
`, "mention secret-a .metadata.annotations.copied-from"},
	{"not what it is called", `
apiVersion: secret-a
kind: secret-a
metadata: {name: secret-a, generateName: secret-a, namespace: secret-a, uid: secret-a, managedFields: [{manager: secret-a}]}
`, ""},
	{"an Event", "apiVersion: events.k8s.io/v1\nkind: Event\nnote: secret-a\nregarding: {kind: Secret, name: secret-a}", ""},
	{"an Event of old", "apiVersion: v1\nkind: Event\nmessage: secret-a\ninvolvedObject: {kind: Secret, name: secret-a}", ""},
	{"metrics of a pod", "apiVersion: metrics.k8s.io/v1beta1\nkind: PodMetrics\ncontainers: [{name: secret-a, usage: {cpu: 1m}}]", ""},
	{"parameters of a device", `
apiVersion: resource.k8s.io/v1
kind: ResourceClaim
metadata: {name: x}
spec: {devices: {config: [{opaque: {driver: d, parameters: {secret-a: {credentialsName: secret-b-g2}}}}]}}
`, `
mention secret-a .spec.devices.config[0].opaque.parameters.secret-a
mention secret-b-g2 .spec.devices.config[0].opaque.parameters.secret-a.credentialsName`},
	{"annotations", `
apiVersion: v1
kind: ConfigMap
metadata:
  name: x
  annotations:
    plain: secret-a
    text: uses secret-a
    array: "\n [\"secret-b-g2\"]"
    key: '{"secret-a": 1}'
    secret-a: x
    secretName: secret-a
    example.com/nested: '{"metadata": {"annotations": {"x": "[\"secret-a\"]"}}}'
    kubectl-fernet.github.io/manifest: '[{"manager":"ci","where":"volume a","secret":"secret-a"}]'
`, `
mention secret-b-g2 .metadata.annotations.array
mention secret-a .metadata.annotations.key
mention secret-a .metadata.annotations.plain
mention secret-a .metadata.annotations.secret-a
mention secret-a .metadata.annotations.secretName
mention secret-a .metadata.annotations.text
mention secret-a .metadata.annotations['example.com/nested']`},
	{"a ControllerRevision", `
apiVersion: apps/v1
kind: ControllerRevision
metadata: {name: x, labels: {x: secret-a}, annotations: {x: secret-a, y: '["secret-a"]', kapp.k14s.io/original: '{"data": "secret-a"}'}}
data: {spec: {template: {metadata: {annotations: {x: '["secret-a"]'}}, spec: {volumes: [{name: secret-a, secret: {secretName: secret-b-g2}}]}}}}
revision: 3
`, `
mention secret-a .data.spec.template.metadata.annotations.x
use secret-b-g2 .data.spec.template.spec.volumes[0].secret.secretName`},
	{"another one's ControllerRevision", `
apiVersion: example.com/v1
kind: ControllerRevision
metadata: {name: x, labels: {x: secret-a}, annotations: {note: secret-a}}
`, "mention secret-a .metadata.annotations.note"},
	{"any custom resource", `
apiVersion: example.com/v1
kind: Thing
metadata: {name: secret-a, labels: {app: secret-a}, ownerReferences: [{kind: Secret, name: secret-a}]}
spec:
  selector: secret-a
  volumes: [{name: secret-a}, {name: secret-a, emptyDir: {}}, {name: x, persistentVolumeClaim: {claimName: secret-a}}]
  service: {name: secret-a}
  env: [{name: secret-a}, {name: secret-a, value: secret-b-g2}]
  containers: [{name: secret-a}, {name: secret-a, image: secret-a}]
  image: {name: secret-a}
  template: {metadata: {name: secret-a, labels: {app: secret-a}}}
  path: secret-a
  text: uses secret-a
  file: /etc/secret-a
  secret-b-g2: [1, 2.5, true, null]
  target: {kind: Deployment, name: secret-a}
  source: {kind: Secret, name: secret-a}
  "\e[2J": [secret-a]
status: {secret: secret-a, text: uses secret-a, secret-a: x, resources: [{kind: Deployment, name: secret-a}, {kind: Secret, name: secret-a}]}
`, `
use secret-a .spec['\x1b[2J'][0]
use secret-a .spec.containers[0].name
use secret-b-g2 .spec.env[1].value
use secret-a .spec.env[0].name
use secret-a .spec.image.name
use secret-a .spec.path
mention secret-b-g2 .spec.secret-b-g2
use secret-a .spec.selector
use secret-a .spec.service.name
use secret-a .spec.source.name
mention secret-a .spec.target.name
use secret-a .spec.template.metadata.name
mention secret-a .spec.text
use secret-a .spec.volumes[0].name
use secret-a .status.resources[1].name
use secret-a .status.secret`},
}

func TestFind(t *testing.T) {
	for _, tc := range append(findCases, customCases...) {
		t.Run(tc.name, func(t *testing.T) {
			obj := object(t, tc.object)
			before := obj.DeepCopy()
			if got, want := lines(usage.Find(obj, wanted)), strings.TrimPrefix(tc.want, "\n"); sorted(got) != sorted(want) {
				t.Errorf("found\n%s\nwant\n%s", got, want)
			}
			if !reflect.DeepEqual(obj, before) {
				t.Error("changed the object")
			}
		})
	}
}

// Custom resources that people have.
var customCases = []struct{ name, object, want string }{
	{"an ExternalSecret", `
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: secret-a}
spec: {secretStoreRef: {kind: SecretStore, name: vault}, target: {name: secret-a}, data: [{secretKey: x, remoteRef: {key: shop/secret-b-g2}}]}
status: {binding: {name: secret-a}}
`, `
mention secret-b-g2 .spec.data[0].remoteRef.key
use secret-a .spec.target.name
use secret-a .status.binding.name`},
	{"a Certificate of cert-manager", `
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: secret-a}
spec: {secretName: secret-a, issuerRef: {kind: Issuer, name: secret-b-g2}, dnsNames: [secret-a.example.com]}
`, "use secret-a .spec.secretName\nmention secret-b-g2 .spec.issuerRef.name"},
	{"a Service of Knative", `
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: secret-a}
spec:
  template:
    spec:
      serviceAccountName: secret-a
      containers: [{name: secret-a, image: secret-a, envFrom: [{secretRef: {name: secret-a}}, {configMapRef: {name: secret-a}}], volumeMounts: [{name: secret-a, mountPath: /secret-a}]}]
      volumes: [{name: secret-a, secret: {secretName: secret-b-g2}}]
status: {url: "http://secret-a.shop.example.com", latestReadyRevisionName: secret-a-00001}
`, `
use secret-a .spec.template.spec.containers[0].envFrom[0].secretRef.name
use secret-b-g2 .spec.template.spec.volumes[0].secret.secretName`},
	{"a Rollout of Argo", `
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: secret-a}
spec:
  selector: {matchLabels: {app: secret-a}}
  strategy: {canary: {trafficRouting: {smi: {rootService: other}}}}
  template: {metadata: {labels: {app: secret-a}}, spec: {containers: [{name: app, image: i, env: [{name: A, valueFrom: {secretKeyRef: {name: secret-a, key: A}}}]}]}}
`, "use secret-a .spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef.name"},
	{"a Prometheus", `
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: x}
spec: {secrets: [secret-a], additionalScrapeConfigs: {name: secret-b-g2, key: x}, containers: [{name: secret-a, image: i}], serviceMonitorSelector: {matchLabels: {app: secret-a}}}
`, "use secret-b-g2 .spec.additionalScrapeConfigs.name\nuse secret-a .spec.secrets[0]"},
	{"a ServiceMonitor", `
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: x}
spec: {selector: {matchLabels: {app: secret-a}}, endpoints: [{port: secret-a, basicAuth: {password: {name: secret-a, key: x}}}]}
`, "use secret-a .spec.endpoints[0].basicAuth.password.name"},
	{"a VirtualService of Istio", `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: secret-a}
spec: {hosts: [secret-a], http: [{route: [{destination: {host: secret-a, port: {number: 80}}}]}]}
`, ""},
	{"an HTTPRoute", `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: secret-a}
spec: {parentRefs: [{name: web}], rules: [{backendRefs: [{name: secret-a, port: 80}]}]}
`, ""},
	{"a ScaledObject of KEDA", `
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: secret-a}
spec: {scaleTargetRef: {name: secret-a}, triggers: [{type: redis, metadata: {address: "secret-a:6379"}}]}
`, "mention secret-a .spec.triggers[0].metadata.address"},
}
