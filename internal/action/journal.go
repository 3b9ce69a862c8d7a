// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// The write protocol, here and for deletes in journal_delete.go, and nowhere else:
//
//	R1  a new key is durable before the first token under it leaves (Session.save)
//	R2  a row is durable before the request that carries its token; a retry sends the
//	    same bytes
//	R3  an error proves nothing: cluster looks at what came of each request, and only
//	    what is certain is recorded. What is doubtful stays planned; the next run looks.
//
// A run that writes no rows has no ledger; then nothing is recorded.

// record makes rows durable: planned ones before their requests, others once they are so.
func (s *Session) record(rows ...ledger.Row) error {
	if s.ledger == nil {
		return nil
	}
	return s.ledger.Append(rows...)
}

// refresh gives the book with the rows of this run.
func (s *Session) refresh() *ledger.Book {
	if s.ledger == nil {
		return s.Book
	}
	return s.ledger.Book()
}

// ErrUnrecorded says of a run that what it did is done, and that the ledger lacks it.
var ErrUnrecorded = errors.New("not recorded")

// unrecorded is an error of the ledger after something was done.
type unrecorded struct{ error }

func (u unrecorded) Unwrap() error { return u.error }

// Is makes it an ErrUnrecorded.
func (u unrecorded) Is(target error) bool { return target == ErrUnrecorded }

// notRecorded marks an error of the ledger after something was done; verb is what the
// user runs again.
func notRecorded(err error, verb hint.Text) error {
	if err == nil {
		return nil
	}
	return unrecorded{hint.With(err, "what was created is in the cluster; %s again to complete the ledger", verb)}
}

// create carries decisions out, and turns each into what came of it. Its order is the
// promise: seal, ask the API server for each namespace's first create as a dry run, make
// all planned rows durable, create, record. Rows in also are made durable with the plans.
// With an ErrUnrecorded, and without an error, decisions say what came of them.
func (s *Session) create(ctx context.Context, decisions []plan.Decision, also []ledger.Row, verb hint.Text, judge token.Judge) error {
	drafts, durable, err := s.drafts(decisions)
	if err != nil {
		return err
	}
	if err := s.ask(ctx, rowsOf(drafts), cluster.RefusesAll); err != nil {
		return err
	}
	if s.Mode == Live {
		if err := s.record(append(durable, also...)...); err != nil {
			return err
		}
	}
	return notRecorded(s.send(ctx, drafts, verb, judge), verb)
}

// draft is a decision to create, and the row that is sent.
type draft struct {
	*plan.Decision
	row ledger.Row
}

func rowsOf(drafts []draft) []ledger.Row {
	rows := make([]ledger.Row, len(drafts))
	for i, d := range drafts {
		rows[i] = d.row
	}
	return rows
}

// drafts seals what has no token yet, and gives what is to be sent and the rows that the
// ledger lacks.
func (s *Session) drafts(decisions []plan.Decision) (drafts []draft, durable []ledger.Row, err error) {
	now := s.Now().UTC()
	for i := range decisions {
		d := &decisions[i]
		if d.Complete {
			d.Row.Time = now
			durable = append(durable, d.Row)
		}
		if d.Outcome != plan.Created {
			continue
		}
		if d.Row.Token == "" {
			if d.Row, err = s.Project.Sealer.Seal(d.Row, d.Entries...); err != nil {
				return nil, nil, err
			}
		}
		d.Row.State, d.Row.Time = ledger.Planned, now
		drafts = append(drafts, draft{d, d.Row})
		if !d.Resend {
			durable = append(durable, d.Row)
		}
	}
	return drafts, durable, nil
}

// ask asks for the first create of each namespace as a server dry run, so that what would
// refuse them all (no such namespace, no right, no quota) is known before anything is
// written anywhere. stops says which refusals are such.
func (s *Session) ask(ctx context.Context, rows []ledger.Row, stops func(error) bool) error {
	first, namespaces := map[string]ledger.Row{}, []string(nil)
	for _, row := range rows {
		if _, has := first[row.Namespace]; !has {
			first[row.Namespace] = row
			namespaces = append(namespaces, row.Namespace)
		}
	}
	results := inEach(s, namespaces, func(namespace string) cluster.Result { return s.Cluster.Create(ctx, first[namespace], true) })
	for i, result := range results {
		if result.Fate == cluster.Refused && stops(result.Err) {
			return fmt.Errorf("namespace %q: %w", namespaces[i], result.Err)
		}
	}
	return ctx.Err()
}

