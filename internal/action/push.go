// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// Push writes the entries of a .env into the namespaces of the target.
type Push struct {
	Update bool     // the next generation of what differs
	Revert []string // entries whose value is published although it was replaced once
	Drop   bool     // entries of a bundle that the .env has not any more
	Keep   bool     // in Client mode: the planned rows, so that another run sends these tokens
}

// Needs says what push needs of its session.
func (p Push) Needs() Needs {
	return Needs{Writes: true, Recorded: p.Keep, AimFirst: true, Selects: true, Stays: true}
}

// PushPlan is what push is about to do; after Apply it is what came of it.
type PushPlan struct {
	Decisions []plan.Decision // by namespace, in the order of the .env
	session   *Session
	confirmed []ledger.Row // that the ledger lacks of what is there
}

// Plan looks at each namespace and decides about each entry.
func (p Push) Plan(ctx context.Context, s *Session) (*PushPlan, error) {
	s.Again, s.Update = s.Command+" --same-cluster", s.Command
	if !p.Update {
		s.Update += " --update"
	}
	if err := s.checkKeys(); err != nil {
		return nil, err
	}
	options, err := p.options(s)
	if err != nil {
		return nil, err
	}
	if err := s.checkSizes(); err != nil {
		return nil, err
	}
	if s.Mode != Client {
		if err := s.dial(); err != nil {
			return nil, err
		}
	}
	out := &PushPlan{session: s}
	return out, s.views(ctx, s.Target.Namespaces, s.mine, false, func(view plan.View) error {
		if err := s.rightCluster(view); err != nil {
			return err
		}
		decisions, err := plan.Push(view, view.Wanted, s.Project.Sealer.Judge, s.Project.Keys, options)
		if err != nil {
			return s.located(err)
		}
		if !plan.SupersededLive(decisions) {
			out.confirmed = append(out.confirmed, s.confirmed(view)...)
		}
		out.Decisions = slices.Concat(out.Decisions, decisions, s.orphans(plan.Orphans(view, s.Project.Has)))
		return nil
	})
}

// checkSizes refuses a bundle that no Secret can hold, before anybody is asked. Its name
// may grow with its number.
func (s *Session) checkSizes() error {
	for _, namespace := range s.Target.Namespaces {
		for _, w := range s.wanted(namespace) {
			if !w.Bundle() {
				continue
			}
			row := ledger.Row{Namespace: namespace, Secret: w.Secret(names.MaxGeneration), Generation: names.MaxGeneration}
			if err := s.Project.Sealer.CheckSize(row, w.Entries); err != nil {
				return err
			}
		}
	}
	return nil
}

// options refuses a name that is no entry of this run.
func (p Push) options(s *Session) (plan.PushOptions, error) {
	for _, name := range p.Revert {
		if !s.Project.takes(name) {
			return plan.PushOptions{}, hint.With(fmt.Errorf("--revert: %s has no such entry, or it is left out by name", s.Env), "kubectl fernet push --help")
		}
	}
	return plan.PushOptions{Update: p.Update, Drop: p.Drop, Revert: func(envKey string) bool { return slices.Contains(p.Revert, envKey) }}, nil
}

// KeepKeyrings makes or follows the keyring Secret of each namespace, if it is kept in the
// cluster. It comes after the tokens, whatever became of them, and not where a newer keyring
// is in use.
func (p *PushPlan) KeepKeyrings(ctx context.Context) error {
	s := p.session
	for _, namespace := range s.Target.Namespaces {
		switch here := p.in(namespace); {
		case s.Settings.KeySecret == "" || ctx.Err() != nil || plan.SupersededLive(here):
		case s.Mode == Client:
			s.foreseeKeyring(namespace)
		default:
			if err := s.ensureKeyring(ctx, namespace, s.Settings.KeySecret, s.Project.Keys, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// in gives the decisions about a namespace.
func (p *PushPlan) in(namespace string) (decisions []plan.Decision) {
	for _, d := range p.Decisions {
		if d.Row.Namespace == namespace {
			decisions = append(decisions, d)
		}
	}
	return decisions
}

// Apply creates what is to be created.
func (p *PushPlan) Apply(ctx context.Context) error {
	s := p.session
	if s.Mode != Client {
		return s.create(ctx, p.Decisions, p.confirmed, "push", s.Project.Sealer.Judge)
	}
	_, fresh, err := s.drafts(p.Decisions)
	if err == nil && s.ledger == nil && len(fresh) > 0 {
		s.note("not recorded: %s, and the next run makes others; --record keeps them", hint.Count(len(fresh), "new token"))
	}
	if err != nil {
		return err
	}
	return s.record(fresh...)
}
