// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/token"

	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

// Record is what the ledger knows of one token in one place: all rows that agree
// in cluster, namespace, Secret, env key, key id, token and binding. The last of
// these follow from the others, but in rows that were forged. Of a bundle it is all rows
// that agree in the others; EnvKey is empty then, and Token the text of all its tokens.
type Record struct {
	Cluster, Namespace, Secret    string
	EnvKey, KeyID, Token, Binding string

	// Hint says that the rows are signed by keys that are not held: it permits
	// nothing.
	Hint bool

	Operation  Operation // of the first row, by time
	Generation int

	// Incomplete says of a bundle that its rows do not have as many entries as its
	// binding says, each once: Token has those that there are.
	Incomplete bool

	// Since is the lowest that a row has: an earlier generation of the same value.
	Since int
	State State
	Line  int // of the row that gives the state; 0 if it was not read from a file
	Order int // the line of the row that first had its base name there

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

// Placed gives the record's token in its place.
func (r Record) Placed() token.Token {
	return token.Token{Namespace: r.Namespace, Secret: r.Secret, EnvKey: r.EnvKey, Token: r.Token, Binding: r.Binding}
}

// Bundle says whether the record is one of a bundle.
func (r Record) Bundle() bool { return r.EnvKey == "" }

// Live gives the record as that of an object which has this token.
func (r Record) Live(text string) Record {
	r.Token, r.Incomplete = text, false
	return r
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
	place *place
	book  *Book
	index map[nameID][]Over // by Secret; made when first asked for
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
	return int(p.place.bases[p.book.seeds.name(base)].all)
}

// Known is Top by evidence alone.
func (p *Past) Known(base string) int {
	if p == nil {
		return 0
	}
	return int(p.place.bases[p.book.seeds.name(base)].evidence)
}

// Deleted says whether a token was created under a name, and deleted.
func (p *Past) Deleted(secret, envKey, keyID, token, binding string) bool {
	if p == nil {
		return false
	}
	id := p.book.seeds.group(false, secret, envKey, keyID, token, binding)
	_, over := p.place.past[id]
	g := p.place.groups[id]
	return over || g != nil && g.State == Deleted
}

// Dropped says whether evidence has a deleted object under a key: a Secret under
// it that turns up again is no sign that the key is newer than ours.
func (p *Past) Dropped(keyID string) bool { return p != nil && p.place.dropped[keyID] }

// Over gives the tokens that were deleted under a name.
func (p *Past) Over(secret string) []Over {
	if p == nil {
		return nil
	}
	if p.index == nil {
		p.index = p.place.over(p.book)
	}
	return p.index[p.book.seeds.secret(secret)]
}

// hintReach is how far above the evidence a hint can use up numbers.
const hintReach = 1000

// place is what the rows say of one namespace of a cluster. Names of deleted objects
// are kept as hashes.
type place struct {
	groups  map[groupID]*group
	past    map[groupID]past
	deleted map[groupID]map[uint64]struct{} // of past: the hashes of further UIDs
	bases   map[uint64]base
	dropped map[string]bool // key ids in deleted rows

	evidence bool // some row is
}

// base is what is known of a base name.
type base struct {
	line          int32 // of the row that first had it
	evidence, all int32 // the highest generation
}

// groupID stands for what the rows of a record agree in within their place. 128 bits
// with secret seeds do not collide, neither by chance nor by design.
type groupID [2]uint64

// past is a group whose object was deleted. There may be hundreds of thousands: it
// is small, and has no pointer, so that the garbage collector never looks at it.
type past struct {
	uid, base         uint64 // hashes
	generation, since int32
	first             uint32 // unix time of its first row
	key               uint16 // in the book's key ids
	operation         uint8
	hint              bool
}

// nameID stands for a Secret's name: its base name's hash and its generation.
type nameID struct {
	base       uint64
	generation int32
}

func (s seeds) secret(name string) nameID {
	base, generation := names.Split(name)
	return nameID{s.name(base), int32(generation)} // #nosec G115 -- at most names.MaxGeneration
}

func (p past) name() nameID { return nameID{p.base, p.generation} }

func (g *group) name() nameID {
	return nameID{g.base, int32(g.Generation)} // #nosec G115 -- at most names.MaxGeneration
}

// seconds gives a time in whole seconds, as far as 32 bits reach.
func seconds(t time.Time) uint32 { return uint32(min(max(t.Unix(), 0), math.MaxUint32)) } // #nosec G115 -- bounded

// group is a record in the making.
type group struct {
	Record
	base    uint64
	first   time.Time
	common  State         // of the rows that create or delete no object
	size    int           // of a bundle: how many entries its binding says
	entries []token.Entry // of a bundle, sorted, each once
}

// addEntry adds an entry of a bundle.
func (g *group) addEntry(name, text string) {
	i, known := slices.BinarySearchFunc(g.entries, token.Entry{Name: name, Token: text}, token.Compare)
	if !known {
		g.entries = slices.Insert(g.entries, i, token.Entry{Name: strings.Clone(name), Token: strings.Clone(text)})
	}
}

// whole says of a bundle whether it has as many entries as its binding says, no name twice.
func (g *group) whole() bool {
	for i := range g.entries[:max(len(g.entries)-1, 0)] {
		if g.entries[i].Name == g.entries[i+1].Name {
			return false
		}
	}
	return len(g.entries) == g.size
}

// record gives the record as it stands.
func (g *group) record() Record {
	r := g.Record
	if r.Bundle() {
		r.Token, r.Incomplete = token.Join(g.entries), !g.whole()
	}
	return r
}

func newPlace() *place {
	return &place{groups: map[groupID]*group{}, past: map[groupID]past{}, deleted: map[groupID]map[uint64]struct{}{}, bases: map[uint64]base{}, dropped: map[string]bool{}}
}

// count takes note of a row's number.
func (p *place) count(b *Book, row Row, hint bool) (baseID uint64) {
	name, generation := names.Split(row.Secret)
	baseID = b.seeds.name(name)
	known, seen := p.bases[baseID]
	if line := int32(row.Line); !seen || line < known.line { // #nosec G115 -- a ledger has at most 2 GiB
		known.line = line
	}
	if !hint {
		known.evidence = max(known.evidence, int32(generation)) // #nosec G115 -- at most names.MaxGeneration
		known.all = max(known.all, known.evidence)
	}
	p.bases[baseID] = known
	return baseID
}

// add adds a row to its group. A group whose object is deleted becomes a past, and
// a group again when a row says that the object was created anew.
//
// The objects of a group are told apart by UID: what was deleted under one stays
// deleted. The record is created if it is so under any UID (deleted under one,
// restored under another), else deleted if any was, else failed or planned.
//
// The entries of a bundle that became a past are gone with it. Where a row plans or creates
// it anew, some of them may come again and others not: the book is torn.
func (p *place) add(b *Book, row Row, hint bool) {
	p.evidence = p.evidence || !hint
	if row.State == Deleted && !hint {
		p.dropped[b.text(row.KeyID)] = true
	}
	baseID := p.count(b, row, hint)
	id := b.seeds.group(hint, row.Secret, row.EnvKey, row.KeyID, row.Token, row.Binding)
	uid := b.seeds.uid(row.UID)
	over, isOver := p.past[id]
	size, bundle := token.BundleSize(row.Binding)
	anew := row.State == Created && !p.wasDeleted(id, over, uid) || bundle && row.EnvKey != ""
	if isOver && !anew {
		p.extend(id, over, row, uid)
		return
	}
	g := p.groups[id]
	if g == nil {
		g = p.newGroup(b, row, hint, baseID)
		p.groups[id] = g
	}
	if isOver {
		g.revive(over, p.deleted[id])
		delete(p.past, id)
		delete(p.deleted, id)
		b.torn = b.torn || bundle
	}
	if g.size = size; bundle && row.EnvKey != "" {
		g.addEntry(row.EnvKey, row.Token)
	}
	if g.add(row, uid); g.State == Deleted && row.State == Deleted && !p.keeps(b, g) {
		p.bury(b, id, g)
	}
}

// keeps says whether a group whose object was deleted stays one.
func (p *place) keeps(b *Book, g *group) bool {
	return !g.Hint && b.keys.Keep != nil && b.keys.Keep(g.record())
}

// mend adds the entry of a row to the group that lacks it.
func (p *place) mend(b *Book, row Row, hint bool) {
	if g := p.groups[b.seeds.group(hint, row.Secret, row.EnvKey, row.KeyID, row.Token, row.Binding)]; g != nil {
		g.addEntry(row.EnvKey, row.Token)
	}
}

// settle turns the groups that are not kept into pasts, now that they have all their entries.
func (p *place) settle(b *Book) {
	for id, g := range p.groups {
		if g.State == Deleted && !p.keeps(b, g) {
			p.bury(b, id, g)
		}
	}
}

func (p *place) newGroup(b *Book, row Row, hint bool, baseID uint64) *group {
	r := Record{
		Cluster: b.text(row.Cluster), Namespace: b.text(row.Namespace), Secret: strings.Clone(row.Secret), KeyID: b.text(row.KeyID), Binding: strings.Clone(row.Binding),
		Hint: hint, Operation: row.Operation, Generation: row.Generation, Since: row.Since,
	}
	if !token.Bundled(row.Binding) {
		r.EnvKey, r.Token = strings.Clone(row.EnvKey), strings.Clone(row.Token)
	}
	return &group{base: baseID, first: row.Time, Record: r}
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
	over.since = min(over.since, int32(row.Since)) // #nosec G115 -- at most names.MaxGeneration
	if op, at := rankOf(row.Operation), seconds(row.Time); at < over.first || at == over.first && op < over.operation {
		over.first, over.operation = at, op
	}
	p.past[id] = over
}

// bury turns a group into a past.
func (p *place) bury(b *Book, id groupID, g *group) {
	p.past[id] = past{
		first: seconds(g.first), operation: rankOf(g.Operation), hint: g.Hint, uid: g.uids.gone,
		base: g.base, key: b.keyNumber(g.KeyID), generation: int32(g.Generation), since: int32(g.Since), // #nosec G115 -- at most names.MaxGeneration
	}
	if g.uids.more != nil {
		p.deleted[id] = g.uids.more
	}
	delete(p.groups, id)
}

// revive gives a group what its past has.
func (g *group) revive(over past, deleted map[uint64]struct{}) {
	g.first, g.Operation, g.Since = time.Unix(int64(over.first), 0).UTC(), operations[over.operation], min(g.Since, int(over.since))
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
	p.countHints()
	used := p.used()
	var records []Record
	for _, g := range p.groups {
		switch {
		case g.Hint && p.ended(b, g):
		case rank[g.State] <= rank[Failed] && used[g.name()]:
			// Its name has been used up by other bytes: it is never sent.
		default:
			r := g.record()
			r.Order = int(p.bases[g.base].line)
			records = append(records, r)
		}
	}
	slices.SortFunc(records, compareRecords)
	return records, &Past{place: p, book: b}
}

// used says of the names of plans which of them were deleted with other bytes, by
// the evidence.
func (p *place) used() map[nameID]bool {
	used := map[nameID]bool{}
	for _, g := range p.groups {
		if rank[g.State] <= rank[Failed] {
			used[g.name()] = false
		}
	}
	if len(used) == 0 {
		return used
	}
	mark := func(name nameID) {
		if _, planned := used[name]; planned {
			used[name] = true
		}
	}
	for _, over := range p.past {
		if !over.hint {
			mark(over.name())
		}
	}
	for _, g := range p.groups {
		if g.State == Deleted && !g.Hint {
			mark(g.name())
		}
	}
	return used
}

// countHints adds the numbers of hints, now that those of all evidence are known.
func (p *place) countHints() {
	count := func(id uint64, generation int32, hint bool) {
		if known := p.bases[id]; hint && generation <= known.evidence+hintReach && generation > known.all {
			known.all = generation
			p.bases[id] = known
		}
	}
	for _, g := range p.groups {
		count(g.base, int32(g.Generation), g.Hint) // #nosec G115 -- at most names.MaxGeneration
	}
	for _, over := range p.past {
		count(over.base, over.generation, over.hint)
	}
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

// over lists what was deleted, by the hash of its name.
func (p *place) over(b *Book) map[nameID][]Over {
	all := make(map[nameID][]Over, len(p.past))
	for _, over := range p.past {
		if !over.hint {
			all[over.name()] = append(all[over.name()], Over{int(over.generation), int(over.since), b.keyIDs[over.key]})
		}
	}
	for _, g := range p.groups {
		if name := g.name(); !g.Hint && g.State == Deleted {
			all[name] = append(all[name], Over{g.Generation, g.Since, g.KeyID})
		}
	}
	return all
}

// seeds make hashes that nobody who writes a ledger can foresee.
type seeds [2]maphash.Seed

func newSeeds() seeds { return seeds{maphash.MakeSeed(), maphash.MakeSeed()} }

// group gives the id of the group that a row belongs to. The entries of a bundle share one:
// their binding is that of all.
func (s seeds) group(hint bool, secret, envKey, keyID, text, binding string) (id groupID) {
	if token.Bundled(binding) {
		envKey, text = "", ""
	}
	of := struct {
		hint                                 bool
		secret, envKey, keyID, text, binding string
	}{hint, secret, envKey, keyID, text, binding}
	for i := range s {
		id[i] = maphash.Comparable(s[i], of)
	}
	return id
}

// name gives the hash of a name.
func (s seeds) name(name string) uint64 { return maphash.String(s[1], name) }

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
