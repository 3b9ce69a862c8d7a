// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// follow decides about a value that is not that of a generation, which is the newest there
// is, or was, or 0 for none. It is written if that is to be, unless the .env is behind, or the next
// generation would lack entries of the bundle.
func (p *pusher) follow(from token.Token, generation int, write bool) Decision {
	changes := p.changes(from)
	if d, stale := p.stale(from, generation, changes); stale {
		d.Changes = changes
		return d
	}
	d := Decision{Outcome: Differs, Row: p.row(generation), Changes: changes, Reason: "the cluster has another value; --update writes the next generation"}
	if p.want.Bundle() {
		d.Reason = "the .env has other entries or values; --update writes the next generation"
	}
	if o, live := p.object(generation); live {
		d.Row.UID = o.UID
	}
	switch dropped := namesOf(changes, Minus); {
	case !write && !p.reverts(changes):
	case len(dropped) > 0 && !p.options.Drop:
		d.Dropped = dropped
		d.Reason = "the next generation would lack " + hint.Few(dropped) + ", which the .env has not, or leaves out; --drop-entries writes it so"
	default:
		d = p.create(from)
		d.Changes = changes
	}
	return d
}

// changes says what of a bundle is not as wanted; nothing of a single token, and where there
// is no bundle yet.
func (p *pusher) changes(from token.Token) (changes []Change) {
	if !p.want.Bundle() || from.Token == "" {
		return nil
	}
	has := map[string]token.Token{}
	for _, t := range from.Each() {
		has[t.EnvKey] = t
	}
	var changed []Change
	for _, name := range p.want.Entries {
		switch t, there := has[name]; {
		case !there:
			changes = append(changes, Change{Plus, name})
		case !p.judge(t).Same:
			changed = append(changed, Change{Tilde, name})
		}
		delete(has, name)
	}
	changes = append(changes, changed...)
	for _, name := range slices.Sorted(maps.Keys(has)) {
		changes = append(changes, Change{Minus, name})
	}
	return changes
}

// namesOf gives the entries with one of these signs.
func namesOf(changes []Change, signs ...Sign) (names []string) {
	for _, c := range changes {
		if slices.Contains(signs, c.Sign) {
			names = append(names, c.Name)
		}
	}
	return names
}

// same says whether a token has the wanted value; a bundle, whether it has the wanted
// entries and no other.
func (p *pusher) same(t token.Token, v token.Verdict) bool {
	return v.Same && (!p.want.Bundle() || len(t.Entries()) == len(p.want.Entries) && len(namesOf(p.changes(t), Plus, Minus)) == 0)
}

// reverts says whether a value that was replaced once is to be published: all of those that
// changed, or the one of a single entry.
func (p *pusher) reverts(changes []Change) bool {
	names := namesOf(changes, Plus, Tilde)
	if !p.want.Bundle() {
		names = []string{p.want.EnvKey}
	}
	return p.options.Revert != nil && len(names) > 0 && !slices.ContainsFunc(names, func(name string) bool { return !p.options.Revert(name) })
}

// stale finds values that an earlier generation had: the .env is behind, and
// publishing them would put an older value over a newer one. newest is the generation
// that has the value of now.
func (p *pusher) stale(from token.Token, newest int, changes []Change) (Decision, bool) {
	changed := p.want.names()
	if p.want.Bundle() && from.Token != "" {
		changed = namesOf(changes, Plus, Tilde)
	}
	was := map[string]string{} // entry: the Secret that had its value
	for _, name := range changed {
		if p.options.Revert != nil && p.options.Revert(name) {
			continue
		}
		if older := p.replaced(from, newest, name); older != "" {
			was[name] = older
		}
	}
	if len(was) == 0 {
		return Decision{}, false
	}
	names := slices.Sorted(maps.Keys(was))
	d := Decision{Outcome: Stale, Row: p.row(cmp.Or(newest, p.top+1)), Stale: names, Reason: "the .env has the value of the older " + was[names[0]]}
	if p.want.Bundle() {
		d.Reason = fmt.Sprintf("the .env has older values: %s as in %s", hint.Few(names), was[names[0]])
	}
	return d, true
}

// replaced gives the older Secret that had the value which an entry has in the .env; empty
// if there is none.
func (p *pusher) replaced(from token.Token, newest int, name string) string {
	for _, g := range p.generations() {
		if g < newest && p.had(g, name) {
			return p.want.Secret(g)
		}
	}
	return p.others.replaced(from, name)
}

// had says whether a generation was created with the value that an entry has in the .env.
func (p *pusher) had(generation int, name string) bool {
	if o, live := p.object(generation); live {
		c, _ := p.classify(o)
		return c == classOurs && p.hasValue(o.Placed(), name)
	}
	return slices.ContainsFunc(p.records[generation], func(r ledger.Record) bool {
		return (r.State == ledger.Created || r.State == ledger.Deleted) && p.judge(r.Placed()).Binding == token.BindingHolds && p.hasValue(r.Placed(), name)
	})
}

func (p *pusher) hasValue(t token.Token, name string) bool {
	return slices.ContainsFunc(t.Each(), func(e token.Token) bool { return e.EnvKey == name && p.judge(e).Same })
}
