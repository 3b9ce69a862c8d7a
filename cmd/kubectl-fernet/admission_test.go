// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// policyManifest is a policy that quotes the data of each Secret which is created.
const policyManifest = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [secrets]}
  validations:
  - expression: "false"
    messageExpression: "'not on a Friday: ' + object.data.map(k, k + '=' + %[2]s).join(', ')"
    %[3]s
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec:
  policyName: %[1]s
  validationActions: [%[4]s]
  matchResources:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[5]s}}
`

// admits puts a policy into effect for one namespace.
func (s echoSite) admits(quote, reason, action string) (policy string) {
	s.t.Helper()
	policy = "keep-out-" + s.namespace
	putIntoEffect(s.t, fmt.Sprintf(policyManifest, policy, quote, reason, action, s.namespace), policy, s.namespace)
	return policy
}

// putIntoEffect applies an admission policy or a webhook, until undo or the test's end. mark is what the
// answer to a dry run of a plain Secret in that namespace then holds.
func putIntoEffect(t *testing.T, manifest, mark, namespace string) (undo func()) {
	t.Helper()
	kubectl := func(stdin string, args ...string) (string, error) {
		cmd := exec.Command(filepath.Join(testkube.Root(t), "bin", "kubectl"), append(args, "--kubeconfig", testkube.Kubeconfig(t))...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	marked := func(want bool) {
		t.Helper()
		var out string
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			var err error
			out, err = kubectl("", "create", "secret", "generic", "probe", "--from-literal", "a=b", "--dry-run=server", "-o", "yaml", "-n", namespace)
			if strings.Contains(out, mark) == want && (want || err == nil) {
				return
			}
		}
		t.Fatalf("%s in effect: not %t within a minute\n%s", mark, want, out)
	}
	if out, err := kubectl(manifest, "apply", "-f", "-"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	remove := func() { _, _ = kubectl(manifest, "delete", "--ignore-not-found", "--wait=false", "-f", "-") }
	t.Cleanup(remove)
	marked(true)
	return func() {
		remove()
		marked(false)
	}
}

// A policy's message may quote the object: what is left says who refused and why, in
// kubectl's words, and nothing of a key or token.
func TestAdmissionPoliciesThatQuoteTheObject(t *testing.T) {
	for _, c := range []struct {
		name, quote, reason, action string
	}{
		{"default reason", "string(object.data[k])", "", "Deny"},
		{"forbidden", "'%x'.format([string(object.data[k])])", "reason: Forbidden", "Deny"},
		{"too large", "string(object.data[k]).substring(11, 40)", "reason: RequestEntityTooLarge", "Deny"},
		{"warning", "string(object.data[k])", "", "Warn"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newEchoSite(t)
			policy := s.admits(c.quote, c.reason, c.action)
			s.env(testKey, "SECRET_A", "SECRET_B", "SECRET_C")
			for _, args := range [][]string{{"push", "--dry-run=server"}, {"push"}, {"rotate", "--prepare", "--yes", "--key-secret", "fernet-key"}, {"rotate", "--yes"}} {
				name := strings.Join(args, " ")
				stdout, stderr, code := s.run(testkube.Kubeconfig(t), args...)
				secrets := s.secrets(nil)
				noRunOf(t, name+": stdout", stdout, secrets)
				noRunOf(t, name+": stderr", stderr, secrets)
				says := "ValidatingAdmissionPolicy '" + policy + "' with binding '" + policy + "' denied request: not on a Friday: "
				if c.action == "Warn" {
					says = "Warning: Validation failed for ValidatingAdmissionPolicy '" + policy + "' with binding '" + policy + "': not on a Friday: "
				}
				if (code == 0) != (c.action == "Warn") || !strings.Contains(stderr, says) || !strings.Contains(stderr, "[redacted]") {
					t.Errorf("%s: exit code %d; want it to say %q:\n%s", name, code, says, stderr)
				}
			}
		})
	}
}
