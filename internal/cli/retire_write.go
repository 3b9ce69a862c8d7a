// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keysecret"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
)

// carryOut deletes what may go: planned rows first, then the deletes, then
// another walk, because somebody may have begun to use one of them meanwhile. The
// ledger says deleted only after that, so that the run after one that was killed
// looks again.
func (r *retireRun) carryOut(ctx context.Context) error {
	going := r.going()
	if len(going) == 0 {
		return nil
	}
	r.announce(going)
	if err := r.confirm(ctx, r.o.yes || r.o.dryRun != dryRunNone, fmt.Sprintf("delete %s in %s?", counted(len(going), "Secret"), r.places())); err != nil {
		return err
	}
	if r.o.dryRun == dryRunClient {
		return nil
	}
	if r.o.dryRun == dryRunNone {
		if err := r.ledger.Append(planRows(going)...); err != nil {
			return err
		}
	}
	r.deleteAll(ctx, going)
	if r.o.dryRun != dryRunNone {
		return nil
	}
	err := r.lookAgain(context.WithoutCancel(ctx))
	if err == nil {
		err = r.ledger.Append(deletedRows(going)...)
	}
	if err != nil {
		return withHint(err, "what was deleted is gone; retire again to look once more and complete the ledger")
	}
	return nil
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
		if item.Learn {
			learned := row
			learned.Operation, learned.State = ledger.Learn, ledger.Created
			rows = append(rows, learned)
		}
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

func (r *retireRun) deleteAll(ctx context.Context, going []*retired) {
	objects := make([]manifest.Object, len(going))
	for i, item := range going {
		objects[i] = item.Object
	}
	bar, done := r.console.progress("deleting", len(going)), 0
	r.client.DeleteAll(ctx, objects, r.o.parallel, r.o.dryRun == dryRunServer, func(i int, result cluster.DeleteResult) {
		switch {
		case result.Fate == cluster.Gone:
			going[i].deleted = true
		case result.Fate == cluster.DeleteNotSent && ctx.Err() != nil:
			going[i].outcome = outcomeUnsent
		default:
			going[i].outcome, going[i].reason = outcomeFailed, result.Err.Error()
		}
		done++
		bar(done)
	})
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
		item.settle(r.client.CreateSecret(ctx, item.keyring.Again(), false))
		return nil
	}
	row := item.Row
	row.Operation, row.State, row.UID, row.Time = ledger.Restore, ledger.Planned, "", time.Now().UTC()
	if err := r.ledger.Append(row); err != nil {
		return err
	}
	result := r.client.Create(ctx, row, false)
	item.settle(result)
	if result.Fate != cluster.Landed {
		return nil
	}
	row.State, row.UID, row.Time = ledger.Created, result.Object.UID, time.Now().UTC()
	return r.ledger.Append(row)
}

func (item *retired) settle(result cluster.Result) {
	item.outcome = outcomeRestored
	if result.Fate != cluster.Landed {
		item.outcome, item.reason = outcomeFailed, "it is in use again and could not be put back: "+result.Err.Error()
	}
}

// dropKeys throws the previous keys away, if it is proven that nothing which the
// ledger ever recorded needs them.
func (r *retireRun) dropKeys(ctx context.Context) error {
	previous := r.source.ring.Previous()
	if len(previous) == 0 {
		return nil
	}
	holder, err := r.keyHolder()
	if err != nil {
		r.console.note("the previous keys stay: %v", err)
		return nil
	}
	reasons, err := r.needs(ctx, previous)
	if err != nil {
		return err
	}
	for _, reason := range reasons {
		r.console.say("key kept: " + reason)
	}
	if len(reasons) > 0 {
		r.left = true
		return nil
	}
	if r.o.dryRun == dryRunNone {
		e, err := holder.edit(keyring.Drop())
		if err != nil {
			return err
		}
		err = r.confirm(ctx, r.o.yes, fmt.Sprintf("nothing needs key %s any more: drop it from %s?", few(previous), holder.path))
		if errors.Is(err, errNotConfirmed) {
			r.console.say("key kept: not confirmed")
			r.left = true
			return nil
		}
		if err != nil {
			return err
		}
		if err := r.save(e); err != nil {
			return err
		}
	}
	for _, id := range previous {
		fmt.Fprintf(r.Out, "key/%s dropped%s\n", id, r.o.dryRun.suffix())
	}
	r.keyringNote(previous)
	r.console.note("tokens under it in git, in backups of etcd and in the ledger stay readable with it; programs that read Secrets through the API, and Helm's history, could not be looked at")
	return nil
}

