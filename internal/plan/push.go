// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

// Push decides what push does with each wanted entry in one namespace, in the
// order of wanted. A superseded entry keeps push from writing anything in this
// namespace: every decision to create then becomes Held.
func Push(view View, wanted []Wanted, judge Judge, keys Keys, update bool) ([]Decision, error) {
	byBase := index(view, wanted)
	decisions := make([]Decision, 0, len(wanted))
	blocked := false
	for _, w := range wanted {
		p := pusher{known: byBase[w.Base], judge: judge, keys: keys, update: update}
		d, err := p.decide()
		if err != nil {
			return nil, err
		}
		blocked = blocked || d.Outcome == Superseded
		decisions = append(decisions, d)
	}
	if blocked {
		holdBack(decisions)
	}
	return decisions, nil
}

// holdBack turns every write of a namespace into a refusal: a keyring that
// lacks the newest key of one entry is stale for all of them.
func holdBack(decisions []Decision) {
	for i, d := range decisions {
		if d.Outcome == Created {
			decisions[i].Outcome = Held
			decisions[i].Reason = "not written: another entry of this namespace is superseded"
		}
	}
}

type pusher struct {
	*known
	judge  Judge
	keys   Keys
	update bool
}

// class is whose a live object is.
type class int

const (
	classForeign class = iota
	classMisplaced
	classOurs
)

// classify decides by evidence, never by label: ours is what the ledger has with
// exactly this token, or what a key opens and whose binding holds.
func (p *pusher) classify(o manifest.Object) (class, Verdict) {
	if o.Token == "" {
		return classForeign, Verdict{}
	}
	v := p.judge(TokenOfObject(o))
	if _, ok := p.record(o); ok {
		return classOurs, v
	}
	switch {
	case v.Opens && v.Binding == BindingHolds:
		return classOurs, v
	case v.Opens:
		return classMisplaced, v
	default:
		return classForeign, v
	}
}

// decide looks at the live generations, newest first. A base name that somebody
// else has is foreign; one that only looks like ours, below a newer generation
// that is ours, is what a rotation left behind under a key since dropped.
func (p *pusher) decide() (Decision, error) {
	if d, ok := p.superseded(); ok {
		return d, nil
	}
	var current manifest.Object
	var verdict Verdict
	for _, g := range p.generations() {
		o, live := p.object(g)
		if !live {
			continue
		}
		c, v := p.classify(o)
		switch {
		case c == classMisplaced:
			return p.report(Misplaced, o, misplacedReason(v)), nil
		case c == classForeign && g == 1 && !(o.Managed && current.Name != ""):
			return p.report(Foreign, o, "the name is taken by a Secret that this tool did not make with these keys"), nil
		case c == classOurs && o.EnvKey != p.want.EnvKey:
			return Decision{}, &SpellingError{Want: p.want, Namespace: o.Namespace, Secret: o.Name, Spelling: o.EnvKey}
		case c == classOurs && current.Name == "":
			current, verdict = o, v
		}
	}
	return p.compare(current, verdict), nil
}

func misplacedReason(v Verdict) string {
	if v.Binding == BindingAbsent {
		return "its token opens, but nothing says that it was made for this place"
	}
	return "its token opens, but it was made for another place"
}

// superseded looks from the newest generation down to the first that opens: a
// live object of ours or a created row that carries a key id which the keyring
// lacks means that somebody rotated, and that this keyring is stale.
func (p *pusher) superseded() (Decision, bool) {
	for _, g := range p.generations() {
		o, live := p.object(g)
		if live {
			if c, v := p.classify(o); c == classOurs && v.Opens {
				return p.swapped(g, v.KeyID)
			}
			if o.Managed && o.KeyID != "" && !p.keys.Has(o.KeyID) {
				return p.supersededBy(g, "it is under key "+o.KeyID+", which this keyring lacks")
			}
		}
		for _, r := range p.records[g] {
			if r.State != ledger.Created {
				continue
			}
			if v := p.judge(TokenOf(r)); v.Opens {
				return p.swapped(g, v.KeyID)
			}
			if !p.keys.Has(r.KeyID) {
				return p.supersededBy(g, "it is under key "+r.KeyID+", which this keyring lacks")
			}
		}
	}
	return Decision{}, false
}

// swapped finds a keyring that has the newest key as a previous one and seals
// with an older one: it would bring a retired key back.
func (p *pusher) swapped(newest int, keyID string) (Decision, bool) {
	primary := p.keys.IDs()[0]
	if keyID == primary {
		return Decision{}, false
	}
	for _, g := range p.generations() {
		o, _ := p.object(g)
		older := g < newest && o.KeyID == primary
		for _, r := range p.records[g] {
			older = older || g < newest && r.KeyID == primary && r.State != ledger.Planned && r.State != ledger.Failed
		}
		if older {
			return p.supersededBy(newest, "it is under key "+keyID+", and KEY is the older key "+primary)
		}
	}
	return Decision{}, false
}

func (p *pusher) supersededBy(generation int, reason string) (Decision, bool) {
	return Decision{Outcome: Superseded, Row: p.row(generation), Reason: reason}, true
}

func (p *pusher) report(outcome Outcome, o manifest.Object, reason string) Decision {
	row := p.row(o.Generation)
	row.UID = o.UID
	return Decision{Outcome: outcome, Row: row, Reason: reason}
}

