// SPDX-License-Identifier: Apache-2.0

package seal_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
)

// signed gives a row as a ledger has it: sealed and signed.
func signed(t *testing.T, sealer *seal.Sealer, state ledger.State, uid string, changes ...func(*ledger.Row)) ledger.Row {
	t.Helper()
	row, err := sealer.Seal(target("SECRET_A"))
	if err != nil {
		t.Fatal(err)
	}
	row.Time, row.State, row.UID, row.Since = time.Unix(1700000000, 0).UTC(), state, uid, row.Generation
	for _, change := range changes {
		change(&row)
	}
	return sign(sealer, row)
}

func sign(sealer *seal.Sealer, row ledger.Row) ledger.Row {
	row.MAC = sealer.Ledger().Sign(row.Cells())
	return row
}

// book adds rows up as a run with this sealer does.
func book(sealer *seal.Sealer, rows ...ledger.Row) *ledger.Book {
	b := ledger.NewBook(sealer.Ledger())
	for i, row := range rows {
		row.Line = i + 2
		b.Add(row)
	}
	return b
}

// What is kept of deleted values is the same in whatever order the rows come, and
// however often: git merges ledgers as sets of lines.
func TestLedgerKeepsAStaleValueInAnyOrder(t *testing.T) {
	sealer := seal.New(ring(t, keyA, ""), []envfile.Entry{entry("SECRET_A", "canary-51f0")})
	created := signed(t, sealer, ledger.Created, "u1")
	planned, deleted, again, over := created, created, created, created
	planned.State, planned.UID = ledger.Planned, ""
	deleted.State, deleted.Operation = ledger.Deleted, ledger.Retire
	again.UID, again.Operation = "u2", ledger.Restore
	over.UID, over.State = "u2", ledger.Deleted
	rows := []ledger.Row{planned, created, deleted, again, over, deleted, created}
	for i := range rows {
		rows[i] = sign(sealer, rows[i])
	}
	for seed := range uint64(200) {
		shuffled := slices.Clone(rows)
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		records, _ := book(sealer, shuffled...).At("c", "ns")
		if len(records) != 1 || records[0].State != ledger.Deleted || records[0].Token != created.Token {
			var order []string
			for _, r := range shuffled {
				order = append(order, string(r.State)+" "+r.UID)
			}
			t.Fatalf("seed %d: %d records of %s", seed, len(records), strings.Join(order, ", "))
		}
	}
}
