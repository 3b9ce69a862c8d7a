// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// hour gives a time of one day.
func hour(h int) time.Time { return time.Date(2031, 2, 3, h, 0, 0, 0, time.UTC) }

func at(h int, r ledger.Row) ledger.Row {
	r.Time = hour(h)
	return r
}

func born(h int) func(*manifest.Object) { return func(o *manifest.Object) { o.Created = hour(h) } }

func TestSince(t *testing.T) {
	for _, tt := range []struct {
		name    string
		objects []manifest.Object
		rows    []ledger.Row
		want    string // KEY HOUR
	}{
		{"nothing", nil, nil, ""},
		{"the ledger's first created row", nil, list(at(3, row(1, ledger.Created, current)), at(2, row(2, ledger.Created, "k-new/x")), at(1, row(3, ledger.Planned, "k-new/y"))), "k-new 2"},
		{"the ledger before the cluster", []manifest.Object{live(1, current, born(1))}, list(at(3, row(1, ledger.Created, current))), "k-new 3"},
		{"the oldest object of a key that the ledger has not", []manifest.Object{live(1, previous, born(5)), live(2, "k-old/x", born(4))}, list(at(6, row(3, ledger.Created, current))), "k-new 6, k-old 4"},
		{"a retired one still tells", nil, list(at(2, row(1, ledger.Created, previous)), at(9, row(1, ledger.Deleted, previous))), "k-old 2"},
		{"the oldest object, whatever comes after it", objects(live(1, previous, born(4)), live(2, "k-old/x", born(5))), nil, "k-old 4"},
		{"no label", []manifest.Object{live(1, current, unlabelled, born(1))}, nil, ""},
		{"no time", []manifest.Object{live(1, current)}, nil, ""},
	} {
		since := plan.Since(bookOf(tt.rows).FirstUse("c"), tt.objects)
		var out []string
		for _, id := range slices.Sorted(maps.Keys(since)) {
			out = append(out, fmt.Sprintf("%s %d", id, since[id].Hour()))
		}
		if got := strings.Join(out, ", "); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// writtenStatus is NAME KEY STATE, who uses it, and what is older.
func writtenStatus(s plan.Status) string {
	text := fmt.Sprintf("%s g%d %s %s", s.EnvKey, s.Generation, s.KeyID, s.State)
	if s.Secret == "" {
		text = fmt.Sprintf("%s none %s", s.EnvKey, s.State)
	}
	if len(s.UsedBy) > 0 {
		text += " used by " + strings.Join(s.UsedBy, ",")
	}
	for _, o := range s.Older {
		text += fmt.Sprintf(" older %s %s%v", o.Secret, o.KeyID, o.UsedBy)
	}
	return text
}

// written are rows in their order in time, an hour each.
func written(rows ...ledger.Row) []ledger.Row {
	for i := range rows {
		rows[i].Time = hour(i + 1)
	}
	return rows
}

// statusCases are what status says of the rows of a ledger and of what is there.
// SECRET_Z is another project's.
var statusCases = []struct {
	name    string
	objects []manifest.Object
	rows    []ledger.Row
	want    string
}{
	{name: "nothing"},
	{"one generation", objects(live(1, current)), list(row(1, ledger.Created, current)), "SECRET_A g1 k-new current used by deployment/web,pod/web-1"},
	{"no ledger", objects(live(1, current)), nil, "SECRET_A g1 k-new current used by deployment/web,pod/web-1"},
	{"a row and no label", objects(live(1, current, unlabelled)), list(row(1, ledger.Created, current)), "SECRET_A g1 k-new current used by deployment/web,pod/web-1"},
	{"the ledger's key before the label's", objects(live(1, current, keyID("k-edited"))), list(row(1, ledger.Created, current)), "SECRET_A g1 k-new current used by deployment/web,pod/web-1"},
	{"another project's", objects(live(1, current), of("z", live(1, alien))), nil, "SECRET_A g1 k-new current used by deployment/web,pod/web-1"},
	{"another project's, recorded here", nil, list(rowOf("z", row(1, ledger.Created, alien))), ""},
	{"no token", objects(live(1, "")), nil, ""},
	{"planned only", nil, list(row(1, ledger.Planned, current)), ""},

	{"rotated", objects(live(1, previous), live(2, current)), written(row(1, ledger.Created, previous), rotated(2, ledger.Created, current)), "SECRET_A g2 k-new rollout older secret-a k-old[deployment/web pod/web-1]"},
	{"rolled out", objects(live(2, previous), live(3, current)), nil, "SECRET_A g3 k-new retire older secret-a-g2 k-old[]"},
	{"rolled out, but for one of two older ones", objects(live(1, changed), live(2, previous), live(3, current)), nil, "SECRET_A g3 k-new rollout older secret-a-g2 k-old[] older secret-a k-new[deployment/web pod/web-1]"},
	{"retired", objects(live(2, current)), written(row(1, ledger.Created, previous), rotated(2, ledger.Created, current), row(1, ledger.Deleted, previous)), "SECRET_A g2 k-new current"},
	{"an older one was deleted by hand", objects(live(2, current)), written(row(1, ledger.Created, previous), rotated(2, ledger.Created, current)), "SECRET_A g2 k-new current"},
	{"retired altogether", nil, written(row(1, ledger.Created, previous), row(1, ledger.Deleted, previous)), ""},

	{"the newest was deleted by hand", objects(live(1, previous)), written(row(1, ledger.Created, previous), rotated(2, ledger.Created, current)), "SECRET_A g1 k-old missing used by deployment/web,pod/web-1"},
	{"the newest was deleted by hand, and older ones are there", objects(live(1, changed), live(2, current)), written(row(1, ledger.Created, changed), row(2, ledger.Created, current), row(3, ledger.Created, "k-new/x")), "SECRET_A g2 k-new missing older secret-a k-new[deployment/web pod/web-1]"},
	{"all was deleted by hand", nil, list(row(1, ledger.Created, previous)), "SECRET_A none missing"},
	{"the newest was deleted by hand, and the rotation has not reached it", objects(live(1, previous), of("b", live(1, current))), written(row(1, ledger.Created, previous), rowOf("b", row(1, ledger.Created, current)), row(2, ledger.Created, "k-old/x")),
		"SECRET_A g1 k-old missing used by deployment/web,pod/web-1; SECRET_B g1 k-new current used by cronjob/tick"},
	{"all was deleted by hand, beside what is there", objects(of("b", live(1, current))), written(row(1, ledger.Created, previous), rowOf("b", row(1, ledger.Created, current))), "SECRET_A none missing; SECRET_B g1 k-new current used by cronjob/tick"},

	{"a rotation that was only planned", objects(live(1, previous)), written(row(1, ledger.Created, previous), rotated(2, ledger.Planned, current)), "SECRET_A g1 k-old unfinished used by deployment/web,pod/web-1"},
	{"a push that was only planned", objects(live(1, previous)), written(row(1, ledger.Created, previous), row(2, ledger.Planned, current)), "SECRET_A g1 k-old current used by deployment/web,pod/web-1"},
	{"a rotation that failed", objects(live(1, previous)), written(row(1, ledger.Created, previous), rotated(2, ledger.Planned, current), rotated(2, ledger.Failed, current)), "SECRET_A g1 k-old current used by deployment/web,pod/web-1"},
	{"a rotation was planned, and an older one is still there", objects(live(1, changed), live(2, previous)), written(row(1, ledger.Created, changed), row(2, ledger.Created, previous), rotated(3, ledger.Planned, current)), "SECRET_A g2 k-old unfinished older secret-a k-new[deployment/web pod/web-1]"},
	{"a rotation that has reached only one", objects(live(1, previous), live(2, current), of("b", live(1, "k-old/x"))), written(row(1, ledger.Created, previous), rotated(2, ledger.Created, current), rowOf("b", row(1, ledger.Created, "k-old/x"))),
		"SECRET_A g2 k-new rollout older secret-a k-old[deployment/web pod/web-1]; SECRET_B g1 k-old unfinished used by cronjob/tick"},
	{"both in one second", objects(live(1, previous), live(2, current), of("b", live(1, "k-old/x"))),
		list(at(1, row(1, ledger.Created, previous)), at(1, rotated(2, ledger.Created, current)), rowOf("b", at(1, row(1, ledger.Created, "k-old/x")))),
		"SECRET_A g2 k-new rollout older secret-a k-old[deployment/web pod/web-1]; SECRET_B g1 k-old unfinished used by cronjob/tick"},
	{"both in one second, the first one not reached", objects(live(1, previous), of("b", live(1, "k-old/x")), of("b", live(2, "k-new/x"))),
		list(at(1, row(1, ledger.Created, previous)), rowOf("b", at(1, row(1, ledger.Created, "k-old/x"))), rowOf("b", at(1, rotated(2, ledger.Created, "k-new/x")))),
		"SECRET_A g1 k-old unfinished used by deployment/web,pod/web-1; SECRET_B g2 k-new rollout older secret-b k-old[cronjob/tick]"},

	{"two keys in one second: the first name's counts as the last", objects(live(1, previous), of("b", live(1, current))), list(at(1, row(1, ledger.Created, previous)), rowOf("b", at(1, row(1, ledger.Created, current)))),
		"SECRET_A g1 k-old current used by deployment/web,pod/web-1; SECRET_B g1 k-new unfinished used by cronjob/tick"},

	{"somebody else's alone, beside ours", objects(foreign(1, garbage), of("b", live(1, current))), list(rowOf("b", row(1, ledger.Created, current))), "SECRET_B g1 k-new current used by cronjob/tick"},
	{"somebody else's above", objects(live(1, current), foreign(2, garbage)), list(row(1, ledger.Created, current)), "SECRET_A g1 k-new current used by deployment/web,pod/web-1"},
	{"several data keys, above", objects(live(1, current), live(2, "")), list(row(1, ledger.Created, current)), "SECRET_A g1 k-new current used by deployment/web,pod/web-1"},
}

func TestStatusOf(t *testing.T) {
	used := map[string][]string{"secret-a": {"deployment/web", "pod/web-1"}, "secret-b": {"cronjob/tick"}}
	mine := func(base string) bool { return base != "secret-z" }
	for _, tt := range statusCases {
		t.Run(tt.name, func(t *testing.T) {
			view := situation{objects: tt.objects, records: records(tt.rows...)}.view()
			var out []string
			since := plan.Since(bookOf(tt.rows).FirstUse("c"), tt.objects)
			items := plan.StatusOf(view, mine, plan.Look{Used: used, Since: since})
			plan.MarkUnfinished(items, since, func(string) bool { return false })
			for _, s := range items {
				out = append(out, writtenStatus(s))
				if s.Namespace != "ns" || s.OverAge == nil || s.UsedBy == nil || s.Older == nil || s.Gone == nil || s.Future == nil {
					t.Errorf("%+v", s)
				}
			}
			if got := strings.Join(out, "; "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// tokenAt makes a token with a time; no key opens it.
func tokenAt(seconds int64) string {
	return base64.URLEncoding.EncodeToString(append(binary.BigEndian.AppendUint64([]byte{0x80}, uint64(seconds)), make([]byte, 64)...))
}

// The key's age comes from the ledger, the value's from the token itself.
func TestStatusAges(t *testing.T) {
	for _, tt := range []struct {
		name, token string
		recorded    bool
		want        string // when the key was first used, the token's time, what is from the future
	}{
		{"recorded", of2023, true, "7 1700000000 []"},
		{"not recorded", of2023, false, "none 1700000000 []"},
		{"no token after all", "cut", false, "none none []"},
		{"a time that JSON cannot write", ofNoDay, true, "7 none [value]"},
		{"the last second that JSON can write", tokenAt(253402300799), false, "none 253402300799 []"},
		{"the second after it", tokenAt(253402300800), false, "none none [value]"},
		{"the first second of the year 0", tokenAt(-62167219200), false, "none -62167219200 []"},
		{"the second before it", tokenAt(-62167219201), false, "none none [value]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rows := list(at(7, row(1, ledger.Created, tt.token)))
			if !tt.recorded {
				rows = nil
			}
			view := situation{objects: objects(live(1, tt.token)), records: records(rows...)}.view()
			items := plan.StatusOf(view, anyName, plan.Look{Since: plan.Since(bookOf(rows).FirstUse("c"), view.Objects)})
			if len(items) != 1 {
				t.Fatalf("%+v", items)
			}
			key, value := "none", "none"
			if s := items[0].KeySince; s != nil {
				key = digit(s.Hour())
			}
			if s := items[0].ValueSince; s != nil {
				value = digit(int(s.Unix()))
			}
			if got := fmt.Sprint(key, " ", value, " ", items[0].Future); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// A time that no clock can have shown has no age, and never passes.
func TestTimesFromTheFuture(t *testing.T) {
	now := hour(12)
	at := func(d time.Duration) *time.Time { t := now.Add(d); return &t }
	for _, tt := range []struct {
		name         string
		key, value   *time.Time
		limit        time.Duration
		over, future string
	}{
		{"young", at(-time.Hour), at(-time.Minute), 50 * time.Hour, "", ""},
		{"just as old as it may be", at(-50 * time.Hour), at(-50 * time.Hour), 50 * time.Hour, "", ""},
		{"over age", at(-100 * time.Hour), at(-100 * time.Hour), 50 * time.Hour, "key value", ""},
		{"the value alone is over age", at(-time.Hour), at(-100 * time.Hour), 50 * time.Hour, "value", ""},
		{"no limit", at(-100 * time.Hour), at(-100 * time.Hour), 0, "", ""},
		{"a clock that is a little ahead", at(time.Hour), at(23 * time.Hour), 50 * time.Hour, "", ""},
		{"from the future", at(25 * time.Hour), at(1000 * time.Hour), 50 * time.Hour, "", "key value"},
		{"from the future, and no limit", at(25 * time.Hour), at(1000 * time.Hour), 0, "", "key value"},
		{"no times", nil, nil, 50 * time.Hour, "", ""},
	} {
		s := plan.Status{KeySince: tt.key, ValueSince: tt.value}
		s.JudgeTimes(now, tt.limit, tt.limit)
		if over, future := strings.Join(s.OverAge, " "), strings.Join(s.Future, " "); over != tt.over || future != tt.future {
			t.Errorf("%s: over age %q, future %q", tt.name, over, future)
		}
	}
}

// A generation that something names and whose value is not the current one is said so: it does
// not follow by itself.
func TestStatusComparesValues(t *testing.T) {
	used := map[string][]string{"secret-a": {"deployment/web"}}
	gone := map[string]plan.Wanted{"secret-a": {EnvKey: "SECRET_A", Base: "secret-a"}}
	sameValue := row(2, ledger.Created, current)
	sameValue.Since = 1
	for _, tt := range []struct {
		name    string
		objects []manifest.Object
		rows    []ledger.Row
		look    plan.Look
		want    bool
	}{
		{"another value", objects(live(1, previous), live(2, current)), written(row(1, ledger.Created, previous), row(2, ledger.Created, current)), plan.Look{Used: used}, true},
		{"the same value", objects(live(1, previous), live(2, current)), written(row(1, ledger.Created, previous), sameValue), plan.Look{Used: used}, false},
		{"another value that nothing names", objects(live(1, previous), live(2, current)), written(row(1, ledger.Created, previous), row(2, ledger.Created, current)), plan.Look{}, false},
		{"not recorded", objects(live(1, previous), live(2, current)), written(row(2, ledger.Created, current)), plan.Look{Used: used}, false},
		{"no ledger", objects(live(1, previous), live(2, current)), nil, plan.Look{Used: used}, false},
		{"gone, another value", objects(live(2, current)), written(row(1, ledger.Created, previous), row(2, ledger.Created, current)), plan.Look{Used: used, Gone: gone}, true},
		{"gone, the same value", objects(live(2, current)), written(row(1, ledger.Created, previous), sameValue), plan.Look{Used: used, Gone: gone}, false},
	} {
		view := situation{objects: tt.objects, records: records(tt.rows...), past: tt.rows}.view()
		items := plan.StatusOf(view, anyName, tt.look)
		if len(items) != 1 || items[0].NeedsUpdate() != tt.want {
			t.Errorf("%s: %+v", tt.name, items)
		}
	}
}
