// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
)

// long has the verbs that need no cluster read a ledger of so many rows.
func (b *bench) long(rows int) []contender {
	file := b.path("long.csv")
	verb := func(title string, args ...string) contender {
		return contender{"kubectl fernet " + title, func(int) (*exec.Cmd, error) {
			files := []string{"--env", b.path("full.env"), "--ledger", file, "-n", "long"}
			return b.command("bin/kubectl-fernet", append(args, files...)...), b.writeHistory(file, rows)
		}}
	}
	return []contender{
		verb("diff --against ledger", "diff", "--against", "ledger"),
		verb("push --dry-run=client", "push", "--dry-run=client"),
		verb("pull", "pull", "--force", "--out", b.path("pulled.env")),
	}
}

func doorOf(path string) (*envfile.File, *seal.Sealer, error) {
	env, _, err := envfile.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	ring, err := keyring.Find(keyring.FromFile(env))
	if err != nil {
		return nil, nil, err
	}
	return env, seal.New(ring, env.Entries), nil
}

func openLedger(file string, sealer *seal.Sealer) (l *ledger.Ledger, unlock func(), err error) {
	lock, err := ledger.Lock(file)
	if err != nil {
		return nil, nil, err
	}
	unlock = func() { _ = lock.Unlock() }
	if l, err = ledger.Open(atomicfile.OS, file, lock, sealer.Ledger()); err != nil {
		unlock()
	}
	return l, unlock, err
}

const pastEntries = 100

var pastRows = [2]int{40_000, 500_000}

// past has the verbs look at few live entries through ledgers that remember many
// that were retired.
func (b *bench) past(ctx context.Context) (contenders []contender) {
	namespace := ""
	for _, rows := range pastRows {
		for _, verb := range []string{"status", "push", "verify"} {
			contenders = append(contenders, contender{fmt.Sprintf("kubectl fernet %s, %d rows", verb, rows), func(int) (cmd *exec.Cmd, err error) {
				file := b.path(fmt.Sprintf("past-%d.csv", rows))
				if namespace == "" {
					namespace, err = b.pushPast(ctx)
				}
				if err == nil {
					err = b.writePast(file, rows)
				}
				return b.command("bin/kubectl-fernet", verb, "-v", "1", "-n", namespace, "--env", b.path("past.env"), "--ledger", file), err
			}})
		}
	}
	return contenders
}

// pushPast pushes the live entries to a new namespace, of whose ledger the others
// are copies.
func (b *bench) pushPast(ctx context.Context) (namespace string, err error) {
	if namespace, err = b.namespace(ctx, "past"); err != nil {
		return "", err
	}
	text := envHead
	for i := range pastEntries {
		text += fmt.Sprintf("SECRET_%05d=value-%d\n", i, i)
	}
	if err := os.WriteFile(b.path("past.env"), []byte(text), 0o600); err != nil {
		return "", err
	}
	out, err := b.command("bin/kubectl-fernet", "push", "-n", namespace, "--env", b.path("past.env"), "--ledger", b.path("past.csv")).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return namespace, nil
}

// writePast copies the ledger of the live entries, and adds three rows for each of
// many that were retired.
func (b *bench) writePast(file string, rows int) error {
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	live, err := os.ReadFile(b.path("past.csv"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, live, 0o600); err != nil {
		return err
	}
	_, sealer, err := doorOf(b.path("past.env"))
	if err != nil {
		return err
	}
	l, unlock, err := openLedger(file, sealer)
	if err != nil {
		return err
	}
	defer unlock()
	first := l.Book().Records()[0]
	now := time.Now().UTC().Truncate(time.Second)
	var batch []ledger.Row
	for i := range (rows - 2*pastEntries) / 3 {
		row, err := sealer.Seal(ledger.Row{
			Time: now, Operation: ledger.Push, State: ledger.Planned, Cluster: first.Cluster, Namespace: first.Namespace,
			Secret: fmt.Sprintf("secret-old-%05d", i), Generation: 1, EnvKey: "SECRET_00000", Since: 1,
		})
		if err != nil {
			return err
		}
		row.EnvKey = fmt.Sprintf("SECRET_OLD_%05d", i)
		batch = append(batch, row)
		row.State, row.UID = ledger.Created, fmt.Sprintf("00000000-0000-4000-8000-0001%08x", i)
		batch = append(batch, row)
		row.Operation, row.State = ledger.Retire, ledger.Deleted
		batch = append(batch, row)
	}
	return l.Append(batch...)
}

// writeHistory writes, once, the ledger of a namespace in which all entries were
// pushed again and again, and the generation before was retired each time: a
// planned, a created and, but for the newest, a deleted row of each generation.
func (b *bench) writeHistory(file string, rows int) error {
	if b.hasHistory {
		return nil
	}
	env, sealer, err := doorOf(b.path("full.env"))
	if err != nil {
		return err
	}
	l, unlock, err := openLedger(file, sealer)
	if err != nil {
		return err
	}
	defer unlock()
	now := time.Now().UTC().Truncate(time.Second)
	var before []ledger.Row // the created rows of the generation before
	for written, generation := 0, 1; written < rows; generation++ {
		batch, created := []ledger.Row{}, []ledger.Row{}
		for i, e := range env.Entries[1:] { // behind KEY
			base, err := names.Base(e.Name)
			if err != nil {
				return err
			}
			row, err := sealer.Seal(ledger.Row{
				Time: now, Operation: ledger.Push, State: ledger.Planned, Cluster: "localkube", Namespace: "long",
				Secret: names.Secret(base, generation), Generation: generation, EnvKey: e.Name, Since: generation,
			})
			if err != nil {
				return err
			}
			batch = append(batch, row)
			row.State, row.UID = ledger.Created, fmt.Sprintf("00000000-0000-4000-8000-%04x%08x", generation, i)
			created = append(created, row)
		}
		batch = append(batch, created...)
		for _, row := range before {
			row.Operation, row.State = ledger.Retire, ledger.Deleted
			batch = append(batch, row)
		}
		if err := l.Append(batch...); err != nil {
			return err
		}
		written, before = written+len(batch), created
	}
	b.hasHistory = true
	return nil
}
