// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keysecret"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// MissingKeyring is a keyring Secret that templates name and that is not there. A name never
// gets other bytes than it had, so what comes back may be a generation above it.
type MissingKeyring struct {
	Namespace, Base string
	Named           []string // generations that templates name and that are not there
	Name            string   // of what restore creates; empty: nothing
	Reason          string   // why nothing is created
	Way             hint.Text
	Wanted          bool // the operator has said that the keyring is to be in the cluster

	generation int
}

// Moves says that the templates have to follow to another generation.
func (l *MissingKeyring) Moves() bool { return !slices.Contains(l.Named, l.Name) }

// restorePlace is what restore sees of one namespace beside the tokens.
type restorePlace struct {
	namespace string
	workloads []workload.Workload
	used      map[string][]string
	held      []plan.Keyring
	unlisted  bool // the keyrings
}

// missingKeyrings finds the keyrings that templates name and that are not there, and says
// what becomes of them.
func (p *RestorePlan) missingKeyrings(ctx context.Context) error {
	s := p.session
	places, err := p.keyringPlaces(ctx)
	if err != nil {
		return err
	}
	var held []plan.Keyring
	var list []workload.Workload
	var entries []plan.Wanted
	for _, at := range places {
		held, list = append(held, at.held...), append(list, at.workloads...)
		entries = append(entries, s.mine(at.namespace)...)
	}
	chosen := s.Settings.KeySecret
	bases := plan.KeyringBases(held, list, entries, slices.DeleteFunc([]string{chosen}, func(b string) bool { return b == "" })...)
	for _, at := range places {
		_, gone := plan.Absent(plan.View{Namespace: at.namespace}, entries, bases, at.used)
		if err := s.gone(ctx, at.namespace, gone); err != nil {
			return err
		}
		for _, missing := range missingIn(at.namespace, gone) {
			missing.Wanted = missing.Base == chosen || slices.ContainsFunc(held, func(k plan.Keyring) bool { return k.Base == missing.Base })
			p.decideKeyring(missing, at, entries)
			p.Keyrings = append(p.Keyrings, missing)
		}
	}
	return nil
}

// keyringPlaces looks at the workloads and the keyrings of each namespace.
func (p *RestorePlan) keyringPlaces(ctx context.Context) (places []*restorePlace, err error) {
	s := p.session
	for _, namespace := range s.Target.Namespaces {
		at := &restorePlace{namespace: namespace}
		var denied []string
		if at.workloads, denied, err = s.workloadsIn(ctx, namespace); err != nil {
			return nil, err
		}
		if len(denied) > 0 {
			s.note("namespace %q: not allowed to list %s, so it is not known whether a keyring is missing that they name", namespace, strings.Join(denied, ", "))
		}
		if at.used = plan.Users(at.workloads); len(at.used) > 0 {
			if err := p.keyringsAt(ctx, at); err != nil {
				return nil, err
			}
		}
		places = append(places, at)
	}
	return places, nil
}

// keyringsAt finds the keyrings of ours that are there; without a key, all.
func (p *RestorePlan) keyringsAt(ctx context.Context, at *restorePlace) error {
	s := p.session
	secrets, err := s.Cluster.Keyrings(ctx, at.namespace)
	if at.unlisted = forbidden(err); at.unlisted {
		return nil
	}
	for i := range secrets {
		if held, ok := keysecret.Read(&secrets[i]); ok && (p.KeyLess || held.Ours(s.Project.Keys)) {
			at.held = append(at.held, plan.Keyring{Name: held.Name, Base: held.Base, Generation: held.Generation, KeyID: held.IDs[0]})
		}
	}
	return err
}

// missingIn groups what is gone by base name.
func missingIn(namespace string, gone map[string]plan.Wanted) (all []*MissingKeyring) {
	for _, name := range SortedKeys(gone) {
		i := slices.IndexFunc(all, func(l *MissingKeyring) bool { return l.Base == gone[name].Base })
		if i < 0 {
			i, all = len(all), append(all, &MissingKeyring{Namespace: namespace, Base: gone[name].Base})
		}
		all[i].Named = append(all[i].Named, name)
	}
	return all
}

// decideKeyring says what is created for a keyring that is missing, or why nothing is.
func (p *RestorePlan) decideKeyring(missing *MissingKeyring, at *restorePlace, entries []plan.Wanted) {
	s := p.session
	stale := slices.ContainsFunc(p.Decisions, func(d plan.Decision) bool {
		return d.Outcome == plan.Superseded && d.Row.Namespace == missing.Namespace
	})
	switch {
	case p.KeyLess:
		missing.Reason, missing.Way = "it holds keys, so only a run with the key can bring it back", "--key-file, or FERNET_KEY"
	case stale:
		missing.Reason = "this keyring is not the current one"
	case slices.ContainsFunc(at.held, func(k plan.Keyring) bool { return k.Base == missing.Base }):
		missing.Reason, missing.Way = "another generation of it is there", hint.Format("kubectl fernet rollout%s moves the workloads to the current keyring", s.Flags())
	case at.unlisted:
		missing.Reason, missing.Way = "which generations of it are there may not be listed", RoleHint("rollout")
	default:
		same := false
		missing.generation, same = plan.KeyringGeneration(missing.Named, at.workloads, entries, p.underKey(missing.Namespace))
		missing.Name = names.Numbered(missing.Base, missing.generation)
		if !same {
			missing.Way = hint.Format("kubectl fernet rollout%s moves the workloads to secret/%s: it is not known that the one which they name held the same keys", s.Flags(), missing.Name)
		}
	}
}

// underKey says of a Secret that is there after the restore whether its token is under KEY.
func (p *RestorePlan) underKey(namespace string) func(secret string) bool {
	s := p.session
	return func(secret string) bool {
		return slices.ContainsFunc(p.Decisions, func(d plan.Decision) bool {
			there := d.Outcome == plan.Created || d.Outcome == plan.Unchanged
			return there && d.Row.Namespace == namespace && d.Row.Secret == secret && s.Project.Sealer.Judge(d.Row.Placed()).KeyID == s.Project.Keys.IDs()[0]
		})
	}
}

// restoreKeyrings creates what is wanted of the missing keyrings.
func (p *RestorePlan) restoreKeyrings(ctx context.Context) error {
	for _, missing := range p.Keyrings {
		if missing.Name == "" || !missing.Wanted {
			continue
		}
		if err := p.session.createKeyring(ctx, missing.Namespace, missing.Base, p.session.Project.Keys, missing.generation); err != nil {
			return err
		}
	}
	return nil
}
