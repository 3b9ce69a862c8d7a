// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// A use of keys is written in words: what opened, is lost and is planned, the
// deleted rows to write, and how many recorded Secrets are there.
func TestUseOfKeys(t *testing.T) {
	old, other := row(1, ledger.Created, previous), withUID(row(1, ledger.Deleted, previous), "uid-before")
	for _, tt := range []struct {
		name      string
		objects   []manifest.Object
		records   []ledger.Record
		going     bool
		forgotten bool
		want      string
	}{
		{name: "nothing", want: "0/0"},
		{name: "under KEY alone", objects: []manifest.Object{live(1, current)}, records: records(row(1, ledger.Created, current)), want: "1/1"},
		{name: "there, and open only with the old key", objects: []manifest.Object{live(1, previous)}, records: records(old), want: "opened secret-a 1/1"},
		{name: "about to be deleted", objects: []manifest.Object{live(1, previous), live(2, current)}, going: true,
			records: records(old, row(2, ledger.Created, current)), want: "2/2"},
		{name: "there, its annotation absent", objects: []manifest.Object{live(1, previous, binding(""))}, records: records(old), want: "opened secret-a 1/1"},
		{name: "there, its annotation wrong: a token that opens is needed all the same", objects: []manifest.Object{live(1, previous, binding("of another"))}, records: records(old), want: "opened secret-a 1/1"},
		{name: "lost", records: records(old), want: "lost secret-a 0/1"},
		{name: "lost for good", records: records(old), forgotten: true, want: "close secret-a uid-k-old/now 0/1"},
		{name: "gone, and a newer one is there", objects: []manifest.Object{live(2, current)}, records: records(old, row(2, ledger.Created, current)), want: "close secret-a uid-k-old/now 1/2"},
		{name: "gone, and a newer one was created under KEY", records: records(old, row(2, ledger.Created, current)), want: "close secret-a uid-k-old/now 0/2"},
		{name: "gone, and a newer one is there without an annotation that the evidence has", objects: []manifest.Object{live(2, current, binding(""))},
			records: records(old, row(2, ledger.Planned, current)), want: "close secret-a uid-k-old/now 0/1"},
		{name: "lost, and a token of another place was put above it", objects: []manifest.Object{live(2, "k-new/other", binding(""))},
			records: records(old, row(2, ledger.Planned, current)), want: "lost secret-a 0/1"},
		{name: "lost, and a misplaced one was put above it", objects: []manifest.Object{live(2, "k-new/other", binding("of another"))},
			records: records(old, row(2, ledger.Planned, current)), want: "lost secret-a 0/1"},
		{name: "lost, and other bytes have its name", objects: []manifest.Object{live(1, garbage)}, records: records(old), want: "lost secret-a 0/1"},
		{name: "planned above, and may land", objects: []manifest.Object{live(1, current)}, records: records(row(1, ledger.Created, current), row(2, ledger.Planned, previous)), want: "planned secret-a-g2 1/1"},
		{name: "failed above, and may have landed", objects: []manifest.Object{live(1, current)}, records: records(row(1, ledger.Created, current), row(2, ledger.Failed, previous)), want: "planned secret-a-g2 1/1"},
		{name: "planned below", objects: []manifest.Object{live(2, current)}, records: records(row(1, ledger.Planned, previous), row(2, ledger.Created, current)), want: "1/1"},
		{name: "retired once, put back, gone: nothing is lost, and its rows end", records: records(old, other), want: "close secret-a uid-k-old/now 0/0"},
		{name: "retired once, put back, there", objects: []manifest.Object{live(1, previous)}, records: records(old, other), want: "opened secret-a 1/1"},
		{name: "lost, and a hint of a newer one under KEY", records: append(records(old), hints(row(2, ledger.Created, current))...), want: "lost secret-a 0/1"},
		{name: "hints say nothing", records: hints(old, row(2, ledger.Planned, previous)), want: "0/0"},
		{name: "another key's", records: records(row(1, ledger.Created, alien)), want: "0/1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			view := plan.NewView("c", "ns", tt.records, nil, tt.objects, nil)
			use := plan.UseOfKeys(view, []string{"k-old"}, judge, alone, func(manifest.Object) bool { return tt.going }, tt.forgotten)
			var out []string
			for word, names := range map[string][]string{"opened": use.Opened, "lost": use.Lost, "planned": use.Planned} {
				if len(names) > 0 {
					out = append(out, word+" "+strings.Join(names, ","))
				}
			}
			if use.Needed() != (len(out) > 0) {
				t.Errorf("needed: %v", use.Needed())
			}
			for _, r := range use.Close {
				out = append(out, "close "+r.Secret+" "+r.UID)
				if r.State != ledger.Deleted || r.Operation != ledger.Retire || r.Token != previous || r.Binding != "holds" || r.Since != 1 {
					t.Errorf("row %+v", r)
				}
			}
			out = append(out, strings.Join([]string{digit(use.Live), digit(use.Recorded)}, "/"))
			if got := strings.Join(out, " "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func digit(n int) string { return string(rune('0' + n)) }

func TestCopyOf(t *testing.T) {
	for _, tt := range []struct {
		name   string
		object manifest.Object
		want   plan.Copy
	}{
		{"in its own place", live(1, previous), plan.CopyOurs},
		{"elsewhere", live(1, previous, binding("of another")), plan.CopyMirrored},
		{"its annotation removed", live(1, previous, binding("")), plan.CopyMirrored},
		{"the label lies: another key opens it", live(1, current), plan.CopyForeign},
		{"the label lies: no key opens it", live(1, garbage), plan.CopyForeign},
		{"several data keys", live(1, ""), plan.CopyForeign},
	} {
		if got := plan.CopyOf(tt.object, "k-old", judge); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// A look at the target cluster ends what was retired once and is not there; of
// another cluster nothing was looked at.
func TestStillCreated(t *testing.T) {
	old, other := row(1, ledger.Created, previous), withUID(row(1, ledger.Deleted, previous), "uid-before")
	again := live(1, previous, func(o *manifest.Object) { o.UID = "uid-third" })
	for _, tt := range []struct {
		name    string
		cluster string
		live    []manifest.Object
		records []ledger.Record
		want    int
	}{
		{"created, and gone", "c", nil, records(old), 1},
		{"retired once, put back, and gone", "c", nil, records(old, other), 0},
		{"retired once, put back, and there", "c", []manifest.Object{live(1, previous)}, records(old, other), 1},
		{"retired once, and there as an object that nobody recorded", "c", []manifest.Object{again}, records(old, other), 0},
		{"created, and there as an object that nobody recorded", "c", []manifest.Object{again}, records(old), 1},
		{"retired once, put back, and other bytes are there", "c", []manifest.Object{live(1, current)}, records(old, other), 0},
		{"another cluster's", "d", nil, records(old, other), 1},
	} {
		if got := plan.StillCreated(tt.records, tt.cluster, tt.live); len(got) != tt.want {
			t.Errorf("%s: %d records", tt.name, len(got))
		}
	}
}
