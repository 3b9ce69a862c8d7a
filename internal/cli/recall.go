// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

const (
	fromLedger  = "ledger"
	fromCluster = "cluster"
)

// recallOptions are the flags of the verbs that get values back.
type recallOptions struct {
	workOptions
	from        string
	fromCluster string

	generation int                    // reveal alone: this one instead of the current one
	asked      func(token.Token) bool // reveal alone: these and no others
}

func (o *recallOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.env, "env", defaultEnv, "the .env file; it may be missing")
	f.StringVar(&o.ledger, "ledger", "", "the ledger (default "+defaultLedger+" beside the .env)")
	f.StringVar(&o.keyFile, "key-file", "", "a file with KEY and KEY_PREVIOUS, instead of those in the .env")
	f.StringVar(&o.from, "from", fromLedger, "ledger (no cluster is needed) or cluster")
	f.StringVar(&o.fromCluster, "from-cluster", "", "the cluster, as the ledger names it, whose values are meant")
	f.StringSliceVar(&o.namespaces, "namespaces", nil, "several namespaces, comma-separated, instead of -n")
	f.BoolVar(&o.ignoreName, "ignore-cluster-name", false, "do not let CLUSTER_NAME of the .env choose or check the target")
}

func (o *recallOptions) validate(namespace string) error {
	o.parallel, o.match = defaultParallel, []string{defaultMatch}
	switch {
	case o.from != fromLedger && o.from != fromCluster:
		return withHint(errors.New("--from: neither the ledger nor the cluster"), "--from ledger, or --from cluster")
	case o.from == fromCluster && o.fromCluster != "":
		return withHint(errors.New("--from-cluster chooses among the ledger's clusters"), "--context chooses the cluster of --from cluster")
	}
	return o.workOptions.validate(namespace)
}

// loadKeys is load for the verbs that need keys and no entries: the .env may be
// missing if the keys are elsewhere.
func (a *app) loadKeys(o sourceOptions) (*source, error) {
	file, raw, err := envfile.ReadFile(o.env)
	if errors.Is(err, fs.ErrNotExist) {
		file, err = &envfile.File{Path: o.env}, nil
	}
	if err != nil {
		return nil, err
	}
	s := &source{options: o, file: file, raw: raw}
	return s, a.findKeys(s)
}

// value is one entry that was got back, and where it was.
type value struct {
	plan.Recalled
	entry envfile.Entry
}

func (v value) place() string {
	return fmt.Sprintf("namespace %q of cluster %q", v.Token.Namespace, v.Cluster)
}

// recall opens what the ledger or the cluster has of what was asked for.
func (a *app) recall(ctx context.Context, o recallOptions) ([]value, *source, error) {
	s, err := a.loadKeys(o.sourceOptions)
	if errors.Is(err, errKeyless) {
		err = withHint(err, "the key comes from %s, from --key-file or from FERNET_KEY", o.env)
	}
	if err != nil {
		return nil, nil, err
	}
	if o.asked == nil {
		o.asked = func(token.Token) bool { return true }
	}
	var found []plan.Recalled
	if o.from == fromCluster {
		found, err = a.recallLive(ctx, o, s)
	} else {
		found, err = a.recallRecorded(ctx, o, s)
	}
	if err != nil {
		return nil, nil, err
	}
	values, err := openAll(slices.DeleteFunc(found, func(r plan.Recalled) bool { return !o.asked(r.Token) }), s)
	return values, s, err
}

