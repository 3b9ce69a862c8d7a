// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
)

func usesA(_, name string) bool { return name == "secret-a" }

// objects gives the lab's objects of a kind, as groups/version/plural or, in the
// core group, version/plural.
func (l lab) objects(t *testing.T, resource string) dynamic.ResourceInterface {
	t.Helper()
	gv, plural := resource[:strings.LastIndex(resource, "/")], resource[strings.LastIndex(resource, "/")+1:]
	parsed, err := schema.ParseGroupVersion(gv)
	if err != nil {
		t.Fatal(err)
	}
	return dynamic.NewForConfigOrDie(testkube.RESTConfig(t)).Resource(parsed.WithResource(plural)).Namespace(l.namespace)
}

// make stores an object that a manifest describes.
func (l lab) make(t *testing.T, resource, text string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		t.Fatal(err)
	}
	stored, err := l.objects(t, resource).Create(t.Context(), object, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("%s %s: %v", resource, object.GetName(), err)
	}
	return stored
}

// patch changes an object, or its subresource.
func (l lab) patch(t *testing.T, resource, name, change string, subresource ...string) {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(change))
	if err == nil {
		_, err = l.objects(t, resource).Patch(t.Context(), name, types.MergePatchType, data, metav1.PatchOptions{}, subresource...)
	}
	if err != nil {
		t.Fatalf("%s %s: %v", resource, name, err)
	}
}

// field gives a field of an object, or nil.
func (l lab) field(t *testing.T, resource, name string, path ...string) any {
	t.Helper()
	object, err := l.objects(t, resource).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Errorf("%s %s: %v", resource, name, err)
		return nil
	}
	value, _, _ := unstructured.NestedFieldNoCopy(object.Object, path...)
	return value
}

// walk gives what a walk finds of the use of secret-a.
func (l lab) walk(t *testing.T) cluster.Walk {
	t.Helper()
	walk, err := walkOf(t.Context(), l.client, l.namespace)
	if err != nil {
		t.Fatal(err)
	}
	return walk
}

// walkOf walks over one namespace.
func walkOf(ctx context.Context, c *cluster.Client, namespace string) (cluster.Walk, error) {
	walks, err := c.Walks(ctx, []string{namespace}, usesA)
	return walks[namespace], err
}

// found describes the findings about an object: class, reason, what is lost, and place.
func found(walk cluster.Walk, object string) string {
	var lines []string
	for _, f := range walk.Findings {
		if f.Object() == object {
			class := cmp.Or(f.Class.Ignore(), "use")
			lines = append(lines, strings.Join([]string{class, f.Reason, f.Owner, f.Revision, f.Field}, "|"))
		}
	}
	return strings.Join(lines, "\n")
}

// No controller makes or runs Pods of these: those that are made directly name a
// scheduler that is not there, and those of a template a service account that is
// not, and no node.
const (
	podSpec     = `{schedulerName: nobody, containers: [{name: c, image: i, envFrom: [{secretRef: {name: secret-a}}]}]}`
	template    = `{metadata: {labels: {app: x}}, spec: {serviceAccountName: nobody, nodeSelector: {no: where}, volumes: [{name: v, secret: {secretName: secret-a}}], containers: [{name: c, image: i}]}}`
	jobTemplate = `{spec: {restartPolicy: Never, serviceAccountName: nobody, volumes: [{name: v, secret: {secretName: secret-a}}], containers: [{name: c, image: i}]}}`
	appX        = `selector: {matchLabels: {app: x}}`

	inTemplate = ".spec.template.spec.volumes[0].secret.secretName"
	inPod      = ".spec.containers[0].envFrom[0].secretRef.name"
	inManifest = "manifests|the last applied manifest names it: annotation " + usage.LastApplied + "|||.secrets[0].name"
	mentioned  = "mentions|the name is mentioned|||"
)

