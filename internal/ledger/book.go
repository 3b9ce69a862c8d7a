// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// Book is what the rows of a ledger add up to. Rows are added one by one, and what
// is kept of them is in proportion to what is live: of an object that was deleted
// it has a few numbers (Past), and no text.
//
// Neither the order of the rows nor duplicates matter. What a row proves decides
// where it goes: evidence adds up to records, hints to records of their own, and
// rows that are edited or unsigned to none.
type Book struct {
	keys   Keys
	places map[placeName]*place
	seeds  seeds
	texts  map[string]string // one copy of each name that many rows have
	keyIDs []string
	first  map[keyUse]time.Time
	over   map[string]bool // ids of keys under which something was deleted
	torn   bool            // a bundle that was deleted is a group again, and may lack entries

	edited      []Edit
	editedMore  int
	editedKeys  map[string]int // by key id: the line of an edited row that names it
	unsigned    int
	unsignedRow int // line of the first
}

type placeName struct{ cluster, namespace string }

type keyUse struct{ cluster, keyID string }

// Edit is a row that names a signer whose key is held, and that this key did not
// sign as it stands.
type Edit struct {
	Line                       int
	Cluster, Namespace, Secret string
	EnvKey, KeyID              string
}

// maxEdits is how many edited rows are kept whole; the others are counted.
const maxEdits = 1000

// NewBook gives an empty book.
func NewBook(keys Keys) *Book {
	return &Book{
		keys: keys, places: map[placeName]*place{}, seeds: newSeeds(), texts: map[string]string{},
		first: map[keyUse]time.Time{}, over: map[string]bool{}, editedKeys: map[string]int{},
	}
}

// Add adds a row. It keeps no text of the row that is not a copy.
func (b *Book) Add(row Row) {
	standing := b.keys.standing(&row)
	switch standing {
	case Edited:
		b.addEdited(row)
		return
	case Unsigned:
		if b.unsigned++; b.unsignedRow == 0 {
			b.unsignedRow = row.Line
		}
		return
	case Evidence:
		b.addUse(row)
	}
	at := placeName{row.Cluster, row.Namespace}
	p := b.places[at]
	if p == nil {
		at = placeName{b.text(row.Cluster), b.text(row.Namespace)}
		p = newPlace()
		b.places[at] = p
	}
	p.add(b, row, standing == Hint)
}

// mend adds of a row that was added before what the book may have forgotten since: an
// entry of a bundle that was deleted and created again. It is for a torn book alone.
func (b *Book) mend(row Row) {
	if p := b.places[placeName{row.Cluster, row.Namespace}]; p != nil && row.EnvKey != "" && token.Bundled(row.Binding) {
		if standing := b.keys.standing(&row); standing == Evidence || standing == Hint {
			p.mend(b, row, standing == Hint)
		}
	}
}

// settle ends the mending of a torn book.
func (b *Book) settle() {
	for _, p := range b.places {
		p.settle(b)
	}
}

// lacks says of a bundle's row whether rows of its entries are missing.
func (b *Book) lacks(row Row) bool {
	p := b.places[placeName{row.Cluster, row.Namespace}]
	if p == nil {
		return true
	}
	g := p.groups[b.seeds.group(false, row.Secret, "", row.KeyID, "", row.Binding)]
	return g == nil || !g.whole()
}

func (b *Book) addEdited(row Row) {
	signer, _, _ := strings.Cut(strings.TrimPrefix(row.MAC, macPrefix), ":")
	for _, id := range []string{row.KeyID, signer} {
		if _, known := b.editedKeys[id]; !known {
			b.editedKeys[b.text(id)] = row.Line
		}
	}
	if len(b.edited) == maxEdits {
		b.editedMore++
		return
	}
	b.edited = append(b.edited, Edit{
		row.Line, b.text(row.Cluster), b.text(row.Namespace), strings.Clone(row.Secret), b.text(row.EnvKey), b.text(row.KeyID),
	})
}

// addUse notes when a key was first used in a cluster, and when it was no more.
func (b *Book) addUse(row Row) {
	if row.State == Deleted {
		b.over[b.text(row.KeyID)] = true
	}
	if row.State != Created {
		return
	}
	use := keyUse{row.Cluster, row.KeyID}
	if was, known := b.first[use]; !known || row.Time.Before(was) {
		b.first[keyUse{b.text(row.Cluster), b.text(row.KeyID)}] = row.Time
	}
}

// text gives one copy of a name for all rows that have it.
func (b *Book) text(name string) string {
	if known, ok := b.texts[name]; ok {
		return known
	}
	name = strings.Clone(name)
	b.texts[name] = name
	return name
}

