// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/fernet/fernet-go"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	admission "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	core "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keysecret"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

type texts = map[string]string

// policyCase is a Secret that is created, or that one which was there before the policy becomes.
type policyCase struct {
	name    string
	before  *corev1.Secret
	secret  *corev1.Secret
	refused string // what the message says; empty where it passes
}

// holds gives a Secret of some type with some data.
func holds(kind corev1.SecretType, d texts) *corev1.Secret {
	s := &corev1.Secret{Type: kind, Data: map[string][]byte{}}
	for key, value := range d {
		s.Data[key] = []byte(value)
	}
	return s
}

// changed gives a copy of a Secret with a change.
func changed(s *corev1.Secret, change func(*corev1.Secret)) *corev1.Secret {
	s = s.DeepCopy()
	change(s)
	return s
}

func tokenOf(t *testing.T, bytes int) string {
	t.Helper()
	key, err := fernet.DecodeKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	text, err := fernet.EncryptAndSign(make([]byte, bytes), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// keyringOf gives the keyring Secret with so many keys.
func keyringOf(t *testing.T, keys int) *corev1.Secret {
	t.Helper()
	var previous []string
	for range keys - 1 {
		previous = append(previous, freshKey(t))
	}
	ring, err := keyring.Find(keyring.FromEnvironment(freshKey(t), strings.Join(previous, ",")))
	if err != nil {
		t.Fatal(err)
	}
	return keysecret.Secret(ring, "", "fernet-key", 1)
}

// tokensOnly are Secrets of type Opaque and what a policy does with them when they are created.
func tokensOnly(t *testing.T) []policyCase {
	token, opaque := tokenOf(t, 5), corev1.SecretTypeOpaque
	plain := func(name, value string) policyCase {
		return policyCase{name: name, secret: holds(opaque, texts{"a": value}), refused: `"a" holds no Fernet token (1 of 1 data keys); kubectl fernet push `}
	}
	tokens := texts{}
	for bytes := range 200 {
		tokens[fmt.Sprint("SECRET_", bytes)] = tokenOf(t, bytes)
	}
	return []policyCase{
		{name: "a token", secret: holds(opaque, texts{"a": token})},
		{name: "tokens of each length", secret: holds(opaque, tokens)},
		{name: "no data", secret: holds(opaque, nil)},
		{name: "tokens as strings", secret: &corev1.Secret{StringData: texts{"a": token}}},
		{name: "some plain", secret: holds(opaque, texts{"a": token, "b": "x", "c": "y"}), refused: `"b" holds no Fernet token (2 of 3 data keys)`},
		{name: "a string", secret: &corev1.Secret{StringData: texts{"a": "x"}}, refused: `"a" holds no Fernet token`},
		{name: "no type", secret: holds("", texts{"a": "x"}), refused: `"a" holds no Fernet token`},
		{name: "our labels", secret: changed(holds(opaque, texts{"a": "x"}), func(s *corev1.Secret) {
			s.Labels = texts{manifest.LabelManagedBy: manifest.ManagedBy, manifest.LabelKind: manifest.KindKeyring}
		}), refused: `"a" holds no Fernet token`},
		plain("a value", "hunter2"), plain("empty", ""), plain("bytes", "\x00\x80\xff"), plain("base64", "Z0FBQUFB"), plain("a key", testKey),
		plain("a line end", token+"\n"), plain("a blank before", " "+token), plain("quoted", `"`+token+`"`), plain("a byte less", token[:len(token)-1]),
		plain("cut", token[:60]), plain("two", token+","+token), plain("begins like one", "gAAAAA"), plain("as base64", "Z0FBQUFB"+token[6:]),
	}
}

// keyrings are Secrets that hold keys, or look so.
func keyringCases(t *testing.T) []policyCase {
	alone := "a keyring holds FERNET_KEY and FERNET_KEY_PREVIOUS alone"
	with := func(name string, d texts) policyCase {
		return policyCase{name: name, refused: alone, secret: changed(keyringOf(t, 2), func(s *corev1.Secret) {
			for key, value := range d {
				s.Data[key] = []byte(value)
			}
		})}
	}
	return []policyCase{
		{name: "a key", secret: keyringOf(t, 1)},
		{name: "two keys", secret: keyringOf(t, 2)},
		{name: "five keys", secret: keyringOf(t, 5)},
		{name: "without labels", secret: changed(keyringOf(t, 3), func(s *corev1.Secret) { s.Labels, s.Annotations = nil, nil })},
		{name: "one variable", refused: alone, secret: changed(keyringOf(t, 1), func(s *corev1.Secret) { delete(s.Data, keyring.EnvVarPrevious) })},
		with("a value more", texts{"PASSWORD": "x"}),
		with("a token more", texts{"SECRET_A": tokenOf(t, 5)}),
		with("no key", texts{keyring.EnvVarKey: ""}),
		with("a password", texts{keyring.EnvVarKey: "hunter2"}),
		with("a previous password", texts{keyring.EnvVarPrevious: "hunter2"}),
		with("44 letters", texts{keyring.EnvVarKey: strings.Repeat("a", 44)}),
		with("89 letters", texts{keyring.EnvVarPrevious: strings.Repeat("a", 89)}),
	}
}

// otherTypes are Secrets of types that somebody else defined.
func otherTypes() []policyCase {
	return []policyCase{
		{name: "tls", secret: holds(corev1.SecretTypeTLS, texts{"tls.crt": "x", "tls.key": "y"})},
		{name: "registry", secret: holds(corev1.SecretTypeDockerConfigJson, texts{".dockerconfigjson": "{}"})},
		{name: "service account", secret: changed(holds(corev1.SecretTypeServiceAccountToken, nil), func(s *corev1.Secret) {
			s.Annotations = texts{corev1.ServiceAccountNameKey: "default"}
		})},
		{name: "basic auth", secret: holds(corev1.SecretTypeBasicAuth, texts{"username": "x", "password": "y"})},
		{name: "helm", secret: holds("helm.sh/release.v1", texts{"release": "x"})},
	}
}

// updates are of Secrets that were there before.
func updates(t *testing.T) []policyCase {
	old, opaque := holds(corev1.SecretTypeOpaque, texts{"a": "x", "b": "y"}), corev1.SecretTypeOpaque
	labelled := func(s *corev1.Secret) { s.Labels, s.Annotations = texts{"a": "b"}, texts{"a": "b"} }
	return []policyCase{
		{name: "labels", before: old, secret: changed(old, labelled)},
		{name: "immutable", before: old, secret: changed(old, func(s *corev1.Secret) { s.Immutable = new(true) })},
		{name: "a finalizer", before: changed(old, func(s *corev1.Secret) { s.Finalizers = []string{"example.com/a"} }), secret: old},
		{name: "the same again", before: old, secret: &corev1.Secret{Type: opaque, Data: old.Data, StringData: texts{"a": "x"}}},
		{name: "to tokens", before: old, secret: holds(opaque, texts{"a": tokenOf(t, 1)})},
		{name: "to nothing", before: old, secret: holds(opaque, nil)},
		{name: "of another type", before: holds(corev1.SecretTypeBasicAuth, texts{"password": "x"}), secret: holds(corev1.SecretTypeBasicAuth, texts{"password": "y"})},
		{name: "a value", before: old, secret: holds(opaque, texts{"a": "x", "b": "z"}), refused: `"a" holds no Fernet token (2 of 2 data keys)`},
		{name: "a value less", before: old, secret: holds(opaque, texts{"a": "x"}), refused: `"a" holds no Fernet token`},
		{name: "a token more", before: old, secret: holds(opaque, texts{"a": "x", "b": "y", "c": tokenOf(t, 1)}), refused: `(2 of 3 data keys)`},
		{name: "a value after nothing", before: holds(opaque, nil), secret: holds(opaque, texts{"a": "x"}), refused: `"a" holds no Fernet token`},
		{name: "from a token", before: holds(opaque, texts{"a": tokenOf(t, 1)}), secret: holds(opaque, texts{"a": "x"}), refused: `"a" holds no Fernet token`},
	}
}

// limits are as large as Secrets get: what the policy asks must not cost too much of them.
func limits(t *testing.T) []policyCase {
	short, many, plain := tokenOf(t, 5), texts{}, texts{}
	for i := range manifest.MaxData / len(short) {
		many[fmt.Sprintf("SECRET_%05d", i)] = short
		plain[fmt.Sprintf("SECRET_%05d", i)] = strings.Repeat("x", len(short))
	}
	few := texts{}
	for i := range 8 {
		few[fmt.Sprint("SECRET_", i)] = tokenOf(t, manifest.MaxPlaintext/8-64)
	}
	bundle := holds(corev1.SecretTypeOpaque, many)
	return []policyCase{
		{name: "the longest token", secret: holds(corev1.SecretTypeOpaque, texts{"a": tokenOf(t, manifest.MaxPlaintext)})},
		{name: "few long tokens", secret: holds(corev1.SecretTypeOpaque, few)},
		{name: "most tokens", secret: bundle},
		{name: "labels of most", before: bundle, secret: changed(bundle, func(s *corev1.Secret) { s.Labels = texts{"a": "b"} })},
		{name: "one of most", before: bundle, secret: changed(bundle, func(s *corev1.Secret) { s.Data["SECRET_00000"] = []byte(tokenOf(t, 6)) })},
		{name: "most values", secret: holds(corev1.SecretTypeOpaque, plain), refused: fmt.Sprintf(`"SECRET_00000" holds no Fernet token (%d of %[1]d data keys)`, len(plain))},
	}
}

// What the policy lets in and what not, decided by a real API server, which also finds no fault with
// the types of its expressions.
func TestPolicy(t *testing.T) {
	namespace := testkube.Namespace(t)
	secrets := core.NewForConfigOrDie(testkube.RESTConfig(t)).Secrets(namespace)
	var cases []policyCase
	for group, of := range map[string][]policyCase{"create": tokensOnly(t), "keyring": keyringCases(t), "type": otherTypes(), "update": updates(t), "limit": limits(t)} {
		for _, c := range of {
			c.name = group + "/" + c.name
			cases = append(cases, c)
		}
	}
	for i, c := range cases {
		c.secret.Name = fmt.Sprint("secret-", i)
		if c.before == nil {
			continue
		}
		before := changed(c.before, func(s *corev1.Secret) { s.Name = c.secret.Name })
		if _, err := secrets.Create(t.Context(), before, metav1.CreateOptions{}); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
	}
	policy := "only-tokens-" + namespace
	printed, err := exec.Command("kubectl-fernet", "policy", "--name", policy, "-n", namespace).Output()
	if err != nil {
		t.Fatal(err)
	}
	putIntoEffect(t, string(printed), policy, namespace)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var err error
			if c.before == nil {
				_, err = secrets.Create(t.Context(), c.secret, metav1.CreateOptions{})
			} else {
				_, err = secrets.Update(t.Context(), c.secret, metav1.UpdateOptions{})
			}
			says := fmt.Sprintf("secrets %q is forbidden: ValidatingAdmissionPolicy '%s' with binding '%[2]s' denied request: ", c.secret.Name, policy)
			switch {
			case c.refused == "" && err != nil:
				t.Errorf("refused: %.500v", err)
			case c.refused != "" && (err == nil || !strings.HasPrefix(err.Error(), says) || !strings.Contains(err.Error(), c.refused)):
				t.Errorf("want %s%s; got %.500v", says, c.refused, err)
			}
		})
	}
	t.Run("types", func(t *testing.T) { checkTypes(t, policy) })
}

// checkTypes waits until the controller manager has checked the expressions of a policy.
func checkTypes(t *testing.T, name string) {
	policies := admission.NewForConfigOrDie(testkube.RESTConfig(t)).ValidatingAdmissionPolicies()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		policy, err := policies.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if policy.Status.TypeChecking == nil {
			continue
		}
		for _, w := range policy.Status.TypeChecking.ExpressionWarnings {
			t.Errorf("%s: %s", w.FieldRef, w.Warning)
		}
		return
	}
	t.Error("the types were not checked")
}
