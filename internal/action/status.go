// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
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
	Only                Only
}

// Needs says what status needs of its session.
func (v Status) Needs() Needs {
	return Needs{Read: Names, Spreads: !v.AllNamespaces, Selects: !v.AllNamespaces, InPart: true}
}

// StatusReport is what status found.
type StatusReport struct {
	Items     []plan.Status
	Previous  bool          // the .env has KEY_PREVIOUS
	Forgotten []plan.Status // of the items: under an older key that this keyring no longer has

	verb    Status
	session *Session
	places  []*statusPlace
}

// statusPlace is what status sees of one namespace.
type statusPlace struct {
	view      plan.View
	used      map[string][]string
	workloads []workload.Workload
	tokens    []plan.Status
	keyrings  []plan.Keyring
}

// Run reads the Secrets of the namespaces and who refers to them.
func (v Status) Run(ctx context.Context, s *Session) (*StatusReport, error) {
	r := &StatusReport{Previous: keyring.HasPrevious(s.Project.File), verb: v, session: s}
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	var all []manifest.Object
	err := s.views(ctx, s.Target.Namespaces, s.mine, true, func(view plan.View) error {
		if s.Unlisted[view.Namespace] {
			s.unseen(view.Namespace, "not allowed to list Secrets: only what the ledger and the .env name is shown")
		}
		r.places, all = append(r.places, &statusPlace{view: view}), append(all, view.Objects...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := r.users(ctx); err != nil {
		return nil, err
	}
	if err := r.judge(ctx, plan.Since(s.Book.FirstUse(s.Target.Cluster), all)); err != nil {
		return nil, err
	}
	r.stagedForLong()
	return r, r.narrow()
}

// narrow leaves out what was not asked for.
func (r *StatusReport) narrow() error {
	named := func(only Only) func(plan.Status) bool {
		return func(item plan.Status) bool {
			entries := []string{item.EnvKey, item.Name()}
			for _, e := range item.Entries {
				entries = append(entries, e.EnvKey)
			}
			return only.has(item.Secret, entries...)
		}
	}
	if err := r.session.known(r.verb.Only, func(name Only) bool { return slices.ContainsFunc(r.Items, named(name)) }); err != nil {
		return err
	}
	other := func(item plan.Status) bool { return !named(r.verb.Only)(item) }
	r.Items, r.Forgotten = slices.DeleteFunc(r.Items, other), slices.DeleteFunc(r.Forgotten, other)
	return nil
}

// users finds who refers to the Secrets of each place.
func (r *StatusReport) users(ctx context.Context) error {
	views := make([]plan.View, len(r.places))
	for i, p := range r.places {
		views[i] = p.view
	}
	all, err := r.session.referrers(ctx, views)
	if err != nil {
		return err
	}
	for _, p := range r.places {
		found := all[p.view.Namespace]
		if len(found.denied) > 0 {
			r.session.unseen(p.view.Namespace, unlooked(found.denied))
		}
		p.workloads, p.used = found.workloads, found.used()
	}
	return nil
}

// judge makes the items of all places: a rotation goes through all of them.
func (r *StatusReport) judge(ctx context.Context, since map[string]time.Time) error {
	s := r.session
	held := func(id string) bool { return s.Project.Keys != nil && s.Project.Keys.Has(id) }
	older := map[string]bool{}
	if s.Project.Keys != nil {
		older = s.Book.OlderKeys(s.Project.Keys.IDs()[0])
	}
	for _, p := range r.places {
		if err := r.look(ctx, p, since); err != nil {
			return err
		}
	}
	bases := r.keyringBases()
	for _, p := range r.places {
		_, rings := plan.Absent(p.view, r.entries(p), bases, p.used)
		if err := s.gone(ctx, p.view.Namespace, rings); err != nil {
			return err
		}
		r.Items = append(r.Items, p.tokens...)
		r.Items = append(r.Items, plan.KeyringStatus(p.view.Namespace, p.keyrings, plan.Look{Used: p.used, Gone: rings, Since: since})...)
	}
	plan.MarkUnfinished(r.Items, since, func(id string) bool { return held(id) || older[id] })
	for i := range r.Items {
		item := &r.Items[i]
		item.JudgeTimes(s.Now(), r.verb.MaxAge, r.verb.MaxValueAge)
		if item.Keyring == "" && older[item.KeyID] && !held(item.KeyID) {
			r.Forgotten = append(r.Forgotten, *item)
		}
	}
	return nil
}

// look finds who refers to the Secrets of a place, the states of its entries, and its
// keyrings.
func (r *StatusReport) look(ctx context.Context, p *statusPlace, since map[string]time.Time) (err error) {
	s := r.session
	tokens, _ := plan.Absent(p.view, r.entries(p), nil, p.used)
	if err := s.gone(ctx, p.view.Namespace, tokens); err != nil {
		return err
	}
	p.tokens = plan.StatusOf(p.view, r.shown(), plan.Look{Used: p.used, Gone: tokens, Since: since})
	current := map[string]bool{}
	for _, item := range p.tokens {
		if item.Secret != "" {
			current[item.KeyID] = true
		}
	}
	p.keyrings, err = s.keyringsShown(ctx, p.view, current)
	return err
}

// entries gives what a place has of this project: by .env and ledger, and by the labels
// where these tell.
func (r *StatusReport) entries(p *statusPlace) []plan.Wanted {
	shown, all := r.shown(), r.session.mine(p.view.Namespace)
	for _, o := range p.view.Objects {
		if o.Managed && o.Token != "" && shown(o.Base) {
			all = append(all, plan.Wanted{EnvKey: o.EnvKey, Base: o.Base})
		}
	}
	return all
}

// keyringBases gives the base names of keyring Secrets in all places.
func (r *StatusReport) keyringBases() map[string]bool {
	var held []plan.Keyring
	var list []workload.Workload
	var entries []plan.Wanted
	for _, p := range r.places {
		held, list, entries = append(held, p.keyrings...), append(list, p.workloads...), append(entries, r.entries(p)...)
	}
	return plan.KeyringBases(held, list, entries)
}

// longStaged is the age from which a staged key is warned about.
const longStaged = 7 * 24 * time.Hour

// stagedForLong warns of a KEY_NEXT that is no news any more. When it was staged is not
// known; that was not after the file last changed.
func (r *StatusReport) stagedForLong() {
	s := r.session
	next, _ := s.Project.File.Lookup(keyring.VarNext)
	info, err := os.Stat(s.Env)
	if next.Value.IsEmpty() || err != nil || s.Now().Sub(info.ModTime()) <= longStaged {
		return
	}
	s.warn("%s: KEY_NEXT has been staged for more than 7 days", s.Env)
	s.hint(hint.Format("kubectl fernet rotate%s makes it KEY; if others may have read the file, kubectl fernet rotate%s --new-key takes a fresh one", s.Flags(), s.Flags()))
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
	for _, namespace := range append(SortedKeys(s.Known), s.Target.Namespaces...) {
		for _, w := range s.mine(namespace) {
			bases[w.Base] = true
		}
	}
	return func(base string) bool { return bases[base] }
}
