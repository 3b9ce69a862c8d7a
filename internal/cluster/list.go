// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"net/url"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

const (
	// pageSize is how many objects are asked for at once.
	pageSize = 500
	// restarts is how often a list may begin again because the API server has
	// forgotten, after five minutes or so, the state that its pages are of.
	restarts = 3
	// few is up to how many namespaces a kind is not listed in the whole cluster.
	few = 4
	// listParallel is how many namespaces are listed at once for one kind: each holds
	// a page in memory.
	listParallel = 4
)

// list says how the objects of one kind are listed, and what is kept of them in a T for
// each namespace.
type list[T any] struct {
	page func(ctx context.Context, namespace string, opts metav1.ListOptions) (runtime.Object, error)
	size int64 // of a page
	keep func(kept *T, object runtime.Object) error
}

// part is what a list gave of one namespace, or why it gave nothing.
type part[T any] struct {
	kept T
	err  error
}

// in lists the objects of some namespaces, and gives a part for each, in their order. If
// there are several, it lists the whole cluster where that is allowed and takes no more
// pages than there are namespaces. An error means that the API server could not be asked.
func (l list[T]) in(ctx context.Context, namespaces []string) ([]part[T], error) {
	parts := make([]part[T], len(namespaces))
	if len(namespaces) > few {
		whole, err := l.everywhere(ctx, namespaces)
		if unreachable(ctx, err) {
			return nil, err
		}
		if err == nil {
			for i, namespace := range namespaces {
				parts[i].kept = *whole[namespace]
			}
			return parts, nil
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(listParallel)
	for i, namespace := range namespaces {
		group.Go(redact.Guard(func() error {
			parts[i].kept, parts[i].err = l.one(ctx, namespace)
			if unreachable(ctx, parts[i].err) {
				return parts[i].err
			}
			return nil
		}))
	}
	return parts, group.Wait()
}

// unreachable says that after such an error there is no use in asking for anything else.
func unreachable(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || apierrors.IsUnauthorized(err) || errors.As(err, new(*url.Error)))
}

// one lists one namespace.
func (l list[T]) one(ctx context.Context, namespace string) (kept T, err error) {
	err = unexpired(func() error {
		kept = *new(T)
		_, err := l.pages(ctx, namespace, anyPage, func(object runtime.Object) error {
			return l.keep(&kept, object)
		})
		return err
	})
	return kept, err
}

// errTooMany says that a list of the whole cluster takes more pages than there are
// namespaces that matter.
var errTooMany = errors.New("the cluster has too many objects of this kind")

// everywhere lists the whole cluster, and drops what is in other namespaces.
func (l list[T]) everywhere(ctx context.Context, namespaces []string) (kept map[string]*T, err error) {
	enough := func(page metav1.ListInterface, read int) error {
		if page.GetContinue() == "" {
			return nil
		}
		more := 1 // of a list with a selector, nobody says how many
		if left := page.GetRemainingItemCount(); left != nil {
			more = int((*left + l.size - 1) / l.size)
		}
		if read+more > len(namespaces) {
			return errTooMany
		}
		return nil
	}
	err = unexpired(func() error {
		kept = map[string]*T{}
		for _, namespace := range namespaces {
			kept[namespace] = new(T)
		}
		_, err := l.pages(ctx, metav1.NamespaceAll, enough, func(object runtime.Object) error {
			accessor, err := meta.Accessor(object)
			if into := kept[accessor.GetNamespace()]; err == nil && into != nil {
				err = l.keep(into, object)
			}
			return err
		})
		return err
	})
	return kept, err
}

func anyPage(metav1.ListInterface, int) error { return nil }

// pages reads a list to its end, of which only a page is in memory at once, and gives the
// version that it is of. enough ends it after a page, of so many that were read.
func (l list[T]) pages(ctx context.Context, namespace string, enough func(page metav1.ListInterface, read int) error, visit func(runtime.Object) error) (version string, err error) {
	opts := metav1.ListOptions{Limit: l.size}
	for read := 1; ; read++ {
		object, err := l.page(ctx, namespace, opts)
		if err != nil {
			return "", err
		}
		page, ok := object.(metav1.ListInterface)
		if !ok {
			return "", errors.New("the server's answer is no list")
		}
		if err := errors.Join(enough(page, read), meta.EachListItem(object, visit)); err != nil {
			return "", err
		}
		if opts.Continue = page.GetContinue(); opts.Continue == "" {
			return page.GetResourceVersion(), nil
		}
	}
}

// unexpired reads a list again, from its beginning, as often as the API server forgets it.
func unexpired(read func() error) (err error) {
	for range restarts + 1 {
		if err = read(); !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			break
		}
	}
	return err
}