// keyringNote says that a keyring Secret still has what the .env has not.
func (r *retireRun) keyringNote(dropped []string) {
	for _, held := range r.held {
		if slices.ContainsFunc(held.IDs, func(id string) bool { return slices.Contains(dropped, id) }) {
			r.console.next(hint.Format("secret/%s in namespace %s still holds it: kubectl fernet rollout%s writes the keyring without it and moves the workloads, then kubectl fernet retire%s",
				held.Name, held.Namespace, envFlag(r.o.env), envFlag(r.o.env)))
		}
	}
}

// needs says why a previous key is still needed, or may be. A cluster in which
// none of the Secrets is that the ledger recorded there is not taken for the one
// that the ledger means.
func (r *retireRun) needs(ctx context.Context, previous []string) (reasons []string, err error) {
	alone := seal.New(r.source.ring.Alone(), nil)
	found := map[string]int{} // Secrets, by cluster
	for _, place := range r.recordedPlaces() {
		client, err := r.reach(place.cluster)
		if err != nil {
			found[place.cluster] = -1
			reasons = append(reasons, fmt.Sprintf("cluster %q of the ledger was not reached: %s", place.cluster, oneLine(err.Error())))
			continue
		}
		n, needs, err := r.needsIn(ctx, client, place, alone, previous)
		if err != nil {
			return nil, err
		}
		found[place.cluster] += n
		reasons = append(reasons, needs...)
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if found[name] == 0 {
			reasons = append(reasons, fmt.Sprintf("cluster %q has none of the Secrets that the ledger recorded there, so it may be another one", name))
		}
		if found[name] <= 0 && name != r.target.cluster {
			r.console.hint(hint.Format("--forget-cluster %s if it is gone for good", name))
		}
	}
	return slices.Compact(reasons), nil
}

// needsIn looks at every Secret that the ledger recorded in one namespace, and at
// what carries the ids of the previous keys there; found is how many it has.
func (r *retireRun) needsIn(ctx context.Context, client *cluster.Client, place recordedPlace, alone *seal.Door, previous []string) (found int, reasons []string, err error) {
	where := fmt.Sprintf("namespace %q of cluster %q", place.namespace, place.cluster)
	objects, err := client.GetSecrets(ctx, place.namespace, place.secrets, r.o.parallel)
	if err != nil {
		return -1, []string{fmt.Sprintf("%s could not be looked at: %s", where, oneLine(err.Error()))}, ctx.Err()
	}
	var closed, labelled, lost []string
	live := map[string]bool{}
	for _, o := range objects {
		live[o.Name] = true
		if v := alone.Judge(plan.TokenOfObject(o)); !v.Opens && !r.willGo(o) {
			closed = append(closed, "secret/"+o.Name)
		}
	}
	for _, id := range previous {
		carrying, err := client.Labelled(ctx, place.namespace, manifest.LabelKeyID+"="+id)
		if err != nil {
			return len(objects), []string{fmt.Sprintf("%s could not be listed: %s", where, oneLine(err.Error()))}, ctx.Err()
		}
		for _, o := range carrying {
			if !r.willGo(o) && !slices.Contains(closed, "secret/"+o.Name) {
				labelled = append(labelled, "secret/"+o.Name+r.keyringHint(o))
			}
		}
	}
	for _, base := range sortedKeys(place.newest) {
		newest := place.newest[base]
		needsOther := func(record ledger.Record) bool { return !alone.Judge(plan.TokenOf(record)).Opens }
		if name := newest[0].Secret; !live[name] && slices.ContainsFunc(newest, needsOther) {
			lost = append(lost, "secret/"+name)
		}
	}
	if forgotten := place.cluster == r.target.cluster && slices.Contains(r.o.forgetNamespaces, place.namespace); len(lost) > 0 && !forgotten {
		reasons = append(reasons, fmt.Sprintf("%s: gone, and comes back only with a previous key: %s", where, few(lost)))
		r.console.hint(hint.Format("kubectl fernet restore -n %s, then kubectl fernet rotate%s; or --forget-namespace %s if it is gone for good", place.namespace, envFlag(r.o.env), place.namespace))
	}
	if len(closed) > 0 {
		reasons = append(reasons, fmt.Sprintf("%s: does not open with KEY alone: %s", where, few(closed)))
	}
	if len(labelled) > 0 {
		reasons = append(reasons, fmt.Sprintf("%s: carries the id of a previous key: %s", where, few(labelled)))
	}
	return len(objects), reasons, nil
}

