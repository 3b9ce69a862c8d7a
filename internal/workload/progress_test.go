// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

var yesterday = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// gaveUp is the condition of a Deployment that exceeded its deadline, after changes.
func gaveUp(change func(*appsv1.DeploymentCondition)) appsv1.DeploymentCondition {
	c := appsv1.DeploymentCondition{
		Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded", LastUpdateTime: metav1.NewTime(yesterday),
	}
	if change != nil {
		change(&c)
	}
	return c
}

func TestProgressOfDeployments(t *testing.T) {
	three, none := int32(3), int32(0)
	// status of generation 2: observed, all Pods, new ones, available ones
	status := func(observed int64, all, updated, available int32, c ...appsv1.DeploymentCondition) appsv1.DeploymentStatus {
		return appsv1.DeploymentStatus{ObservedGeneration: observed, Replicas: all, UpdatedReplicas: updated, AvailableReplicas: available, Conditions: c}
	}
	for _, tc := range []struct {
		name     string
		replicas *int32
		paused   bool
		status   appsv1.DeploymentStatus
		want     Progress
	}{
		{"not noticed", &three, false, status(1, 3, 3, 3), Progress{Waiting, "waiting for the rollout to start"}},
		{"begun", &three, false, status(2, 4, 1, 3), Progress{Waiting, "1 of 3 new pods made"}},
		{"old ones left", &three, false, status(2, 4, 3, 3), Progress{Waiting, "old pods left: 1"}},
		{"not ready", &three, false, status(2, 3, 3, 2), Progress{Waiting, "2 of 3 new pods ready"}},
		{"done", &three, false, status(2, 3, 3, 3), Progress{Done, "3 of 3 new pods ready"}},
		{"done, and seen later", &three, false, status(3, 3, 3, 3), Progress{Done, "3 of 3 new pods ready"}},
		{"one by default", nil, false, status(2, 0, 0, 0), Progress{Waiting, "0 of 1 new pods made"}},
		{"scaled to zero", &none, false, status(2, 0, 0, 0), Progress{Done, "0 of 0 new pods ready"}},
		{"scaled down, old ones left", &none, false, status(2, 1, 0, 1), Progress{Waiting, "old pods left: 1"}},
		{"gave up", &three, false, status(2, 4, 1, 3, gaveUp(nil)), Progress{Failed, "1 of 3 new pods made, and no progress within the deadline (ProgressDeadlineExceeded)"}},
		{"gave up on what was before", &three, false, status(1, 4, 1, 3, gaveUp(nil)), Progress{Waiting, "waiting for the rollout to start"}},
		{"gave up, then done", &three, false, status(2, 3, 3, 3, gaveUp(nil)), Progress{Done, "3 of 3 new pods ready"}},
		{"another reason", &three, false, status(2, 4, 1, 3, gaveUp(func(c *appsv1.DeploymentCondition) { c.Reason = "ReplicaSetCreateError" })), Progress{Waiting, "1 of 3 new pods made"}},
		{"another status", &three, false, status(2, 4, 1, 3, gaveUp(func(c *appsv1.DeploymentCondition) { c.Status = corev1.ConditionTrue })), Progress{Waiting, "1 of 3 new pods made"}},
		{"another condition", &three, false, status(2, 4, 1, 3, gaveUp(func(c *appsv1.DeploymentCondition) { c.Type = appsv1.DeploymentAvailable })), Progress{Waiting, "1 of 3 new pods made"}},
		{"paused", &three, true, status(2, 3, 0, 3), Progress{Manual, "it is paused: kubectl rollout resume deployment/web"}},
		{"paused, not noticed", &three, true, status(1, 3, 3, 3), Progress{Manual, "it is paused: kubectl rollout resume deployment/web"}},
		{"paused, gave up before", &three, true, status(2, 4, 1, 3, gaveUp(nil)), Progress{Manual, "it is paused: kubectl rollout resume deployment/web"}},
		{"paused after it was done", &three, true, status(2, 3, 3, 3), Progress{Done, "3 of 3 new pods ready"}},
	} {
		d := &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: "web", Generation: 2},
			Spec:       appsv1.DeploymentSpec{Replicas: tc.replicas, Paused: tc.paused}, Status: tc.status,
		}
		progress(t, tc.name, d, tc.want)
	}
}

func progress(t *testing.T, name string, o runtime.Object, want Progress) {
	t.Helper()
	if w, ok := Of(o); !ok || w.Progress() != want {
		t.Errorf("%s: %+v, want %+v", name, w.Progress(), want)
	}
}

func TestGaveUp(t *testing.T) {
	d := &appsv1.Deployment{}
	if w, _ := Of(d); !w.GaveUp.IsZero() {
		t.Errorf("a fresh Deployment gave up at %v", w.GaveUp)
	}
	d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable}, gaveUp(nil)}
	if w, _ := Of(d); !w.GaveUp.Equal(yesterday) {
		t.Errorf("gave up at %v, want %v", w.GaveUp, yesterday)
	}
}

