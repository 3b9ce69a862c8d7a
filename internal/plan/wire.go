// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// TokensOf gives the current Secret of each that a view wants, and names what has none.
func TokensOf(view View, judge token.Judge, keys Keys) (list []workload.Tokens, absent []string) {
	byBase := index(view, view.Wanted)
	for _, w := range view.Wanted {
		p := pusher{known: byBase[w.Base], judge: judge, keys: keys}
		o, _, _ := p.current()
		if o.Name == "" || p.obstacle(o).Outcome != "" {
			absent = append(absent, w.Name())
			continue
		}
		list = append(list, tokensOf(o.Name, o.Placed()))
	}
	return list, absent
}

// TokensRecorded gives the same by the ledger alone: the newest generation that was
// created, or is planned for manifests that others apply.
func TokensRecorded(view View) (list []workload.Tokens, absent []string) {
	byBase := index(view, view.Wanted)
	for _, w := range view.Wanted {
		r, found := byBase[w.Base].recorded()
		if !found {
			absent = append(absent, w.Name())
			continue
		}
		list = append(list, tokensOf(r.Secret, r.Placed()))
	}
	return list, absent
}

// recorded gives the newest record of what is there, or is to be.
func (k *known) recorded() (ledger.Record, bool) {
	for _, g := range k.generations() {
		for _, r := range k.records[g] {
			if !r.Incomplete && (r.State == ledger.Created || r.State == ledger.Planned) {
				return r, true
			}
		}
	}
	return ledger.Record{}, false
}

func tokensOf(secret string, t token.Token) workload.Tokens {
	tokens := workload.Tokens{Secret: secret, Length: map[string]int{}}
	for _, e := range t.Entries() {
		tokens.Length[e.Name] = len(e.Token)
	}
	return tokens
}
