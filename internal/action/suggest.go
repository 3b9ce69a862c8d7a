// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"slices"

	"k8s.io/client-go/rest"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

// RecordedNames are what a ledger has as created, sorted and each once.
type RecordedNames struct{ Clusters, Namespaces, Entries, Bases []string }

// NamesIn gives the names in a ledger, none of one that cannot be read: they are only
// suggested to somebody who types.
func NamesIn(files atomicfile.FS, path string) (n RecordedNames) {
	book, err := ledger.Read(files, path, ledger.Keys{})
	if err != nil {
		return n
	}
	for _, r := range book.Records() {
		if r.State != ledger.Created {
			continue
		}
		base, _ := names.Split(r.Secret)
		n.Clusters, n.Namespaces = append(n.Clusters, r.Cluster), append(n.Namespaces, r.Namespace)
		for _, e := range r.Placed().Entries() {
			n.Entries = append(n.Entries, e.Name)
		}
		n.Bases = append(n.Bases, base)
	}
	for _, list := range []*[]string{&n.Clusters, &n.Namespaces, &n.Entries, &n.Bases} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return n
}

// NamespacesOf gives the namespaces of a cluster, as far as it tells.
func NamespacesOf(ctx context.Context, config *rest.Config) (list []string) {
	if client, err := cluster.Connect(config, nil, 0); err == nil {
		list, _ = client.Namespaces(ctx)
	}
	return list
}

// UnmanagedIn gives the Secrets of a namespace that are not ours yet, as far as it tells.
func UnmanagedIn(ctx context.Context, config *rest.Config, namespace string) (list []string) {
	if client, err := cluster.Connect(config, nil, 0); err == nil {
		list, _ = client.Unlabelled(ctx, namespace)
	}
	return list
}
