// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// place is a namespace and the name of a Secret.
type place struct{ namespace, name string }

// walkCluster is the cluster of a random walk: what is sent to it may be refused, lost,
// land unheard or land later, and a caller that is dead reaches it no more.
type walkCluster struct {
	Cluster // nil: a method that a walk does not know panics
	w       *walk
	mutex   sync.Mutex
	objects map[place]manifest.Object

	workloads map[place]workload.Workload

	late []manifest.Object // created at some time after their answer was lost
	uids int
}

var errWalk = errors.New("injected fault of the cluster")

func (c *walkCluster) add(o manifest.Object) manifest.Object {
	c.uids++
	o.UID = fmt.Sprintf("00000000-0000-4000-8000-%012d", c.uids)
	c.objects[place{o.Namespace, o.Name}] = o
	return o
}

// sorted gives the objects of a namespace, or with "" all, by name.
func (c *walkCluster) sorted(namespace string) (list []manifest.Object) {
	for _, at := range slices.SortedFunc(maps.Keys(c.objects), func(a, b place) int { return strings.Compare(a.namespace+"/"+a.name, b.namespace+"/"+b.name) }) {
		if namespace == "" || at.namespace == namespace {
			list = append(list, c.objects[at])
		}
	}
	return list
}

func (c *walkCluster) Observe(_ context.Context, namespace string, in manifest.Interest) (sight cluster.Sight, err error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, o := range c.sorted(namespace) {
		if in.Covers(o.Name) || in.Labelled && o.Managed {
			sight.Objects = append(sight.Objects, o)
		}
	}
	sight.Listed = true
	return sight, nil
}

func (c *walkCluster) AwaitGone(_ context.Context, objects []manifest.Object, _ time.Duration) (left, gone []manifest.Object, err error) {
	return objects, nil, nil
}

func (c *walkCluster) GetSecrets(_ context.Context, namespace string, names []string) (found []manifest.Object, err error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, name := range names {
		if o, there := c.objects[place{namespace, name}]; there {
			found = append(found, o)
		}
	}
	return found, nil
}

// Labelled knows the two selectors that are used: all of ours, and those of one key.
func (c *walkCluster) Labelled(_ context.Context, namespace, selector string) (found []manifest.Object, err error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	id, ofKey := strings.CutPrefix(selector, manifest.LabelKeyID+"=")
	for _, o := range c.sorted(namespace) {
		if o.Managed && (!ofKey || o.KeyID == id) {
			found = append(found, o)
		}
	}
	return found, nil
}

func (c *walkCluster) Create(_ context.Context, row ledger.Row, dryRun bool) cluster.Result {
	at := place{row.Namespace, row.Secret}
	switch there, taken := c.objects[at]; {
	case c.w.life.over():
		return cluster.Result{Fate: cluster.NotSent, Err: errWalk}
	case taken && there.Carries(row):
		return cluster.Result{Fate: cluster.Landed, Object: there}
	case taken:
		return cluster.Result{Fate: cluster.Taken, Object: there, Err: errWalk}
	}
	o := manifest.FromSecret(manifest.Secret(row))
	if dryRun {
		return cluster.Result{Fate: cluster.Landed, Object: o}
	}
	dies := c.w.life.tick()
	c.w.sent(row)
	chance := c.w.random.IntN(100)
	if c.w.calm {
		chance = 100
	}
	switch {
	case dies && chance < 50 || chance < 2: // it landed, and nobody hears of it
		c.w.landed(c.add(o))
		return cluster.Result{Fate: cluster.Doubtful, Err: errWalk}
	case dies && chance < 80 || chance < 4:
		c.late = append(c.late, o)
		return cluster.Result{Fate: cluster.Doubtful, Err: errWalk}
	case dies || chance < 5:
		return cluster.Result{Fate: cluster.Doubtful, Err: errWalk}
	case chance < 7:
		return cluster.Result{Fate: cluster.Refused, Err: errWalk}
	default:
		o = c.add(o)
		c.w.landed(o)
		return cluster.Result{Fate: cluster.Landed, Object: o}
	}
}

func (c *walkCluster) CreateAll(ctx context.Context, rows []ledger.Row, _ int, dryRun bool, done func(int, cluster.Result)) {
	for i, row := range rows {
		done(i, c.Create(ctx, row, dryRun))
	}
}

