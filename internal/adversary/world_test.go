// SPDX-License-Identifier: Apache-2.0

package adversary

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

const theCluster = "c"

// place is where a Secret is, or was.
type place struct{ namespace, name string }

// made is an entry of a Secret that a project created: the truth, whatever a ledger or a
// label says.
type made struct {
	place
	envKey, token, value, keyID string
	set                         string // the text of all tokens, of a bundle
	binding                     string
	generation                  int
}

// in says whether an object is the Secret that was created.
func (m made) in(o manifest.Object) bool {
	if m.set != "" {
		return o.EnvKey == "" && o.Token == m.set
	}
	return o.EnvKey == m.envKey && o.Token == m.token
}

// world is a cluster, and what its projects did in it.
type world struct {
	t       *testing.T
	random  *rand.Rand
	steps   []string
	live    map[place]manifest.Object
	retired []manifest.Object // that were deleted, for whoever puts them back
	uids    int
}

func newWorld(t *testing.T, seed uint64) *world {
	return &world{t: t, random: rand.New(rand.NewPCG(seed, 1)), live: map[place]manifest.Object{}}
}

func choose[T any](w *world, all []T) T { return all[w.random.IntN(len(all))] }

func (w *world) log(format string, args ...any) {
	w.steps = append(w.steps, fmt.Sprintf(format, args...))
}

func (w *world) uid() string {
	w.uids++
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", w.uids)
}

// names gives the Secrets that are there, in an order that a seed repeats.
func (w *world) names() []place {
	return slices.SortedFunc(maps.Keys(w.live), func(a, b place) int {
		return slices.Compare([]string{a.namespace, a.name}, []string{b.namespace, b.name})
	})
}

// create makes what a row says, if its name is free.
func (w *world) create(row ledger.Row) (o manifest.Object, ok bool) {
	at := place{row.Namespace, row.Secret}
	if _, taken := w.live[at]; taken {
		return o, false
	}
	o = manifest.FromSecret(manifest.Secret(row))
	o.UID = w.uid()
	w.live[at] = o
	return o, true
}

// observe gives the view of a namespace as a run has it that may list Secrets.
func (w *world) observe(book *ledger.Book, namespace string, wanted []plan.Wanted, labelled bool) plan.View {
	records, past := book.At(theCluster, namespace)
	in := plan.InterestOf(records, past, wanted, nil)
	var objects []manifest.Object
	for _, at := range w.names() {
		if o := w.live[at]; at.namespace == namespace && (in.Covers(o.Name) || labelled && o.Managed) {
			objects = append(objects, o)
		}
	}
	view := plan.NewView(theCluster, namespace, records, past, objects, nil)
	view.Ledger, view.Edits = "ledger", book.EditedIn(theCluster, namespace)
	return view
}

// project is an .env and a ledger.
type project struct {
	*world
	name       string
	namespaces []string
	bundle     string   // its base name; each entry is a Secret of its own where it is empty
	keys       []string // KEY, then KEY_PREVIOUS
	entries    []string
	values     map[string]string
	rows       []ledger.Row
	truth      []made
	versions   int
}

func newProject(w *world, name string, entries ...string) *project {
	p := &project{world: w, name: name, namespaces: []string{"ns-a", "ns-b"}, entries: entries, values: map[string]string{}}
	p.keys = []string{p.freshKey()}
	for _, entry := range entries {
		p.change(entry)
	}
	return p
}

