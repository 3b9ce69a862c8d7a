// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// bundles measures a bundle of all entries beside single Secrets, and beside what makes one
// plain Secret of a file.
func (b *bench) bundles(ctx context.Context, runs int) error {
	for _, t := range []struct {
		title string
		of    func(context.Context) ([]contender, error)
	}{
		{"bundles: push to a new namespace, loopback", b.freshBundles},
		{"bundles: push of one changed value, loopback", b.changedBundles},
		{"bundles: rotate, loopback", b.rotatedBundles},
	} {
		if !strings.HasPrefix(t.title, b.only) {
			continue
		}
		contenders, err := t.of(ctx)
		if err != nil {
			return err
		}
		if err := b.table(t.title, runs, contenders); err != nil {
			return err
		}
	}
	return nil
}

// form is how the entries of an .env are put into Secrets, by a line of it.
type form struct{ name, line string }

var forms = []form{{"single Secrets", ""}, {"a bundle", "FERNET_BUNDLE=web\n"}}

// begin gives the plugin's command in a new namespace, with an .env of its own.
func (b *bench) begin(ctx context.Context, name string, f form) (verb func(args ...string) *exec.Cmd, env string, err error) {
	ns, err := b.namespace(ctx, name)
	if err != nil {
		return nil, "", err
	}
	text, err := os.ReadFile(b.path("full.env"))
	if err != nil {
		return nil, "", err
	}
	env = b.path(ns + ".env")
	verb = func(args ...string) *exec.Cmd {
		return b.command("bin/kubectl-fernet", append(args, "-v", "1", "--env", env, "--ledger", b.path(ns+".csv"), "-n", ns)...)
	}
	return verb, env, os.WriteFile(env, append(text, f.line...), 0o600)
}

func (b *bench) freshBundles(ctx context.Context) (contenders []contender, err error) {
	for _, f := range forms {
		contenders = append(contenders, contender{"kubectl fernet push, " + f.name, func(int) (*exec.Cmd, error) {
			verb, _, err := b.begin(ctx, "fresh-bundle", f)
			if err != nil {
				return nil, err
			}
			return verb("push"), nil
		}})
	}
	text, err := os.ReadFile(b.path("full.env"))
	if err != nil {
		return nil, err
	}
	plain := b.path("plain.env")
	contenders = append(contenders, contender{"kubectl create secret generic --from-env-file", func(int) (*exec.Cmd, error) {
		ns, err := b.namespace(ctx, "plain")
		return b.command("bin/kubectl", "create", "secret", "generic", "web", "--from-env-file", plain, "-n", ns), err
	}})
	return contenders, os.WriteFile(plain, []byte(strings.TrimPrefix(string(text), envHead)), 0o600)
}

// changedBundles gives one entry another value; the first push is not measured.
func (b *bench) changedBundles(ctx context.Context) (contenders []contender, err error) {
	for _, f := range forms {
		contenders = append(contenders, contender{"kubectl fernet push --update, " + f.name, func(int) (*exec.Cmd, error) {
			verb, env, err := b.begin(ctx, "changed-bundle", f)
			if err != nil {
				return nil, err
			}
			if err := verb("push").Run(); err != nil {
				return nil, fmt.Errorf("push: %w", err)
			}
			text, err := os.ReadFile(env) // #nosec G304 -- our own file
			if err != nil {
				return nil, err
			}
			changed := strings.Replace(string(text), "SECRET_ENTRY_0=", "SECRET_ENTRY_0=another-", 1)
			return verb("push", "--update"), os.WriteFile(env, []byte(changed), 0o600)
		}})
	}
	return contenders, nil
}

func (b *bench) rotatedBundles(ctx context.Context) (contenders []contender, err error) {
	for _, f := range forms {
		contenders = append(contenders, contender{"kubectl fernet rotate, " + f.name, func(int) (*exec.Cmd, error) {
			verb, _, err := b.begin(ctx, "rotated-bundle", f)
			if err != nil {
				return nil, err
			}
			return verb("rotate", "--yes"), verb("push").Run()
		}})
	}
	return contenders, nil
}
