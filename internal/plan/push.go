// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// PushOptions say what push may write of what differs.
type PushOptions struct {
	Update bool                     // the next generation of a changed value
	Revert func(envKey string) bool // that of a value which was replaced once
	Drop   bool                     // the next generation of a bundle may lack entries
}

// Push decides what push does with each wanted entry in one namespace, in the
// order of wanted. A live Secret that supersedes an entry, or one that evidence has beside
// the wanted ones, keeps push from writing anything in this namespace: every decision to
// create then becomes Held. Where only rows say so, that entry alone is left as it is.
func Push(view View, wanted []Wanted, judge token.Judge, keys Keys, options PushOptions) ([]Decision, error) {
	byBase, others := index(view, wanted), otherForms(view, wanted, judge)
	decisions := make([]Decision, 0, len(wanted))
	for _, w := range wanted {
		p := pusher{known: byBase[w.Base], judge: judge, keys: keys, options: options, others: others}
		d, err := p.decide()
		if err != nil {
			return nil, err
		}
		decisions = append(decisions, d)
	}
	for _, d := range Rotated(view, beside(view, wanted), judge, keys) {
		if !d.ByRow {
			decisions = append(decisions, d)
		}
	}
	if SupersededLive(decisions) {
		holdBack(decisions)
	}
	return decisions, nil
}

// beside gives the base names that evidence has in the namespace and that are not wanted:
// they left the .env, or this run does not match them (R5).
func beside(view View, wanted []Wanted) []Wanted {
	return slices.DeleteFunc(Mine(view.Records, wanted), func(m Wanted) bool {
		return slices.ContainsFunc(wanted, func(w Wanted) bool { return w.Base == m.Base })
	})
}

// Rotated gives the entries that a newer generation under a key which this keyring
// lacks supersedes: this keyring is stale. A live one keeps it from writing anything
// in the namespace, a row only under that base name.
func Rotated(view View, wanted []Wanted, judge token.Judge, keys Keys) (superseded []Decision) {
	byBase := index(view, wanted)
	for _, w := range wanted {
		p := pusher{known: byBase[w.Base], judge: judge, keys: keys}
		if d, ok := p.superseded(); ok {
			superseded = append(superseded, d)
		}
	}
	return superseded
}

// SupersededLive says whether one of these entries is superseded by a live Secret.
func SupersededLive(decisions []Decision) (live bool) {
	return slices.ContainsFunc(decisions, func(d Decision) bool { return d.Outcome == Superseded && !d.ByRow })
}

