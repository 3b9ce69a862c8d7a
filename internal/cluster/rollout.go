// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

var (
	// ErrStale says that a workload is not what it was when the patch was made.
	// Nothing was changed: read it again, and plan again.
	ErrStale = errors.New("somebody changed the workload since it was looked at")
	// ErrDoubtful says that nobody knows whether a patch has been applied, or yet will.
	ErrDoubtful = errors.New("nobody knows whether the patch was applied")
)

var errPutBack = errors.New("the API server took the patch and stored other names: something in the cluster changes them back")

// Repoint renames Secrets, old name to new, in all references of a workload, by
// one patch, and gives the workload as it is then. An error of the patch proves
// nothing, so after one it looks. ErrStale and any other error mean that nothing
// was changed, but for ErrDoubtful and for a workload that is given with an error.
// A patch that was sent is waited for even when ctx ends.
func (c *Client) Repoint(ctx context.Context, w workload.Workload, rename map[string]string, dryRun bool) (workload.Workload, error) {
	patch := w.Patch(rename)
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
		return c.afterPatch(ctx, w, rename, err, definite(err) && (dryRun || !doubt.Load()))
	case w.Compare(now, rename) != workload.Repointed:
		return now, errPutBack
	default:
		return now, nil
	}
}

// afterPatch looks what became of a patch. refused says that the server has
// answered every attempt, so that what is not done will not be. The patch is
// whole or not at all, so where some references are new and others old, it was
// somebody else.
func (c *Client) afterPatch(ctx context.Context, w workload.Workload, rename map[string]string, cause error, refused bool) (workload.Workload, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestLimit)
	defer cancel()
	now, err := c.getWorkload(ctx, w.Kind, w.Namespace, w.Name)
	switch {
	case apierrors.IsNotFound(err):
		return workload.Workload{}, ErrStale
	case err != nil:
		return workload.Workload{}, fmt.Errorf("%w: %w", ErrDoubtful, explainWorkload(cause))
	}
	switch sight := w.Compare(now, rename); {
	case sight == workload.Repointed:
		return now, nil
	case sight == workload.Otherwise:
		return workload.Workload{}, ErrStale
	case refused:
		return workload.Workload{}, explainWorkload(cause)
	default:
		return workload.Workload{}, fmt.Errorf("%w: %w", ErrDoubtful, explainWorkload(cause))
	}
}

// RolloutError says that a rollout has not come to its end.
type RolloutError struct {
	Workload string   // as deployment/web
	Text     string   // how far it was
	TimedOut bool     // time was up; else the workload's controller gave up
	NotReady []string // Pods of a StatefulSet that are not Ready: even after the way back they stay until they are deleted
	Err      error    // why it could not be looked at the last time, if so
}

func (e *RolloutError) Error() string {
	text := e.Workload + ": the rollout failed: " + e.Text
	if e.TimedOut {
		text = e.Workload + ": the rollout is not done in time: " + e.Text
	}
	if len(e.NotReady) > 0 {
		text += "; not ready: " + strings.Join(e.NotReady, ", ")
	}
	if e.Err != nil {
		text += "; the last look at it: " + e.Err.Error()
	}
	return text
}

func (e *RolloutError) Unwrap() error { return e.Err }

const (
	rolloutTick = 500 * time.Millisecond
	lookLimit   = 10 * time.Second // for a last look when time is up already
)

// AwaitRollout looks at a workload, as Repoint gave it, until its rollout is done
// or goes on only by hand, tells of each step, and gives it as seen last. The
// error is a *RolloutError if the rollout fails or ctx's time is up before that.
func (c *Client) AwaitRollout(ctx context.Context, w workload.Workload, tell func(text string)) (workload.Workload, error) {
	tick := time.NewTicker(rolloutTick)
	defer tick.Stop()
	// Until a controller has begun, its status may tell that the rollout before
	// this one failed.
	before, over := w.GaveUp, w.Progress().State == workload.Failed
	said, lost := "", error(nil)
	for {
		switch p := w.Progress(); {
		case p.State == workload.Done, p.State == workload.Manual:
			tell(p.Text)
			return w, nil
		case p.State == workload.Failed && (over || !w.GaveUp.Equal(before)):
			return w, &RolloutError{Workload: w.String(), Text: p.Text}
		case p.State == workload.Waiting && p.Text != said:
			tell(p.Text)
			said = p.Text
		}
		select {
		case <-ctx.Done():
			return w, c.unfinished(ctx, w, lost)
		case <-tick.C:
		}
		now, err := c.getWorkload(ctx, w.Kind, w.Namespace, w.Name)
		switch {
		case ctx.Err() != nil:
		case definite(err):
			return w, explainWorkload(err)
		default: // who cannot look now can perhaps look later
			lost = explainWorkload(err)
		}
		if err == nil {
			w = now
		}
	}
}

// unfinished is the error of a rollout that is not waited for any more.
func (c *Client) unfinished(ctx context.Context, w workload.Workload, lost error) error {
	if !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return context.Cause(ctx)
	}
	e := &RolloutError{Workload: w.String(), Text: w.Progress().Text, TimedOut: true, Err: lost}
	if w.Kind == workload.StatefulSet {
		e.NotReady = c.notReady(ctx, w)
	}
	return e
}

// notReady names the Pods of a StatefulSet that are not Ready, if it can.
func (c *Client) notReady(ctx context.Context, w workload.Workload) (names []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookLimit)
	defer cancel()
	pods, _ := c.Pods(ctx, w.Namespace) // without them the error says less
	for _, p := range pods {
		if p.Owner == string(w.Kind)+"/"+w.Name && !p.Ready {
			names = append(names, p.Name)
		}
	}
	return names
}
