// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
)

// enough is how many samples each rollout has to give.
const enough = 50

// readyPods are those that take part in a sample.
type readyPods map[types.UID]corev1.Pod

type reader struct {
	pods     core.PodInterface
	secrets  core.SecretInterface
	samples  int
	rollouts map[string]int    // samples, by the two templates
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
	templates := map[string]bool{}
	for _, pod := range pods {
		if owner := metav1.GetControllerOf(&pod); owner != nil {
			templates[owner.Name] = true
		}
	}
	if len(templates) > 1 {
		r.rollouts[strings.Join(slices.Sorted(maps.Keys(templates)), " and ")]++
	}
	for _, err := range bad {
		if !slices.Contains(r.problems, err.Error()) {
			r.problems = append(r.problems, err.Error())
		}
	}
}

// report says what was seen.
func (r *reader) report() []string {
	lines := []string{fmt.Sprintf("%d samples of all Ready pods", r.samples)}
	for _, templates := range slices.Sorted(maps.Keys(r.rollouts)) {
		lines = append(lines, fmt.Sprintf("%d of them with pods of %s side by side", r.rollouts[templates], templates))
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
	for templates, n := range r.rollouts {
		if n < enough {
			return fmt.Errorf("only %d samples with pods of %s side by side, want %d", n, templates, enough)
		}
	}
	return nil
}