// HoldBack puts in the place of what was to be created in a namespace what supersedes
// it. A row alone is of no account where nothing was to be created.
func HoldBack(decisions, superseded []Decision) []Decision {
	created, at := map[[2]string]bool{}, map[string]bool{} // by namespace and base name; by base name
	place := func(d Decision) [2]string { return [2]string{d.Row.Namespace, d.base()} }
	for _, d := range decisions {
		if d.Outcome == Created {
			created[place(d)] = true
		}
	}
	superseded = slices.DeleteFunc(superseded, func(d Decision) bool { return d.ByRow && !created[place(d)] })
	if len(superseded) == 0 {
		return decisions
	}
	namespace := superseded[0].Row.Namespace
	for _, d := range superseded {
		at[d.base()] = true
	}
	var all, rest []Decision
	for _, d := range decisions {
		switch {
		case d.Row.Namespace != namespace:
			all = append(all, d)
		case at[d.base()] && (d.Outcome == Created || d.Outcome == Unproven):
			// the newer one is named in its place
		default:
			rest = append(rest, d)
		}
	}
	if SupersededLive(superseded) {
		holdBack(rest)
	}
	return slices.Concat(all, superseded, rest)
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

// base is the base name of what the decision is about.
func (d Decision) base() string {
	base, _ := names.Split(d.Row.Secret)
	return base
}

type pusher struct {
	*known
	judge   token.Judge
	keys    Keys
	options PushOptions
	others  forms
}

// class is whose a live object is.
type class int

const (
	classForeign class = iota
	classMisplaced
	classOurs
)

// classify decides by proof, never by label and never by a row: ours is what a key
// opens and whose binding holds.
func (p *pusher) classify(o manifest.Object) (class, token.Verdict) {
	if o.Token == "" {
		return classForeign, token.Verdict{}
	}
	v := p.judge(p.token(o))
	switch {
	case v.Opens && v.Binding == token.BindingHolds:
		return classOurs, v
	case v.Opens:
		return classMisplaced, v
	default:
		return classForeign, v
	}
}

// decide looks at the live generations, newest first. A base name that belongs to
// another owner is foreign; one that only looks like ours, below a newer generation
// that is ours or under a key that was dropped, is the rest of a rotation.
func (p *pusher) decide() (Decision, error) {
	if d, ok := p.superseded(); ok {
		return d, nil
	}
	var current manifest.Object
	var verdict token.Verdict
	for _, g := range p.generations() {
		o, live := p.object(g)
		if !live {
			continue
		}
		c, v := p.classify(o)
		switch {
		case c == classMisplaced:
			return p.misplaced(o, v), nil
		case c == classForeign && g == 1 && !p.leftOver(o, current):
			return p.report(Foreign, o, "the name is taken by a Secret that this tool did not make with these keys"), nil
		case c == classOurs && o.EnvKey != p.want.EnvKey:
			return Decision{}, &SpellingError{Want: p.want, Namespace: o.Namespace, Secret: o.Name, Spelling: o.EnvKey}
		case c == classOurs && current.Name == "":
			current, verdict = o, v
		}
	}
	return p.compare(current, verdict), nil
}

// leftOver says whether a Secret that no key opens is an earlier one of ours.
func (p *pusher) leftOver(o, current manifest.Object) bool {
	_, recorded := p.record(o)
	return (o.Managed || recorded) && (current.Name != "" || p.view.Past.Dropped(o.KeyID))
}

// misplaced reports a token that opens, in a place that nothing proves to be its own.
func (p *pusher) misplaced(o manifest.Object, v token.Verdict) Decision {
	d := p.report(Misplaced, o, p.misplacedReason(o, v))
	d.Adoptable = v.Binding == token.BindingAbsent && o.Generation == 1 && len(p.records) == 0 && p.view.Past.Known(p.want.Base) == 0
	return d
}

// misplacedReason says what is wrong with the place of a token that opens.
func (p *pusher) misplacedReason(o manifest.Object, v token.Verdict) string {
	switch {
	case Renamed(o, p.judge):
		return renamedReason(o)
	case v.Binding == token.BindingAbsent:
		return "its token opens, but nothing says that it was made for this place"
	case o.Bundle():
		return "its tokens open, but they are not the set that was made for this place"
	default:
		return "its token opens, but it was made for another place"
	}
}

// Renamed says whether a Secret is one of ours with a prefix or a suffix around its
// name, as the transformers of kustomize put them.
func Renamed(o manifest.Object, judge token.Judge) bool {
	base, _ := names.Split(o.Claimed)
	if o.Claimed == "" || base == o.Base || !strings.Contains(o.Name, o.Claimed) {
		return false
	}
	t := o.Placed()
	t.Secret = o.Claimed
	v := judge(t)
	return v.Opens && v.Binding == token.BindingHolds
}

func renamedReason(o manifest.Object) string {
	return "it was made as " + o.Claimed + ", and a prefix or suffix was put around its name, as kustomize's namePrefix and nameSuffix do"
}

// superseded looks from the newest generation down to the first that opens with a
// key of ours. A live Secret or a created row above it that carries a key id which
// the keyring lacks, or has only as the next key, means that the key was rotated,
// and that this keyring is stale. Evidence of a Secret that was deleted under that
// key says the contrary: the key is an older one, which was dropped.
func (p *pusher) superseded() (Decision, bool) {
	var byRow *Decision
	for _, g := range p.generations() {
		if o, live := p.object(g); live {
			c, v := p.classify(o)
			switch {
			case c == classOurs && v.KeyID != p.keys.Staged():
				return p.swapped(g, v.KeyID, byRow)
			case c == classOurs || o.Managed && o.KeyID != "" && p.lacking(o.KeyID):
				return p.supersededBy(g, o.KeyID, p.lackingReason(o.KeyID)), true
			}
		}
		for _, r := range slices.Concat(p.records[g], p.hints[g]) {
			switch v := p.judge(r.Placed()); {
			case r.State != ledger.Created || slices.Contains(p.view.Ignore, r.KeyID):
			case !r.Hint && v.Opens && v.KeyID != p.keys.Staged():
				return p.swapped(g, v.KeyID, byRow)
			case byRow == nil && p.lacking(r.KeyID):
				d := p.supersededBy(g, r.KeyID, fmt.Sprintf("%s:%d: %s", p.view.Ledger, r.Line, p.lackingReason(r.KeyID)))
				d.ByRow, d.Row.KeyID = true, r.KeyID
				byRow = &d
			}
		}
	}
	if byRow != nil {
		return *byRow, true
	}
	return Decision{}, false
}

// lacking says whether a key may be newer than all that this keyring seals with.
func (p *pusher) lacking(id string) bool {
	return (!p.keys.Has(id) || id == p.keys.Staged()) && !p.view.Past.Dropped(id)
}

func (p *pusher) lackingReason(id string) string {
	if id == p.keys.Staged() {
		return "it is under key " + id + ", which is only the next key here (KEY_NEXT)"
	}
	if p.view.Older[id] {
		return "it is under key " + id + ", an older one that this keyring no longer has"
	}
	return "it is under key " + id + ", which this keyring lacks"
}

// swapped finds a keyring that has the newest key as a previous one and seals
// with an older one: it would bring a retired key back.
func (p *pusher) swapped(newest int, keyID string, byRow *Decision) (Decision, bool) {
	primary, older := p.keys.IDs()[0], false
	for _, g := range p.generations() {
		if keyID == primary || g >= newest {
			continue
		}
		o, _ := p.object(g)
		older = older || o.KeyID == primary
		for _, r := range p.records[g] {
			older = older || r.KeyID == primary && (r.State == ledger.Created || r.State == ledger.Deleted)
		}
	}
	for g := 1; keyID != primary && g < newest && g <= p.view.Past.Known(p.want.Base); g++ {
		over := p.view.Past.Over(p.want.Secret(g))
		older = older || slices.ContainsFunc(over, func(o ledger.Over) bool { return o.KeyID == primary })
	}
	if older {
		d := p.supersededBy(newest, keyID, "it is under key "+keyID+", and KEY is the older key "+primary)
		d.Row.KeyID = keyID
		return d, true
	}
	if byRow != nil {
		return *byRow, true
	}
	return Decision{}, false
}

// supersededBy is the decision about an entry of which a generation is under a key.
func (p *pusher) supersededBy(generation int, keyID, reason string) Decision {
	d := Decision{Outcome: Superseded, Row: p.row(generation), Reason: reason}
	if p.view.Older[keyID] && !p.keys.Has(keyID) {
		d.Row.KeyID, d.OlderKey = keyID, true
	}
	return d
}

func (p *pusher) report(outcome State, o manifest.Object, reason string) Decision {
	row := p.row(o.Generation)
	row.UID = o.UID
	return Decision{Outcome: outcome, Row: row, Reason: reason}
}

// compare decides on the newest known state, once nothing is in the way. current
// is the newest live object of ours, without a name if there is none. What was
// created above it and is gone counts as newer; a plan counts only where nothing
// exists, or where it has the value of the .env.
func (p *pusher) compare(current manifest.Object, verdict token.Verdict) Decision {
	if current.Deleting {
		return p.report(Failed, current, "it is being deleted; something holds it with a finalizer")
	}
	r, same, ok := p.pending(current.Generation)
	switch {
	case ok && r.State == ledger.Created && same:
		return p.resend(r)
	case ok && r.State == ledger.Created:
		return p.follow(r.Placed(), r.Generation, true)
	case current.Name != "" && p.same(current.Placed(), verdict): // a plan beside it was never confirmed and is not needed
		return p.keep(current, verdict)
	case ok && same && r.KeyID == p.keys.IDs()[0]:
		return p.resend(r)
	case ok && same:
		return p.create(p.token(current))
	case current.Name == "":
		return p.follow(token.Token{}, 0, true)
	}
	return p.follow(p.token(current), current.Generation, p.options.Update)
}

// pending finds the newest record above a generation that has no live object: a
// write that was planned and never confirmed, or an object that is gone. same says
// that its token opens, in its place, to the wanted value; of several records of
// one name one with the wanted value is taken.
func (p *pusher) pending(above int) (found ledger.Record, same, ok bool) {
	for _, g := range p.generations() {
		if _, live := p.object(g); live || g <= above {
			continue
		}
		for _, r := range p.sendable(g) {
			if v := p.judge(r.Placed()); p.same(r.Placed(), v) && v.Binding == token.BindingHolds && r.EnvKey == p.want.EnvKey {
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

// sendable gives the records of a generation whose bytes its name may have: what
// was created, else what was planned. A plan that failed counts like one that was
// not tried, because its create may have landed all the same. A name that was
// deleted has none, and neither has one with plans of several people: one of them may
// have been there, unheard, and nobody knows which.
func (p *pusher) sendable(generation int) []ledger.Record {
	var planned, created []ledger.Record
	for _, r := range p.records[generation] {
		switch {
		case r.State == ledger.Deleted:
			return nil
		case p.burnt(r):
		case r.State == ledger.Created:
			created = append(created, r)
		default:
			planned = append(planned, r)
		}
	}
	switch {
	case created != nil:
		return created
	case slices.ContainsFunc(planned, func(r ledger.Record) bool { return r.Token != planned[0].Token }):
		return nil
	default:
		return planned
	}
}

func (p *pusher) resend(r ledger.Record) Decision {
	row := p.row(r.Generation)
	row.Operation, row.Since = r.Operation, r.Since
	row.KeyID, row.Token, row.Binding = r.KeyID, r.Token, r.Binding
	return Decision{Outcome: Created, Row: row, Resend: true}
}

// create gives the next generation. What has its value already, in an older generation or
// in another form, keeps its token.
func (p *pusher) create(from token.Token) Decision {
	if p.top >= names.MaxGeneration {
		return Decision{Outcome: Failed, Row: p.row(p.top), Reason: "this generation has the highest number there is, so no next one can be written: remove that Secret if it is not ours"}
	}
	d := Decision{Outcome: Created, Row: p.row(p.top + 1)}
	have := map[string]string{}
	if p.want.Bundle() && from.Token != "" {
		for _, t := range from.Each() {
			if p.judge(t).Same {
				have[t.EnvKey] = t.Token
			}
		}
	}
	for _, name := range p.want.names() {
		text := have[name]
		if text == "" && (p.options.Revert == nil || !p.options.Revert(name)) { // one that is published again gets the time of now
			text = p.others.reusable(name, p.keys.IDs()[0])
		}
		d.Entries = append(d.Entries, token.Entry{Name: name, Token: text})
	}
	return d
}

// keep says unchanged of a live object of ours.
func (p *pusher) keep(o manifest.Object, v token.Verdict) Decision {
	return Decision{Outcome: Unchanged, Row: p.createdRow(o, v)}
}

// createdRow gives the created row of a live object of ours.
func (p *pusher) createdRow(o manifest.Object, v token.Verdict) ledger.Row {
	row := p.row(o.Generation)
	row.Operation, row.State, row.EnvKey = ledger.Learn, ledger.Created, o.EnvKey
	row.KeyID, row.Token, row.Binding, row.UID = v.KeyID, o.Token, p.token(o).Binding, o.UID
	if r, recorded := p.record(o); recorded {
		row.Operation, row.Since = r.Operation, r.Since
	}
	return row
}

// Confirm gives the created rows that the ledger lacks of these base names: of what
// is live and proven ours, in any generation. A run may have been killed before it
// wrote one, kubectl may have created what push only printed, or the ledger is not
// the whole one. What was retired and put back is not confirmed: verify finds it.
func Confirm(view View, mine []Wanted, judge token.Judge, keys Keys) (rows []ledger.Row) {
	byBase := index(view, mine)
	for _, o := range view.Objects {
		k := byBase[o.Base]
		if k == nil || !k.names(o.Name) || o.Deleting {
			continue
		}
		p := pusher{known: k, judge: judge, keys: keys}
		c, v := p.classify(o)
		r, recorded := p.record(o)
		if c != classOurs || recorded && (r.State == ledger.Created && !r.Incomplete || r.State == ledger.Deleted) {
			continue
		}
		if row := p.createdRow(o, v); !view.Past.Deleted(row.Secret, row.EnvKey, row.KeyID, row.Token, row.Binding) {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b ledger.Row) int { return strings.Compare(a.Secret, b.Secret) })
	return rows
}

// Offline gives the view that the ledger alone has: what its evidence has as created
// is taken to be there. For dry runs without a cluster.
func Offline(cluster, namespace string, records []ledger.Record, past *ledger.Past) View {
	view := View{Cluster: cluster, Namespace: namespace, Records: records, Past: past}
	for _, r := range records {
		if r.State != ledger.Created || r.Hint {
			continue
		}
		base, generation := names.Split(r.Secret)
		view.Objects = append(view.Objects, manifest.Object{
			Namespace: namespace, Name: r.Secret, Base: base, Generation: generation,
			EnvKey: r.EnvKey, Token: r.Token, Managed: true, KeyID: r.KeyID, Binding: r.Binding,
		})
	}
	return view
}