var kindsOfReferences = []struct {
	name, resource, manifest string
	status                   string // to set; empty: none
	await                    string // a type of condition that its controller sets; empty: none
	object, want             string
}{
	{name: "running pod", resource: "v1/pods", manifest: `{kind: Pod, apiVersion: v1, metadata: {name: run}, spec: ` + podSpec + `}`,
		status: `{status: {phase: Running}}`, object: "pod/run", want: "use|running pod|||" + inPod},
	{name: "pending pod", resource: "v1/pods", manifest: `{kind: Pod, apiVersion: v1, metadata: {name: wait}, spec: ` + podSpec + `}`,
		object: "pod/wait", want: "use|unfinished pod|||" + inPod},
	{name: "finished pod", resource: "v1/pods", manifest: `{kind: Pod, apiVersion: v1, metadata: {name: done}, spec: ` + podSpec + `}`,
		status: `{status: {phase: Succeeded}}`, object: "pod/done", want: "history|finished pod|||" + inPod},
	{name: "failed pod", resource: "v1/pods", manifest: `{kind: Pod, apiVersion: v1, metadata: {name: fail}, spec: ` + podSpec + `}`,
		status: `{status: {phase: Failed}}`, object: "pod/fail", want: "history|finished pod|||" + inPod},
	{name: "replication controller", resource: "v1/replicationcontrollers", manifest: `{kind: ReplicationController, apiVersion: v1, metadata: {name: rc}, spec: {replicas: 0, selector: {app: x}, template: ` + template + `}}`,
		object: "replicationcontroller/rc", want: "use|current template|||" + inTemplate},
	{name: "pod template", resource: "v1/podtemplates", manifest: `{kind: PodTemplate, apiVersion: v1, metadata: {name: pt}, template: ` + template + `}`,
		object: "podtemplate/pt", want: "use|current template|||.template.spec.volumes[0].secret.secretName"},
	{name: "deployment", resource: "apps/v1/deployments", manifest: `{kind: Deployment, apiVersion: apps/v1, metadata: {name: web}, spec: {paused: true, replicas: 0, ` + appX + `, template: ` + template + `}}`,
		object: "deployment.apps/web", want: "use|current template|||" + inTemplate},
	{name: "replica set", resource: "apps/v1/replicasets", manifest: `{kind: ReplicaSet, apiVersion: apps/v1, metadata: {name: rs}, spec: {replicas: 2, ` + appX + `, template: ` + template + `}}`,
		object: "replicaset.apps/rs", want: "use|ReplicaSet with 2 replicas|||" + inTemplate},
	{name: "replica set at 0 by itself", resource: "apps/v1/replicasets", manifest: `{kind: ReplicaSet, apiVersion: apps/v1, metadata: {name: rs0}, spec: {replicas: 0, ` + appX + `, template: ` + template + `}}`,
		object: "replicaset.apps/rs0", want: "use|ReplicaSet that belongs to nothing|||" + inTemplate},
	{name: "stateful set", resource: "apps/v1/statefulsets", manifest: `{kind: StatefulSet, apiVersion: apps/v1, metadata: {name: db}, spec: {replicas: 0, serviceName: db, ` + appX + `, template: ` + template + `}}`,
		object: "statefulset.apps/db", want: "use|current template|||" + inTemplate},
	{name: "daemon set", resource: "apps/v1/daemonsets", manifest: `{kind: DaemonSet, apiVersion: apps/v1, metadata: {name: agent}, spec: {` + appX + `, template: ` + template + `}}`,
		object: "daemonset.apps/agent", want: "use|current template|||" + inTemplate},
	{name: "job", resource: "batch/v1/jobs", manifest: `{kind: Job, apiVersion: batch/v1, metadata: {name: task}, spec: {suspend: true, template: ` + jobTemplate + `}}`,
		object: "job.batch/task", want: "use|unfinished Job|||" + inTemplate},
	{name: "finished job", resource: "batch/v1/jobs", manifest: `{kind: Job, apiVersion: batch/v1, metadata: {name: nothing-to-do}, spec: {completions: 0, template: ` + jobTemplate + `}}`,
		await: "Complete", object: "job.batch/nothing-to-do", want: "history|finished Job|||" + inTemplate},
	{name: "cron job", resource: "batch/v1/cronjobs", manifest: `{kind: CronJob, apiVersion: batch/v1, metadata: {name: tick}, spec: {suspend: true, schedule: 0 0 1 1 *, jobTemplate: {spec: {template: ` + jobTemplate + `}}}}`,
		object: "cronjob.batch/tick", want: "use|CronJob|||.spec.jobTemplate.spec.template.spec.volumes[0].secret.secretName"},
	{name: "service account", resource: "v1/serviceaccounts", manifest: `{kind: ServiceAccount, apiVersion: v1, metadata: {name: sa}, secrets: [{name: secret-a}], imagePullSecrets: [{name: other}, {name: secret-a}]}`,
		object: "serviceaccount/sa", want: "use|object|||.imagePullSecrets[1].name\nuse|object|||.secrets[0].name"},
	{name: "ingress", resource: "networking.k8s.io/v1/ingresses", manifest: `{kind: Ingress, apiVersion: networking.k8s.io/v1, metadata: {name: in}, spec: {tls: [{secretName: secret-a}], defaultBackend: {service: {name: s, port: {number: 80}}}}}`,
		object: "ingress.networking.k8s.io/in", want: "use|object|||.spec.tls[0].secretName"},
	{name: "config map", resource: "v1/configmaps", manifest: `{kind: ConfigMap, apiVersion: v1, metadata: {name: cm}, data: {a.b: secret-a, secret-a: x}}`,
		object: "configmap/cm", want: mentioned + ".data.secret-a\n" + mentioned + ".data['a.b']"},
	{name: "last applied", resource: "v1/serviceaccounts", manifest: `{kind: ServiceAccount, apiVersion: v1, metadata: {name: sa, annotations: {` + usage.LastApplied + `: '{"kind":"ServiceAccount","apiVersion":"v1","secrets":[{"name":"secret-a"}]}'}}}`,
		object: "serviceaccount/sa", want: inManifest},
	{name: "annotation", resource: "v1/services", manifest: `{kind: Service, apiVersion: v1, metadata: {name: s, annotations: {certificates: '[{"from": ["secret-a"]}]'}}, spec: {ports: [{port: 80}]}}`,
		object: "service/s", want: mentioned + ".metadata.annotations.certificates"},
	{name: "another Secret", resource: "v1/secrets", manifest: `{kind: Secret, apiVersion: v1, metadata: {name: s, annotations: {copied-from: secret-a}, labels: {of: secret-a}}}`,
		object: "secret/s", want: mentioned + ".metadata.annotations.copied-from"},
}

