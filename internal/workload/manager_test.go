// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestManager(t *testing.T) {
	type labels = map[string]string
	by := func(manager string) []metav1.ManagedFieldsEntry {
		return []metav1.ManagedFieldsEntry{{Manager: manager}}
	}
	for _, tc := range []struct {
		name                string
		labels, annotations labels
		fields              []metav1.ManagedFieldsEntry
		want                string
	}{
		{name: "nobody"},
		{name: "an instance of something", labels: labels{"app.kubernetes.io/instance": "shop", "app.kubernetes.io/managed-by": "kustomize"}},
		{name: "somebody's fields", fields: by("kubectl-client-side-apply")},
		{name: "Argo CD's annotation", annotations: labels{"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web"}, want: "Argo CD"},
		{name: "Argo CD's own label", labels: labels{"argocd.argoproj.io/instance": "shop"}, want: "Argo CD"},
		{name: "Argo CD by the common label", labels: labels{"app.kubernetes.io/instance": "shop"}, fields: by("argocd-controller"), want: "Argo CD"},
		{name: "Argo CD of old", fields: by("argocd-application-controller"), want: "Argo CD"},
		{name: "a chart in Argo CD", labels: labels{"app.kubernetes.io/managed-by": "Helm"}, annotations: labels{"argocd.argoproj.io/tracking-id": "x"}, want: "Argo CD"},
		{name: "Flux", labels: labels{"kustomize.toolkit.fluxcd.io/name": "shop"}, want: "Flux"},
		{name: "a chart in Flux", labels: labels{"helm.toolkit.fluxcd.io/name": "shop", "app.kubernetes.io/managed-by": "Helm"},
			annotations: labels{"meta.helm.sh/release-name": "shop"}, want: "Flux"},
		{name: "Fleet, which uses Helm", labels: labels{"app.kubernetes.io/managed-by": "Helm"}, annotations: labels{"objectset.rio.cattle.io/id": "default-shop"}, want: "Fleet"},
		{name: "Config Sync", annotations: labels{"configmanagement.gke.io/managed": "enabled"}, want: "Config Sync"},
		{name: "Config Sync by its fields", fields: by("configsync"), want: "Config Sync"},
		{name: "kapp", labels: labels{"kapp.k14s.io/app": "1700000000000000000"}, want: "kapp"},
		{name: "Terraform's Kubernetes provider", fields: by("HashiCorp"), want: "Terraform"},
		{name: "Terraform's manifests", fields: by("Terraform"), want: "Terraform"},
		{name: "Flux by its fields", fields: by("kustomize-controller"), want: "Flux"},
		{name: "Helm's label", labels: labels{"app.kubernetes.io/managed-by": "Helm"}, want: "Helm"},
		{name: "Helm's annotation", annotations: labels{"meta.helm.sh/release-name": "shop"}, want: "Helm"},
	} {
		w := Workload{Labels: tc.labels, Annotations: tc.annotations, ManagedFields: tc.fields}
		if got := w.Manager(); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
