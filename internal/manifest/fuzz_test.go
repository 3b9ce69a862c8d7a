// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// FuzzFromSecret takes a Secret of any name, any metadata and any data. What is read as tokens
// is the data as it stands, each of them under its name, and no bundle holds anything else.
func FuzzFromSecret(f *testing.F) {
	good := tokenOf(1, 1)
	f.Add("secret-a-g3", manifest.KindBundle, "v2:1:x", "3", "SECRET_A="+good+"\x00SECRET_B="+tokenOf(2, 1))
	f.Add("web-g2", manifest.KindBundle, "v2:1:x", "2", "SECRET_A="+good+"\x00SECRET_B=changeme")
	f.Add("secret-a", "", "v1:x", "1", "SECRET_A="+good)
	f.Add("secret-a-g1", "", "", "01", "SECRET_A="+good+"\n\x00SECRET_B="+good)
	f.Add("web-g2", manifest.KindBundle, "", "2", "A="+good)
	f.Add("web-g2", manifest.KindKeyring, "", "", "A b="+good+"\x00=\x00A=changeme")
	f.Add("x", "", "v1:x", "", "SECRET_A=A "+good+"\nB "+good)
	f.Fuzz(func(t *testing.T, name, kind, binding, generation, list string) {
		data := map[string][]byte{}
		for _, entry := range strings.Split(list, "\x00") {
			key, value, _ := strings.Cut(entry, "=")
			data[key] = []byte(value)
		}
		o := manifest.FromSecret(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: name, Labels: map[string]string{manifest.LabelKind: kind},
			Annotations: map[string]string{manifest.AnnotationBinding: binding, manifest.AnnotationGeneration: generation, manifest.AnnotationBaseName: baseOf(name)},
		}, Data: data})
		if base, n := names.Split(name); o.Base != base || o.Generation != n || o.Binding != binding {
			t.Errorf("%q is read as %q, generation %d", name, o.Base, o.Generation)
		}
		if o.Token == "" {
			return
		}
		entries := o.Placed().Entries()
		if len(entries) != len(data) {
			t.Fatalf("%d entries of %d data keys", len(entries), len(data))
		}
		for _, e := range entries {
			if _, err := token.Parse(e.Token); string(data[e.Name]) != e.Token || o.Bundle() && err != nil {
				t.Errorf("%q is read as %q, and is %q: %v", e.Name, e.Token, data[e.Name], err)
			}
		}
	})
}

// baseOf is the base name of a Secret.
func baseOf(name string) string {
	base, _ := names.Split(name)
	return base
}
