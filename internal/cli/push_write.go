// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// newOnce gives a function that says true the first time only.
func newOnce() func() bool {
	var once sync.Once
	return func() (first bool) {
		once.Do(func() { first = true })
		return first
	}
}

// write carries the decisions out and turns each into what became of it; sent
// says that it came to that, whatever the error. Its order is the promise: seal,
// ask the API server for each namespace's first create as a dry run, make all
// planned rows durable, create, record.
func (r *pushRun) write(ctx context.Context, decisions []plan.Decision) (sent bool, err error) {
	rows, at, err := r.seal(decisions)
	if err != nil {
		return false, err
	}
	switch {
	case r.o.dryRun == dryRunServer:
		if err := r.preflight(ctx, rows, cluster.RefusesAll); err != nil {
			return false, err
		}
		r.create(ctx, rows, at, decisions, func(ledger.Row) {})
	case r.o.dryRun == dryRunClient:
		if r.o.record {
			err = r.ledger.Append(fresh(rows, at, decisions)...)
		} else if n := len(fresh(rows, at, decisions)); n > 0 {
			r.console.note("not recorded: %s, and the next run makes others; --record keeps them", hint.Count(n, "new token"))
		}
	default:
		return r.commit(ctx, rows, at, decisions)
	}
	return err == nil, err
}

func (r *pushRun) commit(ctx context.Context, rows []ledger.Row, at []int, decisions []plan.Decision) (sent bool, err error) {
	if err := r.preflight(ctx, rows, cluster.RefusesAll); err != nil {
		return false, err
	}
	if err := r.ledger.Append(append(fresh(rows, at, decisions), r.confirmed...)...); err != nil {
		return false, err
	}
	recorder := newRecorder(r.ledger, len(rows))
	r.create(ctx, rows, at, decisions, recorder.add)
	if err := recorder.close(); err != nil {
		return true, withHint(err, "what was created is in the cluster; push again to complete the ledger")
	}
	return true, nil
}

// seal gives the rows to send and which decision each belongs to. Rows that the
// ledger has already keep their bytes.
func (r *pushRun) seal(decisions []plan.Decision) (rows []ledger.Row, at []int, err error) {
	now := time.Now().UTC()
	for i := range decisions {
		d := &decisions[i]
		if d.Outcome != plan.Created {
			continue
		}
		if !d.Resend {
			if d.Row, err = r.door.Seal(d.Row); err != nil {
				return nil, nil, err
			}
		}
		d.Row.State, d.Row.Time = ledger.Planned, now
		rows, at = append(rows, d.Row), append(at, i)
	}
	return rows, at, nil
}

// fresh gives the rows that the ledger does not have yet.
func fresh(rows []ledger.Row, at []int, decisions []plan.Decision) []ledger.Row {
	var out []ledger.Row
	for i, row := range rows {
		if !decisions[at[i]].Resend {
			out = append(out, row)
		}
	}
	return out
}

// preflight asks for the first create of each namespace as a server dry run, so
// that what would refuse them all (no such namespace, no right, no quota) is
// told before anything is written anywhere. stops says which refusals are such.
func (w *work) preflight(ctx context.Context, rows []ledger.Row, stops func(error) bool) error {
	asked := map[string]bool{}
	for _, row := range rows {
		if asked[row.Namespace] {
			continue
		}
		asked[row.Namespace] = true
		if result := w.client.Create(ctx, row, true); result.Fate == cluster.Refused && stops(result.Err) {
			return fmt.Errorf("namespace %q: %w", row.Namespace, result.Err)
		}
	}
	return ctx.Err()
}

// create sends the rows, turns each decision into what became of it, and hands
// on the rows that the ledger deserves.
func (r *pushRun) create(ctx context.Context, rows []ledger.Row, at []int, decisions []plan.Decision, record func(ledger.Row)) {
	bar, done := r.console.progress("creating", len(rows)), 0
	r.client.CreateAll(ctx, rows, r.o.parallel, r.o.dryRun == dryRunServer, func(i int, result cluster.Result) {
		d := &decisions[at[i]]
		settle(d, result, ctx.Err() != nil, r.door.Judge)
		if row, ok := rowOf(rows[i], *d, result); ok {
			record(row)
		}
		done++
		bar(done)
	})
}

