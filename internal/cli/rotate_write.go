// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// carryOut writes the rotation. Its order is the promise: ask, let the API server
// judge the creates while they still carry the old tokens, make the new key
// durable, look again, seal, make the planned rows durable, create one Secret of
// each namespace, then the others, read them back, record them. e is nil where the
// key is there already.
func (r *rotateRun) carryOut(ctx context.Context, e *action.Edited) error {
	to := r.Project.Keys
	if e != nil {
		to = e.Keys
	}
	question := fmt.Sprintf("bring %s in %s under key %s?", hint.Count(count(r.moves, plan.Created), "Secret"), r.Target.Places(), to.IDs()[0])
	if err := r.confirm(ctx, r.o.yes || r.o.dryRun != dryRunNone, question); err != nil {
		return err
	}
	if r.o.dryRun == dryRunClient {
		return r.told(ctx)
	}
	drafts, at := r.drafts()
	if r.o.dryRun == dryRunServer {
		r.Cluster.CreateAll(ctx, drafts, r.o.parallel, true, func(i int, result cluster.Result) { r.settle(ctx, at[i], result) })
		return r.told(ctx)
	}
	every := func(error) bool { return true } // without its first create a rotation does not begin
	if err := r.Ask(ctx, drafts, every); err != nil {
		return err
	}
	if e != nil {
		if err := r.Save(*e); err != nil {
			return err
		}
		if err := r.lookAgain(ctx); err != nil {
			return err
		}
		_, at = r.drafts()
	}
	rows, err := r.reseal(at)
	if err != nil {
		return err
	}
	if err := r.Record(append(r.planned(), r.Confirmed(r.views...)...)...); err != nil {
		return err
	}
	err = r.Record(r.send(ctx, rows, at)...)
	if err != nil {
		err = withHint(err, "what was created is in the cluster; rotate again to complete the ledger")
	}
	return cmp.Or(err, r.told(ctx))
}

// lookAgain decides once more, now that the new key is durable: another process may
// have pushed or rotated since the first look.
func (r *rotateRun) lookAgain(ctx context.Context) error {
	views := make([]plan.View, len(r.views))
	for i, view := range r.views {
		var err error
		if views[i], err = r.look(ctx, view.Namespace, plan.Mine(view.Records, r.Project.Wanted)); err != nil {
			return err
		}
	}
	moves, err := r.work.moves(views)
	if err != nil {
		return err
	}
	r.views, r.moves = views, moves
	return r.obstacles()
}

// drafts are the rows to create, still with the tokens that the cluster has
// already: what is only asked about must not carry a new key's token.
func (r *rotateRun) drafts() (rows []ledger.Row, at []int) {
	for i, m := range r.moves {
		if m.Outcome != plan.Created {
			continue
		}
		m.Row.Token, m.Row.Binding = m.From.Token, m.From.Binding
		rows, at = append(rows, m.Row), append(at, i)
	}
	return rows, at
}

// reseal gives the rows to create; those that the ledger has keep their bytes.
func (r *rotateRun) reseal(at []int) (rows []ledger.Row, err error) {
	now := time.Now().UTC()
	for _, i := range at {
		m := &r.moves[i]
		if !m.Resend {
			if m.Row, err = r.Project.Sealer.Reseal(m.Row, m.From); err != nil {
				return nil, err
			}
		}
		m.Row.State, m.Row.Time = ledger.Planned, now
		rows = append(rows, m.Row)
	}
	return rows, nil
}

// planned gives the rows that have to be durable before the first request.
func (r *rotateRun) planned() (rows []ledger.Row) {
	now := time.Now().UTC()
	for _, m := range r.moves {
		if m.Outcome == plan.Created && !m.Resend {
			m.Row.Time = now
			rows = append(rows, m.Row)
		}
	}
	return rows
}

// send creates the rows, and gives those that the ledger then deserves.
func (r *rotateRun) send(ctx context.Context, rows []ledger.Row, at []int) []ledger.Row {
	results := make([]cluster.Result, len(rows))
	if r.lock(ctx, rows, results) {
		var rest []ledger.Row
		var index []int
		for i, result := range results {
			if result.Fate == cluster.NotSent {
				rest, index = append(rest, rows[i]), append(index, i)
			}
		}
		bar, done := r.console.progress("creating", len(rest)), 0
		r.Cluster.CreateAll(ctx, rest, r.o.parallel, false, func(i int, result cluster.Result) {
			results[index[i]] = result
			done++
			bar(done)
		})
	}
	for i, result := range results {
		r.settle(ctx, at[i], result)
	}
	r.readBack(ctx)
	return r.outcome(rows, at, results)
}

