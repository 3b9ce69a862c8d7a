// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// sorted gives the objects of a namespace, or with "" of all, in the order of their names.
func (m *memCluster) sorted(namespace string) (objects []manifest.Object) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, at := range slices.SortedFunc(maps.Keys(m.secrets), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		if namespace == "" || at[0] == namespace {
			objects = append(objects, m.secrets[at])
		}
	}
	return objects
}

// Labelled knows selectors of one label: that of a key's id.
func (m *memCluster) Labelled(_ context.Context, namespace, selector string) (found []manifest.Object, err error) {
	if err := m.look(); err != nil {
		return nil, err
	}
	id, ofKey := strings.CutPrefix(selector, manifest.LabelKeyID+"=")
	return slices.DeleteFunc(m.sorted(namespace), func(o manifest.Object) bool { return !o.Managed || ofKey && o.KeyID != id }), nil
}

func (m *memCluster) Keyrings(_ context.Context, namespace string) (found []corev1.Secret, err error) {
	if err := m.look(); err != nil {
		return nil, err
	}
	for _, o := range m.sorted(namespace) {
		if o.Kind == manifest.KindKeyring {
			found = append(found, m.whole[[2]string{o.Namespace, o.Name}])
		}
	}
	return found, nil
}

func (m *memCluster) CreateSecret(_ context.Context, sent *corev1.Secret, dryRun bool) cluster.Result {
	o, at := manifest.FromSecret(sent), [2]string{sent.Namespace, sent.Name}
	if there, taken := m.secrets[at]; taken {
		return cluster.Result{Fate: cluster.Taken, Object: there, Err: errFault}
	}
	if dryRun {
		return cluster.Result{Fate: cluster.Landed, Object: o}
	}
	what := m.next()
	if what == sound || what >= landed {
		o = m.put(o)
		whole := *sent
		whole.UID = types.UID(o.UID)
		m.whole[at] = whole
	}
	return created(what, o)
}

func (m *memCluster) DeleteAll(_ context.Context, objects []manifest.Object, _ int, dryRun bool, done func(int, cluster.DeleteResult)) {
	for i, o := range objects {
		done(i, m.delete(o, dryRun))
	}
}

func (m *memCluster) delete(o manifest.Object, dryRun bool) cluster.DeleteResult {
	at := [2]string{o.Namespace, o.Name}
	there, found := m.secrets[at]
	if dryRun || !found {
		return cluster.DeleteResult{Fate: cluster.Gone}
	}
	if there.UID != o.UID {
		return cluster.DeleteResult{Fate: cluster.Gone, Object: there}
	}
	if m.deleting != nil {
		m.deleting(o)
	}
	what := m.next()
	switch what {
	case sound, landed:
		delete(m.secrets, at)
	case held:
		there.Deleting = true
		m.secrets[at] = there
	}
	fate := map[fault]cluster.DeleteFate{
		sound: cluster.Gone, unsent: cluster.DeleteNotSent, refused: cluster.DeleteRefused, lost: cluster.DeleteDoubtful,
		landed: cluster.DeleteDoubtful, held: cluster.Held, changed: cluster.Changed,
	}[what]
	if fate == cluster.Gone {
		return cluster.DeleteResult{Fate: fate}
	}
	return cluster.DeleteResult{Fate: fate, Err: errFault}
}

func (m *memCluster) Walks(_ context.Context, namespaces []string, names func(namespace, name string) bool) (map[string]cluster.Walk, error) {
	if err := m.look(); err != nil {
		return nil, err
	}
	m.walks++
	walks := map[string]cluster.Walk{}
	for _, namespace := range namespaces {
		walk := cluster.Walk{Denied: m.denied}
		if m.refer != nil {
			for _, f := range m.refer(m.walks, namespace) {
				if names(namespace, f.Secret) {
					walk.Findings = append(walk.Findings, f)
				}
			}
		}
		for _, w := range m.workloads[namespace] {
			found := referring(w, func(name string) bool { return names(namespace, name) })
			if walk.Findings = append(walk.Findings, found...); len(found) > 0 {
				walk.Workloads = append(walk.Workloads, w)
			}
		}
		walks[namespace] = walk
	}
	return walks, nil
}

// referring gives a finding for each Secret that a workload refers to.
func referring(w workload.Workload, names func(string) bool) (found []usage.Finding) {
	for _, ref := range w.References() {
		if names(ref.Secret) {
			found = append(found, usage.Finding{Group: "apps", Kind: string(w.Kind), Namespace: w.Namespace, Name: w.Name, Root: w.Object(), Secret: ref.Secret, Field: ref.Pointer})
		}
	}
	return found
}

func (m *memCluster) Users(_ context.Context, namespaces []string, wanted func(workload.Workload) bool) (map[string]cluster.Users, error) {
	if err := m.look(); err != nil {
		return nil, err
	}
	all := map[string]cluster.Users{}
	for _, namespace := range namespaces {
		unwanted := func(w workload.Workload) bool { return !wanted(w) }
		all[namespace] = cluster.Users{Workloads: slices.DeleteFunc(slices.Clone(m.workloads[namespace]), unwanted)}
	}
	return all, nil
}

func (m *memCluster) Pods(context.Context, string) ([]workload.Workload, error) { return nil, m.look() }

func (m *memCluster) GetWorkload(_ context.Context, kind workload.Kind, namespace, name string) (workload.Workload, error) {
	if err := m.look(); err != nil {
		return workload.Workload{}, err
	}
	for _, w := range m.workloads[namespace] {
		if w.Kind == kind && w.Name == name {
			return w, nil
		}
	}
	return workload.Workload{}, errFault
}

// Patch renames the Secrets of volumes, which are all the references that these
// workloads have.
func (m *memCluster) Patch(_ context.Context, w workload.Workload, change workload.Change, dryRun bool) (workload.Workload, error) {
	if dryRun {
		return w, m.denies[w.Name]
	}
	rename := change.(workload.Rename)
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.patched != nil {
		m.patched(w, rename)
	}
	what, was := m.next(), w
	list := m.workloads[w.Namespace]
	i := slices.IndexFunc(list, func(o workload.Workload) bool { return o.String() == w.String() })
	if what == sound || what == landed {
		w = renamed(w, rename)
		list[i] = w
	}
	switch what {
	case sound:
		if m.reverts[w.Name] { // the API server takes the patch, and a controller the change
			return was, nil
		}
		return w, nil
	case changed:
		return workload.Workload{}, cluster.ErrStale
	default:
		return workload.Workload{}, errFault
	}
}

// renamed gives a workload whose volumes have other Secrets.
func renamed(w workload.Workload, rename workload.Rename) workload.Workload {
	w.Template = *w.Template.DeepCopy()
	for _, v := range w.Template.Spec.Volumes {
		if to := rename[v.Secret.SecretName]; to != "" {
			v.Secret.SecretName = to
		}
	}
	return w
}

func (m *memCluster) Follow(ctx context.Context, kind workload.Kind, namespace string, seen func(workload.Workload, bool)) error {
	<-ctx.Done()
	return ctx.Err()
}
