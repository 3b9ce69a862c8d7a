// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

// event is a row about the one object of a test: at is in seconds after noon.
func event(at int, state ledger.State, uid string) ledger.Row {
	row := planned(1)
	row.Time, row.State, row.UID = noon.Add(time.Duration(at)*time.Second), state, uid
	return row
}

func TestFold(t *testing.T) {
	const p, f, c, d = ledger.Planned, ledger.Failed, ledger.Created, ledger.Deleted
	for _, tc := range []struct {
		name  string
		rows  []ledger.Row
		state ledger.State
		uids  []string
	}{
		{"planned", []ledger.Row{event(0, p, "")}, p, nil},
		{"refused", []ledger.Row{event(0, p, ""), event(1, f, "")}, f, nil},
		{"refused, tried again", []ledger.Row{event(0, p, ""), event(1, f, ""), event(2, p, "")}, f, nil},
		{"refused, landed after all", []ledger.Row{event(0, p, ""), event(1, f, ""), event(2, c, "u1")}, c, []string{"u1"}},
		{"created", []ledger.Row{event(0, p, ""), event(1, c, "u1")}, c, []string{"u1"}},
		{"learned", []ledger.Row{event(0, c, "u1")}, c, []string{"u1"}},
		{"retired", []ledger.Row{event(0, p, ""), event(1, c, "u1"), event(2, d, "u1")}, d, nil},
		{"retiring", []ledger.Row{event(0, c, "u1"), event(1, p, "u1")}, c, []string{"u1"}},
		{"retiring refused", []ledger.Row{event(0, c, "u1"), event(1, p, "u1"), event(2, f, "u1")}, c, []string{"u1"}},
		{"restored", []ledger.Row{event(0, c, "u1"), event(1, d, "u1"), event(2, p, ""), event(3, c, "u2")}, c, []string{"u2"}},
		{"to be restored", []ledger.Row{event(0, c, "u1"), event(1, d, "u1"), event(2, p, "")}, d, nil},
		{"namespace lost and rebuilt", []ledger.Row{event(0, c, "u2"), event(1, c, "u1")}, c, []string{"u1", "u2"}},
		{"one of two deleted", []ledger.Row{event(0, c, "u1"), event(1, c, "u2"), event(2, d, "u2")}, c, []string{"u1"}},
		{"both deleted", []ledger.Row{event(0, c, "u1"), event(1, d, "u1"), event(2, c, "u2"), event(3, d, "u2")}, d, nil},
		{"created before its uid was known, then deleted", []ledger.Row{event(0, c, ""), event(1, d, "u1")}, d, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			records := ledger.Fold(tc.rows)
			if len(records) != 1 || records[0].State != tc.state || !slices.Equal(records[0].UIDs(), tc.uids) {
				t.Errorf("got %+v, want %s under %q", records, tc.state, tc.uids)
			}
		})
	}
}

// The first row by time names the operation, and the lowest since counts.
func TestFoldTakesTheFirst(t *testing.T) {
	first, second, third := event(3, ledger.Created, "u1"), event(5, ledger.Created, "u2"), event(4, ledger.Planned, "")
	for i, row := range []*ledger.Row{&first, &second, &third} {
		row.Secret, row.Generation, row.Since = "secret-1-g9", 9, 5-i
	}
	first.Operation, second.Operation, third.Operation = ledger.Adopt, ledger.Restore, ledger.Restore
	got := ledger.Fold([]ledger.Row{second, first, third})
	if len(got) != 1 || got[0].Operation != ledger.Adopt || got[0].Since != 3 || got[0].Generation != 9 {
		t.Errorf("got %+v", got)
	}
}

func TestFoldKeepsPlacesApart(t *testing.T) {
	rows := []ledger.Row{created(1), created(1), created(1), created(1), created(1)}
	rows[1].Cluster, rows[2].Namespace, rows[3].Secret, rows[4].Token = "a", "a", "a", tokenOf(9)
	var got []string
	for _, r := range ledger.Fold(rows) {
		got = append(got, r.Cluster+"/"+r.Namespace+"/"+r.Secret)
	}
	if want := []string{"a/web/secret-1", "prod/a/secret-1", "prod/web/a", "prod/web/secret-1", "prod/web/secret-1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if ledger.Fold(nil) != nil {
		t.Error("records of nothing")
	}
}

