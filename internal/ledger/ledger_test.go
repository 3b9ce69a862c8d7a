// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile/faultfs"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
)

const header = "time,operation,state,cluster,namespace,secret,generation,env_key,key_id,token,binding,uid,since,mac\n"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// tokenOf gives a token that is well formed and different for each n.
func tokenOf(n int) string {
	raw := make([]byte, 73+16*(n%3))
	for i := range raw {
		raw[i] = byte(i*i*7 + n*(2*i+1) + n>>8*i)
	}
	raw[0] = 0x80
	return base64.URLEncoding.EncodeToString(raw)
}

func bindingOf(n int) string {
	return "v1:" + base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf("%032d", n)))
}

// macOf gives a mac of the right form.
func macOf(n int) string {
	return "v1:k0123abcd:" + base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf("%016d", n)))
}

func uidOf(n int) string { return fmt.Sprintf("%08x-1111-4222-8333-%012x", n, n) }

// planned gives a valid row about the n-th secret.
func planned(n int) ledger.Row {
	return ledger.Row{
		Time: noon.Add(time.Duration(n) * time.Second), Operation: ledger.Push, State: ledger.Planned,
		Cluster: "prod", Namespace: "web", Secret: fmt.Sprintf("secret-%d", n), Generation: 1,
		EnvKey: fmt.Sprintf("SECRET_%d", n), KeyID: "k0123abcd", Token: tokenOf(n), Binding: bindingOf(n), Since: 1,
	}
}

func created(n int) ledger.Row {
	row := planned(n)
	row.State, row.UID = ledger.Created, uidOf(n)
	return row
}

// line gives the bytes of a row whose cluster needs no quotes.
func line(r ledger.Row) string {
	return strings.Join([]string{
		r.Time.Format(time.RFC3339), string(r.Operation), string(r.State), r.Cluster, r.Namespace, r.Secret,
		fmt.Sprint(r.Generation), r.EnvKey, r.KeyID, r.Token, r.Binding, r.UID, fmt.Sprint(r.Since), r.MAC,
	}, ",") + "\n"
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func newPath(t *testing.T) string { return filepath.Join(t.TempDir(), "fernet-ledger.csv") }

func lock(t *testing.T, path string) *ledger.Guard {
	t.Helper()
	guard, err := ledger.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = guard.Unlock() })
	return guard
}

