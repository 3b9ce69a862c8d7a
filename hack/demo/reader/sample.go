// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
)

// enough is how many samples the slowest rollout has to give; the others only have to be in
// them.
const enough = 50

// readyPods are those that take part in a sample.
type readyPods map[types.UID]corev1.Pod

type reader struct {
	pods     core.PodInterface
	secrets  core.SecretInterface
	samples  int
	rollouts map[string]int    // samples with pods of two templates, by the app
	values   map[string]string // what each name opened to first
	problems []string          // each once
}

func newReader(pods core.PodInterface, secrets core.SecretInterface) *reader {
	return &reader{pods: pods, secrets: secrets, rollouts: map[string]int{}, values: map[string]string{}}
}

// sample looks once at everything. It lists the pods before the Secrets, so one
// may be missing because its pod has ended meanwhile: what does not open counts
// only if the pod is still there afterwards.
func (r *reader) sample(ctx context.Context) error {
	pods, err := r.listPods(ctx)
	if err != nil {
		return err
	}
	from, err := r.listSecrets(ctx)
	if err != nil {
		return err
	}
	bad := r.judge(pods, from)
	if len(bad) > 0 {
		still, err := r.listPods(ctx)
		if err != nil {
			return err
		}
		maps.DeleteFunc(bad, func(uid types.UID, _ error) bool { _, ok := still[uid]; return !ok })
	}
	r.count(pods, bad)
	return nil
}

func (r *reader) listPods(ctx context.Context) (readyPods, error) {
	list, err := r.pods.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	pods := readyPods{}
	for _, pod := range list.Items {
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				pods[pod.UID] = pod
			}
		}
	}
	return pods, nil
}

func (r *reader) listSecrets(ctx context.Context) (secrets, error) {
	list, err := r.secrets.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	all := secrets{}
	for _, s := range list.Items {
		all[s.Name] = s.Data
	}
	return all, nil
}

// judge says which pods do not get what they always got.
func (r *reader) judge(pods readyPods, from secrets) map[types.UID]error {
	bad := map[types.UID]error{}
	for uid, pod := range pods {
		opened, err := open(&pod.Spec, from)
		for name, value := range opened {
			if _, seen := r.values[name]; !seen {
				r.values[name] = value
			}
			if r.values[name] != value {
				err = fmt.Errorf("%s opens to another value than before", name)
			}
		}
		if err != nil {
			bad[uid] = fmt.Errorf("pod %s: %w", pod.Name, err)
		}
	}
	return bad
}

// count adds a sample. One without a Ready pod tells nothing.
func (r *reader) count(pods readyPods, bad map[types.UID]error) {
	if len(pods) == 0 {
		return
	}
	r.samples++
	templates := map[string]string{} // the first one of each app
	sideBySide := map[string]bool{}
	for _, pod := range pods {
		app, template := pod.Labels["app"], templateOf(pod)
		first, seen := templates[app]
		sideBySide[app] = sideBySide[app] || seen && first != template
		templates[app] = template
	}
	for app, two := range sideBySide {
		if two {
			r.rollouts[app]++
		}
	}
	for _, err := range bad {
		if !slices.Contains(r.problems, err.Error()) {
			r.problems = append(r.problems, err.Error())
		}
	}
}

// templateOf names the template that a pod was made of.
func templateOf(pod corev1.Pod) string {
	return cmp.Or(pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey], pod.Labels[appsv1.ControllerRevisionHashLabelKey])
}

// report says what was seen.
func (r *reader) report() []string {
	lines := []string{fmt.Sprintf("%d samples of all Ready pods", r.samples)}
	for _, app := range slices.Sorted(maps.Keys(r.rollouts)) {
		lines = append(lines, fmt.Sprintf("%d of them with old and new pods of %s side by side", r.rollouts[app], app))
	}
	return append(lines, r.problems...)
}

// verdict is an error unless everything opened, and was looked at often enough.
func (r *reader) verdict() error {
	switch {
	case len(r.problems) > 0:
		return errors.New("a pod did not get what it always got")
	case len(r.rollouts) == 0:
		return errors.New("there was no rollout")
	}
	if most := slices.Max(slices.Collect(maps.Values(r.rollouts))); most < enough {
		return fmt.Errorf("only %d samples with old and new pods side by side, want %d", most, enough)
	}
	return nil
}