func TestProgressOfStatefulSets(t *testing.T) {
	three, two, none := int32(3), int32(2), int32(0)
	onDelete := appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
	partition := func(n *int32) appsv1.StatefulSetUpdateStrategy {
		return appsv1.StatefulSetUpdateStrategy{
			Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: n},
		}
	}
	const byHand = "OnDelete: each pod takes the change when you delete it"
	const held = "partition 2: pods below that number keep the old template until you lower it"
	for _, tc := range []struct {
		name           string
		replicas       *int32
		strategy       appsv1.StatefulSetUpdateStrategy
		observed       int64
		updated, ready int32
		want           Progress
	}{
		{"not noticed", &three, partition(&none), 1, 3, 3, Progress{Waiting, "waiting for the rollout to start"}},
		{"never looked at", &three, partition(&none), 0, 0, 0, Progress{Waiting, "waiting for the rollout to start"}},
		{"begun", &three, partition(&none), 2, 1, 2, Progress{Waiting, "1 of 3 new pods made"}},
		{"not ready", &three, partition(nil), 2, 3, 2, Progress{Waiting, "2 of 3 new pods ready"}},
		{"done", &three, partition(&none), 2, 3, 3, Progress{Done, "3 of 3 new pods ready"}},
		{"one by default", nil, partition(&none), 2, 0, 0, Progress{Waiting, "0 of 1 new pods made"}},
		{"scaled to zero", &none, partition(&none), 2, 0, 0, Progress{Done, "0 of 0 new pods ready"}},
		{"partition", &three, partition(&two), 2, 1, 3, Progress{Manual, held}},
		{"partition, not noticed", &three, partition(&two), 1, 3, 3, Progress{Manual, held}},
		{"partition, but all are new", &three, partition(&two), 2, 3, 3, Progress{Done, "3 of 3 new pods ready"}},
		{"by hand", &three, onDelete, 2, 0, 3, Progress{Manual, byHand}},
		{"by hand, not noticed", &three, onDelete, 1, 3, 3, Progress{Manual, byHand}},
		{"by hand, all deleted", &three, onDelete, 2, 3, 3, Progress{Done, "3 of 3 new pods ready"}},
	} {
		progress(t, tc.name, &appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{Generation: 2}, Spec: appsv1.StatefulSetSpec{Replicas: tc.replicas, UpdateStrategy: tc.strategy},
			Status: appsv1.StatefulSetStatus{ObservedGeneration: tc.observed, Replicas: 3, UpdatedReplicas: tc.updated, ReadyReplicas: tc.ready},
		}, tc.want)
	}
}

func TestProgressOfDaemonSetsAndCronJobs(t *testing.T) {
	const byHand = "OnDelete: each pod takes the change when you delete it"
	for _, tc := range []struct {
		name                        string
		strategy                    appsv1.DaemonSetUpdateStrategyType
		observed                    int64
		desired, updated, available int32
		want                        Progress
	}{
		{"not noticed", appsv1.RollingUpdateDaemonSetStrategyType, 1, 3, 3, 3, Progress{Waiting, "waiting for the rollout to start"}},
		{"begun", appsv1.RollingUpdateDaemonSetStrategyType, 2, 3, 1, 2, Progress{Waiting, "1 of 3 new pods made"}},
		{"not ready", appsv1.RollingUpdateDaemonSetStrategyType, 2, 3, 3, 2, Progress{Waiting, "2 of 3 new pods ready"}},
		{"done", appsv1.RollingUpdateDaemonSetStrategyType, 2, 3, 3, 3, Progress{Done, "3 of 3 new pods ready"}},
		{"no nodes", appsv1.RollingUpdateDaemonSetStrategyType, 2, 0, 0, 0, Progress{Done, "0 of 0 new pods ready"}},
		{"by hand", appsv1.OnDeleteDaemonSetStrategyType, 2, 3, 0, 3, Progress{Manual, byHand}},
		{"by hand, all deleted", appsv1.OnDeleteDaemonSetStrategyType, 2, 3, 3, 3, Progress{Done, "3 of 3 new pods ready"}},
	} {
		progress(t, tc.name, &appsv1.DaemonSet{
			ObjectMeta: metav1.ObjectMeta{Generation: 2},
			Spec:       appsv1.DaemonSetSpec{UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: tc.strategy}},
			Status: appsv1.DaemonSetStatus{
				ObservedGeneration: tc.observed, DesiredNumberScheduled: tc.desired, UpdatedNumberScheduled: tc.updated, NumberAvailable: tc.available,
			},
		}, tc.want)
	}
	progress(t, "cron job", &batchv1.CronJob{}, Progress{Done, "its next Job takes the change"})
}
