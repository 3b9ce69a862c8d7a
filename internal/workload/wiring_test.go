// SPDX-License-Identifier: Apache-2.0

package workload_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// template is a pod template as people write it, and the containers that are meant.
type template struct {
	name, text string
	containers []string
	command    []string // of a container without one
}

// templates are what a workload may look like beforehand.
var templates = []template{
	{name: "nothing there", text: `
containers:
- {name: app, image: example.com/app, command: [/app], args: [--port, "80"]}
`},
	{name: "no command", command: []string{"/entrypoint", "run"}, text: `
containers:
- {name: app, image: example.com/app}
`},
	{name: "part there", text: `
containers:
- name: app
  image: example.com/app
  command: [/app]
  env:
  - {name: MODE, value: fast}
  - {name: SECRET_A, valueFrom: {secretKeyRef: {name: web-g1, key: SECRET_A}}}
  envFrom:
  - {configMapRef: {name: settings}}
  - {secretRef: {name: fernet-key-g1}}
  volumeMounts:
  - {name: all, mountPath: /etc/fernet/}
volumes:
- name: all
  projected:
    sources:
    - {configMap: {name: settings}}
    - {secret: {name: web-g1, items: [{key: SECRET_A, path: SECRET_A}]}}
    - {secret: {name: fernet-key-g1}}
`},
	{name: "all there", text: `
containers:
- name: app
  image: example.com/app
  command: [/fernet/fernet-exec, --require, SECRET_A, --require=SECRET-B, --dir, /etc/fernet, --keep-keys, --, /app]
  envFrom:
  - {secretRef: {name: fernet-key-g1}}
  - {secretRef: {name: web-g1}}
  - {secretRef: {name: secret-a}}
  env:
  - {name: B, valueFrom: {secretKeyRef: {name: secret-b-g2, key: SECRET-B}}}
  volumeMounts:
  - {name: tokens, mountPath: /etc/fernet, readOnly: true}
  - {name: fernet-exec, mountPath: /fernet}
initContainers:
- {name: fernet-exec, image: example.com/fernet-exec, command: [/fernet-exec, --install, /fernet], volumeMounts: [{name: fernet-exec, mountPath: /fernet}]}
volumes:
- name: tokens
  projected: {sources: [{secret: {name: web-g1}}, {secret: {name: fernet-key-g1}}, {secret: {name: secret-a}}, {secret: {name: secret-b-g2}}]}
- {name: fernet-exec, emptyDir: {}}
`},
	{name: "an equal mount path", text: `
containers:
- name: app
  image: example.com/app
  command: [/app]
  volumeMounts:
  - {name: fernet, mountPath: /etc/fernet}
volumes:
- {name: fernet, emptyDir: {}}
`},
	{name: "an equal volume name", text: `
containers:
- name: app
  image: example.com/app
  command: [/app]
  volumeMounts:
  - {name: fernet, mountPath: /data}
volumes:
- {name: fernet, emptyDir: {}}
`},
	{name: "several containers", containers: []string{"web", "work*"}, text: `
containers:
- {name: proxy, image: example.com/proxy}
- {name: web, image: example.com/app, command: [/app, web]}
- {name: worker, image: example.com/app, command: [/app, worker], envFrom: [{secretRef: {name: web-g1}}]}
`},
	{name: "init containers", containers: []string{"*"}, text: `
initContainers:
- {name: migrate, image: example.com/app, command: [/app, migrate]}
containers:
- {name: app, image: example.com/app, command: [/app], securityContext: {runAsUser: 1000, runAsNonRoot: true}}
`},
	{name: "a sidecar", text: `
initContainers:
- {name: logs, image: example.com/logs, restartPolicy: Always}
containers:
- {name: app, image: example.com/app, command: [/app]}
`},
	{name: "a Secret of ours twice", text: `
containers:
- name: app
  image: example.com/app
  command: [/app]
  envFrom:
  - {secretRef: {name: web-g1}}
  - {secretRef: {name: web-g1}, prefix: OLD_}
  env:
  - {name: A, valueFrom: {secretKeyRef: {name: web-g1, key: SECRET_A}}}
  volumeMounts:
  - {name: one, mountPath: /etc/fernet}
  - {name: two, mountPath: /etc/other}
volumes:
- {name: one, projected: {sources: [{secret: {name: web-g1}}, {secret: {name: web-g1, items: [{key: SECRET_A, path: a}]}}]}}
- {name: two, secret: {secretName: web-g1}}
`},
	{name: "an older generation", text: `
containers:
- name: app
  image: example.com/app
  command: [/app]
  envFrom:
  - {secretRef: {name: web-g0}}
  volumeMounts:
  - {name: old, mountPath: /etc/fernet}
volumes:
- {name: old, projected: {sources: [{secret: {name: web-g0}}]}}
`},
	{name: "a variable of its own", text: `
containers:
- name: app
  image: example.com/app
  command: [/app]
  env:
  - {name: SECRET_A, value: plain}
  - {name: FERNET_KEY, valueFrom: {secretKeyRef: {name: my-keys, key: FERNET_KEY}}}
`},
}

