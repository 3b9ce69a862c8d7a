// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

// In these tests a mac says by itself what it proves.
const (
	ours    = ""
	hinted  = "hint"
	edited  = "edited"
	nobodys = "unsigned"
)

func standingOf(_ []string, mac string) ledger.Standing {
	return map[string]ledger.Standing{ours: ledger.Evidence, hinted: ledger.Hint, edited: ledger.Edited, nobodys: ledger.Unsigned}[mac]
}

func by(mac string, row ledger.Row) ledger.Row {
	row.MAC = mac
	return row
}

func named(generation int, row ledger.Row) ledger.Row {
	row.Generation, row.Secret, row.Since = generation, names.Secret("secret-1", generation), 1
	return row
}

// at gives what rows add up to in the place of these tests.
func at(rows ...ledger.Row) ([]ledger.Record, *ledger.Past, *ledger.Book) {
	b := ledger.NewBook(ledger.Keys{Verify: standingOf})
	for i, row := range rows {
		row.Line = i + 2
		b.Add(row)
	}
	records, past := b.At(planned(1).Cluster, planned(1).Namespace)
	return records, past, b
}

// Evidence, hints and rows that prove nothing: a record is written STATE, and "hint"
// where it is one.
func TestBookTellsProofFromHint(t *testing.T) {
	const p, c, d = ledger.Planned, ledger.Created, ledger.Deleted
	other := func(row ledger.Row) ledger.Row {
		row.Binding = ""
		return row
	}
	for _, tt := range []struct {
		name string
		rows []ledger.Row
		want []string
	}{
		{"evidence", []ledger.Row{event(0, c, "u1")}, []string{"created"}},
		{"a hint", []ledger.Row{by(hinted, event(0, c, "u1"))}, []string{"created hint"}},
		{"both", []ledger.Row{event(0, c, "u1"), by(hinted, event(0, c, "u1"))}, []string{"created", "created hint"}},
		{"edited and unsigned rows are nothing", []ledger.Row{by(edited, event(0, c, "u1")), by(nobodys, event(0, c, "u1"))}, nil},
		{"a hint deletes no evidence", []ledger.Row{event(0, c, "u1"), by(hinted, event(1, d, "u1"))}, []string{"created"}},
		{"nor does an edited or an unsigned row", []ledger.Row{event(0, c, "u1"), by(edited, event(1, d, "u1")), by(nobodys, event(1, d, "u1"))}, []string{"created"}},
		{"a hint creates none that was deleted", []ledger.Row{event(0, d, "u1"), by(hinted, event(1, c, "u2"))}, nil},
		{"hints end hints", []ledger.Row{by(hinted, event(0, c, "u1")), by(hinted, event(1, d, "u1"))}, nil},
		{"evidence of deleted ends a hint, under any uid", []ledger.Row{by(hinted, event(0, c, "u1")), event(1, d, "u2")}, nil},
		{"evidence about another binding does not", []ledger.Row{by(hinted, event(0, c, "u1")), other(event(1, d, "u1"))}, []string{"created hint"}},
		{"a name that was deleted is never sent", []ledger.Row{event(0, p, ""), other(event(1, d, "u1"))}, nil},
		{"but not because a hint says so", []ledger.Row{event(0, p, ""), by(hinted, other(event(1, d, "u1")))}, []string{"planned"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // in both orders
				records, _, _ := at(tt.rows...)
				var got []string
				for _, r := range records {
					text := string(r.State)
					if r.Hint {
						text += " hint"
					}
					got = append(got, text)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				slices.Reverse(tt.rows)
			}
		})
	}
}

// A hint uses up numbers only up to 1,000 above the highest that evidence has.
func TestHintsUseUpFewNumbers(t *testing.T) {
	for _, tt := range []struct {
		evidence, hint int
		want           int
	}{
		{0, 1, 1}, {0, 1000, 1000}, {0, 1001, 0}, {0, names.MaxGeneration, 0},
		{7, 3, 7}, {7, 8, 8}, {7, 1007, 1007}, {7, 1008, 7}, {7, names.MaxGeneration, 7},
	} {
		for _, state := range []ledger.State{ledger.Planned, ledger.Created, ledger.Deleted} {
			rows := []ledger.Row{by(hinted, named(tt.hint, event(0, state, "u1"))), by(edited, named(5000, event(0, state, "u1"))), by(nobodys, named(6000, event(0, state, "u1")))}
			if tt.evidence > 0 {
				rows = append(rows, named(tt.evidence, event(0, ledger.Created, "u2")))
			}
			_, past, _ := at(rows...)
			if past.Top("secret-1") != tt.want || past.Known("secret-1") != tt.evidence {
				t.Errorf("%s %d beside evidence of %d: top %d, known %d, want %d", state, tt.hint, tt.evidence, past.Top("secret-1"), past.Known("secret-1"), tt.want)
			}
		}
	}
}

// Only evidence drops a key, ends a token, and names clusters and namespaces.
func TestBookNamesWhatIsProven(t *testing.T) {
	for mac, want := range map[string]bool{ours: true, hinted: false, edited: false, nobodys: false} {
		row := by(mac, event(0, ledger.Deleted, "u1"))
		_, past, b := at(row)
		if past.Dropped(row.KeyID) != want || past.Deleted(row.Secret, row.EnvKey, row.KeyID, row.Token, row.Binding) != want || (past.Over(row.Secret) != nil) != want {
			t.Errorf("%q: dropped %v, deleted, over %v", mac, past.Dropped(row.KeyID), past.Over(row.Secret))
		}
		if (len(b.Clusters()) > 0) != want || (len(b.Proven(row.Cluster)) > 0) != want {
			t.Errorf("%q: clusters %q, namespaces %q", mac, b.Clusters(), b.Proven(row.Cluster))
		}
		if _, more := b.Edited(); (b.EditedKey(row.KeyID) == 2) != (mac == edited) || more != 0 {
			t.Errorf("%q: line %d of an edited row", mac, b.EditedKey(row.KeyID))
		}
		if n, line := b.Unsigned(); (n == 1 && line == 2) != (mac == nobodys) {
			t.Errorf("%q: %d unsigned rows from line %d", mac, n, line)
		}
	}
}

