// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// setBinding gives a binding of the right form for a bundle of n entries.
func setBinding(n, seed int) string {
	return fmt.Sprintf("v2:%d:", n) + base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf("%032d", seed)))
}

// bundle gives a planned row of the bundle web, as it is handed to Append: entries of the
// .env by name, each with a token that no other generation has.
func bundle(generation int, names ...string) ledger.Row {
	var entries []token.Entry
	for i, name := range names {
		entries = append(entries, token.Entry{Name: name, Token: tokenOf(100*generation + i)})
	}
	return ledger.Row{
		Time: noon, Operation: ledger.Push, State: ledger.Planned, Cluster: "prod", Namespace: "web",
		Secret: fmt.Sprintf("web-g%d", generation), Generation: generation, KeyID: "k0123abcd",
		Token: token.Join(entries), Binding: setBinding(len(names), generation), Since: generation,
	}
}

// in gives a row of a bundle in another state; uid is empty for a failed one.
func in(state ledger.State, uid string, row ledger.Row) ledger.Row {
	row.State, row.UID = state, uid
	return row
}

// filed gives the rows of a bundle as they stand in a file: one for each entry if it is
// planned, else one for the whole.
func filed(row ledger.Row) (rows []ledger.Row) {
	if row.State == ledger.Planned && row.UID == "" {
		for _, e := range row.Placed().Entries() {
			one := row
			one.EnvKey, one.Token = e.Name, e.Token
			rows = append(rows, one)
		}
		return rows
	}
	return []ledger.Row{about(row)}
}

// about gives the row about a whole bundle, as it stands in a file.
func about(row ledger.Row) ledger.Row {
	row.Token = ""
	return row
}

// text gives a ledger of these rows.
func text(rows ...ledger.Row) string {
	var b strings.Builder
	b.WriteString(header)
	for _, row := range rows {
		b.WriteString(line(row))
	}
	return b.String()
}

