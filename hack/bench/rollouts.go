// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
)

// restartAll restarts all Deployments of a namespace and waits for each.
const restartAll = `bin/kubectl rollout restart deployment -n "$1" >/dev/null &&
for d in $(bin/kubectl get deployment -n "$1" -o name); do bin/kubectl rollout status -n "$1" "$d" --timeout 30m >/dev/null || exit; done`

// rollouts measures a rollout to the next generations beside a restart of the same
// Deployments.
func (b *bench) rollouts(ctx context.Context, title string, runs int, of site, entries int) error {
	if !strings.HasPrefix(title, b.only) {
		return nil
	}
	own := *b
	b, own.entries = &own, of.deployments // what is done per second
	s, err := b.newSite(ctx, of, 1, entries)
	if err != nil {
		return err
	}
	contenders := []contender{
		{"kubectl rollout restart deployment, and status of each", func(int) (*exec.Cmd, error) {
			return b.command("sh", "-c", restartAll, "sh", s.namespaces[0]), s.settle()
		}},
		s.rollout(),
	}
	if help, _ := b.command("bin/kubectl-fernet", "rollout", "--help").Output(); strings.Contains(string(help), "--max-progressing") {
		contenders = append(contenders, s.rollout("--max-progressing", "20"))
	}
	return b.table(title, runs, contenders)
}

// rollout is measured after an unmeasured rotation, which gives it something to do.
func (s *site) rollout(flags ...string) contender {
	title := strings.TrimSpace("kubectl fernet rollout " + strings.Join(flags, " "))
	return contender{title, func(int) (*exec.Cmd, error) {
		if err := s.settle(); err != nil {
			return nil, err
		}
		if err := s.run(s.rotate()); err != nil {
			return nil, err
		}
		env, _, err := envfile.ReadFile(s.bench.path(s.name + ".env"))
		if err != nil {
			return nil, err
		}
		ring, err := keyring.Find(keyring.FromFile(env))
		if err != nil {
			return nil, err
		}
		return s.verb(append([]string{"rollout", "--yes", "--workload-timeout", "30m", "--apps-have-key", ring.IDs()[0]}, flags...)...), nil
	}}
}

// settle waits until all Pods are there and ready.
func (s *site) settle() error {
	out, err := s.bench.command("bin/kubectl", "wait", "deployment", "--all", "-n", s.namespaces[0], "--for=condition=Available", "--timeout=5m").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
