// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

// rights are what each verb needs in each of its namespaces.
var rights = map[string][]rbacv1.PolicyRule{
	"push":     {secretsRule("get", "list", "create")},
	"rotate":   {secretsRule("get", "list", "create")},
	"restore":  {secretsRule("get", "create")},
	"diff":     {secretsRule("get", "list")},
	"pull":     {secretsRule("get", "list")}, // with --from cluster, like the next two
	"reveal":   {secretsRule("get", "list")},
	"exec-env": {secretsRule("get", "list")},
	"verify":   append([]rbacv1.PolicyRule{secretsRule("get", "list")}, workloadRules("list")...),
	"status":   append([]rbacv1.PolicyRule{secretsRule("get", "list")}, workloadRules("list")...),
	"adopt":    {secretsRule("get", "patch")},
	"rollout":  append([]rbacv1.PolicyRule{secretsRule("get", "list", "create")}, workloadRules("get", "list", "patch")...),
	"retire": {
		secretsRule("get", "list", "create", "delete"),
		{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"list"}}, // whatever may refer to a Secret
	},
}

func secretsRule(verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: verbs}
}

// workloadRules give the verbs on what can be patched, and a look at the rest.
func workloadRules(verbs ...string) []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{"apps"}, Resources: []string{"deployments", "statefulsets", "daemonsets"}, Verbs: verbs},
		{APIGroups: []string{"batch"}, Resources: []string{"cronjobs"}, Verbs: verbs},
		{APIGroups: []string{"batch"}, Resources: []string{"jobs"}, Verbs: []string{"list"}},
		{APIGroups: []string{"argoproj.io"}, Resources: []string{"rollouts"}, Verbs: []string{"list"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}},
	}
}

func verbsWithRights() (verbs []string) {
	for verb := range rights {
		verbs = append(verbs, verb)
	}
	slices.Sort(verbs)
	return verbs
}

// withRights adds to an error about missing rights where to find those that the
// verb needs.
func withRights(err error, verb string) error {
	var refused *cluster.Error
	switch {
	case !errors.As(err, &refused) || !refused.Rights || rights[verb] == nil:
		return err
	case strings.Contains(refused.Message, "at the cluster scope"):
		return withHint(err, "kubectl fernet rbac --for %s --cluster-role prints what it needs in all namespaces", verb)
	}
	return withHint(err, "%s", roleHint(verb))
}

// roleHint says where the rights are found that a verb needs.
func roleHint(verb string) hint.Text {
	return hint.Format("kubectl fernet rbac --for %s prints the Role that it needs", verb)
}

func newRBAC(a *app) *cobra.Command {
	var verb string
	var clusterRole bool
	cmd := &cobra.Command{
		Use:   "rbac --for VERB",
		Short: "Print the Role that a verb needs",
		Long: `Print the Role that a verb needs, as YAML for kubectl apply. It is about one
namespace: bind it in each one that the verb works in.

--cluster-role prints a ClusterRole: a RoleBinding gives it in one namespace, a
ClusterRoleBinding in all of them, which status -A needs.

Before retire drops a key it lists the Secrets of all namespaces, which needs a
ClusterRoleBinding, or --skip-cluster-check. With --key-secret, rotate needs nothing more; with --rollout, push and rotate need
the Role of rollout too.`,
		Example: `  # what a CI job needs that pushes
  kubectl fernet rbac --for push -n production | kubectl apply -f -`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			rules, known := rights[verb]
			if verb == "" {
				return withHint(errors.New("--for VERB is missing"), "one of: %s", hint.List(verbsWithRights()))
			}
			if !known {
				return withHint(errors.New("--for: no verb that needs rights"), "one of: %s", hint.List(verbsWithRights()))
			}
			role := rbacv1.Role{
				TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "Role"},
				ObjectMeta: metav1.ObjectMeta{Name: "kubectl-fernet-" + verb, Namespace: *a.connect.Namespace},
				Rules:      rules,
			}
			switch {
			case clusterRole && role.Namespace != "":
				return errors.New("a ClusterRole has no namespace: leave out -n or --cluster-role")
			case clusterRole:
				role.Kind = "ClusterRole"
			case role.Namespace != "":
				if err := names.CheckNamespace(role.Namespace); err != nil {
					return err
				}
			}
			text, err := yaml.Marshal(role)
			if err == nil {
				_, err = a.Out.Write(text)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&verb, "for", "", "the verb: "+strings.Join(verbsWithRights(), ", "))
	cmd.Flags().BoolVar(&clusterRole, "cluster-role", false, "a ClusterRole instead of a Role")
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions(verbsWithRights(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}
