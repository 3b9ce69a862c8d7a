// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// Recall gets values back, from the ledger or from the cluster.
type Recall struct {
	Live        bool                   // from the cluster
	FromCluster string                 // from the ledger: whose values, as the ledger names it
	Generation  int                    // from the ledger: this one instead of the current one
	Asked       func(token.Token) bool // these and no others; nil: all that belong to the .env
}

// Flags gives the flags with which a command of a hint looks for the same values.
func (r Recall) Flags(paths Paths) hint.Text {
	flags := paths.Flags()
	if r.Live {
		flags += " --from cluster"
	}
	if r.FromCluster != "" {
		flags += hint.Format(" --from-cluster %s", r.FromCluster)
	}
	return flags
}

// Value is one entry that was got back, and where it was.
type Value struct {
	plan.Recalled
	Entry envfile.Entry
}

// Bundled says whether it was in a bundle.
func (v Value) Bundled() bool { return token.Joined(v.Token.Token) }

// Place says where it was.
func (v Value) Place() string {
	return fmt.Sprintf("namespace %q of cluster %q", v.Token.Namespace, v.Cluster)
}

// Recalled is what is known beside the values.
type Recalled struct {
	Project      *Project
	ClusterNewer bool // the cluster has newer values than the ledger
}

// recalling is one recall under way.
type recalling struct {
	Recall
	*Session
	newer bool
}

// Run opens what the ledger or the cluster has of what was asked for.
func (r Recall) Run(ctx context.Context, request Request) ([]Value, *Recalled, error) {
	s, err := load(ctx, request, Needs{Read: Keys})
	if errors.Is(err, ErrKeyless) {
		err = hint.With(err, "the key comes from %s, from --key-file or from FERNET_KEY", request.Env)
	}
	if err != nil {
		return nil, nil, err
	}
	all := r.Asked == nil
	if all {
		r.Asked = func(t token.Token) bool { return s.Settings.belongs(t.EnvKey) }
	}
	run := &recalling{Recall: r, Session: s}
	find := run.recorded
	if r.Live {
		find = run.live
	}
	found, err := find(ctx)
	if err != nil {
		return nil, nil, err
	}
	found = slices.DeleteFunc(found, func(r plan.Recalled) bool { return !run.Asked(r.Token) })
	if len(found) == 0 && all {
		return nil, nil, hint.With(fmt.Errorf("%s: nothing that was pushed matches it", s.Settings.places[VarMatch]), "correct it, or take the line out")
	}
	values, err := openAll(found, s.Project)
	return values, &Recalled{s.Project, run.newer}, err
}

// openAll opens each token. Of several that are recorded under one name any one
// will do if all hold the same value.
func openAll(found []plan.Recalled, p *Project) (values []Value, err error) {
	sealer := seal.New(p.Keys, nil)
	open := sealer.Opener()
	var doubtful []string
	for _, r := range found {
		plain, err := open(r.Token)
		if err != nil {
			return nil, hint.With(fmt.Errorf("%s in namespace %q of cluster %q: %w", r.Token.EnvKey, r.Token.Namespace, r.Cluster, err),
				"this keyring has %s", hint.List(p.Keys.IDs()))
		}
		v := Value{r, envfile.Entry{Name: r.Token.EnvKey, Value: plain}}
		values = append(values, v)
		if slices.ContainsFunc(r.Others, func(t token.Token) bool { return !sealer.SameValue(t, r.Token) }) {
			doubtful = append(doubtful, fmt.Sprintf("%s (%s in %s)", r.Token.EnvKey, r.Token.Secret, v.Place()))
		}
	}
	if len(doubtful) > 0 {
		return nil, hint.With(fmt.Errorf("the ledger has several tokens as created under one name, which hold different values: %s", hint.Few(doubtful)),
			"--from cluster: only one of them can be there")
	}
	return values, nil
}

// recorded gives what the ledger has. It needs no cluster.
func (r *recalling) recorded(ctx context.Context) ([]plan.Recalled, error) {
	keys := seal.New(r.Project.Keys, nil).Ledger()
	keys.Keep = func(record ledger.Record) bool { return r.Generation > 0 && record.Generation == r.Generation }
	book, err := ledger.Read(r.Files, r.Ledger, keys)
	if err != nil {
		return nil, err
	}
	namespaces := r.Request.Target.Chosen()
	asked := func(cluster, namespace string) bool {
		return (r.FromCluster == "" || cluster == r.FromCluster) && (len(namespaces) == 0 || slices.Contains(namespaces, namespace))
	}
	records := book.Records()
	found := slices.DeleteFunc(plan.Recall(records, r.Generation), func(r plan.Recalled) bool { return !asked(r.Cluster, r.Token.Namespace) })
	if len(found) > 0 && r.Generation == 0 {
		rotated := r.warnRotated(records, found)
		r.compareLive(ctx, book, found, rotated)
	}
	others := map[string]bool{}
	for _, record := range records {
		if record.Hint && record.State == ledger.Created && asked(record.Cluster, record.Namespace) {
			others[record.KeyID] = true
		}
	}
	switch {
	case len(found) == 0 && len(others) > 0:
		return nil, hint.With(fmt.Errorf("%s: no row there is signed by a key of this keyring, which has %s; it has tokens under %s", r.Ledger, strings.Join(r.Project.Keys.IDs(), ", "), hint.Few(SortedKeys(others))),
			"get that key; the keyring comes from %s, from --key-file or from FERNET_KEY", r.Env)
	case len(found) == 0 && r.Generation == 0:
		return nil, hint.With(fmt.Errorf("%s: it records no Secret that was created there and not deleted", r.Ledger), "check --ledger, -n and --from-cluster; or --from cluster")
	}
	return found, nil
}

