// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
)

var (
	aRun  = regexp.MustCompile(`[a-z0-9.-]+`)
	aWord = regexp.MustCompile("[^ \t\r\n\v\f\"'`=,:]+")
)

// holds says, another way than the package does, whether a text has the name secret-a.
func holds(text string) bool {
	for _, word := range aWord.FindAllString(text, -1) {
		if word[0] == '/' && !strings.Contains(word, "/namespaces/") {
			continue
		}
		for _, run := range aRun.FindAllString(word, -1) {
			if strings.Trim(run, ".-") == "secret-a" {
				return true
			}
		}
	}
	return false
}

// around is a pod and a ConfigMap that have a text wherever one may stand.
func around(text string) []*unstructured.Unstructured {
	annotations := map[string]any{"note": text, usage.LastApplied: text, manifest.AnnotationManifest: text}
	container := map[string]any{"name": "c", "image": text, "args": []any{text}, "env": []any{map[string]any{"name": "X", "value": text}}}
	pod := map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "x", "annotations": annotations},
		"spec": map[string]any{"containers": []any{container}},
	}
	config := map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "x", "labels": map[string]any{"owner": text}},
		"data": map[string]any{"release": text, text: ""}, "binaryData": map[string]any{"x": text},
	}
	return []*unstructured.Unstructured{{Object: pod}, {Object: config}}
}

// JSON that is text in something else hides no name: its encoders write other characters than
// letters as escapes, which end in letters and digits.
func TestNamesBehindEscapes(t *testing.T) {
	for text, want := range map[string]bool{
		`{"run":"x \u003csecret-a\u003e y"}`: true, `a\u0026secret-a`: true, `\nsecret-a\t`: true, `\fsecret-a`: true, `\ud83dsecret-a`: true, `secret\u002da`: true,
		`\u003csecret-a-x`: false, `\u003xsecret-a`: false, `xsecret-a`: false,
	} {
		hits := usage.Find(around(text)[1], wanted)
		if got := slices.ContainsFunc(hits, func(h usage.Hit) bool { return h.Path == ".data.release" && h.Class == usage.Mention }); got != want {
			t.Errorf("%s: found %t", text, got)
		}
	}
}

// Whatever an object holds, Find does not panic, and misses no name in a text.
func FuzzFind(f *testing.F) {
	for _, tc := range append(findCases, customCases...) {
		f.Add(tc.object)
	}
	for _, seed := range []string{"secret-a", "--secret=secret-a", "x/secret-a.", "/secret-a", `{"kind":"Pod","apiVersion":"v1"}`, `\nsecret-a`, "null", "helm", `[{"manager":"ci","where":"volume a","secret":"secret-a"}]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		objects := around(text)
		read := &unstructured.Unstructured{}
		if json.Unmarshal([]byte(text), &read.Object) == nil && read.Object != nil {
			objects = append(objects, read)
		}
		var seen []usage.Seen
		for _, obj := range objects {
			if s, ok := usage.Look(obj, wanted); ok {
				seen = append(seen, s)
			}
		}
		paths := map[string]bool{}
		for _, finding := range usage.Classify(seen) {
			paths[finding.Field] = paths[finding.Field] || finding.Secret == "secret-a"
		}
		if !holds(text) {
			return
		}
		for _, path := range []string{".metadata.annotations.note", ".spec.containers[0].args[0]", ".spec.containers[0].env[0].value"} {
			if !paths[path] {
				t.Errorf("%s: nothing found in %q", path, text)
			}
		}
		if !slices.ContainsFunc(usage.Find(objects[1], wanted), func(h usage.Hit) bool { return strings.HasPrefix(h.Path, ".data") || h.Path == "" }) {
			t.Errorf("nothing found in the ConfigMap of %q", text)
		}
	})
}
