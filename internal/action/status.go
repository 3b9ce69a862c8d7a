// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
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
	used, err := s.users(ctx, views)
	if err != nil {
		return nil, err
	}
	for _, view := range views {
		r.Items = append(r.Items, plan.StatusOf(view, r.shown(), used[view.Namespace], since)...)
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

// users gives, by namespace and Secret, the workloads and pods that name what was seen.
func (s *Session) users(ctx context.Context, views []plan.View) (map[string]map[string][]string, error) {
	used := map[string]map[string][]string{}
	var namespaces []string
	for _, view := range views {
		if len(view.Objects) == 0 {
			continue
		}
		namespaces = append(namespaces, view.Namespace)
		used[view.Namespace] = map[string][]string{}
		for _, o := range view.Objects {
			used[view.Namespace][o.Name] = nil
		}
	}
	if len(namespaces) == 0 {
		return nil, nil
	}
	users, err := s.Cluster.Users(ctx, namespaces, func(w workload.Workload) bool {
		return !w.Finished && slices.ContainsFunc(w.References(), func(ref workload.Reference) bool {
			_, seen := used[w.Namespace][ref.Secret]
			return seen
		})
	})
	for _, namespace := range namespaces {
		if denied := users[namespace].Denied; len(denied) > 0 {
			s.warn("namespace %q: not allowed to look at %s", namespace, strings.Join(denied, ", "))
		}
		for _, w := range users[namespace].Workloads {
			for _, ref := range w.References() {
				if names := used[namespace][ref.Secret]; !slices.Contains(names, w.String()) {
					used[namespace][ref.Secret] = append(names, w.String())
				}
			}
		}
	}
	return used, err
}
