// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// tokenOf gives a token of the right form, for a plaintext of 16 times blocks bytes or less.
func tokenOf(n, blocks int) string {
	raw := make([]byte, 57+16*blocks)
	raw[0] = 0x80
	raw[len(raw)-1], raw[len(raw)-2], raw[len(raw)-3] = byte(n), byte(n>>8), byte(n>>16)
	return base64.URLEncoding.EncodeToString(raw)
}

// bundle gives a row of the bundle web of these entries.
func bundle(entries ...token.Entry) ledger.Row {
	return ledger.Row{
		Namespace: "shop", Secret: "web-g3", Generation: 3, KeyID: "kab12cd34", Token: token.Join(entries),
		Binding: fmt.Sprintf("v2:%d:", len(entries)) + strings.Repeat("A", 43),
	}
}

func two() ledger.Row {
	return bundle(token.Entry{Name: "SECRET_A", Token: tokenOf(1, 1)}, token.Entry{Name: "SECRET-A", Token: tokenOf(2, 1)})
}

func TestSecretOfABundle(t *testing.T) {
	immutable := true
	want := &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "web-g3", Namespace: "shop",
			Labels: map[string]string{
				"app.kubernetes.io/managed-by":    "kubectl-fernet",
				"kubectl-fernet.github.io/key-id": "kab12cd34",
				"kubectl-fernet.github.io/kind":   "bundle",
			},
			Annotations: map[string]string{
				"kubectl-fernet.github.io/base-name":  "web",
				"kubectl-fernet.github.io/generation": "3",
				"kubectl-fernet.github.io/binding":    two().Binding,
			},
		},
		Immutable: &immutable,
		Type:      "Opaque",
		Data:      map[string][]byte{"SECRET_A": []byte(tokenOf(1, 1)), "SECRET-A": []byte(tokenOf(2, 1))},
	}
	if got := manifest.Secret(two()); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// data puts other data into a Secret: name, value, name, value.
func data(of ...string) func(*corev1.Secret) {
	return func(s *corev1.Secret) {
		s.Data = map[string][]byte{}
		for i := 0; i < len(of); i += 2 {
			s.Data[of[i]] = []byte(of[i+1])
		}
	}
}

