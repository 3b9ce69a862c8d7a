// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// Presence is how much of what the ledger recorded in one cluster is there.
type Presence struct {
	Asked  bool // for something that was recorded
	Found  int
	Unseen bool // some of it could not be looked at
}

// Another says whether it may be another cluster than the one that the ledger means: none
// of the recorded Secrets is there.
func (p Presence) Another() bool { return p.Asked && !p.Unseen && p.Found == 0 }

// Stales gives the entries whose value was replaced. The older generation that shows it
// opens with a previous key only: without that key nothing could be compared any more.
func Stales(view View, wanted []Wanted, judge token.Judge, keys Keys) (stale []Decision) {
	decisions, err := Push(view, wanted, judge, keys, PushOptions{})
	if err != nil {
		return nil // what is spelled otherwise is not stale
	}
	for _, d := range decisions {
		if d.Outcome == Stale {
			stale = append(stale, d)
		}
	}
	return stale
}

// Copies are the Secrets of a cluster that carry the id of a previous key. Ours and those
// that were Mirrored keep the key.
type Copies struct {
	Ours     []manifest.Object
	Mirrored []string // as NAMESPACE/NAME, without the ignored ones
	Foreign  []string
	Spared   []string // of Ours, those that were to be ignored: a copy can be made again, these cannot
	Keyrings bool     // there are keyring Secrets among them
}

// CopiesIn sorts what carries a key's id. gone says what is about to be deleted; ignored
// names copies that need not be opened any more.
func CopiesIn(found []manifest.Object, keyID string, judge token.Judge, gone func(manifest.Object) bool, ignored []string) (c Copies) {
	for _, o := range found {
		name := o.Namespace + "/" + o.Name
		if gone(o) {
			continue
		}
		if o.Kind == manifest.KindKeyring {
			c.Keyrings = true
			continue
		}
		switch copied := CopyOf(o, keyID, judge); {
		case copied == CopyOurs:
			c.Ours = append(c.Ours, o)
			if slices.Contains(ignored, name) {
				c.Spared = append(c.Spared, name)
			}
		case copied == CopyForeign:
			c.Foreign = append(c.Foreign, name)
		case !slices.Contains(ignored, name):
			c.Mirrored = append(c.Mirrored, name)
		}
	}
	return c
}

// Way is how a Secret of ours comes under KEY, so that a previous key is free to go.
type Way int

// The ways.
const (
	NoWay         Way = iota // none beyond what this run does
	RotateThere              // it is in another namespace: rotate and retire there
	RotateByOwner            // it is not in this ledger: whoever has its .env rotates it
)

// WayOf gives the first Secret of ours that this run did not move, and its way. here are
// the namespaces of the run; recorded says what its ledger has.
func WayOf(ours []manifest.Object, here []string, recorded func(manifest.Object) bool) (manifest.Object, Way) {
	for _, o := range ours {
		switch {
		case !slices.Contains(here, o.Namespace):
			return o, RotateThere
		case !recorded(o):
			return o, RotateByOwner
		}
	}
	return manifest.Object{}, NoWay
}
