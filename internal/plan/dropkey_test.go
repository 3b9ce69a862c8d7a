// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// old is under the key that is to go; retired is another object with its bytes, which
// was deleted.
var (
	old     = row(1, ledger.Created, previous)
	retired = withUID(row(1, ledger.Deleted, previous), "uid-before")
)

// dropCases are what of a namespace needs the key k-old: what is there and opens with
// nothing else, what is lost, what is planned; the deleted rows to write first, and how
// many of the recorded Secrets are there.
var dropCases = []situation{
	{name: "nothing", want: "0/0"},
	{name: "under KEY alone", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current)), want: "1/1"},
	{name: "several data keys, in a Secret of a recorded name", objects: objects(live(1, "")), records: records(row(1, ledger.Created, current)), want: "0/1"},

	{name: "there, and open only with the old key", objects: objects(live(1, previous)), records: records(old), want: "opened secret-a 1/1"},
	{name: "there, not recorded, and open only with the old key", objects: objects(live(1, previous)), want: "opened secret-a 0/0"},
	{name: "there, somebody else's, and open only with the old key", objects: objects(foreign(1, previous)), want: "opened secret-a 0/0"},
	{name: "there, and open only with the next key: that goes with the old one", objects: objects(live(1, staged)), want: "opened secret-a 0/0"},
	{name: "there, and open with no key at all", objects: objects(live(1, garbage)), want: "0/0"},
	{name: "there, its annotation absent", objects: objects(live(1, previous, binding(""))), records: records(old), want: "opened secret-a 1/1"},
	{name: "there, its annotation wrong: a token that opens is needed all the same", objects: objects(live(1, previous, binding("of another"))), records: records(old), want: "opened secret-a 1/1"},
	{name: "about to be deleted", objects: objects(live(1, previous), live(2, current)), going: true, records: records(old, row(2, ledger.Created, current)), want: "2/2"},

	{name: "lost", records: records(old), want: "lost secret-a 0/1"},
	{name: "lost for good", records: records(old), forgotten: true, want: "close secret-a uid-k-old/now 0/1"},
	{name: "lost, of another entry than the one that is there", objects: objects(live(2, current)), records: records(rowOf("b", old)), want: "lost secret-b 0/1"},
	{name: "gone, and a newer one is there", objects: objects(live(2, current)), records: records(old, row(2, ledger.Created, current)), want: "close secret-a uid-k-old/now 1/2"},
	{name: "gone, and a newer one under the old key is there", objects: objects(live(2, "k-old/x")), records: records(old), want: "opened secret-a-g2 close secret-a uid-k-old/now 0/1"},
	{name: "gone, and a newer one was created under KEY", records: records(old, row(2, ledger.Created, current)), want: "close secret-a uid-k-old/now 0/2"},
	{name: "gone, and a newer one was only planned under KEY", records: records(old, row(2, ledger.Planned, current)), want: "lost secret-a 0/1"},
	{name: "gone, and a newer one is there without an annotation that the evidence has", objects: objects(live(2, current, binding(""))), records: records(old, row(2, ledger.Planned, current)), want: "close secret-a uid-k-old/now 0/1"},
	{name: "gone, and only a hint has the annotation of the newer one", objects: objects(live(2, current, binding(""))), records: slices.Concat(records(old), hints(row(2, ledger.Created, current))), want: "lost secret-a 0/1"},
	{name: "gone, two generations of it, and the newest is there", objects: objects(live(1, previous), live(3, current), live(2, changed)), records: records(row(2, ledger.Created, "k-old/x")), going: true, want: "close secret-a-g2 uid-k-old/x 0/1"},
	{name: "gone, of two tokens of one name: the other one is there", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current), old), want: "close secret-a uid-k-old/now 1/2"},
	{name: "lost, above what is there", objects: objects(live(1, current)), records: records(row(2, ledger.Created, "k-old/x")), want: "lost secret-a-g2 0/1"},
	{name: "lost, above what was created under KEY", records: records(row(1, ledger.Created, current), row(2, ledger.Created, "k-old/x")), want: "lost secret-a-g2 0/2"},
	{name: "lost, and a token of another place was put above it", objects: objects(live(2, "k-new/other", binding(""))), records: records(old, row(2, ledger.Planned, current)), want: "lost secret-a 0/1"},
	{name: "lost, and a misplaced one was put above it", objects: objects(live(2, "k-new/other", binding("of another"))), records: records(old, row(2, ledger.Planned, current)), want: "lost secret-a 0/1"},
	{name: "lost, and other bytes have its name", objects: objects(live(1, garbage)), records: records(old), want: "lost secret-a 0/1"},
	{name: "lost, and a hint of a newer one under KEY", records: slices.Concat(records(old), hints(row(2, ledger.Created, current))), want: "lost secret-a 0/1"},

	{name: "planned above, and may land", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current), row(2, ledger.Planned, previous)), want: "planned secret-a-g2 1/1"},
	{name: "failed above, and may have landed", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current), row(2, ledger.Failed, previous)), want: "planned secret-a-g2 1/1"},
	{name: "planned above, and landed", objects: objects(live(1, current), live(2, previous)), records: records(row(1, ledger.Created, current), row(2, ledger.Planned, previous)), want: "opened secret-a-g2 1/1"},
	{name: "planned above, and forgotten", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current), row(2, ledger.Planned, previous)), forgotten: true, want: "1/1"},
	{name: "planned below", objects: objects(live(2, current)), records: records(row(1, ledger.Planned, previous), row(2, ledger.Created, current)), want: "1/1"},
	{name: "deleted above", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current), row(2, ledger.Deleted, previous)), want: "1/1"},

	{name: "retired once, put back, gone: nothing is lost, and its rows end", records: records(old, retired), want: "close secret-a uid-k-old/now 0/0"},
	{name: "retired once, put back, there", objects: objects(live(1, previous)), records: records(old, retired), want: "opened secret-a 1/1"},
	{name: "restored, and gone: the rows of both objects end", objects: objects(live(2, current)), records: records(old, again(old)), want: "close secret-a uid-again close secret-a uid-k-old/now 0/1"},

	{name: "hints say nothing", records: hints(old, row(2, ledger.Planned, previous)), want: "0/0"},
	{name: "another key's", records: records(row(1, ledger.Created, alien)), want: "0/1"},
	{name: "all at once", entries: both, objects: objects(live(1, previous), of("b", live(2, current))), records: records(old, row(2, ledger.Created, "k-old/x"), row(3, ledger.Planned, "k-old/y"), rowOf("b", old)),
		want: "opened secret-a lost secret-a-g2 planned secret-a-g3 close secret-b uid-k-old/now 1/3"},
}

