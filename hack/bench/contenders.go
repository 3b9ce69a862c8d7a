// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
)

const envHead = "KEY=8wjBHTr1D9Hn2w2E1wHkUOb0cSgEJVkUIYW6Jk1cP2E=\n"

// setUp pushes once, for the List that the others send, and for push again.
func (b *bench) setUp(ctx context.Context) error {
	var env strings.Builder
	env.WriteString(envHead)
	for i := range b.entries {
		fmt.Fprintf(&env, "SECRET_ENTRY_%d=9e68b558-9f6a-4f06-8233-%012d\n", i, i)
	}
	if err := os.WriteFile(b.path("full.env"), []byte(env.String()), 0o600); err != nil {
		return err
	}
	two := envHead + "CLUSTER_NAME=localkube\nSECRET-TEST-1=9e68b558-9f6a-4f06-8233-f0af0a1e5b42\nSECRET-TEST-2=a004ce4c-f22d-46a1-ad39-f9c2a0a31619\n"
	if err := os.WriteFile(b.path("two.env"), []byte(two), 0o600); err != nil {
		return err
	}
	var err error
	if b.pushed, err = b.namespace(ctx, "again"); err != nil {
		return err
	}
	cmd := b.push(b.pushed)
	cmd.Args = append(cmd.Args, "-o", "json")
	list, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	b.list = b.path("list.json")
	return os.WriteFile(b.list, list, 0o600)
}

func (b *bench) path(name string) string { return filepath.Join(b.work, name) }

func (b *bench) namespace(ctx context.Context, name string) (string, error) {
	client, err := corev1client.NewForConfig(b.config)
	if err != nil {
		return "", err
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "bench-" + name + "-"}}
	made, err := client.Namespaces().Create(ctx, ns, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return made.Name, nil
}

func (b *bench) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...) // #nosec G204 -- our own commands
	cmd.Env = append(os.Environ(), "KUBECONFIG="+b.kubeconfig)
	return cmd
}

func (b *bench) push(namespace string) *exec.Cmd {
	return b.command("bin/kubectl-fernet", "push", "--env", b.path("full.env"), "--ledger", b.path(namespace+".csv"), "-n", namespace)
}

// listFor writes the List with another namespace in it.
func (b *bench) listFor(namespace string) (string, error) {
	list, err := os.ReadFile(b.list)
	if err != nil {
		return "", err
	}
	file := b.path(namespace + ".json")
	text := strings.ReplaceAll(string(list), `"namespace": "`+b.pushed+`"`, `"namespace": "`+namespace+`"`)
	return file, os.WriteFile(file, []byte(text), 0o600)
}

// fresh creates all entries in a new namespace.
func (b *bench) fresh(ctx context.Context, label string) []contender {
	with := func(name string, command func(namespace, list string) *exec.Cmd) contender {
		return contender{name, func(run int) (*exec.Cmd, error) {
			ns, err := b.namespace(ctx, fmt.Sprintf("%s-%d", label, run))
			if err != nil {
				return nil, err
			}
			list, err := b.listFor(ns)
			return command(ns, list), err
		}}
	}
	self, _ := os.Executable()
	return []contender{
		with("kubectl fernet push", func(ns, _ string) *exec.Cmd { return b.push(ns) }),
		with("bare client-go loop, 32 workers", func(_, list string) *exec.Cmd { return b.command(self, "-loop", list) }),
		with("kubectl create -f", func(_, list string) *exec.Cmd { return b.command("bin/kubectl", "create", "-f", list) }),
	}
}

// rotate brings all entries of a new namespace under a new key.
func (b *bench) rotate(ctx context.Context) []contender {
	return []contender{{"kubectl fernet rotate", func(run int) (*exec.Cmd, error) {
		ns, err := b.namespace(ctx, fmt.Sprintf("rotate-%d", run))
		if err != nil {
			return nil, err
		}
		env, err := os.ReadFile(b.path("full.env"))
		if err != nil {
			return nil, err
		}
		own := b.path(ns + ".env")
		if err := os.WriteFile(own, env, 0o600); err != nil {
			return nil, err
		}
		verb := func(args ...string) *exec.Cmd {
			return b.command("bin/kubectl-fernet", append(args, "--env", own, "--ledger", b.path(ns+".csv"), "-n", ns)...)
		}
		return verb("rotate", "--yes"), verb("push").Run()
	}}}
}

// look pushes all entries to a new namespace, and looks at those that are there.
// The requests are counted by what -v says of them.
func (b *bench) look(ctx context.Context) []contender {
	verb := func(name, namespace string) *exec.Cmd {
		return b.command("bin/kubectl-fernet", name, "--env", b.path("full.env"), "--ledger", b.path(namespace+".csv"), "-n", namespace, "-v", "1")
	}
	again := func(name string) contender {
		return contender{"kubectl fernet " + name, func(int) (*exec.Cmd, error) { return verb(name, b.pushed), nil }}
	}
	return []contender{
		{"kubectl fernet push, a new namespace", func(run int) (*exec.Cmd, error) {
			ns, err := b.namespace(ctx, fmt.Sprintf("look-%d", run))
			return verb("push", ns), err
		}},
		again("push"), again("diff"), again("verify"), again("status"),
	}
}

// again repeats what is there already.
func (b *bench) again(ctx context.Context) []contender {
	same := func(cmd func() *exec.Cmd) func(int) (*exec.Cmd, error) {
		return func(int) (*exec.Cmd, error) { return cmd(), nil }
	}
	applied := func(flags ...string) func(int) (*exec.Cmd, error) {
		var list string
		return func(int) (*exec.Cmd, error) {
			apply := func() *exec.Cmd {
				return b.command("bin/kubectl", append([]string{"apply", "-f", list}, flags...)...)
			}
			if list != "" {
				return apply(), nil
			}
			ns, err := b.namespace(ctx, "apply")
			if err != nil {
				return nil, err
			}
			if list, err = b.listFor(ns); err != nil {
				return nil, err
			}
			return apply(), apply().Run() // the first time is not measured
		}
	}
	return []contender{
		{"kubectl fernet push", same(func() *exec.Cmd { return b.push(b.pushed) })},
		{"kubectl apply --server-side -f", applied("--server-side")},
		{"kubectl apply -f", applied()},
	}
}

func (b *bench) startUp() []contender {
	command := func(name string, args ...string) contender {
		title := filepath.Base(name) + " " + strings.ReplaceAll(strings.Join(args, " "), b.work+"/", "")
		return contender{title, func(int) (*exec.Cmd, error) { return b.command(name, args...), nil }}
	}
	return []contender{
		command("bin/kubectl-fernet", "version"),
		command("bin/kubectl-fernet", "push", "--dry-run=client", "--env", b.path("two.env")),
		command("bin/kubectl", "version", "--client"),
	}
}

// bareLoop sends the Secrets of a List with so many workers and nothing else.
func bareLoop(ctx context.Context, file string, workers int) error {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	config.QPS = -1
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(file) // #nosec G304 -- our own file
	if err != nil {
		return err
	}
	var list corev1.SecretList
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	var group sync.WaitGroup
	var failed atomic.Int64
	next := make(chan *corev1.Secret)
	for range workers {
		group.Go(func() {
			for s := range next {
				if _, err := client.Secrets(s.Namespace).Create(ctx, s, metav1.CreateOptions{}); err != nil {
					failed.Add(1)
				}
			}
		})
	}
	for i := range list.Items {
		next <- &list.Items[i]
	}
	close(next)
	group.Wait()
	if failed.Load() > 0 {
		return fmt.Errorf("%d creates failed", failed.Load())
	}
	return nil
}