func TestConflicts(t *testing.T) {
	other := func(n int, token int, state ledger.State) ledger.Row {
		row := created(n)
		row.Token, row.State = tokenOf(token), state
		return row
	}
	elsewhere := other(1, 12, ledger.Created)
	elsewhere.Namespace = "db"
	for _, tc := range []struct {
		name string
		rows []ledger.Row
		want []int // sizes
	}{
		{"none", []ledger.Row{created(1), created(2), elsewhere}, nil},
		{"two", []ledger.Row{created(1), created(2), other(1, 10, ledger.Created)}, []int{2}},
		{"one planned", []ledger.Row{created(1), other(1, 10, ledger.Planned)}, nil},
		{"one deleted", []ledger.Row{created(1), other(1, 10, ledger.Created), other(1, 10, ledger.Deleted)}, nil},
		{"three, and two", []ledger.Row{created(1), other(1, 10, ledger.Created), other(1, 11, ledger.Created), other(2, 10, ledger.Created), created(2)}, []int{3, 2}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []int
			for _, same := range ledger.Conflicts(ledger.Fold(tc.rows)) {
				got = append(got, len(same))
				for _, r := range same {
					if r.Secret != same[0].Secret || r.Namespace != same[0].Namespace || r.State != ledger.Created {
						t.Errorf("a conflict of %+v", same)
					}
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

// pool gives rows that have as much as possible in common.
func pool(n byte) ledger.Row {
	row := planned(int(n >> 7))
	row.Token = tokenOf(int(n >> 6 & 1))
	row.State = []ledger.State{ledger.Planned, ledger.Failed, ledger.Created, ledger.Deleted}[n>>4&3]
	row.UID = []string{"", uidOf(1), uidOf(2), ""}[n>>2&3]
	if row.UID == "" && (row.State == ledger.Created || row.State == ledger.Deleted) {
		row.UID = uidOf(3)
	}
	row.Time = noon.Add(time.Duration(n&2) * time.Second)
	if n>>2&3 == 3 {
		row.Binding = bindingOf(9)
	}
	if n&1 == 1 {
		row.Operation, row.Binding, row.KeyID = ledger.Learn, "", "kffffffff"
	}
	return row
}

func FuzzFold(f *testing.F) {
	f.Add(uint64(1), []byte{0, 1, 2, 3})
	f.Add(uint64(2), []byte{0b00000000, 0b00100100, 0b00110100, 0b00101000})
	for seed := range uint64(8) {
		f.Add(seed, []byte{0b0000, 0b1100}) // alike but for the binding
	}
	f.Add(uint64(3), []byte("planned, created and deleted"))
	f.Fuzz(func(t *testing.T, seed uint64, picks []byte) {
		random := rand.New(rand.NewPCG(seed, seed))
		var rows []ledger.Row
		for _, n := range picks {
			rows = append(rows, pool(n))
		}
		want, brief := ledger.Fold(rows), bookOf(rows)
		for range len(picks) {
			rows = append(rows, rows[random.IntN(len(rows))])
		}
		random.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		if got := ledger.Fold(rows); !alike(got, want) {
			t.Errorf("another order gives\n%+v, not\n%+v", got, want)
		}
		if got := bookOf(rows); !alike(got.Records(), brief.Records()) {
			t.Errorf("without what was deleted, another order gives\n%+v, not\n%+v", got.Records(), brief.Records())
		}
		for _, r := range want {
			if r.State == "" || (r.State == ledger.Created) != (len(r.UIDs()) > 0) {
				t.Errorf("a record of %+v", r)
			}
		}
		compareBrief(t, want, brief)
	})
}

func bookOf(rows []ledger.Row) *ledger.Book {
	b := ledger.NewBook(ledger.Keys{})
	for _, row := range rows {
		b.Add(row)
	}
	return b
}

// alike compares records by all that they show.
func alike(a, b []ledger.Record) bool {
	return slices.EqualFunc(a, b, func(x, y ledger.Record) bool { return shown(x) == shown(y) })
}

func shown(r ledger.Record) string {
	return fmt.Sprint(r.Cluster, r.Namespace, r.Secret, r.Token, r.Hint, r.Operation, r.Generation, r.EnvKey, r.KeyID, r.Binding, r.Since, r.State, r.UIDs())
}

// compareBrief holds a book that forgets what was deleted to the records of one that
// keeps it.
func compareBrief(t *testing.T, whole []ledger.Record, brief *ledger.Book) {
	t.Helper()
	records, past := brief.At("prod", "web")
	used := map[string]bool{}
	for _, r := range whole {
		used[r.Secret] = used[r.Secret] || r.State == ledger.Deleted
	}
	var want []ledger.Record
	for _, r := range whole {
		base, _ := names.Split(r.Secret)
		switch {
		case past.Top(base) < r.Generation:
			t.Errorf("the highest number of %s is %d", base, past.Top(base))
		case past.Deleted(r.Secret, r.EnvKey, r.KeyID, r.Token, r.Binding) != (r.State == ledger.Deleted):
			t.Errorf("deleted is %t for %+v", past.Deleted(r.Secret, r.EnvKey, r.KeyID, r.Token, r.Binding), r)
		case r.State == ledger.Deleted && !slices.Contains(past.Over(r.Secret), ledger.Over{Generation: r.Generation, Since: r.Since, KeyID: r.KeyID}):
			t.Errorf("over is %v for %+v", past.Over(r.Secret), r)
		case r.State == ledger.Created || r.State != ledger.Deleted && !used[r.Secret]:
			want = append(want, r)
		}
	}
	if !alike(records, want) {
		t.Errorf("kept\n%+v, not\n%+v", records, want)
	}
}
