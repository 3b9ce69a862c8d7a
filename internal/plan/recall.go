// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// Recalled is the token of an entry in one place.
type Recalled struct {
	Cluster    string
	Generation int
	Token      token.Token
	Order      int           // as the ledger has the entries, 0 where it does not have this one
	Others     []token.Token // that the ledger has as created under the same name: one of them is there
}

// Recall gives the newest generation of every entry that the evidence has as created
// and not deleted, in each place, as InOrder sorts them. With a
// generation above 0 it gives that one instead, deleted ones too.
func Recall(records []ledger.Record, generation int) []Recalled {
	type place struct{ cluster, namespace, base string }
	chosen := map[place]Recalled{}
	deleted := map[place]bool{} // what was chosen there
	for _, r := range records {
		base, g := names.Split(r.Secret)
		gone := r.State == ledger.Deleted && generation > 0
		if r.Hint || r.State != ledger.Created && !gone || generation > 0 && g != generation {
			continue
		}
		at := place{r.Cluster, r.Namespace, base}
		was, taken := chosen[at]
		switch {
		case !taken || g > was.Generation || deleted[at] && !gone:
			chosen[at] = Recalled{Cluster: r.Cluster, Generation: g, Token: r.Placed(), Order: r.Order}
			deleted[at] = gone
		case g == was.Generation && deleted[at] == gone:
			was.Others = append(was.Others, r.Placed())
			chosen[at] = was
		}
	}
	return eachEntry(slices.Collect(maps.Values(chosen)))
}

// eachEntry gives the entries of these Secrets, as InOrder sorts them. Of an entry that is
// both single and in a bundle it gives the one whose value came last: a rotation keeps the
// time of a token.
func eachEntry(secrets []Recalled) (all []Recalled) {
	type place struct{ cluster, namespace, envKey string }
	chosen := map[place]Recalled{}
	for _, r := range secrets {
		for _, e := range r.Token.Entries() {
			one := r
			one.Token, one.Others = r.Token.Entry(e.Name), nil
			for _, other := range r.Others {
				one.Others = append(one.Others, other.Entry(e.Name))
			}
			at := place{r.Cluster, r.Token.Namespace, e.Name}
			if was, taken := chosen[at]; !taken || was.before(one) {
				chosen[at] = one
			}
		}
	}
	all = slices.Collect(maps.Values(chosen))
	InOrder(all)
	return all
}

// before says whether another form of the same entry came later; within one second that is
// the bundle.
func (r Recalled) before(other Recalled) bool {
	c := r.made().Compare(other.made())
	return c < 0 || c == 0 && token.Joined(other.Token.Token)
}

// made says when the value of an entry was sealed.
func (r Recalled) made() time.Time {
	var made time.Time
	for _, e := range r.Token.Entries() {
		if info, err := token.Parse(e.Token); err == nil {
			made = info.Time
		}
	}
	return made
}

// InOrder sorts entries as the ledger has them first, then by name and place; what it
// does not have comes last.
func InOrder(all []Recalled) {
	first := map[string]int{}
	for _, r := range all {
		if was, known := first[r.Token.EnvKey]; r.Order > 0 && (!known || r.Order < was) {
			first[r.Token.EnvKey] = r.Order
		}
	}
	order := func(r Recalled) int { return cmp.Or(first[r.Token.EnvKey], math.MaxInt) }
	slices.SortFunc(all, func(a, b Recalled) int {
		return cmp.Or(
			cmp.Compare(order(a), order(b)), strings.Compare(a.Token.EnvKey, b.Token.EnvKey),
			strings.Compare(a.Cluster, b.Cluster), strings.Compare(a.Token.Namespace, b.Token.Namespace))
	})
}

// Unknown is an entry whose current value the cluster does not tell, and why: an
// older value would not be it.
type Unknown struct {
	Token      token.Token // the place alone
	Generation int
	Gone       bool // it is not there
	Reason     string
}

