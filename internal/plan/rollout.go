// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"maps"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// Successor is the current generation of a Secret of ours, as seen from an older
// one.
type Successor struct {
	Name           string
	SameValue      bool   // both tokens open to one plaintext
	OldKey, NewKey string // the ids of the keys that open them; empty for a keyring
}

// Generations are the Secrets of ours in one namespace, as a workload may refer
// to them: the older ones with what follows them, and the current ones. Keyrings
// gives the ids of the keys in the current generation of each keyring Secret.
type Generations struct {
	Known    map[string]Successor // older ones that are there, or whose token the ledger has
	Current  map[string]bool
	Keyrings map[string][]string

	over func(name string) (Successor, bool) // of those that were deleted
}

// Older gives what follows an older generation, be it there or gone.
func (g Generations) Older(name string) (Successor, bool) {
	s, older := g.Known[name]
	if !older && g.over != nil {
		return g.over(name)
	}
	return s, older
}

// Successors finds the generations of tokens. An older one that is gone already
// counts too, by the token or the numbers that the ledger has of it: a workload may
// still name it.
func Successors(view View, mine []Wanted, judge token.Judge, keys Keys, same token.Same) Generations {
	g := Generations{Known: map[string]Successor{}, Current: map[string]bool{}, Keyrings: map[string][]string{}}
	byBase := index(view, mine)
	current := map[string]ledger.Row{} // by base name
	for _, w := range mine {
		p := pusher{known: byBase[w.Base], judge: judge, keys: keys}
		o, verdict, _ := p.current()
		if o.Name == "" || p.obstacle(o).Outcome != "" {
			continue
		}
		g.Current[o.Name] = true
		current[w.Base] = p.createdRow(o, verdict)
		for _, from := range p.olderThan(o.Generation) {
			g.Known[from.Secret] = Successor{
				Name: o.Name, SameValue: same(from, p.token(o)), OldKey: judge(from).KeyID, NewKey: verdict.KeyID,
			}
		}
	}
	g.over = func(name string) (Successor, bool) {
		base, generation := names.Split(name)
		to, ours := current[base]
		over := view.Past.Over(name)
		if !ours || generation >= to.Generation || over == nil {
			return Successor{}, false
		}
		s := Successor{Name: to.Secret, OldKey: over[0].KeyID, NewKey: to.KeyID}
		for _, o := range over {
			s.SameValue = s.SameValue || SameSince(o.Since, o.Generation, to.Since, to.Generation)
		}
		return s, true
	}
	return g
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

// AddKeyring adds a generation of a keyring Secret; current is the newest of its
// base name, ids are its keys.
func (g Generations) AddKeyring(name, current string, ids []string) {
	g.Keyrings[current] = ids
	g.Current[current] = true
	if name != current {
		g.Known[name] = Successor{Name: current, SameValue: true}
	}
}

// Repointing is what rollout does with one workload.
type Repointing struct {
	Workload workload.Workload
	Rename   map[string]string // older generation to current one
	Changed  []string          // older generations whose value is not the current one's, so that they stay
	Lacking  []string          // ids of keys that its pods would need and are not known to hold
	Current  bool              // it refers to a current generation already
}

// Repoint decides which references of a workload are renamed. Its pods hold a
// key if they do so already by the operator's word (appsHaveKey), if a keyring
// Secret that has it is referred to by the same template, or if they open the
// older token with the same one. With update a changed value follows too.
func Repoint(w workload.Workload, g Generations, appsHaveKey string, update bool) Repointing {
	r := Repointing{Workload: w, Rename: map[string]string{}}
	held := []string{appsHaveKey}
	for _, ref := range w.References() {
		name := ref.Secret
		if s, older := g.Older(name); older {
			name = s.Name
		}
		held = append(held, g.Keyrings[name]...)
	}
	for _, ref := range w.References() {
		s, older := g.Older(ref.Secret)
		switch {
		case !older:
			r.Current = r.Current || g.Current[ref.Secret]
		case !s.SameValue && !update:
			r.Changed = append(r.Changed, ref.Secret)
		default:
			r.Rename[ref.Secret] = s.Name
			if s.NewKey != s.OldKey && !slices.Contains(held, s.NewKey) {
				r.Lacking = append(r.Lacking, s.NewKey)
			}
		}
	}
	slices.Sort(r.Changed)
	r.Changed = slices.Compact(r.Changed)
	slices.Sort(r.Lacking)
	r.Lacking = slices.Compact(r.Lacking)
	return r
}

// Patched says whether the step is a patch: force also patches what others keep.
func (r Repointing) Patched(force bool) bool {
	return len(r.Rename) > 0 && r.Workload.Kind.Patchable() && (r.Workload.Manager() == "" || force)
}

// Successors gives the names that the references get, in the order of those that they had.
func (r Repointing) Successors() (names []string) {
	for _, older := range slices.Sorted(maps.Keys(r.Rename)) {
		names = append(names, r.Rename[older])
	}
	return names
}

// Refused gives the workloads whose patch would give their pods a token under a key that
// they are not known to hold, and the ids of those keys. One such workload stops the whole
// rollout, so that none is left half way.
func Refused(steps []Repointing, force bool) (workloads, keys []string) {
	for _, step := range steps {
		if step.Patched(force) && len(step.Lacking) > 0 {
			workloads = append(workloads, step.Workload.String())
			keys = append(keys, step.Lacking...)
		}
	}
	slices.Sort(keys)
	return workloads, slices.Compact(keys)
}
