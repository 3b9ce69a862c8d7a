// SPDX-License-Identifier: Apache-2.0

package action

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

// OnlyTokens is the label of the namespaces that a policy is for unless told otherwise.
const OnlyTokens = manifest.Prefix + "only-tokens"

// PolicyActions are what a policy may do with a Secret that holds something else.
var PolicyActions = []string{string(admissionv1.Deny), string(admissionv1.Warn), string(admissionv1.Audit)}

// Policy is an admission policy under which only tokens enter namespaces.
type Policy struct {
	Name       string // of the policy and of its binding
	Action     string // one of PolicyActions
	Namespaces *metav1.LabelSelector
}

// PolicyManifest is an object of the policy, without the status that the API server adds.
type PolicyManifest[T any] struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              T `json:"spec"`
}

// The expressions see a value as base64 text. What they ask of one costs the same however long
// it is: a regular expression over all values ends the API server's budget at 0.7 MB.
const (
	isOpaque = `object.type == 'Opaque'`

	// The labels of a Secret that was there before can be set, and its finalizers removed.
	hasNewData = `has(object.data) && (request.operation == 'CREATE' || !has(oldObject.data) || object.data != oldObject.data)`

	// A token begins with version and time: gAAAAA. Before base64 it has 57 bytes and blocks of 16,
	// so there are three lengths in each 64: what was cut, quoted, or ends with a line is no token.
	plain = `object.data.filter(k, !(
  object.data[k].startsWith('Z0FBQUFB') &&
  (object.data[k].size() / 4 * 3 - (object.data[k].endsWith('==') ? 2 : object.data[k].endsWith('=') ? 1 : 0)) % 64 in [12, 36, 56]))`

	// A key has 44 characters, of which the last is =; previous ones have a comma between them.
	isKeyring = `object.data.size() == 2 && has(object.data.FERNET_KEY) && has(object.data.FERNET_KEY_PREVIOUS) &&
object.data.FERNET_KEY.size() == 60 && object.data.FERNET_KEY.endsWith('0=') &&
object.data.FERNET_KEY_PREVIOUS.size() % 60 == 0 &&
(object.data.FERNET_KEY_PREVIOUS == '' || object.data.FERNET_KEY_PREVIOUS.endsWith('0='))`

	refusal = `'"' + variables.plain.min() + '" holds no Fernet token (' +
string(variables.plain.size()) + ' of ' + string(object.data.size()) + ' data keys); ' +
(has(object.data.FERNET_KEY) ? 'a keyring holds FERNET_KEY and FERNET_KEY_PREVIOUS alone' : 'kubectl fernet push makes Secrets of tokens')`
)

// Manifest gives the policy itself.
func (p Policy) Manifest() PolicyManifest[admissionv1.ValidatingAdmissionPolicySpec] {
	writes := admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
		Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}, Scope: new(admissionv1.NamespacedScope)},
	}
	return policyManifest(p, "ValidatingAdmissionPolicy", admissionv1.ValidatingAdmissionPolicySpec{
		FailurePolicy:    new(admissionv1.Fail),
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: writes}}},
		MatchConditions: []admissionv1.MatchCondition{
			{Name: "opaque", Expression: isOpaque},
			{Name: "new-data", Expression: hasNewData},
		},
		Variables: []admissionv1.Variable{
			{Name: "plain", Expression: plain},
			{Name: "keyring", Expression: isKeyring},
		},
		Validations: []admissionv1.Validation{{
			Expression:        `variables.keyring || variables.plain.size() == 0`,
			MessageExpression: refusal,
			Reason:            new(metav1.StatusReasonForbidden),
		}},
	})
}

// Binding gives what puts the policy into effect.
func (p Policy) Binding() PolicyManifest[admissionv1.ValidatingAdmissionPolicyBindingSpec] {
	return policyManifest(p, "ValidatingAdmissionPolicyBinding", admissionv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName:        p.Name,
		ValidationActions: []admissionv1.ValidationAction{admissionv1.ValidationAction(p.Action)},
		MatchResources:    &admissionv1.MatchResources{NamespaceSelector: p.Namespaces},
	})
}

func policyManifest[T any](p Policy, kind string, spec T) PolicyManifest[T] {
	return PolicyManifest[T]{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: kind},
		ObjectMeta: metav1.ObjectMeta{Name: p.Name},
		Spec:       spec,
	}
}
