// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

// Sight is what is seen of the Secrets of a namespace.
type Sight struct {
	Objects  []manifest.Object // that matter, in no particular order
	Keyrings []corev1.Secret   // the keyring Secrets, whole
	Listed   bool              // else the user may not list, and there are no Keyrings
}

// Observe gives the live Secrets that matter. It lists: our own with their data, of
// all others only the names, so that a namespace full of large foreign Secrets costs
// no memory. Where listing is forbidden it gets each recorded one by name instead, and
// looks upward from the highest generation known until there is none.
func (c *Client) Observe(ctx context.Context, namespace string, in manifest.Interest) (Sight, error) {
	sight, err := c.ours(ctx, namespace, in)
	if apierrors.IsForbidden(err) {
		objects, err := c.probe(ctx, namespace, in)
		return Sight{Objects: objects}, explainLook(err, secretsOf(namespace))
	}
	if err != nil {
		return Sight{}, explainLook(err, secretsOf(namespace))
	}
	others, err := c.unlabelled(ctx, namespace, in, sight.Objects)
	if err != nil {
		return Sight{}, explainLook(err, secretsOf(namespace))
	}
	more, err := c.getAll(ctx, namespace, others)
	if err != nil {
		return Sight{}, explainLook(err, secretsOf(namespace))
	}
	sight.Objects = append(sight.Objects, more...)
	return sight, nil
}

// ours lists the Secrets that carry our label.
func (c *Client) ours(ctx context.Context, namespace string, in manifest.Interest) (Sight, error) {
	sight := Sight{Listed: true}
	err := c.each(ctx, namespace, manifest.Selector, func(s *corev1.Secret) {
		if in.Labelled || in.Covers(s.Name) {
			sight.Objects = append(sight.Objects, manifest.FromSecret(s))
		}
		if s.Labels[manifest.LabelKind] == manifest.KindKeyring {
			sight.Keyrings = append(sight.Keyrings, *s)
		}
	})
	return sight, err
}

// each visits the Secrets that a label selector finds, of which only a page is in
// memory at once.
func (c *Client) each(ctx context.Context, namespace, selector string, visit func(*corev1.Secret)) error {
	opts := metav1.ListOptions{LabelSelector: selector, Limit: pageSize}
	for {
		page, err := c.core.Secrets(namespace).List(ctx, opts)
		if err != nil {
			return err
		}
		for i := range page.Items {
			know(&page.Items[i])
			visit(&page.Items[i])
		}
		if opts.Continue = page.Continue; opts.Continue == "" {
			return nil
		}
	}
}

// Namespaces names the namespaces of the cluster, if the user may list them.
func (c *Client) Namespaces(ctx context.Context) (names []string, err error) {
	list, err := c.core.Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, explainLook(err, "the namespaces")
	}
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names, nil
}

// Labelled gives the Secrets of a namespace, or with "" of all, that a label
// selector finds.
func (c *Client) Labelled(ctx context.Context, namespace, selector string) (found []manifest.Object, err error) {
	err = c.each(ctx, namespace, selector, func(s *corev1.Secret) { found = append(found, manifest.FromSecret(s)) })
	return found, explainLook(err, secretsOf(namespace))
}

// Keyrings gives the keyring Secrets of a namespace, whole.
func (c *Client) Keyrings(ctx context.Context, namespace string) (found []corev1.Secret, err error) {
	err = c.each(ctx, namespace, manifest.LabelKind+"="+manifest.KindKeyring, func(s *corev1.Secret) { found = append(found, *s) })
	return found, explainLook(err, secretsOf(namespace))
}

// unlabelled names the Secrets that matter and that the labels did not find.
func (c *Client) unlabelled(ctx context.Context, namespace string, in manifest.Interest, have []manifest.Object) ([]string, error) {
	seen := make(map[string]bool, len(have))
	for _, o := range have {
		seen[o.Name] = true
	}
	names, err := c.Unlabelled(ctx, namespace)
	return slices.DeleteFunc(names, func(name string) bool { return !in.Covers(name) || seen[name] }), err
}

// Unlabelled names the Secrets of a namespace that do not carry our label.
func (c *Client) Unlabelled(ctx context.Context, namespace string) (names []string, err error) {
	secrets := c.meta.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(namespace)
	opts := metav1.ListOptions{LabelSelector: notOurs, Limit: pageSize}
	for {
		page, err := secrets.List(ctx, opts)
		if err != nil {
			return nil, err
		}
		for i := range page.Items {
			names = append(names, page.Items[i].Name)
		}
		if opts.Continue = page.Continue; opts.Continue == "" {
			return names, nil
		}
	}
}