// A row is about one entry, which has a token, or about a whole bundle, which its binding says.
func TestBadRowsOfBundles(t *testing.T) {
	entry, about := filed(bundle(3, "SECRET_A", "SECRET-A"))[0], about(in(ledger.Created, uidOf(1), bundle(3, "SECRET_A", "SECRET-A")))
	changed := func(row ledger.Row, change func(*ledger.Row)) ledger.Row {
		change(&row)
		return row
	}
	deleted, failed := about, about
	deleted.State, failed.State, failed.UID = ledger.Deleted, ledger.Failed, ""
	retiring := about
	retiring.State = ledger.Planned
	for _, tt := range []struct {
		name string
		row  ledger.Row
		want string // what is wrong; empty for a good one
	}{
		{"an entry", entry, ""}, {"created", about, ""}, {"deleted", deleted, ""}, {"failed", failed, ""}, {"planned to be deleted", retiring, ""},
		{"an entry without a token", changed(entry, func(r *ledger.Row) { r.Token = "" }), "token: not a whole Fernet token"},
		{"a token without an entry", changed(entry, func(r *ledger.Row) { r.EnvKey = "" }), "env_key: not a name"},
		{"a single entry without a token", changed(created(1), func(r *ledger.Row) { r.Token = "" }), "token: not a whole Fernet token"},
		{"a single token without an entry", changed(created(1), func(r *ledger.Row) { r.EnvKey = "" }), "env_key: not a name"},
		{"neither, and no binding of a bundle", changed(created(1), func(r *ledger.Row) { r.EnvKey, r.Token = "", "" }), "env_key: not a name"},
		{"neither, and no binding at all", changed(about, func(r *ledger.Row) { r.Binding = "" }), "env_key: not a name"},
		{"the text of all tokens", changed(about, func(r *ledger.Row) { r.Token = strings.ReplaceAll(bundle(3, "SECRET_A").Token, "\n", "") }), "token: not a whole Fernet token"},
		{"created, of an entry", changed(entry, func(r *ledger.Row) { r.State, r.UID = ledger.Created, uidOf(1) }), "env_key: is not empty"},
		{"deleted, of an entry", changed(entry, func(r *ledger.Row) { r.State, r.UID = ledger.Deleted, uidOf(1) }), "env_key: is not empty"},
		{"failed, of an entry", changed(entry, func(r *ledger.Row) { r.State = ledger.Failed }), "env_key: is not empty"},
		{"created, with an entry and no token", changed(about, func(r *ledger.Row) { r.EnvKey = "SECRET_A" }), "token: not a whole Fernet token"},
		{"no entries", changed(entry, func(r *ledger.Row) { r.Binding = setBinding(0, 3) }), "binding: not a binding"},
		{"01 entries", changed(entry, func(r *ledger.Row) { r.Binding = strings.Replace(r.Binding, "v2:2:", "v2:01:", 1) }), "binding: not a binding"},
		{"-1 entries", changed(entry, func(r *ledger.Row) { r.Binding = setBinding(-1, 3) }), "binding: not a binding"},
		{"no number of entries", changed(entry, func(r *ledger.Row) { r.Binding = strings.Replace(r.Binding, "v2:2:", "v2:", 1) }), "binding: not a binding"},
		{"a number that is too long", changed(entry, func(r *ledger.Row) { r.Binding = strings.Replace(r.Binding, "v2:2:", "v2:99999999999999999999:", 1) }), "binding: not a binding"},
		{"a number before v1", changed(entry, func(r *ledger.Row) { r.Binding = strings.Replace(r.Binding, "v2:", "v1:", 1) }), "binding: not a binding"},
		{"a cut binding", changed(about, func(r *ledger.Row) { r.Binding = r.Binding[:len(r.Binding)-1] }), "binding: not a binding"},
		{"a name without its number", changed(entry, func(r *ledger.Row) { r.Secret, r.Generation, r.Since = "web", 1, 1 }), "generation: does not fit"},
		{"another number than its name's", changed(about, func(r *ledger.Row) { r.Generation = 2; r.Since = 2 }), "generation: does not fit"},
		{"generation 1 with its number", changed(about, func(r *ledger.Row) { r.Secret, r.Generation, r.Since = "web-g1", 1, 1 }), ""},
		{"a single entry's generation 1 with a number", changed(created(1), func(r *ledger.Row) { r.Secret = "secret-1-g1" }), "generation: does not fit"},
		{"created without a uid", changed(about, func(r *ledger.Row) { r.UID = "" }), "uid: is empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := ledger.Parse("x.csv", []byte(text(created(1), tt.row, created(3))))
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, "x.csv", badFile{line: 3, message: tt.want, hint: "delete it"})
		})
	}
}

