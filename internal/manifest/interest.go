// SPDX-License-Identifier: Apache-2.0

package manifest

import "github.com/kubectl-fernet/kubectl-fernet/internal/names"

// Interest says which Secrets of a namespace have to be looked at before a run
// can decide: every generation of every wanted base name, and what the ledger
// recorded.
type Interest struct {
	Bases    map[string]int  // base name: the highest generation the ledger knows, 1 if none
	Bundles  map[string]bool // the base names that are those of bundles
	Names    map[string]bool // full names in rows of those base names, and in all created rows
	Labelled bool            // whatever carries our label, too
}

// Covers says whether a Secret of that name matters.
func (in Interest) Covers(name string) bool {
	base, _ := names.Split(name)
	_, ok := in.Bases[base]
	return ok || in.Names[name]
}

// Name gives the name of a generation of a base name.
func (in Interest) Name(base string, generation int) string {
	return nameOf(in.Bundles[base])(base, generation)
}
