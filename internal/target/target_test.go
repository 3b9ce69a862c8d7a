// SPDX-License-Identifier: Apache-2.0

package target

import (
	"os"
	"slices"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

// kubeconfig makes one from words "context=cluster"; the first one with a "*"
// before it is current.
func kubeconfig(words string) clientcmdapi.Config {
	config := *clientcmdapi.NewConfig()
	for _, word := range strings.Fields(words) {
		name, cluster, _ := strings.Cut(strings.TrimPrefix(word, "*"), "=")
		if strings.HasPrefix(word, "*") {
			config.CurrentContext = name
		}
		config.Contexts[name] = &clientcmdapi.Context{Cluster: cluster, AuthInfo: "user", Namespace: "of-" + name}
		config.Clusters[cluster] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:1"}
	}
	return config
}

// request makes a Request of words: NAME is CLUSTER_NAME, the others
// are flags.
func request(words string) Request {
	flags := genericclioptions.NewConfigFlags(false)
	r := Request{}
	for _, word := range strings.Fields(words) {
		switch name, value, _ := strings.Cut(word, "="); name {
		case "NAME":
			r.ClusterName = value
		case "--context":
			r.Context = value
		case "--cluster":
			r.Cluster, *flags.ClusterName = value, value
		case "--server":
			r.Server, *flags.APIServer = value, value
		case "-n":
			r.Namespace, *flags.Namespace = value, value
		case "--namespaces":
			r.Namespaces = strings.Split(value, ",")
		case "FERNET_NAMESPACE":
			r.Settled = strings.Split(value, ",")
		case "ignore":
			r.IgnoreClusterName = true
		case "offline":
			r.Offline = true
		default:
			panic(word)
		}
	}
	r.Load = func(context string) clientcmd.ClientConfig {
		flags.Context = &context
		return flags.ToRawKubeConfigLoader()
	}
	return r
}

const (
	// In usual, CLUSTER_NAME can be a context (prod), a cluster of one (alone), of
	// several (shared), both a context and another's cluster (both), or nothing.
	usual     = "*dev=local prod=shared admin=shared ops=shared solo=alone both=elsewhere other=both"
	noCluster = "no cluster: the kubeconfig is missing or has no current context"
	itHas     = " is no context and no cluster of the kubeconfig, which has: admin, both, dev, ops, other, prod, solo"
)

func TestTargetIsChosen(t *testing.T) {
	for _, c := range []struct{ kubeconfig, request, want string }{
		{usual, "", "dev/local"},
		{usual, "--context=prod", "prod/shared"},
		{usual, "NAME=prod", "prod/prod"},
		{usual, "NAME=alone", "solo/alone"},
		{usual, "NAME=both", "both/both"},
		{usual, "--context=prod NAME=prod", "prod/prod"},
		{usual, "--context=prod NAME=shared", "prod/shared"},
		{usual, "--context=other NAME=both", "other/both"},
		{usual, "--context=solo NAME=prod ignore", "solo/alone"},
		{usual, "NAME=prod ignore", "dev/local"},
		{usual, "NAME=nothing ignore", "dev/local"},
		{usual, "--cluster=alone", "dev/alone"},
		{usual, "offline", "dev/local"},
		{usual, "NAME=solo offline", "solo/solo"},
		{"a=x b=x", "NAME=b", "b/b"}, // no current context
		{"a=x b=x", "--server=https://h", "/https://h"},
		{"a=x b=x", "offline", "/"},
		{"", "--server=https://h", "/https://h"},
		{"", "--server=https://h NAME=prod", "/prod"},
		{"", "NAME=prod offline", "/prod"},
		{"", "offline", "/"},
	} {
		got, err := request(c.request).choose(kubeconfig(c.kubeconfig))
		if err != nil || got.Context+"/"+got.Cluster != c.want {
			t.Errorf("%q of %q: %s/%s, %v, want %s", c.request, c.kubeconfig, got.Context, got.Cluster, err, c.want)
		}
	}
}

func TestTargetIsRefused(t *testing.T) {
	for _, c := range []struct{ kubeconfig, request, err, hint string }{
		{usual, "NAME=shared", `CLUSTER_NAME "shared" is a cluster that several contexts use: admin, ops, prod`, "choose one: --context admin"},
		{usual, "--context=solo NAME=prod", `--context solo is cluster "alone", but CLUSTER_NAME is "prod"`, `leave --context out to go to prod, or add --ignore-cluster-name`},
		{usual, "--context=admin NAME=prod", `--context admin is cluster "shared", but CLUSTER_NAME is "prod"`, "leave --context out"},
		{usual, "--context=solo NAME=nothing", `--context solo is cluster "alone", but CLUSTER_NAME is "nothing"`, "leave --context out"},
		{usual, "--context=sol", `--context "sol"` + itHas, "did you mean solo?"},
		{usual, "--context=shared", `--context "shared"` + itHas, "name one of them"},
		{usual, "--context=nothing-like-it NAME=prod ignore", `--context "nothing-like-it"` + itHas, "name one of them"},
		{usual, "NAME=prd", `CLUSTER_NAME "prd"` + itHas, "did you mean prod?"},
		{usual, "NAME=nothing", `CLUSTER_NAME "nothing"` + itHas, "correct CLUSTER_NAME, or add --ignore-cluster-name"},
		{usual, "NAME=prod --cluster=alone", `--cluster alone is cluster "alone", but CLUSTER_NAME is "prod"`, `leave --cluster out to go to prod`},
		{usual, "NAME=prod --server=https://u:p@h", `--server https://h is cluster "https://h", but CLUSTER_NAME is "prod"`, `leave --server out to go to prod`},
		{usual, "NAME=local --cluster=alone", `--cluster alone is cluster "alone", but CLUSTER_NAME is "local"`, `leave --cluster out to go to local`},
		{"", "NAME=prod", noCluster, "pass --kubeconfig or --context"},
		{"", "", noCluster, "pass --kubeconfig or --context"},
		{"a=x b=x", "", noCluster, "pass --kubeconfig or --context"},
		{"", "NAME=prod ignore", noCluster, "pass --kubeconfig or --context"},
		{"", "--context=dev offline", `--context "dev": the kubeconfig has no contexts`, "pass --kubeconfig, or set KUBECONFIG"},
	} {
		_, err := request(c.request).choose(kubeconfig(c.kubeconfig))
		if err == nil || err.Error() != c.err || !strings.HasPrefix(string(hint.Of(err)), c.hint) {
			t.Errorf("%q: %v (%s), want %s (%s)", c.request, err, hint.Of(err), c.err, c.hint)
		}
	}
}

// TestTargetNeverDisagrees goes through every --context with every CLUSTER_NAME.
func TestTargetNeverDisagrees(t *testing.T) {
	config := kubeconfig(usual)
	names := []string{"", "nothing"}
	for context, c := range config.Contexts {
		names = append(names, context, c.Cluster)
	}
	for _, context := range names {
		for _, name := range names {
			r := request("")
			r.Context, r.ClusterName = context, name
			got, err := r.choose(config)
			switch {
			case err != nil && hint.Of(err) == "":
				t.Errorf("--context %q, CLUSTER_NAME %q: no hint: %v", context, name, err)
			case err == nil && context != "" && got.Context != context:
				t.Errorf("--context %q, CLUSTER_NAME %q: goes to %q", context, name, got.Context)
			case err == nil && name != "" && (got.Cluster != name || name != got.Context && name != config.Contexts[got.Context].Cluster):
				t.Errorf("--context %q, CLUSTER_NAME %q: goes to %q of %q", context, name, got.Cluster, got.Context)
			}
			r.IgnoreClusterName = true
			ignoring, err := r.choose(config)
			r.ClusterName = ""
			without, errWithout := r.choose(config)
			if ignoring.Context != without.Context || ignoring.Cluster != without.Cluster || (err == nil) != (errWithout == nil) {
				t.Errorf("--context %q: CLUSTER_NAME %q is not ignored: %v %v", context, name, err, errWithout)
			}
		}
	}
}

func TestTargetIsResolved(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := clientcmd.WriteToFile(kubeconfig(usual), "config"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", "config")
	for _, c := range []struct{ request, want, host string }{
		{"", `target: context "dev", cluster "local", namespace "of-dev"`, "https://127.0.0.1:1"},
		{"NAME=alone", `target: context "solo", cluster "alone", namespace "of-solo"`, "https://127.0.0.1:1"},
		{"-n=x", `target: context "dev", cluster "local", namespace "x"`, "https://127.0.0.1:1"},
		{"FERNET_NAMESPACE=x", `target: context "dev", cluster "local", namespace "x"`, "https://127.0.0.1:1"},
		{"FERNET_NAMESPACE=x,y", `target: context "dev", cluster "local", namespaces "x", "y"`, "https://127.0.0.1:1"},
		{"FERNET_NAMESPACE=x,y -n=z", `target: context "dev", cluster "local", namespace "z"`, "https://127.0.0.1:1"},
		{"FERNET_NAMESPACE=x --namespaces=z,y", `target: context "dev", cluster "local", namespaces "z", "y"`, "https://127.0.0.1:1"},
		{"NAME=prod --namespaces=b,a", `target: context "prod", cluster "prod", namespaces "b", "a"`, "https://127.0.0.1:1"},
		{"--server=https://h", `target: context "dev", cluster "https://h", namespace "of-dev"`, "https://h"},
	} {
		got, err := request(c.request).Resolve()
		if err != nil || got.String() != c.want {
			t.Errorf("%q: %s, %v, want %s", c.request, got.String(), err, c.want)
			continue
		}
		if config, err := got.Config(); err != nil || config.Host != c.host {
			t.Errorf("%q: dials %+v, %v", c.request, config, err)
		}
	}
	for _, bad := range []string{"-n=A", "--namespaces=a,b_c", "--namespaces=a,", "NAME=nothing"} {
		if got, err := request(bad).Resolve(); err == nil {
			t.Errorf("%s: %s", bad, got.String())
		}
	}
	if err := os.WriteFile("config", []byte("{no yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := request("").Resolve()
	if err == nil || !strings.HasPrefix(err.Error(), "kubeconfig: ") || hint.Of(err) == "" {
		t.Errorf("unparsable: %v", err)
	}
	t.Setenv("KUBECONFIG", "none")
	if got, err := request("NAME=prod offline").Resolve(); err != nil || !slices.Equal(got.Namespaces, []string{"default"}) {
		t.Errorf("offline: %+v, %v", got, err)
	}
}

// The flags that say where to connect are for the target alone.
func TestOtherCluster(t *testing.T) {
	r := request("--server=https://h")
	r.Bare = func(context string) clientcmd.ClientConfig {
		return clientcmd.NewDefaultClientConfig(kubeconfig(usual), &clientcmd.ConfigOverrides{CurrentContext: context})
	}
	other := Target{request: r}
	for name, known := range map[string]bool{"prod": true, "shared": true, "alone": true, "gone": false} {
		_, config, err := other.Other(name)
		if known != (err == nil) || known && config.Host != "https://127.0.0.1:1" {
			t.Errorf("%s: %+v, %v", name, config, err)
		}
	}
}
