// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// Rotate brings every Secret of a project under KEY, or, where all are there, under a
// new one.
type Rotate struct {
	NewKey bool // a fresh key, whatever is staged or unfinished
}

// Needs says what rotate needs of its session.
func (Rotate) Needs() Needs { return Needs{Writes: true, Spreads: true, Selects: true} }

// Phase is where a rotation is.
type Phase int

// The phases of a rotation.
const (
	RotateBlocked  Phase = iota // a Secret keeps it from beginning; Moves say which and why
	RotateMoves                 // Secrets are to be created under Key
	RotateComplete              // all are under KEY
)

// RotatePlan is what rotate is about to do; after Apply it is what came of it.
type RotatePlan struct {
	Phase  Phase
	Moves  []plan.Move
	Key    string  // the id of the key that all come under
	Holder Holder  // the file that has the keys
	edit   *Edited // makes Key the KEY; nil where it is that already

	session *Session
	views   []plan.View
}

// Plan looks at all that is ours and says what follows from it.
func (r Rotate) Plan(ctx context.Context, s *Session) (*RotatePlan, error) {
	p := &RotatePlan{session: s}
	var err error
	if p.Holder, err = s.rotatable(); err != nil {
		return nil, err
	}
	if p.views, err = s.lookAll(ctx); err != nil {
		return nil, err
	}
	if err := p.decide(s.Project); err != nil {
		return nil, err
	}
	return p, p.advance(r.NewKey)
}

// rotatable connects, and gives the file whose keys can be changed.
func (s *Session) rotatable() (Holder, error) {
	if err := s.Start(); err != nil {
		return Holder{}, err
	}
	return s.keyHolder()
}

// decide plans the rotation of what the views show, under the keyring of a project.
func (p *RotatePlan) decide(project *Project) error {
	p.Moves, p.Key, p.Phase = nil, project.Keys.IDs()[0], RotateMoves
	for _, view := range p.views {
		moves, err := plan.Rotate(view, plan.Mine(view.Records, view.Wanted), project.Sealer.Judge, project.Keys, project.Sealer.SameValue)
		if err != nil {
			return project.located(err)
		}
		p.Moves = append(p.Moves, moves...)
	}
	if plan.Blocks(p.Moves) {
		p.Phase = RotateBlocked
	}
	return nil
}

// advance goes on from what is there: Secrets that are not under KEY come there first;
// then it is time for a new key, unless older ones are still held.
func (p *RotatePlan) advance(newKey bool) error {
	s := p.session
	if p.Phase == RotateBlocked && newKey {
		return p.overtake()
	}
	if p.Phase == RotateBlocked {
		return nil
	}
	if newKey && len(p.Moves) > 0 {
		return p.takeNewKey(true)
	}
	switch count := plan.CountMoves(p.Moves, p.Key); {
	case count.Pending+count.Lost+count.Unchanged == 0:
		return hint.With(fmt.Errorf("nothing of %s is in %s, so there is nothing to rotate", s.Env, s.Target.Places()), "kubectl fernet push%s", s.Flags())
	case count.Pending > 0:
		s.note("not under KEY %s yet: %d of %s", p.Key, count.Pending, hint.Count(count.Pending+count.Lost+count.Unchanged, "Secret"))
		return nil
	case len(s.Project.Keys.Previous()) == 0:
		return p.takeNewKey(false)
	case count.Lost > 0:
		return nil
	default:
		p.Phase = RotateComplete
		return nil
	}
}

// overtake is for Secrets that are under a previous key and newer than those under KEY:
// somebody with an older .env wrote them, or the two keys were swapped. A key that is
// newer than both leads out; what else blocks a rotation still does.
func (p *RotatePlan) overtake() error {
	blocked := *p
	if err := p.takeNewKey(true); err != nil {
		return err
	}
	if p.Phase == RotateBlocked {
		*p = blocked
	}
	return nil
}

// takeNewKey plans with KEY_NEXT, or a fresh key where none is staged or it has to be
// fresh, as KEY.
func (p *RotatePlan) takeNewKey(anew bool) error {
	fresh, _, err := keyring.Generate()
	if err != nil {
		return err
	}
	changes := keyring.Advance(p.Holder.File, fresh)
	if anew {
		changes = keyring.Renew(p.Holder.File, fresh, p.keepsStaged())
	}
	edit, err := p.Holder.Edit(changes...)
	if err != nil {
		return err
	}
	p.edit = &edit
	return p.decide(p.session.Project.WithKeys(edit.Keys))
}

// keepsStaged says, and tells, whether KEY_NEXT has to stay a key that opens: a row or a
// Secret is under it.
func (p *RotatePlan) keepsStaged() bool {
	s := p.session
	id := s.Project.Keys.Staged()
	if id == "" {
		return false
	}
	used := slices.ContainsFunc(s.Book.Records(), func(r ledger.Record) bool { return r.KeyID == id && r.State != ledger.Failed })
	for _, view := range p.views {
		used = used || slices.ContainsFunc(view.Objects, func(o manifest.Object) bool { return o.KeyID == id || s.Project.Sealer.Judge(o.Placed()).KeyID == id })
	}
	if used {
		s.note("the staged key %s does not become KEY; it stays in KEY_PREVIOUS, because a token is under it", id)
	} else {
		s.note("the staged key %s does not become KEY, and leaves %s", id, p.Holder.Path)
	}
	return used
}