// settle turns a planned create into its outcome.
func settle(d *plan.Decision, result cluster.Result, interrupted bool, judge token.Judge) {
	if interrupted && result.Fate == cluster.NotSent {
		d.Outcome = plan.Unsent
		return
	}
	switch result.Fate {
	case cluster.Landed:
		d.Row.UID = result.Object.UID
	case cluster.Taken:
		taken(d, result.Object, judge)
	case cluster.NotSent:
		d.Outcome, d.Reason = plan.Failed, "not sent: "+result.Err.Error()
	case cluster.Refused:
		d.Outcome, d.Reason = plan.Failed, result.Err.Error()
	case cluster.Doubtful:
		d.Outcome, d.Reason = plan.Failed, result.Err.Error()
		if result.Object.Name == "" {
			d.Reason += "; whether it was created is not known, push again to find out"
		}
	}
}

// taken decides about a name that somebody took while this run was under way:
// another run of ours with the same .env, as two colleagues can start at once,
// or a stranger.
func taken(d *plan.Decision, o manifest.Object, judge token.Judge) {
	v := judge(o.Placed())
	switch {
	case !v.Opens || v.Binding != token.BindingHolds || o.EnvKey != d.Row.EnvKey:
		d.Outcome, d.Reason = plan.Foreign, "somebody created a Secret of that name at the same moment"
		d.Row.UID = o.UID
	case !v.Same:
		d.Outcome, d.Reason = plan.Differs, "somebody pushed another value at the same moment"
	default:
		d.Outcome, d.Complete = plan.Unchanged, true
		d.Row.Operation, d.Row.State = ledger.Learn, ledger.Created
		d.Row.KeyID, d.Row.Token, d.Row.Binding, d.Row.UID, d.Row.Since = v.KeyID, o.Token, o.Binding, o.UID, d.Row.Generation
	}
}

// rowOf gives the ledger row that a result deserves. What was not sent stays
// planned, and so does what is doubtful: the next run looks and finishes it.
func rowOf(row ledger.Row, d plan.Decision, result cluster.Result) (ledger.Row, bool) {
	if d.Complete {
		row = d.Row
		row.Time = time.Now().UTC()
		return row, true
	}
	row.Time = time.Now().UTC()
	switch result.Fate {
	case cluster.Landed:
		row.State, row.UID = ledger.Created, result.Object.UID
	case cluster.Refused:
		row.State = ledger.Failed
	default:
		return row, false
	}
	return row, true
}

// recorder appends rows as they come, in batches: while one batch is being
// fsynced, the next gathers. Creates never wait for it.
type recorder struct {
	rows chan ledger.Row
	done chan error
}

func newRecorder(to *ledger.Ledger, capacity int) *recorder {
	r := &recorder{rows: make(chan ledger.Row, capacity), done: make(chan error, 1)}
	go func() { r.done <- r.drain(to) }()
	return r
}

func (r *recorder) add(row ledger.Row) { r.rows <- row }

func (r *recorder) close() error {
	close(r.rows)
	return <-r.done
}

// batchPause is how long a batch gathers: an fsync for each few rows would keep
// the disk busy for nothing, as a crash that loses created rows loses nothing.
const batchPause = 100 * time.Millisecond

// drain writes until the channel is closed; after an error it only empties it.
func (r *recorder) drain(to *ledger.Ledger) (err error) {
	for open := true; open; {
		var batch []ledger.Row
		batch, open = r.gather()
		if err == nil {
			err = to.Append(batch...)
		}
	}
	return err
}

// gather waits for a row, then for those that follow soon. open is false once
// no more will come.
func (r *recorder) gather() (batch []ledger.Row, open bool) {
	row, open := <-r.rows
	if !open {
		return nil, false
	}
	batch = []ledger.Row{row}
	for enough := time.After(batchPause); ; {
		select {
		case row, open = <-r.rows:
			if !open {
				return batch, false
			}
			batch = append(batch, row)
		case <-enough:
			return batch, true
		}
	}
}
