// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

const restoreLong = `Create again what the ledger says was created and not deleted: every generation,
with the same names, the same tokens, the same metadata. The target may be any
cluster: after a disaster, the ledger rebuilds a namespace.

With the key only what it proves is created: rows that it signed, tokens that it
opens in their own place. The rest is listed, and the exit code is 1. Without a
key nothing can be proven, so whoever can write the ledger decides what is
created: restore then says what it would create and asks, and --yes goes only
together with -n or --namespaces.

What is there already stays as it is. Another namespace needs the key, because
a token's binding names its namespace.`

const restoreExample = `  # all namespaces that the ledger knows
  kubectl fernet restore

  # one of them, onto another cluster
  kubectl fernet restore -n production --context new --ignore-cluster-name

  # as a namespace of another name
  kubectl fernet restore -n production --to-namespace copy`

type restoreOptions struct {
	workOptions
	fromCluster, toNamespace string
	yes                      bool
}

// newRestore makes the verb; run is a.restore, or what a test puts in its place.
func newRestore(a *app, run func(context.Context, *restoreOptions) error) *cobra.Command {
	o := &restoreOptions{}
	cmd := &cobra.Command{
		Use:     "restore",
		Short:   "Create again what the ledger says was created",
		Long:    restoreLong,
		Example: restoreExample,
		Args:    noArguments,
		RunE:    runs(a, o, run),
	}
	f := cmd.Flags()
	o.addFlags(f)
	for _, name := range []string{"match", "allow-empty"} { // of no use here
		_ = f.MarkHidden(name)
	}
	f.StringVar(&o.fromCluster, "from-cluster", "", "the cluster, as the ledger names it, that is restored")
	f.StringVar(&o.toNamespace, "to-namespace", "", "another namespace to restore to; needs the key")
	f.BoolVar(&o.yes, "yes", false, "without a key: do not ask; goes with -n or --namespaces")
	return cmd
}

func (o *restoreOptions) validate(namespace string) error {
	if o.toNamespace != "" {
		if len(o.namespaces) > 1 || namespace == "" && len(o.namespaces) == 0 {
			return withHint(errors.New("--to-namespace restores one namespace"), "name it: -n NAMESPACE")
		}
		if err := names.CheckNamespace(o.toNamespace); err != nil {
			return err
		}
	}
	return o.workOptions.validate(namespace)
}

// restoreRun is one restore under way.
type restoreRun struct {
	*work
	o         *restoreOptions
	keyless   bool
	records   []ledger.Record
	confirmed []ledger.Row // that the ledger lacks of what is there
}

func (a *app) restore(ctx context.Context, o *restoreOptions) error {
	s, err := a.loadKeys(o.sourceOptions)
	keyless := errors.Is(err, errKeyless)
	if err != nil && !keyless {
		return err
	}
	w, err := a.aimAt(o.workOptions, s, false)
	if err != nil {
		return err
	}
	r := &restoreRun{work: w, o: o, keyless: keyless}
	close, err := w.open(o.dryRun == dryRunNone)
	defer close()
	if err != nil {
		return err
	}
	if err := r.choose(); err != nil {
		return err
	}
	a.console.begin(w.target.String())
	if err := w.connectTo(); err != nil {
		return err
	}
	live, err := r.live(ctx)
	if err != nil {
		return err
	}
	r.records = plan.StillCreated(r.records, w.target.Cluster, live)
	if err := r.settleConflicts(live); err != nil {
		return err
	}
	judge := w.door.Judge
	if keyless {
		judge = nil
	}
	decisions, err := r.heldBack(ctx, plan.Restore(r.records, w.target.Cluster, live, judge))
	if err != nil {
		return err
	}
	r.announce(decisions)
	if err := r.ask(ctx, decisions); err != nil {
		return err
	}
	sent, err := r.write(ctx, decisions)
	if !sent {
		return err
	}
	return cmp.Or(err, r.report(ctx, decisions))
}

