// SPDX-License-Identifier: Apache-2.0

// Package manifest turns ledger rows into Kubernetes Secrets and Secrets back
// into what the rest of the program needs to know of them. It holds the labels and
// annotations, and the API server's limits. It is pure: it opens no file, dials
// nobody, and has no type that could carry a plaintext.
package manifest

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/token"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

// MaxToken is the longest token in bytes that fits into one Secret: the API
// server accepts exactly 1 MiB of data.
const MaxToken = 1 << 20

// MaxPlaintext is the longest value in bytes whose token is at most MaxToken.
const MaxPlaintext = 786367

// The metadata that every Secret of ours carries. They cannot change: objects
// in clusters and programs that select by them depend on each letter.
const (
	Prefix       = "kubectl-fernet.github.io/"
	FieldManager = "kubectl-fernet"

	LabelManagedBy = "app.kubernetes.io/managed-by"
	ManagedBy      = "kubectl-fernet"
	LabelKeyID     = Prefix + "key-id"
	LabelKind      = Prefix + "kind" // only on what is no token
	KindKeyring    = "keyring"

	AnnotationEnvKey     = Prefix + "env-key"
	AnnotationBaseName   = Prefix + "base-name"
	AnnotationGeneration = Prefix + "generation"
	AnnotationBinding    = Prefix + "binding"

	AnnotationManifest = Prefix + "manifest" // of a workload: what its manifest still says where rollout changed it
)

// Selector finds candidates for Secrets of ours. A label is a hint, never a proof.
const Selector = LabelManagedBy + "=" + ManagedBy

// Secret gives the object that a ledger row describes, byte for byte the same
// for the same row.
func Secret(row ledger.Row) *corev1.Secret {
	immutable := true
	base, _ := names.Split(row.Secret)
	return &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Name:      row.Secret,
			Namespace: row.Namespace,
			Labels: map[string]string{
				LabelManagedBy: ManagedBy,
				LabelKeyID:     row.KeyID,
			},
			Annotations: map[string]string{
				AnnotationEnvKey:     row.EnvKey,
				AnnotationBaseName:   base,
				AnnotationGeneration: strconv.Itoa(row.Generation),
				AnnotationBinding:    row.Binding,
			},
		},
		Immutable: &immutable,
		Type:      corev1.SecretTypeOpaque,
		Data:      map[string][]byte{row.EnvKey: []byte(row.Token)},
	}
}

// Object is a live Secret as the planner sees it. Base and Generation come
// from the name. EnvKey and Token are empty unless the Secret has exactly one
// data key: one that has none or several was not made by us.
type Object struct {
	Namespace, Name, UID string
	ResourceVersion      string
	Base                 string
	Generation           int
	EnvKey, Token        string
	Managed              bool   // carries our managed-by label
	KeyID, Binding       string // as its label and annotation say
	Deleting             bool
	Created              time.Time
	Kind                 string // KindKeyring for what holds keys and no token
	Immutable            bool
	Claimed              string // the name that its annotations say it was made under; empty where they say none
	Altered              string // of type, labels and annotations what is not as Secret writes it, but for key id and binding
}

// FromSecret reads a live Secret.
func FromSecret(s *corev1.Secret) Object {
	o := Object{
		Namespace:       s.Namespace,
		Name:            s.Name,
		UID:             string(s.UID),
		ResourceVersion: s.ResourceVersion,
		Managed:         s.Labels[LabelManagedBy] == ManagedBy,
		KeyID:           s.Labels[LabelKeyID],
		Binding:         s.Annotations[AnnotationBinding],
		Deleting:        s.DeletionTimestamp != nil,
		Created:         s.CreationTimestamp.Time,
	}
	o.Kind = s.Labels[LabelKind]
	o.Immutable = s.Immutable != nil && *s.Immutable
	o.Base, o.Generation = names.Split(s.Name)
	if len(s.Data) == 1 {
		for key, value := range s.Data {
			o.EnvKey, o.Token = key, string(value)
		}
	}
	if n, err := strconv.Atoi(s.Annotations[AnnotationGeneration]); err == nil && s.Annotations[AnnotationBaseName] != "" {
		o.Claimed = names.Secret(s.Annotations[AnnotationBaseName], n)
	}
	o.Altered = o.altered(s)
	return o
}

// Placed gives the token in its place, with the binding that its annotation says.
func (o Object) Placed() token.Token {
	return token.Token{Namespace: o.Namespace, Secret: o.Name, EnvKey: o.EnvKey, Token: o.Token, Binding: o.Binding}
}

// altered names what of the metadata does not say what the object is.
func (o Object) altered(s *corev1.Secret) string {
	var names []string
	for _, has := range []struct{ name, is, want string }{
		{"type", string(cmp.Or(s.Type, corev1.SecretTypeOpaque)), string(corev1.SecretTypeOpaque)},
		{"label " + LabelManagedBy, s.Labels[LabelManagedBy], ManagedBy},
		{"label " + LabelKind, s.Labels[LabelKind], ""},
		{"annotation " + AnnotationEnvKey, s.Annotations[AnnotationEnvKey], o.EnvKey},
		{"annotation " + AnnotationBaseName, s.Annotations[AnnotationBaseName], o.Base},
		{"annotation " + AnnotationGeneration, s.Annotations[AnnotationGeneration], strconv.Itoa(o.Generation)},
	} {
		if has.is != has.want {
			names = append(names, has.name)
		}
	}
	return strings.Join(names, ", ")
}

// Carries says whether the object holds exactly the bytes of a row: same
// place, same data key, same token.
func (o Object) Carries(row ledger.Row) bool {
	return o.Namespace == row.Namespace && o.Name == row.Secret && o.EnvKey == row.EnvKey && o.Token == row.Token
}

// Interest says which Secrets of a namespace have to be looked at before a run
// can decide: every generation of every wanted base name, and what the ledger
// recorded.
type Interest struct {
	Bases    map[string]int  // base name: the highest generation the ledger knows, 1 if none
	Names    map[string]bool // full names in rows of those base names, and in all created rows
	Labelled bool            // whatever carries our label, too
}

// Covers says whether a Secret of that name matters.
func (in Interest) Covers(name string) bool {
	base, _ := names.Split(name)
	_, ok := in.Bases[base]
	return ok || in.Names[name]
}
