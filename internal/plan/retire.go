// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// Retirement is a Secret of ours that nothing needs any more, as far as the .env,
// the ledger and the Secrets tell: whether something refers to it is for a walk
// over the namespace to say.
type Retirement struct {
	Object manifest.Object
	Row    ledger.Row // planned, with the object's bytes and uid
	Gone   bool       // it is not there any more, and the ledger does not say so yet
	UIDs   []string   // that the ledger takes to be there under these bytes, the object's among them
}

// Uses is what a look over its namespace found about a Secret.
type Uses struct {
	Use      bool // something refers to it that reads it, or may
	Manifest bool // the next apply of a manifest refers to it
	Mention  bool // its name stands somewhere
	History  bool // an older revision refers to it
	Blind    bool // some kind of object that may refer to it could not be looked at
}

// Overlook says what the operator takes for no reason to keep a Secret. A use always is one.
type Overlook struct{ Manifests, Mentions, History bool }

// Deletable decides what is to become of a Secret that could be retired.
func Deletable(r Retirement, found Uses, o Overlook) State {
	switch {
	case r.Gone: // what refers to it all the same is found after the deletes
		return Deleted
	case found.Use:
		return InUse
	case found.Blind:
		return Unproven
	case found.Manifest && !o.Manifests:
		return InManifest
	case found.Mention && !o.Mentions:
		return Mentioned
	case found.History && !o.History:
		return History
	default:
		return Deleted
	}
}

// Retire gives the generations older than the current one of each base name, and
// all generations of those that all names, and of those that are replaced by another form. Only what is proven ours is
// ever among them. A base name whose current generation is being deleted keeps what
// it has: the older ones may be needed to undo that. So does one that the ledger
// knows newer: Skipped.
func Retire(view View, mine []Wanted, judge token.Judge, keys Keys, all func(Wanted) bool) (retired []Retirement, skipped []Decision) {
	byBase, by := index(view, mine), replaced(view, mine, judge, keys)
	for _, w := range mine {
		p := pusher{known: byBase[w.Base], judge: judge, keys: keys}
		current, _, _ := p.current()
		if current.Name != "" && !all(w) {
			if d := p.obstacle(current); d.Outcome != "" {
				skipped = append(skipped, d)
				continue
			}
		}
		for _, g := range p.generations() {
			if !all(w) && by[w.Base] == "" && g >= current.Generation {
				continue
			}
			o, live := p.object(g)
			if !live {
				retired = append(retired, p.gone(g)...)
			} else if c, v := p.classify(o); c == classOurs {
				retired = append(retired, p.retirement(o, v))
			}
		}
	}
	return retired, skipped
}

// PutBack gives the live Secrets of these base names that were retired, and that no
// key opens any more: nothing proves them ours now, so they are for the user to delete.
func PutBack(view View, mine []Wanted, judge token.Judge, keys Keys) (back []manifest.Object) {
	byBase := index(view, mine)
	for _, o := range view.Objects {
		k := byBase[o.Base]
		if k == nil || o.Deleting || !view.Past.Deleted(o.Name, o.EnvKey, o.KeyID, o.Token, o.Binding) {
			continue
		}
		if c, _ := (&pusher{known: k, judge: judge, keys: keys}).classify(o); c == classForeign {
			back = append(back, o)
		}
	}
	return back
}

func (p *pusher) retirement(o manifest.Object, v token.Verdict) Retirement {
	row, uids := p.createdRow(o, v), []string{o.UID}
	if r, recorded := p.record(o); recorded {
		uids = append(uids, slices.DeleteFunc(r.UIDs(), func(uid string) bool { return uid == o.UID })...)
	}
	row.Operation, row.State = ledger.Retire, ledger.Planned
	return Retirement{Object: o, Row: row, UIDs: uids}
}

// gone gives what the ledger has as created and the namespace has not: a retire
// was killed, or it was deleted by hand.
func (p *pusher) gone(generation int) (retired []Retirement) {
	for _, r := range p.records[generation] {
		if r.State == ledger.Created {
			row := goneRow(r)
			o := manifest.Object{Namespace: row.Namespace, Name: row.Secret, Base: p.want.Base, Generation: generation, UID: row.UID, EnvKey: row.EnvKey, Token: row.Token, Binding: row.Binding}
			retired = append(retired, Retirement{Object: o, Row: row, Gone: true, UIDs: r.UIDs()})
		}
	}
	return retired
}

// goneRow gives the planned row that retires what is not there any more.
func goneRow(r ledger.Record) ledger.Row {
	row := ledger.Row{
		Operation: ledger.Retire, State: ledger.Planned, Cluster: r.Cluster, Namespace: r.Namespace, Secret: r.Secret, Generation: r.Generation,
		EnvKey: r.EnvKey, KeyID: r.KeyID, Token: r.Token, Binding: r.Binding, Since: r.Since,
	}
	if uids := r.UIDs(); len(uids) > 0 {
		row.UID = uids[0]
	}
	return row
}

// OldestFirst parts what is to be deleted into steps, so that of one name no newer
// generation goes before an older one: a run that is killed between two steps never
// makes an older value current.
func OldestFirst[T any](items []T, object func(T) manifest.Object) (steps [][]T) {
	sorted := slices.Clone(items)
	slices.SortStableFunc(sorted, func(a, b T) int { return object(a).Generation - object(b).Generation })
	next := map[[2]string]int{} // by namespace and base name
	for _, item := range sorted {
		at := [2]string{object(item).Namespace, object(item).Base}
		step := next[at]
		next[at]++
		if step == len(steps) {
			steps = append(steps, nil)
		}
		steps[step] = append(steps[step], item)
	}
	return steps
}
