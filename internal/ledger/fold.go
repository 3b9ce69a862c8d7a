// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"time"
)

// Record is what the ledger knows of one token in one place: all rows that agree
// in cluster, namespace, Secret, env key, key id, token and binding. The last of
// these follow from the others, but in rows that were forged.
type Record struct {
	Cluster, Namespace, Secret    string
	EnvKey, KeyID, Token, Binding string

	// Hint says that the rows are signed by keys that are not held: it permits
	// nothing.
	Hint bool

	Operation  Operation // of the first row, by time
	Generation int

	// Since is the lowest that a row has: an earlier generation of the same value.
	Since int
	State State
	Line  int // of the row that gives the state; 0 if it was not read from a file

	uids uids
}

// uids are the objects of a record. Of one that was deleted the hash of its UID is
// enough. Whoever can write a ledger can write many: nothing here looks at all.
type uids struct {
	created []uid
	at      map[uint64]int      // of created, once there are several
	gone    uint64              // one that was deleted, 0 for none
	more    map[uint64]struct{} // further ones
}

type uid struct {
	hash uint64
	text string
}

func (u *uids) wasDeleted(hash uint64) bool {
	_, more := u.more[hash]
	return more || hash == u.gone && hash != 0
}

func (u *uids) everDeleted() bool { return u.gone != 0 }

// find gives where a created one is, -1 where it is not.
func (u *uids) find(hash uint64) int {
	if u.at == nil {
		return slices.IndexFunc(u.created, func(have uid) bool { return have.hash == hash })
	}
	if i, known := u.at[hash]; known {
		return i
	}
	return -1
}

// add adds one that was created; deleted wins.
func (u *uids) add(hash uint64, text string) {
	if u.wasDeleted(hash) || u.find(hash) >= 0 {
		return
	}
	u.created = append(u.created, uid{hash, strings.Clone(text)})
	const several = 8
	switch n := len(u.created); {
	case n == several:
		u.at = make(map[uint64]int, n)
		for i, have := range u.created {
			u.at[have.hash] = i
		}
	case n > several:
		u.at[hash] = n - 1
	}
}

// end adds one that was deleted.
func (u *uids) end(hash uint64) {
	if i := u.find(hash); i >= 0 {
		last := len(u.created) - 1
		u.created[i] = u.created[last]
		u.created = u.created[:last]
		if u.at != nil {
			delete(u.at, hash)
			if i < last {
				u.at[u.created[i].hash] = i
			}
		}
	}
	switch {
	case u.wasDeleted(hash):
	case u.gone == 0:
		u.gone = hash
	case u.more == nil:
		u.more = map[uint64]struct{}{hash: {}}
	default:
		u.more[hash] = struct{}{}
	}
}

// UIDs gives, sorted, the UIDs under which the object was created and not
// deleted by us. A namespace that was lost and restored gives several.
func (r Record) UIDs() []string {
	var texts []string
	for _, u := range r.uids.created {
		texts = append(texts, u.text)
	}
	slices.Sort(texts)
	return texts
}

// Observed gives the record as a look at the cluster completes it. uid is that of
// the object that holds the token under the record's name, empty where there is
// none. An object that was retired ends its record, also where it had been created
// again: what is gone after that is not to come back.
func (r Record) Observed(uid string) Record {
	if !r.uids.everDeleted() {
		return r
	}
	for _, u := range r.uids.created {
		if u.text == uid {
			return r
		}
	}
	r.State = Deleted
	return r
}

// Moved gives the record as it is for another namespace, where no object of it is
// known yet.
func (r Record) Moved(namespace, binding string) Record {
	r.Namespace, r.Binding, r.uids = namespace, binding, uids{}
	return r
}

// Past is what is kept of one namespace's deleted objects, and of its numbers. The
// nil Past has nothing.
type Past struct {
	tops     map[string]top // by base name
	dropped  map[string]bool
	lookup   func(secret, envKey, keyID, token, binding string) bool
	bySecret map[string][]Over // made when first asked for
	collect  func() map[string][]Over
}

// Over is what is kept of one token that was deleted.
type Over struct {
	Generation int
	Since      int
	KeyID      string
}

