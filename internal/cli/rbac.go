// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

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
			rules, known := action.Rights[verb]
			if verb == "" {
				return withHint(errors.New("--for VERB is missing"), "one of: %s", hint.List(action.SortedKeys(action.Rights)))
			}
			if !known {
				return withHint(errors.New("--for: no verb that needs rights"), "one of: %s", hint.List(action.SortedKeys(action.Rights)))
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
	cmd.Flags().StringVar(&verb, "for", "", "the verb: "+strings.Join(action.SortedKeys(action.Rights), ", "))
	cmd.Flags().BoolVar(&clusterRole, "cluster-role", false, "a ClusterRole instead of a Role")
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions(action.SortedKeys(action.Rights), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}