// Of each kind of reference there is one that is found, and found no more when
// it is gone.
func TestWalkFindsEachKindOfReference(t *testing.T) {
	l := newLab(t)
	until(t, "there is a service account", func() bool {
		_, err := l.objects(t, "v1/serviceaccounts").Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil
	})
	for _, tc := range kindsOfReferences {
		t.Run(tc.name, func(t *testing.T) {
			name := l.make(t, tc.resource, tc.manifest).GetName()
			if tc.status != "" {
				l.patch(t, tc.resource, name, tc.status, "status")
			}
			if tc.await != "" {
				until(t, "it is "+tc.await, func() bool {
					return strings.Contains(fmt.Sprint(l.field(t, tc.resource, name, "status", "conditions")), "type:"+tc.await)
				})
			}
			if got := found(l.walk(t), tc.object); got != tc.want {
				t.Errorf("found\n%s\nwant\n%s", got, tc.want)
			}
			now, background := int64(0), metav1.DeletePropagationBackground
			opts := metav1.DeleteOptions{GracePeriodSeconds: &now, PropagationPolicy: &background}
			if err := l.objects(t, tc.resource).Delete(t.Context(), name, opts); err != nil {
				t.Fatal(err)
			}
			until(t, "nothing of it is found any more", func() bool { return found(l.walk(t), tc.object) == "" })
		})
	}
}

// A ReplicaSet at 0 is history beside its Deployment.
func TestWalkFindsWhatCanBeRolledBackTo(t *testing.T) {
	l := newLab(t)
	l.make(t, "apps/v1/deployments", `{kind: Deployment, apiVersion: apps/v1, metadata: {name: web}, spec: {replicas: 0, `+appX+`, template: `+template+`}}`)
	var old string
	until(t, "there is a ReplicaSet", func() bool {
		for _, f := range l.walk(t).Findings {
			if f.Kind == "ReplicaSet" {
				old = f.Name
			}
		}
		return old != ""
	})
	l.patch(t, "apps/v1/deployments", "web", `{spec: {template: {spec: {volumes: null}}}}`)
	const want = "history|old ReplicaSet|deployment.apps/web|1|" + inTemplate
	until(t, "only the ReplicaSet uses it", func() bool { return len(l.walk(t).Findings) == 1 })
	if got := found(l.walk(t), "replicaset.apps/"+old); got != want {
		t.Errorf("found\n%s\nwant\n%s", got, want)
	}
	l.patch(t, "apps/v1/deployments", "web", `{spec: {revisionHistoryLimit: 0}}`)
	until(t, "nothing uses it", func() bool { return len(l.walk(t).Findings) == 0 })
}

