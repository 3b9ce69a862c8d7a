// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keysecret"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
)

// Retire deletes the generations that nothing uses any more, and drops the previous keys.
type Retire struct {
	Names            []string // entries that are removed altogether; none: all older generations
	Strict           bool     // nothing while any kind of object could not be looked at
	Forget           []string // clusters of the ledger that are gone for good
	ForgetNamespaces []string // namespaces whose Secrets were lost for good
	SkipClusterCheck bool     // drops a key without a look at the Secrets of all namespaces
	Ignore           Ignore
}

// Ignore says what retire may overlook.
type Ignore struct {
	plan.Overlook
	Kinds  []string // of objects, as kubectl writes them, that cannot be looked at
	Copies []string // NAMESPACE/NAME of copies that need not be opened any more
}

// The words of Ignore.
const (
	IgnoreHistory   = "history"
	IgnoreMentions  = "mentions"
	IgnoreManifests = "manifests"
)

// Needs says what retire needs of its session.
func (Retire) Needs() Needs { return Needs{Writes: true, Spreads: true, InPart: true} }

// RetirePlan is what retire is about to do; after Apply it is what came of it.
type RetirePlan struct {
	Items    []*Retired
	Skipped  []plan.Decision   // names whose older generations may be needed yet
	Returned []manifest.Object // retired before, there again, and opened by no key

	verb     Retire
	session  *Session
	views    []plan.View
	keyrings []keysecret.Held          // the newest of each name
	denied   map[string][]cluster.Kind // by namespace
}

// Retired is one Secret that could be deleted, and what is to become of it.
type Retired struct {
	plan.Retirement
	Outcome plan.State
	Reason  string
	Way     hint.Text // out of a refusal

	keyring *keysecret.Held // of a keyring Secret, which has no ledger row
	found   []usage.Finding // all that refers to it
	deleted bool            // by this run, whatever came after
}

// Plan finds what could be deleted, and looks over each namespace for what refers to it.
func (v Retire) Plan(ctx context.Context, s *Session) (*RetirePlan, error) {
	if err := s.Start(); err != nil {
		return nil, err
	}
	if slices.Contains(v.Forget, s.Target.Cluster) {
		return nil, fmt.Errorf("--forget-cluster %s: that is the cluster of this run", s.Target.Cluster)
	}
	for _, kind := range v.Ignore.Kinds {
		if cluster.HoldsPods(kind) {
			return nil, hint.With(fmt.Errorf("--ignore %s: what holds pods is never overlooked", kind), "kubectl fernet rbac --for retire prints the Role that it needs")
		}
	}
	p := &RetirePlan{verb: v, session: s, denied: map[string][]cluster.Kind{}}
	chosen, err := p.chosen()
	if err != nil {
		return nil, err
	}
	if err := p.collect(ctx, chosen); err != nil {
		return nil, err
	}
	return p, p.judge(ctx)
}

// Apply deletes what may be deleted. Where nothing is, it completes the ledger by what is
// there.
func (p *RetirePlan) Apply(ctx context.Context) error {
	s := p.session
	doomed, confirmed := p.Doomed(), s.confirmed(p.views...)
	switch {
	case len(doomed) == 0:
		return s.record(confirmed...)
	case s.Mode == Client:
		return nil
	default:
		return s.remove(ctx, doomed, confirmed, p.usedAgain)
	}
}

// Doomed gives what is to be deleted, or was.
func (p *RetirePlan) Doomed() (items []*Retired) {
	for _, item := range p.Items {
		if item.Outcome == plan.Deleted {
			items = append(items, item)
		}
	}
	return items
}

// Has says whether anything has this outcome.
func (p *RetirePlan) Has(outcome plan.State) bool {
	return slices.ContainsFunc(p.Items, func(item *Retired) bool { return item.Outcome == outcome })
}

// Findings says whether something is kept.
func (p *RetirePlan) Findings() bool {
	return len(p.Doomed()) < len(p.Items) || len(p.Skipped)+len(p.Returned) > 0
}

