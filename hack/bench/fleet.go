// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsv1client "k8s.io/client-go/kubernetes/typed/apps/v1"
)

// site is a .env with its ledger, pushed to namespaces that have Deployments.
type site struct {
	bench       *bench
	name        string
	namespaces  []string
	deployments int
	replicas    int32
	ready       int32 // seconds until a Pod counts as available
}

// newSite pushes so many entries to new namespaces, and makes Deployments that name them all.
func (b *bench) newSite(ctx context.Context, s site, namespaces, entries int) (*site, error) {
	s.bench = b
	var env strings.Builder
	env.WriteString(envHead)
	for i := range entries {
		fmt.Fprintf(&env, "SECRET_ENTRY_%d=9e68b558-9f6a-4f06-8233-%012d\n", i, i)
	}
	if err := os.WriteFile(b.path(s.name+".env"), []byte(env.String()), 0o600); err != nil {
		return nil, err
	}
	for range namespaces {
		namespace, err := b.namespace(ctx, s.name)
		if err != nil {
			return nil, err
		}
		s.namespaces = append(s.namespaces, namespace)
		if err := s.deploy(ctx, namespace, entries); err != nil {
			return nil, err
		}
	}
	return &s, s.run(s.push())
}

// deploy makes the Deployments of one namespace.
func (s *site) deploy(ctx context.Context, namespace string, entries int) error {
	client, err := appsv1client.NewForConfig(s.bench.config)
	if err != nil {
		return err
	}
	for i := range s.deployments {
		labels := map[string]string{"app": fmt.Sprintf("app-%d", i)}
		container := corev1.Container{Name: "app", Image: "app"}
		for e := range entries {
			name := corev1.LocalObjectReference{Name: fmt.Sprintf("secret-entry-%d", e)}
			container.EnvFrom = append(container.EnvFrom, corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: name}})
		}
		d := &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: labels["app"]},
			Spec: appsv1.DeploymentSpec{
				Replicas: &s.replicas, MinReadySeconds: s.ready, Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{container}}},
			},
		}
		if _, err := client.Deployments(namespace).Create(ctx, d, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// verb is a command of the plugin on the site; -v shows its requests, which are counted.
func (s *site) verb(args ...string) *exec.Cmd {
	return s.bench.command("bin/kubectl-fernet", append(args, "-v", "1", "--env", s.bench.path(s.name+".env"), "--ledger", s.bench.path(s.name+".csv"))...)
}

func (s *site) push() *exec.Cmd {
	return s.verb("push", "--namespaces", strings.Join(s.namespaces, ","))
}

func (s *site) rotate() *exec.Cmd { return s.verb("rotate", "--new-key", "--yes") }

// run runs what is not measured.
func (s *site) run(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil && !left(err) {
		return fmt.Errorf("%s: %w: %.2000s", cmd, err, out)
	}
	return nil
}

// fleet measures the verbs on a site of many namespaces. Those that change something come
// last.
func (b *bench) fleet(ctx context.Context, title string, runs, namespaces, entries int) error {
	if !strings.HasPrefix(title, b.only) {
		return nil
	}
	own := *b
	b, own.entries = &own, namespaces*entries
	s, err := b.newSite(ctx, site{name: "fleet", deployments: 1}, namespaces, entries)
	if err != nil {
		return err
	}
	always := func(name string, cmd func() *exec.Cmd) contender {
		return contender{"kubectl fernet " + name, func(int) (*exec.Cmd, error) { return cmd(), nil }}
	}
	verb := func(name string, args ...string) contender {
		return always(name, func() *exec.Cmd { return s.verb(args...) })
	}
	if err := b.table(title, runs, []contender{
		always("push, again", s.push), verb("status", "status"), verb("verify", "verify"),
		verb("rollout, nothing to do", "rollout", "--yes"),
	}); err != nil {
		return err
	}
	if err := s.run(s.rotate()); err != nil {
		return err
	}
	if err := b.table(title+", retire", runs, []contender{verb("retire --dry-run", "retire", "--dry-run")}); err != nil {
		return err
	}
	return b.table(title+", rotate", runs, []contender{always("rotate", s.rotate)})
}