// Of a StatefulSet's and of a DaemonSet's ControllerRevisions the current one
// blocks, and becomes history with the next.
func TestWalkTellsOldRevisionsFromCurrentOnes(t *testing.T) {
	const inRevision = ".data.spec.template.spec.volumes[0].secret.secretName"
	for kind, manifest := range map[string]string{
		"StatefulSet": `{kind: StatefulSet, apiVersion: apps/v1, metadata: {name: x}, spec: {replicas: 0, serviceName: db, ` + appX + `, template: ` + template + `}}`,
		"DaemonSet":   `{kind: DaemonSet, apiVersion: apps/v1, metadata: {name: x}, spec: {` + appX + `, template: ` + template + `}}`,
	} {
		t.Run(kind, func(t *testing.T) {
			l := newLab(t)
			resource, owner := "apps/v1/"+strings.ToLower(kind)+"s", strings.ToLower(kind)+".apps/x"
			l.make(t, resource, manifest)
			revision := ""
			until(t, "there is a revision", func() bool {
				for _, f := range l.walk(t).Findings {
					if f.Kind == "ControllerRevision" {
						revision = f.Object()
					}
				}
				return revision != ""
			})
			if got, want := found(l.walk(t), revision), "use|ControllerRevision that may be current|||"+inRevision; got != want {
				t.Errorf("at first found\n%s\nwant\n%s", got, want)
			}
			l.patch(t, resource, "x", `{spec: {template: {spec: {volumes: null}}}}`)
			want := "history|old ControllerRevision|" + owner + "|1|" + inRevision
			until(t, "the revision is old", func() bool { return found(l.walk(t), revision) == want })
			l.patch(t, resource, "x", `{spec: {revisionHistoryLimit: 0}}`)
			until(t, "nothing uses it", func() bool { return len(l.walk(t).Findings) == 0 })
		})
	}
}

func TestWalkFindsReferencesOfCustomResources(t *testing.T) {
	l := newLab(t)
	group := "t-" + strings.ToLower(rand.Text()[:12]) + ".example.com"
	definitions := dynamic.NewForConfigOrDie(testkube.RESTConfig(t)).Resource(schema.GroupVersionResource{
		Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
	})
	definition := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.`+group+`}
