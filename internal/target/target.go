// SPDX-License-Identifier: Apache-2.0

// Package target decides where a run goes: which context of the kubeconfig, under which
// name the ledger knows its cluster, and which namespaces. What a user said goes in, a
// Target or an error that knows the way out comes out. It reads the kubeconfig and dials
// nobody.
package target

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

// Loader gives the kubeconfig as it applies to a context; "" is its current one.
type Loader func(context string) clientcmd.ClientConfig

// Request is what decides about the target.
type Request struct {
	// Load heeds all flags that say how to connect; Bare has the kubeconfig alone, for
	// clusters that are not the run's target.
	Load, Bare Loader

	Context, Cluster, Server string   // --context, --cluster and --server, as the user said them
	Namespace                string   // -n
	Namespaces               []string // --namespaces
	Settled                  []string // namespaces where the user named none: the setting of the .env
	ClusterName              string   // CLUSTER_NAME of the .env
	IgnoreClusterName        bool     // it neither chooses nor checks
	Offline                  bool     // no cluster is needed
}

// Named gives the namespaces that the user named.
func (r Request) Named() []string {
	if r.Namespace != "" {
		return []string{r.Namespace}
	}
	return r.Namespaces
}

// Chosen gives the namespaces that the user named, else those of the .env.
func (r Request) Chosen() []string {
	if named := r.Named(); len(named) > 0 {
		return named
	}
	return r.Settled
}

// Target is where a run goes.
type Target struct {
	Context    string // empty when the kubeconfig has none (in a pod, or --server)
	Cluster    string // as the ledger names it
	Namespaces []string
	Named      bool // the user named the namespaces
	Chosen     bool // the user or the .env did

	request Request
}

// String is the line that tells the user.
func (t Target) String() string {
	quoted := make([]string, len(t.Namespaces))
	for i, n := range t.Namespaces {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	word := "namespace"
	if len(quoted) > 1 {
		word = "namespaces"
	}
	return fmt.Sprintf("target: context %q, cluster %q, %s %s", t.Context, t.Cluster, word, strings.Join(quoted, ", "))
}

// Places names the namespaces in a sentence.
func (t Target) Places() string {
	if len(t.Namespaces) == 1 {
		return fmt.Sprintf("namespace %q", t.Namespaces[0])
	}
	return fmt.Sprintf("%d namespaces", len(t.Namespaces))
}

// Config gives the way to the target's API server.
func (t Target) Config() (*rest.Config, error) {
	return configOf(t.request.Load(t.Context))
}

func configOf(loader clientcmd.ClientConfig) (*rest.Config, error) {
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, kubeconfigError(err)
	}
	return config, nil
}

// Resolve applies the order --context, then CLUSTER_NAME (a context, else a cluster
// that exactly one context uses), then the current context.
func (r Request) Resolve() (Target, error) {
	kubeconfig, err := r.Load(r.Context).RawConfig()
	if err != nil {
		return Target{}, kubeconfigError(err)
	}
	t, err := r.choose(kubeconfig)
	if err != nil {
		return Target{}, err
	}
	t.request = r
	t.Namespaces, t.Named, t.Chosen = slices.Clone(r.Chosen()), len(r.Named()) > 0, len(r.Chosen()) > 0
	if len(t.Namespaces) == 0 {
		namespace, _, err := r.Load(t.Context).Namespace()
		if err != nil {
			return Target{}, kubeconfigError(err)
		}
		t.Namespaces = []string{namespace}
	}
	for _, namespace := range t.Namespaces {
		if err := names.CheckNamespace(namespace); err != nil {
			return Target{}, err
		}
	}
	redact.Name(append(t.Namespaces, t.Context, t.Cluster)...)
	return t, nil
}