// lock creates the first Secret of each namespace, alone: two people who rotate
// the same namespace want the same name, and the API server gives it to one. It
// says whether to go on.
func (r *rotateRun) lock(ctx context.Context, rows []ledger.Row, results []cluster.Result) bool {
	locked := map[string]bool{}
	for i, row := range rows { // by base name within each namespace
		if locked[row.Namespace] {
			continue
		}
		locked[row.Namespace] = true
		results[i] = r.Cluster.Create(ctx, row, false)
		if results[i].Fate != cluster.Landed {
			r.stopped(results, results[i])
			return false
		}
	}
	return true
}

// stopped tells what was not sent why it was not.
func (r *rotateRun) stopped(results []cluster.Result, by cluster.Result) {
	for i := range results {
		if results[i].Fate == cluster.NotSent && results[i].Err == nil {
			results[i].Err = errStopped
		}
	}
	if by.Fate == cluster.Taken {
		r.console.say(fmt.Sprintf("error: somebody else is rotating %s: Secret %s is there already, under key %s; nothing else was written",
			by.Object.Namespace, by.Object.Name, cmp.Or(by.Object.KeyID, "unknown")))
		r.console.hint("wait until that is done and get the .env it makes; or kubectl fernet rotate --abort" + action.EnvFlag(r.o.env) + ", to have your own key back")
	}
}

// settle turns a planned create into what became of it.
func (r *rotateRun) settle(ctx context.Context, i int, result cluster.Result) {
	d := &r.moves[i].Decision
	switch {
	case result.Fate == cluster.Landed:
		d.Row.UID = result.Object.UID
	case result.Fate == cluster.Taken:
		d.Outcome, d.Reason = plan.Foreign, "somebody created a Secret of that name at the same moment"
	case result.Fate == cluster.NotSent && (ctx.Err() != nil || errors.Is(result.Err, errStopped)):
		d.Outcome = plan.Unsent
	default:
		d.Outcome, d.Reason = plan.Failed, cmp.Or(result.Err, errStopped).Error()
		if result.Fate == cluster.Doubtful {
			d.Reason += "; whether it was created is not known, rotate again to find out"
		}
	}
}

// readBack looks at what was created and opens it with the new key alone.
func (r *rotateRun) readBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	alone := seal.New(r.Project.Keys.Alone(), nil)
	live, unread := map[string]manifest.Object{}, map[string]error{}
	for _, view := range r.views {
		objects, err := r.seen(ctx, view.Namespace)
		unread[view.Namespace] = err
		for _, o := range objects {
			live[o.Namespace+"/"+o.Name] = o
		}
	}
	for i := range r.moves {
		d := &r.moves[i].Decision
		if d.Outcome != plan.Created {
			continue
		}
		if err := unread[d.Row.Namespace]; err != nil {
			d.Outcome, d.Reason = plan.Failed, "it was created, and could not be read back: "+err.Error()
			continue
		}
		o := live[d.Row.Namespace+"/"+d.Row.Secret]
		if v := alone.Judge(o.Placed()); !o.Carries(d.Row) || !v.Opens || v.Binding != token.BindingHolds {
			d.Outcome, d.Reason = plan.Failed, "it was created, and reads back otherwise"
		}
	}
}

// seen gives what was created in a namespace, and more where it may be listed.
func (r *rotateRun) seen(ctx context.Context, namespace string) (objects []manifest.Object, err error) {
	if !r.Unlisted[namespace] {
		return r.Cluster.Labelled(ctx, namespace, manifest.Selector)
	}
	var names []string
	for _, m := range r.moves {
		if m.Outcome == plan.Created && m.Row.Namespace == namespace {
			names = append(names, m.Row.Secret)
		}
	}
	return r.Cluster.GetSecrets(ctx, namespace, names, r.o.parallel)
}

// outcome gives the rows for the ledger. What is doubtful or was interrupted
// stays planned, so that the next run sends the same bytes; what certainly never
// left gives its number back.
func (r *rotateRun) outcome(rows []ledger.Row, at []int, results []cluster.Result) (out []ledger.Row) {
	for i, row := range rows {
		m := r.moves[at[i]]
		row.Time = time.Now().UTC()
		switch result := results[i]; {
		case m.Outcome == plan.Created:
			row.State, row.UID = ledger.Created, result.Object.UID
		case result.Fate == cluster.Refused, result.Fate == cluster.Taken, errors.Is(result.Err, errStopped):
			row.State = ledger.Failed
		default:
			continue
		}
		out = append(out, row)
	}
	return out
}
