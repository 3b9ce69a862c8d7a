// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// Move is what rotate does with one base name in one namespace. With Created,
// From is the live token whose plaintext the new Secret is to hold under KEY.
// Blocked, Superseded and Failed keep the whole rotation from being written.
type Move struct {
	Decision
	Name string // of the entry or the bundle
	From token.Token
	// Differs says that the .env has another value than the live token, which is
	// what gets rotated.
	Differs bool
	// Lost says that From was created and is not there any more.
	Lost bool
}

// Mine gives the base names that are this project's: those of the .env, then
// those that the ledger's evidence has and that the .env has no longer, all sorted
// by name, so that the first to be created is the same for everybody who rotates.
func Mine(records []ledger.Record, wanted []Wanted) []Wanted {
	byBase := map[string]Wanted{}
	for _, r := range records {
		if !r.Hint && (r.State == ledger.Created || r.State == ledger.Planned) {
			base, _ := names.Split(r.Secret)
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
// out.
func Rotate(view View, mine []Wanted, judge token.Judge, keys Keys, same token.Same) ([]Move, error) {
	byBase := index(view, mine)
	var moves []Move
	for _, w := range mine {
		p := pusher{known: byBase[w.Base], judge: judge, keys: keys}
		current, verdict, misplaced := p.current()
		if misplaced.Name != "" {
			_, v := p.classify(misplaced)
			moves = append(moves, Move{Decision: p.misplaced(misplaced, v)})
		}
		inEnv := slices.ContainsFunc(view.Wanted, func(wanted Wanted) bool { return wanted.Base == w.Base })
		m, err := p.rotate(current, verdict, same, inEnv)
		if err != nil {
			return nil, err
		}
		m.Name, m.Differs = w.Name(), m.Differs && inEnv
		if m.Outcome != "" {
			moves = append(moves, m)
		}
	}
	return moves, nil
}

// rotate decides on one base name; a Move without an outcome is nothing to do. Where
// a newer generation was created and its object is gone, its token has the value;
// but of an entry that left the .env, and of which nothing is there, it is for the
// user to say whether it is to come back.
func (p *pusher) rotate(current manifest.Object, verdict token.Verdict, same token.Same, inEnv bool) (Move, error) {
	d := p.obstacle(current)
	lost, isLost, taken := p.lost(current.Generation)
	if d.Outcome == Blocked && isLost && !taken && (inEnv || current.Name != "") {
		if v := p.judge(lost.Placed()); v.Opens && v.Binding == token.BindingHolds {
			m := p.move(lost.Placed(), p.resend(lost), v, lost.Since, same)
			m.Lost = true
			return m, nil
		}
	}
	switch {
	case d.Outcome != "":
		return Move{Decision: d}, nil
	case current.Name == "":
		return Move{}, nil
	case current.EnvKey != p.want.EnvKey:
		return Move{}, &SpellingError{Want: p.want, Namespace: current.Namespace, Secret: current.Name, Spelling: current.EnvKey}
	}
	kept := p.keep(current, verdict)
	return p.move(p.token(current), kept, verdict, kept.Row.Since, same), nil
}

// move decides about the token that has the current value: it stays under KEY, or a
// next generation is made of it.
func (p *pusher) move(from token.Token, stays Decision, verdict token.Verdict, since int, same token.Same) Move {
	m := Move{Decision: stays, From: from, Differs: !p.same(from, verdict)}
	if verdict.KeyID != p.keys.IDs()[0] {
		m.Decision = p.next(from, since, same)
	}
	return m
}

// Blocks says whether one of these moves keeps the whole rotation from being written. A
// generation that only a row knows under another key stops its own entry alone.
func Blocks(moves []Move) bool {
	return slices.ContainsFunc(moves, func(m Move) bool {
		return m.Outcome == Blocked || m.Outcome == Failed || m.Outcome == Superseded && !m.ByRow
	})
}

// MoveCount says how far a rotation to a key has come.
type MoveCount struct {
	Pending   int // not under the key yet
	Lost      int // were under the key, and are gone
	Unchanged int // under the key
}

// CountMoves counts the moves of a rotation to the key of this id.
func CountMoves(moves []Move, key string) (n MoveCount) {
	for _, m := range moves {
		switch {
		case m.Outcome == Unchanged:
			n.Unchanged++
		case m.Outcome == Created && m.Lost && m.Row.KeyID == key:
			n.Lost++
		case m.Outcome == Created:
			n.Pending++
		}
	}
	return n
}

// current gives the newest live object of ours, and the newest misplaced one
// above it.
func (p *pusher) current() (o manifest.Object, v token.Verdict, misplaced manifest.Object) {
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

// lost finds the newest generation above the current one that evidence has as
// created: it is not there, or not with these bytes (taken).
func (p *pusher) lost(current int) (r ledger.Record, found, taken bool) {
	for _, g := range p.generations() {
		if g <= current {
			break
		}
		_, live := p.object(g)
		for _, r := range p.records[g] {
			if r.State == ledger.Created && !p.burnt(r) {
				return r, true, live
			}
		}
	}
	return ledger.Record{}, false, false
}

// burnt says of a record that it only used up its number: its key was dropped, or is
// to be ignored.
func (p *pusher) burnt(r ledger.Record) bool {
	return !p.keys.Has(r.KeyID) && p.view.Past.Dropped(r.KeyID) || slices.Contains(p.view.Ignore, r.KeyID)
}

func (p *pusher) blocked(generation int, reason string) Decision {
	return Decision{Outcome: Blocked, Row: p.row(generation), Reason: reason}
}

// obstacle says why a base name cannot be rotated or retired: its current
// generation, which may be none, is not the newest, or is being deleted. A Decision
// without an outcome says that nothing is in the way.
func (p *pusher) obstacle(current manifest.Object) Decision {
	if d, superseded := p.superseded(); superseded {
		return d
	}
	lost, isLost, taken := p.lost(current.Generation)
	switch {
	case isLost && taken:
		return p.blocked(lost.Generation, "it has other bytes than were created under its name; the value that was may be newer than what is there")
	case isLost:
		return p.blocked(lost.Generation, "the ledger has it, the namespace has not; its value may be newer than what is there")
	case current.Deleting:
		return p.blocked(current.Generation, "it is being deleted; something holds it with a finalizer")
	default:
		return Decision{}
	}
}

// next gives the generation that holds the current value under KEY: one that an
// interrupted rotation planned already, byte for byte, or a new one.
func (p *pusher) next(from token.Token, since int, same token.Same) Decision {
	_, current := names.Split(from.Secret)
	for _, g := range p.generations() {
		if _, live := p.object(g); live || g <= current {
			continue
		}
		for _, r := range p.sendable(g) {
			v := p.judge(r.Placed())
			if v.KeyID == p.keys.IDs()[0] && v.Binding == token.BindingHolds && r.EnvKey == p.want.EnvKey && same(r.Placed(), from) {
				return p.resend(r)
			}
		}
	}
	d := p.create(token.Token{})
	d.Row.Operation, d.Row.Since = ledger.Rotate, since
	return d
}
