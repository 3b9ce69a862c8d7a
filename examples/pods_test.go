// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// bare is a workload that has nothing of ours, and that "restricted" admits.
const bare = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      initContainers:
        - name: open
          image: registry.example.com/fernet-exec:1
          command: [/fernet-exec, --write, /run/opened]
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      containers:
        - name: app
          image: registry.example.com/web:1
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`

const bareEnv = `FERNET_BUNDLE=web
FERNET_MATCH=*
FERNET_KEY_SECRET=fernet-key
API_TOKEN=example-api-token
DATABASE_URL=example
`

// wired is a command of docs/pods.md and what it adds to the pods of a workload.
type wired struct{ command, adds string }

var wiredBlock = regexp.MustCompile("(?m)^    (kubectl fernet wire .*)\n\n```yaml\n((?:.*\n)*?)```$")

func podsDocument(t *testing.T) (all []wired) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(testkube.Root(t), "docs", "pods.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range wiredBlock.FindAllStringSubmatch(string(content), -1) {
		all = append(all, wired{match[1], match[2]})
	}
	if blocks := strings.Count(string(content), "```yaml"); len(all) < 5 || len(all) != blocks {
		t.Fatalf("docs/pods.md has %d blocks of YAML, and %d with the wire before them", blocks, len(all))
	}
	return all
}

// What docs/pods.md shows is what wire says and does, and "restricted" admits it.
func TestWireMakesWhatPodsDocumentShows(t *testing.T) {
	n := newNewcomer(t, build(t, "../cmd/kubectl-fernet"))
	n.write(filepath.Join(n.dir, ".env"), bareEnv)
	n.write(filepath.Join(n.dir, "web.yaml"), bare)
	for _, line := range []string{"kubectl fernet init", "kubectl fernet push", "kubectl apply -f web.yaml"} {
		n.does(line)
	}
	for _, w := range podsDocument(t) {
		verb, command, _ := strings.Cut(w.command, " -- ")
		if command != "" {
			command = " -- " + command
		}
		_, stderr := n.does(verb + " --dry-run" + command)
		if got, want := added(t, stderr), parsed(t, w.adds); !reflect.DeepEqual(got, want) {
			t.Errorf("%s adds\n%v\nand the document says\n%v", w.command, got, want)
		}
		n.does(verb + " --local -f web.yaml" + command + " > wired.yaml")
		if _, stderr := n.does("kubectl apply --dry-run=server -f wired.yaml"); stderr != "" {
			t.Errorf("%s: %s", w.command, stderr)
		}
	}
}

// added gives what wire shows on stderr, below spec.template.spec.
func added(t *testing.T, stderr string) any {
	t.Helper()
	var fragment strings.Builder
	for line := range strings.Lines(stderr) {
		if inside, found := strings.CutPrefix(line, "  "); found {
			fragment.WriteString(inside)
		}
	}
	at := parsed(t, fragment.String())
	for _, field := range []string{"spec", "template", "spec"} {
		object, _ := at.(map[string]any)
		at = object[field]
	}
	if at == nil {
		t.Fatalf("nothing in what wire says: %s", stderr)
	}
	return at
}

func parsed(t *testing.T, text string) (form any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), &form); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return form
}
