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

// rbacOptions say which Role is printed.
type rbacOptions struct {
	verb, env   string
	clusterRole bool
}

func newRBAC(a *app) *cobra.Command {
	o := &rbacOptions{}
	cmd := &cobra.Command{
		Use:   "rbac --for VERB",
		Short: "Print the Role that a command needs",
		Long: `Print the Role that a command needs, as YAML for kubectl apply.

It is about one namespace: bind it in each one that the command works in. Without -n there is a Role
for each namespace of FERNET_NAMESPACE in the .env, where that stands.

--cluster-role prints a ClusterRole: a RoleBinding gives it in one namespace, a
ClusterRoleBinding in all of them, which status -A needs.

Where FERNET_KEY_SECRET stands in the .env, push and rotate list the workloads too.
Before retire drops a key it lists the Secrets of all namespaces, which needs a
ClusterRoleBinding, or --skip-cluster-check. With --rollout, push and rotate need
the Role of rollout too.`,
		Example: `  # what a CI job needs that pushes
  kubectl fernet rbac --for push -n production | kubectl apply -f -`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return a.rbac(o) },
	}
	cmd.Flags().StringVar(&o.verb, "for", "", "the verb: "+strings.Join(action.SortedKeys(action.Rights), ", "))
	cmd.Flags().StringVar(&o.env, "env", action.DefaultEnv, "the .env file, for its settings; it may be missing")
	cmd.Flags().BoolVar(&o.clusterRole, "cluster-role", false, "a ClusterRole instead of a Role")
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions(action.SortedKeys(action.Rights), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *app) rbac(o *rbacOptions) error {
	namespace := *a.connect.Namespace
	if o.verb == "" {
		return withHint(errors.New("--for VERB is missing"), "one of: %s", hint.List(action.SortedKeys(action.Rights)))
	}
	settings, err := action.SettingsIn(o.env)
	if err != nil {
		return err
	}
	rules, known := action.RightsFor(o.verb, settings)
	namespaces := settings.Namespaces
	switch {
	case !known:
		return withHint(errors.New("--for"+repeated(" %s", o.verb)+": unknown verb"), "one of: %s", hint.List(action.SortedKeys(action.Rights)))
	case o.clusterRole && namespace != "":
		return errors.New("a ClusterRole has no namespace: leave out -n or --cluster-role")
	case namespace != "":
		if err := names.CheckNamespace(namespace); err != nil {
			return err
		}
		namespaces = []string{namespace}
	case o.clusterRole || len(namespaces) == 0:
		namespaces = []string{""}
	}
	var roles []any
	for _, namespace := range namespaces {
		roles = append(roles, o.role(namespace, rules))
	}
	return a.printManifests(roles...)
}

func (o *rbacOptions) role(namespace string, rules []rbacv1.PolicyRule) rbacv1.Role {
	role := rbacv1.Role{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "Role"},
		ObjectMeta: metav1.ObjectMeta{Name: "kubectl-fernet-" + o.verb, Namespace: namespace},
		Rules:      rules,
	}
	if o.clusterRole {
		role.Kind = "ClusterRole"
	}
	return role
}

// printManifests prints objects as YAML documents for kubectl apply.
func (a *app) printManifests(objects ...any) error {
	for i, object := range objects {
		text, err := yaml.Marshal(object)
		if err != nil {
			return err
		}
		if i > 0 {
			text = append([]byte("---\n"), text...)
		}
		if _, err := a.Out.Write(text); err != nil {
			return err
		}
	}
	return nil
}