// keyringHint is the way out where the newest keyring Secret of its name holds
// only previous keys: nothing that this tool does moves it on.
func (r *retireRun) keyringHint(o manifest.Object) string {
	if slices.ContainsFunc(r.held, func(h keysecret.Held) bool { return h.Object.UID == o.UID }) {
		return " (a keyring: kubectl fernet rollout moves what names it; delete it yourself if nothing does)"
	}
	return ""
}

// willGo says whether a dry run has an object down as deleted.
func (r *retireRun) willGo(o manifest.Object) bool {
	return r.o.dryRun != dryRunNone && slices.ContainsFunc(r.going(), func(item *retired) bool { return item.Object.UID == o.UID })
}

// recordedPlace is a namespace of a cluster, the Secrets that the ledger recorded
// there and that it does not know to be deleted, and of each base name the newest
// that was created, which holds its value if it has to come back. Those of the
// target are looked at also where the ledger has nothing: it may not be the whole
// one.
type recordedPlace struct {
	cluster, namespace string
	secrets            []string
	newest             map[string][]ledger.Record // several only where ledgers were merged
}

func (r *retireRun) recordedPlaces() (places []recordedPlace) {
	rows := r.rows
	if r.ledger != nil {
		rows = r.ledger.Rows() // those of this run too
	}
	for _, record := range ledger.Fold(rows) { // sorted by cluster, namespace, Secret
		live := record.State == ledger.Created || record.State == ledger.Planned
		if !live || slices.Contains(r.o.forget, record.Cluster) {
			continue
		}
		last := len(places) - 1
		if last < 0 || places[last].cluster != record.Cluster || places[last].namespace != record.Namespace {
			places = append(places, recordedPlace{cluster: record.Cluster, namespace: record.Namespace, newest: map[string][]ledger.Record{}})
			last++
		}
		place := &places[last]
		place.secrets = append(place.secrets, record.Secret)
		base, generation := manifest.SplitName(record.Secret)
		switch newest := place.newest[base]; {
		case record.State != ledger.Created:
		case newest == nil || generation > newest[0].Generation:
			place.newest[base] = []ledger.Record{record}
		case generation == newest[0].Generation:
			place.newest[base] = append(newest, record)
		}
	}
	for i := range places {
		places[i].secrets = slices.Compact(places[i].secrets)
	}
	for _, namespace := range r.target.namespaces {
		if !slices.ContainsFunc(places, func(p recordedPlace) bool { return p.cluster == r.target.cluster && p.namespace == namespace }) {
			places = append(places, recordedPlace{cluster: r.target.cluster, namespace: namespace})
		}
	}
	return places
}

// reach gives the client of a cluster that the ledger names.
func (r *retireRun) reach(name string) (*cluster.Client, error) {
	if name == r.target.cluster {
		return r.client, nil
	}
	config, err := otherCluster(r.connect, name)
	if err != nil {
		return nil, err
	}
	return cluster.Connect(config, r.trace())
}