// What a live Secret is read as: ENVKEY of a single token, "bundle N" of N tokens, nothing
// of what cannot be ours; then the name under which it says it was made, and what was altered.
func TestFromSecretOfABundle(t *testing.T) {
	unbound := func(s *corev1.Secret) { delete(s.Annotations, manifest.AnnotationBinding) }
	unlabelled := func(s *corev1.Secret) { delete(s.Labels, manifest.LabelKind) }
	bound := func(as string) func(*corev1.Secret) {
		return func(s *corev1.Secret) { s.Annotations[manifest.AnnotationBinding] = as }
	}
	a, b := tokenOf(1, 1), tokenOf(2, 1)
	const kind, entryName = "label " + manifest.LabelKind, "annotation " + manifest.AnnotationEnvKey
	for _, tt := range []struct {
		name          string
		changes       []func(*corev1.Secret)
		want, altered string
	}{
		{"as it was made", nil, "bundle 2", ""},
		{"without its label", []func(*corev1.Secret){unlabelled}, "bundle 2", kind},
		{"without its binding", []func(*corev1.Secret){unbound}, "bundle 2", ""},
		{"without either", []func(*corev1.Secret){unbound, unlabelled}, "bundle 2", kind},
		{"one entry", []func(*corev1.Secret){data("SECRET_A", a)}, "bundle 1", ""},
		{"one entry, without its label", []func(*corev1.Secret){data("SECRET_A", a), unlabelled}, "bundle 1", kind},
		{"one entry, without its binding", []func(*corev1.Secret){data("SECRET_A", a), unbound}, "bundle 1", ""},
		{"one entry, without either", []func(*corev1.Secret){data("SECRET_A", a), unbound, unlabelled}, "SECRET_A", entryName},
		{"one entry, bound as a single token: the binding decides", []func(*corev1.Secret){data("SECRET_A", a), bound("v1:x")}, "SECRET_A", kind + ", " + entryName},
		{"a damaged binding of a bundle", []func(*corev1.Secret){data("SECRET_A", a), bound("v2:")}, "bundle 1", ""},
		{"bound as a single token, with two", []func(*corev1.Secret){bound("v1:x")}, "bundle 2", ""},
		{"the kind of a keyring", []func(*corev1.Secret){func(s *corev1.Secret) { s.Labels[manifest.LabelKind] = manifest.KindKeyring }}, "bundle 2", kind},
		{"an entry's name in an annotation", []func(*corev1.Secret){func(s *corev1.Secret) { s.Annotations[manifest.AnnotationEnvKey] = "SECRET_A" }}, "bundle 2", entryName},
		{"no data", []func(*corev1.Secret){data()}, "", ""},
		{"no data and no metadata", []func(*corev1.Secret){data(), unbound, unlabelled}, "", kind},
		{"one of them is no token", []func(*corev1.Secret){data("SECRET_A", a, "SECRET_B", "plain")}, "", ""},
		{"one of them is empty", []func(*corev1.Secret){data("SECRET_A", a, "SECRET_B", "")}, "", ""},
		{"a line break behind a token", []func(*corev1.Secret){data("SECRET_A", a+"\n", "SECRET_B", b)}, "", ""},
		{"a whole text of tokens as one of them", []func(*corev1.Secret){data("SECRET_A", token.Join([]token.Entry{{Name: "SECRET_A", Token: a}}), "SECRET_B", b)}, "", ""},
		{"a whole text of tokens as the only one", []func(*corev1.Secret){data("SECRET_A", token.Join([]token.Entry{{Name: "SECRET_A", Token: a}})), unbound, unlabelled}, "", kind},
		{"a data key that is no entry's name", []func(*corev1.Secret){data("SECRET_A", a, "1", b)}, "", ""},
		{"a data key that a file has", []func(*corev1.Secret){data("SECRET_A", a, "tls.crt", b)}, "bundle 2", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := manifest.Secret(two())
			for _, change := range tt.changes {
				change(s)
			}
			o := manifest.FromSecret(s)
			got := o.EnvKey
			if o.Bundle() {
				got = fmt.Sprint("bundle ", len(o.Placed().Entries()))
			}
			if got != tt.want || o.Altered != tt.altered || o.Base != "web" || o.Generation != 3 {
				t.Errorf("%q, altered %q, %s %d; want %q, altered %q", got, o.Altered, o.Base, o.Generation, tt.want, tt.altered)
			}
			for _, e := range o.Placed().Entries() {
				if string(s.Data[e.Name]) != e.Token {
					t.Errorf("%s has %s", e.Name, e.Token)
				}
			}
		})
	}
}

// There and back: the object carries the row that it was made from, and no other.
func TestABundleCarriesItsRow(t *testing.T) {
	s := manifest.Secret(two())
	o := manifest.FromSecret(s)
	if !o.Carries(two()) || o.Claimed != "web-g3" || o.Binding != two().Binding {
		t.Errorf("%+v", o)
	}
	for name, other := range map[string]ledger.Row{
		"one more": bundle(append(token.Split(two().Token), token.Entry{Name: "SECRET_B", Token: tokenOf(3, 1)})...),
		"one less": bundle(token.Split(two().Token)[:1]...),
		"swapped":  bundle(token.Entry{Name: "SECRET_A", Token: tokenOf(2, 1)}, token.Entry{Name: "SECRET-A", Token: tokenOf(1, 1)}),
		"renamed":  bundle(token.Entry{Name: "SECRET_A", Token: tokenOf(1, 1)}, token.Entry{Name: "SECRET.A", Token: tokenOf(2, 1)}),
	} {
		if o.Carries(other) {
			t.Errorf("%s: still carried", name)
		}
	}
	first := two()
	first.Secret, first.Generation = "web-g1", 1
	if o := manifest.FromSecret(manifest.Secret(first)); o.Claimed != "web-g1" {
		t.Errorf("generation 1 says that it was made as %s", o.Claimed)
	}
	s.Data = maps.Clone(s.Data)
	delete(s.Data, "SECRET_A")
	if manifest.FromSecret(s).Carries(two()) {
		t.Error("half of it is carried")
	}
}