func (p *project) freshKey() string {
	text, _, err := keyring.Generate()
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

func (p *project) change(entry string) {
	p.versions++
	p.values[entry] = fmt.Sprintf("%s-value-%d", p.name, p.versions)
}

// run is what one run of a verb has: the keyring, and the ledger as it is.
type run struct {
	*project
	ring   *keyring.Keyring
	sealer *seal.Sealer
	book   *ledger.Book
	wanted []plan.Wanted
	ignore []string
}

func (p *project) open(rows []ledger.Row) *run {
	previous := ""
	for i, key := range p.keys[1:] {
		if i > 0 {
			previous += ","
		}
		previous += key
	}
	ring, err := keyring.Find(keyring.FromEnvironment(p.keys[0], previous))
	if err != nil {
		p.t.Fatal(err)
	}
	r := &run{project: p, ring: ring}
	var entries []envfile.Entry
	for _, name := range p.entries {
		base, err := names.Base(name)
		if err != nil {
			p.t.Fatal(err)
		}
		entries = append(entries, envfile.Entry{Name: name, Value: envfile.NewValue(p.values[name])})
		r.wanted = append(r.wanted, plan.Wanted{EnvKey: name, Base: base})
	}
	r.wanted = plan.Bundling(r.wanted, p.bundle)
	r.sealer = seal.New(ring, entries)
	rows = slices.Clone(rows)
	for i := range rows {
		rows[i].Line = i + 2
	}
	r.book = ledger.BookOf(rows, r.sealer.Ledger())
	return r
}

// bases gives the base names of the wanted Secrets.
func (p *project) bases() (bases []string) {
	for _, w := range p.open(nil).wanted {
		bases = append(bases, w.Base)
	}
	return bases
}

// write signs rows and appends them: of a bundle those of its entries, where the ledger lacks
// one, and then that of the whole.
func (r *run) write(row ledger.Row) {
	if !row.Bundle() {
		r.append(row)
		return
	}
	if row.Token != "" && len(r.entriesIn(row.Binding)) < len(row.Placed().Entries()) {
		one := row
		one.State, one.UID = ledger.Planned, ""
		for _, e := range row.Placed().Entries() {
			one.EnvKey, one.Token = e.Name, e.Token
			r.append(one)
		}
	}
	if row.Token = ""; row.State != ledger.Planned || row.UID != "" {
		r.append(row)
	}
}

// entriesIn gives the entries that the evidence has of a bundle.
func (r *run) entriesIn(binding string) map[token.Entry]bool {
	entries, keys := map[token.Entry]bool{}, r.sealer.Ledger()
	for _, row := range r.project.rows {
		if row.Binding == binding && row.EnvKey != "" && row.Cluster == theCluster && keys.Verify(row.Cells(), row.MAC) == ledger.Evidence {
			entries[token.Entry{Name: row.EnvKey, Token: row.Token}] = true
		}
	}
	return entries
}

func (r *run) append(row ledger.Row) {
	row.Time = time.Unix(1_700_000_000+int64(len(r.project.rows)), 0).UTC()
	row.MAC = r.sealer.Ledger().Sign(row.Cells())
	r.project.rows = append(r.project.rows, row)
}

func (r *run) mine(namespace string) []plan.Wanted {
	records, _ := r.book.At(theCluster, namespace)
	return plan.Mine(records, r.wanted)
}

func (r *run) view(namespace string) plan.View {
	view := r.observe(r.book, namespace, r.mine(namespace), false)
	view.Ignore, view.Wanted = r.ignore, r.wanted
	return view
}

func (r *run) confirm(view plan.View) {
	for _, row := range plan.Confirm(view, plan.Mine(view.Records, r.wanted), r.sealer.Judge, r.ring) {
		r.write(row)
	}
}

// send writes the planned row and creates; killed, and landing late, are what
// happens to a run.
func (r *run) send(row ledger.Row, resend, killed, lands bool) {
	row.State = ledger.Planned
	if !resend {
		r.write(row)
	}
	if killed && !lands {
		return
	}
	o, ok := r.create(row)
	if !ok {
		return
	}
	if v := r.sealer.Judge(o.Placed()); v.KeyID != row.KeyID {
		r.t.Fatalf("%s made %s, under key %q and not %s alone", r.name, row.Secret, v.KeyID, row.KeyID)
	}
	for _, e := range o.Placed().Entries() {
		plain, err := r.sealer.Open(o.Placed().Entry(e.Name))
		if err != nil {
			r.t.Fatalf("%s made what does not open in its place: %v", r.name, err)
		}
		m := made{place{row.Namespace, row.Secret}, e.Name, e.Token, plain.Reveal(), row.KeyID, "", row.Binding, row.Generation}
		if row.Bundle() {
			m.set = row.Token
		}
		r.truth = append(r.truth, m)
	}
	if killed {
		return
	}
	row.State, row.UID = ledger.Created, o.UID
	r.write(row)
}

// push gives what was decided of each namespace.
func (r *run) push(namespace string, update, killed bool) []plan.Decision {
	view := r.view(namespace)
	decisions, err := plan.Push(view, r.wanted, r.sealer.Judge, r.ring, plan.PushOptions{Update: update})
	if err != nil || plan.CheckCluster(view) != nil {
		return nil
	}
	r.confirm(view)
	for _, d := range decisions {
		if d.Outcome != plan.Created {
			continue
		}
		row := d.Row
		if !d.Resend {
			if row, err = r.sealer.Seal(row, d.Entries...); err != nil {
				r.t.Fatal(err)
			}
		}
		r.send(row, d.Resend, killed, r.random.IntN(2) == 0)
	}
	return decisions
}

// moves plans a rotation; ok says that nothing keeps it from beginning.
func (r *run) moves() (moves []plan.Move, ok bool) {
	ok = true
	for _, namespace := range r.namespaces {
		view := r.view(namespace)
		if plan.CheckCluster(view) != nil {
			continue
		}
		more, err := plan.Rotate(view, plan.Mine(view.Records, r.wanted), r.sealer.Judge, r.ring, r.sealer.SameValue)
		for _, m := range more {
			ok = ok && m.Outcome != plan.Blocked && m.Outcome != plan.Failed && (m.Outcome != plan.Superseded || m.ByRow)
		}
		ok = ok && err == nil
		moves = append(moves, more...)
	}
	return moves, ok
}

// rotate brings everything under a new key.
func (p *project) rotate() {
	r := p.open(p.rows)
	if _, ok := r.moves(); !ok {
		return
	}
	before := p.keys
	p.keys = slices.Concat([]string{p.freshKey()}, p.keys)
	r = p.open(p.rows)
	moves, ok := r.moves()
	if !ok {
		p.keys = before
		return
	}
	r.carryOut(moves)
}

// carryOut creates what a rotation decided.
func (r *run) carryOut(moves []plan.Move) {
	for _, m := range moves {
		if m.Outcome != plan.Created {
			continue
		}
		row, err := m.Row, error(nil)
		if !m.Resend {
			if row, err = r.sealer.Reseal(row, m.From); err != nil {
				r.t.Fatal(err)
			}
		}
		r.send(row, m.Resend, false, true)
	}
	for _, namespace := range r.namespaces {
		r.confirm(r.view(namespace))
	}
}

// retire deletes what is older, or all of an entry, and then drops the previous
// keys if nothing keeps them.
func (r *run) retire(entry string) (deleted []manifest.Object) {
	for _, namespace := range r.namespaces {
		view := r.view(namespace)
		if plan.CheckCluster(view) != nil {
			continue
		}
		r.confirm(view)
		going, _ := plan.Retire(view, plan.Mine(view.Records, r.wanted), r.sealer.Judge, r.ring, func(w plan.Wanted) bool { return entry != "" && w.Name() == entry })
		for _, item := range going {
			at := place{namespace, item.Object.Name}
			if o, there := r.live[at]; there && o.UID == item.Object.UID {
				deleted = append(deleted, o)
				r.world.retired = append(r.world.retired, o)
				delete(r.live, at)
			}
			for _, uid := range item.UIDs {
				row := item.Row
				row.State, row.UID = ledger.Deleted, uid
				r.write(row)
			}
		}
	}
	return deleted
}

// keepsKeys says why the previous keys stay, as retire asks.
func (r *run) keepsKeys() (reasons []string, ended []ledger.Row) {
	r = r.open(r.project.rows)
	previous, alone := r.ring.Previous(), seal.New(r.ring.Alone(), nil).Judge
	for _, id := range previous {
		if r.book.EditedKey(id) > 0 {
			reasons = append(reasons, "edited")
		}
		for _, at := range r.names() {
			if o := r.live[at]; o.Managed && o.KeyID == id && plan.CopyOf(o, id, r.sealer.Judge) != plan.CopyForeign {
				reasons = append(reasons, "there: "+at.namespace+"/"+at.name)
			}
		}
	}
	for _, namespace := range r.book.Proven(theCluster) {
		records, past := r.book.At(theCluster, namespace)
		names := map[string]bool{}
		for _, record := range records {
			if !record.Hint && (record.State == ledger.Created || record.State == ledger.Planned) {
				names[record.Secret] = true
			}
		}
		var objects []manifest.Object
		for _, at := range r.names() {
			if at.namespace == namespace && names[at.name] {
				objects = append(objects, r.live[at])
			}
		}
		view := plan.NewView(theCluster, namespace, records, past, objects, nil)
		use := plan.UseOfKeys(view, previous, r.sealer.Judge, alone, func(manifest.Object) bool { return false }, false)
		for _, name := range slices.Concat(use.Opened, use.Lost, use.Planned) {
			reasons = append(reasons, "used: "+namespace+"/"+name)
		}
		ended = append(ended, use.Close...)
	}
	return reasons, ended
}

// dropKeys drops the previous keys, if nothing keeps them.
func (r *run) dropKeys() (dropped []string) {
	reasons, ended := r.keepsKeys()
	if len(reasons) > 0 {
		return nil
	}
	for _, row := range ended {
		r.write(row)
	}
	dropped = r.ring.Previous()
	r.project.keys = r.project.keys[:1]
	return dropped
}

// step is one thing that a project does.
func (p *project) step() {
	namespace, entry := choose(p.world, p.namespaces), choose(p.world, p.entries)
	switch p.random.IntN(9) {
	case 0, 1:
		p.log("%s: push to %s", p.name, namespace)
		p.open(p.rows).push(namespace, false, false)
	case 2, 3:
		p.log("%s: another value of %s, push --update to %s", p.name, entry, namespace)
		p.change(entry)
		p.open(p.rows).push(namespace, true, false)
	case 4:
		p.log("%s: another value of %s, push --update to %s is killed", p.name, entry, namespace)
		p.change(entry)
		p.open(p.rows).push(namespace, true, true)
	case 5:
		p.log("%s: rotate", p.name)
		p.rotate()
	case 6: // a lost namespace is left out of a rotation, and needs the key before it
		p.log("%s: %s is lost; rotate", p.name, namespace)
		maps.DeleteFunc(p.live, func(at place, _ manifest.Object) bool { return at.namespace == namespace })
		p.rotate()
	default:
		p.log("%s: retire", p.name)
		r := p.open(p.rows)
		r.retire("")
		r.dropKeys()
	}
}

// history plays two projects, whose base names and namespaces overlap; the ledger
// of ours may have the other's rows, as a merge leaves them.
func history(t *testing.T, seed uint64) (ours, theirs *project) {
	w := newWorld(t, seed)
	ours, theirs = newProject(w, "ours", "SECRET_A", "SECRET_B", "SECRET_SHARED"), newProject(w, "theirs", "SECRET_X", "SECRET_SHARED")
	switch w.random.IntN(4) {
	case 0, 1:
		ours.bundle = "web"
	case 2:
		theirs.bundle = "web"
	}
	w.log("the bundles: %q %q", ours.bundle, theirs.bundle)
	for range 4 + w.random.IntN(12) {
		if w.random.IntN(3) == 0 {
			theirs.step()
		} else {
			ours.step()
		}
	}
	if w.random.IntN(2) == 0 {
		w.log("the ledgers are merged")
		ours.rows = append(ours.rows, theirs.rows...)
	}
	return ours, theirs
}

// clone gives the same world again, so that several verbs can be tried on it.
func (p *project) clone() *project {
	w := *p.world
	w.live, w.retired, w.steps = maps.Clone(w.live), slices.Clone(w.retired), slices.Clone(w.steps)
	q := *p
	q.world, q.rows, q.keys, q.truth, q.values = &w, slices.Clone(p.rows), slices.Clone(p.keys), slices.Clone(p.truth), maps.Clone(p.values)
	return &q
}
