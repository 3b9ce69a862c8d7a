// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

var (
	errDeleted     = errors.New("it was deleted")
	errStandsStill = errors.New("the rollout makes no progress")
)

// tracker follows workloads while they roll out, by one watch for each kind and namespace.
type tracker struct {
	cluster Cluster
	ctx     context.Context //nolint:containedctx // of the watches, which live as long as the tracker
	cancel  context.CancelFunc
	watches sync.WaitGroup

	mutex sync.Mutex
	feeds map[feedID]*feed
}

type feedID struct {
	kind      workload.Kind
	namespace string
}

// feed is what a watch has reported so far.
type feed struct {
	latest  map[string]workload.Workload // by name
	gone    map[string]bool
	err     error         // the watch has ended
	changed chan struct{} // closed at the next change
}

func newTracker(ctx context.Context, c Cluster) *tracker {
	t := &tracker{cluster: c, feeds: map[feedID]*feed{}}
	t.ctx, t.cancel = context.WithCancel(ctx)
	return t
}

// stop ends the watches.
func (t *tracker) stop() {
	t.cancel()
	t.watches.Wait()
}

// of gives the feed of a workload, and begins to watch with the first one.
func (t *tracker) of(w workload.Workload) *feed {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	id := feedID{w.Kind, w.Namespace}
	f := t.feeds[id]
	if f != nil {
		return f
	}
	f = &feed{latest: map[string]workload.Workload{}, gone: map[string]bool{}, changed: make(chan struct{})}
	t.feeds[id] = f
	watch := redact.Guard(func() error {
		return t.cluster.Follow(t.ctx, id.kind, id.namespace, func(now workload.Workload, gone bool) {
			t.change(f, func() { f.latest[now.Name], f.gone[now.Name] = now, gone })
		})
	})
	t.watches.Go(func() {
		err := watch()
		t.change(f, func() { f.err = err })
	})
	return f
}

func (t *tracker) change(f *feed, what func()) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	what()
	close(f.changed)
	f.changed = make(chan struct{})
}

// look gives the state of a workload that is at least as new as w, which is w itself where
// the watch has reported no newer one, and what is closed at the next change.
func (t *tracker) look(f *feed, w workload.Workload) (now workload.Workload, changed <-chan struct{}, err error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	now, seen := f.latest[w.Name]
	switch {
	case seen && now.UID == w.UID && f.gone[w.Name], seen && now.UID != w.UID && !f.gone[w.Name]:
		return w, f.changed, errDeleted
	case seen && now.UID == w.UID && now.Generation >= w.Generation:
		return now, f.changed, nil
	case f.err != nil:
		return w, f.changed, f.err
	default:
		return w, f.changed, nil
	}
}

// await waits until the rollout of w, which is as its patch left it, is done, has failed or
// goes on only by hand, until the change is taken back, or until it makes no
// progress for as long as patience says. It reports each step and returns the last state.
func (t *tracker) await(ctx context.Context, w workload.Workload, patience time.Duration, change workload.Change, tell func(text string)) (now workload.Workload, err error) {
	f := t.of(w)
	// Until a controller has begun, its status may tell that the rollout before this one failed.
	before, over, said := w.GaveUp, w.Progress().State == workload.Failed, ""
	still := time.NewTimer(patience)
	defer still.Stop()
	for {
		var changed <-chan struct{}
		if now, changed, err = t.look(f, w); err != nil {
			return now, err
		}
		p := now.Progress()
		reverted, _ := change.Reverted(now)
		if p.Text != said {
			if said = p.Text; p.State != workload.Manual { // which is reported as the result
				tell(p.Text)
			}
			still.Reset(patience)
		}
		switch {
		case reverted, p.State == workload.Done, p.State == workload.Manual,
			p.State == workload.Failed && (over || !now.GaveUp.Equal(before)):
			return now, nil
		}
		select {
		case <-changed:
		case <-still.C:
			return now, errStandsStill
		case <-ctx.Done():
			return now, context.Cause(ctx)
		}
	}
}
