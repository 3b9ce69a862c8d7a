// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// replaced gives what stands beside another form of itself: base names that are not wanted
// any more, and the Secret that has all of their entries now, in a bundle where they were
// single, or the other way round. That one is there and ours, so nothing is lost with the
// others. A bundle never replaces a bundle: that may be another .env's.
func replaced(view View, mine []Wanted, judge token.Judge, keys Keys) map[string]string {
	holder, wants := map[formOf]string{}, map[string]bool{} // by base name the latter
	byBase := index(view, view.Wanted)
	for _, w := range view.Wanted {
		wants[w.Base] = true
		p := pusher{known: byBase[w.Base], judge: judge, keys: keys}
		current, _, _ := p.current()
		for _, e := range current.Placed().Entries() {
			holder[formOf{e.Name, w.Bundle()}] = current.Name
		}
	}
	by := map[string]string{}
	byBase = index(view, mine)
	for _, w := range mine {
		p := pusher{known: byBase[w.Base], judge: judge, keys: keys}
		current, _, _ := p.current()
		entries := current.Placed().Entries()
		holds := func(e token.Entry) string { return holder[formOf{e.Name, !w.Bundle()}] }
		missing := slices.ContainsFunc(entries, func(e token.Entry) bool { return holds(e) == "" })
		if !wants[w.Base] && len(entries) > 0 && !missing {
			by[w.Base] = holds(entries[0])
		}
	}
	return by
}

// formOf is an entry in a bundle, or as a single one.
type formOf struct {
	envKey string
	bundle bool
}
