// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// Status says what is in the cluster, how old it is and who uses it.
type Status struct {
	AllNamespaces       bool
	MaxAge, MaxValueAge time.Duration // of keys and of values; 0: any
}

// Needs says what status needs of its session.
func (Status) Needs() Needs { return Needs{Read: Names, Spreads: true} }

// StatusReport is what status found.
type StatusReport struct {
	Items    []plan.Status
	Previous bool // the .env has KEY_PREVIOUS

	verb    Status
	session *Session
}

// Run reads the Secrets of the namespaces and who refers to them.
func (v Status) Run(ctx context.Context, s *Session) (*StatusReport, error) {
	previous, _ := s.Project.File.Lookup(keyring.VarPrevious)
	r := &StatusReport{Previous: !previous.Value.IsEmpty(), verb: v, session: s}
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	var views []plan.View
	var all []manifest.Object
	err := s.views(ctx, s.Target.Namespaces, s.mine, true, func(view plan.View) error {
		if s.Unlisted[view.Namespace] {
			s.warn("namespace %q: not allowed to list Secrets: only what the ledger and the .env name is shown", view.Namespace)
		}
		views, all = append(views, view), append(all, view.Objects...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	since := plan.Since(s.Book.FirstUse(s.Target.Cluster), all)
	for _, view := range views {
		used, err := s.users(ctx, view)
		if err != nil {
			return nil, err
		}
		r.Items = append(r.Items, plan.StatusOf(view, r.shown(), used, since)...)
	}
	for i := range r.Items {
		r.Items[i].JudgeTimes(s.Now(), v.MaxAge, v.MaxValueAge)
	}
	return r, nil
}

// start tells the target, connects, and with AllNamespaces finds them.
func (r *StatusReport) start(ctx context.Context) error {
	s, text := r.session, r.session.Target.String()
	if r.verb.AllNamespaces {
		text = fmt.Sprintf("target: context %q, cluster %q, all namespaces", s.Target.Context, s.Target.Cluster)
	}
	s.Tell(Event{Kind: Aimed, Text: text})
	if s.Project.Keys == nil && len(s.Records) > 0 {
		s.note("no key is at hand, so the rows of %s are not authenticated", s.Ledger)
	}
	if err := s.dial(); err != nil || !r.verb.AllNamespaces {
		return err
	}
	found, err := s.Cluster.Labelled(ctx, "", manifest.Selector)
	if err == nil {
		s.Target.Namespaces = s.everywhere(found)
	}
	return err
}

// everywhere gives the namespaces of labelled Secrets and of the ledger.
func (s *Session) everywhere(found []manifest.Object) []string {
	known := map[string]bool{}
	for _, o := range found {
		known[o.Namespace] = true
	}
	for _, record := range s.Records {
		if record.State == ledger.Created && !record.Hint {
			known[record.Namespace] = true
		}
	}
	return SortedKeys(known)
}

// shown says which base names to show: those of the .env and the ledger, and all
// where there is neither, or with AllNamespaces.
func (r *StatusReport) shown() func(base string) bool {
	s := r.session
	if r.verb.AllNamespaces || len(s.Records) == 0 && len(s.Project.Wanted) == 0 {
		return func(string) bool { return true }
	}
	bases := map[string]bool{}
	for _, w := range plan.Mine(s.Records, s.Project.Wanted) {
		bases[w.Base] = true
	}
	return func(base string) bool { return bases[base] }
}

// users gives, by Secret, the workloads and pods that name it.
func (s *Session) users(ctx context.Context, view plan.View) (map[string][]string, error) {
	used := map[string][]string{}
	if len(view.Objects) == 0 {
		return used, nil
	}
	list, denied, err := s.Cluster.Workloads(ctx, view.Namespace)
	if err != nil {
		return nil, err
	}
	pods, err := s.Cluster.Pods(ctx, view.Namespace)
	if err != nil {
		var refused *cluster.Error
		if !errors.As(err, &refused) {
			return nil, err
		}
		denied = append(denied, "pods")
	}
	if len(denied) > 0 {
		slices.Sort(denied)
		s.warn("namespace %q: not allowed to look at %s", view.Namespace, strings.Join(slices.Compact(denied), ", "))
	}
	for _, w := range append(list, pods...) {
		if w.Finished {
			continue
		}
		for _, ref := range w.References() {
			if names := used[ref.Secret]; !slices.Contains(names, w.String()) {
				used[ref.Secret] = append(names, w.String())
			}
		}
	}
	return used, nil
}