// arrive lets a late create land, unless its name was taken meanwhile.
func (c *walkCluster) arrive() {
	if len(c.late) == 0 {
		return
	}
	o := c.late[0]
	c.late = c.late[1:]
	if _, taken := c.objects[place{o.Namespace, o.Name}]; taken {
		return
	}
	c.w.landed(c.add(o))
	if ring := c.w.rings[place{o.Namespace, o.Base}]; ring != nil && !ring.Has(c.w.ids[o.Token]) {
		c.w.unproven[place{o.Namespace, o.Name}] = true // somebody rotated meanwhile
	}
}

func (c *walkCluster) DeleteAll(_ context.Context, objects []manifest.Object, _ int, dryRun bool, done func(int, cluster.DeleteResult)) {
	for i, o := range objects {
		at := place{o.Namespace, o.Name}
		there, is := c.objects[at]
		switch dies := !dryRun && !c.w.life.over() && c.w.life.tick(); {
		case c.w.life.over() && !dies:
			done(i, cluster.DeleteResult{Fate: cluster.DeleteNotSent, Err: errWalk})
		case is && there.UID != o.UID:
			done(i, cluster.DeleteResult{Fate: cluster.Changed, Object: there, Err: errWalk})
		case dies && c.w.random.IntN(2) == 0:
			done(i, cluster.DeleteResult{Fate: cluster.DeleteDoubtful, Err: errWalk})
		default:
			if !dryRun && is {
				c.w.deleted(there)
				delete(c.objects, at)
			}
			done(i, cluster.DeleteResult{Fate: cluster.Gone})
		}
	}
}

func (c *walkCluster) Keyrings(context.Context, string) ([]corev1.Secret, error) { return nil, nil }

// user names a workload that names a Secret; empty: none does.
func (c *walkCluster) user(o manifest.Object) string {
	for at, w := range c.workloads {
		if at.namespace == o.Namespace && len(referring(w, func(name string) bool { return name == o.Name })) > 0 {
			return w.String()
		}
	}
	return ""
}

func (c *walkCluster) Walks(_ context.Context, namespaces []string, names func(namespace, name string) bool) (map[string]cluster.Walk, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	byName := func(a, b place) int { return strings.Compare(a.namespace+"/"+a.name, b.namespace+"/"+b.name) }
	walks := map[string]cluster.Walk{}
	for _, at := range slices.SortedFunc(maps.Keys(c.workloads), byName) {
		found := referring(c.workloads[at], func(name string) bool { return names(at.namespace, name) })
		if walk := walks[at.namespace]; slices.Contains(namespaces, at.namespace) && len(found) > 0 {
			walk.Findings, walk.Workloads = append(walk.Findings, found...), append(walk.Workloads, c.workloads[at])
			walks[at.namespace] = walk
		}
	}
	return walks, nil
}

// Patch may be refused or lost; whoever dies does not hear what came of it.
func (c *walkCluster) Patch(_ context.Context, w workload.Workload, change workload.Change, dryRun bool) (workload.Workload, error) {
	switch {
	case dryRun:
		return w, nil
	case c.w.life.over():
		return w, errWalk
	}
	dies := c.w.life.tick()
	chance := c.w.random.IntN(100)
	if c.w.calm {
		chance = 100
	}
	if dies && chance < 50 || chance < 5 {
		return w, errWalk
	}
	rename := change.(workload.Rename)
	for _, ref := range w.References() {
		if to := rename[ref.Secret]; to != "" {
			c.w.patched(w, ref.Secret, to)
		}
	}
	w = renamed(w, rename)
	c.workloads[place{w.Namespace, w.Name}] = w
	if dies || chance < 10 {
		return w, cluster.ErrDoubtful
	}
	return w, nil
}

func (c *walkCluster) Users(context.Context, []string, func(workload.Workload) bool) (map[string]cluster.Users, error) {
	return nil, nil
}

// life is how many writes, of files and to the cluster, a run lives for.
type life struct {
	mutex sync.Mutex
	left  int // 0: for ever
	dead  bool
}

// tick counts one write, and says whether it is the last.
func (l *life) tick() (dies bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.dead || l.left == 0 {
		return l.dead
	}
	l.left--
	l.dead = l.left == 0
	return l.dead
}

func (l *life) over() bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.dead
}
