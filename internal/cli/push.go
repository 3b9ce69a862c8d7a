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

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
)

const (
	defaultParallel = 32
	deletionLimit   = 10 * time.Second
)

const pushLong = `Write the secrets of a .env into the cluster, encrypted.

Each entry whose name starts with SECRET becomes one immutable Secret that holds
a Fernet token. What is there already stays as it is; a changed value is written
under the next generation's name, and only with --update. Nothing is ever
deleted or overwritten. What was written where stands in the ledger.

What it says of an entry:

  created     a new immutable Secret
  unchanged   the cluster has this value already
  differs     the cluster has another value: --update
  orphan      pushed once, no longer in the .env; left alone
  foreign     somebody else's Secret has the name; left alone
  misplaced   a token of ours that was made for another place; left alone
  superseded  under a newer key than this .env has; its namespace is left alone
  held        not written because of a superseded entry beside it
  failed      the error is on stderr

The exit code is 0 when all is well, 1 when something needs your eye, 2 when
something failed, 130 when it was interrupted: the same command then finishes.`

const pushExample = `  # the SECRET entries of .env into the current namespace
  kubectl fernet push --env .env

  # what would happen, as the API server sees it
  kubectl fernet push --dry-run=server

  # changed values become the next generation, in two namespaces
  kubectl fernet push --update --namespaces staging,production

  # manifests to commit, without a cluster
  kubectl fernet push --dry-run=client --record -o yaml`

// pushOptions is a push as the flags ask for it.
type pushOptions struct {
	sourceOptions
	namespaces  []string
	ignoreName  bool
	update      bool
	record      bool
	sameCluster bool
	parallel    int
	dryRun      dryRun
	print       *printOptions
}