// WaysOut are those of all refusals, each once.
func (p *RetirePlan) WaysOut() []hint.Text {
	ways := map[hint.Text]bool{}
	for _, item := range p.Items {
		ways[item.Way] = true
	}
	for _, kinds := range p.denied {
		if slices.ContainsFunc(kinds, cluster.Kind.Forbidden) {
			ways[RoleHint("retire")] = true
		}
	}
	delete(ways, "")
	return slices.Sorted(maps.Keys(ways))
}

// Unlooked says what kinds of objects of a namespace could not be looked at; empty: none.
func (p *RetirePlan) Unlooked(namespace string) string { return unlooked(p.denied[namespace]) }

// chosen says of a Secret whether it is removed altogether: those that were named are.
func (p *RetirePlan) chosen() (func(plan.Wanted) bool, error) {
	s, chosen := p.session, map[string]bool{} // base names
	for _, name := range p.verb.Names {
		w, found := s.recordedAs(name)
		switch {
		case !found && s.bundleOf(name) != "":
			return nil, hint.With(fmt.Errorf("%s is an entry of the bundle %s, which goes as a whole", name, s.bundleOf(name)),
				"take it out of %s; then: kubectl fernet push --update --drop-entries%s", s.Env, s.Flags())
		case !found && s.wasRecorded(name):
			s.note("%s: every Secret of it that the ledger has was deleted", name)
			continue
		case !found:
			return nil, hint.With(errors.New("an argument is no entry that the ledger knows in this cluster"), "kubectl fernet status%s lists them", s.Flags())
		case w.Bundle() && s.wants(w.Base):
			return nil, hint.With(fmt.Errorf("%s is the bundle of %s: its older generations go without naming it", w.Base, s.Env), "remove FERNET_BUNDLE there first, if it is to go altogether")
		case !w.Bundle() && s.Project.Has(w.EnvKey):
			return nil, hint.With(fmt.Errorf("%s is still in %s: its older generations go without naming it", w.EnvKey, s.Env), "remove it there first, if it is to go altogether")
		}
		chosen[w.Base] = true
	}
	return func(w plan.Wanted) bool { return chosen[w.Base] }, nil
}

// wants says whether the .env wants a base name in some namespace of the target.
func (s *Session) wants(base string) bool {
	return slices.ContainsFunc(s.Target.Namespaces, func(namespace string) bool {
		return slices.ContainsFunc(s.wanted(namespace), func(w plan.Wanted) bool { return w.Base == base })
	})
}

// recordedAs gives the entry or the bundle that the evidence has under a name: its own, or
// that of one of its Secrets.
func (s *Session) recordedAs(name string) (w plan.Wanted, found bool) {
	for _, record := range s.Records {
		base, _ := names.Split(record.Secret)
		if !record.Hint && name != "" && (name == record.EnvKey || name == base || name == record.Secret) { // a bundle has no EnvKey
			w, found = plan.Wanted{EnvKey: record.EnvKey, Base: base}, true
		}
	}
	return w, found
}

// bundleOf gives the bundle that the evidence has an entry in.
func (s *Session) bundleOf(name string) (base string) {
	for _, record := range s.Records {
		isEntry := slices.ContainsFunc(record.Placed().Entries(), func(e token.Entry) bool { return e.Name == name })
		if record.Bundle() && !record.Hint && record.State == ledger.Created && isEntry {
			base, _ = names.Split(record.Secret)
		}
	}
	return base
}

// wasRecorded says whether the ledger's evidence ever had an entry, or a base name.
func (s *Session) wasRecorded(name string) bool {
	base, err := names.Base(name)
	for _, at := range s.Known {
		if at.Past.Known(name) > 0 || err == nil && at.Past.Known(base) > 0 {
			return true
		}
	}
	return false
}

