// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

// Retirement is a Secret of ours that nothing needs any more, as far as the .env,
// the ledger and the Secrets tell: whether something refers to it is for a walk
// over the namespace to say.
type Retirement struct {
	Object manifest.Object
	Row    ledger.Row // planned, with the object's bytes and uid
	Learn  bool       // the ledger has no created row of it yet
	Gone   bool       // it is not there any more, and the ledger does not say so yet
	UIDs   []string   // that the ledger takes to be there under these bytes, the object's among them
}

// Retire gives the generations older than the current one of each base name, and
// all generations of those that leaving names. A base name whose current
// generation does not open, or is being deleted, keeps what it has: the older
// ones may be the way back. So does one that the ledger knows newer: Skipped.
func Retire(view View, mine []Wanted, judge Judge, keys Keys, leaving func(envKey string) bool) (retired []Retirement, skipped []Decision) {
	byBase := index(view, mine)
	for _, w := range mine {
		p := pusher{known: byBase[w.Base], judge: judge, keys: keys}
		current, verdict, _ := p.current()
		all := leaving(w.EnvKey)
		if current.Name != "" && !all {
			if d := p.standing(current, verdict); d.Outcome != "" {
				skipped = append(skipped, d)
				continue
			}
		}
		for _, g := range p.generations() {
			if !all && g >= current.Generation {
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

func (p *pusher) retirement(o manifest.Object, v Verdict) Retirement {
	kept := p.keep(o, v)
	row := kept.Row
	row.EnvKey = o.EnvKey
	uids := []string{o.UID}
	if r, recorded := p.record(o); recorded {
		row.KeyID = r.KeyID
		uids = append(uids, slices.DeleteFunc(r.UIDs(), func(uid string) bool { return uid == o.UID })...)
	}
	row.Operation, row.State = ledger.Retire, ledger.Planned
	return Retirement{Object: o, Row: row, Learn: kept.Complete, UIDs: uids}
}

// gone gives what the ledger has as created and the namespace has not: a retire
// was killed, or somebody deleted it.
func (p *pusher) gone(generation int) (retired []Retirement) {
	for _, r := range p.records[generation] {
		uids := r.UIDs()
		if len(uids) == 0 {
			continue
		}
		row := p.row(generation)
		row.Operation, row.EnvKey, row.KeyID = ledger.Retire, r.EnvKey, r.KeyID
		row.Token, row.Binding, row.UID = r.Token, r.Binding, uids[0]
		o := manifest.Object{Namespace: row.Namespace, Name: row.Secret, UID: row.UID, EnvKey: row.EnvKey, Token: row.Token, Binding: row.Binding}
		retired = append(retired, Retirement{Object: o, Row: row, Gone: true, UIDs: uids})
	}
	return retired
}
