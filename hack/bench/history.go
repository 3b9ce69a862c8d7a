// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os/exec"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
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

// writeHistory writes, once, the ledger of a namespace in which all entries were
// pushed again and again, and the generation before was retired each time: a
// planned, a created and, but for the newest, a deleted row of each generation.
func (b *bench) writeHistory(file string, rows int) error {
	if b.hasHistory {
		return nil
	}
	env, _, err := envfile.ReadFile(b.path("full.env"))
	if err != nil {
		return err
	}
	ring, err := keyring.Find(keyring.FromFile(env))
	if err != nil {
		return err
	}
	lock, err := ledger.Lock(file)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Unlock() }()
	door := seal.New(ring, env.Entries)
	l, err := ledger.Open(atomicfile.OS, file, lock, door.Ledger())
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Second)
	var before []ledger.Row // the created rows of the generation before
	for written, generation := 0, 1; written < rows; generation++ {
		batch, created := []ledger.Row{}, []ledger.Row{}
		for i, e := range env.Entries[1:] { // behind KEY
			base, err := manifest.BaseName(e.Name)
			if err != nil {
				return err
			}
			row, err := door.Seal(ledger.Row{
				Time: now, Operation: ledger.Push, State: ledger.Planned, Cluster: "localkube", Namespace: "long",
				Secret: manifest.SecretName(base, generation), Generation: generation, EnvKey: e.Name, Since: generation,
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
