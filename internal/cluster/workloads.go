// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"

	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// workloadKinds are the kinds of workloads, and how kubectl names their lists.
var workloadKinds = []struct {
	kind workload.Kind
	name string
}{
	{workload.Deployment, "deployments.apps"},
	{workload.StatefulSet, "statefulsets.apps"},
	{workload.DaemonSet, "daemonsets.apps"},
	{workload.CronJob, "cronjobs.batch"},
	{workload.Job, "jobs.batch"},
	{workload.Pod, "pods"},
	{workload.Rollout, workload.Rollouts.GroupResource().String()},
}

// Workloads gives the workloads of a namespace, by kind and name: without Jobs
// of a CronJob, and without Pods that a controller made. denied names what the
// user may not list, and what could not be read.
func (c *Client) Workloads(ctx context.Context, namespace string) (list []workload.Workload, denied []string, err error) {
	for _, of := range workloadKinds {
		some, unread, err := c.workloads(ctx, of.kind, namespace)
		switch {
		case apierrors.IsForbidden(err):
			denied = append(denied, of.name)
		case err != nil:
			return nil, nil, explainWorkload(err)
		}
		denied = append(denied, unread...)
		list = append(list, slices.DeleteFunc(some, made)...)
	}
	slices.Sort(denied)
	slices.SortFunc(list, byKindAndName)
	return list, denied, nil
}

// made says that a workload is only what another one makes.
func made(w workload.Workload) bool {
	return w.Kind == workload.Pod && w.Owner != "" ||
		w.Kind == workload.Job && strings.HasPrefix(w.Owner, string(workload.CronJob)+"/")
}

func byKindAndName(a, b workload.Workload) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

// Pods gives all Pods of a namespace, by name.
func (c *Client) Pods(ctx context.Context, namespace string) ([]workload.Workload, error) {
	list, _, err := c.workloads(ctx, workload.Pod, namespace)
	slices.SortFunc(list, byKindAndName)
	return list, explainWorkload(err)
}

// workloads lists one kind to its end. unread names objects without a pod
// template that can be read. An API server that does not have the kind has none
// of it.
func (c *Client) workloads(ctx context.Context, kind workload.Kind, namespace string) (list []workload.Workload, unread []string, err error) {
	for range restarts + 1 {
		list, unread, err = c.workloadPages(ctx, kind, namespace)
		if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			break
		}
	}
	if kind == workload.Rollout && (apierrors.IsNotFound(err) || apierrors.IsForbidden(err) && !c.hasRollouts(ctx)) {
		err = nil
	}
	return list, unread, err
}

func (c *Client) workloadPages(ctx context.Context, kind workload.Kind, namespace string) (list []workload.Workload, unread []string, err error) {
	opts := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := c.listWorkloads(ctx, kind, namespace, opts)
		if err != nil {
			return nil, nil, err
		}
		err = meta.EachListItem(page, func(o runtime.Object) error {
			w, ok := workload.Of(o)
			if ok {
				list = append(list, w)
			} else {
				unread = append(unread, w.String())
			}
			return nil
		})
		next, ok := page.(metav1.ListInterface)
		if !ok || err != nil {
			return nil, nil, errors.Join(errors.New("the server's answer is no list"), err)
		}
		if opts.Continue = next.GetContinue(); opts.Continue == "" {
			return list, unread, nil
		}
	}
}

// hasRollouts asks whether there is the kind Rollout at all: of a group that
// does not exist, the API server says only that it is forbidden. Where nobody
// answers, there may be.
func (c *Client) hasRollouts(ctx context.Context) bool {
	kinds, err := discovery.ToDiscoveryInterfaceWithContext(c.discovery).
		ServerResourcesForGroupVersionWithContext(ctx, workload.Rollouts.GroupVersion().String())
	if err != nil {
		return !apierrors.IsNotFound(err)
	}
	return slices.ContainsFunc(kinds.APIResources, func(r metav1.APIResource) bool { return r.Name == workload.Rollouts.Resource })
}