// heldBack creates nothing in a namespace where a newer generation is live that this
// keyring lacks the key of: what it knows was retired, and would come back. Where only
// a row has the newer one, that entry alone is held back. What is there and proven,
// and not recorded yet, is confirmed.
func (r *restoreRun) heldBack(ctx context.Context, decisions []plan.Decision) ([]plan.Decision, error) {
	if r.keyless {
		return decisions, nil
	}
	created := map[string][]plan.Wanted{} // by namespace
	recorded := map[[2]string]bool{}      // namespace and name of what gets a row anyway
	for _, d := range decisions {
		if at := d.Row.Namespace; d.Outcome == plan.Created {
			base, _ := names.Split(d.Row.Secret)
			created[at] = append(created[at], plan.Wanted{EnvKey: d.Row.EnvKey, Base: base})
		}
		if d.Complete {
			recorded[[2]string{d.Row.Namespace, d.Row.Secret}] = true
		}
	}
	for _, namespace := range r.target.Namespaces {
		wanted := plan.Mine(r.recordsIn(namespace), created[namespace])
		view, err := r.observe(ctx, namespace, wanted, false)
		if err != nil {
			return nil, err
		}
		superseded := plan.Rotated(view, wanted, r.door.Judge, r.source.ring)
		if !plan.SupersededLive(superseded) {
			r.confirmed = append(r.confirmed, r.work.confirmed(view)...)
		}
		decisions = plan.HoldBack(decisions, superseded)
	}
	r.confirmed = slices.DeleteFunc(r.confirmed, func(row ledger.Row) bool { return recorded[[2]string{row.Namespace, row.Secret}] })
	return decisions, nil
}

// announce says what is about to be created: rows may have been removed from a
// ledger, so that it brings back what was retired.
func (r *restoreRun) announce(decisions []plan.Decision) {
	names := map[string][]string{}
	for _, d := range decisions {
		if d.Outcome == plan.Created {
			names[d.Row.Namespace] = append(names[d.Row.Namespace], d.Row.Secret)
		}
	}
	for _, namespace := range sortedKeys(names) {
		r.console.say(fmt.Sprintf("to create in namespace %q of cluster %q: %s", namespace, r.target.Cluster, strings.Join(names[namespace], ", ")))
	}
}

// ask confirms a restore that nothing authenticates.
func (r *restoreRun) ask(ctx context.Context, decisions []plan.Decision) error {
	if !r.keyless {
		return nil
	}
	r.console.warn("without a key nothing of this is authenticated: whoever can write %s decides what is created", r.o.ledger)
	n := 0
	for _, d := range decisions {
		if d.Outcome == plan.Created {
			n++
		}
	}
	if r.o.yes && !r.named() {
		return withHint(errors.New("--yes without a key goes only together with -n or --namespaces"), "name the namespaces that are to be restored, or give the key: --key-file, FERNET_KEY")
	}
	command := r.typed + " --yes"
	switch at := r.target.Namespaces; {
	case r.named():
	case len(at) == 1:
		command = hint.Format("%s -n %s --yes", r.typed, at[0])
	default:
		command = hint.Format("%s --namespaces %s --yes", r.typed, strings.Join(at, ","))
	}
	return r.confirmFor(ctx, r.o.yes || n == 0 || r.o.dryRun != dryRunNone, fmt.Sprintf("create %s in %s, unauthenticated?", hint.Count(n, "Secret"), r.target.Places()), command)
}

// choose picks the records to restore: of one cluster, and of the namespaces that
// were named.
func (r *restoreRun) choose() error {
	clusters := map[string]bool{}
	all := slices.DeleteFunc(r.book.Records(), func(record ledger.Record) bool { return record.State != ledger.Created })
	for _, record := range all {
		if !record.Hint {
			clusters[record.Cluster] = true
		}
	}
	if len(clusters) == 0 { // nothing will be created; the list says why
		for _, record := range all {
			clusters[record.Cluster] = true
		}
	}
	from := r.o.fromCluster
	switch {
	case from == "" && clusters[r.target.Cluster]:
		from = r.target.Cluster
	case from == "" && len(clusters) == 1:
		from = sortedKeys(clusters)[0]
	case from == "" && len(clusters) > 1:
		return withHint(fmt.Errorf("the ledger has several clusters: %s", hint.Few(sortedKeys(clusters))), "choose one: --from-cluster %s", sortedKeys(clusters)[0])
	}
	namespaces := r.o.namespaces
	if *r.connect.Namespace != "" {
		namespaces = []string{*r.connect.Namespace}
	}
	known, hinted := map[string]bool{}, map[string]bool{}
	for _, record := range all {
		if record.Cluster == from && (len(namespaces) == 0 || slices.Contains(namespaces, record.Namespace)) {
			r.records = append(r.records, record)
			// Where only hints name a namespace, nothing is asked of it: they may name any.
			hinted[record.Namespace] = true
			if !record.Hint || len(namespaces) > 0 {
				known[record.Namespace] = true
			}
		}
	}
	if len(r.records) == 0 {
		return withHint(fmt.Errorf("%s: it records nothing that was created there and not deleted", r.o.ledger), "check --ledger, -n and --from-cluster")
	}
	if r.target.Namespaces = sortedKeys(known); len(known) == 0 { // as with the clusters
		r.target.Namespaces = sortedKeys(hinted)
	}
	if r.o.toNamespace == "" {
		return nil
	}
	r.target.Namespaces = []string{r.o.toNamespace}
	return r.rebind()
}

