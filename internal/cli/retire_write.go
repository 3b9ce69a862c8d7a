// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
)

// carryOut deletes what may go: planned rows first, then the deletes, then
// another walk, because somebody may have begun to use one of them meanwhile. The
// ledger says deleted only after that, so that the run after one that was killed
// looks again.
func (r *retireRun) carryOut(ctx context.Context) error {
	going := r.going()
	if len(going) == 0 {
		return r.confirmAll()
	}
	r.announce(going)
	if err := r.confirm(ctx, r.o.yes || r.o.dryRun != dryRunNone, fmt.Sprintf("delete %s in %s?", hint.Count(len(going), "Secret"), r.Target.Places())); err != nil {
		return err
	}
	if r.o.dryRun == dryRunClient {
		return nil
	}
	if r.o.dryRun == dryRunNone {
		if err := r.Record(append(r.Confirmed(r.views...), planRows(going)...)...); err != nil {
			return err
		}
	}
	r.deleteAll(ctx, going)
	if r.o.dryRun != dryRunNone {
		return nil
	}
	err := r.lookAgain(context.WithoutCancel(ctx))
	if err == nil {
		err = r.Record(deletedRows(going)...)
	}
	if err != nil {
		return withHint(err, "what was deleted is gone; retire again to look once more and complete the ledger")
	}
	return nil
}

// confirmAll completes the ledger by what is there.
func (r *retireRun) confirmAll() error {
	if r.o.dryRun != dryRunNone {
		return nil
	}
	return r.Record(r.Confirmed(r.views...)...)
}

// announce names what can no longer be returned to, before the question.
func (r *retireRun) announce(going []*retired) {
	if r.o.yes || r.o.dryRun != dryRunNone {
		return
	}
	for _, item := range going {
		r.console.say(fmt.Sprintf("secret/%s in %s", item.Object.Name, item.Object.Namespace))
		for _, text := range item.rollbacks() {
			r.console.say("  " + text)
		}
	}
}

func planRows(going []*retired) (rows []ledger.Row) {
	now := time.Now().UTC()
	for _, item := range going {
		if item.keyring != nil {
			continue
		}
		row := item.Row
		row.Time, row.UID = now, item.Object.UID
		rows = append(rows, row)
	}
	return rows
}

func deletedRows(going []*retired) (rows []ledger.Row) {
	now := time.Now().UTC()
	for _, item := range going {
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

// errOlder is why a newer generation was not deleted.
const errOlder = "an older generation of its name could not be deleted, and would be the current one"

// deleteAll deletes, of each name the oldest generation first.
func (r *retireRun) deleteAll(ctx context.Context, going []*retired) {
	bar, done := r.console.progress("deleting", len(going)), 0
	stuck := map[[2]string]bool{} // namespace and base name
	for _, step := range plan.OldestFirst(going, func(item *retired) manifest.Object { return item.Object }) {
		step = slices.DeleteFunc(step, func(item *retired) bool {
			older := stuck[[2]string{item.Object.Namespace, item.Object.Base}]
			if older {
				item.outcome, item.reason = outcomeFailed, errOlder
			}
			return older
		})
		objects := make([]manifest.Object, len(step))
		for i, item := range step {
			objects[i] = item.Object
		}
		r.Cluster.DeleteAll(ctx, objects, r.o.parallel, r.o.dryRun == dryRunServer, func(i int, result cluster.DeleteResult) {
			switch {
			case result.Fate == cluster.Gone:
				step[i].deleted = true
			case result.Fate == cluster.DeleteNotSent && ctx.Err() != nil:
				step[i].outcome = outcomeUnsent
			default:
				step[i].outcome, step[i].reason = outcomeFailed, result.Err.Error()
			}
			if !step[i].deleted {
				stuck[[2]string{step[i].Object.Namespace, step[i].Object.Base}] = true
			}
			done++
			bar(done)
		})
	}
}

// lookAgain puts back what somebody began to use between the walk and the
// delete: the same bytes under the same name do no harm.
func (r *retireRun) lookAgain(ctx context.Context) error {
	findings, err := r.walk(ctx)
	if err != nil {
		return err
	}
	for _, item := range r.going() {
		item.uses = slices.DeleteFunc(slices.Clone(findings[item.Object.Namespace]), func(f usage.Finding) bool {
			return f.Secret != item.Object.Name || f.Class == usage.History
		})
		if len(item.uses) == 0 {
			continue
		}
		if err := r.putBack(ctx, item); err != nil {
			return err
		}
		r.left = true
	}
	return nil
}

// putBack creates exactly what was deleted.
func (r *retireRun) putBack(ctx context.Context, item *retired) error {
	if item.keyring != nil {
		item.settle(r.Cluster.CreateSecret(ctx, item.keyring.Again(), false))
		return nil
	}
	row := item.Row
	row.Operation, row.State, row.UID, row.Time = ledger.Restore, ledger.Planned, "", time.Now().UTC()
	if err := r.Record(row); err != nil {
		return err
	}
	result := r.Cluster.Create(ctx, row, false)
	item.settle(result)
	if result.Fate != cluster.Landed {
		return nil
	}
	row.State, row.UID, row.Time = ledger.Created, result.Object.UID, time.Now().UTC()
	return r.Record(row)
}

func (item *retired) settle(result cluster.Result) {
	item.outcome = outcomeRestored
	if result.Fate != cluster.Landed {
		item.outcome, item.reason = outcomeFailed, "it is in use again and could not be put back: "+result.Err.Error()
	}
}