// A bundle's rows in the file: those of its entries once, where the ledger lacks one.
func TestAppendOfBundles(t *testing.T) {
	plan := bundle(1, "SECRET_B", "SECRET_A")
	whole := in(ledger.Created, uidOf(1), plan)
	done := filed(whole)
	retiring := in(ledger.Planned, uidOf(1), plan)
	again := in(ledger.Created, uidOf(2), plan)
	learned := whole
	learned.Operation = ledger.Learn
	elsewhere := func(row ledger.Row) ledger.Row {
		row.Cluster = "other"
		return row
	}
	learnedPlan := plan
	learnedPlan.Operation = ledger.Learn
	entries := func(n int) []ledger.Row { return filed(plan)[:n] }
	for _, tt := range []struct {
		name   string
		before []ledger.Row // in the file
		add    [][]ledger.Row
		want   []ledger.Row // added to the file
	}{
		{"planned", nil, [][]ledger.Row{{plan}}, entries(2)},
		{"planned and created", nil, [][]ledger.Row{{plan}, {whole}}, slices.Concat(entries(2), done)},
		{"planned and created at once", nil, [][]ledger.Row{{plan, whole}}, slices.Concat(entries(2), done)},
		{"failed", nil, [][]ledger.Row{{plan}, {in(ledger.Failed, "", plan)}}, slices.Concat(entries(2), filed(in(ledger.Failed, "", plan)))},
		{"learned", nil, [][]ledger.Row{{learned}}, slices.Concat(filed(learnedPlan), filed(learned))},
		{"learned twice", nil, [][]ledger.Row{{learned}, {learned}}, slices.Concat(filed(learnedPlan), filed(learned), filed(learned))},
		{"the ledger lacks one entry", entries(1), [][]ledger.Row{{whole}}, slices.Concat(entries(2), done)},
		{"the ledger has all", entries(2), [][]ledger.Row{{whole}}, done},
		{"the ledger has all, planned again", entries(2), [][]ledger.Row{{plan}}, []ledger.Row{about(plan)}},
		{"retired", slices.Concat(entries(2), done), [][]ledger.Row{{retiring}, {in(ledger.Deleted, uidOf(1), plan)}}, []ledger.Row{about(retiring), about(in(ledger.Deleted, uidOf(1), plan))}},
		{"retired, and created again", slices.Concat(entries(2), done, filed(in(ledger.Deleted, uidOf(1), plan))), [][]ledger.Row{{again}, {in(ledger.Created, uidOf(3), plan)}},
			slices.Concat(entries(2), filed(again), filed(in(ledger.Created, uidOf(3), plan)))},
		{"in two clusters at once", nil, [][]ledger.Row{{whole, elsewhere(whole)}}, slices.Concat(entries(2), done, filed(elsewhere(plan)), filed(elsewhere(whole)))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := newPath(t)
			put(t, path, text(tt.before...))
			l := open(t, path)
			for _, rows := range tt.add {
				if err := l.Append(rows...); err != nil {
					t.Fatal(err)
				}
			}
			wantRows(t, rowsOf(t, path)[len(tt.before):], tt.want...)
			// what the open ledger knows is what the next one reads
			fresh, err := ledger.Read(atomicfile.OS, path, ledger.Keys{})
			if err != nil {
				t.Fatal(err)
			}
			if !alike(l.Book().Records(), fresh.Records()) {
				t.Errorf("open, it has\n%+v\nread again,\n%+v", l.Book().Records(), fresh.Records())
			}
		})
	}
}

// The rows of a history are drawn from these, as alike as they can be: two generations of
// a bundle and one single entry, in two clusters, signed by a key that is held or not.
func drawn(n uint16) ledger.Row {
	bit := func(at int) int { return int(n>>at) & 1 }
	row := bundle(1+bit(0), "SECRET_A", "SECRET_B")
	if n&7 == 7 {
		row = planned(1)
	}
	row.Cluster = []string{"prod", "other"}[bit(3)]
	row.Time = noon.Add(time.Duration(bit(4)) * time.Second)
	row.Operation = []ledger.Operation{ledger.Push, ledger.Learn}[bit(5)]
	row.Since = 1 + bit(6)*(row.Generation-1)
	row.MAC = strings.Replace(macOf(1), "k0123abcd", []string{held, "kffffffff"}[bit(7)&bit(8)], 1)
	uid := uidOf(1 + bit(9))
	if row.Bundle() {
		switch n >> 10 & 7 {
		case 0, 1:
			return filed(row)[bit(13)]
		case 2:
			row = filed(row)[0]
			if bit(13) == 1 {
				row.Token = tokenOf(7) // another one of the same entry
			}
			return row
		}
	}
	switch n >> 10 & 7 {
	case 3:
		row = in(ledger.Failed, "", row)
	case 4:
		row = in(ledger.Planned, uid, row)
	case 5, 6:
		row = in(ledger.Created, uid, row)
	case 7:
		row = in(ledger.Deleted, uid, row)
	}
	if row.EnvKey == "" {
		row = about(row)
	}
	return row
}

const held = "k0123abcd" // the signer whose key is held

// holding is a keyring of that key. What matters of deleted objects is a function of the
// whole record.
func holding() ledger.Keys {
	return ledger.Keys{
		Verify: func(_ []string, mac string) ledger.Standing {
			if strings.Contains(mac, held) {
				return ledger.Evidence
			}
			return ledger.Hint
		},
		Keep: func(r ledger.Record) bool { return strings.Contains(r.Token, tokenOf(101)) },
	}
}

// summed is what all rows of one record add up to.
type summed struct {
	state      ledger.State
	live       []string // uids
	gone       bool     // something was deleted
	since      int
	first      ledger.Row
	text       string
	incomplete bool
}