func open(t *testing.T, path string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(atomicfile.OS, path, lock(t, path), ledger.Keys{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wantRows(t *testing.T, got []ledger.Row, want ...ledger.Row) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range want {
		got[i].Line, want[i].Line = 0, 0
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("row %d:\n%+v, want\n%+v", i, got[i], want[i])
		}
	}
}

// rowsOf reads the rows of a file.
func rowsOf(t *testing.T, path string) []ledger.Row {
	t.Helper()
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	rows, _, parseErr := ledger.Parse(path, data)
	if err = cmp.Or(err, parseErr); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestAppend(t *testing.T) {
	path := newPath(t)
	l := open(t, path)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a run that wrote nothing left a ledger: %v", err)
	}
	odd := created(2)
	odd.Cluster, odd.Secret, odd.Generation = `arn:aws:eks:eu, "north" ñ`, "secret-2-g12", 12
	late := created(1) // in another zone, with a fraction, as time.Now gives it
	late.Time = late.Time.In(time.FixedZone("", 3600)).Add(123456789)
	for _, rows := range [][]ledger.Row{{planned(1), planned(2)}, {}, {late, odd}} {
		if err := l.Append(rows...); err != nil {
			t.Fatal(err)
		}
	}
	big := created(3) // the largest token that fits into a Secret
	big.Token = base64.URLEncoding.EncodeToString(append([]byte{0x80}, make([]byte, 72+16*49147)...))
	if err := l.Append(big); err != nil {
		t.Fatal(err)
	}
	wantRows(t, rowsOf(t, path), planned(1), planned(2), created(1), odd, big)
	text := get(t, path)
	if !strings.HasPrefix(text, header+line(planned(1))) || strings.Count(text, header) != 1 {
		t.Errorf("file begins %.120q", text)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// Rows are read some at a time, and errors count on.
func TestManyRows(t *testing.T) {
	path := newPath(t)
	var rows []ledger.Row
	for n := range 1300 {
		rows = append(rows, created(n))
	}
	if err := open(t, path).Append(rows...); err != nil {
		t.Fatal(err)
	}
	wantRows(t, rowsOf(t, path), rows...)
	text := get(t, path)
	put(t, path, strings.Replace(text, line(rows[999]), "broken\n", 1))
	_, err := ledger.Read(atomicfile.OS, path, ledger.Keys{})
	wantError(t, err, path, badFile{line: 1001, message: "has 1 cells, not 14"})
}

// A file that exists keeps every byte; what it lacks is written first.
func TestAppendTo(t *testing.T) {
	whole := header + line(created(1))
	for _, tc := range []struct {
		name, before string
		want         string // before the new row
		rows         int
	}{
		{"empty", "", header, 0},
		{"header only", header, header, 0},
		{"whole", whole, whole, 1},
		{"no line break at the end", strings.TrimSuffix(whole, "\n"), whole, 1},
		{"torn", whole + line(planned(2))[:30], whole, 1},
		{"torn header", header[:20], header, 0},
		{"torn header, power cut", header[:20] + "\x00\x00", header, 0},
		{"zeros of a power cut", whole + "\x00\x00\x00", whole, 1},
		{"CR LF", strings.ReplaceAll(whole, "\n", "\r\n"), strings.ReplaceAll(whole, "\n", "\r\n"), 1},
		{"CR at the end", strings.TrimSuffix(whole, "\n") + "\r", strings.TrimSuffix(whole, "\n") + "\r\n", 1},
		{"blank lines", header + "\n" + line(created(1)) + "\n", header + "\n" + line(created(1)) + "\n", 1},
		{"two joined", whole + header, whole + header, 1},
		{"quoted cells", header + `"` + strings.ReplaceAll(strings.TrimSpace(line(created(1))), ",", `","`) + "\"\n", "", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := newPath(t)
			put(t, path, tc.before)
			l := open(t, path)
			wantRows(t, rowsOf(t, path), []ledger.Row{created(1)}[:tc.rows]...)
			if err := l.Append(planned(9)); err != nil {
				t.Fatal(err)
			}
			want := tc.want
			if want == "" {
				want = tc.before
			}
			if got := get(t, path); got != want+line(planned(9)) {
				t.Errorf("file is\n%q, want\n%q", got, want+line(planned(9)))
			}
		})
	}
}

func TestNotes(t *testing.T) {
	whole := header + line(created(1))
	for _, tc := range []struct{ name, data, want string }{
		{"whole", whole, ""},
		{"torn", whole + "2026-03", "7 bytes of an unfinished last row"},
		{"CR LF", header + strings.TrimSpace(line(created(1))) + "\r\n", "CR LF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := newPath(t)
			put(t, path, tc.data)
			notes := open(t, path).Notes()
			if tc.want == "" && len(notes) > 0 || tc.want != "" && (len(notes) != 1 || !strings.Contains(notes[0], tc.want)) {
				t.Errorf("notes %q, want %q", notes, tc.want)
			}
		})
	}
}

// What could not be read again is not written, and its neighbours neither.
func TestAppendRefuses(t *testing.T) {
	for name, change := range map[string]func(*ledger.Row){
		"time":       func(r *ledger.Row) { r.Time = time.Time{} },
		"operation":  func(r *ledger.Row) { r.Operation = "sync" },
		"state":      func(r *ledger.Row) { r.State = "" },
		"cluster":    func(r *ledger.Row) { r.Cluster = "=HYPERLINK(1)" },
		"namespace":  func(r *ledger.Row) { r.Namespace = "../x" },
		"secret":     func(r *ledger.Row) { r.Secret = "Secret" },
		"generation": func(r *ledger.Row) { r.Generation = 2 },
		"env_key":    func(r *ledger.Row) { r.EnvKey = "SECRET 1" },
		"key_id":     func(r *ledger.Row) { r.KeyID = "" },
		"token":      func(r *ledger.Row) { r.Token = r.Token[1:] },
		"binding":    func(r *ledger.Row) { r.Binding = "v1:x" },
		"uid":        func(r *ledger.Row) { r.State = ledger.Deleted },
		"since":      func(r *ledger.Row) { r.Since = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			l := open(t, path)
			bad := planned(2)
			change(&bad)
			err := l.Append(planned(1), bad)
			if err == nil || !strings.Contains(err.Error(), "row 2 of 2") || !strings.Contains(err.Error(), name+": ") {
				t.Errorf("got %v", err)
			}
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("something was written: %v", err)
			}
			if err := l.Append(planned(1)); err != nil { // a refusal breaks nothing
				t.Error(err)
			}
		})
	}
}