// What was retired under any uid ends where it is not there under one that was
// created and not deleted.
func TestObserved(t *testing.T) {
	created, again := event(0, ledger.Created, "u1"), event(1, ledger.Created, "u2")
	deleted := event(2, ledger.Deleted, "u1")
	for _, tt := range []struct {
		name string
		rows []ledger.Row
		uid  string
		want ledger.State
	}{
		{"there", []ledger.Row{created}, "u1", ledger.Created},
		{"gone", []ledger.Row{created}, "", ledger.Created},
		{"there under another uid", []ledger.Row{created}, "u9", ledger.Created},
		{"one of two retired, the other there", []ledger.Row{created, again, deleted}, "u2", ledger.Created},
		{"one of two retired, the other gone", []ledger.Row{created, again, deleted}, "", ledger.Deleted},
		{"one of two retired, and there under its uid", []ledger.Row{created, again, deleted}, "u1", ledger.Deleted},
		{"one of two retired, and there under a third", []ledger.Row{created, again, deleted}, "u9", ledger.Deleted},
	} {
		records := ledger.Fold(tt.rows)
		if len(records) != 1 || records[0].Observed(tt.uid).State != tt.want {
			t.Errorf("%s: %+v, want %s", tt.name, records, tt.want)
		}
	}
	moved := ledger.Fold([]ledger.Row{created, again, deleted})[0].Moved("other", "b")
	if moved.Namespace != "other" || moved.Binding != "b" || len(moved.UIDs()) > 0 || moved.Observed("").State != ledger.Created {
		t.Errorf("moved: %+v", moved)
	}
}

// Whoever writes rows about one token under many uids does not slow the fold down:
// were the work in proportion to the square of the rows, this would not end.
func TestManyUIDs(t *testing.T) {
	const n = 100_000
	for _, mac := range []string{ours, hinted} {
		b := ledger.NewBook(ledger.Keys{Verify: standingOf})
		for i := range n {
			b.Add(by(mac, event(i, ledger.Created, fmt.Sprint("u", i))))
			b.Add(by(mac, event(i, ledger.Created, fmt.Sprint("brief", i))))
			b.Add(by(mac, event(i, ledger.Deleted, fmt.Sprint("brief", i))))
		}
		for i := range n / 2 {
			b.Add(by(mac, event(i, ledger.Deleted, fmt.Sprint("u", 2*i))))
			b.Add(by(mac, event(i, ledger.Deleted, fmt.Sprint("other", i))))
		}
		records := b.Records()
		if len(records) != 1 || records[0].State != ledger.Created || len(records[0].UIDs()) != n/2 || records[0].Observed("").State != ledger.Deleted {
			t.Errorf("%q: %d records", mac, len(records))
		}
	}
}

// A key is older than another one where evidence has it first, or as one under which
// something was retired; in whichever cluster.
func TestOlderKeys(t *testing.T) {
	of := func(keyID string, minute int, row ledger.Row) ledger.Row {
		row.KeyID, row.Time = keyID, row.Time.Add(time.Duration(minute)*time.Minute)
		return row
	}
	elsewhere := func(row ledger.Row) ledger.Row {
		row.Cluster = "elsewhere"
		return row
	}
	const c, d = ledger.Created, ledger.Deleted
	for _, tt := range []struct {
		name string
		rows []ledger.Row
		want string
	}{
		{"nothing", nil, ""},
		{"used first", []ledger.Row{of("kold", 1, event(0, c, "u1")), of("know", 2, event(0, c, "u2"))}, "kold"},
		{"used later", []ledger.Row{of("knew", 3, event(0, c, "u1")), of("know", 2, event(0, c, "u2"))}, ""},
		{"at once", []ledger.Row{of("kold", 2, event(0, c, "u1")), of("know", 2, event(0, c, "u2"))}, ""},
		{"in another cluster", []ledger.Row{elsewhere(of("kold", 1, event(0, c, "u1"))), of("know", 2, event(0, c, "u2"))}, "kold"},
		{"before ours in yet another", []ledger.Row{of("kold", 2, event(0, c, "u1")), elsewhere(of("know", 1, event(0, c, "u2")))}, ""},
		{"retired", []ledger.Row{of("kold", 9, event(0, d, "u1")), of("know", 2, event(0, c, "u2"))}, "kold"},
		{"ours, retired", []ledger.Row{of("know", 9, event(0, d, "u1"))}, ""},
		{"only planned", []ledger.Row{of("kold", 1, planned(1)), of("know", 2, event(0, c, "u2"))}, ""},
		{"a hint", []ledger.Row{by(hinted, of("kold", 1, event(0, c, "u1"))), by(hinted, of("kolder", 1, event(0, d, "u1"))), of("know", 2, event(0, c, "u2"))}, ""},
		{"ours was never used", []ledger.Row{of("kold", 1, event(0, c, "u1"))}, ""},
	} {
		_, _, b := at(tt.rows...)
		if got := strings.Join(slices.Sorted(maps.Keys(b.OlderKeys("know"))), " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