// warnRotated warns of values that may be old: rows signed by a key that this keyring
// lacks have newer generations of them. Such rows prove nothing, so they change nothing.
func (r *recalling) warnRotated(records []ledger.Record, found []plan.Recalled) bool {
	type place struct{ cluster, namespace, base string }
	newest := map[place]ledger.Record{}
	for _, r := range records {
		base, _ := names.Split(r.Secret)
		at := place{r.Cluster, r.Namespace, base}
		if r.Hint && r.State == ledger.Created && r.Generation > newest[at].Generation {
			newest[at] = r
		}
	}
	var list []string
	for _, f := range found {
		base, _ := names.Split(f.Token.Secret)
		if r := newest[place{f.Cluster, f.Token.Namespace, base}]; r.Generation > f.Generation {
			list = append(list, fmt.Sprintf("%s (%s in namespace %q, under key %s)", f.Token.EnvKey, r.Secret, r.Namespace, r.KeyID))
		}
	}
	if len(list) > 0 {
		r.warn("%s has newer generations that this keyring cannot open: %s; if the key was rotated, get the current .env", r.Ledger, hint.Few(list))
	}
	return len(list) > 0
}

// liveLimit is how long a verb that needs no cluster waits for one.
const liveLimit = 3 * time.Second

// compareLive warns where the cluster, if it can be asked, has newer values than
// the ledger: rows may have been removed from it, or it is not the current one.
// What the ledger itself has newer was told before.
func (r *recalling) compareLive(ctx context.Context, book *ledger.Book, found []plan.Recalled, rotated bool) {
	quiet := *r.Session
	quiet.Tell = func(Event) {}
	err := quiet.aim()
	if err == nil {
		quiet.Book = book
		err = quiet.index()
	}
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, liveLimit)
	defer cancel()
	looked := make(chan newerValues, 1)
	look := redact.Guard(func() newerValues { return quiet.newerLive(ctx, found) })
	go func() { looked <- look() }() // a credential plugin heeds no context
	select {
	case newer := <-looked:
		if len(newer.opened) > 0 {
			r.newer = true
			r.warn("the cluster has newer values than %s: %s; --from cluster gets them", r.Ledger, hint.Few(newer.opened))
		}
		if len(newer.closed) > 0 && !rotated {
			r.warn("the cluster has newer generations than %s, and they do not tell their value: %s", r.Ledger, hint.Few(newer.closed))
		}
	case <-ctx.Done():
	}
}

// newerValues names what a cluster has newer than the ledger: opened, and what does
// not tell its value.
type newerValues struct{ opened, closed []string }

// newerLive names what the cluster has newer than the ledger, or besides.
func (s *Session) newerLive(ctx context.Context, found []plan.Recalled) (newer newerValues) {
	err := s.dialQuietly()
	recorded := map[string][]plan.Recalled{} // by namespace
	for _, r := range found {
		if r.Cluster == s.Target.Cluster {
			recorded[r.Token.Namespace] = append(recorded[r.Token.Namespace], r)
		}
	}
	for _, namespace := range SortedKeys(recorded) {
		if err != nil {
			return newer
		}
		var view plan.View
		if view, err = s.labelled(ctx, namespace, plan.Mine(s.recordsIn(namespace), nil)); err != nil {
			return newer
		}
		live, unknown := s.liveIn(view)
		for _, n := range plan.Newer(recorded[namespace], live, unknown, s.Project.Sealer.SameValue) {
			if n.Reason == "" {
				newer.opened = append(newer.opened, fmt.Sprintf("%s (secret/%s in namespace %q)", n.Token.EnvKey, n.Token.Secret, namespace))
			} else {
				newer.closed = append(newer.closed, fmt.Sprintf("%s (secret/%s in namespace %q: %s)", n.Token.EnvKey, n.Token.Secret, namespace, n.Reason))
			}
		}
	}
	return newer
}

// liveIn gives the current generations of what is ours in a view.
func (s *Session) liveIn(view plan.View) ([]plan.Recalled, []plan.Unknown) {
	judge := s.Project.Sealer.Judge
	return plan.Live(view, plan.Evident(view, plan.Mine(view.Records, nil), judge), judge, s.Project.Keys)
}