// rebind moves the records to another namespace.
func (r *restoreRun) rebind() error {
	if r.keyless {
		return withHint(errors.New("--to-namespace needs the key: the binding of each token names its namespace"), "--key-file, or FERNET_KEY")
	}
	r.records = slices.DeleteFunc(r.records, func(record ledger.Record) bool { return record.Hint })
	for i := range r.records {
		t := r.records[i].Placed()
		if !r.door.Judge(t).Opens {
			continue // it is listed as unproven
		}
		t.Namespace = r.o.toNamespace
		binding, err := r.door.Rebind(t)
		if err != nil {
			return err
		}
		r.records[i] = r.records[i].Moved(t.Namespace, binding)
	}
	return nil
}

// live gives the Secrets of the records that are there now.
func (r *restoreRun) live(ctx context.Context) (live []manifest.Object, err error) {
	for _, namespace := range r.target.Namespaces {
		var names []string
		for _, record := range r.records {
			if record.Namespace == namespace {
				names = append(names, record.Secret)
			}
		}
		found, err := r.client.GetSecrets(ctx, namespace, names, r.o.parallel)
		if err != nil {
			return nil, err
		}
		live = append(live, found...)
	}
	return live, nil
}

// settleConflicts drops the records of a name that has another token now. Where a
// name was created with two tokens and has none, nobody can say which was there.
func (r *restoreRun) settleConflicts(live []manifest.Object) error {
	var torn []string
	for _, same := range ledger.Conflicts(r.records) {
		i := slices.IndexFunc(live, func(o manifest.Object) bool { return o.Namespace == same[0].Namespace && o.Name == same[0].Secret })
		if i < 0 {
			torn = append(torn, fmt.Sprintf("%s in namespace %q", same[0].Secret, same[0].Namespace))
			continue
		}
		if slices.ContainsFunc(same, func(record ledger.Record) bool { return record.Token == live[i].Token }) {
			r.records = slices.DeleteFunc(r.records, func(record ledger.Record) bool {
				return record.Namespace == live[i].Namespace && record.Secret == live[i].Name && record.Token != live[i].Token
			})
		}
	}
	if len(torn) == 0 {
		return nil
	}
	return withHint(fmt.Errorf("%s: two tokens are recorded as created under one name: %s", r.o.ledger, hint.Few(torn)),
		"two ledgers were merged; delete the rows of the one that was not there, which `git log -p` tells")
}

// write creates what is missing, in push's order: ask, plan durably, create,
// record. sent says that it came to creating, whatever the error.
func (r *restoreRun) write(ctx context.Context, decisions []plan.Decision) (sent bool, err error) {
	now := time.Now().UTC()
	var rows, durable []ledger.Row
	var at []int
	for i := range decisions {
		d := &decisions[i]
		d.Row.Time = now
		if d.Outcome == plan.Created {
			rows, at = append(rows, d.Row), append(at, i)
		}
		if d.Outcome == plan.Created || d.Complete {
			durable = append(durable, d.Row)
		}
	}
	if r.o.dryRun == dryRunClient {
		return true, nil
	}
	if err := r.preflight(ctx, rows, cluster.RefusesAll); err != nil {
		return false, err
	}
	record, closed := func(ledger.Row) {}, func() error { return nil }
	if r.o.dryRun == dryRunNone {
		if err := r.ledger.Append(slices.Concat(durable, r.confirmed)...); err != nil {
			return false, err
		}
		recorder := newRecorder(r.ledger, len(rows))
		record, closed = recorder.add, recorder.close
	}
	bar, done := r.console.progress("creating", len(rows)), 0
	r.client.CreateAll(ctx, rows, r.o.parallel, r.o.dryRun == dryRunServer, func(i int, result cluster.Result) {
		d := &decisions[at[i]]
		settle(d, result, ctx.Err() != nil, func(token.Token) token.Verdict { return token.Verdict{} })
		if row, ok := rowOf(rows[i], *d, result); ok {
			record(row)
		}
		done++
		bar(done)
	})
	if err := closed(); err != nil {
		return true, withHint(err, "what was created is in the cluster; restore again to complete the ledger")
	}
	return true, nil
}

// edited says whether rows were edited, so that what they were about is not known.
func (r *restoreRun) edited() bool {
	rows, _ := r.book.Edited()
	return len(rows) > 0
}

func (r *restoreRun) report(ctx context.Context, decisions []plan.Decision) error {
	if err := r.lines(decisions); err != nil {
		return err
	}
	r.explain(decisions)
	count := r.summary(decisions)
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case count[plan.Failed] > 0:
		return errEntries
	case count[plan.Foreign]+count[plan.Unproven]+count[plan.Superseded]+count[plan.Held] > 0, r.edited():
		return errFindings
	default:
		return nil
	}
}
