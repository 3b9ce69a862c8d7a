// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// film is a cluster whose watch tells of these states, each after the one before it was looked at, and then of nothing more, or
// of an error.
type film struct {
	Cluster
	states []workload.Workload
	gone   bool // after the last state
	err    error
}

func (f film) Follow(ctx context.Context, _ workload.Kind, _ string, seen func(workload.Workload, bool)) error {
	next := func() { time.Sleep(time.Millisecond) } // in a synctest: when whoever looks has looked
	next()
	for _, w := range f.states {
		seen(w, false)
		next()
	}
	if f.gone {
		seen(f.states[len(f.states)-1], true)
	}
	if f.err != nil {
		return f.err
	}
	<-ctx.Done()
	return ctx.Err()
}

// shot is one state of the Deployment web with two Pods, which names a Secret.
type shot struct {
	generation, observed    int64
	updated, old, available int32
	secret, uid             string
	gaveUp                  string // when it did, by its status
	paused                  bool
}

func (s shot) state() workload.Workload {
	two := int32(2)
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "web", UID: types.UID("1" + s.uid), Generation: s.generation},
		Spec:       appsv1.DeploymentSpec{Replicas: &two, Paused: s.paused},
		Status:     appsv1.DeploymentStatus{ObservedGeneration: s.observed, UpdatedReplicas: s.updated, Replicas: s.updated + s.old, AvailableReplicas: s.available},
	}
	d.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: s.secret + "secret-a-g2"}}}}
	if s.gaveUp != "" {
		at, err := time.Parse(time.RFC3339, s.gaveUp)
		if err != nil {
			panic(err)
		}
		d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded", LastUpdateTime: metav1.Time{Time: at}}}
	}
	w, _ := workload.Of(d)
	return w
}

func TestTrackerAwaits(t *testing.T) {
	const before, after = "2026-01-02T03:04:05Z", "2026-01-02T03:14:05Z"
	first := shot{generation: 2, observed: 1, updated: 2, available: 2} // as the patch left it
	begun := shot{generation: 2, observed: 2, updated: 1, old: 2, available: 2}
	done := shot{generation: 2, observed: 2, updated: 2, available: 2}
	errWatch := errors.New("the watch has ended")
	for _, tc := range []struct {
		name  string
		first shot
		film  []shot
		gone  bool
		watch error
		state workload.State
		err   error
		told  int
	}{
		{name: "done", first: first, film: []shot{first, begun, done}, state: workload.Done, told: 3},
		{name: "an older state is told first", first: first, film: []shot{{generation: 1, observed: 1, updated: 2, available: 2}, done}, state: workload.Done, told: 2},
		{name: "no state at all", first: first, state: workload.Waiting, err: errStandsStill, told: 1},
		{name: "it stands still", first: first, film: []shot{begun}, state: workload.Waiting, err: errStandsStill, told: 2},
		{name: "it gives up", first: first, film: []shot{begun, {generation: 2, observed: 2, updated: 1, old: 2, available: 2, gaveUp: after}}, state: workload.Failed, told: 3},
		{name: "the status tells of the failure before this rollout, at first",
			first: shot{generation: 2, observed: 1, updated: 2, available: 1, gaveUp: before},
			film:  []shot{{generation: 2, observed: 2, updated: 1, old: 1, available: 1, gaveUp: before}, done}, state: workload.Done, told: 3},
		{name: "it had given up before", first: shot{generation: 2, observed: 2, updated: 1, old: 1, available: 1, gaveUp: before}, state: workload.Failed, told: 1},
		{name: "only somebody can go on", first: shot{generation: 2, observed: 1, paused: true}, state: workload.Manual, told: 0},
		{name: "the old name again", first: first, film: []shot{{generation: 3, observed: 2, updated: 1, old: 2, available: 2, secret: "older-"}}, state: workload.Waiting, told: 1},
		{name: "deleted", first: first, film: []shot{begun}, gone: true, err: errDeleted, state: workload.Waiting, told: 2},
		{name: "deleted, and made anew", first: first, film: []shot{{generation: 1, observed: 1, updated: 2, available: 2, uid: "other"}}, err: errDeleted, state: workload.Waiting, told: 1},
		{name: "the watch has ended", first: first, watch: errWatch, err: errWatch, state: workload.Waiting, told: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var states []workload.Workload
				for _, s := range tc.film {
					states = append(states, s.state())
				}
				tracker := newTracker(t.Context(), film{states: states, gone: tc.gone, err: tc.watch})
				defer tracker.stop()
				var told []string
				now, err := tracker.await(t.Context(), tc.first.state(), time.Minute, workload.Rename{"older-secret-a-g2": "secret-a-g2"}, func(text string) { told = append(told, text) })
				if !errors.Is(err, tc.err) || (err == nil) != (tc.err == nil) || now.Progress().State != tc.state || now.Generation < tc.first.generation {
					t.Errorf("%v, %+v", err, now.Progress())
				}
				if len(told) != tc.told || len(slices.Compact(slices.Clone(told))) != len(told) {
					t.Errorf("told %q", told)
				}
			})
		})
	}
}

func TestTrackerIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tracker := newTracker(ctx, film{})
	cancel()
	if _, err := tracker.await(ctx, shot{generation: 2}.state(), time.Minute, workload.Rename(nil), func(string) {}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	tracker.stop()
}