// sumOf adds up the rows of one record. Bundles have two entries here.
func sumOf(group []ledger.Row) summed {
	created, gone, entries := map[string]bool{}, map[string]bool{}, map[token.Entry]bool{}
	s := summed{first: group[0], since: group[0].Since}
	for _, row := range group {
		s.since = min(s.since, row.Since)
		if row.Time.Before(s.first.Time) || row.Time.Equal(s.first.Time) && row.Operation < s.first.Operation {
			s.first = row
		}
		switch {
		case row.State == ledger.Created:
			created[row.UID] = true
		case row.State == ledger.Deleted:
			gone[row.UID] = true
		case s.state != ledger.Failed:
			s.state = row.State
		}
		if row.EnvKey != "" {
			entries[token.Entry{Name: row.EnvKey, Token: row.Token}] = true
		}
	}
	s.live = slices.DeleteFunc(slices.Sorted(maps.Keys(created)), func(uid string) bool { return gone[uid] })
	switch s.gone = len(gone) > 0; {
	case len(s.live) > 0:
		s.state = ledger.Created
	case s.gone:
		s.state = ledger.Deleted
	}
	names := map[string]bool{}
	for e := range entries {
		names[e.Name] = true
	}
	s.text, s.incomplete = token.Join(slices.Collect(maps.Keys(entries))), len(entries) != 2 || len(names) != 2
	if s.first.Secret == "secret-1" {
		s.text, s.incomplete = tokenOf(1), false
	}
	return s
}

// sum is a second fold, which looks at all rows of a record at once.
func sum(rows []ledger.Row, keys ledger.Keys) (all []string) {
	groups, hints := map[string][]ledger.Row{}, map[string]bool{}
	for _, row := range rows {
		hint := keys.Verify != nil && keys.Verify(nil, row.MAC) == ledger.Hint
		id := fmt.Sprint(hint, row.Cluster, row.Secret, row.Binding)
		groups[id] = append(groups[id], row)
		hints[id] = hint
	}
	deleted, ended := map[string]bool{}, map[string]bool{} // by evidence: cluster and Secret; and binding
	sums := map[string]summed{}
	for id, group := range groups {
		s := sumOf(group)
		sums[id] = s
		place := s.first.Cluster + " " + s.first.Secret
		if s.state == ledger.Deleted && !hints[id] {
			deleted[place] = true
		}
		if s.gone && !hints[id] {
			ended[place+s.first.Binding] = true
		}
	}
	for id, s := range sums {
		place := s.first.Cluster + " " + s.first.Secret
		kept := keys.Keep != nil && strings.Contains(s.text, tokenOf(101)) && !hints[id]
		switch {
		case hints[id] && ended[place+s.first.Binding], s.state == ledger.Deleted && !kept:
		case (s.state == ledger.Planned || s.state == ledger.Failed) && deleted[place]:
		default:
			all = append(all, fmt.Sprint(hints[id], place, s.state, s.live, s.text, s.incomplete, s.since, s.first.Operation))
		}
	}
	slices.Sort(all)
	return all
}

// written gives what a book shows of its records, as sum writes it.
func written(records []ledger.Record) (all []string) {
	for _, r := range records {
		all = append(all, fmt.Sprint(r.Hint, r.Cluster+" "+r.Secret, r.State, r.UIDs(), r.Token, r.Incomplete, r.Since, r.Operation))
	}
	slices.Sort(all)
	return all
}

