// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keysecret"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

const (
	// deletionLimit is how long a run waits for Secrets that are being deleted.
	deletionLimit = 10 * time.Second
	// sideBySide is how many namespaces are looked at at once.
	sideBySide = 16
)

// newOnce gives a function that says true the first time only.
func newOnce() func() bool {
	var once sync.Once
	return func() (first bool) {
		once.Do(func() { first = true })
		return first
	}
}

// sight is what a look at one namespace gave.
type sight struct {
	view     plan.View
	listed   bool
	keyrings []corev1.Secret
	err      error
}

// inEach calls look for each namespace, for several at once, and gives what it gave, in
// the order of the namespaces. One request at a time means one namespace at a time.
func inEach[T any](s *Session, namespaces []string, look func(namespace string) T) []T {
	results := make([]T, len(namespaces))
	var group errgroup.Group
	group.SetLimit(min(sideBySide, max(s.Parallel, 1)))
	for i, namespace := range namespaces {
		group.Go(redact.Guard(func() error {
			results[i] = look(namespace)
			return nil
		}))
	}
	_ = group.Wait() // they return no error
	return results
}

// views looks at namespaces side by side and hands each view on, in the order of the
// namespaces, as if it had looked at one after the other: so what is told and which error
// ends it does not depend on who answers first. wanted says what is looked for in each;
// labelled adds whatever carries our label. A verb that can do its work in part passes
// over namespaces that it may not look at, unless that is all of them.
func (s *Session) views(ctx context.Context, namespaces []string, wanted func(namespace string) []plan.Wanted, labelled bool, each func(plan.View) error) error {
	sights := inEach(s, namespaces, func(namespace string) sight { return s.sight(ctx, namespace, wanted(namespace), labelled) })
	inPart := s.inPart && slices.ContainsFunc(sights, func(one sight) bool { return !forbidden(one.err) })
	for i, namespace := range namespaces {
		if inPart && forbidden(sights[i].err) {
			s.unseen(namespace, sights[i].err.Error())
			continue
		}
		if sights[i].err != nil {
			return sights[i].err
		}
		s.tellSight(namespace, sights[i])
		if err := each(sights[i].view); err != nil {
			return err
		}
	}
	return nil
}

// forbidden says whether an error is that the user may not do something.
func forbidden(err error) bool {
	var refused *cluster.Error
	return errors.As(err, &refused) && refused.Rights
}

// unseen reports what could not be looked at in a namespace. The run goes on, and what it
// says is not the whole.
func (s *Session) unseen(namespace, what string) {
	s.Unseen = append(s.Unseen, Unseen{Namespace: namespace, What: what})
	s.warn("namespace %q: %s", namespace, what)
}

// viewOf looks at one namespace.
func (s *Session) viewOf(ctx context.Context, namespace string, wanted []plan.Wanted, labelled bool) (plan.View, error) {
	seen := s.sight(ctx, namespace, wanted, labelled)
	if seen.err == nil {
		s.tellSight(namespace, seen)
	}
	return seen.view, seen.err
}

func (s *Session) tellSight(namespace string, seen sight) {
	if !seen.listed && len(s.recordsIn(namespace)) == 0 {
		s.note("namespace %q: not allowed to list Secrets; the ledger is the only memory of earlier generations", namespace)
	}
	s.Unlisted[namespace], s.rings[namespace] = !seen.listed, seen.keyrings
}

// keyringsSeen gives the keyring Secrets that hold a key of ours, as the last look at the
// namespace saw them.
func (s *Session) keyringsSeen(ctx context.Context, namespace string) (all []keysecret.Held, err error) {
	if s.Unlisted[namespace] {
		return s.keyrings(ctx, namespace)
	}
	return s.held(s.rings[namespace]), nil
}