// openAll opens each token. Of several that are recorded under one name any one
// will do if all hold the same value.
func openAll(found []plan.Recalled, s *source) (values []value, err error) {
	door := seal.New(s.ring, nil)
	var doubtful []string
	for _, r := range found {
		plain, err := door.Open(r.Token)
		if err != nil {
			return nil, withHint(fmt.Errorf("%s in namespace %q of cluster %q: %w", r.Token.EnvKey, r.Token.Namespace, r.Cluster, err),
				"this keyring has %s", hint.List(s.ring.IDs()))
		}
		v := value{r, envfile.Entry{Name: r.Token.EnvKey, Value: plain}}
		values = append(values, v)
		if slices.ContainsFunc(r.Others, func(t token.Token) bool { return !door.SameValue(t, r.Token) }) {
			doubtful = append(doubtful, fmt.Sprintf("%s (%s in %s)", r.Token.EnvKey, r.Token.Secret, v.place()))
		}
	}
	if len(doubtful) > 0 {
		return nil, withHint(fmt.Errorf("the ledger has several tokens as created under one name, which hold different values: %s", hint.Few(doubtful)),
			"--from cluster: only one of them can be there")
	}
	return values, nil
}

func (a *app) recallRecorded(ctx context.Context, o recallOptions, s *source) ([]plan.Recalled, error) {
	keys := seal.New(s.ring, nil).Ledger()
	keys.Keep = func(row ledger.Row) bool { return o.generation > 0 && row.Generation == o.generation }
	book, err := ledger.Read(a.files, o.ledger, keys)
	if err != nil {
		return nil, err
	}
	namespaces := o.namespaces
	if *a.connect.Namespace != "" {
		namespaces = []string{*a.connect.Namespace}
	}
	asked := func(cluster, namespace string) bool {
		return (o.fromCluster == "" || cluster == o.fromCluster) && (len(namespaces) == 0 || slices.Contains(namespaces, namespace))
	}
	records := book.Records()
	found := slices.DeleteFunc(plan.Recall(records, o.generation), func(r plan.Recalled) bool { return !asked(r.Cluster, r.Token.Namespace) })
	if len(found) > 0 && o.generation == 0 {
		rotated := a.warnRotated(o, records, found)
		a.compareLive(ctx, o, s, book, found, rotated)
	}
	others := map[string]bool{}
	for _, r := range records {
		if r.Hint && r.State == ledger.Created && asked(r.Cluster, r.Namespace) {
			others[r.KeyID] = true
		}
	}
	switch {
	case len(found) == 0 && len(others) > 0:
		return nil, withHint(fmt.Errorf("%s: no row there is signed by a key of this keyring, which has %s; it has tokens under %s", o.ledger, strings.Join(s.ring.IDs(), ", "), hint.Few(sortedKeys(others))),
			"get that key; the keyring comes from %s, from --key-file or from FERNET_KEY", o.env)
	case len(found) == 0 && o.generation == 0:
		return nil, withHint(fmt.Errorf("%s: it records no Secret that was created there and not deleted", o.ledger), "check --ledger, -n and --from-cluster; or --from cluster")
	}
	return found, nil
}

// warnRotated warns of values that may be old: rows signed by a key that this keyring
// lacks have newer generations of them. Such rows prove nothing, so they change nothing.
func (a *app) warnRotated(o recallOptions, records []ledger.Record, found []plan.Recalled) bool {
	type entry struct{ cluster, namespace, envKey string }
	newest := map[entry]ledger.Record{}
	for _, r := range records {
		at := entry{r.Cluster, r.Namespace, r.EnvKey}
		if r.Hint && r.State == ledger.Created && r.Generation > newest[at].Generation {
			newest[at] = r
		}
	}
	var names []string
	for _, f := range found {
		if r := newest[entry{f.Cluster, f.Token.Namespace, f.Token.EnvKey}]; r.Generation > f.Generation {
			names = append(names, fmt.Sprintf("%s (%s in namespace %q, under key %s)", r.EnvKey, r.Secret, r.Namespace, r.KeyID))
		}
	}
	if len(names) > 0 {
		a.console.warn("%s has newer generations that this keyring cannot open: %s; if the key was rotated, get the current .env", o.ledger, hint.Few(names))
	}
	return len(names) > 0
}

// liveLimit is how long a verb that needs no cluster waits for one.
const liveLimit = 3 * time.Second

