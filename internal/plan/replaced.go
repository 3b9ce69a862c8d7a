// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// replaced gives what stands beside another form of itself: base names that are not wanted
// any more, and the Secret that has all of their entries now. That one is there and ours, so
// nothing is lost with the others.
func replaced(view View, mine []Wanted, judge token.Judge, keys Keys) map[string]string {
	holder, wants := map[string]string{}, map[string]bool{} // by entry; by base name
	byBase := index(view, view.Wanted)
	for _, w := range view.Wanted {
		wants[w.Base] = true
		p := pusher{known: byBase[w.Base], judge: judge, keys: keys}
		current, _, _ := p.current()
		for _, e := range current.Placed().Entries() {
			holder[e.Name] = current.Name
		}
	}
	by := map[string]string{}
	byBase = index(view, mine)
	for _, w := range mine {
		p := pusher{known: byBase[w.Base], judge: judge, keys: keys}
		current, _, _ := p.current()
		entries := current.Placed().Entries()
		missing := slices.ContainsFunc(entries, func(e token.Entry) bool { return holder[e.Name] == "" })
		if !wants[w.Base] && len(entries) > 0 && !missing {
			by[w.Base] = holder[entries[0].Name]
		}
	}
	return by
}
