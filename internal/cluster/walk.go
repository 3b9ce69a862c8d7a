// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// Walk is what a walk over a namespace found, and what it could not look at.
type Walk struct {
	Findings       []usage.Finding
	Workloads      []workload.Workload // Deployments, StatefulSets, DaemonSets and CronJobs that refer to a wanted name
	Denied         []Kind              // in the order of their names
	Kinds, Objects int                 // looked at
}

// walkParallel is how many kinds are listed at once; more where there is one namespace,
// so that no more pages are in memory.
const walkParallel = 8

// Walks looks in namespaces for references to the wanted names, in all objects of all
// kinds that discovery names and that can be listed, but for Events and for our own
// Secrets; of other Secrets it sees the metadata only, except those in which Helm keeps
// its releases. It gives a Walk for each namespace. A kind that cannot be listed in a
// namespace is among those that are Denied there. An error means that the API server
// could not be asked, and there is no result.
func (c *Client) Walks(ctx context.Context, namespaces []string, names func(namespace, name string) bool) (map[string]Walk, error) {
	kinds, denied, err := c.kinds(ctx)
	if err != nil {
		return nil, explainDiscovery(err)
	}
	w := walker{client: c, namespaces: namespaces, names: names, looks: make([]looks, len(namespaces))}
	for stage := range stages {
		if err := w.stage(ctx, kinds, stage); err != nil {
			return nil, explain(err)
		}
	}
	walks := make(map[string]Walk, len(namespaces))
	for i, namespace := range namespaces {
		walks[namespace] = w.looks[i].walk(kinds, denied)
	}
	return walks, nil
}

// walker is a walk under way.
type walker struct {
	client     *Client
	namespaces []string
	names      func(namespace, name string) bool
	looks      []looks // by namespace
}

// looks is what a walk has of one namespace so far.
type looks struct {
	looked
	denied []Kind
}

// looked is what counts of the objects of one kind in one namespace.
type looked struct {
	seen      []usage.Seen
	workloads []workload.Workload
	objects   int
}

// stage lists the kinds of one stage.
func (w *walker) stage(ctx context.Context, kinds []Kind, stage int) error {
	var batch []source
	for _, kind := range kinds {
		if podHolding[kind.groupResource()] == stage {
			batch = append(batch, w.sources(kind)...)
		}
	}
	parts := make([][]part[looked], len(batch))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(walkParallel * listParallel / max(1, min(listParallel, len(w.namespaces))))
	for i, source := range batch {
		group.Go(redact.Guard(func() (err error) {
			parts[i], err = source.in(ctx, w.namespaces)
			return err
		}))
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, source := range batch {
		for n := range w.namespaces {
			w.looks[n].add(source.kind, parts[i][n])
		}
	}
	return nil
}

// add takes what a list of a kind gave.
func (l *looks) add(kind Kind, p part[looked]) {
	if p.err != nil {
		kind.Err = explainFor(p.err, hint.Format("that needs the verb list on %s in this namespace", kind))
		l.denied = append(l.denied, kind)
		return
	}
	l.seen = append(l.seen, p.kept.seen...)
	l.workloads = append(l.workloads, p.kept.workloads...)
	l.objects += p.kept.objects
}

// walk gives the result; unknown is what discovery could not tell of.
func (l *looks) walk(kinds, unknown []Kind) Walk {
	byName := func(a, b Kind) int { return strings.Compare(a.String(), b.String()) }
	slices.SortFunc(l.denied, byName)
	l.denied = slices.CompactFunc(l.denied, func(a, b Kind) bool { return byName(a, b) == 0 })
	walk := Walk{
		Findings: usage.Classify(l.seen), Workloads: l.workloads, Denied: slices.Concat(unknown, l.denied),
		Kinds: len(kinds) - len(l.denied), Objects: l.objects,
	}
	slices.SortFunc(walk.Denied, byName)
	slices.SortFunc(walk.Workloads, byKindAndName)
	return walk
}

// source is one list of a kind. Secrets have two.
type source struct {
	kind Kind
	list[looked]
}

// releases is the type of the Secrets in which Helm keeps its releases: the manifests of
// what it has installed. releasePage of them may have 1 MiB each.
const (
	releases    = "helm.sh/release.v1"
	releasePage = 20
)

// sources gives the lists of a kind.
func (w *walker) sources(kind Kind) []source {
	whole := w.client.dynamic.Resource(kind.groupResource().WithVersion(kind.Version))
	if kind.groupResource() != secrets {
		return []source{{kind, list[looked]{size: pageSize, keep: w.keep, page: func(ctx context.Context, namespace string, opts metav1.ListOptions) (runtime.Object, error) {
			return whole.Namespace(namespace).List(ctx, opts)
		}}}}
	}
	return []source{
		{kind, list[looked]{size: pageSize, keep: w.keep, page: w.client.otherSecrets}},
		{kind, list[looked]{size: releasePage, keep: w.keep, page: func(ctx context.Context, namespace string, opts metav1.ListOptions) (runtime.Object, error) {
			opts.LabelSelector, opts.FieldSelector = notOurs, "type="+releases
			return whole.Namespace(namespace).List(ctx, opts)
		}}},
	}
}

// keep keeps of an object what counts.
func (w *walker) keep(kept *looked, o runtime.Object) error {
	object, ok := o.(*unstructured.Unstructured)
	if !ok {
		return errNoObject
	}
	kept.objects++
	namespace := object.GetNamespace()
	seen, ok := usage.Look(object, func(name string) bool { return w.names(namespace, name) })
	if !ok {
		return nil
	}
	kept.seen = append(kept.seen, seen)
	if len(usage.Classify([]usage.Seen{seen})) == 0 { // kept beside others only
		return nil
	}
	runs, ok, err := ofUnstructured(object)
	if ok {
		kept.workloads = append(kept.workloads, runs)
	}
	return err
}

// notOurs selects the Secrets that do not carry our label.
const notOurs = manifest.LabelManagedBy + "!=" + manifest.ManagedBy

// otherSecrets lists the metadata of Secrets that are neither ours nor Helm's releases.
func (c *Client) otherSecrets(ctx context.Context, namespace string, opts metav1.ListOptions) (runtime.Object, error) {
	opts.LabelSelector, opts.FieldSelector = notOurs, "type!="+releases
	list, err := c.meta.Resource(secrets.WithVersion("v1")).Namespace(namespace).List(ctx, opts)
	if err != nil {
		return nil, err
	}
	page := &unstructured.UnstructuredList{}
	page.SetContinue(list.Continue)
	page.SetRemainingItemCount(list.RemainingItemCount)
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

// ofUnstructured makes a Workload of a Deployment, StatefulSet, DaemonSet or CronJob;
// false: it is none.
func ofUnstructured(object *unstructured.Unstructured) (w workload.Workload, ok bool, err error) {
	var typed runtime.Object
	switch object.GroupVersionKind().GroupKind() {
	case appsv1.SchemeGroupVersion.WithKind("Deployment").GroupKind():
		typed = &appsv1.Deployment{}
	case appsv1.SchemeGroupVersion.WithKind("StatefulSet").GroupKind():
		typed = &appsv1.StatefulSet{}
	case appsv1.SchemeGroupVersion.WithKind("DaemonSet").GroupKind():
		typed = &appsv1.DaemonSet{}
	case batchv1.SchemeGroupVersion.WithKind("CronJob").GroupKind():
		typed = &batchv1.CronJob{}
	default:
		return w, false, nil
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, typed); err != nil {
		return w, false, errUnreadable // the cause could quote the object
	}
	w, ok = workload.Of(typed)
	return w, ok, nil
}
