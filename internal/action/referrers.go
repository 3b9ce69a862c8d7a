// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// referrers is what refers to Secrets that are ours by their names, in one namespace. It is
// the one look that status, verify and rollout share, and the same that retire trusts.
type referrers struct {
	findings  []usage.Finding
	workloads []workload.Workload // of the findings, those that can be patched
	denied    []cluster.Kind      // that hold pods, and could not be looked at
	custom    []cluster.Kind      // of custom resources, that could not
}

// referrers looks over the namespaces of these views, for generations of their entries, of
// entries that were retired, and for all that is named like a generation of a keyring.
func (s *Session) referrers(ctx context.Context, views []plan.View) (map[string]referrers, error) {
	namespaces, bases := make([]string, len(views)), map[string]map[string]bool{}
	pasts := map[string]plan.View{}
	for i, view := range views {
		namespaces[i], pasts[view.Namespace] = view.Namespace, view
		ours := map[string]bool{}
		for _, w := range s.mine(view.Namespace) {
			ours[w.Base] = true
		}
		for _, o := range view.Objects {
			ours[o.Base] = true
		}
		bases[view.Namespace] = ours
	}
	if len(namespaces) == 0 {
		return nil, nil
	}
	walks, err := s.Cluster.Walks(ctx, namespaces, func(namespace, name string) bool {
		base, _ := names.Split(name)
		_, _, numbered := names.SplitNumbered(name)
		return numbered || bases[namespace][base] || pasts[namespace].Past.Known(base) > 0
	})
	all := map[string]referrers{}
	for namespace, walk := range walks {
		all[namespace] = referrersOf(walk)
	}
	return all, err
}

func referrersOf(walk cluster.Walk) referrers {
	r := referrers{findings: walk.Findings, workloads: walk.Workloads}
	for _, kind := range walk.Denied {
		switch {
		case kind.PodHolding:
			r.denied = append(r.denied, kind)
		case strings.Contains(kind.Group, ".") && !strings.HasSuffix(kind.Group, ".k8s.io"):
			r.custom = append(r.custom, kind)
		}
	}
	return r
}

func kindNames(kinds []cluster.Kind) (names []string) {
	for _, kind := range kinds {
		names = append(names, kind.String())
	}
	return names
}

// unlooked says of kinds which the user may not look at, and why else one could not be.
func unlooked(kinds []cluster.Kind) string {
	var denied, reasons []string
	for _, kind := range kinds {
		if kind.Forbidden() {
			denied = append(denied, kind.String())
			continue
		}
		reasons = append(reasons, fmt.Sprintf("cannot look at %s: %s", kind, hint.OneLine(kind.Err.Error())))
	}
	if len(denied) > 0 {
		reasons = slices.Insert(reasons, 0, "not allowed to list "+strings.Join(denied, ", "))
	}
	return strings.Join(reasons, "; ")
}

// used gives, by Secret, who uses it: the topmost owner of what refers to it, each once.
func (r referrers) used() map[string][]string {
	used := map[string][]string{}
	for _, f := range r.findings {
		if root := short(f.Root); f.Class == usage.Use && !slices.Contains(used[f.Secret], root) {
			used[f.Secret] = append(used[f.Secret], root)
		}
	}
	for _, roots := range used {
		slices.Sort(roots)
	}
	return used
}

// short gives an object without the group of Kubernetes' own workloads: deployment/web.
func short(object string) string {
	kind, name, _ := strings.Cut(object, "/")
	kind = strings.TrimSuffix(strings.TrimSuffix(kind, ".apps"), ".batch")
	return kind + "/" + name
}

// workloadsIn gives all workloads of a namespace, and the kinds that could not be listed.
func (s *Session) workloadsIn(ctx context.Context, namespace string) (list []workload.Workload, denied []string, err error) {
	users, err := s.Cluster.Users(ctx, []string{namespace}, func(workload.Workload) bool { return true })
	return users[namespace].Workloads, users[namespace].Denied, err
}