func TestUseOfKeys(t *testing.T) {
	for _, tc := range dropCases {
		t.Run(tc.name, func(t *testing.T) {
			view := tc.view()
			use := plan.UseOfKeys(view, []string{"k-old"}, judge, alone, func(manifest.Object) bool { return tc.going }, tc.forgotten)
			var out []string
			for _, part := range []struct {
				word  string
				names []string
			}{{"opened", use.Opened}, {"lost", use.Lost}, {"planned", use.Planned}} {
				for _, name := range part.names {
					out = append(out, part.word+" "+name)
				}
			}
			if use.Needed() != (len(out) > 0) {
				t.Errorf("needed: %v", use.Needed())
			}
			for _, r := range use.Close {
				out = append(out, "close "+r.Secret+" "+r.UID)
				_, generation := names.Split(r.Secret)
				want := row(generation, ledger.Deleted, r.Token)
				want.Operation, want.Secret, want.EnvKey, want.UID = ledger.Retire, r.Secret, entryOf(r.Secret), r.UID
				if r != want {
					t.Errorf("\ngot  %+v\nwant %+v", r, want)
				}
			}
			agree(t, []string{strings.Join(append(out, fmt.Sprintf("%d/%d", use.Live, use.Recorded)), " ")}, tc.want)
		})
	}
}

func digit(n int) string { return strconv.Itoa(n) }

// copyCases are a Secret somewhere in a cluster that carries the id of k-old.
var copyCases = []situation{
	{name: "in its own place", objects: objects(live(1, previous)), want: "ours"},
	{name: "elsewhere", objects: objects(live(1, previous, binding("of another"))), want: "mirrored"},
	{name: "its annotation removed", objects: objects(live(1, previous, binding(""))), want: "mirrored"},
	{name: "the label lies: another key opens it", objects: objects(live(1, current)), want: "foreign"},
	{name: "the label lies: no key opens it", objects: objects(live(1, garbage)), want: "foreign"},
	{name: "several data keys", objects: objects(live(1, "")), want: "foreign"},
}

func TestCopyOf(t *testing.T) {
	words := map[plan.Copy]string{plan.CopyOurs: "ours", plan.CopyMirrored: "mirrored", plan.CopyForeign: "foreign"}
	for _, tc := range copyCases {
		t.Run(tc.name, func(t *testing.T) {
			agree(t, []string{words[plan.CopyOf(tc.objects[0], "k-old", judge)]}, tc.want)
		})
	}
}