// pastOf writes what a book has of what is over.
func pastOf(b *ledger.Book, rows []ledger.Row) (all []string) {
	for _, row := range rows {
		_, past := b.At(row.Cluster, row.Namespace)
		over := past.Over(row.Secret)
		slices.SortFunc(over, func(a, b ledger.Over) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		all = append(all, fmt.Sprint(row.Cluster, row.Secret, past.Top("web"), past.Known("web"), past.Top("secret-1"), past.Dropped(row.KeyID),
			past.Deleted(row.Secret, row.EnvKey, row.KeyID, row.Token, row.Binding), over))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// readBook reads a ledger of these rows.
func readBook(t *testing.T, path string, keys ledger.Keys, rows []ledger.Row) *ledger.Book {
	t.Helper()
	put(t, path, text(rows...))
	b, err := ledger.Read(atomicfile.OS, path, keys)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Any order and any duplication of rows adds up to the same, with keys and without: git
// merges ledgers as sets of lines. A bundle that was deleted and created again has all
// entries that the file has, wherever they stand.
func FuzzFoldOfBundles(f *testing.F) {
	random := rand.New(rand.NewPCG(3, 9))
	for seed := range uint64(400) {
		picks := make([]byte, 2*(2+random.IntN(14)))
		for i := range picks {
			picks[i] = byte(random.IntN(256))
			if seed%2 == 0 && i%2 == 0 {
				picks[i] &= 0x70 // of one generation, in one cluster
			}
		}
		f.Add(seed, picks)
	}
	f.Fuzz(func(t *testing.T, seed uint64, picks []byte) {
		random, path := rand.New(rand.NewPCG(seed, seed)), filepath.Join(t.TempDir(), "l.csv")
		var rows []ledger.Row
		for i := 0; i+1 < min(len(picks), 60); i += 2 {
			rows = append(rows, drawn(uint16(picks[i])|uint16(picks[i+1])<<8))
		}
		if len(rows) == 0 {
			return
		}
		for name, keys := range map[string]ledger.Keys{"with a key": holding(), "without a key": {}} {
			want, past := sum(rows, keys), []string(nil)
			for turn := range 4 {
				again := slices.Clone(rows)
				for range turn * len(rows) / 2 {
					again = append(again, rows[random.IntN(len(rows))])
				}
				if turn > 0 {
					random.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
				}
				b := readBook(t, path, keys, again)
				if got := written(b.Records()); !slices.Equal(got, want) {
					t.Fatalf("%s:\n%s\nadds up to\n%s\nnot\n%s", name, get(t, path), strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
				if got := pastOf(b, rows); past != nil && !slices.Equal(got, past) {
					t.Fatalf("%s:\n%s\nleaves\n%s\nnot\n%s", name, get(t, path), strings.Join(got, "\n"), strings.Join(past, "\n"))
				} else {
					past = got
				}
			}
		}
	})
}

// retiredBundles gives the rows of a bundle that was rotated and retired again and again: all
// generations but the last are gone.
func retiredBundles(generations int) (rows []ledger.Row) {
	var names []string
	for i := range 15 {
		names = append(names, fmt.Sprintf("SECRET_%d", i))
	}
	for g := 1; g <= generations; g++ {
		row := bundle(g, names...)
		rows = append(rows, filed(row)...)
		rows = append(rows, about(in(ledger.Created, uidOf(g), row)))
		if g < generations {
			rows = append(rows, about(in(ledger.Planned, uidOf(g), row)), about(in(ledger.Deleted, uidOf(g), row)))
		}
	}
	return rows
}

// What a book keeps of bundles that were retired is a few numbers each, whatever the order
// of their rows is.
func TestRetiredBundlesTakeNoMemory(t *testing.T) {
	const generations = 2223 // 40,000 rows, 5 MB of tokens
	rows := retiredBundles(generations)
	backwards := slices.Clone(rows)
	slices.Reverse(backwards)
	last := rows[len(rows)-16:]
	second := about(in(ledger.Created, uidOf(9999), bundle(1, "SECRET_0")))
	second.Binding = rows[0].Binding
	for name, tt := range map[string]struct {
		rows []ledger.Row
		live int // bundles
	}{
		"in their order": {rows, 1}, "backwards": {backwards, 1}, "only what is live": {last, 1}, "one was created again": {append(slices.Clone(rows), second), 2},
	} {
		path := newPath(t)
		put(t, path, text(tt.rows...))
		before := heap()
		b, err := ledger.Read(atomicfile.OS, path, holding())
		if err != nil {
			t.Fatal(err)
		}
		kept := heap() - before
		records := b.Records()
		if len(records) != tt.live || slices.ContainsFunc(records, func(r ledger.Record) bool { return r.Incomplete || r.State != ledger.Created }) {
			t.Errorf("%s: %d records", name, len(records))
		}
		if most := int64(generations*200 + 64<<10); kept > most {
			t.Errorf("%s: %d bytes are kept, more than %d", name, kept, most)
		}
		runtime.KeepAlive(b)
	}
}

// heap gives the bytes that are in use.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
