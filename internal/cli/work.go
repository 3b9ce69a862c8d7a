// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
	"github.com/kubectl-fernet/kubectl-fernet/internal/target"
)

const (
	defaultParallel = 32
	deletionLimit   = 10 * time.Second
)

// workOptions are the flags of every verb that brings an .env, a ledger and a
// cluster together.
type workOptions struct {
	sourceOptions
	namespaces  []string
	contexts    []string
	ignoreName  bool
	sameCluster bool // push only: what was recorded may be gone
	ignoreKeys  []string
	parallel    int
	dryRun      dryRun
}

func (o *workOptions) addFlags(f *pflag.FlagSet) {
	o.sourceOptions.addFlags(f)
	f.StringSliceVar(&o.namespaces, "namespaces", nil, "several namespaces, comma-separated, instead of -n")
	f.BoolVar(&o.ignoreName, "ignore-cluster-name", false, "do not let CLUSTER_NAME of the .env choose or check the target")
	f.StringArrayVar(&o.ignoreKeys, "ignore-key", nil, "the id of a key whose ledger rows hold nothing back, repeatable; Secrets under it still do")
	f.IntVar(&o.parallel, "parallel", defaultParallel, "requests under way at once")
	f.Var(&o.dryRun, "dry-run", "none, client (nothing is sent) or server")
	f.Lookup("dry-run").NoOptDefVal = string(dryRunClient)
}