var (
	bundle = []workload.Tokens{{Secret: "web-g1", Length: map[string]int{"SECRET_A": 100, "SECRET-B": 120}}}
	single = []workload.Tokens{{Secret: "secret-a", Length: map[string]int{"SECRET_A": 100}}, {Secret: "secret-b-g2", Length: map[string]int{"SECRET-B": 120}}}
)

func older(name string) string {
	if name == "web-g0" {
		return "web-g1"
	}
	return ""
}

// manners are the ways to give a container what it lacks.
var manners = []struct {
	name   string
	wiring workload.Wiring
}{
	{"environment", workload.Wiring{Tokens: bundle, Keyring: "fernet-key-g1", Next: older}},
	{"environment of single Secrets", workload.Wiring{Tokens: single, Keyring: "fernet-key-g1", Next: older}},
	{"environment without a keyring", workload.Wiring{Tokens: bundle, Next: older}},
	{"files", workload.Wiring{Tokens: bundle, Keyring: "fernet-key-g1", MountPath: "/etc/fernet", Next: older}},
	{"files of single Secrets", workload.Wiring{Tokens: single, Keyring: "fernet-key-g1", MountPath: "/etc/fernet", Next: older}},
	{"exec", workload.Wiring{Tokens: bundle, Keyring: "fernet-key-g1", Next: older, Exec: &workload.Exec{Image: "example.com/fernet-exec"}}},
	{"exec from a volume", workload.Wiring{Tokens: bundle, Keyring: "fernet-key-g1", Next: older, Exec: &workload.Exec{Image: "example.com/fernet-exec", Volume: true}}},
	{"exec with files", workload.Wiring{Tokens: bundle, Keyring: "fernet-key-g1", MountPath: "/etc/fernet", Next: older, Exec: &workload.Exec{Image: "example.com/fernet-exec"}}},
}

// kinds are all whose manifests have a pod template, with the rest that each needs.
var kinds = []struct {
	kind     workload.Kind
	resource string // none: the API server does not have it
	at       string // RFC 6901, of the pod spec
	around   string // the pod spec goes where POD stands
}{
	{workload.Deployment, "deployments", "/spec/template/spec", `{"spec":{"selector":{"matchLabels":{"app":"x"}},"replicas":0,"template":{"metadata":{"labels":{"app":"x"}},"spec":POD}}}`},
	{workload.StatefulSet, "statefulsets", "/spec/template/spec", `{"spec":{"selector":{"matchLabels":{"app":"x"}},"serviceName":"x","replicas":0,"template":{"metadata":{"labels":{"app":"x"}},"spec":POD}}}`},
	{workload.DaemonSet, "daemonsets", "/spec/template/spec", `{"spec":{"selector":{"matchLabels":{"app":"x"}},"template":{"metadata":{"labels":{"app":"x"}},"spec":POD}}}`},
	{workload.CronJob, "cronjobs", "/spec/jobTemplate/spec/template/spec", `{"spec":{"schedule":"@yearly","suspend":true,"jobTemplate":{"spec":{"template":{"spec":POD}}}}}`},
	{workload.Job, "jobs", "/spec/template/spec", `{"spec":{"suspend":true,"template":{"spec":POD}}}`},
	{workload.Pod, "pods", "/spec", `{"spec":POD}`},
	{workload.Rollout, "", "/spec/template/spec", `{"spec":{"selector":{"matchLabels":{"app":"x"}},"template":{"metadata":{"labels":{"app":"x"}},"spec":POD}}}`},
}

