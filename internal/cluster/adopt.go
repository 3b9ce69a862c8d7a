// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

// Adopt gives the Secret that was seen the labels and annotations of a row, and
// nothing else; one that was changed since is refused. It gives the Secret as it
// is then. An error of the patch proves nothing, so after one it looks.
func (c *Client) Adopt(ctx context.Context, seen manifest.Object, row ledger.Row, dryRun bool) (manifest.Object, error) {
	if ctx.Err() != nil {
		return manifest.Object{}, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestLimit)
	defer cancel()
	meta := manifest.Secret(row).ObjectMeta
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": seen.UID, "resourceVersion": seen.ResourceVersion, "labels": meta.Labels, "annotations": meta.Annotations,
	}})
	if err != nil {
		return manifest.Object{}, errors.New("the labels have no JSON form") // the cause could quote them
	}
	opts := metav1.PatchOptions{FieldManager: manifest.FieldManager}
	if dryRun {
		opts.DryRun = []string{metav1.DryRunAll}
	}
	s, err := c.core.Secrets(seen.Namespace).Patch(ctx, seen.Name, types.MergePatchType, patch, opts)
	if err == nil {
		return manifest.FromSecret(s), nil
	}
	o, lookErr := c.get(ctx, seen.Namespace, seen.Name)
	switch {
	case lookErr == nil && o != nil && o.Carries(row) && o.Managed && o.Binding == row.Binding:
		return *o, nil // also after a conflict: client-go may have sent it twice
	case lookErr == nil && apierrors.IsConflict(err):
		return manifest.Object{}, errChanged
	default:
		return manifest.Object{}, explain(err)
	}
}
