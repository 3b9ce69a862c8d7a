// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

// Recalled is the newest token of an entry in one place.
type Recalled struct {
	Cluster    string
	Generation int
	Token      Token
}

// Recall gives the newest generation of every entry that the rows say was created
// and not deleted, in each place: entries in the order in which the ledger has
// them first, places in their own order.
func Recall(rows []ledger.Row) []Recalled {
	type place struct{ cluster, namespace, envKey string }
	order := map[string]int{}
	for _, row := range rows {
		if _, seen := order[row.EnvKey]; !seen {
			order[row.EnvKey] = len(order)
		}
	}
	newest := map[place]Recalled{}
	for _, r := range ledger.Fold(rows) {
		at := place{r.Cluster, r.Namespace, r.EnvKey}
		if _, generation := manifest.SplitName(r.Secret); r.State == ledger.Created && generation > newest[at].Generation {
			newest[at] = Recalled{Cluster: r.Cluster, Generation: generation, Token: TokenOf(r)}
		}
	}
	all := make([]Recalled, 0, len(newest))
	for _, r := range newest {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Recalled) int {
		return cmp.Or(
			cmp.Compare(order[a.Token.EnvKey], order[b.Token.EnvKey]), cmp.Compare(a.Cluster, b.Cluster),
			cmp.Compare(a.Token.Namespace, b.Token.Namespace))
	})
	return all
}

// Live gives the current generation of every entry of ours in a view.
func Live(view View, mine []Wanted, judge Judge, keys Keys) []Recalled {
	byBase := index(view, mine)
	var all []Recalled
	for _, w := range mine {
		p := pusher{known: byBase[w.Base], judge: judge, keys: keys}
		if o, v, _ := p.current(); o.Name != "" && v.Opens {
			all = append(all, Recalled{Cluster: view.Cluster, Generation: o.Generation, Token: TokenOfObject(o)})
		}
	}
	return all
}