// manifest gives the template in a workload of the i-th kind.
func (tt template) manifest(t testing.TB, i int) workload.Workload {
	t.Helper()
	of := kinds[i]
	pod := map[string]any{}
	if err := yaml.Unmarshal([]byte(tt.text), &pod); err != nil {
		t.Fatal(err)
	}
	switch of.kind {
	case workload.CronJob, workload.Job:
		pod["restartPolicy"] = "Never"
	case workload.DaemonSet, workload.Pod:
		pod["nodeSelector"] = map[string]any{"no": "node"}
	}
	text, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON([]byte(`{"kind":"x",` + strings.Replace(of.around, "POD", string(text), 1)[1:])); err != nil {
		t.Fatal(err)
	}
	o.SetGroupVersionKind(of.kind.GroupVersion().WithKind(string(of.kind)))
	o.SetName(strings.ReplaceAll(strings.ToLower(tt.name), " ", "-"))
	return read(t, o)
}

func read(t testing.TB, o runtime.Object) workload.Workload {
	t.Helper()
	w, ok, err := workload.OfManifest(o.(*unstructured.Unstructured))
	if !ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	return w
}

// eachWiring calls test for each template in each manner.
func eachWiring(t *testing.T, test func(t *testing.T, tt template, wiring *workload.Wiring)) {
	for _, manner := range manners {
		for _, tt := range templates {
			t.Run(manner.name+"/"+tt.name, func(t *testing.T) {
				wiring := manner.wiring
				wiring.Containers = tt.containers
				if wiring.Exec != nil {
					exec := *wiring.Exec
					exec.Command, wiring.Exec = tt.command, &exec
				}
				test(t, tt, &wiring)
			})
		}
	}
}

// again is the same wiring for who has it already, with neither image nor command.
func again(wiring *workload.Wiring) *workload.Wiring {
	second := *wiring
	if second.Exec != nil {
		second.Exec = &workload.Exec{}
	}
	return &second
}