// Top gives the highest generation that a base name ever had in any row, 0 if it
// had none. A hint counts up to 1,000 above the highest that evidence has, so
// that no forger can use the numbers up.
func (p *Past) Top(base string) int {
	if p == nil {
		return 0
	}
	return p.tops[base].all
}

// Known is Top by evidence alone.
func (p *Past) Known(base string) int {
	if p == nil {
		return 0
	}
	return p.tops[base].evidence
}

// Deleted says whether a token was created under a name, and deleted.
func (p *Past) Deleted(secret, envKey, keyID, token, binding string) bool {
	return p != nil && p.lookup(secret, envKey, keyID, token, binding)
}

// Dropped says whether evidence has a deleted object under a key: a Secret under
// it that turns up again is no sign that the key is newer than ours.
func (p *Past) Dropped(keyID string) bool { return p != nil && p.dropped[keyID] }

// Over gives the tokens that were deleted under a name.
func (p *Past) Over(secret string) []Over {
	if p == nil {
		return nil
	}
	if p.bySecret == nil {
		p.bySecret = p.collect()
	}
	return p.bySecret[secret]
}

// Secrets gives the names under which a token was deleted, in no order.
func (p *Past) Secrets() []string {
	p.Over("")
	if p == nil {
		return nil
	}
	return slices.Collect(maps.Keys(p.bySecret))
}

// top is the highest generation of a base name.
type top struct{ evidence, all int }

// hintReach is how far above the evidence a hint can use up numbers.
const hintReach = 1000

// place is what the rows say of one namespace of a cluster.
type place struct {
	groups   map[groupID]*group
	past     map[groupID]past
	deleted  map[groupID]map[uint64]struct{} // of past: the hashes of further UIDs
	bases    []string                        // base names, and key ids, which are none
	index    map[string]int32                // of bases
	dropped  map[string]bool                 // key ids in deleted rows
	evidence bool                            // some row is
}

// groupID stands for what the rows of a record agree in within their place. 128 bits
// with secret seeds do not collide, neither by chance nor by design.
type groupID [2]uint64

// past is a group whose object was deleted. It has no pointer, so that the garbage
// collector never looks at hundreds of thousands of them.
type past struct {
	first             int64 // unix time of its first row
	uid               uint64
	base, key         int32 // base name and key id
	generation, since int32
	operation         uint8
	hint              bool
}

// group is a record in the making.
type group struct {
	Record
	base   int32
	first  time.Time
	common State // of the rows that create or delete no object
}

func newPlace() *place {
	return &place{groups: map[groupID]*group{}, past: map[groupID]past{}, deleted: map[groupID]map[uint64]struct{}{}, index: map[string]int32{}, dropped: map[string]bool{}}
}

func (p *place) base(name string) int32 {
	at, known := p.index[name]
	if !known {
		name = strings.Clone(name)
		at = int32(len(p.bases)) // #nosec G115 -- a ledger has at most 2 GiB
		p.bases, p.index[name] = append(p.bases, name), at
	}
	return at
}

// add adds a row to its group. A group whose object is deleted becomes a past, and
// a group again when a row says that the object was created anew.
//
// The objects of a group are told apart by UID: what was deleted under one stays
// deleted. The record is created if it is so under any UID (deleted under one,
// restored under another), else deleted if any was, else failed or planned.
func (p *place) add(b *Book, row Row, hint bool) {
	p.evidence = p.evidence || !hint
	if row.State == Deleted && !hint {
		p.dropped[b.text(row.KeyID)] = true
	}
	id := b.seeds.group(hint, row.Secret, row.EnvKey, row.KeyID, row.Token, row.Binding)
	uid := b.seeds.uid(row.UID)
	over, isOver := p.past[id]
	if isOver && (row.State != Created || p.wasDeleted(id, over, uid)) {
		p.extend(id, over, row, uid)
		return
	}
	g := p.groups[id]
	if g == nil {
		g = p.newGroup(b, row, hint)
		p.groups[id] = g
	}
	if isOver {
		g.revive(over, p.deleted[id])
		delete(p.past, id)
		delete(p.deleted, id)
	}
	g.add(row, uid)
	if g.State == Deleted && (hint || b.keys.Keep == nil || !b.keys.Keep(row)) {
		p.bury(id, g)
	}
}