// compare decides on the newest known state, once nothing stands in the way.
// current is the newest live object of ours, without a name if there is none.
func (p *pusher) compare(current manifest.Object, verdict Verdict) Decision {
	if current.Deleting {
		return p.report(Failed, current, "it is being deleted; something holds it with a finalizer")
	}
	if r, same, ok := p.pending(current.Generation); ok {
		keep := current.Name != "" && r.State != ledger.Created && verdict.Same
		switch {
		case keep: // the plan was never confirmed and is not wanted any more
		case same:
			return p.resend(r)
		case r.State == ledger.Created || current.Name == "":
			return p.create()
		}
	}
	switch {
	case current.Name == "":
		return p.create()
	case verdict.Same:
		return p.keep(current, verdict)
	case p.update:
		return p.create()
	case !verdict.Opens:
		return p.report(Differs, current, "its token does not open with any key")
	default:
		return p.report(Differs, current, "the cluster has another value; --update writes the next generation")
	}
}

// pending finds the newest record above a generation that has no live object:
// a write that was planned and never confirmed, or an object that is gone. same
// says that its token opens to the wanted value; of several records of one name
// one with the wanted value is taken. A name that was created, or deleted, never
// gets another token that was only planned, and a failed row is never sent
// again: its number may have been given out since.
func (p *pusher) pending(above int) (found ledger.Record, same, ok bool) {
	for _, g := range p.generations() {
		if _, live := p.object(g); live || g <= above {
			continue
		}
		for _, r := range p.sendable(g) {
			if v := p.judge(TokenOf(r)); v.Same && v.Binding == BindingHolds && r.EnvKey == p.want.EnvKey {
				return r, true, true
			}
			found, ok = r, true
		}
		if ok {
			return found, false, true
		}
	}
	return ledger.Record{}, false, false
}

// sendable gives the records of a generation whose bytes its name may have.
func (p *pusher) sendable(generation int) []ledger.Record {
	used := ledger.Planned
	for _, r := range p.records[generation] {
		if r.State == ledger.Created || r.State == ledger.Deleted {
			used = ledger.Created
		}
	}
	return slices.DeleteFunc(slices.Clone(p.records[generation]), func(r ledger.Record) bool { return r.State != used })
}

func (p *pusher) resend(r ledger.Record) Decision {
	row := p.row(r.Generation)
	row.Operation = r.Operation
	row.KeyID, row.Token, row.Binding = r.KeyID, r.Token, r.Binding
	return Decision{Outcome: Created, Row: row, Resend: true}
}

func (p *pusher) create() Decision {
	if p.top >= ledger.MaxGeneration {
		return Decision{Outcome: Failed, Row: p.row(p.top), Reason: "this generation has the highest number there is, so no next one can be written: remove that Secret if it is not ours"}
	}
	return Decision{Outcome: Created, Row: p.row(p.top + 1)}
}

// keep says unchanged, and completes the ledger where it lacks the created row.
func (p *pusher) keep(o manifest.Object, v Verdict) Decision {
	row := p.row(o.Generation)
	row.Operation, row.State = ledger.Learn, ledger.Created
	row.KeyID, row.Token, row.Binding, row.UID = v.KeyID, o.Token, o.Binding, o.UID
	r, recorded := p.record(o)
	if recorded { // the annotation may have been edited since
		row.Operation, row.Binding = r.Operation, r.Binding
	}
	return Decision{
		Outcome:  Unchanged,
		Row:      row,
		Complete: !recorded || r.State != ledger.Created,
	}
}

// Orphans lists, in ledger order, the entries that were created in this
// namespace and that the .env has no longer: one decision each, about the
// newest generation. inEnv says whether the .env has an entry of that name.
func Orphans(view View, inEnv func(envKey string) bool) []Decision {
	live := make(map[string]bool, len(view.Objects))
	for _, o := range view.Objects {
		live[o.Name] = true
	}
	at := map[string]int{}
	var orphans []Decision
	for _, r := range view.Records {
		if r.State != ledger.Created || inEnv(r.EnvKey) || !live[r.Secret] {
			continue
		}
		row := ledger.Row{Cluster: view.Cluster, Namespace: view.Namespace, Secret: r.Secret, Generation: r.Generation, EnvKey: r.EnvKey, KeyID: r.KeyID}
		i, seen := at[r.EnvKey]
		switch {
		case !seen:
			at[r.EnvKey] = len(orphans)
			orphans = append(orphans, Decision{Outcome: Orphan, Row: row, Reason: fmt.Sprintf("%s is no longer in the .env", r.EnvKey)})
		case r.Generation > orphans[i].Row.Generation:
			orphans[i].Row = row
		}
	}
	return orphans
}

// Offline gives the view that the ledger alone has: what it recorded as created
// is taken to be there. For dry runs without a cluster.
func Offline(cluster, namespace string, records []ledger.Record) View {
	view := View{Cluster: cluster, Namespace: namespace, Records: records}
	for _, r := range records {
		if r.State != ledger.Created {
			continue
		}
		base, generation := manifest.SplitName(r.Secret)
		view.Objects = append(view.Objects, manifest.Object{
			Namespace: namespace, Name: r.Secret, Base: base, Generation: generation,
			EnvKey: r.EnvKey, Token: r.Token, Managed: true, KeyID: r.KeyID, Binding: r.Binding,
		})
	}
	return view
}
