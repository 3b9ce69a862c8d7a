// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// replaced gives what stands beside another form of itself: base names that are not wanted
// any more, and the Secret that has all of their entries now, in a bundle where they were
// single, or the other way round. That one is there and ours, and none of its tokens was made
// before theirs, so nothing is lost with the others. A bundle never replaces a bundle: that
// may be another .env's.
func replaced(view View, mine []Wanted, judge token.Judge, keys Keys) map[string]string {
	holders, wants := map[formOf]holder{}, map[string]bool{} // by base name the latter
	byBase := index(view, view.Wanted)
	for _, w := range view.Wanted {
		wants[w.Base] = true
		p := pusher{known: byBase[w.Base], judge: judge, keys: keys}
		current, _, _ := p.current()
		for _, e := range current.Placed().Entries() {
			holders[formOf{e.Name, w.Bundle()}] = holder{current.Name, made(e)}
		}
	}
	by := map[string]string{}
	byBase = index(view, mine)
	for _, w := range mine {
		p := pusher{known: byBase[w.Base], judge: judge, keys: keys}
		entries := p.newestEntries()
		kept := slices.ContainsFunc(entries, func(e token.Entry) bool {
			h := holders[formOf{e.Name, !w.Bundle()}]
			return h.secret == "" || h.made.Before(made(e))
		})
		if !wants[w.Base] && len(entries) > 0 && !kept {
			by[w.Base] = holders[formOf{entries[0].Name, !w.Bundle()}].secret
		}
	}
	return by
}

// formOf is an entry in a bundle, or as a single one.
type formOf struct {
	envKey string
	bundle bool
}

// holder is the Secret that has an entry now, and the time of its token.
type holder struct {
	secret string
	made   time.Time
}

// newestEntries gives the entries of the current generation. Where nothing is there, it gives
// those of the newest that evidence has as created: a retire may have been killed before it
// recorded its deletes.
func (p *pusher) newestEntries() []token.Entry {
	if len(p.live) > 0 {
		current, _, _ := p.current()
		return current.Placed().Entries()
	}
	for _, g := range p.generations() {
		for _, r := range p.records[g] {
			if r.State == ledger.Created {
				return r.Placed().Entries()
			}
		}
	}
	return nil
}

// made gives the time of an entry's token.
func made(e token.Entry) (at time.Time) {
	if info, err := token.Parse(e.Token); err == nil {
		at = info.Time
	}
	return at
}