// compareLive warns where the cluster, if it can be asked, has newer values than
// the ledger: rows may have been removed from it, or it is not the current one.
// What the ledger itself has newer was said before.
func (a *app) compareLive(ctx context.Context, o recallOptions, s *source, book *ledger.Book, found []plan.Recalled, rotated bool) {
	quiet := *a
	quiet.console = newConsole(io.Discard)
	w, err := quiet.aimAt(o.workOptions, s, false)
	if err == nil {
		w.book = book
		err = w.index()
	}
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, liveLimit)
	defer cancel()
	looked := make(chan newerValues, 1)
	go func() { looked <- w.newerLive(ctx, found) }() // a credential plugin heeds no context
	select {
	case newer := <-looked:
		if len(newer.opened) > 0 {
			a.clusterNewer = true
			a.console.warn("the cluster has newer values than %s: %s; --from cluster gets them", o.ledger, hint.Few(newer.opened))
		}
		if len(newer.closed) > 0 && !rotated {
			a.console.warn("the cluster has newer generations than %s, and they do not tell their value: %s", o.ledger, hint.Few(newer.closed))
		}
	case <-ctx.Done():
	}
}

// newerValues names what a cluster has newer than the ledger: opened, and what does
// not tell its value.
type newerValues struct{ opened, closed []string }

// newerLive names what the cluster has newer than the ledger, or besides.
func (w *work) newerLive(ctx context.Context, found []plan.Recalled) (newer newerValues) {
	err := w.connectQuietly()
	recorded := map[string][]plan.Recalled{} // by namespace
	for _, r := range found {
		if r.Cluster == w.target.Cluster {
			recorded[r.Token.Namespace] = append(recorded[r.Token.Namespace], r)
		}
	}
	for _, namespace := range sortedKeys(recorded) {
		if err != nil {
			return newer
		}
		var view plan.View
		if view, err = w.labelled(ctx, namespace, plan.Mine(w.recordsIn(namespace), nil)); err != nil {
			return newer
		}
		live, unknown := plan.Live(view, plan.Evident(view, plan.Mine(view.Records, nil), w.door.Judge), w.door.Judge, w.source.ring)
		for _, n := range plan.Newer(recorded[namespace], live, unknown, w.door.SameValue) {
			if n.Reason == "" {
				newer.opened = append(newer.opened, fmt.Sprintf("%s (secret/%s in namespace %q)", n.Token.EnvKey, n.Token.Secret, namespace))
			} else {
				newer.closed = append(newer.closed, fmt.Sprintf("%s (secret/%s in namespace %q: %s)", n.Token.EnvKey, n.Token.Secret, namespace, n.Reason))
			}
		}
	}
	return newer
}

func (a *app) recallLive(ctx context.Context, o recallOptions, s *source) ([]plan.Recalled, error) {
	w, err := a.aimAt(o.workOptions, s, false)
	if err != nil {
		return nil, err
	}
	if _, err := w.open(false); err != nil {
		return nil, err
	}
	w.spread()
	a.console.begin(w.target.String())
	if err := w.connectTo(); err != nil {
		return nil, err
	}
	views, err := w.evidence(ctx)
	if err != nil {
		return nil, err
	}
	var found []plan.Recalled
	var untold []string
	for _, view := range views {
		live, unknown := plan.Live(view, plan.Evident(view, plan.Mine(view.Records, nil), w.door.Judge), w.door.Judge, s.ring)
		found = append(found, live...)
		for _, u := range unknown {
			if o.asked(u.Token) {
				untold = append(untold, fmt.Sprintf("%s (%s in namespace %q: %s)", u.Token.EnvKey, u.Token.Secret, u.Token.Namespace, u.Reason))
			}
		}
	}
	switch {
	case len(untold) > 0:
		return nil, withHint(fmt.Errorf("the cluster does not tell the current value of %s", hint.Few(untold)),
			"kubectl fernet verify%s says more, kubectl fernet restore%s puts back what is gone; or --from ledger", envFlag(o.env), envFlag(o.env))
	case len(found) == 0:
		return nil, withHint(w.nothing(views), "kubectl fernet status%s", envFlag(o.env))
	}
	plan.InOrder(found)
	return found, nil
}

