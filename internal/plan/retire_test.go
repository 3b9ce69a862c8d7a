// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// again is the row of an object that was made anew with the same bytes.
func again(r ledger.Row) ledger.Row {
	r.UID = "uid-again"
	return r
}

const bothOfA = "secret-a uid-k-old/now k-old"

var createdAndRotated = records(row(1, ledger.Created, previous), rotated(2, ledger.Created, current))

var retireCases = []struct {
	name    string
	objects []manifest.Object
	records []ledger.Record
	leaving bool
	want    string // NAME UID KEY, and what else is to be said; then what is skipped
}{
	{name: "nothing there"},
	{name: "one generation", objects: []manifest.Object{live(1, current)}, records: records(row(1, ledger.Created, current))},
	{name: "rotated", objects: []manifest.Object{live(1, previous), live(2, current)}, records: createdAndRotated, want: bothOfA},
	{name: "no label", objects: []manifest.Object{live(1, previous, unlabelled), live(2, current)}, records: createdAndRotated, want: bothOfA},
	{name: "no row", objects: []manifest.Object{live(1, previous), live(2, current)}, want: bothOfA + ""},
	{name: "several", objects: []manifest.Object{live(1, changed), live(2, previous), live(3, current)},
		records: records(row(1, ledger.Created, changed), row(2, ledger.Created, previous), row(3, ledger.Created, current)),
		want:    "secret-a-g2 uid-k-old/now k-old, secret-a uid-k-new/before k-new"},
	{name: "a foreign and a misplaced one below", objects: []manifest.Object{live(1, garbage, unlabelled), live(2, previous, binding("of another")), live(3, current)}},
	{name: "a misplaced one above", objects: []manifest.Object{live(1, previous), live(2, current), live(9, current, binding("of another"))}, records: createdAndRotated, want: bothOfA},
	{name: "under a lost key, though recorded: nothing proves it ours", objects: []manifest.Object{live(1, alien), live(2, current)}, records: records(row(1, ledger.Created, alien), row(2, ledger.Created, current))},
	{name: "the current one opens with no key", objects: []manifest.Object{live(1, previous), live(2, alien)}, records: createdAndRotated, want: "superseded secret-a-g2"},
	{name: "its token is cut", objects: []manifest.Object{live(1, previous), live(2, garbage)}, records: records(row(1, ledger.Created, previous), row(2, ledger.Created, garbage)), want: "blocked secret-a-g2"},
	{name: "the current one is being deleted", objects: []manifest.Object{live(1, previous), live(2, current, deleting)}, records: createdAndRotated, want: "blocked secret-a-g2"},
	{name: "the current one is gone", objects: []manifest.Object{live(1, previous)}, records: createdAndRotated, want: "blocked secret-a-g2"},
	{name: "the ledger has a newer one of another key", objects: []manifest.Object{live(1, previous), live(2, current)},
		records: records(row(1, ledger.Created, previous), row(2, ledger.Created, current), row(3, ledger.Created, alien)), want: "superseded secret-a-g3"},
	{name: "an older one is gone, the ledger does not know", objects: []manifest.Object{live(2, current)}, records: createdAndRotated, want: bothOfA + " gone"},
	{name: "restored: two objects had these bytes", objects: []manifest.Object{live(1, previous, func(o *manifest.Object) { o.UID = "uid-again" }), live(2, current)},
		records: records(row(1, ledger.Created, previous), again(row(1, ledger.Created, previous)), rotated(2, ledger.Created, current)),
		want:    "secret-a uid-again k-old uid-again,uid-k-old/now"},
	{name: "restored, and gone", objects: []manifest.Object{live(2, current)},
		records: records(row(1, ledger.Created, previous), again(row(1, ledger.Created, previous)), rotated(2, ledger.Created, current)),
		want:    "secret-a uid-again k-old gone uid-again,uid-k-old/now"},
	{name: "an older one is gone, the ledger knows", objects: []manifest.Object{live(2, current)}, records: records(row(1, ledger.Created, previous), row(1, ledger.Deleted, previous), rotated(2, ledger.Created, current))},
	{name: "leaving, and gone", records: createdAndRotated, leaving: true, want: "secret-a-g2 uid-k-new/now k-new gone, " + bothOfA + " gone"},
	{name: "leaving", objects: []manifest.Object{live(1, previous), live(2, current)}, records: createdAndRotated, leaving: true, want: "secret-a-g2 uid-k-new/now k-new, " + bothOfA},
	{name: "leaving, and being deleted", objects: []manifest.Object{live(1, previous), live(2, current, deleting)}, records: createdAndRotated, leaving: true, want: "secret-a-g2 uid-k-new/now k-new, " + bothOfA},
	{name: "leaving, beside what is foreign", objects: []manifest.Object{live(1, current), live(2, garbage, unlabelled)}, leaving: true, want: "secret-a uid-k-new/now k-new"},
}

func TestRetire(t *testing.T) {
	for _, tt := range retireCases {
		t.Run(tt.name, func(t *testing.T) {
			view := plan.View{Cluster: "c", Namespace: "ns", Objects: tt.objects, Records: tt.records}
			retired, skipped := plan.Retire(view, secretA, judge, ring{}, func(string) bool { return tt.leaving })
			var out []string
			for _, r := range retired {
				text := r.Object.Name + " " + r.Object.UID + " " + r.Row.KeyID
				if r.Gone {
					text += " gone"
				}
				if len(r.UIDs) > 1 {
					text += " " + strings.Join(r.UIDs, ",")
				}
				out = append(out, text)
				if r.Row.Operation != ledger.Retire || r.Row.State != ledger.Planned || r.Row.EnvKey != "SECRET_A" || !r.Object.Carries(r.Row) || r.Row.Cluster != "c" || r.Row.Binding != r.Object.Binding {
					t.Errorf("row %+v of %+v", r.Row, r.Object)
				}
			}
			for _, d := range skipped {
				out = append(out, string(d.Outcome)+" "+d.Row.Secret)
				if d.Reason == "" {
					t.Errorf("no reason for %s", d.Row.Secret)
				}
			}
			if got := strings.Join(out, ", "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