func (r Request) choose(kubeconfig clientcmdapi.Config) (Target, error) {
	wanted := r.Context
	switch {
	case wanted != "":
		if kubeconfig.Contexts[wanted] == nil {
			return Target{}, noContext("--context", wanted, kubeconfig)
		}
	case r.ClusterName != "" && !r.IgnoreClusterName && len(kubeconfig.Contexts) > 0:
		name, err := byClusterName(r.ClusterName, kubeconfig)
		if err != nil && r.Offline {
			return Target{Cluster: r.ClusterName}, nil
		}
		if err != nil {
			return Target{}, err
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
func (r Request) agree(context string, kubeconfig clientcmdapi.Config) (Target, error) {
	chosen, flag, accepted := "", "--context "+context, []string{context}
	if c := kubeconfig.Contexts[context]; c != nil {
		chosen = c.Cluster
	}
	if r.Cluster != "" {
		chosen, flag, accepted = r.Cluster, "--cluster "+r.Cluster, nil
	}
	if r.Server != "" {
		chosen = userInfo.ReplaceAllString(r.Server, "://")
		flag, accepted = "--server "+chosen, nil
	}
	t := Target{Context: context, Cluster: chosen}
	if chosen == "" && !r.Offline && !inCluster() {
		return Target{}, hint.With(errors.New("no cluster: the kubeconfig is missing or has no current context"),
			"pass --kubeconfig or --context, or set KUBECONFIG; `kubectl config get-contexts` lists what there is")
	}
	if r.ClusterName == "" || r.IgnoreClusterName {
		return t, nil
	}
	if chosen != "" && len(kubeconfig.Contexts) > 0 && !slices.Contains(append(accepted, chosen), r.ClusterName) {
		return Target{}, hint.With(fmt.Errorf("%s is cluster %q, but CLUSTER_NAME is %q", flag, chosen, r.ClusterName),
			"leave %s out to go to %s, or add --ignore-cluster-name", strings.Fields(flag)[0], r.ClusterName)
	}
	t.Cluster = r.ClusterName
	return t, nil
}

// userInfo is the user and password of a URL.
var userInfo = regexp.MustCompile(`://[^/@]*@`)

// inCluster says whether this is a pod, where client-go finds its API server and
// credentials by itself.
func inCluster() bool { return os.Getenv("KUBERNETES_SERVICE_HOST") != "" }

// byClusterName finds the context that CLUSTER_NAME means.
func byClusterName(name string, kubeconfig clientcmdapi.Config) (string, error) {
	if kubeconfig.Contexts[name] != nil {
		return name, nil
	}
	users := contextsOf(name, kubeconfig)
	switch len(users) {
	case 1:
		return users[0], nil
	case 0:
		return "", noContext("CLUSTER_NAME", name, kubeconfig)
	default:
		return "", hint.With(fmt.Errorf("CLUSTER_NAME %q is a cluster that several contexts use: %s", name, strings.Join(users, ", ")),
			"choose one: --context %s", users[0])
	}
}

// contextsOf gives the contexts that use a cluster, sorted.
func contextsOf(cluster string, kubeconfig clientcmdapi.Config) (users []string) {
	for context, c := range kubeconfig.Contexts {
		if c.Cluster == cluster {
			users = append(users, context)
		}
	}
	slices.Sort(users)
	return users
}

// Other gives the way to a cluster that is not the run's target: that of the context
// of this name, else of the first context that uses a cluster of this name.
func (t Target) Other(name string) (context string, config *rest.Config, err error) {
	kubeconfig, err := t.request.Bare("").RawConfig()
	if err != nil {
		return "", nil, kubeconfigError(err)
	}
	context = name
	if users := contextsOf(name, kubeconfig); kubeconfig.Contexts[name] == nil && len(users) > 0 {
		context = users[0]
	}
	if kubeconfig.Contexts[context] == nil {
		return "", nil, errors.New("the kubeconfig has no context for it")
	}
	config, err = configOf(t.request.Bare(context))
	return context, config, err
}

func noContext(source, name string, kubeconfig clientcmdapi.Config) error {
	known := slices.Sorted(maps.Keys(kubeconfig.Contexts))
	if len(known) == 0 {
		return hint.With(fmt.Errorf("%s %q: the kubeconfig has no contexts", source, name), "pass --kubeconfig, or set KUBECONFIG")
	}
	err := fmt.Errorf("%s %q is no context and no cluster of the kubeconfig, which has: %s", source, name, strings.Join(known, ", "))
	if near := hint.Nearest(name, known); near != "" {
		return hint.With(err, "did you mean %s?", near)
	}
	if source == "CLUSTER_NAME" {
		return hint.With(err, "correct CLUSTER_NAME, or add --ignore-cluster-name to use the current context")
	}
	return hint.With(err, "name one of them")
}

func kubeconfigError(err error) error {
	if clientcmd.IsEmptyConfig(err) {
		return hint.With(errors.New("no cluster: the kubeconfig is missing or empty"), "pass --kubeconfig, or set KUBECONFIG")
	}
	return hint.With(errors.New("kubeconfig: "+redact.Clean(err.Error())), "`kubectl config view` shows what kubectl makes of it")
}
