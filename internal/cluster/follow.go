// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

const (
	// watchLimit is how long one watch lasts; the API server ends it then, and where
	// its end does not come, the connection counts as dead watchMargin later.
	watchLimit  = time.Minute
	watchMargin = 15 * time.Second
	// pollTick is how often is listed where watching is not allowed.
	pollTick = time.Second
)

// followBackoff is how long is waited after errors in a row.
var followBackoff = wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 6, Cap: 5 * time.Second}

// Follow tells seen of each state of the workloads of one kind in a namespace, one call at
// a time, until ctx ends: first of those that are there, then of each change. gone says
// that the workload, as last seen, is not there any more. A connection that breaks is made
// again, and nothing that happens meanwhile is missed. Where watching is forbidden, it
// lists once a second. It ends early, with an error, where listing is forbidden or the kind
// is not there. When ctx ends, the error is why the last look failed, nil if it did not.
func (c *Client) Follow(ctx context.Context, kind workload.Kind, namespace string, seen func(w workload.Workload, gone bool)) error {
	at := slices.IndexFunc(workloadKinds, func(of kindOfWorkload) bool { return of.kind == kind })
	if at < 0 {
		return errNoWorkload
	}
	rights := hint.Format("that needs the verbs list and watch on %s in this namespace", workloadKinds[at].name)
	f := follower{client: c, kind: kind, namespace: namespace, seen: seen, known: map[types.UID]sighting{}, backoff: followBackoff}
	for ctx.Err() == nil {
		pause, err := f.step(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
		case f.version == "" && final(err):
			return explainFor(err, rights)
		default:
			f.lost, pause = err, f.backoff.Step()
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return explainFor(f.lost, rights)
}

// final says that the same request would fail again.
func final(err error) bool {
	return definite(err) && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err)
}

// sighting is a workload as last seen.
type sighting struct {
	workload workload.Workload
	version  string
}

// follower follows the workloads of one kind in one namespace.
type follower struct {
	client    *Client
	kind      workload.Kind
	namespace string
	seen      func(w workload.Workload, gone bool)
	known     map[types.UID]sighting
	version   string // up to which all is seen; empty: a list has to come first
	blind     bool   // watching is forbidden
	lost      error  // why it cannot look now
	backoff   wait.Backoff
}

// step lists, or watches until the watch ends. It says how long to wait before the next.
func (f *follower) step(ctx context.Context) (pause time.Duration, err error) {
	if f.version == "" {
		return 0, f.list(ctx)
	}
	begin, from := time.Now(), f.version
	if !f.blind {
		err = f.watch(ctx)
	}
	switch {
	case f.blind, err != nil && final(err) && !apierrors.IsUnauthorized(err):
		f.blind, f.version = true, ""
		return pollTick, nil
	case apierrors.IsResourceExpired(err), apierrors.IsGone(err), apierrors.IsUnauthorized(err):
		f.version = ""
		return 0, nil
	case err == nil && f.version == from && time.Since(begin) < pollTick: // a broken way, of which client-go does not tell
		f.version = ""
		return pollTick, nil
	default:
		return 0, err
	}
}

// list tells of all that is there, as far as it is new, and of what is gone.
func (f *follower) list(ctx context.Context) error {
	var objects []runtime.Object
	there := map[types.UID]bool{}
	l := list[struct{}]{size: pageSize, page: func(ctx context.Context, namespace string, opts metav1.ListOptions) (runtime.Object, error) {
		return f.client.listWorkloads(ctx, f.kind, namespace, opts)
	}}
	var version string
	err := unexpired(func() (err error) {
		clear(there)
		objects = objects[:0]
		version, err = l.pages(ctx, f.namespace, anyPage, func(object runtime.Object) error {
			accessor, err := meta.Accessor(object)
			if err == nil {
				there[accessor.GetUID()] = true
				objects = append(objects, object)
			}
			return err
		})
		return err
	})
	if err != nil {
		return err
	}
	f.lost = nil
	for uid := range f.known {
		if !there[uid] {
			f.forget(uid)
		}
	}
	for _, object := range objects {
		f.tell(object)
	}
	f.version = version
	return nil
}

// watch tells of each change from f.version on, until the watch ends.
func (f *follower) watch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, watchLimit+watchMargin)
	defer cancel()
	seconds := int64(watchLimit / time.Second)
	changes, err := f.client.watchWorkloads(ctx, f.kind, f.namespace, metav1.ListOptions{
		ResourceVersion: f.version, TimeoutSeconds: &seconds, AllowWatchBookmarks: true,
	})
	if err != nil {
		return err
	}
	defer changes.Stop()
	f.lost = nil
	for {
		select {
		case <-ctx.Done():
			return nil
		case change, open := <-changes.ResultChan():
			if !open {
				return nil
			}
			if err := f.take(change); err != nil {
				return err
			}
		}
	}
}

// take takes one change of a watch. One that cannot be understood makes the next step a
// list, so that nothing is missed.
func (f *follower) take(change watch.Event) error {
	if change.Type == watch.Error {
		return apierrors.FromObject(change.Object)
	}
	accessor, err := meta.Accessor(change.Object)
	if err != nil {
		f.version = ""
		return errNoObject
	}
	switch change.Type {
	case watch.Added, watch.Modified:
		f.tell(change.Object)
	case watch.Deleted:
		f.forget(accessor.GetUID())
	}
	f.version, f.backoff = accessor.GetResourceVersion(), followBackoff
	return nil
}

// tell reports an object in a new state.
func (f *follower) tell(object runtime.Object) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return
	}
	uid, version := accessor.GetUID(), accessor.GetResourceVersion()
	w, ok := workload.Of(object)
	if !ok || f.known[uid].version == version {
		return
	}
	f.known[uid] = sighting{w, version}
	f.seen(w, false)
}

// forget reports that an object is gone.
func (f *follower) forget(uid types.UID) {
	if last, known := f.known[uid]; known {
		delete(f.known, uid)
		f.seen(last.workload, true)
	}
}

// watchWorkloads opens a watch; an answer that is none is an error.
func (c *Client) watchWorkloads(ctx context.Context, kind workload.Kind, namespace string, opts metav1.ListOptions) (watch.Interface, error) {
	switch kind {
	case workload.Deployment:
		return c.apps.Deployments(namespace).Watch(ctx, opts)
	case workload.StatefulSet:
		return c.apps.StatefulSets(namespace).Watch(ctx, opts)
	case workload.DaemonSet:
		return c.apps.DaemonSets(namespace).Watch(ctx, opts)
	case workload.CronJob:
		return c.batch.CronJobs(namespace).Watch(ctx, opts)
	case workload.Job:
		return c.batch.Jobs(namespace).Watch(ctx, opts)
	case workload.Pod:
		return c.core.Pods(namespace).Watch(ctx, opts)
	case workload.Rollout:
		return c.dynamic.Resource(workload.Rollouts).Namespace(namespace).Watch(ctx, opts)
	default:
		return nil, errNoWorkload
	}
}
