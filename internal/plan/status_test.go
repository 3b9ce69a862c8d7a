// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
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

func TestStatusOf(t *testing.T) {
	used := map[string][]string{"secret-a": {"deployment/web", "pod/web-1"}, "secret-b": {"cronjob/tick"}}
	old, recent := at(1, row(1, ledger.Created, previous)), at(2, rotated(2, ledger.Created, current))
	for _, tt := range []struct {
		name    string
		objects []manifest.Object
		rows    []ledger.Row
		want    string
	}{
		{name: "nothing"},
		{"one generation", []manifest.Object{live(1, current)}, list(row(1, ledger.Created, current)), "SECRET_A g1 k-new current used by deployment/web,pod/web-1"},
		{"no ledger", []manifest.Object{live(1, current)}, nil, "SECRET_A g1 k-new current used by deployment/web,pod/web-1"},
		{"a row and no label", []manifest.Object{live(1, current, unlabelled)}, list(row(1, ledger.Created, current)), "SECRET_A g1 k-new current used by deployment/web,pod/web-1"},
		{"rotated", []manifest.Object{live(1, previous), live(2, current)}, list(old, recent), "SECRET_A g2 k-new rollout older secret-a k-old[deployment/web pod/web-1]"},
		{"rolled out", []manifest.Object{live(2, previous), live(3, current)}, nil, "SECRET_A g3 k-new retire older secret-a-g2 k-old[]"},
		{"retired", []manifest.Object{live(2, current)}, list(old, at(3, row(1, ledger.Deleted, previous)), recent), "SECRET_A g2 k-new current"},
		{"missing", []manifest.Object{live(1, previous)}, list(old, recent), "SECRET_A g1 k-old missing used by deployment/web,pod/web-1"},
		{"all missing", nil, list(old), "SECRET_A none missing"},
		{"retired altogether", nil, list(old, at(3, row(1, ledger.Deleted, previous))), ""},
		{"a rotation that was only planned", []manifest.Object{live(1, previous)}, list(old, rotated(2, ledger.Planned, current)), "SECRET_A g1 k-old unfinished used by deployment/web,pod/web-1"},
		{"a push that was only planned", []manifest.Object{live(1, previous)}, list(old, row(2, ledger.Planned, current)), "SECRET_A g1 k-old current used by deployment/web,pod/web-1"},
		{"a rotation that failed", []manifest.Object{live(1, previous)}, list(old, rotated(2, ledger.Planned, current), rotated(2, ledger.Failed, current)), "SECRET_A g1 k-old current used by deployment/web,pod/web-1"},
		{"a rotation that has reached only one", []manifest.Object{live(1, previous), live(2, current), of("b", live(1, "k-old/x"))},
			list(old, recent, rowOf("b", at(1, row(1, ledger.Created, "k-old/x")))),
			"SECRET_A g2 k-new rollout older secret-a k-old[deployment/web pod/web-1]; SECRET_B g1 k-old unfinished used by cronjob/tick"},
		{"both in one second", []manifest.Object{live(1, previous), live(2, current), of("b", live(1, "k-old/x"))},
			list(at(1, row(1, ledger.Created, previous)), at(1, rotated(2, ledger.Created, current)), rowOf("b", at(1, row(1, ledger.Created, "k-old/x")))),
			"SECRET_A g2 k-new rollout older secret-a k-old[deployment/web pod/web-1]; SECRET_B g1 k-old unfinished used by cronjob/tick"},
		{"both in one second, the first one not reached", []manifest.Object{live(1, previous), of("b", live(1, "k-old/x")), of("b", live(2, "k-new/x"))},
			list(at(1, row(1, ledger.Created, previous)), rowOf("b", at(1, row(1, ledger.Created, "k-old/x"))), rowOf("b", at(1, rotated(2, ledger.Created, "k-new/x")))),
			"SECRET_A g1 k-old unfinished used by deployment/web,pod/web-1; SECRET_B g2 k-new rollout older secret-b k-old[cronjob/tick]"},
		{"the ledger's key before the label's", []manifest.Object{live(1, current, func(o *manifest.Object) { o.KeyID = "k-edited" })}, list(row(1, ledger.Created, current)), "SECRET_A g1 k-new current used by deployment/web,pod/web-1"},
		{"another project's", []manifest.Object{live(1, current), of("z", live(1, alien))}, nil, "SECRET_A g1 k-new current used by deployment/web,pod/web-1"},
		{"no token", []manifest.Object{live(1, "")}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			view := plan.View{Cluster: "c", Namespace: "ns", Objects: tt.objects, Records: records(tt.rows...)}
			mine := func(base string) bool { return base != "secret-z" }
			var out []string
			for _, s := range plan.StatusOf(view, mine, used, plan.Since(bookOf(tt.rows).FirstUse("c"), tt.objects)) {
				out = append(out, writtenStatus(s))
				if s.Namespace != "ns" || s.OverAge == nil || s.UsedBy == nil || s.Older == nil {
					t.Errorf("%+v", s)
				}
			}
			if got := strings.Join(out, "; "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// The ages come from the ledger and from the token itself.
func TestStatusAges(t *testing.T) {
	const token = "gAAAAABlU_EAMDEyMzQ1Njc4OWFiY2RlZqrtKI-OpiA3se9kUtejVGOVU4SNczTK5An6Mf2LDCkbfk5IZLoNScVi7e0q1M2x8w=="
	o := live(1, token)
	o.KeyID = "k-new"
	r := at(7, row(1, ledger.Created, token))
	r.KeyID = "k-new"
	view := plan.View{Cluster: "c", Namespace: "ns", Objects: []manifest.Object{o}, Records: records(r)}
	items := plan.StatusOf(view, func(string) bool { return true }, nil, plan.Since(bookOf(list(r)).FirstUse("c"), view.Objects))
	if len(items) != 1 || items[0].KeySince == nil || !items[0].KeySince.Equal(hour(7)) ||
		items[0].ValueSince == nil || !items[0].ValueSince.Equal(time.Unix(1700000000, 0)) {
		t.Errorf("%+v", items)
	}
	view.Objects[0].Token, view.Records = "cut", nil
	items = plan.StatusOf(view, func(string) bool { return true }, nil, nil)
	if len(items) != 1 || items[0].KeySince != nil || items[0].ValueSince != nil {
		t.Errorf("ages of nothing: %+v", items)
	}
}

// A time that no clock can have shown has no age, and never passes.
func TestTimesFromTheFuture(t *testing.T) {
	now := hour(12)
	at := func(d time.Duration) *time.Time { t := now.Add(d); return &t }
	for _, tt := range []struct {
		name         string
		key, value   *time.Time
		over, future string
	}{
		{"young", at(-time.Hour), at(-time.Minute), "", ""},
		{"over age", at(-100 * time.Hour), at(-100 * time.Hour), "key value", ""},
		{"a clock that is a little ahead", at(time.Hour), at(23 * time.Hour), "", ""},
		{"from the future", at(25 * time.Hour), at(1000 * time.Hour), "", "key value"},
		{"no times", nil, nil, "", ""},
	} {
		s := plan.Status{KeySince: tt.key, ValueSince: tt.value}
		s.JudgeTimes(now, 50*time.Hour, 50*time.Hour)
		if over, future := strings.Join(s.OverAge, " "), strings.Join(s.Future, " "); over != tt.over || future != tt.future {
			t.Errorf("%s: over age %q, future %q", tt.name, over, future)
		}
	}
	const far = "gEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==" // 2^62 seconds
	o := live(1, far)
	o.KeyID = "k-new"
	view := plan.View{Cluster: "c", Namespace: "ns", Objects: []manifest.Object{o}}
	items := plan.StatusOf(view, func(string) bool { return true }, nil, nil)
	if len(items) != 1 || items[0].ValueSince != nil || strings.Join(items[0].Future, " ") != "value" {
		t.Errorf("a time that JSON cannot write: %+v", items)
	}
}
