// SPDX-License-Identifier: Apache-2.0

package action

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// ErrBlocked says that something came in the way of a rotation between its plan and its
// first write; the plan's Moves say what.
var ErrBlocked = errors.New("the rotation is blocked")

// errStopped is why the rest of a rotation was not sent.
var errStopped = errors.New("not sent: the first create did not succeed")

// Apply writes the rotation. Its order is the promise: let the API server judge the
// creates while they still carry the current tokens, make the new key durable (R1), look
// again, seal, make the planned rows durable (R2), create one Secret of each namespace,
// then the others, read them back, record them.
func (p *RotatePlan) Apply(ctx context.Context) error {
	s := p.session
	switch s.Mode {
	case Client:
		return nil
	case Server:
		drafts := p.asking()
		s.Cluster.CreateAll(ctx, rowsOf(drafts), s.Parallel, true, func(i int, result cluster.Result) { p.settle(ctx, drafts[i].Decision, result) })
		return nil
	}
	every := func(error) bool { return true } // without its first create a rotation does not begin
	if err := s.ask(ctx, rowsOf(p.asking()), every); err != nil {
		return err
	}
	if err := p.takeKey(ctx); err != nil {
		return err
	}
	drafts, fresh, err := p.reseal()
	if err != nil {
		return err
	}
	if err := s.record(append(fresh, s.confirmed(p.views...)...)...); err != nil {
		return err
	}
	return notRecorded(s.record(p.send(ctx, drafts)...), "rotate")
}

// takeKey makes the new key durable, if there is one, and decides once more: another
// process may have pushed or rotated since the first look.
func (p *RotatePlan) takeKey(ctx context.Context) error {
	if p.edit == nil {
		return nil
	}
	s := p.session
	if err := s.save(*p.edit); err != nil {
		return err
	}
	namespaces := p.namespaces()
	p.views = p.views[:0]
	err := s.views(ctx, namespaces, s.mine, false, func(view plan.View) error {
		p.views = append(p.views, view)
		return s.rightCluster(view)
	})
	if err == nil {
		err = p.decide(s.Project)
	}
	if err == nil && p.Phase == RotateBlocked {
		return ErrBlocked
	}
	return err
}

// asking are the drafts with the tokens that the cluster has already: what is only asked
// about must not carry a new key's token.
func (p *RotatePlan) asking() (drafts []draft) {
	for _, m := range p.toCreate() {
		row := m.Row
		row.Token, row.Binding = m.From.Token, m.From.Binding
		drafts = append(drafts, draft{&m.Decision, row})
	}
	return drafts
}

// reseal gives what is to be sent, and of that the rows that the ledger lacks; what it
// has keeps its bytes.
func (p *RotatePlan) reseal() (drafts []draft, fresh []ledger.Row, err error) {
	now := p.session.Now().UTC()
	for _, m := range p.toCreate() {
		if !m.Resend {
			if m.Row, err = p.session.Project.Sealer.Reseal(m.Row, m.From); err != nil {
				return nil, nil, err
			}
		}
		m.Row.State, m.Row.Time = ledger.Planned, now
		if !m.Resend {
			fresh = append(fresh, m.Row)
		}
		drafts = append(drafts, draft{&m.Decision, m.Row})
	}
	return drafts, fresh, nil
}

// sending is a draft under way.
type sending struct {
	draft
	result cluster.Result
}

// send creates the Secrets, and gives the rows that the ledger then deserves.
func (p *RotatePlan) send(ctx context.Context, drafts []draft) (rows []ledger.Row) {
	all := make([]*sending, len(drafts))
	for i, d := range drafts {
		all[i] = &sending{draft: d}
	}
	if p.lock(ctx, all) {
		p.sendRest(ctx, all)
	}
	for _, one := range all {
		p.settle(ctx, one.Decision, one.result)
	}
	p.readBack(ctx)
	for _, one := range all {
		if row, ok := p.outcome(one); ok {
			rows = append(rows, row)
		}
	}
	return rows
}

// lock creates the first Secret of each namespace, alone: two people who rotate the same
// namespace want the same name, and the API server gives it to one. It says whether to
// go on.
func (p *RotatePlan) lock(ctx context.Context, all []*sending) bool {
	locked := map[string]bool{}
	for _, one := range all { // by base name within each namespace
		if locked[one.row.Namespace] {
			continue
		}
		locked[one.row.Namespace] = true
		if one.result = p.session.Cluster.Create(ctx, one.row, false); one.result.Fate != cluster.Landed {
			p.stop(all, one.result)
			return false
		}
	}
	return true
}

