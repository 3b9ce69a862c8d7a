// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// remove deletes, and turns each item into what came of it. Its order is the promise: make
// the planned rows durable, delete the oldest generation of each name first, look again,
// put back what another process began to use meanwhile, and record as deleted what is
// gone. The deleted rows come last, so that the run after one that was killed looks again.
// Rows in also are made durable with the plans.
func (s *Session) remove(ctx context.Context, items []*Retired, also []ledger.Row, usedAgain func(context.Context) ([]*Retired, error)) error {
	if err := s.record(append(also, s.retiring(items)...)...); err != nil {
		return err
	}
	s.deleteAll(ctx, items)
	if s.Mode != Live {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // what was deleted is followed up in any case
	again, err := usedAgain(ctx)
	for _, item := range again {
		if err == nil {
			err = s.putBack(ctx, item)
		}
	}
	if err == nil {
		err = s.record(s.retired(items)...)
	}
	if err != nil {
		way := hint.Of(err)
		if way != "" {
			way += "; "
		}
		return hint.With(err, "%swhat was deleted is gone; retire again to look once more and complete the ledger", way)
	}
	return nil
}

// retiring gives the planned rows. A keyring Secret has none: its bytes follow from the
// keyring.
func (s *Session) retiring(items []*Retired) (rows []ledger.Row) {
	now := s.Now().UTC()
	for _, item := range items {
		if item.keyring == nil {
			row := item.Row
			row.Time, row.UID = now, item.Object.UID
			rows = append(rows, row)
		}
	}
	return rows
}

// retired gives the deleted rows: one for each object that the ledger takes to be there.
func (s *Session) retired(items []*Retired) (rows []ledger.Row) {
	now := s.Now().UTC()
	for _, item := range items {
		if item.keyring != nil || !item.deleted {
			continue
		}
		for _, uid := range item.UIDs {
			row := item.Row
			row.Time, row.UID, row.State = now, uid, ledger.Deleted
			rows = append(rows, row)
		}
	}
	return rows
}

// olderStays is why a newer generation was not deleted.
const olderStays = "an older generation of its name could not be deleted, and would be the current one"

// deleteAll deletes, of each name the oldest generation first: where one stays, so do the
// newer ones.
func (s *Session) deleteAll(ctx context.Context, items []*Retired) {
	progress := s.progress("deleting", len(items))
	stays := map[[2]string]bool{} // namespace and base name
	for _, batch := range plan.OldestFirst(items, func(item *Retired) manifest.Object { return item.Object }) {
		batch = slices.DeleteFunc(batch, func(item *Retired) bool {
			if stays[item.name()] {
				item.Outcome, item.Reason = plan.Failed, olderStays
			}
			return stays[item.name()]
		})
		objects := make([]manifest.Object, len(batch))
		for i, item := range batch {
			objects[i] = item.Object
		}
		s.Cluster.DeleteAll(ctx, objects, s.Parallel, s.Mode == Server, func(i int, result cluster.DeleteResult) {
			if batch[i].settle(result, ctx.Err() != nil); !batch[i].deleted {
				stays[batch[i].name()] = true
			}
			progress()
		})
	}
}

// name is the namespace and the base name.
func (r *Retired) name() [2]string { return [2]string{r.Object.Namespace, r.Object.Base} }

// settle turns a planned delete into its outcome.
func (r *Retired) settle(result cluster.DeleteResult, interrupted bool) {
	switch {
	case result.Fate == cluster.Gone:
		r.deleted = true
	case result.Fate == cluster.DeleteNotSent && interrupted:
		r.Outcome = plan.NotSent
	default:
		r.Outcome, r.Reason, r.Way = plan.Failed, result.Err.Error(), hint.Of(WithRights(result.Err, "retire"))
	}
}

// putBack creates exactly what was deleted: the same bytes under the same name do no harm.
func (s *Session) putBack(ctx context.Context, item *Retired) error {
	if item.keyring != nil {
		item.restored(s.Cluster.CreateSecret(ctx, item.keyring.Again(), false))
		return nil
	}
	row := item.Row
	row.Operation, row.State, row.UID, row.Time = ledger.Restore, ledger.Planned, "", s.Now().UTC()
	if err := s.record(row); err != nil {
		return err
	}
	result := s.Cluster.Create(ctx, row, false)
	item.restored(result)
	if result.Fate != cluster.Landed {
		return nil
	}
	row.State, row.UID, row.Time = ledger.Created, result.Object.UID, s.Now().UTC()
	return s.record(row)
}

// restored is the outcome of a Secret that was to be put back.
func (r *Retired) restored(result cluster.Result) {
	r.Outcome = plan.Restored
	if result.Fate != cluster.Landed {
		r.Outcome, r.Reason = plan.Failed, "it is in use again and could not be put back: "+result.Err.Error()
		r.Way = hint.Of(WithRights(result.Err, "retire"))
	}
}
