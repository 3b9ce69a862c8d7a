// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

// target is where a run goes: which context of the kubeconfig, under which
// name the ledger knows its cluster, and which namespaces.
type target struct {
	context    string // empty when the kubeconfig has none (in a pod, or --server)
	cluster    string
	namespaces []string
	loader     clientcmd.ClientConfig
}

func (t target) line() string {
	names := make([]string, len(t.namespaces))
	for i, n := range t.namespaces {
		names[i] = fmt.Sprintf("%q", n)
	}
	word := "namespace"
	if len(names) > 1 {
		word = "namespaces"
	}
	return fmt.Sprintf("target: context %q, cluster %q, %s %s", t.context, t.cluster, word, strings.Join(names, ", "))
}

func (t target) restConfig() (*rest.Config, error) {
	config, err := t.loader.ClientConfig()
	if err != nil {
		return nil, kubeconfigError(err)
	}
	return config, nil
}

// targetRequest is what decides about the target.
type targetRequest struct {
	connect     *genericclioptions.ConfigFlags
	clusterName string   // CLUSTER_NAME, may be empty
	namespaces  []string // --namespaces, may be empty
	ignoreName  bool     // --ignore-cluster-name
	offline     bool     // no cluster is needed
}

// resolve applies the order --context, then CLUSTER_NAME (a context, else a
// cluster that exactly one context uses), then the current context.
func (r targetRequest) resolve() (target, error) {
	kubeconfig, err := r.connect.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return target{}, kubeconfigError(err)
	}
	t, err := r.choose(kubeconfig)
	if err != nil {
		return target{}, err
	}
	r.connect.Context = &t.context
	t.loader = r.connect.ToRawKubeConfigLoader()
	t.namespaces = r.namespaces
	if len(t.namespaces) == 0 {
		ns, _, err := t.loader.Namespace()
		if err != nil {
			return target{}, kubeconfigError(err)
		}
		t.namespaces = []string{ns}
	}
	for _, ns := range t.namespaces {
		if err := names.CheckNamespace(ns); err != nil {
			return target{}, err
		}
	}
	redact.Name(append(t.namespaces, t.context, t.cluster)...)
	return t, nil
}

func (r targetRequest) choose(kubeconfig clientcmdapi.Config) (target, error) {
	wanted := *r.connect.Context
	switch {
	case wanted != "":
		if kubeconfig.Contexts[wanted] == nil {
			return target{}, noContext("--context", wanted, kubeconfig)
		}
	case r.clusterName != "" && !r.ignoreName && len(kubeconfig.Contexts) > 0:
		name, err := byClusterName(r.clusterName, kubeconfig)
		if err != nil && r.offline {
			return target{cluster: r.clusterName}, nil
		}
		if err != nil {
			return target{}, err
		}
		wanted = name
	default:
		wanted = kubeconfig.CurrentContext
	}
	return r.agree(wanted, kubeconfig)
}

// agree gives the target for a chosen context and refuses one that CLUSTER_NAME
// does not mean. --cluster and --server override the cluster of the context, so
// with them the name of the context agrees with nothing.
func (r targetRequest) agree(context string, kubeconfig clientcmdapi.Config) (target, error) {
	chosen, flag, names := "", "--context "+context, []string{context}
	if c := kubeconfig.Contexts[context]; c != nil {
		chosen = c.Cluster
	}
	if override := *r.connect.ClusterName; override != "" {
		chosen, flag, names = override, "--cluster "+override, nil
	}
	if override := *r.connect.APIServer; override != "" {
		chosen = userInfo.ReplaceAllString(override, "://")
		flag, names = "--server "+chosen, nil
	}
	t := target{context: context, cluster: chosen}
	if chosen == "" && !r.offline && !inCluster() {
		return target{}, withHint(errors.New("no cluster: the kubeconfig is missing or has no current context"),
			"pass --kubeconfig or --context, or set KUBECONFIG; `kubectl config get-contexts` lists what there is")
	}
	if r.clusterName == "" || r.ignoreName {
		return t, nil
	}
	if chosen != "" && len(kubeconfig.Contexts) > 0 && !slices.Contains(append(names, chosen), r.clusterName) {
		return target{}, withHint(fmt.Errorf("%s is cluster %q, but CLUSTER_NAME is %q", flag, chosen, r.clusterName),
			"leave %s out to go to %s, or add --ignore-cluster-name", strings.Fields(flag)[0], r.clusterName)
	}
	t.cluster = r.clusterName
	return t, nil
}

// inCluster says whether this is a pod, where client-go finds its API server and
// credentials by itself.
func inCluster() bool { return os.Getenv("KUBERNETES_SERVICE_HOST") != "" }

// byClusterName finds the context that CLUSTER_NAME means.
func byClusterName(name string, kubeconfig clientcmdapi.Config) (string, error) {
	if kubeconfig.Contexts[name] != nil {
		return name, nil
	}
	var users []string
	for context, c := range kubeconfig.Contexts {
		if c.Cluster == name {
			users = append(users, context)
		}
	}
	slices.Sort(users)
	switch len(users) {
	case 1:
		return users[0], nil
	case 0:
		return "", noContext("CLUSTER_NAME", name, kubeconfig)
	default:
		return "", withHint(fmt.Errorf("CLUSTER_NAME %q is a cluster that several contexts use: %s", name, strings.Join(users, ", ")),
			"choose one: --context %s", users[0])
	}
}

// otherCluster gives the way to a cluster that is not the run's target: that of
// the context of this name, else of the first context that uses a cluster of
// this name. The flags that say where to connect are for the target only.
func otherCluster(connect *genericclioptions.ConfigFlags, name string) (*rest.Config, error) {
	flags := genericclioptions.NewConfigFlags(false)
	flags.KubeConfig = connect.KubeConfig
	kubeconfig, err := flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, kubeconfigError(err)
	}
	context := name
	for candidate, c := range kubeconfig.Contexts {
		if kubeconfig.Contexts[name] == nil && c.Cluster == name && (context == name || candidate < context) {
			context = candidate
		}
	}
	if kubeconfig.Contexts[context] == nil {
		return nil, errors.New("the kubeconfig has no context for it")
	}
	flags.Context = &context
	config, err := flags.ToRawKubeConfigLoader().ClientConfig()
	if err != nil {
		return nil, kubeconfigError(err)
	}
	return config, nil
}

func noContext(source, name string, kubeconfig clientcmdapi.Config) error {
	var names []string
	for context := range kubeconfig.Contexts {
		names = append(names, context)
	}
	sort.Strings(names)
	if len(names) == 0 {
		return withHint(fmt.Errorf("%s %q: the kubeconfig has no contexts", source, name), "pass --kubeconfig, or set KUBECONFIG")
	}
	err := fmt.Errorf("%s %q is no context and no cluster of the kubeconfig, which has: %s", source, name, strings.Join(names, ", "))
	if near := nearest(name, names); near != "" {
		return withHint(err, "did you mean %s?", near)
	}
	if source == "CLUSTER_NAME" {
		return withHint(err, "correct CLUSTER_NAME, or add --ignore-cluster-name to use the current context")
	}
	return withHint(err, "--context %s", names[0])
}

func kubeconfigError(err error) error {
	if clientcmd.IsEmptyConfig(err) {
		return withHint(errors.New("no cluster: the kubeconfig is missing or empty"), "pass --kubeconfig, or set KUBECONFIG")
	}
	return withHint(errors.New("kubeconfig: "+redact.Clean(err.Error())), "`kubectl config view` shows what kubectl makes of it")
}
