// SPDX-License-Identifier: Apache-2.0

package seal_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
)

// signed gives a row as a ledger has it: sealed and signed.
func signed(t *testing.T, door *seal.Door, state ledger.State, uid string, changes ...func(*ledger.Row)) ledger.Row {
	t.Helper()
	row, err := door.Seal(target("SECRET_A"))
	if err != nil {
		t.Fatal(err)
	}
	row.Time, row.State, row.UID, row.Since = time.Unix(1700000000, 0).UTC(), state, uid, row.Generation
	for _, change := range changes {
		change(&row)
	}
	return sign(door, row)
}

func sign(door *seal.Door, row ledger.Row) ledger.Row {
	row.MAC = door.Ledger().Sign(row.Cells())
	return row
}

// book adds rows up as a run with this door does.
func book(door *seal.Door, rows ...ledger.Row) *ledger.Book {
	b := ledger.NewBook(door.Ledger())
	for i, row := range rows {
		row.Line = i + 2
		b.Add(row)
	}
	return b
}

// What is kept of deleted values is the same in whatever order the rows come, and
// however often: git merges ledgers as sets of lines.
func TestLedgerKeepsAStaleValueInAnyOrder(t *testing.T) {
	door := seal.New(ring(t, keyA, ""), []envfile.Entry{entry("SECRET_A", "canary-51f0")})
	created := signed(t, door, ledger.Created, "u1")
	planned, deleted, again, over := created, created, created, created
	planned.State, planned.UID = ledger.Planned, ""
	deleted.State, deleted.Operation = ledger.Deleted, ledger.Retire
	again.UID, again.Operation = "u2", ledger.Restore
	over.UID, over.State = "u2", ledger.Deleted
	rows := []ledger.Row{planned, created, deleted, again, over, deleted, created}
	for i := range rows {
		rows[i] = sign(door, rows[i])
	}
	for seed := range uint64(200) {
		shuffled := slices.Clone(rows)
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		records, _ := book(door, shuffled...).At("c", "ns")
		if len(records) != 1 || records[0].State != ledger.Deleted || records[0].Token != created.Token {
			var order []string
			for _, r := range shuffled {
				order = append(order, string(r.State)+" "+r.UID)
			}
			t.Fatalf("seed %d: %d records of %s", seed, len(records), strings.Join(order, ", "))
		}
	}
}

// A row that was changed in any one cell is edited; another key's is a hint, one
// without a mac unsigned.
func TestVerifyKnowsEachCell(t *testing.T) {
	old := seal.New(ring(t, keyB, ""), []envfile.Entry{entry("SECRET_A", "canary-51f0")})
	row := signed(t, old, ledger.Created, "11111111-2222-4333-8444-555555555555")
	cells := row.Cells()
	if len(cells) != 13 {
		t.Fatalf("%d cells", len(cells))
	}
	door := seal.New(ring(t, keyA, keyB), nil)
	stranger := seal.New(ring(t, keyA, ""), nil)
	verify := door.Ledger().Verify
	if got := verify(cells, row.MAC); got != ledger.Evidence {
		t.Errorf("the row itself: %v", got)
	}
	for i := range cells {
		changed := slices.Clone(cells)
		changed[i] += "x"
		if got := verify(changed, row.MAC); got != ledger.Edited {
			t.Errorf("cell %d is longer: %v", i, got)
		}
		changed[i] = ""
		if got := verify(changed, row.MAC); got != ledger.Edited {
			t.Errorf("cell %d is empty: %v", i, got)
		}
		for j := range i {
			swapped := slices.Clone(cells)
			if swapped[i], swapped[j] = cells[j], cells[i]; cells[i] != cells[j] && verify(swapped, row.MAC) != ledger.Edited {
				t.Errorf("cells %d and %d are swapped: not edited", i, j)
			}
		}
	}
	// The concatenation stays as it is: only the lengths tell.
	for i := range len(cells) - 1 {
		moved := slices.Clone(cells)
		moved[i], moved[i+1] = moved[i]+moved[i+1], ""
		if moved[i] != cells[i] && verify(moved, row.MAC) != ledger.Edited {
			t.Errorf("cell %d has the next one too: not edited", i)
		}
	}
	for _, tt := range []struct {
		name string
		mac  string
		want ledger.Standing
	}{
		{"none", "", ledger.Unsigned},
		{"cut", row.MAC[:len(row.MAC)-1], ledger.Edited},
		{"the other key's id", "v1:" + door.Ledger().Sign(cells)[len("v1:"):len("v1:k0123abcd")] + row.MAC[len("v1:k0123abcd"):], ledger.Edited},
		{"our id alone", row.MAC[:len("v1:k0123abcd")], ledger.Edited},
		{"nobody's id", "v1:kdeadbee1" + row.MAC[len("v1:k0123abcd"):], ledger.Hint},
		{"another version", "v2" + row.MAC[len("v1"):], ledger.Hint},
		{"KEY's own", door.Ledger().Sign(cells), ledger.Evidence},
	} {
		if got := verify(cells, tt.mac); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := stranger.Ledger().Verify(cells, row.MAC); got != ledger.Hint {
		t.Errorf("without the key: %v", got)
	}
}

// The vectors were computed by Python, which shares no code with this package.
func TestLedgerMacVectors(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "vectors", "ledgermac.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Name, Key, MAC string
			Cells          []string
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) < 20 {
		t.Fatalf("only %d vectors", len(file.Cases))
	}
	for _, v := range file.Cases {
		keys := seal.New(ring(t, v.Key, ""), nil).Ledger()
		if got := keys.Sign(v.Cells); got != v.MAC {
			t.Errorf("%s: %s, want %s", v.Name, got, v.MAC)
		}
		if got := keys.Verify(v.Cells, v.MAC); got != ledger.Evidence {
			t.Errorf("%s: %v", v.Name, got)
		}
	}
}
