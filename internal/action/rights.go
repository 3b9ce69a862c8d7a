// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

// Rights are what each verb needs in each of its namespaces.
var Rights = map[string][]rbacv1.PolicyRule{
	"push":     {secretsRule("get", "list", "create")},
	"rotate":   {secretsRule("get", "list", "create")},
	"restore":  append([]rbacv1.PolicyRule{secretsRule("get", "list", "create")}, listRules()...),
	"diff":     {secretsRule("get", "list")},
	"pull":     {secretsRule("get", "list")}, // with --from cluster, like the next two
	"reveal":   {secretsRule("get", "list")},
	"exec-env": {secretsRule("get", "list")},
	"verify":   append([]rbacv1.PolicyRule{secretsRule("get", "list")}, listRules()...),
	"status":   append([]rbacv1.PolicyRule{secretsRule("get", "list")}, listRules()...),
	"adopt":    {secretsRule("get", "patch")},
	"wire":     slices.Concat([]rbacv1.PolicyRule{secretsRule("get", "list")}, patchRules("list")),
	"rollout":  slices.Concat([]rbacv1.PolicyRule{secretsRule("get", "list", "create")}, patchRules(), listRules()),
	"retire":   append([]rbacv1.PolicyRule{secretsRule("get", "list", "create", "delete")}, listRules()...),
}

// RightsFor gives what a verb needs where the .env has these settings. The first generation
// of a keyring takes no name that a workload has, so who makes one looks at the workloads.
func RightsFor(verb string, s Settings) (rules []rbacv1.PolicyRule, known bool) {
	rules, known = Rights[verb]
	if s.KeySecret != "" && (verb == "push" || verb == "rotate") {
		rules = append(slices.Clone(rules), workloadRules()...)
	}
	return rules, known
}

// workloadRules let list the workloads.
func workloadRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}},
		{APIGroups: []string{"apps"}, Resources: []string{"daemonsets", "deployments", "statefulsets"}, Verbs: []string{"list"}},
		{APIGroups: []string{"argoproj.io"}, Resources: []string{"rollouts"}, Verbs: []string{"list"}},
		{APIGroups: []string{"batch"}, Resources: []string{"cronjobs", "jobs"}, Verbs: []string{"list"}},
	}
}

func secretsRule(verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: verbs}
}

// patchRules let patch what can be patched, and follow it.
func patchRules(more ...string) []rbacv1.PolicyRule {
	verbs := append([]string{"get", "patch", "watch"}, more...)
	return []rbacv1.PolicyRule{
		{APIGroups: []string{"apps"}, Resources: []string{"deployments", "statefulsets", "daemonsets"}, Verbs: verbs},
		{APIGroups: []string{"batch"}, Resources: []string{"cronjobs"}, Verbs: verbs},
	}
}

// referringKinds are the kinds of a cluster without custom resources, by API group: whatever
// may refer to a Secret. What else may do so, the cluster's owner adds.
var referringKinds = []struct {
	group string
	kinds []string
}{
	{"", []string{"configmaps", "endpoints", "limitranges", "persistentvolumeclaims", "pods", "podtemplates", "replicationcontrollers", "resourcequotas", "serviceaccounts", "services"}},
	{"apps", []string{"controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"}},
	{"argoproj.io", []string{"rollouts"}},
	{"autoscaling", []string{"horizontalpodautoscalers"}},
	{"batch", []string{"cronjobs", "jobs"}},
	{"certificates.k8s.io", []string{"podcertificaterequests"}},
	{"coordination.k8s.io", []string{"leases"}},
	{"discovery.k8s.io", []string{"endpointslices"}},
	{"networking.k8s.io", []string{"ingresses", "networkpolicies"}},
	{"policy", []string{"poddisruptionbudgets"}},
	{"rbac.authorization.k8s.io", []string{"rolebindings", "roles"}},
	{"resource.k8s.io", []string{"resourceclaims", "resourceclaimtemplates"}},
	{"storage.k8s.io", []string{"csistoragecapacities"}},
}

// listRules let list all of these.
func listRules() (rules []rbacv1.PolicyRule) {
	for _, of := range referringKinds {
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{of.group}, Resources: of.kinds, Verbs: []string{"list"}})
	}
	return rules
}

// WithRights adds to an error about missing rights where to find those that the verb, or
// the part of it that was refused, needs.
func WithRights(err error, verb string) error {
	var refused *cluster.Error
	switch {
	case !errors.As(err, &refused) || !refused.Rights || Rights[verb] == nil:
		return err
	case strings.Contains(refused.Message, "at the cluster scope"):
		return hint.With(err, "kubectl fernet rbac --for %s --cluster-role prints what it needs in all namespaces", roleOf(verb, refused.Refused))
	}
	return hint.With(err, "%s", RoleHint(roleOf(verb, refused.Refused)))
}

// RoleHint says where the rights are found that a verb needs.
func RoleHint(verb string) hint.Text {
	return hint.Format("kubectl fernet rbac --for %s prints the Role that it needs", verb)
}

// roleOf gives the verb whose Role has what was refused: that of the command, unless what
// was refused is a part of it that another verb is too, as rollout is of rotate.
func roleOf(verb string, refused cluster.Request) string {
	for _, candidate := range []string{verb, "rollout", "retire"} {
		if slices.ContainsFunc(Rights[candidate], func(r rbacv1.PolicyRule) bool { return allows(r, refused) }) {
			return candidate
		}
	}
	return verb
}

func allows(r rbacv1.PolicyRule, asked cluster.Request) bool {
	has := func(all []string, one string) bool { return slices.Contains(all, one) || slices.Contains(all, "*") }
	return has(r.APIGroups, asked.Group) && has(r.Resources, asked.Resource) && has(r.Verbs, asked.Verb)
}
