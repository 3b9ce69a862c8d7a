// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
)

// numbered is row for a name of any generation.
func (f forge) numbered(secret string, entries ...string) ledger.Row {
	row := f.row(secret, entries...)
	_, row.Generation = names.Split(secret)
	row.Since = row.Generation
	return row
}

// viewOf has these Secrets, and of them the rows of recorded.
func viewOf(wanted []plan.Wanted, recorded []ledger.Row, there ...ledger.Row) plan.View {
	var objects []manifest.Object
	for _, row := range there {
		o := manifest.FromSecret(manifest.Secret(row))
		o.UID = row.UID
		objects = append(objects, o)
	}
	view := plan.NewView("c", "ns", ledger.Fold(expanded(recorded)), nil, objects, nil)
	view.Wanted = wanted
	return view
}

// The Secret of the entry WEB and the bundle web have one base name, and no name in common.
func TestConfirmTakesNoOtherKind(t *testing.T) {
	f := newForge(t)
	bundle, single := f.row("web-g1", "SECRET_A:1"), f.row("web", "WEB:1")
	for _, tt := range []struct {
		wanted plan.Wanted
		want   string
	}{{plan.Wanted{EnvKey: "WEB", Base: "web"}, "web"}, {plan.Wanted{Base: "web", Entries: []string{"SECRET_A"}}, "web-g1"}} {
		wanted := []plan.Wanted{tt.wanted}
		rows := plan.Confirm(viewOf(wanted, nil, single, bundle), wanted, seal.New(f.ring, nil).Judge, f.ring)
		if len(rows) != 1 || rows[0].Secret != tt.want {
			t.Errorf("%s: %+v", tt.want, rows)
		}
	}
}

// Rows of entries that somebody removed are written again where the bundle is there.
func TestConfirmCompletesABundle(t *testing.T) {
	f := newForge(t)
	bundle := f.row("web-g1", "SECRET_A:1", "SECRET_B:1")
	wanted := []plan.Wanted{{Base: "web", Entries: []string{"SECRET_A", "SECRET_B"}}}
	view := viewOf(wanted, nil, bundle)
	view.Records = ledger.Fold(expanded([]ledger.Row{bundle})[1:])
	rows := plan.Confirm(view, wanted, seal.New(f.ring, nil).Judge, f.ring)
	if len(rows) != 1 || rows[0].Token != bundle.Token {
		t.Errorf("%+v", rows)
	}
}

// A Secret of a bundle's base name is no generation of it: those have numbers from 1 on.
func TestBaseNameIsNoGenerationOfABundle(t *testing.T) {
	f := newForge(t)
	now := f.numbered("web-g2", "SECRET_A:1")
	wanted := []plan.Wanted{{Base: "web", Entries: []string{"SECRET_A"}}}
	view := viewOf(wanted, []ledger.Row{now}, now)
	g := plan.Successors(view, wanted, seal.New(f.ring, nil).Judge, f.ring, seal.New(f.ring, nil).SameValue)
	if s, older := g.Older("web"); older {
		t.Errorf("web is followed by %+v", s)
	}
	if _, older := g.Older("web-g1"); !older {
		t.Error("web-g1 is not followed")
	}
	if tokens, _ := plan.Absent(view, wanted, nil, map[string][]string{"web": {"deployment/d"}, "web-g1": {"deployment/d"}}); len(tokens) != 1 || tokens["web-g1"].Base != "web" {
		t.Errorf("absent: %v", tokens)
	}
}

