// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// Diff compares a .env with the cluster, or with the ledger alone.
type Diff struct {
	Offline bool // against the ledger
	Values  bool // both values of what differs, too
	Only    Only
}

// Needs says what diff needs of its session.
func (d Diff) Needs() Needs { return Needs{Offline: d.Offline, Selects: true, Stays: true} }

// Difference is what diff found of one entry, with the values if they were asked for and
// are there.
type Difference struct {
	plan.Decision
	Values []Sides
}

// Sides are the two values of an entry that differ; one that is not there, or cannot be
// told, is nil.
type Sides struct {
	Name      string
	Live, Env *envfile.Value
}

// Run looks at each namespace and compares each entry.
func (d Diff) Run(ctx context.Context, s *Session) (all []Difference, err error) {
	s.announce()
	if namespaces := s.recordedNamespaces(); d.Offline && len(namespaces) > 0 && len(s.recordsIn(s.Target.Namespaces[0])) == 0 {
		s.note("the ledger has nothing of namespace %q; it has %s", s.Target.Namespaces[0], hint.Few(namespaces))
	}
	if !d.Offline {
		if err := s.dial(); err != nil {
			return nil, err
		}
	}
	err = s.views(ctx, s.Target.Namespaces, s.wanted, false, func(view plan.View) error {
		if err := s.rightCluster(view); err != nil {
			return err
		}
		decisions, err := plan.Diff(view, view.Wanted, s.Project.Sealer.Judge, s.Project.Keys, s.Project.Has)
		if err != nil {
			return s.Project.located(err)
		}
		for _, one := range s.orphans(decisions) {
			all = append(all, Difference{Decision: one})
		}
		if d.Values {
			s.reveal(view, all[len(all)-len(decisions):])
		}
		return nil
	})
	if err != nil {
		return all, err
	}
	all = slices.DeleteFunc(all, func(one Difference) bool { return !d.Only.has(one.Row.Secret, one.entries()...) })
	return all, s.known(d.Only, func(name Only) bool {
		return slices.ContainsFunc(all, func(one Difference) bool { return name.has(one.Row.Secret, one.entries()...) })
	})
}

// entries gives the names of those that are compared.
func (d Difference) entries() []string {
	entries := entryNames(d.Row.Placed())
	for _, e := range d.Entries {
		entries = append(entries, e.Name)
	}
	for _, c := range d.Changes {
		entries = append(entries, c.Name)
	}
	return append(entries, d.Row.EnvKey)
}

// Differs says whether the two sides have different values, or may have.
func (d Difference) Differs() bool {
	return d.Outcome != plan.Same && d.Outcome != plan.Reencrypted && d.Outcome != plan.Replaced
}

// reveal adds the two values of what differs in a view.
func (s *Session) reveal(view plan.View, all []Difference) {
	live := map[string]token.Token{}
	for _, o := range view.Objects {
		live[o.Name] = o.Placed()
	}
	for _, r := range view.Records { // the annotation may have been edited since
		if live[r.Secret].Token == r.Token {
			live[r.Secret] = r.Placed()
		}
	}
	for i := range all {
		d := &all[i]
		if !d.Differs() {
			continue
		}
		names := []string{d.Row.EnvKey}
		if d.Row.Bundle() {
			names = names[:0]
			for _, c := range d.Changes {
				names = append(names, c.Name)
			}
		}
		for _, name := range names {
			sides := Sides{Name: name}
			if value, err := s.Project.Sealer.Open(live[d.Row.Secret].Entry(name)); err == nil {
				sides.Live = &value
			}
			if entry, ok := s.Project.File.Lookup(name); ok {
				sides.Env = &entry.Value
			}
			d.Values = append(d.Values, sides)
		}
	}
}
