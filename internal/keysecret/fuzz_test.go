// SPDX-License-Identifier: Apache-2.0

package keysecret_test

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keysecret"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

// FuzzRead takes a Secret of any name and any data that is labelled as a keyring. What is read
// as one is the Secret that we would write of its keys, and can be made again byte for byte.
func FuzzRead(f *testing.F) {
	f.Add("fernet-key-g3", keyA, keyB+","+keyC)
	f.Add("fernet-key-g1", keyA+"\n", "")
	f.Add("fernet-key", keyA, keyB)
	f.Add("a-g1-g2", keyA, keyB+" ,\t"+keyC+"\r\n")
	f.Add("fernet-key-g01", keyA+","+keyB, ",")
	f.Fuzz(func(t *testing.T, name, key, previous string) {
		s := &corev1.Secret{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Labels: map[string]string{manifest.LabelKind: manifest.KindKeyring}},
			Data:       map[string][]byte{keyring.EnvVarKey: []byte(key), keyring.EnvVarPrevious: []byte(previous)},
		}
		held, ok := keysecret.Read(s)
		ring, err := keyring.Find(keyring.FromEnvironment(key, previous))
		if !ok {
			return
		}
		if err != nil || !held.Holds(ring) || !reflect.DeepEqual(held.IDs, ring.IDs()) {
			t.Fatalf("holds %v; its keys are %v, %v", held.IDs, ring, err)
		}
		if !reflect.DeepEqual(held.Again(), s) {
			t.Errorf("made again it is another Secret")
		}
		ours := keysecret.Secret(ring, "ns", held.Base, held.Generation)
		if read, ok := keysecret.Read(ours); !ok || ours.Name != name || !read.Holds(ring) || !reflect.DeepEqual(read.IDs, held.IDs) {
			t.Errorf("written anew it is %s with %v, and was %s with %v", ours.Name, read.IDs, name, held.IDs)
		}
	})
}
