// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

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