func (o *workOptions) validate(namespace string) error {
	switch {
	case o.namespaces != nil && len(o.namespaces) == 0:
		return errors.New("--namespaces names none")
	case namespace != "" && len(o.namespaces) > 0:
		return errors.New("-n and --namespaces exclude each other")
	case o.parallel < 1:
		return fmt.Errorf("--parallel %d: at least one request must be under way", o.parallel)
	}
	if slices.ContainsFunc(o.ignoreKeys, func(id string) bool { return !keyID.MatchString(id) }) {
		return errors.New("--ignore-key takes the id of a key, such as kab12cd34, never a key")
	}
	if name := duplicate(o.namespaces); name != "" {
		return fmt.Errorf("--namespaces names %q twice", name)
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

// work is what such a verb works with.
type work struct {
	*app
	o       workOptions
	source  *source
	door    *seal.Door
	target  target.Target
	client  *cluster.Client // nil until connectTo
	ledger  *ledger.Ledger  // nil in a run that writes no rows
	book    *ledger.Book    // what the rows of the ledger add up to
	known   map[string]placeRecords
	records []ledger.Record // of the target's cluster: evidence and hints
	blank   bool            // the ledger had no evidence when it was opened

	unlisted map[string]bool // namespaces in which Secrets may not be listed
	again    hint.Text       // the command that puts back what was deleted
	update   hint.Text       // the command that publishes changed values
}

// placeRecords are what the ledger had of one namespace when it was opened.
type placeRecords struct {
	records []ledger.Record
	past    *ledger.Past
}

// aim reads the .env and finds the target.
func (a *app) aim(o workOptions, offline bool) (*work, error) {
	s, err := a.load(o.sourceOptions)
	if err != nil {
		return nil, err
	}
	return a.aimAt(o, s, offline)
}

// start is how the verbs of a rotation begin: read the .env, find the target,
// take the lock, read the ledger, and say the target. Without -n the target is all
// namespaces that the ledger knows. close has to be called in any case.
func (a *app) start(o workOptions) (w *work, close func(), err error) {
	if w, err = a.aim(o, false); err != nil {
		return nil, func() {}, err
	}
	if close, err = w.open(o.dryRun == dryRunNone); err != nil {
		return nil, close, err
	}
	w.spread()
	a.console.begin(w.target.String())
	return w, close, w.connectTo()
}

// aimAt finds the target of an .env that has been read.
func (a *app) aimAt(o workOptions, s *source, offline bool) (*work, error) {
	clusterName, err := s.clusterName()
	if err != nil {
		return nil, err
	}
	if err := o.checkContexts(clusterName); err != nil {
		return nil, err
	}
	where := a.where(o)
	where.ClusterName, where.Offline = clusterName, offline
	t, err := where.Resolve()
	if err != nil {
		return nil, err
	}
	return &work{app: a, o: o, source: s, target: t, door: seal.New(s.ring, s.entries), unlisted: map[string]bool{},
		again: "kubectl fernet restore" + envFlag(o.env), update: "kubectl fernet push --update" + envFlag(o.env),
	}, nil
}

// open takes the lock and reads the ledger; a run that writes no row takes no lock.
// With an error nothing is locked.
func (w *work) open(write bool) (close func(), err error) {
	close = func() {}
	defer func() {
		if err != nil {
			close()
		}
	}()
	path := w.o.ledger
	if write {
		lock, err := ledger.Lock(path)
		if err != nil {
			return close, err
		}
		close = func() { _ = lock.Unlock() }
		if err := w.guard(); err != nil {
			return close, err
		}
		if w.ledger, err = ledger.Open(w.files, path, lock, w.ledgerKeys()); err != nil {
			return close, err
		}
		for _, note := range w.ledger.Notes() {
			w.console.note("%s", note)
		}
		w.book = w.ledger.Book()
	} else if w.book, err = ledger.Read(w.files, path, w.ledgerKeys()); err != nil {
		return close, err
	}
	return close, w.index()
}

// guard takes the files that hold keys, where there are any, under the lock too:
// what a killed run left of their next content goes, and the .env has to be as it
// was read.
func (w *work) guard() error {
	if path := w.o.keyFile; path != "" && !sameFile(path, w.o.env) {
		if _, err := atomicfile.CleanLeftover(w.files, path); err != nil {
			return err
		}
	}
	if w.source.raw == nil {
		return nil
	}
	if _, err := atomicfile.CleanLeftover(w.files, w.o.env); err != nil {
		return err
	}
	return w.source.unchanged()
}

// ledgerKeys gives the ledger what it uses of the keyring, where there is one.
func (w *work) ledgerKeys() ledger.Keys {
	if w.source.ring == nil {
		return ledger.Keys{}
	}
	return w.door.Ledger()
}

// index takes what the ledger has of the target's cluster. Offline, where nothing
// names one, that is the ledger's only one.
func (w *work) index() error {
	clusters := w.book.Clusters()
	if n := len(clusters); w.target.Cluster == "" && n > 0 {
		w.target.Cluster = clusters[0]
		if last := clusters[n-1]; last != w.target.Cluster {
			return withHint(fmt.Errorf("%s has several clusters, such as %s and %s, and nothing says which is meant", w.o.ledger, w.target.Cluster, last),
				"CLUSTER_NAME in %s, or --context", w.o.env)
		}
	}
	w.blank = len(clusters) == 0
	w.known = map[string]placeRecords{}
	for _, namespace := range w.book.Namespaces(w.target.Cluster) {
		records, past := w.book.At(w.target.Cluster, namespace)
		w.known[namespace] = placeRecords{records, past}
		w.records = append(w.records, records...)
	}
	for _, same := range ledger.Conflicts(w.records) {
		w.console.warn("%s: %d tokens are recorded as created for Secret %s in namespace %s; the cluster decides which is there", w.o.ledger, len(same), same[0].Secret, same[0].Namespace)
	}
	if edited, more := w.book.Edited(); len(edited) == 1 {
		w.console.warn("%s:%d: a row was edited, and is not what the key signed that it names: kubectl fernet verify%s", w.o.ledger, edited[0].Line, envFlag(w.o.env))
	} else if len(edited) > 1 {
		w.console.warn("%s:%d and %d more: rows were edited, and are not what the keys signed that they name: kubectl fernet verify%s", w.o.ledger, edited[0].Line, len(edited)-1+more, envFlag(w.o.env))
	}
	if len(clusters) > 0 && !slices.Contains(clusters, w.target.Cluster) {
		w.console.note("the ledger has nothing of cluster %q yet; it has %s", w.target.Cluster, hint.Few(clusters))
	}
	return nil
}

// checkKeys refuses to go on where the ledger knows every wanted entry, and each
// only under keys that are not held: that is another .env, or its key was lost.
func (w *work) checkKeys() error {
	unknown := map[string]bool{}
	wanted := map[string]bool{}
	for _, entry := range w.source.wanted {
		wanted[entry.Base] = true
	}
	for _, namespace := range w.target.Namespaces {
		named := map[string]bool{}
		for _, record := range w.known[namespace].records {
			base, _ := names.Split(record.Secret)
			if record.State != ledger.Created || !wanted[base] || slices.Contains(w.o.ignoreKeys, record.KeyID) {
				continue
			}
			if w.source.ring.Has(record.KeyID) {
				return nil
			}
			unknown[record.KeyID], named[base] = true, true
		}
		if len(named) < len(wanted) {
			return nil
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	ids := hint.List(sortedKeys(unknown))
	return withHint(fmt.Errorf("the keys of %s are %s, but the ledger's tokens here are under %s", w.o.env, strings.Join(w.source.ring.IDs(), ", "), ids),
		"get the .env with that key; if KEY is a new one, put the key %s into KEY_PREVIOUS", hint.List(sortedKeys(unknown)))
}

// connectTo makes the client of the target's cluster.
func (w *work) connectTo() error {
	config, err := w.target.Config()
	if err != nil {
		return err
	}
	w.client, err = cluster.Connect(config, w.trace())
	return err
}

// connectQuietly is connectTo for a question that is not worth a prompt.
func (w *work) connectQuietly() error {
	config, err := w.target.Config()
	if err != nil {
		return err
	}
	if config.ExecProvider != nil {
		config.ExecProvider.InteractiveMode = clientcmdapi.NeverExecInteractiveMode
	}
	w.client, err = cluster.Connect(config, nil)
	return err
}

func (w *work) inEnv(name string) bool {
	_, ok := w.source.file.Lookup(name)
	return ok
}

// located adds the place in the .env to an error about an entry.
func (w *work) located(err error) error {
	var spelling *plan.SpellingError
	if errors.As(err, &spelling) {
		e, _ := w.source.file.Lookup(spelling.Want.EnvKey)
		return w.source.at(e, spelling.Error(), hint.Format("spell it as it was pushed: %s", spelling.Spelling))
	}
	return err
}

// look gives the view of one namespace, from the cluster or, in a client dry
// run, from the ledger alone.
func (w *work) look(ctx context.Context, namespace string, wanted []plan.Wanted) (plan.View, error) {
	view, err := w.observe(ctx, namespace, wanted, false)
	if err != nil || w.client == nil {
		return view, err
	}
	if err := plan.CheckCluster(view); err != nil && !w.o.sameCluster && !w.rotatedAway(view, err) {
		return view, withHint(err, "check --context and CLUSTER_NAME; if it is the right cluster and they were deleted: %s", w.again)
	}
	return view, nil
}

// rotatedAway says whether what the ledger recorded is gone because newer generations
// replaced it, under a key that this keyring lacks: that is no wrong cluster.
func (w *work) rotatedAway(view plan.View, err error) bool {
	var wrong *plan.WrongClusterError
	return errors.As(err, &wrong) && wrong.Secret == "" && w.door != nil && plan.SupersededLive(plan.Rotated(view, w.source.wanted, w.door.Judge, w.source.ring))
}

// observe is look without a judgement whether this is the right cluster; labelled
// adds whatever carries our label, under any name.
func (w *work) observe(ctx context.Context, namespace string, wanted []plan.Wanted, labelled bool) (plan.View, error) {
	at := w.known[namespace]
	if w.client == nil {
		return w.completed(plan.Offline(w.target.Cluster, namespace, at.records, at.past)), nil
	}
	in := plan.InterestOf(at.records, at.past, wanted, w.o.ignoreKeys)
	in.Labelled = labelled
	objects, listed, err := w.client.Observe(ctx, namespace, in, w.o.parallel)
	if err != nil {
		return plan.View{}, err
	}
	if !listed && len(at.records) == 0 {
		w.console.note("namespace %q: not allowed to list Secrets; the ledger is the only memory of earlier generations", namespace)
	}
	w.unlisted[namespace] = !listed
	var gone []manifest.Object
	if w.ledger != nil && w.o.dryRun == dryRunNone { // who only looks does not wait
		newest, older := plan.SplitNewest(objects)
		if newest, gone, err = w.client.AwaitGone(ctx, newest, deletionLimit); err != nil {
			return plan.View{}, err
		}
		objects = slices.Concat(newest, older)
	}
	return w.completed(plan.NewView(w.target.Cluster, namespace, at.records, at.past, objects, gone)), nil
}

// completed adds to a view what the whole run knows.
func (w *work) completed(view plan.View) plan.View {
	view.Ledger, view.Ignore = w.o.ledger, w.o.ignoreKeys
	view.Edits = w.book.EditedIn(view.Cluster, view.Namespace)
	return view
}

// named says whether the user named namespaces.
func (w *work) named() bool { return *w.connect.Namespace != "" || len(w.o.namespaces) > 0 }

// spread takes all namespaces that the ledger knows in this cluster as the
// target, unless some were named.
func (w *work) spread() {
	if w.named() {
		return
	}
	if known := w.recordedNamespaces(); len(known) > 0 {
		w.target.Namespaces = known
	}
}

// recordedNamespaces are those of which the ledger's evidence has more than the past.
func (w *work) recordedNamespaces() []string {
	known := map[string]bool{}
	for _, record := range w.records {
		if !record.Hint && (record.State == ledger.Created || record.State == ledger.Planned) {
			known[record.Namespace] = true
		}
	}
	return sortedKeys(known)
}

// lookAll gives the view of each namespace of the target, at what is ours there.
// One that has lost all that the ledger recorded there is left out, if another one
// shows that this is the cluster that the ledger means.
func (w *work) lookAll(ctx context.Context) ([]plan.View, error) {
	var views []plan.View
	var lost error
	for _, namespace := range w.target.Namespaces {
		view, err := w.look(ctx, namespace, plan.Mine(w.recordsIn(namespace), w.source.wanted))
		var wrong *plan.WrongClusterError
		switch {
		case errors.As(err, &wrong) && wrong.Secret == "":
			lost = err
			w.console.note("namespace %q is left out: none of the %d Secrets that the ledger recorded there is left", namespace, wrong.Recorded)
			continue
		case err != nil:
			return nil, err
		}
		views = append(views, view)
	}
	if len(views) == 0 {
		return nil, lost
	}
	return views, nil
}

// recordsIn gives what the ledger has of one namespace of the target's cluster.
func (w *work) recordsIn(namespace string) []ledger.Record { return w.known[namespace].records }

// confirmed gives the created rows that the ledger lacks of what is in these
// views and proven ours.
func (w *work) confirmed(views ...plan.View) (rows []ledger.Row) {
	now := time.Now().UTC()
	for _, view := range views {
		for _, row := range plan.Confirm(view, plan.Mine(view.Records, w.source.wanted), w.door.Judge, w.source.ring) {
			row.Time = now
			rows = append(rows, row)
		}
	}
	return rows
}

// trace shows requests with -v, and the first time that the API server
// throttles in any case.
func (w *work) trace() cluster.Trace {
	told := newOnce()
	return func(e cluster.Exchange) {
		if e.Status == 429 && told() {
			w.console.note("the API server throttles this client (429); waiting as it asks (Retry-After: %s s)", e.RetryAfter)
		}
		if w.verbose > 0 {
			w.console.say(fmt.Sprintf("%s %s %d in %d ms", e.Method, e.Path, e.Status, e.Took.Milliseconds()))
		}
	}
}