// keyNumber gives a number for a key id.
func (b *Book) keyNumber(id string) uint16 {
	i := slices.Index(b.keyIDs, id)
	if i < 0 {
		i = len(b.keyIDs)
		if i > math.MaxUint16 {
			return 0 // a forger's: no ledger has so many keys
		}
		b.keyIDs = append(b.keyIDs, id)
	}
	return uint16(i) // #nosec G115 -- bounded above
}

// Clusters names the clusters of which there is evidence, sorted.
func (b *Book) Clusters() []string {
	var names []string
	for at, p := range b.places {
		if p.evidence {
			names = append(names, at.cluster)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Namespaces names the namespaces of a cluster, sorted.
func (b *Book) Namespaces(cluster string) []string {
	var names []string
	for at := range b.places {
		if at.cluster == cluster {
			names = append(names, at.namespace)
		}
	}
	slices.Sort(names)
	return names
}

// Proven names the namespaces of a cluster of which there is evidence, sorted.
func (b *Book) Proven(cluster string) []string {
	return slices.DeleteFunc(b.Namespaces(cluster), func(namespace string) bool {
		return !b.places[placeName{cluster, namespace}].evidence
	})
}

// At gives what the rows say of one namespace of a cluster: its records, sorted by
// Secret and token, and what is over.
func (b *Book) At(cluster, namespace string) ([]Record, *Past) {
	p := b.places[placeName{cluster, namespace}]
	if p == nil {
		return nil, nil
	}
	return p.result(b)
}

// Records gives the records of all places, sorted by cluster, namespace, Secret
// and token.
func (b *Book) Records() (all []Record) {
	names := slices.SortedFunc(maps.Keys(b.places), func(x, y placeName) int {
		return cmp.Or(strings.Compare(x.cluster, y.cluster), strings.Compare(x.namespace, y.namespace))
	})
	for _, at := range names {
		records, _ := b.places[at].result(b)
		all = append(all, records...)
	}
	return all
}

// EditedIn gives the edited rows about one namespace, as far as they were kept.
func (b *Book) EditedIn(cluster, namespace string) []Edit {
	return slices.DeleteFunc(slices.Clone(b.edited), func(e Edit) bool { return e.Cluster != cluster || e.Namespace != namespace })
}

// Edited gives the edited rows, and how many there are beyond those.
func (b *Book) Edited() (rows []Edit, more int) { return b.edited, b.editedMore }

// EditedKey gives the line of an edited row that names a key, 0 if none does.
func (b *Book) EditedKey(keyID string) int { return b.editedKeys[keyID] }

// Unsigned gives the number of unsigned rows, and the line of the first.
func (b *Book) Unsigned() (rows, line int) { return b.unsigned, b.unsignedRow }

// FirstUse gives, by key id, when a Secret under it was first created in a cluster.
func (b *Book) FirstUse(cluster string) map[string]time.Time {
	first := map[string]time.Time{}
	for use, at := range b.first {
		if use.cluster == cluster {
			first[use.keyID] = at
		}
	}
	return first
}

// OlderKeys gives the ids of other keys that evidence shows to be older than this one:
// something under them was retired, or they were used first.
func (b *Book) OlderKeys(keyID string) map[string]bool {
	older, first := maps.Clone(b.over), map[string]time.Time{}
	for use, at := range b.first {
		if was, known := first[use.keyID]; !known || at.Before(was) {
			first[use.keyID] = at
		}
	}
	since, used := first[keyID]
	for id, at := range first {
		if used && at.Before(since) {
			older[id] = true
		}
	}
	delete(older, keyID)
	return older
}

// Fold gives the records that rows add up to without a key, those of deleted
// objects too.
func Fold(rows []Row) []Record {
	return BookOf(rows, Keys{Keep: func(Record) bool { return true }}).Records()
}

// BookOf gives the book of these rows.
func BookOf(rows []Row, keys Keys) *Book {
	b := NewBook(keys)
	for _, row := range rows {
		b.Add(row)
	}
	if b.torn {
		for _, row := range rows {
			b.mend(row)
		}
		b.settle()
	}
	return b
}

// Conflicts finds the names under which two tokens or more were created and not
// deleted, given records that are sorted as those of a Book. Only one can be
// there: a GET decides. Hints prove nothing and are no part of a conflict.
func Conflicts(records []Record) [][]Record {
	var conflicts [][]Record
	var same []Record
	for i, r := range records {
		if i > 0 && (r.Cluster != records[i-1].Cluster || r.Namespace != records[i-1].Namespace || r.Secret != records[i-1].Secret) {
			same = nil
		}
		if r.State != Created || r.Hint {
			continue
		}
		switch same = append(same, r); len(same) {
		case 1:
		case 2:
			conflicts = append(conflicts, same)
		default:
			conflicts[len(conflicts)-1] = same
		}
	}
	return conflicts
}