// stop says of what was not sent why it was not.
func (p *RotatePlan) stop(all []*sending, by cluster.Result) {
	for _, one := range all {
		if one.result.Fate == cluster.NotSent && one.result.Err == nil {
			one.result.Err = errStopped
		}
	}
	if by.Fate == cluster.Taken {
		p.session.line("error: another process rotates %s: Secret %s is there already, under key %s; nothing else was written",
			by.Object.Namespace, by.Object.Name, cmp.Or(by.Object.KeyID, "unknown"))
		p.session.hint("wait until that is done and get the .env it makes; or kubectl fernet rotate --abort" + p.session.Flags() + ", to have your own key back")
	}
}

// sendRest creates all that is not sent yet.
func (p *RotatePlan) sendRest(ctx context.Context, all []*sending) {
	var rest []*sending
	var rows []ledger.Row
	for _, one := range all {
		if one.result.Fate == cluster.NotSent {
			rest, rows = append(rest, one), append(rows, one.row)
		}
	}
	step := p.session.progress("creating", len(rows))
	p.session.Cluster.CreateAll(ctx, rows, p.session.Parallel, false, func(i int, result cluster.Result) {
		rest[i].result = result
		step()
	})
}

// settle turns a planned create into its outcome.
func (p *RotatePlan) settle(ctx context.Context, d *plan.Decision, result cluster.Result) {
	if result.Fate == cluster.Taken {
		d.Outcome, d.Reason = plan.Foreign, "another process created a Secret of that name at the same moment"
		return
	}
	settle(d, result, ctx.Err() != nil || errors.Is(result.Err, errStopped), "rotate", nil)
}

// readLimit is how long it may take to read back what was created.
const readLimit = time.Minute

// readBack looks at what was created and opens it with the new key alone.
func (p *RotatePlan) readBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readLimit)
	defer cancel()
	alone := seal.New(p.session.Project.Keys.Alone(), nil)
	live, unread := map[[2]string]manifest.Object{}, map[string]error{}
	for _, look := range inEach(p.session, p.namespaces(), func(namespace string) readback { return p.created(ctx, namespace) }) {
		unread[look.namespace] = look.err
		for _, o := range look.objects {
			live[[2]string{o.Namespace, o.Name}] = o
		}
	}
	for _, m := range p.toCreate() {
		if err := unread[m.Row.Namespace]; err != nil {
			m.Outcome, m.Reason = plan.Failed, "it was created, and could not be read back: "+err.Error()
			continue
		}
		o := live[[2]string{m.Row.Namespace, m.Row.Secret}]
		if v := alone.Judge(o.Placed()); !o.Carries(m.Row) || !v.Opens || v.Binding != token.BindingHolds {
			m.Outcome, m.Reason = plan.Failed, "it was created, and reads back otherwise"
		}
	}
}

// readback is what was created in a namespace, and more where it may be listed.
type readback struct {
	namespace string
	objects   []manifest.Object
	err       error
}

func (p *RotatePlan) created(ctx context.Context, namespace string) readback {
	if !p.session.Unlisted[namespace] {
		objects, err := p.session.Cluster.Labelled(ctx, namespace, manifest.Selector)
		return readback{namespace, objects, err}
	}
	var names []string
	for _, m := range p.toCreate() {
		if m.Row.Namespace == namespace {
			names = append(names, m.Row.Secret)
		}
	}
	objects, err := p.session.Cluster.GetSecrets(ctx, namespace, names)
	return readback{namespace, objects, err}
}

// namespaces are those that were looked at.
func (p *RotatePlan) namespaces() []string {
	names := make([]string, len(p.views))
	for i, view := range p.views {
		names[i] = view.Namespace
	}
	return names
}

// outcome gives the row for the ledger. What is doubtful or was interrupted stays
// planned, so that the next run sends the same bytes; what certainly never left gives its
// number back.
func (p *RotatePlan) outcome(one *sending) (ledger.Row, bool) {
	row := one.row
	row.Time = p.session.Now().UTC()
	switch {
	case one.Outcome == plan.Created:
		row.State, row.UID = ledger.Created, one.result.Object.UID
	case one.result.Fate == cluster.Refused, one.result.Fate == cluster.Taken, errors.Is(one.result.Err, errStopped):
		row.State = ledger.Failed
	default:
		return row, false
	}
	return row, true
}