spec:
  group: `+group+`
  scope: Namespaced
  names: {kind: Thing, plural: things}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`), &definition.Object); err != nil {
		t.Fatal(err)
	}
	if _, err := definitions.Create(t.Context(), definition, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := definitions.Delete(context.WithoutCancel(t.Context()), definition.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	things := l.objects(t, group+"/v1/things")
	thing := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": group + "/v1", "kind": "Thing", "metadata": map[string]any{"name": "x"},
		"spec": map[string]any{"sources": []any{map[string]any{"secret": "secret-a"}}},
	}}
	until(t, "the new kind is there", func() bool {
		_, err := things.Create(t.Context(), thing, metav1.CreateOptions{})
		return err == nil
	})
	until(t, "its reference is found", func() bool {
		l.client = l.another(t) // discovery is asked once
		return found(l.walk(t), "thing."+group+"/x") == "use|object|||.spec.sources[0].secret"
	})
	if err := things.Delete(t.Context(), "x", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := l.walk(t).Findings; got != nil {
		t.Errorf("it is gone, and found is %+v", got)
	}
}

// Events are no use, whatever they tell of, nor are our own Secrets, nor one of
// them without its label; of other Secrets no data crosses the network.
func TestWalkLeavesOut(t *testing.T) {
	l := newLab(t)
	l.make(t, "v1/events", `{kind: Event, apiVersion: v1, metadata: {name: e, namespace: `+l.namespace+`, annotations: {a: secret-a}}, involvedObject: {kind: Secret, name: secret-a, namespace: `+l.namespace+`}, reason: secret-a, message: secret-a}`)
	l.ours(t, nil, "secret-a", "secret-a-g2")
	l.ours(t, unlabelled, "secret-a-g3")
	walk := l.walk(t)
	if walk.Findings != nil || walk.Objects == 0 || walk.Kinds < 20 {
		t.Errorf("found %+v in %d objects of %d kinds", walk.Findings, walk.Objects, walk.Kinds)
	}
	var paths []string
	for _, r := range l.proxy.Requests() {
		_, kind, _ := strings.Cut(r.Path, "/namespaces/"+l.namespace+"/")
		paths = append(paths, kind)
		if onlyNames := strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadataList"); kind == "secrets" &&
			(!onlyNames && !strings.Contains(r.RawQuery, "fieldSelector=type%3Dhelm.sh%2Frelease.v1") || !strings.Contains(r.RawQuery, "labelSelector=app.kubernetes.io%2Fmanaged-by%21%3Dkubectl-fernet")) {
			t.Errorf("asked for whole Secrets: %s, %s", r.RawQuery, r.Header.Get("Accept"))
		}
		if r.Method != http.MethodGet || kind == "events" {
			t.Errorf("%s %s", r.Method, r.Path)
		}
	}
	for _, order := range [][]string{
		{"deployments", "replicasets", "pods"}, {"cronjobs", "jobs", "pods"},
		{"statefulsets", "controllerrevisions", "pods"}, {"daemonsets", "controllerrevisions", "pods"}, {"secrets", "pods"},
	} {
		at := -1
		for _, kind := range order {
			if i := slices.Index(paths, kind); i <= at {
				t.Errorf("%v are not listed in this order in %v", order, paths)
			} else {
				at = i
			}
		}
	}
}

// A kind that may not be listed is told of, and what may be is walked.
func TestWalkWithFewRights(t *testing.T) {
	l := newLab(t)
	l.make(t, "v1/configmaps", `{kind: ConfigMap, apiVersion: v1, metadata: {name: cm}, data: {a: secret-a}}`)
	user := testkube.User(t, l.namespace, "walker-of-"+l.namespace,
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps", "pods"}, Verbs: []string{"list"}},
		rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"*"}, Verbs: []string{"list"}})
	walk, err := walkOf(t.Context(), connect(t, load(t, user), nil), l.namespace)
	if err != nil {
		t.Fatal(err)
	}
	if got := found(walk, "configmap/cm"); got != mentioned+".data.a" {
		t.Errorf("found %q", got)
	}
	denied := map[bool][]string{} // by whether it holds Pods
	for _, kind := range walk.Denied {
		denied[kind.PodHolding] = append(denied[kind.PodHolding], kind.String())
		var e *cluster.Error
		if !errors.As(kind.Err, &e) || !strings.Contains(e.Message, "cannot list resource") || string(e.Way) != "that needs the verb list on "+kind.String()+" in this namespace" {
			t.Errorf("%s: %+v", kind, kind.Err)
		}
	}
	if want := []string{"cronjobs.batch", "jobs.batch", "replicationcontrollers"}; !slices.Equal(denied[true], want) {
		t.Errorf("of those that hold Pods denied: %q, want %q", denied[true], want)
	}
	for _, kind := range []string{"secrets", "ingresses.networking.k8s.io", "serviceaccounts", "podtemplates"} {
		if !slices.Contains(denied[false], kind) {
			t.Errorf("%s is not among %q", kind, denied[false])
		}
	}
	if slices.Contains(denied[false], "events") || !slices.IsSorted(denied[false]) {
		t.Errorf("denied: %q", denied[false])
	}
}

// unaggregated answers discovery as an old API server does, with these groups.
func unaggregated(groups ...string) []faultproxy.Rule {
	list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	for _, group := range groups {
		name, version, _ := strings.Cut(group, "/")
		gv := metav1.GroupVersionForDiscovery{GroupVersion: group, Version: version}
		list.Groups = append(list.Groups, metav1.APIGroup{Name: name, Versions: []metav1.GroupVersionForDiscovery{gv}, PreferredVersion: gv})
	}
	apis, err := json.Marshal(list)
	if err != nil {
		panic(err) // a plain struct of strings
	}
	return []faultproxy.Rule{
		at("/api", faultproxy.Status(200, asJSON, []byte(`{"kind":"APIVersions","versions":["v1"]}`))),
		at("/apis", faultproxy.Status(200, asJSON, apis)),
	}
}

// at is a rule about requests whose path ends so.
func at(suffix string, a faultproxy.Action) faultproxy.Rule {
	return func(r faultproxy.Request) faultproxy.Action {
		if strings.HasSuffix(r.Path, suffix) {
			return a
		}
		return nil
	}
}

// What discovery cannot tell of, or leaves out, may hold anything.
func TestWalkWithHalfADiscovery(t *testing.T) {
	l := newLab(t)
	l.make(t, "v1/configmaps", `{kind: ConfigMap, apiVersion: v1, metadata: {name: cm}, data: {a: secret-a}}`)
	l.proxy.Reset(append(unaggregated("apps/v1", "networking.k8s.io/v1", "metrics.k8s.io/v1beta1"),
		at("/apis/apps/v1", faultproxy.Status(503, nil, nil)),
		at("/apis/metrics.k8s.io/v1beta1", faultproxy.Status(503, nil, nil)),
		at("/services", faultproxy.Status(503, nil, nil)),
		at("/endpoints", faultproxy.Status(404, nil, nil)))...)
	walk := l.walk(t)
	var got []string
	for _, kind := range walk.Denied {
		if got = append(got, fmt.Sprint(kind, " ", kind.PodHolding)); kind.Err == nil {
			t.Errorf("%s: no reason", kind)
		}
	}
	want := []string{
		"all of apps/v1 false", "all of metrics.k8s.io/v1beta1 false",
		"controllerrevisions.apps true", "cronjobs.batch true", "daemonsets.apps true", "deployments.apps true",
		"endpoints false", "jobs.batch true", "replicasets.apps true", "services false", "statefulsets.apps true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("denied %q\nwant   %q", got, want)
	}
	if len(walk.Findings) != 1 || found(walk, "configmap/cm") == "" {
		t.Errorf("found %+v", walk.Findings)
	}
}

func TestWalkFails(t *testing.T) {
	broken := errors.New("the way is broken")
	for _, tc := range []struct {
		name string
		rule faultproxy.Rule
		way  func(*http.Request) error
		want string
	}{
		{name: "no discovery", rule: at("/apis", faultproxy.Status(500, nil, nil)), want: "cannot look at what kinds of objects there are: the API server answered HTTP 500"},
		{name: "no right to discovery", rule: at("/apis", faultproxy.Status(403, nil, nil)), want: "the API server answered HTTP 403"},
		{name: "credentials expire", rule: at("/configmaps", faultproxy.Status(401, nil, nil)), want: "does not accept these credentials"},
		{name: "the server goes away", way: func(r *http.Request) error {
			if strings.HasSuffix(r.URL.Path, "/pods") {
				return broken
			}
			return nil
		}, want: broken.Error()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t)
			if tc.rule != nil {
				l.proxy.Reset(tc.rule)
			}
			if tc.way != nil {
				config := testkube.RESTConfig(t)
				config.Wrap(func(next http.RoundTripper) http.RoundTripper { return way{next, tc.way} })
				l.client = connect(t, config, nil)
			}
			walk, err := walkOf(t.Context(), l.client, l.namespace)
			var e *cluster.Error
			if !errors.As(err, &e) || !strings.Contains(e.Message, tc.want) || walk.Kinds != 0 || walk.Denied != nil {
				t.Errorf("%+v, error %v; want an error with %q alone", walk, err, tc.want)
			}
		})
	}
}

// way asks before each request whether it goes on.
type way struct {
	next http.RoundTripper
	ask  func(*http.Request) error
}

func (w way) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := w.ask(r); err != nil {
		return nil, err
	}
	return w.next.RoundTrip(r)
}

func TestWalkInterrupted(t *testing.T) {
	l := newLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l.proxy.Reset(func(r faultproxy.Request) faultproxy.Action {
		if strings.HasSuffix(r.Path, "/configmaps") {
			cancel()
			return faultproxy.Delay(time.Second, 0)
		}
		return nil
	})
	if _, err := walkOf(ctx, l.client, l.namespace); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// Of other Secrets, too, all pages are read.
func TestWalkReadsPagesOfSecrets(t *testing.T) {
	l := newLab(t)
	var others []string
	for i := range 550 {
		others = append(others, fmt.Sprintf("other-%03d", i))
	}
	l.ours(t, func(s *corev1.Secret) {
		s.Labels, s.Annotations = nil, map[string]string{"copied-from": "secret-a"}
	}, others...)
	if n := len(l.walk(t).Findings); n != 550 {
		t.Errorf("%d findings, want one in each of 550 Secrets", n)
	}
}

// 600 ConfigMaps come in two pages. Where the API server has forgotten the first
// when the second is asked for, the list begins again and counts nothing twice;
// where it always forgets, the kind cannot be listed.
func TestWalkReadsPages(t *testing.T) {
	l := newLab(t)
	for i := range 600 {
		l.make(t, "v1/configmaps", fmt.Sprintf(`{kind: ConfigMap, apiVersion: v1, metadata: {name: cm-%03d}, data: {a: secret-a}}`, i))
	}
	further := func(code int, body []byte) faultproxy.Rule {
		return func(r faultproxy.Request) faultproxy.Action {
			if strings.Contains(r.RawQuery, "continue=") {
				return faultproxy.Status(code, asJSON, body)
			}
			return nil
		}
	}
	expired := []byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410,"message":"too old"}`)
	gone := []byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Gone","code":410,"message":"gone"}`)
	for _, tc := range []struct {
		name            string
		rule            faultproxy.Rule
		findings, lists int
	}{
		{"two pages", nil, 600, 2},
		{"expired", faultproxy.First(1, further(410, expired)), 600, 4},
		{"gone", faultproxy.First(3, further(410, gone)), 600, 8},
		{"always", further(410, expired), 0, 8},
		{"another error", further(500, nil), 0, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l.proxy.Reset()
			if tc.rule != nil {
				l.proxy.Reset(tc.rule)
			}
			walk := l.walk(t)
			denied := slices.ContainsFunc(walk.Denied, func(k cluster.Kind) bool { return k.String() == "configmaps" })
			lists := 0
			for _, r := range l.proxy.Requests() {
				if strings.HasSuffix(r.Path, "/configmaps") {
					lists++
				}
			}
			if len(walk.Findings) != tc.findings || lists != tc.lists || denied != (tc.findings == 0) {
				t.Errorf("%d findings with %d lists, denied: %v; want %d with %d", len(walk.Findings), lists, denied, tc.findings, tc.lists)
			}
		})
	}
}

