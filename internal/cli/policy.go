// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

// policyOptions say which policy is printed.
type policyOptions struct {
	name, action, selector string
}

func newPolicy(a *app) *cobra.Command {
	o := &policyOptions{}
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Print an admission policy that lets only tokens in",
		Long: `Print a ValidatingAdmissionPolicy and its binding: in namespaces with a label,
Secrets may hold Fernet tokens only. It needs Kubernetes 1.30 or newer.

It stops mistakes, such as kubectl create secret generic with a password, and not
whoever may write Secrets: it looks at Secrets of type Opaque, so another type gets past
it, and at the form of a token, which anybody can imitate. Nor does it stop whoever may
label namespaces or delete the policy.

What passes beside tokens: a keyring, whose data keys are exactly FERNET_KEY and
FERNET_KEY_PREVIOUS; Secrets of other types, such as kubernetes.io/tls; Secrets without
data. A Secret that was there before stays, and its labels and annotations can change;
new data is judged as a whole.

With -n it is for that one namespace, whatever its labels. Several policies need several
names. To see first what it would stop, use --action Warn, or --action Audit for the
audit log.`,
		Example: `  # only tokens enter production from now on
  kubectl fernet policy | kubectl apply -f -
  kubectl label namespace production ` + action.OnlyTokens + `=true`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return a.policy(o) },
	}
	cmd.Flags().StringVar(&o.name, "name", "kubectl-fernet-only-tokens", "the name of the policy and of its binding")
	cmd.Flags().StringVar(&o.action, "action", action.PolicyActions[0], "what happens to other Secrets: "+strings.Join(action.PolicyActions, ", "))
	cmd.Flags().StringVarP(&o.selector, "selector", "l", action.OnlyTokens+"=true", "the labels of the namespaces")
	_ = cmd.RegisterFlagCompletionFunc("action", cobra.FixedCompletions(action.PolicyActions, cobra.ShellCompDirectiveNoFileComp))
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if *a.connect.Namespace != "" && cmd.Flags().Changed("selector") {
			return errors.New("-n is one namespace, --selector is those with a label: leave out one of them")
		}
		return nil
	}
	return cmd
}

func (a *app) policy(o *policyOptions) error {
	if !names.Subdomain(o.name) {
		return errors.New("--name" + repeated(" %q", o.name) + ": not a name that Kubernetes takes")
	}
	if !slices.Contains(action.PolicyActions, o.action) {
		return withHint(errors.New("--action"+repeated(" %s", o.action)+": no such action"), "one of: %s", hint.List(action.PolicyActions))
	}
	namespaces, err := a.policyNamespaces(o.selector)
	if err != nil {
		return err
	}
	policy := action.Policy{Name: o.name, Action: o.action, Namespaces: namespaces}
	return a.printManifests(policy.Manifest(), policy.Binding())
}

// policyNamespaces selects the namespaces with a label, or the one of -n.
func (a *app) policyNamespaces(selector string) (*metav1.LabelSelector, error) {
	if namespace := *a.connect.Namespace; namespace != "" {
		return metav1.SetAsLabelSelector(map[string]string{corev1.LabelMetadataName: namespace}), names.CheckNamespace(namespace)
	}
	where, err := metav1.ParseToLabelSelector(selector)
	if err != nil {
		return nil, fmt.Errorf("--selector: %w", err)
	}
	if len(where.MatchLabels)+len(where.MatchExpressions) == 0 {
		return nil, withHint(errors.New("--selector is empty, which is every namespace"), "leave it out, or give a label")
	}
	return where, nil
}