func (p *place) newGroup(b *Book, row Row, hint bool) *group {
	base, _ := SplitName(row.Secret)
	at := p.base(base)
	return &group{base: at, first: row.Time, Record: Record{
		Cluster: b.text(row.Cluster), Namespace: b.text(row.Namespace), Secret: strings.Clone(row.Secret), Token: strings.Clone(row.Token), Binding: strings.Clone(row.Binding), Hint: hint,
		Operation: row.Operation, Generation: row.Generation, EnvKey: b.text(row.EnvKey), KeyID: b.text(row.KeyID), Since: row.Since,
	}}
}

func (p *place) wasDeleted(id groupID, over past, uid uint64) bool {
	_, more := p.deleted[id][uid]
	return more || over.uid == uid
}

// extend adds a row to a group that stays deleted.
func (p *place) extend(id groupID, over past, row Row, uid uint64) {
	if row.State == Deleted && !p.wasDeleted(id, over, uid) {
		if p.deleted[id] == nil {
			p.deleted[id] = map[uint64]struct{}{}
		}
		p.deleted[id][uid] = struct{}{}
	}
	over.since = min(over.since, int32(row.Since)) // #nosec G115 -- at most MaxGeneration
	if op := rankOf(row.Operation); row.Time.Unix() < over.first || row.Time.Unix() == over.first && op < over.operation {
		over.first, over.operation = row.Time.Unix(), op
	}
	p.past[id] = over
}

// bury turns a group into a past.
func (p *place) bury(id groupID, g *group) {
	p.past[id] = past{
		first: g.first.Unix(), operation: rankOf(g.Operation), hint: g.Hint, uid: g.uids.gone,
		base: g.base, key: p.base(g.KeyID), generation: int32(g.Generation), since: int32(g.Since), // #nosec G115 -- at most MaxGeneration
	}
	if g.uids.more != nil {
		p.deleted[id] = g.uids.more
	}
	delete(p.groups, id)
}

// revive gives a group what its past has.
func (g *group) revive(over past, deleted map[uint64]struct{}) {
	g.first, g.Operation, g.Since = time.Unix(over.first, 0).UTC(), operations[over.operation], min(g.Since, int(over.since))
	g.uids.gone, g.uids.more = over.uid, deleted
}

// add adds a row and sums up.
func (g *group) add(row Row, uid uint64) {
	if c := cmp.Or(row.Time.Compare(g.first), cmp.Compare(rankOf(row.Operation), rankOf(g.Operation))); c < 0 {
		g.first, g.Operation = row.Time, row.Operation
	}
	g.Since = min(g.Since, row.Since)
	switch {
	case row.State == Created && row.UID != "":
		g.uids.add(uid, row.UID)
	case row.State == Deleted && row.UID != "":
		g.uids.end(uid)
	default: // a plan, also to delete one
		g.common = higher(g.common, row.State)
	}
	before := g.State
	g.settle()
	if g.State != before || g.State == row.State && row.Line < g.Line {
		g.Line = row.Line
	}
}

func higher(a, b State) State {
	if rank[a] > rank[b] {
		return a
	}
	return b
}

// settle sums up.
func (g *group) settle() {
	switch {
	case len(g.uids.created) > 0:
		g.State = Created
	case g.uids.everDeleted():
		g.State = Deleted
	default:
		g.State = g.common
	}
}

// result gives the records of a place, and its past.
func (p *place) result(b *Book) ([]Record, *Past) {
	used := map[[2]int32]bool{} // base and generation of names that were deleted, by the evidence
	for _, over := range p.past {
		if !over.hint {
			used[[2]int32{over.base, over.generation}] = true
		}
	}
	for _, g := range p.groups {
		if g.State == Deleted && !g.Hint {
			used[[2]int32{g.base, int32(g.Generation)}] = true // #nosec G115 -- at most MaxGeneration
		}
	}
	var records []Record
	for _, g := range p.groups {
		switch {
		case g.Hint && p.ended(b, g):
		case rank[g.State] <= rank[Failed] && used[[2]int32{g.base, int32(g.Generation)}]: // #nosec G115 -- at most MaxGeneration
			// Its name has been used up by other bytes: it is never sent.
		default:
			records = append(records, g.Record)
		}
	}
	slices.SortFunc(records, compareRecords)
	return records, p.over(b)
}