func TestWalkIsNotGreedy(t *testing.T) {
	l := newLab(t)
	var now, most atomic.Int32
	config := testkube.RESTConfig(t)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return counting{next, &now, &most}
	})
	limited, err := cluster.Connect(config, nil, 3)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := walkOf(t.Context(), limited, l.namespace); err != nil {
		t.Fatal(err)
	}
	if n := most.Load(); n < 1 || n > 3 {
		t.Errorf("%d lists at a time, want three at most", n)
	}
}

// counting counts how many requests are under way.
type counting struct {
	next      http.RoundTripper
	now, most *atomic.Int32
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	defer c.now.Add(-1)
	if n := c.now.Add(1); n > c.most.Load() {
		c.most.Store(n) // a count too low only makes the test milder
	}
	time.Sleep(20 * time.Millisecond)
	return c.next.RoundTrip(r)
}

func TestGetSecrets(t *testing.T) {
	l := newLab(t)
	l.ours(t, nil, "secret-b", "secret-a")
	objects, err := l.client.GetSecrets(t.Context(), l.namespace, []string{"secret-b", "missing", "secret-a"})
	live := l.live(t)
	a, b := live["secret-a"], live["secret-b"]
	if want := []manifest.Object{manifest.FromSecret(&b), manifest.FromSecret(&a)}; err != nil || !slices.Equal(objects, want) {
		t.Errorf("got %+v, error %v\nwant %+v", objects, err, want)
	}
	l.proxy.Reset(reads(faultproxy.Status(500, nil, nil)))
	var e *cluster.Error
	if objects, err = l.client.GetSecrets(t.Context(), l.namespace, []string{"secret-b"}); !errors.As(err, &e) || objects != nil {
		t.Errorf("got %+v, error %v; want a *cluster.Error", objects, err)
	}
}
