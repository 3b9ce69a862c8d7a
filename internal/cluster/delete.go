// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

// DeleteFate says what is known of a delete.
type DeleteFate int

// The fates of a delete.
const (
	DeleteNotSent  DeleteFate = iota // never left this process
	Gone                             // the object is not there any more
	Held                             // it is being deleted; a finalizer keeps it until its owner lets go
	Changed                          // another process changed or replaced it: nothing was deleted, and nothing will be
	DeleteRefused                    // the API server said no, and the object is there as it was
	DeleteDoubtful                   // nobody knows: the delete may still land
)

// DeleteResult is what became of one object. Object is what is there under its
// name, zero if nothing is or nobody knows; Err is set with all but Gone.
type DeleteResult struct {
	Fate   DeleteFate
	Object manifest.Object
	Err    error
}

// Delete deletes the object that was seen, with its UID and resourceVersion as
// preconditions, and finds out what became of it: after the answer, and after
// an error, which proves nothing here either, it looks. A delete that was sent
// is waited for even when ctx ends. A dry run asks the API server only; Gone
// then means that it would delete.
func (c *Client) Delete(ctx context.Context, o manifest.Object, dryRun bool) DeleteResult {
	if ctx.Err() != nil {
		return DeleteResult{Fate: DeleteNotSent, Err: context.Cause(ctx)}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestLimit)
	defer cancel()
	var doubt atomic.Bool
	uid := types.UID(o.UID)
	opts := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &o.ResourceVersion}}
	if dryRun {
		opts.DryRun = []string{metav1.DryRunAll}
	}
	err := c.core.Secrets(o.Namespace).Delete(context.WithValue(ctx, doubtful{}, &doubt), o.Name, opts)
	if dryRun {
		return foretold(err)
	}
	return c.afterDelete(ctx, o, err, !doubt.Load())
}

var (
	errChanged = errors.New("another process changed or replaced the Secret since it was looked at")
	errHeld    = errors.New("the Secret is being deleted; a finalizer holds it")
	errStays   = errors.New("the API server said that the Secret is deleted, and it is there")
)

func foretold(err error) DeleteResult {
	switch {
	case err == nil, apierrors.IsNotFound(err):
		return DeleteResult{Fate: Gone}
	case apierrors.IsConflict(err):
		return DeleteResult{Fate: Changed, Err: errChanged}
	default:
		return DeleteResult{Fate: DeleteRefused, Err: explainDelete(err)}
	}
}

// afterDelete looks what became of a delete that ended with cause, or with nil.
// answered says that the server has answered every attempt.
func (c *Client) afterDelete(ctx context.Context, o manifest.Object, cause error, answered bool) DeleteResult {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestLimit)
	defer cancel()
	now, err := c.get(ctx, o.Namespace, o.Name)
	switch {
	case err != nil && cause == nil:
		return DeleteResult{Fate: DeleteDoubtful, Err: explainDelete(err)}
	case err != nil:
		return DeleteResult{Fate: DeleteDoubtful, Err: explainDelete(cause)}
	case now == nil:
		return DeleteResult{Fate: Gone}
	case now.UID != o.UID && apierrors.IsConflict(cause) && answered:
		return DeleteResult{Fate: Changed, Object: *now, Err: errChanged}
	case now.UID != o.UID:
		return DeleteResult{Fate: Gone, Object: *now}
	case now.Deleting:
		return DeleteResult{Fate: Held, Object: *now, Err: errHeld}
	case cause == nil:
		return DeleteResult{Fate: DeleteDoubtful, Object: *now, Err: errStays}
	case now.ResourceVersion != o.ResourceVersion: // which the precondition now rules out for ever
		return DeleteResult{Fate: Changed, Object: *now, Err: errChanged}
	case definite(cause) && answered:
		return DeleteResult{Fate: DeleteRefused, Object: *now, Err: explainDelete(cause)}
	default:
		return DeleteResult{Fate: DeleteDoubtful, Object: *now, Err: explainDelete(cause)}
	}
}

// explainDelete is explain, with the rights that retire needs.
func explainDelete(err error) error {
	return explainFor(err, "that needs the verbs get, list and delete on secrets in this namespace")
}

// explainFor is explain for others than push: they need other rights.
func explainFor(err error, rights hint.Text) error {
	err = explain(err)
	var e *Error
	if errors.As(err, &e) && e.status.Reason == metav1.StatusReasonForbidden && e.Way != "" {
		e.Way = rights
	}
	return err
}

// DeleteAll deletes objects, at most parallel at a time, and tells done of each
// result, one call at a time. It stops sending when ctx ends; what was not sent
// is told as DeleteNotSent. A refusal stops nothing: the right to delete can be
// given for single names.
func (c *Client) DeleteAll(ctx context.Context, objects []manifest.Object, parallel int, dryRun bool, done func(i int, r DeleteResult)) {
	var (
		workers errgroup.Group
		mutex   sync.Mutex
	)
	workers.SetLimit(parallel)
	for i, o := range objects {
		workers.Go(redact.Guard(func() error {
			r := c.Delete(ctx, o, dryRun)
			mutex.Lock()
			defer mutex.Unlock()
			done(i, r)
			return nil
		}))
	}
	_ = workers.Wait() // they return no error
}
