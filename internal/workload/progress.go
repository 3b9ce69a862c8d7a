// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// State says whether there is something to wait for.
type State string

// The states of a rollout.
const (
	Waiting State = "waiting"
	Done    State = "done"
	Failed  State = "failed"
	Manual  State = "manual" // it goes on only when somebody does something
)

// Progress is how far a rollout is, and says so to people.
type Progress struct {
	State State
	Text  string
}

// Progress judges, from the workload's own status, how far the rollout of its
// present template is.
func (w Workload) Progress() Progress { return w.progress }

const unnoticed = "waiting for the rollout to start"

// fixed is the progress of what has a template that cannot change.
func fixed(finished bool) Progress {
	if finished {
		return Progress{Done, "finished"}
	}
	return Progress{Manual, "its template cannot change: replace it"}
}

func wanted(replicas *int32) int32 {
	if replicas == nil {
		return 1
	}
	return *replicas
}

// unless gives p if that is the end, else what somebody has to do.
func unless(p Progress, manual bool, text string) Progress {
	if manual && p.State != Done {
		return Progress{Manual, text}
	}
	return p
}

// deployment counts available Pods last: as long as there are old ones, the
// status does not tell whose they are.
func deployment(d *appsv1.Deployment) Progress {
	s, want := d.Status, wanted(d.Spec.Replicas)
	p := Progress{State: Waiting}
	switch {
	case d.Generation > s.ObservedGeneration:
		p.Text = unnoticed
	case s.UpdatedReplicas < want:
		p.Text = fmt.Sprintf("%d of %d new pods made", s.UpdatedReplicas, want)
	case s.Replicas > s.UpdatedReplicas:
		p.Text = fmt.Sprintf("old pods left: %d", s.Replicas-s.UpdatedReplicas)
	case s.AvailableReplicas < s.UpdatedReplicas:
		p.Text = fmt.Sprintf("%d of %d new pods ready", s.AvailableReplicas, s.UpdatedReplicas)
	default:
		return Progress{Done, fmt.Sprintf("%d of %[1]d new pods ready", want)}
	}
	if !exceeded(d).IsZero() && d.Generation <= s.ObservedGeneration {
		p.State, p.Text = Failed, p.Text+", and no progress within the deadline (ProgressDeadlineExceeded)"
	}
	return unless(p, d.Spec.Paused, "it is paused: kubectl rollout resume deployment/"+d.Name)
}

// exceeded says when a Deployment gave up on its rollout, if it did.
func exceeded(d *appsv1.Deployment) time.Time {
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && c.Reason == "ProgressDeadlineExceeded" {
			return c.LastUpdateTime.Time
		}
	}
	return time.Time{}
}

func statefulSet(s *appsv1.StatefulSet) Progress {
	p := pods(s.Generation > s.Status.ObservedGeneration, wanted(s.Spec.Replicas), s.Status.UpdatedReplicas, s.Status.ReadyReplicas)
	p = unless(p, s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType,
		"OnDelete: each pod takes the change when you delete it")
	if r := s.Spec.UpdateStrategy.RollingUpdate; r != nil && r.Partition != nil && *r.Partition > 0 {
		p = unless(p, true, fmt.Sprintf("partition %d: pods below that number keep the old template until you lower it", *r.Partition))
	}
	return p
}

func daemonSet(d *appsv1.DaemonSet) Progress {
	s := d.Status
	p := pods(d.Generation > s.ObservedGeneration, s.DesiredNumberScheduled, s.UpdatedNumberScheduled, s.NumberAvailable)
	return unless(p, d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType,
		"OnDelete: each pod takes the change when you delete it")
}

// pods judges a rollout that replaces Pods one by one: at its end all are new
// and all are ready.
func pods(stale bool, want, updated, ready int32) Progress {
	switch {
	case stale:
		return Progress{Waiting, unnoticed}
	case updated < want:
		return Progress{Waiting, fmt.Sprintf("%d of %d new pods made", updated, want)}
	case ready < want:
		return Progress{Waiting, fmt.Sprintf("%d of %d new pods ready", ready, want)}
	default:
		return Progress{Done, fmt.Sprintf("%d of %[1]d new pods ready", want)}
	}
}