// ToCreate says how many Secrets Apply creates.
func (p *RotatePlan) ToCreate() int { return len(p.toCreate()) }

func (p *RotatePlan) toCreate() (moves []*plan.Move) {
	for i := range p.Moves {
		if p.Moves[i].Outcome == plan.Created {
			moves = append(moves, &p.Moves[i])
		}
	}
	return moves
}

// Decisions are those of the moves.
func (p *RotatePlan) Decisions() []plan.Decision {
	out := make([]plan.Decision, len(p.Moves))
	for i, m := range p.Moves {
		out[i] = m.Decision
	}
	return out
}

// Differing names the entries whose value in the .env is not the one that was rotated.
func (p *RotatePlan) Differing() (names []string) {
	for _, m := range p.Moves {
		if m.Differs {
			names = append(names, m.Name)
		}
	}
	return names
}

// Confirm records what a complete rotation, which was killed at its end, left to record.
func (p *RotatePlan) Confirm() error {
	if p.session.Mode != Live {
		return nil
	}
	return p.session.record(p.session.confirmed(p.views...)...)
}

// KeepKeyrings makes the keyring Secret of each namespace hold the current keyring, if it is
// kept in the cluster.
func (s *Session) KeepKeyrings(ctx context.Context) error {
	if s.Settings.KeySecret == "" {
		return nil
	}
	for _, namespace := range s.Target.Namespaces {
		if err := s.ensureKeyring(ctx, namespace, s.Settings.KeySecret, s.Project.Keys, false); err != nil {
			return err
		}
	}
	return nil
}

// StageKey stages the next key, so that applications can be given it before it seals.
type StageKey struct{}

// Needs says what staging needs of its session.
func (StageKey) Needs() Needs { return Rotate{}.Needs() }

// KeyPlan is a change of the keys alone.
type KeyPlan struct {
	Path     string // of the file that holds the keys
	Was, Now string // the ids of the keys whose place changes: KEY, or for StageKey KEY_NEXT
	edit     *Edited
	session  *Session
}

// Changes says whether Apply has something to change.
func (p *KeyPlan) Changes() bool { return p.edit != nil }

// Plan makes a key, unless there is a KEY_NEXT already.
func (StageKey) Plan(_ context.Context, s *Session) (*KeyPlan, error) {
	holder, err := s.rotatable()
	if err != nil {
		return nil, err
	}
	p := &KeyPlan{Path: holder.Path, Now: s.Project.Keys.Staged(), session: s}
	if p.Now != "" {
		return p, nil
	}
	fresh, key, err := keyring.Generate()
	if err != nil {
		return nil, err
	}
	edit, err := holder.Edit(keyring.Stage(holder.File, fresh)...)
	p.Now, p.edit = key.ID(), &edit
	return p, err
}

// Abort returns to the key before. It is possible only while no row of the ledger is
// under the new one: from then on its tokens may be anywhere.
type Abort struct{}

// Needs says what abort needs of its session.
func (Abort) Needs() Needs { return Rotate{}.Needs() }

// Plan looks for rows under the new key.
func (Abort) Plan(_ context.Context, s *Session) (*KeyPlan, error) {
	holder, err := s.rotatable()
	if err != nil {
		return nil, err
	}
	changes, err := keyring.Retreat(holder.File)
	if err != nil {
		return nil, hint.With(fmt.Errorf("%s: there is no rotation to take back: %w", holder.Path, err), "kubectl fernet status%s", s.Flags())
	}
	id := s.Project.Keys.IDs()[0]
	used := func(r ledger.Record) bool { return !r.Hint && r.KeyID == id && r.State != ledger.Failed }
	if rows := s.Book.Records(); slices.ContainsFunc(rows, used) {
		row := rows[slices.IndexFunc(rows, used)]
		return nil, hint.With(fmt.Errorf("tokens under key %s were sent already (Secret %s in namespace %s)", id, row.Secret, row.Namespace),
			"that is no harm: each token opens with one of the two keys, and both are held; kubectl fernet rotate%s finishes the rotation", s.Flags())
	}
	edit, err := holder.Edit(changes...)
	if err != nil {
		return nil, err
	}
	return &KeyPlan{Path: holder.Path, Was: id, Now: edit.Keys.IDs()[0], edit: &edit, session: s}, nil
}

// Apply writes the keys; a dry run goes on as if it had.
func (p *KeyPlan) Apply(context.Context) error {
	switch {
	case p.edit == nil:
		return nil
	case p.session.Mode != Live:
		p.session.Project = p.session.Project.WithKeys(p.edit.Keys)
		return nil
	default:
		return p.session.save(*p.edit)
	}
}