func TestAppendFromManyGoroutines(t *testing.T) {
	path := newPath(t)
	l := open(t, path)
	var group sync.WaitGroup
	for n := range 20 {
		group.Go(func() {
			if err := l.Append(planned(n), created(n)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	rows := rowsOf(t, path)
	if len(rows) != 40 {
		t.Fatalf("%d rows", len(rows))
	}
	for i := 0; i < len(rows); i += 2 {
		if rows[i].Secret != rows[i+1].Secret {
			t.Errorf("rows %d and %d of one Append were parted", i, i+1)
		}
	}
}

// git or an editor may put another file in the ledger's place during a run; rows
// written to the old one would be lost.
func TestAppendAfterReplacement(t *testing.T) {
	for name, tc := range map[string]struct {
		first  bool // a row was written before
		change func(t *testing.T, path string)
	}{
		"grown":    {true, func(t *testing.T, path string) { put(t, path, get(t, path)+line(planned(5))) }},
		"gone":     {true, func(t *testing.T, path string) { _ = os.Remove(path) }},
		"appeared": {false, func(t *testing.T, path string) { put(t, path, header) }},
		"replaced": {true, func(t *testing.T, path string) {
			put(t, path+"2", get(t, path))
			if err := os.Rename(path+"2", path); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			l := open(t, path)
			if tc.first {
				if err := l.Append(planned(1)); err != nil {
					t.Fatal(err)
				}
			}
			tc.change(t, path)
			before, _ := os.ReadFile(path)
			err := l.Append(planned(2))
			var e *ledger.Error
			if !errors.As(err, &e) || !strings.Contains(e.Message, "something else has changed it") || e.Way == "" {
				t.Errorf("got %v", err)
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("the file was altered")
			}
		})
	}
}

func TestAppendAfterUnlock(t *testing.T) {
	path := newPath(t)
	guard := lock(t, path)
	l, err := ledger.Open(atomicfile.OS, path, guard, ledger.Keys{})
	if err != nil {
		t.Fatal(err)
	}
	if err := guard.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(planned(1)); err == nil {
		t.Error("appended without the lock")
	}
	if _, err := ledger.Open(atomicfile.OS, path, guard, ledger.Keys{}); err == nil {
		t.Error("opened without the lock")
	}
}

// run is one run of the program: it locks, opens, appends each batch and ends.
// done is how many batches were acknowledged.
func run(t *testing.T, fsys atomicfile.FS, path string, batches ...[]ledger.Row) (done int, err error) {
	t.Helper()
	guard := lock(t, path)
	defer func() { _ = guard.Unlock() }()
	l, err := ledger.Open(fsys, path, guard, ledger.Keys{})
	if err != nil {
		return 0, err
	}
	for _, rows := range batches {
		if err := l.Append(rows...); err != nil {
			if again := l.Append(rows...); again == nil {
				t.Error("took rows after a write that had failed")
			}
			return done, err
		}
		done++
	}
	return done, nil
}

// A row is cut at each of its bytes, as an interrupted write leaves it. No
// earlier row is lost, a reader sees them, and the next run goes on. The row
// itself is there when nothing but its line break is missing.
func TestWriteCutAtEachByte(t *testing.T) {
	odd := created(2)
	odd.Cluster = `a,"b"`
	for _, last := range []ledger.Row{created(2), planned(2), odd} {
		path := newPath(t)
		put(t, path, header+line(planned(1)))
		before := len(get(t, path))
		recorded := &faultfs.FS{}
		if _, err := run(t, recorded, path, []ledger.Row{last}); err != nil {
			t.Fatal(err)
		}
		size := len(get(t, path)) - before
		write := 1 + slices.IndexFunc(recorded.Calls(), func(c faultfs.Call) bool { return c.Op == "write" })
		for short := range size + 1 {
			put(t, path, get(t, path)[:before])
			if _, err := run(t, &faultfs.FS{FailAt: write, Short: short, Dies: true}, path, []ledger.Row{last}); !errors.Is(err, faultfs.ErrFault) {
				t.Fatalf("cut at %d: %v", short, err)
			}
			want := []ledger.Row{planned(1)}
			if short >= size-1 {
				want = append(want, last)
			}
			wantRows(t, rowsOf(t, path), want...)
			if _, err := run(t, &faultfs.FS{}, path, []ledger.Row{created(3)}); err != nil {
				t.Fatalf("cut at %d: the next run: %v", short, err)
			}
			wantRows(t, rowsOf(t, path), append(want, created(3))...)
		}
	}
}

// Every call of a run fails once, and the process dies once at every call: what
// Append acknowledged is there, in front of it all that was there before, behind
// it at most what was being written, and the next run goes on.
func TestFaultAtEveryCall(t *testing.T) {
	first, second := []ledger.Row{planned(1), planned(2)}, []ledger.Row{created(1), created(2)}
	for name, tc := range map[string]struct {
		before string
		had    []ledger.Row
	}{
		"new file": {"", nil},
		"torn":     {header + line(created(7)) + "2026-", []ledger.Row{created(7)}},
	} {
		start := func() string {
			path := newPath(t)
			if tc.before != "" {
				put(t, path, tc.before)
			}
			return path
		}
		recorded := &faultfs.FS{}
		if done, err := run(t, recorded, start(), first, second); done != 2 || err != nil {
			t.Fatal(done, err)
		}
		wantOrder(t, recorded.Calls(), tc.before == "")
		for n := 1; n <= len(recorded.Calls()); n++ {
			for _, dies := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/dies=%v", name, n, dies), func(t *testing.T) {
					path := start()
					done, err := run(t, &faultfs.FS{FailAt: n, Short: 200, Dies: dies}, path, first, second)
					if err == nil {
						t.Fatalf("the fault at call %d was not told", n)
					}
					rows := rowsOf(t, path)
					all := slices.Concat(tc.had, first, second)
					if least := len(tc.had) + 2*done; len(rows) < least || len(rows) > least+2 {
						t.Fatalf("%d rows after %d acknowledged batches", len(rows), done)
					}
					wantRows(t, rows, all[:len(rows)]...)
					if _, err := run(t, &faultfs.FS{}, path, second); err != nil {
						t.Fatalf("the next run: %v", err)
					}
					wantRows(t, rowsOf(t, path), append(rows, second...)...)
				})
			}
		}
	}
}

// wantOrder holds an Append to one write and one fsync, and a new file's name to
// an fsync of its directory before it is relied on.
func wantOrder(t *testing.T, calls []faultfs.Call, made bool) {
	t.Helper()
	var got []string
	for _, c := range calls {
		if slices.Contains([]string{"write", "sync", "syncdir", "truncate", "rename"}, c.Op) {
			got = append(got, c.Op)
		}
	}
	want := []string{"truncate", "sync", "write", "sync", "write", "sync"}
	if made {
		want = []string{"write", "sync", "syncdir", "write", "sync"}
	}
	if !slices.Equal(got, want) {
		t.Errorf("calls %v, want %v", got, want)
	}
}

func BenchmarkParse(b *testing.B) {
	var text strings.Builder
	text.WriteString(header)
	for n := range 10000 {
		text.WriteString(line(planned(n)) + line(created(n)))
	}
	data := []byte(text.String())
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if rows, _, err := ledger.Parse("x.csv", data); err != nil || len(rows) != 20000 {
			b.Fatal(len(rows), err)
		}
	}
}
