// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"encoding/json"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
)

// FuzzRelease takes any object, or any text in one, and packs it as Helm does: the same is found
// in the release as in the object itself. Any text that is stored in place of a release is
// looked through.
func FuzzRelease(f *testing.F) {
	for _, tc := range findCases {
		f.Add(tc.object)
	}
	for _, seed := range []string{chart, "secret-a", `{"kind":"Pod","apiVersion":"v1","spec":{"volumes":[{"secret":{"secretName":"secret-a"}}]}}`, `{"image":"\n---\nsecret-a"}`, `{"a":1e400,"b":[null,"secret-a"]}`, "\x1f\x8b\x08secret-a", "{\"image\":\"\x7f-\\nsecret-a\"}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		obj := &unstructured.Unstructured{}
		if json.Unmarshal([]byte(text), &obj.Object) != nil || obj.Object == nil || obj.Object["items"] != nil {
			obj.Object = map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"x": text}}
		}
		if obj.GetNamespace() != "" && obj.GetNamespace() != "shop" {
			return // its Secrets are elsewhere
		}
		manifest := mustJSON(t, obj.Object)
		release := mustJSON(t, map[string]any{"manifest": manifest})
		want := places(usage.Find(obj, wanted), usage.Manifest)
		same := func(got []string) bool { return slices.Equal(got, want) }
		if yaml.Unmarshal([]byte(manifest), &map[string]any{}) != nil { // JSON has characters that YAML lacks: it is looked through
			want = mentions(usage.Find(obj, wanted))
			same = func(got []string) bool {
				return !slices.ContainsFunc(want, func(one string) bool { return !slices.Contains(got, one) })
			}
		}
		for _, kind := range []string{"Secret", "ConfigMap"} {
			hits := slices.DeleteFunc(usage.Find(store(t, kind, "deployed", packed(t, release)), wanted), func(h usage.Hit) bool { return h.Path == ".data.other" })
			if got := places(hits, usage.Use); !same(got) {
				t.Errorf("%s: in the release of %q is found %q, in itself %q", kind, text, got, want)
			}
			raw := store(t, kind, "deployed", "x")
			raw.Object["data"].(map[string]any)["release"] = text
			if holds(text) && !slices.ContainsFunc(usage.Find(raw, wanted), func(h usage.Hit) bool { return h.Secret == "secret-a" && h.Path != ".data.other" }) {
				t.Errorf("%s: nothing found in %q", kind, text)
			}
		}
	})
}

// mentions gives what is found where a text is only looked through.
func mentions(hits []usage.Hit) []string {
	for i, h := range hits {
		hits[i] = usage.Hit{Secret: h.Secret, Class: usage.Mention}
	}
	return places(hits, usage.Mention)
}

// places gives where Secrets are named; a use is one of that class.
func places(hits []usage.Hit, use usage.Class) (list []string) {
	for _, h := range hits {
		if h.Class == usage.Use {
			h.Class = use
		}
		list = append(list, h.Secret+" "+h.Path+" "+className[h.Class])
	}
	slices.Sort(list)
	return slices.Compact(list)
}
