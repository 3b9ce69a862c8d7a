// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
)

// Walk is what a walk over a namespace found, and what it could not look at.
type Walk struct {
	Findings       []usage.Finding
	Denied         []Kind // in the order of their names
	Kinds, Objects int    // looked at
}

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

func (k Kind) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: k.Group, Resource: k.Resource}
}

// podHolding says of each kind that holds Pods, or that Pods are made of, when it is
// listed. PodTemplates are no such kind: nothing in Kubernetes makes Pods of them, and the
// built-in roles admin and edit may not list them. References move from owner to owned, as from a Deployment to its
// ReplicaSet to its Pods; what is owned is listed after what owns it, so that
// none slips by between two lists.
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

// stages is how many numbers podHolding has.
const stages = 3

// ignored are kinds whose objects tell of others and use nothing.
var ignored = map[schema.GroupResource]bool{
	{Resource: "events"}:                         true,
	{Group: "events.k8s.io", Resource: "events"}: true,
}

var secrets = schema.GroupResource{Resource: "secrets"}

// Walk looks for references to the wanted names in all objects of a namespace of
// all kinds that discovery names and that can be listed, parallel lists at a
// time, but for Events and for our own Secrets; of other Secrets it sees the
// metadata only. A kind that cannot be listed is told as Denied. An error means
// that the API server could not be asked, and there is no result.
func (c *Client) Walk(ctx context.Context, namespace string, names func(string) bool, parallel int) (Walk, error) {
	kinds, denied, err := c.kinds(ctx)
	if err != nil {
		return Walk{}, explain(err)
	}
	walk := Walk{Denied: denied}
	var seen []usage.Seen
	for stage := range stages {
		var batch []Kind
		for _, kind := range kinds {
			if podHolding[kind.groupResource()] == stage {
				batch = append(batch, kind)
			}
		}
		listings, err := c.listings(ctx, batch, namespace, names, parallel)
		if err != nil {
			return Walk{}, explain(err)
		}
		for i, l := range listings {
			if l.denied != nil {
				batch[i].Err = explainFor(l.denied, hint.Format("that needs the verb list on %s in this namespace", batch[i]))
				walk.Denied = append(walk.Denied, batch[i])
				continue
			}
			seen = append(seen, l.seen...)
			walk.Kinds++
			walk.Objects += l.objects
		}
	}
	slices.SortFunc(walk.Denied, func(a, b Kind) int { return strings.Compare(a.String(), b.String()) })
	walk.Findings = usage.Classify(seen)
	return walk, nil
}

var errUnknown = errors.New("discovery does not tell of it")

// kinds asks discovery for what can be listed, in the versions that the API
// server prefers, and gives apart what it could not tell of: an aggregated API
// that is down, but also a kind that every cluster has and that is not named.
func (c *Client) kinds(ctx context.Context) (kinds, denied []Kind, err error) {
	lists, err := discovery.ToDiscoveryInterfaceWithContext(c.discovery).ServerPreferredNamespacedResourcesWithContext(ctx)
	failed, partial := discovery.GroupDiscoveryFailedErrorGroups(err)
	if err != nil && !partial {
		return nil, nil, err
	}
	for gv, cause := range failed {
		denied = append(denied, Kind{Group: gv.Group, Version: gv.Version, Err: explain(cause)})
	}
	missing := maps.Clone(podHolding)
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
	for gr := range missing {
		denied = append(denied, Kind{Group: gr.Group, Resource: gr.Resource, PodHolding: true, Err: errUnknown})
	}
	return kinds, denied, nil
}

// listing is what a list of all objects of one kind gave.
type listing struct {
	seen    []usage.Seen
	objects int
	denied  error
}

// listings lists kinds, a few at a time.
func (c *Client) listings(ctx context.Context, kinds []Kind, namespace string, names func(string) bool, parallel int) ([]listing, error) {
	all := make([]listing, len(kinds))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, kind := range kinds {
		group.Go(func() error {
			var err error
			all[i], err = c.listing(ctx, kind, namespace, names)
			if err == nil || ctx.Err() != nil || apierrors.IsUnauthorized(err) || errors.As(err, new(*url.Error)) {
				return err
			}
			all[i] = listing{denied: err}
			return nil
		})
	}
	return all, group.Wait()
}

// restarts is how often a list may begin again because the API server has
// forgotten, after five minutes or so, the state that its pages are of.
const restarts = 3

func (c *Client) listing(ctx context.Context, kind Kind, namespace string, names func(string) bool) (l listing, err error) {
	for range restarts + 1 {
		l, err = c.pages(ctx, kind, namespace, names)
		if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			break
		}
	}
	return l, err
}

// pages reads a list to its end, and keeps of each page only what counts.
func (c *Client) pages(ctx context.Context, kind Kind, namespace string, names func(string) bool) (listing, error) {
	var l listing
	opts := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := c.page(ctx, kind, namespace, opts)
		if err != nil {
			return listing{}, err
		}
		for i := range page.Items {
			if seen, ok := usage.Look(&page.Items[i], names); ok {
				l.seen = append(l.seen, seen)
			}
		}
		l.objects += len(page.Items)
		if opts.Continue = page.GetContinue(); opts.Continue == "" {
			return l, nil
		}
	}
}

func (c *Client) page(ctx context.Context, kind Kind, namespace string, opts metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	gvr := kind.groupResource().WithVersion(kind.Version)
	if kind.groupResource() != secrets {
		return c.dynamic.Resource(gvr).Namespace(namespace).List(ctx, opts)
	}
	opts.LabelSelector = manifest.LabelManagedBy + "!=" + manifest.ManagedBy
	list, err := c.meta.Resource(gvr).Namespace(namespace).List(ctx, opts)
	if err != nil {
		return nil, err
	}
	page := &unstructured.UnstructuredList{}
	page.SetContinue(list.Continue)
	for i := range list.Items {
		object, err := bare(&list.Items[i])
		if err != nil {
			return nil, err
		}
		page.Items = append(page.Items, object)
	}
	return page, nil
}

// bare makes an object of a Secret's metadata. Annotations of ours, which it has
// if it is ours and lost its label, refer to nothing: base-name is the name of
// another Secret of ours.
func bare(metadata *metav1.PartialObjectMetadata) (unstructured.Unstructured, error) {
	maps.DeleteFunc(metadata.Annotations, func(key, _ string) bool { return strings.HasPrefix(key, manifest.Prefix) })
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(metadata)
	object := unstructured.Unstructured{Object: content}
	object.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Secret"})
	return object, err
}

// GetSecrets gets Secrets by name, at most parallel at a time and in the order
// of the names; those that are not there are left out.
func (c *Client) GetSecrets(ctx context.Context, namespace string, names []string, parallel int) ([]manifest.Object, error) {
	objects, err := c.getAll(ctx, namespace, names, parallel)
	return objects, explain(err)
}