// newPush makes the verb; run is a.push, or what a test puts in its place.
func newPush(a *app, run func(context.Context, *pushOptions) error) *cobra.Command {
	o := &pushOptions{print: newPrintOptions()}
	var assumeYes bool
	cmd := &cobra.Command{
		Use:     "push",
		Short:   "Write the secrets of a .env into the cluster, encrypted",
		Long:    pushLong,
		Example: pushExample,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.complete()
			if cmd.Flags().Changed("namespaces") && len(o.namespaces) == 0 {
				return errors.New("--namespaces names none")
			}
			if err := o.validate(*a.connect.Namespace); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	o.addFlags(f)
	f.StringSliceVar(&o.namespaces, "namespaces", nil, "several namespaces, comma-separated, instead of -n")
	f.BoolVar(&o.ignoreName, "ignore-cluster-name", false, "do not let CLUSTER_NAME of the .env choose or check the target")
	f.BoolVar(&o.update, "update", false, "write the next generation of what differs")
	f.BoolVar(&o.record, "record", false, "with --dry-run=client: write the planned rows, so that the printed tokens are the ones a push sends")
	f.BoolVar(&o.sameCluster, "same-cluster", false, "this is the cluster that the ledger knows, although what it recorded is gone: create it again")
	f.IntVar(&o.parallel, "parallel", defaultParallel, "requests under way at once")
	f.BoolVar(&assumeYes, "yes", false, "accepted for scripts; push never asks")
	f.Var(&o.dryRun, "dry-run", "none, client (no cluster is needed) or server")
	f.Lookup("dry-run").NoOptDefVal = string(dryRunClient)
	o.print.addFlags(cmd)
	return cmd
}

func (o *pushOptions) validate(namespace string) error {
	switch {
	case namespace != "" && len(o.namespaces) > 0:
		return errors.New("-n and --namespaces exclude each other")
	case o.parallel < 1:
		return fmt.Errorf("--parallel %d: at least one request must be under way", o.parallel)
	case o.record && o.dryRun != dryRunClient:
		return errors.New("--record goes with --dry-run=client")
	}
	if name := duplicate(o.namespaces); name != "" {
		return fmt.Errorf("--namespaces names %q twice", name)
	}
	if err := o.print.validate(); err != nil {
		return err
	}
	return o.sourceOptions.validate()
}

func duplicate(names []string) string {
	sorted := slices.Sorted(slices.Values(names))
	for i := 1; i < len(sorted); i++ {
		if sorted[i] == sorted[i-1] {
			return sorted[i]
		}
	}
	return ""
}

// pushRun is one push under way.
type pushRun struct {
	*app
	o       *pushOptions
	source  *source
	door    *seal.Door
	target  target
	client  *cluster.Client // nil in a client dry run
	ledger  *ledger.Ledger  // nil in a dry run that writes no rows
	records []ledger.Record // of the target's cluster
}

// push runs the pipeline: read, look, decide, seal, record, create, record, report.
func (a *app) push(ctx context.Context, o *pushOptions) error {
	s, err := a.load(o.sourceOptions)
	if err != nil {
		return err
	}
	clusterName, err := s.clusterName()
	if err != nil {
		return err
	}
	t, err := targetRequest{
		connect: a.connect, clusterName: clusterName, namespaces: o.namespaces,
		ignoreName: o.ignoreName, offline: o.dryRun == dryRunClient,
	}.resolve()
	if err != nil {
		return err
	}
	r := &pushRun{app: a, o: o, source: s, target: t, door: seal.New(s.ring, s.entries)}
	if o.record && t.cluster == "" {
		return withHint(errors.New("--record needs the name of a cluster"), "set CLUSTER_NAME in %s, or pass --context", o.env)
	}
	a.console.begin(t.line())
	close, err := r.open()
	if err != nil {
		return err
	}
	defer close()
	decisions, err := r.decide(ctx)
	if err != nil {
		return err
	}
	sent, err := r.write(ctx, decisions)
	if !sent {
		return err
	}
	// What was created has to be told, also if it could not be recorded.
	return cmp.Or(err, r.report(ctx, decisions))
}

// open takes the lock and reads the ledger; a run that writes no row takes no lock.
func (r *pushRun) open() (close func(), err error) {
	close = func() {}
	var rows []ledger.Row
	path := r.o.ledger
	if r.o.dryRun == dryRunNone || r.o.record {
		lock, err := ledger.Lock(path)
		if err != nil {
			return close, err
		}
		close = func() { _ = lock.Unlock() }
		if _, err := atomicfile.CleanLeftover(atomicfile.OS, r.o.env); err != nil {
			return close, err
		}
		if err := r.source.unchanged(); err != nil {
			return close, err
		}
		if r.ledger, err = ledger.Open(atomicfile.OS, path, lock); err != nil {
			return close, err
		}
		for _, note := range r.ledger.Notes() {
			r.console.note("%s", note)
		}
		rows = r.ledger.Rows()
	} else if rows, err = ledger.Read(atomicfile.OS, path); err != nil {
		return close, err
	}
	return close, r.index(rows)
}

// index folds the rows and refuses a ledger that this keyring cannot read.
func (r *pushRun) index(rows []ledger.Row) error {
	others := map[string]bool{}
	for _, record := range ledger.Fold(rows) {
		if record.Cluster == r.target.cluster {
			r.records = append(r.records, record)
		} else {
			others[record.Cluster] = true
		}
	}
	for _, same := range ledger.Conflicts(r.records) {
		r.console.warn("%s: %d tokens are recorded as created for Secret %s in namespace %s; the cluster decides which is there", r.o.ledger, len(same), same[0].Secret, same[0].Namespace)
	}
	if len(r.records) == 0 && len(others) > 0 {
		r.console.note("the ledger has nothing of cluster %q yet; it has %s", r.target.cluster, few(sortedKeys(others)))
	}
	if err := r.checkKeys(); err != nil {
		return err
	}
	return r.checkBindings()
}

// checkBindings refuses a ledger in which a token of a target namespace stands
// in another row than its own.
func (r *pushRun) checkBindings() error {
	for _, record := range r.records {
		if record.State == ledger.Deleted || !slices.Contains(r.target.namespaces, record.Namespace) {
			continue
		}
		if v := r.door.Judge(plan.TokenOf(record)); v.Opens && v.Binding != plan.BindingHolds {
			return withHint(fmt.Errorf("%s: the token recorded for Secret %s in namespace %s was made for another place", r.o.ledger, record.Secret, record.Namespace),
				"the row was edited: take the ledger from git or a backup, or delete that row")
		}
	}
	return nil
}

// checkKeys refuses to go on when no key opens any of the ledger's tokens in
// the target namespaces: that is another .env, or its key was lost.
func (r *pushRun) checkKeys() error {
	unknown := map[string]bool{}
	wanted := map[string]bool{}
	for _, w := range r.source.wanted {
		wanted[w.Base] = true
	}
	for _, record := range r.records {
		base, _ := manifest.SplitName(record.Secret)
		if record.State != ledger.Created || !wanted[base] || !slices.Contains(r.target.namespaces, record.Namespace) {
			continue
		}
		if r.source.ring.Has(record.KeyID) {
			return nil
		}
		unknown[record.KeyID] = true
	}
	if len(unknown) == 0 {
		return nil
	}
	ids := few(sortedKeys(unknown))
	return withHint(fmt.Errorf("the keys of %s are %s, but the ledger's tokens here are under %s", r.o.env, strings.Join(r.source.ring.IDs(), ", "), ids),
		"get the .env with that key; if KEY is a new one, put the key %s into KEY_PREVIOUS", ids)
}

// decide looks at each namespace and plans it.
func (r *pushRun) decide(ctx context.Context) ([]plan.Decision, error) {
	if r.o.dryRun != dryRunClient && len(r.source.wanted) > 0 {
		config, err := r.target.restConfig()
		if err != nil {
			return nil, err
		}
		if r.client, err = cluster.Connect(config, r.trace()); err != nil {
			return nil, err
		}
	}
	var all []plan.Decision
	for _, namespace := range r.target.namespaces {
		view, err := r.look(ctx, namespace)
		if err != nil {
			return nil, err
		}
		decisions, err := plan.Push(view, r.source.wanted, r.door.Judge, r.source.ring, r.o.update)
		if err != nil {
			return nil, r.located(err)
		}
		all = append(all, decisions...)
		all = append(all, plan.Orphans(view, r.inEnv)...)
	}
	return all, nil
}

func (r *pushRun) inEnv(name string) bool {
	_, ok := r.source.file.Lookup(name)
	return ok
}

// located adds the place in the .env to an error about an entry.
func (r *pushRun) located(err error) error {
	var spelling *plan.SpellingError
	if errors.As(err, &spelling) {
		e, _ := r.source.file.Lookup(spelling.Want.EnvKey)
		return r.source.at(e, spelling.Error(), "spell it as it was pushed: "+spelling.Spelling)
	}
	return err
}

// look gives the view of one namespace, from the cluster or, in a client dry
// run, from the ledger alone.
func (r *pushRun) look(ctx context.Context, namespace string) (plan.View, error) {
	var records []ledger.Record
	for _, record := range r.records {
		if record.Namespace == namespace {
			records = append(records, record)
		}
	}
	if r.client == nil {
		return plan.Offline(r.target.cluster, namespace, records), nil
	}
	view := plan.View{Cluster: r.target.cluster, Namespace: namespace, Records: records}
	objects, listed, err := r.client.Observe(ctx, namespace, plan.InterestOf(records, r.source.wanted), r.o.parallel)
	if err != nil {
		return view, err
	}
	if !listed && len(records) == 0 {
		r.console.note("namespace %q: not allowed to list Secrets; the ledger is the only memory of earlier generations", namespace)
	}
	view.Objects = objects
	if r.o.dryRun == dryRunNone {
		newest, older := plan.SplitNewest(objects)
		if newest, view.Gone, err = r.client.AwaitGone(ctx, newest, deletionLimit); err != nil {
			return view, err
		}
		view.Objects = slices.Concat(newest, older)
	}
	if err := plan.CheckCluster(view); err != nil && !r.o.sameCluster {
		return view, withHint(err, "check --context and CLUSTER_NAME; if it is the right cluster and they were deleted: %s --same-cluster", r.typed)
	}
	return view, nil
}

// trace shows requests with -v, and the first time that the API server
// throttles in any case.
func (r *pushRun) trace() cluster.Trace {
	told := newOnce()
	return func(e cluster.Exchange) {
		if e.Status == 429 && told() {
			r.console.note("the API server throttles this client (429); waiting as it asks (Retry-After: %s s)", e.RetryAfter)
		}
		if r.verbose > 0 {
			r.console.say(fmt.Sprintf("%s %s %d in %d ms", e.Method, e.Path, e.Status, e.Took.Milliseconds()))
		}
	}
}
