// SPDX-License-Identifier: Apache-2.0

// Package keysecret is the one exception to the wall: the optional Secret that
// holds a keyring, for those who let their pods read the key from the cluster. It
// turns a keyring into an immutable, versioned Secret and such a Secret back into
// the ids of its keys. Its bytes are a function of the keyring alone, so it needs
// no ledger row. It dials nobody.
//
// Whoever can read Secrets in that namespace can then open every token there;
// the tokens still tell nothing to readers of the ledger.
package keysecret

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

// Threat is what has to be said once to whoever begins to keep the key so.
const Threat = "the key itself is now in the cluster: whoever may read Secrets in this namespace, or etcd and its backups, can open its tokens; those who read only the ledger or the token Secrets cannot"

// Held is what a keyring Secret holds, without its keys.
type Held struct {
	Namespace, Name string
	Base            string
	Generation      int
	IDs             []string // of its keys, the one that seals first
	Object          manifest.Object
	ring            *keyring.Keyring
	secret          *corev1.Secret
}

// Secret gives generation N of a keyring Secret.
func Secret(ring *keyring.Keyring, namespace, base string, generation int) *corev1.Secret {
	immutable := true
	return &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Name:      names.Numbered(base, generation),
			Namespace: namespace,
			Labels: map[string]string{
				manifest.LabelManagedBy: manifest.ManagedBy,
				manifest.LabelKind:      manifest.KindKeyring,
				manifest.LabelKeyID:     ring.Primary().ID(),
			},
			Annotations: map[string]string{
				manifest.AnnotationBaseName:   base,
				manifest.AnnotationGeneration: strconv.Itoa(generation),
			},
		},
		Immutable: &immutable,
		Type:      corev1.SecretTypeOpaque,
		Data:      data(ring),
	}
}

// data has both variables always: a pod that names one which is not there does
// not start.
func data(ring *keyring.Keyring) map[string][]byte {
	primary, others := ring.Reveal()
	return map[string][]byte{
		keyring.EnvVarKey:      []byte(primary),
		keyring.EnvVarPrevious: []byte(strings.Join(others, ",")),
	}
}

// Read gives what a Secret holds; ok is false unless it is labelled and named as a
// keyring and holds one. The label is a candidate's, the keys are the proof.
func Read(s *corev1.Secret) (held Held, ok bool) {
	base, generation, numbered := names.SplitNumbered(s.Name)
	if s.Labels[manifest.LabelKind] != manifest.KindKeyring || !numbered {
		return Held{}, false
	}
	ring, err := keyring.Find(keyring.FromEnvironment(string(s.Data[keyring.EnvVarKey]), string(s.Data[keyring.EnvVarPrevious])))
	if err != nil {
		return Held{}, false
	}
	object := manifest.FromSecret(s)
	object.Base, object.Generation = base, generation // a token's first generation has no number
	return Held{
		Namespace: s.Namespace, Name: s.Name, Base: base, Generation: generation,
		IDs: ring.IDs(), Object: object, ring: ring, secret: s,
	}, true
}

// Holds says whether it holds exactly this keyring, its first key as the first one.
func (h Held) Holds(ring *keyring.Keyring) bool {
	_, others := ring.Reveal()
	_, held := h.ring.Reveal()
	return h.Serves(ring) && len(held) == len(others)
}

// Serves says whether pods that have it need no other: its first key is that of the
// keyring, and each other key of the keyring is in it. It may hold more, such as an older
// key that has left the .env since: its pods go on with it until the next rotation.
func (h Held) Serves(ring *keyring.Keyring) bool {
	primary, others := ring.Reveal()
	first, held := h.ring.Reveal()
	return first == primary && !slices.ContainsFunc(others, func(key string) bool { return !slices.Contains(held, key) })
}

// Current says whether its first key is KEY, and it has the staged key. A previous key may
// be missing, or be too many: the templates that name it say whether they need it.
func (h Held) Current(ring *keyring.Keyring) bool {
	staged := ring.Staged()
	return h.IDs[0] == ring.Primary().ID() && (staged == "" || slices.Contains(h.IDs, staged))
}

// Again gives the Secret that has to be created to have this one back.
func (h Held) Again() *corev1.Secret {
	s := h.secret
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace, Labels: s.Labels, Annotations: s.Annotations},
		Immutable:  s.Immutable,
		Type:       s.Type,
		Data:       s.Data,
	}
}

// Ours says whether one of its keys is in the keyring too; another project may
// keep its own in the same namespace.
func (h Held) Ours(ring *keyring.Keyring) bool { return slices.ContainsFunc(h.IDs, ring.Has) }

// Newest gives the highest generation of a base name, the zero value if none.
func Newest(all []Held, base string) (newest Held) {
	for _, h := range all {
		if h.Base == base && h.Generation > newest.Generation {
			newest = h
		}
	}
	return newest
}
