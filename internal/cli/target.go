// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-fernet/kubectl-fernet/internal/target"
)

// where is what kubectl's flags and ours say about the target.
func (a *app) where(o workOptions) target.Request {
	return target.Request{
		Load: func(context string) clientcmd.ClientConfig {
			a.connect.Context = &context
			return a.connect.ToRawKubeConfigLoader()
		},
		Bare: func(context string) clientcmd.ClientConfig {
			flags := genericclioptions.NewConfigFlags(false)
			flags.KubeConfig, flags.Context = a.connect.KubeConfig, &context
			return flags.ToRawKubeConfigLoader()
		},
		Context: *a.connect.Context, Cluster: *a.connect.ClusterName, Server: *a.connect.APIServer,
		Namespace: *a.connect.Namespace, Namespaces: o.namespaces, IgnoreClusterName: o.ignoreName,
	}
}