// wired is what a wiring makes of one manifest.
type wired struct {
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`

	Older   []string `json:"older,omitempty"`
	Own     []string `json:"own,omitempty"`
	Keyless []string `json:"keyless,omitempty"`
	Patch   string   `json:"patch,omitempty"`
	Back    string   `json:"back,omitempty"`
	Pod     any      `json:"pod,omitempty"`
}

// try wires a manifest, and a second time, which has to change nothing. The patches and the
// pod spec are as if it were a Deployment.
func try(t *testing.T, w workload.Workload, wiring *workload.Wiring, around string) wired {
	t.Helper()
	w.Generation = 7
	f, err := wiring.Fit(w)
	if err != nil {
		return wired{Error: err.Error(), Hint: string(hint.Of(err))}
	}
	after, err := f.Apply(w)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := again(wiring).Fit(read(t, after.Raw)); err != nil || !f.Unchanged() {
		t.Errorf("%s: a second run: %v, %s", w, err, again(wiring).Patch(w))
	}
	at := strings.Split(around, "/")
	pod, found, err := unstructured.NestedMap(after.Raw.(*unstructured.Unstructured).Object, at[1:]...)
	if !found || err != nil {
		t.Fatalf("%s: no pod spec: %v", w, err)
	}
	delete(pod, "restartPolicy") // which some kinds need
	delete(pod, "nodeSelector")
	asDeployment := strings.NewReplacer(`"`+around+`/`, `"/spec/template/spec/`)
	return wired{"", "", f.Older, f.Own, f.Keyless, asDeployment.Replace(string(wiring.Patch(w))), asDeployment.Replace(string(wiring.Back(w))), pod}
}

// Each patch, each way back and each manifest is as it was looked at once, and of every
// kind the same.
func TestWiring(t *testing.T) {
	eachWiring(t, func(t *testing.T, tt template, wiring *workload.Wiring) {
		var golden string
		for i, of := range kinds {
			text, err := yaml.Marshal(try(t, tt.manifest(t, i), wiring, of.at))
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				golden = string(text)
			} else if golden != string(text) {
				t.Errorf("a %s becomes\n%s\nand a %s\n%s", kinds[0].kind, golden, of.kind, text)
			}
		}
		name := strings.TrimPrefix(t.Name(), "TestWiring/")
		file := filepath.Join("testdata", "wire", strings.NewReplacer("/", "--", "_", "-").Replace(name)+".yaml")
		if os.Getenv("UPDATE_WIRE") == "1" {
			if err := os.WriteFile(file, []byte(golden), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || golden != string(want) {
			t.Errorf("%v: with UPDATE_WIRE=1 the test writes what it is now; look at the difference\n%s", err, golden)
		}
	})
}

// The API server takes each of these patches, and each manifest; what it stores lacks
// nothing, and the way back leads back.
func TestWiringOnTheAPIServer(t *testing.T) {
	namespace, config := testkube.Namespace(t), testkube.RESTConfig(t)
	client, err := cluster.Connect(config, nil, 8)
	if err != nil {
		t.Fatal(err)
	}
	objects := dynamic.NewForConfigOrDie(config)
	eachWiring(t, func(t *testing.T, tt template, wiring *workload.Wiring) {
		for i, of := range kinds {
			w := tt.manifest(t, i)
			f, err := wiring.Fit(w)
			if err != nil || of.resource == "" {
				continue
			}
			store := objects.Resource(of.kind.GroupVersion().WithResource(of.resource)).Namespace(namespace)
			if !of.kind.Patchable() {
				if w, err = f.Apply(w); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := store.Create(t.Context(), w.Raw.(*unstructured.Unstructured), metav1.CreateOptions{FieldValidation: "Strict"}); err != nil {
				t.Errorf("%s: %v", w, err)
				continue
			}
			checkStored(t, client, wiring, of.kind, namespace, w.Name)
			policy := metav1.DeletePropagationBackground
			if err := store.Delete(t.Context(), w.Name, metav1.DeleteOptions{PropagationPolicy: &policy, GracePeriodSeconds: new(int64)}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// checkStored wires a live workload, if that can be done, and looks at it.
func checkStored(t *testing.T, client *cluster.Client, wiring *workload.Wiring, kind workload.Kind, namespace, name string) {
	t.Helper()
	before, err := client.GetWorkload(t.Context(), kind, namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	now, back := before, wiring.Back(before)
	if kind.Patchable() && back != nil {
		for _, dryRun := range []bool{true, false} {
			if now, err = client.Patch(t.Context(), before, wiring, dryRun); err != nil {
				t.Errorf("%s, dry run %v: %v", before, dryRun, err)
				return
			}
		}
	}
	if f, err := again(wiring).Fit(now); err != nil || !f.Unchanged() {
		t.Errorf("%s: what is stored lacks something: %v, %s", now, err, wiring.Patch(now))
	}
	if !kind.Patchable() || back == nil {
		return
	}
	if now, err = client.Patch(t.Context(), now, made(back), false); err != nil || !equality.Semantic.DeepEqual(now.Template, before.Template) {
		t.Errorf("%s: the way back: %v\n%s", now, err, back)
	}
}

// made is a patch that is made already.
type made []byte

func (m made) Patch(workload.Workload) []byte                  { return m }
func (made) Back(workload.Workload) []byte                     { return nil }
func (made) Compare(_, _ workload.Workload) workload.Sight     { return workload.Applied }
func (made) Stale(_, _ workload.Workload) bool                 { return false }
func (made) Reverted(workload.Workload) (is bool, name string) { return false, "" }
