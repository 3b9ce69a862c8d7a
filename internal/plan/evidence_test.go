// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// Hints permit nothing: no base name becomes ours, nothing is missing, lost, resent
// or compared because of them.
func TestHintsPermitNothing(t *testing.T) {
	foreign := hints(row(1, ledger.Created, current), row(2, ledger.Planned, "k-new/other"))
	view := plan.View{Cluster: "c", Namespace: "ns", Records: foreign}
	if mine := plan.Mine(foreign, nil); len(mine) != 0 {
		t.Errorf("mine: %v", mine)
	}
	if found := plan.Verify(view, nil, judge, ring{}, hour(1)); len(found) != 0 {
		t.Errorf("found: %v", found)
	}
	if err := plan.CheckCluster(view); err != nil {
		t.Error(err)
	}
	if in := plan.InterestOf(foreign, nil, nil, nil); len(in.Names) != 0 {
		t.Errorf("interest: %v", in.Names)
	}
	if got := plan.Recall(foreign, 0); len(got) != 0 {
		t.Errorf("recalled: %v", got)
	}
	if got := plan.Offline("c", "ns", foreign, nil); len(got.Objects) != 0 {
		t.Errorf("offline: %v", got.Objects)
	}
	got, err := plan.Push(view, secretA, judge, ring{}, plan.PushOptions{})
	if err != nil || decided(got[0]) != "created secret-a" {
		t.Errorf("push: %+v, %v", got, err)
	}
	if got := plan.StatusOf(view, anyName, plan.Look{}); len(got) != 0 {
		t.Errorf("status: %+v", got)
	}
	if retired, _ := plan.Retire(view, secretA, judge, ring{}, func(plan.Wanted) bool { return true }); len(retired) != 0 {
		t.Errorf("retire: %v", retired)
	}
}

// Numbers of hints count up to 1,000 above the evidence; what is over is known by
// name and token; evidence of a deletion ends a hint, and drops its key.
func TestBook(t *testing.T) {
	standings := map[string]ledger.Standing{"": ledger.Unsigned, "ours": ledger.Evidence, "theirs": ledger.Hint, "edited": ledger.Edited}
	book := ledger.NewBook(ledger.Keys{Verify: func(_ []string, mac string) ledger.Standing { return standings[mac] }})
	add := func(mac string, r ledger.Row) {
		r.MAC, r.Line = mac, r.Generation+1
		book.Add(r)
	}
	add("ours", row(2, ledger.Created, current))
	add("ours", row(3, ledger.Deleted, previous))
	add("theirs", row(3, ledger.Created, previous))
	add("theirs", row(1003, ledger.Planned, alien))
	add("theirs", row(1004, ledger.Planned, alien))
	add("theirs", row(4, ledger.Deleted, alien))
	add("", row(7, ledger.Created, current))
	add("edited", row(8, ledger.Created, current))
	got, past := book.At("c", "ns")
	var out []string
	for _, r := range got {
		out = append(out, fmt.Sprintf("%s %s hint=%t", r.Secret, r.State, r.Hint))
	}
	if text := strings.Join(out, ", "); text != "secret-a-g1003 planned hint=true, secret-a-g1004 planned hint=true, secret-a-g2 created hint=false" {
		t.Error(text)
	}
	if past.Top("secret-a") != 1003 || past.Known("secret-a") != 3 || past.Top("secret-b") != 0 {
		t.Errorf("top %d, known %d", past.Top("secret-a"), past.Known("secret-a"))
	}
	if !past.Dropped("k-old") || past.Dropped("k-lost") || !past.Deleted("secret-a-g3", "SECRET_A", "k-old", previous, "holds") || past.Deleted("secret-a-g4", "SECRET_A", "k-lost", alien, "holds") {
		t.Error("what is over")
	}
	edited, more := book.Edited()
	rows, line := book.Unsigned()
	if len(edited) != 1 || edited[0].Line != 9 || more != 0 || rows != 1 || line != 8 || book.EditedKey("k-new") != 9 || book.EditedKey("k-old") != 0 {
		t.Errorf("edited %+v and %d, unsigned %d from line %d", edited, more, rows, line)
	}
}
