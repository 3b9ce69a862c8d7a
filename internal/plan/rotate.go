// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

// Move is what rotate does with one base name in one namespace. With Created,
// From is the live token whose plaintext the new Secret is to hold under KEY.
// Blocked, Superseded and Failed keep the whole rotation from being written.
type Move struct {
	Decision
	From Token
	// Differs says that the .env has another value than the live token, which is
	// what gets rotated.
	Differs bool
}

// Blocked is the outcome of a base name that keeps a rotation from beginning.
const Blocked Outcome = "blocked"

// Same says whether two tokens open to one plaintext.
type Same func(a, b Token) bool

// Mine gives the base names that are this project's: those of the .env, then
// those that the ledger recorded and that the .env has no longer, all sorted by
// name, so that the first to be created is the same for everybody who rotates.
func Mine(records []ledger.Record, wanted []Wanted) []Wanted {
	byBase := map[string]Wanted{}
	for _, r := range records {
		if r.State == ledger.Created || r.State == ledger.Planned {
			base, _ := manifest.SplitName(r.Secret)
			byBase[base] = Wanted{EnvKey: r.EnvKey, Base: base}
		}
	}
	for _, w := range wanted {
		byBase[w.Base] = w
	}
	return slices.SortedFunc(maps.Values(byBase), func(a, b Wanted) int { return strings.Compare(a.Base, b.Base) })
}

// Rotate decides, for each of these base names, how its current token comes
// under KEY, the first of keys. What is not there, or is somebody else's, is left
// out. inEnv says whether the .env has an entry of that name.
func Rotate(view View, mine []Wanted, judge Judge, keys Keys, same Same, inEnv func(string) bool) ([]Move, error) {
	byBase := index(view, mine)
	var moves []Move
	for _, w := range mine {
		p := pusher{known: byBase[w.Base], judge: judge, keys: keys}
		current, verdict, misplaced := p.current()
		if misplaced.Name != "" {
			moves = append(moves, Move{Decision: p.report(Misplaced, misplaced, "its token opens, but it was made for another place")})
		}
		m, err := p.rotate(current, verdict, same)
		if err != nil {
			return nil, err
		}
		m.Differs = m.Differs && inEnv(w.EnvKey)
		if m.Outcome != "" {
			moves = append(moves, m)
		}
	}
	return moves, nil
}

// rotate decides on one base name; a Move without an outcome is nothing to do.
func (p *pusher) rotate(current manifest.Object, verdict Verdict, same Same) (Move, error) {
	if d := p.standing(current, verdict); d.Outcome != "" {
		return Move{Decision: d}, nil
	}
	switch {
	case current.Name == "":
		return Move{}, nil
	case current.EnvKey != p.want.EnvKey:
		return Move{}, &SpellingError{Want: p.want, Namespace: current.Namespace, Secret: current.Name, Spelling: current.EnvKey}
	}
	m := Move{Decision: p.keep(current, verdict), From: TokenOfObject(current), Differs: !verdict.Same}
	if verdict.KeyID != p.keys.IDs()[0] {
		m.Decision = p.next(m.From, same)
	}
	return m, nil
}

// current gives the newest live object of ours, and the newest misplaced one
// above it.
func (p *pusher) current() (o manifest.Object, v Verdict, misplaced manifest.Object) {
	for _, g := range p.generations() {
		live, ok := p.object(g)
		if !ok {
			continue
		}
		switch c, verdict := p.classify(live); {
		case c == classOurs:
			return live, verdict, misplaced
		case c == classMisplaced && misplaced.Name == "":
			misplaced = live
		}
	}
	return o, v, misplaced
}

// lost finds a generation above one that was created and is not there.
func (p *pusher) lost(above int) (ledger.Record, bool) {
	for _, g := range p.generations() {
		if _, live := p.object(g); live || g <= above {
			continue
		}
		for _, r := range p.records[g] {
			if r.State == ledger.Created {
				return r, true
			}
		}
	}
	return ledger.Record{}, false
}

func (p *pusher) blocked(generation int, reason string) Decision {
	return Decision{Outcome: Blocked, Row: p.row(generation), Reason: reason}
}

// standing says why the current generation, which may be none, cannot stand for
// its base name; a Decision without an outcome says that it can.
func (p *pusher) standing(current manifest.Object, verdict Verdict) Decision {
	if d, superseded := p.superseded(); superseded {
		return d
	}
	lost, isLost := p.lost(current.Generation)
	switch {
	case isLost:
		return p.blocked(lost.Generation, "the ledger has it, the namespace has not; its value may be newer than what is there")
	case current.Deleting:
		return p.blocked(current.Generation, "it is being deleted; something holds it with a finalizer")
	case current.Name != "" && !verdict.Opens:
		return p.blocked(current.Generation, "no key of this keyring opens its token")
	default:
		return Decision{}
	}
}

// next gives the generation that holds the current value under KEY: one that an
// interrupted rotation planned already, byte for byte, or a new one.
func (p *pusher) next(from Token, same Same) Decision {
	_, current := manifest.SplitName(from.Secret)
	for _, g := range p.generations() {
		if _, live := p.object(g); live || g <= current {
			continue
		}
		for _, r := range p.sendable(g) {
			v := p.judge(TokenOf(r))
			if v.KeyID == p.keys.IDs()[0] && v.Binding == BindingHolds && r.EnvKey == p.want.EnvKey && same(TokenOf(r), from) {
				return p.resend(r)
			}
		}
	}
	d := p.create()
	d.Row.Operation = ledger.Rotate
	return d
}
