// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

// Orphans lists, in ledger order, what was created in this namespace and is not wanted any
// more: one decision for each base name, about the newest generation. An Orphan has an
// entry that the .env has no longer, as inEnv says; one that is Replaced stands beside what
// holds all of its entries now.
func Orphans(view View, inEnv func(envKey string) bool) []Decision {
	wants, held := map[string]bool{}, map[formOf]string{}
	for _, w := range view.Wanted {
		wants[w.Base] = true
		for _, name := range w.names() {
			held[formOf{name, w.Bundle()}] = w.Name()
		}
	}
	newest, order := map[string]ledger.Record{}, []string(nil)
	live := liveNames(view)
	for _, r := range view.Records {
		base, _ := names.Split(r.Secret)
		if r.State != ledger.Created || r.Hint || wants[base] || !live[r.Secret] {
			continue
		}
		was, seen := newest[base]
		if !seen {
			order = append(order, base)
		}
		if !seen || r.Generation > was.Generation {
			newest[base] = r
		}
	}
	var orphans []Decision
	for _, base := range order {
		if d, is := orphan(newest[base], held, inEnv); is {
			orphans = append(orphans, d)
		}
	}
	return orphans
}

func liveNames(view View) map[string]bool {
	live := make(map[string]bool, len(view.Objects))
	for _, o := range view.Objects {
		live[o.Name] = true
	}
	return live
}

// orphan judges a record of a base name that is not wanted. held says what has each wanted
// entry.
func orphan(r ledger.Record, held map[formOf]string, inEnv func(envKey string) bool) (Decision, bool) {
	row := ledger.Row{Cluster: r.Cluster, Namespace: r.Namespace, Secret: r.Secret, Generation: r.Generation, EnvKey: r.EnvKey, KeyID: r.KeyID}
	var gone, by []string
	for _, e := range r.Placed().Entries() {
		switch holder := held[formOf{e.Name, !r.Bundle()}]; {
		case holder != "":
			by = append(by, holder)
		case !inEnv(e.Name):
			gone = append(gone, e.Name)
		default:
			return Decision{}, false // this run leaves it out, or another .env has it
		}
	}
	if len(gone)+len(by) == 0 { // a bundle whose rows of entries were all removed
		return Decision{}, false
	}
	if slices.Sort(by); len(gone) > 0 {
		verb := "is"
		if len(gone) > 1 {
			verb = "are"
		}
		return Decision{Outcome: Orphan, Row: row, Reason: fmt.Sprintf("%s %s no longer in the .env", hint.Few(gone), verb)}, true
	}
	return Decision{Outcome: Replaced, Row: row, Reason: hint.Few(slices.Compact(by)) + " holds it now; retire removes it once nothing refers to it"}, true
}
