// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

var (
	// ErrStale says that a workload is not what it was when the patch was made.
	// Nothing was changed: read it again, and plan again.
	ErrStale = errors.New("another process changed the workload since it was looked at")
	// ErrDoubtful says that nobody knows whether a patch has been applied, or yet will.
	ErrDoubtful = errors.New("nobody knows whether the patch was applied")
)

var errPutBack = errors.New("the API server took the patch and stored something else: something in the cluster changes it")

// Patch changes the pod template of a workload by one patch, and gives the workload as
// it is then. An error of the patch proves
// nothing, so after one it looks. ErrStale and any other error mean that nothing
// was changed, but for ErrDoubtful and for a workload that is given with an error.
// A patch that was sent is waited for even when ctx ends.
func (c *Client) Patch(ctx context.Context, w workload.Workload, change workload.Change, dryRun bool) (workload.Workload, error) {
	patch := change.Patch(w)
	switch {
	case ctx.Err() != nil:
		return workload.Workload{}, context.Cause(ctx)
	case !w.Kind.Patchable():
		return workload.Workload{}, errNotPatchable
	case patch == nil:
		return w, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestLimit)
	defer cancel()
	var doubt atomic.Bool
	opts := metav1.PatchOptions{FieldManager: manifest.FieldManager}
	if dryRun {
		opts.DryRun = []string{metav1.DryRunAll}
	}
	now, err := c.patchWorkload(context.WithValue(ctx, doubtful{}, &doubt), w, patch, opts)
	switch {
	case err != nil:
		return c.afterPatch(ctx, w, change, err, definite(err) && (dryRun || !doubt.Load()))
	case change.Compare(w, now) != workload.Applied:
		return now, errPutBack
	default:
		return now, nil
	}
}

// afterPatch looks what became of a patch. refused says that the server has
// answered every attempt, so that what is not done will not be. The patch is
// whole or not at all, so where half of it is there, it was somebody else.
func (c *Client) afterPatch(ctx context.Context, w workload.Workload, change workload.Change, cause error, refused bool) (workload.Workload, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestLimit)
	defer cancel()
	now, err := c.getWorkload(ctx, w.Kind, w.Namespace, w.Name)
	switch {
	case apierrors.IsNotFound(err):
		return workload.Workload{}, ErrStale
	case err != nil:
		return workload.Workload{}, fmt.Errorf("%w: %w", ErrDoubtful, explainWorkload(cause))
	}
	switch sight := change.Compare(w, now); {
	case sight == workload.Applied:
		return now, nil
	case sight == workload.Otherwise, refused && apierrors.IsInvalid(cause) && change.Stale(w, now): // a test of the patch failed
		return workload.Workload{}, ErrStale
	case refused:
		return workload.Workload{}, explainWorkload(cause)
	default:
		return workload.Workload{}, fmt.Errorf("%w: %w", ErrDoubtful, explainWorkload(cause))
	}
}
