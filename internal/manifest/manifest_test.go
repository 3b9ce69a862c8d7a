// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

func TestBaseName(t *testing.T) {
	longest := "SECRET_" + strings.Repeat("A", manifest.MaxBaseName-len("SECRET_"))
	for _, tc := range []struct {
		envKey, want, problem string
	}{
		{envKey: "SECRET-TEST-1", want: "secret-test-1"},
		{envKey: "SECRET_TEST_1", want: "secret-test-1"},
		{envKey: "SECRET", want: "secret"},
		{envKey: "secret.Db.Password", want: "secret.db.password"},
		{envKey: "SECRET__X", want: "secret--x"},
		{envKey: "SECRET_G2", want: "secret-g2", problem: "generation"},
		{envKey: "SECRET-g01", problem: "generation"},
		{envKey: "SECRET_g2x", want: "secret-g2x"},
		{envKey: "SECRETg2", want: "secretg2"},
		{envKey: longest, want: strings.ToLower(strings.ReplaceAll(longest, "_", "-"))},
		{envKey: longest + "A", problem: "at most 241"},
		{envKey: "SECRET-", problem: "cannot be a Secret name"},
		{envKey: "_SECRET", problem: "cannot be a Secret name"},
		{envKey: "SECRET._X", problem: "cannot be a Secret name"},
		{envKey: "SECRETÄ", problem: "cannot be a Secret name"},
	} {
		got, err := manifest.BaseName(tc.envKey)
		switch {
		case tc.problem == "" && (err != nil || got != tc.want):
			t.Errorf("BaseName(%q) = %q, %v; want %q", tc.envKey, got, err, tc.want)
		case tc.problem != "" && (err == nil || !strings.Contains(err.Error(), tc.problem)):
			t.Errorf("BaseName(%q) = %q, %v; want an error with %q", tc.envKey, got, err, tc.problem)
		}
	}
}

func TestSplitNameReversesSecretName(t *testing.T) {
	for _, base := range []string{"a", "secret-test-1", "x-g", "x-g0", "x-g1", "x-g02", "x-g99999999999999999999"} {
		for _, generation := range []int{1, 2, 10, 123456789} {
			name := manifest.SecretName(base, generation)
			if b, g := manifest.SplitName(name); b != base || g != generation {
				t.Errorf("SplitName(SecretName(%q, %d)) = %q, %d", base, generation, b, g)
			}
		}
	}
}

// Every base name that BaseName accepts is valid with its longest suffix, stays
// as it is when normalised again, and cannot be read as somebody's generation.
func FuzzBaseName(f *testing.F) {
	for _, seed := range []string{"SECRET-TEST-1", "SECRET_G2", "secret", "SECRET.", "-", "SECRET_" + strings.Repeat("x", 250), "SECRET\u2010X"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, envKey string) {
		base, err := manifest.BaseName(envKey)
		if err != nil {
			return
		}
		if problems := validation.IsDNS1123Subdomain(manifest.SecretName(base, 1<<31-1)); len(problems) > 0 {
			t.Errorf("%q: %v", base, problems)
		}
		if again, err := manifest.BaseName(base); err != nil || again != base {
			t.Errorf("%q is not stable: %q, %v", base, again, err)
		}
		if b, g := manifest.SplitName(base); b != base || g != 1 {
			t.Errorf("%q reads as generation %d of %q", base, g, b)
		}
	})
}

func TestCheckNamespace(t *testing.T) {
	for name, ok := range map[string]bool{"default": true, "a-1": true, "": false, "Prod": false, "a.b": false, "../x": false, strings.Repeat("a", 64): false} {
		err := manifest.CheckNamespace(name)
		if (err == nil) != ok || err != nil && !errors.Is(err, manifest.ErrNamespace) {
			t.Errorf("CheckNamespace(%q) = %v", name, err)
		}
	}
}