// Live gives the current generation of every entry of ours in a view, and the
// entries whose current one is lost, cannot be opened or is not what it seems.
func Live(view View, mine []Wanted, judge token.Judge, keys Keys) (all []Recalled, unknown []Unknown) {
	byBase := index(view, mine)
	var secrets []Recalled
	for _, w := range mine {
		p := pusher{known: byBase[w.Base], judge: judge, keys: keys}
		current, generation, reason := p.revealing()
		_, there := p.object(generation)
		switch {
		case reason != "":
			for _, name := range p.entriesOf(generation) {
				unknown = append(unknown, Unknown{
					Token:      token.Token{Namespace: view.Namespace, Secret: w.Secret(generation), EnvKey: name},
					Generation: generation, Gone: !there, Reason: reason,
				})
			}
		case current.Name != "":
			secrets = append(secrets, Recalled{Cluster: view.Cluster, Generation: generation, Token: p.token(current), Order: p.order()})
		}
	}
	return eachEntry(secrets), unknown
}

// entriesOf names the entries that a generation has, or had, as far as that is known.
func (p *pusher) entriesOf(generation int) (names []string) {
	if !p.want.Bundle() {
		return []string{p.want.EnvKey}
	}
	o, _ := p.object(generation)
	entries := o.Placed().Entries()
	for _, r := range p.records[generation] {
		entries = append(entries, r.Placed().Entries()...)
	}
	for _, e := range entries {
		names = append(names, e.Name)
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) == 0 {
		return []string{p.want.Base}
	}
	return names
}

// order gives the place of the entry in the ledger, 0 if it has none.
func (p *pusher) order() int {
	for _, records := range p.records {
		for _, r := range records {
			return r.Order
		}
	}
	return 0
}

// Newer finds what a namespace has newer than what a ledger gave of it, or besides:
// rows may have been removed, or the ledger is not the current one. What is there
// and cannot be opened, or not in its place, may be newer too.
func Newer(recorded, live []Recalled, unknown []Unknown, same token.Same) (newer []Unknown) {
	known := map[string]Recalled{} // by env key
	for _, r := range recorded {
		known[r.Token.EnvKey] = r
	}
	for _, l := range live {
		r, is := known[l.Token.EnvKey]
		later := l.Generation >= r.Generation
		if baseOf(l) != baseOf(r) {
			later = r.before(l)
		}
		if !is || later && !same(l.Token, r.Token) {
			newer = append(newer, Unknown{Token: l.Token, Generation: l.Generation})
		}
	}
	for _, u := range unknown {
		if r, is := known[u.Token.EnvKey]; !u.Gone && (!is || u.Generation >= r.Generation) {
			newer = append(newer, u)
		}
	}
	return newer
}

func baseOf(r Recalled) string {
	base, _ := names.Split(r.Token.Secret)
	return base
}

// revealing gives the newest generation that reveals the current value, or the reason that
// none does. Both empty: the entry never existed.
func (p *pusher) revealing() (current manifest.Object, generation int, reason string) {
	for _, g := range p.generations() {
		o, live := p.object(g)
		if !live {
			if p.created(g) {
				return current, g, "it was created, and is gone"
			}
			continue
		}
		switch c, v := p.classify(o); {
		case c == classMisplaced:
			return current, g, p.misplacedReason(o, v)
		case c == classOurs && v.Opens:
			return o, g, ""
		case o.Managed && o.KeyID != "" && !p.keys.Has(o.KeyID) && p.view.Past.Dropped(o.KeyID):
			// under a key that was dropped: an older one that turned up again
		case o.Managed && o.KeyID != "" && !p.keys.Has(o.KeyID):
			return current, g, "it is under key " + o.KeyID + ", which this keyring lacks"
		case o.Managed:
			return current, g, "no key of this keyring opens its token"
		case p.created(g):
			return current, g, "it has other bytes than were created"
		}
	}
	return current, 0, ""
}

func (p *pusher) created(generation int) bool {
	return slices.ContainsFunc(p.records[generation], func(r ledger.Record) bool { return r.State == ledger.Created })
}

// Evident adds to the base names that are ours those of the Secrets of a view that
// a key opens in their own place: that proves them ours without a ledger.
func Evident(view View, mine []Wanted, judge token.Judge) []Wanted {
	known := map[string]bool{}
	for _, w := range mine {
		known[w.Base] = true
	}
	all := slices.Clone(mine)
	for _, o := range view.Objects {
		if known[o.Base] {
			continue
		}
		if v := judge(o.Placed()); v.Opens && v.Binding == token.BindingHolds {
			known[o.Base] = true
			all = append(all, Wanted{EnvKey: o.EnvKey, Base: o.Base})
		}
	}
	slices.SortFunc(all, func(a, b Wanted) int { return strings.Compare(a.Base, b.Base) })
	return all
}