// A Secret of which it is known that it is one of a bundle, whatever it looks like.
func TestAsBundle(t *testing.T) {
	one := bundle(token.Entry{Name: "SECRET_A", Token: tokenOf(1, 1)})
	s := manifest.Secret(one)
	s.Annotations, s.Labels = nil, nil
	o := manifest.FromSecret(s)
	if o.Bundle() || !o.AsBundle().Bundle() || !o.AsBundle().Carries(one) {
		t.Errorf("%+v", o)
	}
	if o := manifest.FromSecret(manifest.Secret(two())); o.AsBundle() != o {
		t.Error("a bundle is another one as a bundle")
	}
	words := manifest.Object{Name: "web-g3", EnvKey: "conf", Token: "some words\nof a stranger\n"}
	if o := words.AsBundle(); o.EnvKey != "" || o.Token != "" {
		t.Errorf("what holds no token has entries: %d", len(o.Placed().Entries()))
	}
	if o := (manifest.Object{Name: "web-g3"}); o.AsBundle() != o {
		t.Error("a Secret without a token is a bundle")
	}
}

// The names of a bundle have their number from 1 on.
func TestInterestNamesBundles(t *testing.T) {
	in := manifest.Interest{Bases: map[string]int{"web": 1, "secret-a": 1}, Bundles: map[string]bool{"web": true}}
	for _, tt := range []struct {
		base       string
		generation int
		want       string
	}{{"web", 1, "web-g1"}, {"web", 2, "web-g2"}, {"secret-a", 1, "secret-a"}, {"secret-a", 2, "secret-a-g2"}} {
		if got := in.Name(tt.base, tt.generation); got != tt.want || !in.Covers(got) {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
}

// Limits of a bundle: its data, and the whole object.
func TestCheckSize(t *testing.T) {
	many := func(n, name int) ledger.Row {
		var entries []token.Entry
		for i := range n {
			entries = append(entries, token.Entry{Name: fmt.Sprintf("S%0*d", name-1, i), Token: tokenOf(i, 1)})
		}
		return bundle(entries...)
	}
	large := func(sizes ...int) ledger.Row {
		var entries []token.Entry
		for i, size := range sizes {
			entries = append(entries, token.Entry{Name: fmt.Sprintf("SECRET_%d", i), Token: strings.Repeat("A", size)})
		}
		return bundle(entries...)
	}
	single := func(size int) ledger.Row {
		r := row()
		r.Token = strings.Repeat("A", size)
		return r
	}
	for _, tt := range []struct {
		name string
		row  ledger.Row
		want string
	}{
		{"two entries", two(), ""},
		{"exactly 1 MiB of data", large(manifest.MaxData-300, 200, 100), ""},
		{"a byte more", large(200, manifest.MaxData-300, 101), "bundle web: its data has 1048577 bytes, a Secret holds 1048576; its largest entries are SECRET_1 (1048276 bytes), SECRET_0 (200 bytes), SECRET_2 (101 bytes)"},
		{"only three are named", large(manifest.MaxData, 40, 10, 20, 30), "SECRET_0 (1048576 bytes), SECRET_1 (40 bytes), SECRET_4 (30 bytes)"},
		{"of the same size, by name", large(600_000, 600_000), "SECRET_0 (600000 bytes), SECRET_1 (600000 bytes)"},
		{"many short names", many(10_000, 10), ""},
		{"many long names", many(6_000, 200), "bundle web: with its names it has 1848"},
		{"a single token of 1 MiB", single(manifest.MaxData), ""},
		{"and a byte", single(manifest.MaxData + 1), "SECRET-TEST-1: its data has 1048577 bytes"},
	} {
		err := manifest.CheckSize(tt.row)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		case tt.want != "" && tt.row.EnvKey == "" && !strings.Contains(string(hint.Of(err)), "another .env makes another bundle"):
			t.Errorf("%s: hint %q", tt.name, hint.Of(err))
		}
	}
}
