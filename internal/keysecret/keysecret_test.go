// SPDX-License-Identifier: Apache-2.0

package keysecret_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keysecret"
)

const (
	keyA = "8wjBHTr1D9Hn2w2E1wHkUOb0cSgEJVkUIYW6Jk1cP2E="
	keyB = "T5YHqGT4w7N1V6gJ0WG4c8uU5ZJbQ5q2h4w0m1V3X9g="
	keyD = "cHJvYmUtcHJvYmUtcHJvYmUtcHJvYmUtcHJvYmUtMTI="
	keyC = "u0aFh9o7n1tq0H9Bz2h6uI3m8aS5v0mYp4y1Wc7dR2Q="
)

func ring(t *testing.T, primary string, previous ...string) *keyring.Keyring {
	t.Helper()
	r, err := keyring.Find(keyring.FromEnvironment(primary, strings.Join(previous, ",")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// hold makes a generation as it would come back from the API server.
func hold(t *testing.T, base string, generation int, r *keyring.Keyring) keysecret.Held {
	t.Helper()
	s := keysecret.Secret(r, "ns", base, generation)
	s.UID, s.ResourceVersion = "uid", "7"
	held, ok := keysecret.Read(s)
	if !ok {
		t.Fatalf("%s-g%d is no keyring", base, generation)
	}
	return held
}

func TestSecret(t *testing.T) {
	r := ring(t, keyA, keyB, keyC)
	s := keysecret.Secret(r, "ns", "fernet-key", 3)
	if s.Name != "fernet-key-g3" || s.Namespace != "ns" || s.Immutable == nil || !*s.Immutable || s.Type != corev1.SecretTypeOpaque || len(s.OwnerReferences) != 0 {
		t.Errorf("%s/%s, immutable %v, type %s", s.Namespace, s.Name, s.Immutable, s.Type)
	}
	labels := map[string]string{
		"app.kubernetes.io/managed-by":    "kubectl-fernet",
		"kubectl-fernet.github.io/kind":   "keyring",
		"kubectl-fernet.github.io/key-id": r.IDs()[0],
	}
	annotations := map[string]string{"kubectl-fernet.github.io/base-name": "fernet-key", "kubectl-fernet.github.io/generation": "3"}
	if !reflect.DeepEqual(s.Labels, labels) || !reflect.DeepEqual(s.Annotations, annotations) {
		t.Errorf("labels %v, annotations %v", s.Labels, s.Annotations)
	}
	if len(s.Data) != 2 || string(s.Data["FERNET_KEY"]) != keyA || string(s.Data["FERNET_KEY_PREVIOUS"]) != keyB+","+keyC {
		t.Error("the data is not the keyring")
	}
}

// A pod that names a variable which is not there does not start.
func TestSecretHasBothVariables(t *testing.T) {
	s := keysecret.Secret(ring(t, keyA), "ns", "fernet-key", 1)
	if previous, there := s.Data["FERNET_KEY_PREVIOUS"]; s.Name != "fernet-key-g1" || !there || len(previous) != 0 {
		t.Errorf("%s, FERNET_KEY_PREVIOUS there %t", s.Name, there)
	}
}

func TestRead(t *testing.T) {
	r := ring(t, keyA, keyB)
	for _, tc := range []struct {
		name   string
		change func(*corev1.Secret)
		ok     bool
	}{
		{"as it was made", func(*corev1.Secret) {}, true},
		{"other labels and annotations", func(s *corev1.Secret) { s.Labels["x"], s.Annotations = "y", nil }, true},
		{"another name", func(s *corev1.Secret) { s.Name = "fernet-key" }, false},
		{"no label", func(s *corev1.Secret) { s.Labels = nil }, false},
		{"another kind", func(s *corev1.Secret) { s.Labels["kubectl-fernet.github.io/kind"] = "token" }, false},
		{"no key", func(s *corev1.Secret) { delete(s.Data, "FERNET_KEY") }, false},
		{"no previous key", func(s *corev1.Secret) { delete(s.Data, "FERNET_KEY_PREVIOUS") }, true},
		{"a key that is none", func(s *corev1.Secret) { s.Data["FERNET_KEY"] = []byte("canary") }, false},
		{"a previous key that is none", func(s *corev1.Secret) { s.Data["FERNET_KEY_PREVIOUS"] = []byte("canary") }, false},
		{"empty", func(s *corev1.Secret) { s.Data = nil }, false},
	} {
		s := keysecret.Secret(r, "ns", "fernet-key", 2)
		tc.change(s)
		held, ok := keysecret.Read(s)
		if ok != tc.ok {
			t.Errorf("%s: a keyring %t", tc.name, ok)
		}
		if ok && (held.Namespace != "ns" || held.Name != "fernet-key-g2" || held.Base != "fernet-key" || held.Generation != 2 || held.Object.Name != held.Name || held.Object.Base != held.Base || held.IDs[0] != r.IDs()[0]) {
			t.Errorf("%s: %+v", tc.name, held.Object)
		}
	}
}

// What serves is current: its pods open everything, and seal nothing.
func TestHoldsServesAndOurs(t *testing.T) {
	held := hold(t, "fernet-key", 1, ring(t, keyA, keyB, keyC))
	for _, tc := range []struct {
		name                string
		ring                *keyring.Keyring
		holds, serves, ours bool
	}{
		{"the same", ring(t, keyA, keyB, keyC), true, true, true},
		{"the previous keys in another order", ring(t, keyA, keyC, keyB), true, true, true},
		{"without a previous key", ring(t, keyA, keyC), false, true, true},
		{"with the first key alone", ring(t, keyA), false, true, true},
		{"another key first", ring(t, keyB, keyA, keyC), false, false, true},
		{"with one more", ring(t, keyA, keyB, keyC, keyD), false, false, true},
		{"with another", ring(t, keyA, keyB, keyD), false, false, true},
		{"one of them, not the first", ring(t, keyD, keyB), false, false, true},
		{"another's", ring(t, keyD), false, false, false},
	} {
		if held.Holds(tc.ring) != tc.holds || held.Serves(tc.ring) != tc.serves || held.Ours(tc.ring) != tc.ours {
			t.Errorf("%s: holds %t, serves %t, ours %t", tc.name, held.Holds(tc.ring), held.Serves(tc.ring), held.Ours(tc.ring))
		}
	}
}

func TestNewest(t *testing.T) {
	r := ring(t, keyA)
	all := []keysecret.Held{hold(t, "a", 2, r), hold(t, "a", 10, r), hold(t, "b", 11, r), hold(t, "a", 9, r)}
	for base, want := range map[string]string{"a": "a-g10", "b": "b-g11", "c": ""} {
		if got := keysecret.Newest(all, base); got.Name != want {
			t.Errorf("%s: %q, want %q", base, got.Name, want)
		}
	}
}

// What comes back after a delete is what was deleted, and nothing that only the
// API server may set.
func TestAgain(t *testing.T) {
	made := keysecret.Secret(ring(t, keyA, keyB), "ns", "fernet-key", 2)
	again := hold(t, "fernet-key", 2, ring(t, keyA, keyB)).Again()
	if !reflect.DeepEqual(again, made) {
		t.Errorf("%v", again.ObjectMeta)
	}
}

func TestNothingPrintsAKey(t *testing.T) {
	held := hold(t, "fernet-key", 1, ring(t, keyA, keyB))
	for _, verb := range []string{"%v", "%+v", "%s"} {
		if text := fmt.Sprintf(verb, held.IDs); strings.Contains(text, keyA[:10]) || strings.Contains(text, keyB[:10]) {
			t.Errorf("%s of the ids shows a key", verb)
		}
	}
	if text := fmt.Sprintf("%+v", held.Object); strings.Contains(text, keyA[:10]) || strings.Contains(text, keyB[:10]) {
		t.Error("the object shows a key")
	}
}
