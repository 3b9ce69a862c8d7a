// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"maps"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// Successor is the current generation of a Secret of ours, as seen from an older
// one.
type Successor struct {
	Name      string
	SameValue bool // both tokens open to one plaintext
}

// Generations are the Secrets of ours in one namespace, as a workload may refer
// to them: the older ones with what follows them, and the current ones.
type Generations struct {
	Known    map[string]Successor // older ones that are there, or whose token the ledger has
	Current  map[string]bool
	Live     map[string]bool     // of both, those that are there
	Keys     map[string]string   // the id of the key that opens each token
	Keyrings map[string][]string // the ids of the keys in each keyring Secret

	Replaced map[string]string          // generations whose entries another Secret has now, and that one
	Entries  map[string]map[string]bool // the data keys of each bundle that is current

	newest map[string]string // keyring Secrets, by base name

	over func(name string) (s Successor, keyID string, older bool) // of those that were deleted
}

// KeyOf gives the id of the key that opens a token, be it there or gone; "" if nobody knows.
func (g Generations) KeyOf(name string) string {
	if id, known := g.Keys[name]; known || g.over == nil {
		return id
	}
	_, id, _ := g.over(name)
	return id
}

// Older gives what follows an older generation, be it there or gone.
func (g Generations) Older(name string) (Successor, bool) {
	s, older := g.Known[name]
	if older || g.Current[name] {
		return s, older
	}
	if base, _, numbered := names.SplitNumbered(name); numbered && g.newest[base] != "" {
		return Successor{Name: g.newest[base], SameValue: true}, name != g.newest[base]
	}
	if g.over != nil && !g.Live[name] {
		s, _, older = g.over(name)
	}
	return s, older
}

// Successors finds the generations of tokens. An older one that is gone already
// counts too, by the token or the numbers that the ledger has of it: a workload may
// still name it.
func Successors(view View, mine []Wanted, judge token.Judge, keys Keys, same token.Same) Generations {
	g := Generations{
		Known: map[string]Successor{}, Current: map[string]bool{}, Live: map[string]bool{},
		Keys: map[string]string{}, Keyrings: map[string][]string{}, Replaced: map[string]string{}, Entries: map[string]map[string]bool{}, newest: map[string]string{},
	}
	by := replaced(view, mine, judge, keys)
	for _, o := range view.Objects {
		g.Live[o.Name] = true
	}
	byBase := index(view, mine)
	current := map[string]ledger.Row{} // by base name
	for _, w := range mine {
		p := pusher{known: byBase[w.Base], judge: judge, keys: keys}
		o, verdict, _ := p.current()
		if o.Name == "" || p.obstacle(o).Outcome != "" {
			continue
		}
		g.Current[o.Name], g.Keys[o.Name] = true, verdict.KeyID
		g.addEntries(o)
		if by[w.Base] != "" {
			g.Replaced[o.Name] = by[w.Base]
		}
		current[w.Base] = p.createdRow(o, verdict)
		for _, from := range p.olderThan(o.Generation) {
			g.Known[from.Secret] = Successor{Name: o.Name, SameValue: same(from, p.token(o))}
			g.Keys[from.Secret] = judge(from).KeyID
		}
	}
	g.over = func(name string) (s Successor, keyID string, older bool) {
		base, generation := names.Split(name)
		to, ours := current[base]
		over := view.Past.Over(name)
		if !ours || generation >= to.Generation || byBase[base].want.Secret(generation) != name {
			return Successor{}, "", false
		}
		s.Name = to.Secret
		for _, o := range over {
			s.SameValue = s.SameValue || SameSince(o.Since, o.Generation, to.Since, to.Generation)
			keyID = o.KeyID
		}
		return s, keyID, true
	}
	return g
}

// addEntries notes the data keys of a bundle.
func (g Generations) addEntries(o manifest.Object) {
	if !o.Bundle() {
		return
	}
	g.Entries[o.Name] = map[string]bool{}
	for _, e := range o.Placed().Entries() {
		g.Entries[o.Name][e.Name] = true
	}
}

// SameSince says whether two generations of one name have the same value, by the
// signed since of each: a generation that had the very value.
func SameSince(since, generation, otherSince, otherGeneration int) bool {
	return since == otherSince || since == otherGeneration || otherSince == generation
}

// olderThan gives the tokens of ours below a generation.
func (p *pusher) olderThan(generation int) (tokens []token.Token) {
	for _, g := range p.generations() {
		if g >= generation {
			continue
		}
		if o, live := p.object(g); live {
			_, recorded := p.record(o)
			if c, _ := p.classify(o); c == classOurs || recorded {
				tokens = append(tokens, p.token(o))
			}
			continue
		}
		for _, r := range p.records[g] {
			if r.State == ledger.Created || r.State == ledger.Deleted {
				tokens = append(tokens, r.Placed())
			}
		}
	}
	return tokens
}