// GetSecrets gets Secrets by name, in the order of the names; those that are not there
// are left out.
func (c *Client) GetSecrets(ctx context.Context, namespace string, names []string) ([]manifest.Object, error) {
	objects, err := c.getAll(ctx, namespace, names)
	return objects, explainLook(err, secretsOf(namespace))
}

// getParallel is how many gets wait for their turn at once.
const getParallel = 64

func (c *Client) getAll(ctx context.Context, namespace string, names []string) ([]manifest.Object, error) {
	found := make([]*manifest.Object, len(names))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(getParallel)
	for i, name := range names {
		group.Go(redact.Guard(func() (err error) {
			found[i], err = c.get(ctx, namespace, name)
			return err
		}))
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var objects []manifest.Object
	for _, o := range found {
		if o != nil {
			objects = append(objects, *o)
		}
	}
	return objects, nil
}

// probe is Observe without the right to list.
func (c *Client) probe(ctx context.Context, namespace string, in manifest.Interest) ([]manifest.Object, error) {
	below := map[string]bool{} // what a climb may not get: recorded names, and base names
	for name := range in.Names {
		if base, generation := names.Split(name); generation != in.Bases[base] {
			below[name] = true
		}
	}
	for base, known := range in.Bases {
		if known > 1 {
			below[in.Name(base, 1)] = true
		}
	}
	names := slices.Collect(maps.Keys(below))
	objects, err := c.getAll(ctx, namespace, names)
	if err != nil {
		return nil, err
	}
	climbed := make(chan []manifest.Object, len(in.Bases))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(getParallel)
	for base, known := range in.Bases {
		group.Go(redact.Guard(func() error {
			found, err := c.climb(ctx, namespace, func(g int) string { return in.Name(base, g) }, max(known, 1))
			climbed <- found
			return err
		}))
	}
	err = group.Wait()
	close(climbed)
	for found := range climbed {
		for _, o := range found {
			if !below[o.Name] {
				objects = append(objects, o)
			}
		}
	}
	return objects, err
}

// climb gets generations from one upward until there is none.
func (c *Client) climb(ctx context.Context, namespace string, name func(generation int) string, from int) ([]manifest.Object, error) {
	var found []manifest.Object
	for g := from; ; g++ {
		o, err := c.get(ctx, namespace, name(g))
		if o == nil || err != nil {
			return found, err
		}
		found = append(found, *o)
	}
}

// get gives nil for a Secret that is not there.
func (c *Client) get(ctx context.Context, namespace, name string) (*manifest.Object, error) {
	s, err := c.core.Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	know(s)
	o := manifest.FromSecret(s)
	return &o, nil
}

// goneTick is how often is looked whether Secrets that are being deleted are gone.
const goneTick = 200 * time.Millisecond

// AwaitGone waits until the objects that are being deleted are gone, for at
// most limit in all or until ctx ends. It gives those that are left, as last
// seen, and those that went.
func (c *Client) AwaitGone(ctx context.Context, objects []manifest.Object, limit time.Duration) (left, gone []manifest.Object, err error) {
	left = objects
	err = wait.PollUntilContextTimeout(ctx, goneTick, limit, true, func(ctx context.Context) (done bool, err error) {
		var went []manifest.Object
		left, went, err = c.stillThere(ctx, left)
		gone = append(gone, went...)
		return !slices.ContainsFunc(left, func(o manifest.Object) bool { return o.Deleting }), err
	})
	if wait.Interrupted(err) { // time is up: what is left is told as it is
		return left, gone, nil
	}
	return left, gone, err
}

// stillThere looks once at those objects that are being deleted. Where ctx ends meanwhile,
// the others count as they were.
func (c *Client) stillThere(ctx context.Context, objects []manifest.Object) (left, gone []manifest.Object, err error) {
	for i, o := range objects {
		now := &o
		if o.Deleting {
			now, err = c.get(ctx, o.Namespace, o.Name)
		}
		switch {
		case ctx.Err() != nil:
			return append(left, objects[i:]...), gone, ctx.Err()
		case err != nil:
			return nil, nil, fmt.Errorf("secret %s: %w", o.Name, explain(err))
		case now == nil:
			gone = append(gone, o)
		default:
			left = append(left, *now)
		}
	}
	return left, gone, nil
}