func row() ledger.Row {
	return ledger.Row{
		Namespace: "shop", Secret: "secret-test-1-g3", Generation: 3, EnvKey: "SECRET-TEST-1",
		KeyID: "kab12cd34", Token: "gAAAAA-token", Binding: "v1:binding",
	}
}

func TestSecret(t *testing.T) {
	immutable := true
	want := &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "secret-test-1-g3", Namespace: "shop",
			Labels: map[string]string{
				"app.kubernetes.io/managed-by":    "kubectl-fernet",
				"kubectl-fernet.github.io/key-id": "kab12cd34",
			},
			Annotations: map[string]string{
				"kubectl-fernet.github.io/env-key":    "SECRET-TEST-1",
				"kubectl-fernet.github.io/base-name":  "secret-test-1",
				"kubectl-fernet.github.io/generation": "3",
				"kubectl-fernet.github.io/binding":    "v1:binding",
			},
		},
		Immutable: &immutable,
		Type:      "Opaque",
		Data:      map[string][]byte{"SECRET-TEST-1": []byte("gAAAAA-token")},
	}
	if got := manifest.Secret(row()); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// What somebody changed in the metadata is named.
func TestFromSecretAltered(t *testing.T) {
	for want, change := range map[string]func(s *corev1.Secret){
		"":                                   func(s *corev1.Secret) { s.Labels["another"] = "label" },
		"label app.kubernetes.io/managed-by": func(s *corev1.Secret) { delete(s.Labels, manifest.LabelManagedBy) },
		"annotation kubectl-fernet.github.io/env-key": func(s *corev1.Secret) { s.Annotations[manifest.AnnotationEnvKey] = "SECRET_X" },
		"annotation kubectl-fernet.github.io/base-name, annotation kubectl-fernet.github.io/generation": func(s *corev1.Secret) {
			s.Annotations[manifest.AnnotationBaseName], s.Annotations[manifest.AnnotationGeneration] = "secret-x", "03"
		},
	} {
		s := manifest.Secret(row())
		change(s)
		if got := manifest.FromSecret(s).Altered; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	s := manifest.Secret(row())
	s.Immutable = nil
	s.Labels[manifest.LabelKind] = manifest.KindKeyring
	if o := manifest.FromSecret(s); o.Immutable || o.Kind != manifest.KindKeyring {
		t.Errorf("%+v", o)
	}
}

func TestFromSecret(t *testing.T) {
	s := manifest.Secret(row())
	s.UID, s.ResourceVersion, s.CreationTimestamp = "uid-1", "7", metav1.Unix(1700000000, 0)
	want := manifest.Object{
		Namespace: "shop", Name: "secret-test-1-g3", UID: "uid-1", Base: "secret-test-1", Generation: 3,
		EnvKey: "SECRET-TEST-1", Token: "gAAAAA-token", Managed: true, KeyID: "kab12cd34", Binding: "v1:binding", Claimed: "secret-test-1-g3",
		ResourceVersion: "7", Created: time.Unix(1700000000, 0), Immutable: true,
	}
	got := manifest.FromSecret(s)
	if got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if !got.Carries(row()) {
		t.Error("the object does not carry the row it was made from")
	}

	s.Data["other"] = []byte("x")
	now := metav1.Now()
	s.DeletionTimestamp = &now
	if got := manifest.FromSecret(s); got.EnvKey != "" || got.Token != "" || !got.Deleting {
		t.Errorf("two data keys, being deleted: %+v", got)
	}
}

func TestCarriesComparesEverything(t *testing.T) {
	o := manifest.FromSecret(manifest.Secret(row()))
	for name, change := range map[string]func(*ledger.Row){
		"namespace": func(r *ledger.Row) { r.Namespace = "x" },
		"name":      func(r *ledger.Row) { r.Secret = "x" },
		"data key":  func(r *ledger.Row) { r.EnvKey = "SECRET_TEST_1" },
		"token":     func(r *ledger.Row) { r.Token += "=" },
	} {
		r := row()
		change(&r)
		if o.Carries(r) {
			t.Errorf("other %s: still carried", name)
		}
	}
}
