// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

type kindOfWorkload struct {
	kind workload.Kind
	name string
}

// workloadKinds are the kinds of workloads, and how kubectl names their lists.
var workloadKinds = []kindOfWorkload{
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
	users, err := c.Users(ctx, []string{namespace}, func(w workload.Workload) bool { return w.Kind != workload.Pod || w.Owner == "" })
	return users[namespace].Workloads, users[namespace].Denied, err
}

// Users are the workloads of a namespace, by kind and name, without Jobs of a CronJob.
// Denied names what the user may not list, and what could not be read.
type Users struct {
	Workloads []workload.Workload
	Denied    []string
}

// Users gives, for each of some namespaces, the workloads that are wanted.
func (c *Client) Users(ctx context.Context, namespaces []string, wanted func(workload.Workload) bool) (map[string]Users, error) {
	parts := make([][]part[running], len(workloadKinds))
	group, listing := errgroup.WithContext(ctx)
	for i, of := range workloadKinds {
		group.Go(redact.Guard(func() (err error) {
			parts[i], err = c.workloads(listing, of.kind, namespaces, func(w workload.Workload) bool { return !made(w) && wanted(w) })
			return err
		}))
	}
	if err := group.Wait(); err != nil {
		return nil, explainWorkload(err)
	}
	all := make(map[string]Users, len(namespaces))
	for n, namespace := range namespaces {
		var users Users
		for i, of := range workloadKinds {
			p := parts[i][n]
			switch {
			case apierrors.IsForbidden(p.err):
				users.Denied = append(users.Denied, of.name)
			case p.err != nil:
				return nil, explainLook(p.err, fmt.Sprintf("%s of namespace %q", of.name, namespace))
			}
			users.Denied = append(users.Denied, p.kept.unread...)
			users.Workloads = append(users.Workloads, p.kept.workloads...)
		}
		slices.Sort(users.Denied)
		slices.SortFunc(users.Workloads, byKindAndName)
		all[namespace] = users
	}
	return all, nil
}

// made says that a Job is only what a CronJob makes.
func made(w workload.Workload) bool {
	return w.Kind == workload.Job && strings.HasPrefix(w.Owner, string(workload.CronJob)+"/")
}

func byKindAndName(a, b workload.Workload) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

// Pods gives all Pods of a namespace, by name.
func (c *Client) Pods(ctx context.Context, namespace string) ([]workload.Workload, error) {
	parts, err := c.workloads(ctx, workload.Pod, []string{namespace}, func(workload.Workload) bool { return true })
	if err != nil {
		return nil, explainWorkload(err)
	}
	slices.SortFunc(parts[0].kept.workloads, byKindAndName)
	return parts[0].kept.workloads, explainWorkload(parts[0].err)
}

// running are the workloads of one kind in one namespace. unread names those without a
// pod template that can be read.
type running struct {
	workloads []workload.Workload
	unread    []string
}

// workloads lists one kind. An API server that does not have the kind has none of it.
func (c *Client) workloads(ctx context.Context, kind workload.Kind, namespaces []string, wanted func(workload.Workload) bool) ([]part[running], error) {
	if kind == workload.Rollout && !c.hasRollouts(ctx) {
		return make([]part[running], len(namespaces)), nil
	}
	parts, err := list[running]{
		size: pageSize,
		page: func(ctx context.Context, namespace string, opts metav1.ListOptions) (runtime.Object, error) {
			return c.listWorkloads(ctx, kind, namespace, opts)
		},
		keep: func(kept *running, o runtime.Object) error {
			w, ok := workload.Of(o)
			switch {
			case !ok:
				kept.unread = append(kept.unread, w.String())
			case wanted(w):
				kept.workloads = append(kept.workloads, w)
			}
			return nil
		},
	}.in(ctx, namespaces)
	for i, p := range parts {
		if kind == workload.Rollout && apierrors.IsNotFound(p.err) {
			parts[i].err = nil
		}
	}
	return parts, err
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
	errNoObject     = errors.New("the server's answer is no Kubernetes object")
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
	w.Raw = o
	return w, nil
}

// explainWorkload is explain, but for what is explained already.
func explainWorkload(err error) error {
	if errors.Is(err, errUnreadable) || errors.Is(err, errNotPatchable) || errors.Is(err, errNoWorkload) {
		return err
	}
	return explain(err)
}