// collect finds what could be deleted: tokens and keyrings.
func (p *RetirePlan) collect(ctx context.Context, chosen func(plan.Wanted) bool) (err error) {
	s := p.session
	if p.views, err = s.lookAll(ctx); err != nil {
		return err
	}
	for _, view := range p.views {
		if slices.Contains(p.verb.ForgetNamespaces, view.Namespace) && len(view.Objects) > 0 {
			return fmt.Errorf("--forget-namespace %s: Secrets that the ledger recorded are there", view.Namespace)
		}
		mine := plan.Mine(view.Records, view.Wanted)
		if len(p.verb.Names) > 0 {
			mine = slices.DeleteFunc(mine, func(w plan.Wanted) bool { return !chosen(w) })
		}
		candidates, skipped := plan.Retire(view, mine, s.Project.Sealer.Judge, s.Project.Keys, chosen)
		for _, c := range candidates {
			p.Items = append(p.Items, &Retired{Retirement: c})
		}
		p.Skipped = append(p.Skipped, skipped...)
		p.Returned = append(p.Returned, plan.PutBack(view, mine, s.Project.Sealer.Judge, s.Project.Keys)...)
		if len(p.verb.Names) > 0 {
			continue
		}
		if err := p.collectKeyrings(ctx, view.Namespace); err != nil {
			return err
		}
	}
	return nil
}

func (p *RetirePlan) collectKeyrings(ctx context.Context, namespace string) error {
	all, err := p.session.keyringsSeen(ctx, namespace)
	if err != nil {
		return err
	}
	for _, held := range all {
		if held.Generation < keysecret.Newest(all, held.Base).Generation {
			p.Items = append(p.Items, &Retired{Retirement: plan.Retirement{Object: held.Object}, keyring: &held})
		} else {
			p.keyrings = append(p.keyrings, held)
		}
	}
	return nil
}

// judge looks over each namespace and decides what may be deleted.
func (p *RetirePlan) judge(ctx context.Context) error {
	findings, err := p.walk(ctx, p.Items)
	if err != nil {
		return err
	}
	for _, item := range p.Items {
		item.found = about(findings, item)
		found := plan.Uses{Blind: p.blind(item.Object.Namespace)}
		for _, f := range item.found {
			found.Use = found.Use || f.Class == usage.Use
			found.Manifest = found.Manifest || f.Class == usage.Manifest
			found.Mention = found.Mention || f.Class == usage.Mention
			found.History = found.History || f.Class == usage.History
		}
		item.Outcome = plan.Deletable(item.Retirement, found, p.verb.Ignore.Overlook)
	}
	return nil
}

// usedAgain looks over the namespaces once more, after the deletes, and gives those items
// that something has begun to refer to. A revision that is history by now was used
// meanwhile by nothing that is left.
func (p *RetirePlan) usedAgain(ctx context.Context) (again []*Retired, err error) {
	deleted := p.Doomed()
	findings, err := p.walk(ctx, deleted)
	for _, item := range deleted {
		item.found = about(findings, item)
		if slices.ContainsFunc(item.found, func(f usage.Finding) bool { return f.Class != usage.History && !p.verb.Ignore.overlooks(f.Class) }) {
			again = append(again, item)
		}
	}
	return again, err
}

// about gives the findings about one item.
func about(findings map[string][]usage.Finding, item *Retired) (found []usage.Finding) {
	for _, f := range findings[item.Object.Namespace] {
		if f.Secret == item.Object.Name {
			found = append(found, f)
		}
	}
	return found
}

// walk gives, by namespace, what refers to these items.
func (p *RetirePlan) walk(ctx context.Context, items []*Retired) (map[string][]usage.Finding, error) {
	wanted := map[string]map[string]bool{} // names, by namespace
	for _, item := range items {
		if wanted[item.Object.Namespace] == nil {
			wanted[item.Object.Namespace] = map[string]bool{}
		}
		wanted[item.Object.Namespace][item.Object.Name] = true
	}
	findings := map[string][]usage.Finding{}
	if len(wanted) == 0 {
		return findings, nil
	}
	walks, err := p.session.Cluster.Walks(ctx, SortedKeys(wanted), func(namespace, name string) bool { return wanted[namespace][name] })
	if err != nil {
		return nil, err
	}
	for namespace, walk := range walks {
		findings[namespace], p.denied[namespace] = walk.Findings, walk.Denied
	}
	return findings, nil
}

// blind says whether something could not be looked at that may well use Secrets.
func (p *RetirePlan) blind(namespace string) bool {
	return slices.ContainsFunc(p.denied[namespace], func(k cluster.Kind) bool {
		return k.PodHolding || p.verb.Strict && !slices.Contains(p.verb.Ignore.Kinds, k.String())
	})
}