// A value that is published again on purpose is newer than the one that it replaces, in
// whatever form: pull tells by the time.
func TestRevertReusesNoTokenOfAnotherForm(t *testing.T) {
	f := newForge(t)
	older, newer := f.row("secret-a", "SECRET_A:1"), f.row("secret-a", "SECRET_A:2")
	newer.Secret, newer.Generation, newer.Since = "secret-a-g2", 2, 2
	newer.Binding = seal.Bind(f.ring.Primary(), "ns", newer.Secret, newer.EnvKey, newer.Token)
	wanted := []plan.Wanted{{Base: "web", Entries: []string{"SECRET_A"}}}
	judge := seal.New(f.ring, []envfile.Entry{{Name: "SECRET_A", Value: envfile.NewValue("value of day 1")}}).Judge
	view := viewOf(wanted, []ledger.Row{older, newer}, older, newer)
	for _, revert := range []bool{false, true} {
		decisions, err := plan.Push(view, wanted, judge, f.ring, plan.PushOptions{Revert: func(string) bool { return revert }})
		if err != nil {
			t.Fatal(err)
		}
		d := decisions[0]
		if !revert {
			if d.Outcome != plan.Stale {
				t.Errorf("%+v", d)
			}
			continue
		}
		if d.Outcome != plan.Created || len(d.Entries) != 1 || d.Entries[0].Token != "" {
			t.Errorf("%+v", d)
		}
	}
}

// A bundle of one entry whose label and annotations were removed is still what the ledger
// has, for restore too.
func TestRestoreKnowsABundleOfOneEntry(t *testing.T) {
	f := newForge(t)
	row := f.row("web-g1", "SECRET_A:1")
	s := manifest.Secret(row)
	s.Labels, s.Annotations = nil, nil
	o := manifest.FromSecret(s)
	o.UID = row.UID
	d := plan.Restore(ledger.Fold(expanded([]ledger.Row{row})), "c", []manifest.Object{o}, seal.New(f.ring, nil).Judge)
	if len(d) != 1 || d[0].Outcome != plan.Unchanged || d[0].Row.Token != row.Token {
		t.Errorf("%+v", d)
	}
}

// Both tokens as the lines of one value are not the bundle, whatever its text is.
func TestOneValueIsNotABundle(t *testing.T) {
	f := newForge(t)
	row := f.row("web-g1", "SECRET_A:1", "SECRET_B:1")
	s := manifest.Secret(row)
	s.Labels, s.Annotations = nil, nil
	s.Data = map[string][]byte{"SECRET_A": []byte(strings.TrimSuffix(strings.TrimPrefix(row.Token, "SECRET_A "), "\n"))}
	view := plan.NewView("c", "ns", ledger.Fold(expanded([]ledger.Row{row})), nil, []manifest.Object{manifest.FromSecret(s)}, nil)
	if view.Objects[0].Token != "" {
		t.Error("one value is a bundle of two")
	}
}

// Of two bundles that are recorded under one name, as where two ledgers were merged, each
// entry is compared with the same entry of the other.
func TestRecallComparesEntries(t *testing.T) {
	f := newForge(t)
	first, second := f.row("web-g1", "SECRET_A:1", "SECRET_B:1"), f.row("web-g1", "SECRET_A:1", "SECRET_B:2")
	second.UID = "uid-second"
	same := map[string]bool{}
	for _, r := range plan.Recall(ledger.Fold(expanded([]ledger.Row{first, second})), 0) {
		if len(r.Others) != 1 {
			t.Fatalf("%s: %d others", r.Token.EnvKey, len(r.Others))
		}
		same[r.Token.EnvKey] = seal.New(f.ring, nil).SameValue(r.Token, r.Others[0])
	}
	if !same["SECRET_A"] || same["SECRET_B"] {
		t.Error(same)
	}
}

// Of a bundle whose rows of entries were all removed nobody knows what has them now.
func TestOrphanWithoutEntries(t *testing.T) {
	f := newForge(t)
	row := f.row("web-g1", "SECRET_A:1")
	view := viewOf([]plan.Wanted{{EnvKey: "SECRET_A", Base: "secret-a"}}, nil, row)
	view.Records = ledger.Fold(expanded([]ledger.Row{row})[1:])
	if d := plan.Orphans(view, func(string) bool { return true }); len(d) > 0 {
		t.Errorf("%+v", d)
	}
}