// AddKeyring adds a live generation of a keyring Secret and the ids of its keys.
func (g Generations) AddKeyring(name string, ids []string) {
	g.Keyrings[name], g.Live[name] = ids, true
}

// MoveKeyring makes name the one that every other generation of its base name moves to,
// those that are gone included: the ledger has no rows of keyrings, their names say it all.
func (g Generations) MoveKeyring(name string, ids []string) {
	base, _, _ := names.SplitNumbered(name)
	delete(g.Current, g.newest[base])
	g.Keyrings[name], g.Current[name], g.newest[base] = ids, true, name
}

// Repointing is what rollout does with one workload.
type Repointing struct {
	Workload workload.Workload
	Rename   workload.Rename // older generation to current one
	Changed  []string        // older generations that are there, and whose value is not the current one's: they stay
	Unproven []string        // the same of those that are gone: nothing can be compared any more
	Lacking  []string        // ids of keys that its pods would need and are not known to hold
	Absent   []string        // data keys that it names, and that the next generation of a bundle does not have
	Replaced []string        // current generations whose entries another Secret has now
	Current  bool            // it refers to a current generation already
}

// RepointOptions say how far references follow.
type RepointOptions struct {
	AppsHaveKey string // the id of a key that the applications have by the operator's word
	Values      bool   // changed values follow
	Unproven    bool   // so does what is gone and cannot be compared
}

// Repoint decides which references of a workload are renamed, and judges the template that
// this makes: with a keyring that is renamed, it has to open every token of ours that the
// template names then; a token that comes under another key needs a keyring of the template
// that has this key, or the operator's word.
func Repoint(w workload.Workload, g Generations, o RepointOptions) Repointing {
	var named []string
	refs := w.References()
	for _, ref := range refs {
		named = append(named, ref.Secret)
	}
	r := RepointNames(w, named, g, o)
	for _, ref := range refs {
		entries, bundle := g.Entries[r.Rename[ref.Secret]]
		for _, key := range ref.Keys {
			if bundle && !entries[key] {
				r.Absent = append(r.Absent, key)
			}
		}
	}
	r.Absent = sorted(r.Absent)
	return r
}

// RepointNames is Repoint for a workload whose template is not known, but which Secrets it
// names.
func RepointNames(w workload.Workload, named []string, g Generations, o RepointOptions) Repointing {
	r := Repointing{Workload: w, Rename: workload.Rename{}}
	for _, name := range named {
		s, older := g.Older(name)
		switch {
		case !older:
			r.Current = r.Current || g.Current[name]
		case s.SameValue || o.Values:
			r.Rename[name] = s.Name
		case g.Live[name]:
			r.Changed = append(r.Changed, name)
		case o.Unproven:
			r.Rename[name] = s.Name
		default:
			r.Unproven = append(r.Unproven, name)
		}
	}
	for _, name := range named {
		if name = cmp.Or(r.Rename[name], name); g.Replaced[name] != "" {
			r.Replaced = append(r.Replaced, name)
		}
	}
	r.Changed, r.Unproven, r.Replaced = sorted(r.Changed), sorted(r.Unproven), sorted(r.Replaced)
	r.Lacking = sorted(g.lacking(named, r.Rename, o.AppsHaveKey))
	return r
}

func sorted(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// lacking gives the keys that the pods of a renamed template would need and have not.
func (g Generations) lacking(named []string, rename map[string]string, appsHaveKey string) (lacking []string) {
	held, moved := []string{appsHaveKey}, false
	for _, older := range named {
		name := cmp.Or(rename[older], older)
		held = append(held, g.Keyrings[name]...)
		moved = moved || name != older && g.Keyrings[name] != nil
	}
	for _, older := range named {
		name := cmp.Or(rename[older], older)
		key := g.KeyOf(name)
		changes := name != older && key != g.KeyOf(older)
		if key != "" && (moved || changes) && !slices.Contains(held, key) {
			lacking = append(lacking, key)
		}
	}
	return lacking
}

// Patched says whether the step is a patch: force also patches what others keep.
func (r Repointing) Patched(force bool) bool {
	return len(r.Rename) > 0 && r.Workload.Kind.Patchable() && len(r.Lacking)+len(r.Absent) == 0 && (r.Keeper() == "" || force)
}

// Keeper names who takes a change of the template back: the program that keeps it as its
// source says, or its controller.
func (r Repointing) Keeper() string { return cmp.Or(r.Workload.Manager(), r.Workload.Owner) }

// Successors gives the names that the references get, in the order of those that they had.
func (r Repointing) Successors() (names []string) {
	for _, older := range slices.Sorted(maps.Keys(r.Rename)) {
		names = append(names, r.Rename[older])
	}
	return names
}