// live gives what the cluster has. Nothing is given where the current value of an entry
// that was asked for is not there.
func (r *recalling) live(ctx context.Context) ([]plan.Recalled, error) {
	if err := r.reach(Needs{Spreads: true}); err != nil {
		return nil, err
	}
	if err := r.Start(); err != nil {
		return nil, err
	}
	views, err := r.evidence(ctx)
	if err != nil {
		return nil, err
	}
	var found []plan.Recalled
	var untold []string
	for _, view := range views {
		live, unknown := r.liveIn(view)
		found = append(found, live...)
		for _, u := range unknown {
			if r.Asked(u.Token) {
				untold = append(untold, fmt.Sprintf("%s (%s in namespace %q: %s)", u.Token.EnvKey, u.Token.Secret, u.Token.Namespace, u.Reason))
			}
		}
	}
	flag := r.Paths.Flags()
	switch {
	case len(untold) > 0:
		return nil, hint.With(fmt.Errorf("the cluster does not tell the current value of %s", hint.Few(untold)),
			"kubectl fernet verify%s says more, kubectl fernet restore%s puts back what is gone; or --from ledger", flag, flag)
	case len(found) == 0:
		return nil, hint.With(r.nothing(views), "kubectl fernet status%s", flag)
	}
	plan.InOrder(found)
	return found, nil
}

// evidence gives the view of each namespace of the target, at what the ledger knows
// and at what else proves by itself that it is ours. The ledger has to mean this
// cluster; what is gone is for the caller to see.
func (s *Session) evidence(ctx context.Context) (views []plan.View, err error) {
	var lost error
	right := false
	for _, namespace := range s.Target.Namespaces {
		view, err := s.labelled(ctx, namespace, plan.Mine(s.recordsIn(namespace), nil))
		if err != nil {
			return nil, err
		}
		views = append(views, view)
		var wrong *plan.WrongClusterError
		if !errors.As(plan.CheckCluster(view), &wrong) {
			right = true
			continue
		}
		lost = hint.With(wrong, "check --context and CLUSTER_NAME; if it is the right cluster and they were deleted: %s", s.Again)
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
func (s *Session) labelled(ctx context.Context, namespace string, mine []plan.Wanted) (plan.View, error) {
	view, err := s.viewOf(ctx, namespace, mine, true)
	if err != nil {
		return view, err
	}
	if all := plan.Evident(view, mine, s.Project.Sealer.Judge); len(all) > len(mine) {
		return s.labelled(ctx, namespace, all)
	}
	return view, nil
}

// nothing is the error of namespaces in which nothing is ours.
func (s *Session) nothing(views []plan.View) error {
	what := "that the ledger knows"
	if len(s.Records) == 0 {
		what = "that this keyring opens"
	}
	others, keys := 0, map[string]bool{}
	for _, view := range views {
		for _, o := range view.Objects {
			if o.Managed && o.KeyID != "" && !s.Project.Keys.Has(o.KeyID) {
				others++
				keys[o.KeyID] = true
			}
		}
	}
	if others == 0 {
		return fmt.Errorf("no Secret %s is in %s", what, s.Target.Places())
	}
	return fmt.Errorf("no Secret %s is in %s; under other keys: %d (%s)", what, s.Target.Places(), others, hint.Few(SortedKeys(keys)))
}

// Agreed gives one value for each name, and refuses where places differ, be it in
// the spelling of a name: nobody but the user can say which is meant.
func Agreed(values []Value) ([]Value, error) {
	first, single := map[string]Value{}, map[string]Value{} // by name; by base name
	var chosen []Value
	var differing, spelled []string
	for _, v := range values {
		base, _ := names.Split(v.Token.Secret)
		other, near := single[base]
		was, seen := first[v.Entry.Name]
		switch {
		case near && !v.Bundled() && other.Entry.Name != v.Entry.Name:
			spelled = append(spelled, fmt.Sprintf("%s in %s and %s in %s", other.Entry.Name, other.Place(), v.Entry.Name, v.Place()))
		case !seen:
			first[v.Entry.Name] = v
			chosen = append(chosen, v)
		case !was.Entry.Value.Equal(v.Entry.Value):
			differing = append(differing, fmt.Sprintf("%s in %s and in %s", v.Entry.Name, was.Place(), v.Place()))
		}
		if !near && !v.Bundled() {
			single[base] = v
		}
	}
	const choose = "choose one: -n NAMESPACE, --from-cluster NAME"
	switch {
	case len(spelled) > 0:
		return nil, hint.With(fmt.Errorf("several spellings of one name: %s", hint.Few(spelled)), choose)
	case len(differing) > 0:
		return nil, hint.With(fmt.Errorf("several places have several values: %s", hint.Few(differing)), choose)
	}
	return chosen, nil
}
