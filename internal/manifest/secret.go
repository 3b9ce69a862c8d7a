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
	LabelKind      = Prefix + "kind" // only on what has not just one token
	KindKeyring    = "keyring"
	KindBundle     = "bundle"

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
	s := &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Name:      row.Secret,
			Namespace: row.Namespace,
			Labels: map[string]string{
				LabelManagedBy: ManagedBy,
				LabelKeyID:     row.KeyID,
			},
			Annotations: map[string]string{
				AnnotationBaseName:   base,
				AnnotationGeneration: strconv.Itoa(row.Generation),
				AnnotationBinding:    row.Binding,
			},
		},
		Immutable: &immutable,
		Type:      corev1.SecretTypeOpaque,
		Data:      map[string][]byte{},
	}
	for _, e := range row.Placed().Entries() {
		s.Data[e.Name] = []byte(e.Token)
	}
	if row.Bundle() {
		s.Labels[LabelKind] = KindBundle
	} else {
		s.Annotations[AnnotationEnvKey] = row.EnvKey
	}
	return s
}

// Object is a live Secret as the planner sees it. Base and Generation come
// from the name. Of a bundle EnvKey is empty, and Token is the text of all its tokens
// (token.Join). Both are empty where the data cannot have been made by us.
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
	Kind                 string // its kind label: KindKeyring for what holds keys and no token
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
	if o.bundle(len(s.Data)) {
		o.Token = joined(s.Data)
	} else {
		for key, value := range s.Data {
			if text := string(value); !token.Joined(text) || !strings.Contains(text, " ") { // the text of a bundle is no token
				o.EnvKey, o.Token = key, text
			}
		}
	}
	if n, err := strconv.Atoi(s.Annotations[AnnotationGeneration]); err == nil && s.Annotations[AnnotationBaseName] != "" {
		o.Claimed = nameOf(o.EnvKey == "")(s.Annotations[AnnotationBaseName], n)
	}
	o.Altered = o.altered(s)
	return o
}

// nameOf gives the names of the generations of a bundle, or of a single entry.
func nameOf(bundle bool) func(base string, generation int) string {
	if bundle {
		return names.Numbered
	}
	return names.Secret
}

// bundle says whether a Secret with so many data keys is read as a bundle: as its binding
// says; without one as the label says, and what has not just one data key.
func (o Object) bundle(keys int) bool {
	switch {
	case keys != 1 || token.Bundled(o.Binding):
		return true
	default:
		return o.Binding == "" && o.Kind == KindBundle
	}
}

// joined gives the text of all tokens; empty where something else is among them.
func joined(data map[string][]byte) string {
	entries := make([]token.Entry, 0, len(data))
	for name, value := range data {
		if !ledger.EntryName(name) || strings.ContainsAny(string(value), " \n") {
			return ""
		}
		if _, err := token.Parse(string(value)); err != nil {
			return ""
		}
		entries = append(entries, token.Entry{Name: name, Token: string(value)})
	}
	return token.Join(entries)
}

// AsBundle gives the Secret as one of a bundle, whose base name is known to be one: without
// label and binding a bundle of one entry looks like a single token.
func (o Object) AsBundle() Object {
	if o.EnvKey != "" {
		o.EnvKey, o.Token = "", joined(map[string][]byte{o.EnvKey: []byte(o.Token)})
	}
	return o
}

// Bundle says whether the Secret is read as a bundle.
func (o Object) Bundle() bool { return o.EnvKey == "" && o.Token != "" }

// Placed gives the token in its place, with the binding that its annotation says.
func (o Object) Placed() token.Token {
	return token.Token{Namespace: o.Namespace, Secret: o.Name, EnvKey: o.EnvKey, Token: o.Token, Binding: o.Binding}
}

// altered names what of the metadata does not say what the object is.
func (o Object) altered(s *corev1.Secret) string {
	var names []string
	kind := ""
	if o.EnvKey == "" {
		kind = KindBundle
	}
	for _, has := range []struct{ name, is, want string }{
		{"type", string(cmp.Or(s.Type, corev1.SecretTypeOpaque)), string(corev1.SecretTypeOpaque)},
		{"label " + LabelManagedBy, s.Labels[LabelManagedBy], ManagedBy},
		{"label " + LabelKind, s.Labels[LabelKind], kind},
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
