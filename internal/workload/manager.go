// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// managers are the programs that keep a workload as its source says, and their marks: a
// label or annotation, or a name among the field managers. The first that fits is meant, so
// what uses another one's tools stands before it. app.kubernetes.io/instance is no mark, as
// many charts set it.
var managers = []struct {
	name   string
	marks  []string // keys of labels or annotations
	fields []string // names of field managers
}{
	{"Argo CD", []string{"argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance"}, []string{"argocd-controller", "argocd-application-controller"}},
	{"Flux", []string{"kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"}, []string{"kustomize-controller"}},
	{"Fleet", []string{"fleet.cattle.io/bundle-id", "objectset.rio.cattle.io/id"}, []string{"fleetagent"}},
	{"Config Sync", []string{"configsync.gke.io/resource-id", "configmanagement.gke.io/managed"}, []string{"configsync"}},
	{"kapp", []string{"kapp.k14s.io/app"}, []string{"kapp-server-side-apply"}},
	{"Helm", []string{"meta.helm.sh/release-name"}, nil},
	{"Terraform", nil, []string{"Terraform", "HashiCorp"}},
}

// Manager names the program that keeps the workload as its source says, or nothing.
func (w Workload) Manager() string {
	for _, m := range managers {
		marked := slices.ContainsFunc(m.marks, func(key string) bool { return w.Labels[key] != "" || w.Annotations[key] != "" })
		applied := slices.ContainsFunc(w.ManagedFields, func(e metav1.ManagedFieldsEntry) bool { return slices.Contains(m.fields, e.Manager) })
		if marked || applied || m.name == "Helm" && w.Labels["app.kubernetes.io/managed-by"] == "Helm" {
			return m.name
		}
	}
	return ""
}