func (c *Client) listWorkloads(ctx context.Context, kind workload.Kind, namespace string, opts metav1.ListOptions) (runtime.Object, error) {
	switch kind {
	case workload.Deployment:
		return c.apps.Deployments(namespace).List(ctx, opts)
	case workload.StatefulSet:
		return c.apps.StatefulSets(namespace).List(ctx, opts)
	case workload.DaemonSet:
		return c.apps.DaemonSets(namespace).List(ctx, opts)
	case workload.CronJob:
		return c.batch.CronJobs(namespace).List(ctx, opts)
	case workload.Job:
		return c.batch.Jobs(namespace).List(ctx, opts)
	case workload.Pod:
		return c.core.Pods(namespace).List(ctx, opts)
	case workload.Rollout:
		return c.dynamic.Resource(workload.Rollouts).Namespace(namespace).List(ctx, opts)
	default:
		return nil, errNoWorkload
	}
}

var (
	errNoWorkload   = errors.New("no such kind of workload")
	errNotPatchable = errors.New("the template of this kind of workload is not patched from here")
	errUnreadable   = errors.New("its pod template cannot be read")
)

// GetWorkload gives a workload as it is now.
func (c *Client) GetWorkload(ctx context.Context, kind workload.Kind, namespace, name string) (workload.Workload, error) {
	w, err := c.getWorkload(ctx, kind, namespace, name)
	return w, explainWorkload(err)
}

func (c *Client) getWorkload(ctx context.Context, kind workload.Kind, namespace, name string) (workload.Workload, error) {
	var opts metav1.GetOptions
	switch kind {
	case workload.Deployment:
		return ofAnswer(c.apps.Deployments(namespace).Get(ctx, name, opts))
	case workload.StatefulSet:
		return ofAnswer(c.apps.StatefulSets(namespace).Get(ctx, name, opts))
	case workload.DaemonSet:
		return ofAnswer(c.apps.DaemonSets(namespace).Get(ctx, name, opts))
	case workload.CronJob:
		return ofAnswer(c.batch.CronJobs(namespace).Get(ctx, name, opts))
	case workload.Job:
		return ofAnswer(c.batch.Jobs(namespace).Get(ctx, name, opts))
	case workload.Pod:
		return ofAnswer(c.core.Pods(namespace).Get(ctx, name, opts))
	case workload.Rollout:
		return ofAnswer(c.dynamic.Resource(workload.Rollouts).Namespace(namespace).Get(ctx, name, opts))
	default:
		return workload.Workload{}, errNoWorkload
	}
}

func (c *Client) patchWorkload(ctx context.Context, w workload.Workload, patch []byte, opts metav1.PatchOptions) (workload.Workload, error) {
	switch w.Kind {
	case workload.Deployment:
		return ofAnswer(c.apps.Deployments(w.Namespace).Patch(ctx, w.Name, types.JSONPatchType, patch, opts))
	case workload.StatefulSet:
		return ofAnswer(c.apps.StatefulSets(w.Namespace).Patch(ctx, w.Name, types.JSONPatchType, patch, opts))
	case workload.DaemonSet:
		return ofAnswer(c.apps.DaemonSets(w.Namespace).Patch(ctx, w.Name, types.JSONPatchType, patch, opts))
	case workload.CronJob:
		return ofAnswer(c.batch.CronJobs(w.Namespace).Patch(ctx, w.Name, types.JSONPatchType, patch, opts))
	default:
		return workload.Workload{}, errNotPatchable
	}
}

// ofAnswer makes a Workload of what a client has answered.
func ofAnswer[T runtime.Object](o T, err error) (workload.Workload, error) {
	if err != nil {
		return workload.Workload{}, err
	}
	w, ok := workload.Of(o)
	if !ok {
		return workload.Workload{}, errUnreadable
	}
	return w, nil
}

// explainWorkload is explain, with the verbs that a rollout needs.
func explainWorkload(err error) error {
	if errors.Is(err, errUnreadable) || errors.Is(err, errNotPatchable) || errors.Is(err, errNoWorkload) {
		return err
	}
	err = explain(err)
	var e *Error
	if errors.As(err, &e) && e.status.Reason == metav1.StatusReasonForbidden && e.Way != "" {
		e.Way = "that needs the verbs get, list and patch on deployments, statefulsets, daemonsets and cronjobs in this namespace"
	}
	return err
}
