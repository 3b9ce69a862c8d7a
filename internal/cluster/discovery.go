// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// Kind is a kind of namespaced objects that could not be looked at, and why.
// Resource is empty where discovery could not tell what kinds the version of an
// API group has.
type Kind struct {
	Group, Version, Resource string
	PodHolding               bool // Pods, or what makes Pods or remembers how they were made
	Err                      error
}

// String gives the kind as kubectl writes it: replicasets.apps.
func (k Kind) String() string {
	if k.Resource == "" {
		return "all of " + schema.GroupVersion{Group: k.Group, Version: k.Version}.String()
	}
	return k.groupResource().String()
}

// Forbidden says that the user may not look at it; else something else was in the way.
func (k Kind) Forbidden() bool {
	var e *Error
	return k.Err == nil || errors.As(k.Err, &e) && e.status.Reason == metav1.StatusReasonForbidden
}

func (k Kind) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: k.Group, Resource: k.Resource}
}

// podHolding says of each kind that holds Pods, or that Pods are made of, when it is
// listed. PodTemplates are no such kind: nothing in Kubernetes makes Pods of them, and the
// built-in roles admin and edit may not list them. References move from owner to owned, as
// from a Deployment to its ReplicaSet to its Pods; what is owned is listed after what owns
// it, so that none slips by between two lists.
var podHolding = map[schema.GroupResource]int{
	{Resource: "replicationcontrollers"}:             0,
	{Group: "apps", Resource: "deployments"}:         0,
	{Group: "apps", Resource: "statefulsets"}:        0,
	{Group: "apps", Resource: "daemonsets"}:          0,
	{Group: "batch", Resource: "cronjobs"}:           0,
	{Group: "apps", Resource: "replicasets"}:         1,
	{Group: "apps", Resource: "controllerrevisions"}: 1,
	{Group: "batch", Resource: "jobs"}:               1,
	{Resource: "pods"}:                               2,
}

// HoldsPods says of a kind, as kubectl writes it, whether its objects hold Pods or are made
// into them.
func HoldsPods(kind string) bool {
	_, holds := podHolding[schema.ParseGroupResource(kind)]
	return holds
}

// stages is how many numbers podHolding has.
const stages = 3

// ignored are kinds whose objects tell of others and use nothing.
var ignored = map[schema.GroupResource]bool{
	{Resource: "events"}:                         true,
	{Group: "events.k8s.io", Resource: "events"}: true,
}

var secrets = schema.GroupResource{Resource: "secrets"}

var errUnknown = errors.New("discovery does not tell of it")

// discovered is what discovery has told. It is asked once for each; an error is asked
// again.
type discovered struct {
	mutex     sync.Mutex
	kinds     []Kind                          // that can be listed
	denied    []Kind                          // of which it could not tell
	resources map[string][]metav1.APIResource // by version of an API group
}

// kinds asks discovery for what can be listed, in the versions that the API
// server prefers, and gives apart what it could not tell of: an aggregated API
// that is down, but also a kind that every cluster has and that is not named.
func (c *Client) kinds(ctx context.Context) (kinds, denied []Kind, err error) {
	c.known.mutex.Lock()
	defer c.known.mutex.Unlock()
	if c.known.kinds != nil {
		return c.known.kinds, c.known.denied, nil
	}
	lists, err := discovery.ToDiscoveryInterfaceWithContext(c.discovery).ServerPreferredNamespacedResourcesWithContext(ctx)
	failed, partial := discovery.GroupDiscoveryFailedErrorGroups(err)
	if err != nil && !partial {
		return nil, nil, err
	}
	for gv, cause := range failed {
		denied = append(denied, Kind{Group: gv.Group, Version: gv.Version, Err: explain(cause)})
	}
	kinds, missing, err := listable(lists)
	if err != nil {
		return nil, nil, err
	}
	for gr := range missing {
		denied = append(denied, Kind{Group: gr.Group, Resource: gr.Resource, PodHolding: true, Err: errUnknown})
	}
	if !partial {
		c.known.kinds, c.known.denied = kinds, denied
	}
	return kinds, denied, nil
}

// listable gives the kinds that can be listed, and those of podHolding that are missing.
func listable(lists []*metav1.APIResourceList) (kinds []Kind, missing map[schema.GroupResource]int, err error) {
	missing = maps.Clone(podHolding)
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, nil, err
		}
		for _, r := range list.APIResources {
			kind := Kind{Group: gv.Group, Version: gv.Version, Resource: r.Name}
			_, kind.PodHolding = podHolding[kind.groupResource()]
			if slices.Contains(r.Verbs, "list") && !ignored[kind.groupResource()] {
				kinds = append(kinds, kind)
				delete(missing, kind.groupResource())
			}
		}
	}
	return kinds, missing, nil
}

// resources asks discovery for what a version of an API group has; nothing if the API
// server does not have it.
func (c *Client) resources(ctx context.Context, groupVersion string) ([]metav1.APIResource, error) {
	c.known.mutex.Lock()
	defer c.known.mutex.Unlock()
	if known, asked := c.known.resources[groupVersion]; asked {
		return known, nil
	}
	list, err := discovery.ToDiscoveryInterfaceWithContext(c.discovery).ServerResourcesForGroupVersionWithContext(ctx, groupVersion)
	if apierrors.IsNotFound(err) {
		list, err = &metav1.APIResourceList{}, nil
	}
	if err != nil {
		return nil, err
	}
	if c.known.resources == nil {
		c.known.resources = map[string][]metav1.APIResource{}
	}
	c.known.resources[groupVersion] = list.APIResources
	return list.APIResources, nil
}

// hasRollouts asks whether there is the kind Rollout at all: of a group that
// does not exist, the API server says only that it is forbidden. Where nobody
// answers, there may be.
func (c *Client) hasRollouts(ctx context.Context) bool {
	resources, err := c.resources(ctx, workload.Rollouts.GroupVersion().String())
	return err != nil || slices.ContainsFunc(resources, func(r metav1.APIResource) bool { return r.Name == workload.Rollouts.Resource })
}
