// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

// Who may not do something is shown the Role of what was refused, which may be a part of
// another verb.
func TestWithRights(t *testing.T) {
	secrets := func(verb string) cluster.Request { return cluster.Request{Verb: verb, Resource: "secrets"} }
	for _, tc := range []struct {
		name, verb string
		refused    cluster.Request
		message    string
		want       string
	}{
		{"the verb's own", "push", secrets("create"), "", "--for push prints"},
		{"a rollout after a rotation", "rotate", cluster.Request{Verb: "patch", Group: "apps", Resource: "deployments"}, "", "--for rollout prints"},
		{"a rollout after a push", "push", cluster.Request{Verb: "list", Group: "batch", Resource: "cronjobs"}, "", "--for rollout prints"},
		{"a delete", "retire", secrets("delete"), "", "--for retire prints"},
		{"any kind is retire's", "retire", cluster.Request{Verb: "list", Group: "example.com", Resource: "widgets"}, "", "--for retire prints"},
		{"in all namespaces", "status", secrets("list"), "no list at the cluster scope", "--for status --cluster-role prints"},
		{"what no verb needs", "push", secrets("watch"), "", "--for push prints"},
		{"what the API server does not say", "diff", cluster.Request{}, "", "--for diff prints"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := WithRights(&cluster.Error{Message: tc.message, Rights: true, Refused: tc.refused}, tc.verb)
			if way := string(hint.Of(err)); !strings.HasPrefix(way, "kubectl fernet rbac "+tc.want) {
				t.Errorf("hint %q, want %q", way, tc.want)
			}
		})
	}
	for name, err := range map[string]error{"another error": errors.New("x"), "no question of rights": &cluster.Error{Message: "x"}} {
		if got := WithRights(err, "push"); !errors.Is(got, err) || hint.Of(got) != "" {
			t.Errorf("%s: %v", name, got)
		}
	}
}