// send creates, turns each decision into what came of it, and records it. The error is
// the ledger's.
func (s *Session) send(ctx context.Context, drafts []draft, verb hint.Text, judge token.Judge) error {
	if len(drafts) == 0 {
		return nil
	}
	rows := rowsOf(drafts)
	recorder, step := s.recorder(len(rows)), s.progress("creating", len(rows))
	s.Cluster.CreateAll(ctx, rows, s.Parallel, s.Mode == Server, func(i int, result cluster.Result) {
		d := drafts[i]
		settle(d.Decision, result, ctx.Err() != nil, verb, judge)
		if row, ok := s.outcome(d, result); ok {
			recorder.add(row)
		}
		step()
	})
	return recorder.finish()
}

// settle turns a planned create into its outcome. verb is what the user runs again.
func settle(d *plan.Decision, result cluster.Result, interrupted bool, verb hint.Text, judge token.Judge) {
	if interrupted && result.Fate == cluster.NotSent {
		d.Outcome = plan.NotSent
		return
	}
	if result.Fate != cluster.NotSent { // or the way out would stand there twice
		d.Way = hint.Of(WithRights(result.Err, string(verb)))
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
			d.Reason += "; whether it was created is not known, " + string(verb) + " again to find out"
		}
	}
}

// taken decides about a name that another process took while this run was under way: a
// run of ours with the same .env, as two colleagues can start at once, or a stranger.
func taken(d *plan.Decision, o manifest.Object, judge token.Judge) {
	v := judge(o.Placed())
	switch {
	case !v.Opens || v.Binding != token.BindingHolds || o.EnvKey != d.Row.EnvKey:
		d.Outcome, d.Reason = plan.Foreign, "another process created a Secret of that name at the same moment"
		d.Row.UID = o.UID
	case !v.Same || !sameEntries(o, d.Row):
		d.Outcome, d.Reason = plan.Differs, "another process pushed another value at the same moment"
	default:
		d.Outcome, d.Complete = plan.Unchanged, true
		d.Row.Operation, d.Row.State = ledger.Learn, ledger.Created
		d.Row.KeyID, d.Row.Token, d.Row.Binding, d.Row.UID, d.Row.Since = v.KeyID, o.Token, o.Binding, o.UID, d.Row.Generation
	}
}

// sameEntries says whether a Secret has the entries of a row, and no other.
func sameEntries(o manifest.Object, row ledger.Row) bool {
	return slices.EqualFunc(o.Placed().Entries(), row.Placed().Entries(), func(a, b token.Entry) bool { return a.Name == b.Name })
}

// outcome gives the ledger row that a result deserves. What was not sent stays
// planned, and so does what is doubtful: the next run looks and finishes it.
func (s *Session) outcome(d draft, result cluster.Result) (ledger.Row, bool) {
	row := d.row
	if d.Complete {
		row = d.Row
	}
	row.Time = s.Now().UTC()
	switch {
	case d.Complete:
	case result.Fate == cluster.Landed:
		row.State, row.UID = ledger.Created, result.Object.UID
	case result.Fate == cluster.Refused:
		row.State = ledger.Failed
	default:
		return row, false
	}
	return row, true
}

// recorder records rows as they come, in batches: while one batch is being
// fsynced, the next gathers. Creates never wait for it.
type recorder struct {
	rows chan ledger.Row
	done chan error
}

// recorder of a dry run records nothing.
func (s *Session) recorder(capacity int) *recorder {
	r := &recorder{rows: make(chan ledger.Row, capacity), done: make(chan error, 1)}
	record := s.record
	if s.Mode != Live {
		record = func(...ledger.Row) error { return nil }
	}
	drain := redact.Guard(func() error { return r.drain(record) })
	go func() { r.done <- drain() }()
	return r
}

func (r *recorder) add(row ledger.Row) { r.rows <- row }

// finish waits until all is recorded.
func (r *recorder) finish() error {
	close(r.rows)
	return <-r.done
}

// batchPause is how long a batch gathers: an fsync for each few rows would keep
// the disk busy for nothing, as a crash that loses created rows loses nothing.
const batchPause = 100 * time.Millisecond

// drain records until the channel is closed; after an error it only empties it.
func (r *recorder) drain(record func(...ledger.Row) error) (err error) {
	for open := true; open; {
		var batch []ledger.Row
		batch, open = r.gather()
		if err == nil {
			err = record(batch...)
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