// sight looks at one namespace, in the cluster or, where there is none, in the ledger alone.
func (s *Session) sight(ctx context.Context, namespace string, wanted []plan.Wanted, labelled bool) sight {
	at := s.Known[namespace]
	if s.Cluster == nil {
		return sight{view: s.completed(plan.Offline(s.Target.Cluster, namespace, at.Records, at.Past)), listed: true}
	}
	in := plan.InterestOf(at.Records, at.Past, wanted, s.IgnoreKeys)
	in.Labelled = labelled
	seen, err := s.Cluster.Observe(ctx, namespace, in)
	if err != nil {
		return sight{err: err}
	}
	objects := seen.Objects
	var gone []manifest.Object
	if s.ledger != nil && s.Mode == Live { // who only looks does not wait
		newest, older := plan.SplitNewest(objects)
		if newest, gone, err = s.Cluster.AwaitGone(ctx, newest, deletionLimit); err != nil {
			return sight{err: err}
		}
		objects = slices.Concat(newest, older)
	}
	return sight{view: s.completed(plan.NewView(s.Target.Cluster, namespace, at.Records, at.Past, objects, gone)), listed: seen.Listed, keyrings: seen.Keyrings}
}

// completed adds to a view what the whole run knows.
func (s *Session) completed(view plan.View) plan.View {
	view.Ledger, view.Ignore, view.Wanted = s.Ledger, s.IgnoreKeys, s.wanted(view.Namespace)
	if s.Project.Keys != nil {
		view.Older = s.Book.OlderKeys(s.Project.Keys.IDs()[0])
	}
	view.Edits = s.Book.EditedIn(view.Cluster, view.Namespace)
	return view
}

// rightCluster says whether a view is of the cluster that the ledger means.
func (s *Session) rightCluster(view plan.View) error {
	if s.Cluster == nil {
		return nil
	}
	if err := plan.CheckCluster(view); err != nil && !s.SameCluster && !s.rotatedAway(view, err) {
		return hint.With(err, "check --context and CLUSTER_NAME; if it is the right cluster and they were deleted: %s", s.Again)
	}
	return nil
}

// rotatedAway says whether what the ledger recorded is gone because newer generations
// replaced it, under a key that this keyring lacks: that is no wrong cluster.
func (s *Session) rotatedAway(view plan.View, err error) bool {
	var wrong *plan.WrongClusterError
	return errors.As(err, &wrong) && wrong.Secret == "" && s.Project.Sealer != nil &&
		plan.SupersededLive(plan.Rotated(view, view.Wanted, s.Project.Sealer.Judge, s.Project.Keys))
}

// lookAll gives the view of each namespace of the target, at what is ours there.
// One that has lost all that the ledger recorded there is left out, if another one
// shows that this is the cluster that the ledger means.
func (s *Session) lookAll(ctx context.Context) (views []plan.View, err error) {
	var lost error
	err = s.views(ctx, s.Target.Namespaces, s.mine, false, func(view plan.View) error {
		err := s.rightCluster(view)
		var wrong *plan.WrongClusterError
		if errors.As(err, &wrong) && wrong.Secret == "" {
			lost = err
			s.note("namespace %q is left out: none of the %d Secrets that the ledger recorded there is left", view.Namespace, wrong.Recorded)
			return nil
		}
		if err == nil {
			views = append(views, view)
		}
		return err
	})
	if err == nil && len(views) == 0 {
		err = lost
	}
	return views, err
}

// confirmed gives the created rows that the ledger lacks of what is in these
// views and proven ours.
func (s *Session) confirmed(views ...plan.View) (rows []ledger.Row) {
	now := s.Now().UTC()
	for _, view := range views {
		for _, row := range plan.Confirm(view, plan.Mine(view.Records, view.Wanted), s.Project.Sealer.Judge, s.Project.Keys) {
			row.Time = now
			rows = append(rows, row)
		}
	}
	return rows
}

// orphans says of what is in the .env why it counts as not in it.
func (s *Session) orphans(decisions []plan.Decision) []plan.Decision {
	for i := range decisions {
		d := &decisions[i]
		if _, there := s.Project.File.Lookup(d.Row.EnvKey); there && d.Outcome == plan.Orphan {
			d.Reason = fmt.Sprintf("%s leaves out %s", VarMatch, d.Row.EnvKey)
		}
	}
	return decisions
}
