// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// The Role that rbac prints is enough for its verb, and no part of it is too much.
func TestRolesAreEnough(t *testing.T) {
	for verb, args := range map[string][]string{
		"push":    {"push", "--update"},
		"diff":    {"diff"},
		"verify":  {"verify"},
		"status":  {"status"},
		"adopt":   {"adopt", "secret-00"},
		"rollout": {"rollout", "--yes"},
		"restore": {"restore"},
		"wire":    {"wire", "deployment/web", "--yes"},
		"rotate":  {"rotate", "--yes"},
		"retire":  {"retire", "--skip-cluster-check", "--yes", "--strict"},
	} {
		t.Run(verb, func(t *testing.T) {
			p := newPlace(t, 2)
			if out, err := p.push(testkube.Kubeconfig(t)).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			text, err := exec.Command("kubectl-fernet", "rbac", "--for", verb).Output()
			if err != nil {
				t.Fatal(err)
			}
			rotatedPlace{p}.kubectl("", "create", "deployment", "web", "--image", "app")
			var role rbacv1.Role
			if err := yaml.UnmarshalStrict(text, &role); err != nil {
				t.Fatal(err)
			}
			kubeconfig := testkube.User(t, p.namespace, verb+"-"+p.namespace, role.Rules...)
			cmd := exec.Command("kubectl-fernet", append(args, "-n", p.namespace)...)
			cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "KUBECONFIG="+kubeconfig)
			out, err := cmd.CombinedOutput()
			if err != nil || strings.Contains(string(out), "not allowed") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// Without rights the error says which one is missing, and where it is found.
func TestMissingRightsNameTheCommand(t *testing.T) {
	p := newPlace(t, 1)
	if out, err := p.push(testkube.Kubeconfig(t)).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	kubeconfig := testkube.User(t, p.namespace, "nobody-"+p.namespace, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}})
	for _, verb := range []string{"push", "rotate", "rollout", "retire", "status", "restore", "verify", "diff", "wire deployment/web"} {
		args := strings.Fields(verb)
		verb := args[0]
		cmd := exec.Command("kubectl-fernet", append(args, "-n", p.namespace)...)
		cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "KUBECONFIG="+kubeconfig)
		out, err := cmd.CombinedOutput()
		if code := exitCode(t, err); code != 2 || !strings.Contains(string(out), `resource "secrets"`) || !strings.Contains(string(out), "hint: kubectl fernet rbac --for "+verb+" prints") {
			t.Errorf("%s: exit code %d\n%s", verb, code, out)
		}
	}
}