// evidence gives the view of each namespace of the target, at what the ledger knows
// and at what else proves by itself that it is ours. The ledger has to mean this
// cluster; what is gone is for the caller to see.
func (w *work) evidence(ctx context.Context) (views []plan.View, err error) {
	var lost error
	right := false
	for _, namespace := range w.target.Namespaces {
		view, err := w.labelled(ctx, namespace, plan.Mine(w.recordsIn(namespace), nil))
		if err != nil {
			return nil, err
		}
		views = append(views, view)
		var wrong *plan.WrongClusterError
		if !errors.As(plan.CheckCluster(view), &wrong) {
			right = true
			continue
		}
		lost = withHint(wrong, "check --context and CLUSTER_NAME; if it is the right cluster and they were deleted: %s", w.again)
		if wrong.Secret != "" {
			return nil, lost
		}
	}
	if !right {
		return nil, lost
	}
	return views, nil
}

// labelled looks at some base names and at all that is labelled as this tool's. What
// turns out to be ours is looked at once more: not all of its generations need to
// have the label.
func (w *work) labelled(ctx context.Context, namespace string, mine []plan.Wanted) (plan.View, error) {
	view, err := w.observe(ctx, namespace, mine, true)
	if err != nil {
		return view, err
	}
	if all := plan.Evident(view, mine, w.door.Judge); len(all) > len(mine) {
		return w.labelled(ctx, namespace, all)
	}
	return view, nil
}

// nothing is the error of namespaces in which nothing is ours.
func (w *work) nothing(views []plan.View) error {
	what := "that the ledger knows"
	if len(w.records) == 0 {
		what = "that this keyring opens"
	}
	others, keys := 0, map[string]bool{}
	for _, view := range views {
		for _, o := range view.Objects {
			if o.Managed && o.KeyID != "" && !w.source.ring.Has(o.KeyID) {
				others++
				keys[o.KeyID] = true
			}
		}
	}
	if others == 0 {
		return fmt.Errorf("no Secret %s is in %s", what, w.target.Places())
	}
	return fmt.Errorf("no Secret %s is in %s; under other keys: %d (%s)", what, w.target.Places(), others, hint.Few(sortedKeys(keys)))
}

// bytesHint names the command that still gives a value which does not fit.
func (o *recallOptions) bytesHint(name string) hint.Text {
	return hint.Format("kubectl fernet reveal %s%s >FILE gives its bytes", name, envFlag(o.env))
}

// agreed gives one value for each name, and refuses where places differ, be it in
// the spelling of a name: nobody but the user can say which is meant.
func agreed(values []value) ([]value, error) {
	first := map[string]value{} // by base name
	var chosen []value
	var differing, spelled []string
	for _, v := range values {
		base, _ := names.Split(v.Token.Secret)
		was, seen := first[base]
		switch {
		case !seen:
			first[base] = v
			chosen = append(chosen, v)
		case was.entry.Name != v.entry.Name:
			spelled = append(spelled, fmt.Sprintf("%s in %s and %s in %s", was.entry.Name, was.place(), v.entry.Name, v.place()))
		case !was.entry.Value.Equal(v.entry.Value):
			differing = append(differing, fmt.Sprintf("%s in %s and in %s", v.entry.Name, was.place(), v.place()))
		}
	}
	const choose = "choose one: -n NAMESPACE, --from-cluster NAME"
	switch {
	case len(spelled) > 0:
		return nil, withHint(fmt.Errorf("several spellings of one name: %s", hint.Few(spelled)), choose)
	case len(differing) > 0:
		return nil, withHint(fmt.Errorf("several places have several values: %s", hint.Few(differing)), choose)
	}
	return chosen, nil
}