func compareRecords(x, y Record) int {
	c := cmp.Or(strings.Compare(x.Secret, y.Secret), strings.Compare(x.Token, y.Token), strings.Compare(x.EnvKey, y.EnvKey), strings.Compare(x.KeyID, y.KeyID), strings.Compare(x.Binding, y.Binding))
	switch {
	case c != 0 || x.Hint == y.Hint:
		return c
	case y.Hint:
		return -1
	}
	return 1
}

// ended says whether evidence has what a hint is about as deleted.
func (p *place) ended(b *Book, g *group) bool {
	id := b.seeds.group(false, g.Secret, g.EnvKey, g.KeyID, g.Token, g.Binding)
	if _, over := p.past[id]; over {
		return true
	}
	evidence := p.groups[id]
	return evidence != nil && evidence.uids.everDeleted()
}

func (p *place) over(b *Book) *Past {
	return &Past{
		tops: p.tops(), dropped: p.dropped,
		lookup: func(secret, envKey, keyID, token, binding string) bool {
			id := b.seeds.group(false, secret, envKey, keyID, token, binding)
			_, over := p.past[id]
			g := p.groups[id]
			return over || g != nil && g.State == Deleted
		},
		collect: func() map[string][]Over {
			all := map[string][]Over{}
			for _, over := range p.past {
				if !over.hint {
					name := JoinName(p.bases[over.base], int(over.generation))
					all[name] = append(all[name], Over{int(over.generation), int(over.since), p.bases[over.key]})
				}
			}
			for _, g := range p.groups {
				if !g.Hint && g.State == Deleted {
					all[g.Secret] = append(all[g.Secret], Over{g.Generation, g.Since, g.KeyID})
				}
			}
			return all
		},
	}
}

// tops gives the highest number of each base name.
func (p *place) tops() map[string]top {
	tops := make([]top, len(p.bases))
	each := func(visit func(t *top, generation int, hint bool)) {
		for _, g := range p.groups {
			visit(&tops[g.base], g.Generation, g.Hint)
		}
		for _, over := range p.past {
			visit(&tops[over.base], int(over.generation), over.hint)
		}
	}
	each(func(t *top, generation int, hint bool) {
		if !hint {
			t.evidence = max(t.evidence, generation)
			t.all = t.evidence
		}
	})
	each(func(t *top, generation int, hint bool) {
		if hint && generation <= t.evidence+hintReach {
			t.all = max(t.all, generation)
		}
	})
	byName := make(map[string]top, len(p.bases))
	for i, base := range p.bases {
		byName[base] = tops[i]
	}
	return byName
}

// seeds make hashes that nobody who writes a ledger can foresee.
type seeds [2]maphash.Seed

func newSeeds() seeds { return seeds{maphash.MakeSeed(), maphash.MakeSeed()} }

func (s seeds) group(hint bool, secret, envKey, keyID, token, binding string) (id groupID) {
	of := struct {
		hint                                  bool
		secret, envKey, keyID, token, binding string
	}{hint, secret, envKey, keyID, token, binding}
	for i := range s {
		id[i] = maphash.Comparable(s[i], of)
	}
	return id
}

// uid gives the hash of a UID, 0 for none.
func (s seeds) uid(uid string) uint64 {
	if uid == "" {
		return 0
	}
	return max(maphash.String(s[0], uid), 1)
}

// operations are in the order in which one of two at the same time is the first.
var operations = [...]Operation{Adopt, Learn, Push, Restore, Retire, Rotate}

func rankOf(op Operation) uint8 {
	return uint8(slices.Index(operations[:], op)) // #nosec G115 -- checked when it was read
}
