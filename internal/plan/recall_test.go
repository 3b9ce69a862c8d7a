// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// told writes what Live gives: TOKEN of what is known, SECRET: REASON of the rest.
func told(all []plan.Recalled, unknown []plan.Unknown) string {
	var out []string
	for _, r := range all {
		out = append(out, fmt.Sprintf("g%d %s", r.Generation, r.Token.Token))
	}
	for _, u := range unknown {
		out = append(out, u.Token.Namespace+"/"+u.Token.Secret+" of "+u.Token.EnvKey+": "+u.Reason)
	}
	return strings.Join(out, ", ")
}

func TestLive(t *testing.T) {
	const lacks, unopened, gone = "it is under key k-lost, which this keyring lacks", "no key of this keyring opens its token", "it was created, and is gone"
	at := func(generation int, reason string) string {
		return "ns/" + names.Secret("secret-a", generation) + " of SECRET_A: " + reason
	}
	for _, tt := range []struct {
		name    string
		objects []manifest.Object
		records []ledger.Record
		want    string
	}{
		{"nothing", nil, nil, ""},
		{"planned, and never there", nil, records(row(1, ledger.Planned, current)), ""},
		{"failed, deleted", nil, records(row(1, ledger.Deleted, current), row(2, ledger.Failed, current)), ""},
		{"ours by row", []manifest.Object{live(1, current)}, records(row(1, ledger.Created, current)), "g1 k-new/now"},
		{"ours by binding", []manifest.Object{live(1, current)}, nil, "g1 k-new/now"},
		{"the newest", []manifest.Object{live(1, changed), live(3, previous)}, nil, "g3 k-old/now"},
		{"an older one is gone", []manifest.Object{live(2, current)}, records(row(1, ledger.Created, changed)), "g2 k-new/now"},
		{"the newest is gone", []manifest.Object{live(1, changed)}, records(row(1, ledger.Created, changed), row(2, ledger.Created, current)), at(2, gone)},
		{"all is gone", nil, records(row(1, ledger.Created, current)), at(1, gone)},
		{"the newest was deleted by us", []manifest.Object{live(1, changed)}, records(row(2, ledger.Deleted, current)), "g1 k-new/before"},
		{"the newest is being deleted", []manifest.Object{live(1, changed), live(2, current, deleting)}, nil, "g2 k-new/now"},
		{"a plan above", []manifest.Object{live(1, changed)}, records(row(2, ledger.Planned, current)), "g1 k-new/before"},
		{"recorded, under a key that we lack", []manifest.Object{live(1, alien)}, records(row(1, ledger.Created, alien)), at(1, lacks)},
		{"not recorded, under a key that we lack", []manifest.Object{live(1, current), live(2, alien)}, nil, at(2, lacks)},
		{"recorded, opens with no key", []manifest.Object{live(1, garbage)}, records(row(1, ledger.Created, garbage)), at(1, unopened)},
		{"labelled, opens with no key", []manifest.Object{live(1, current), live(2, garbage)}, nil, at(2, unopened)},
		{"copied above", []manifest.Object{live(1, current), live(2, current, binding("elsewhere"))}, nil, at(2, "its token opens, but it was made for another place")},
		{"without a binding above", []manifest.Object{live(1, current), live(2, current, binding(""))}, nil, at(2, "its token opens, but nothing says that it was made for this place")},
		{"copied below", []manifest.Object{live(1, current, binding("elsewhere")), live(2, current)}, nil, "g2 k-new/now"},
		{"other bytes than were created", []manifest.Object{live(1, garbage, unlabelled)}, records(row(1, ledger.Created, current)), at(1, "it has other bytes than were created")},
		{"a number that somebody burned", []manifest.Object{live(1, current), live(7, garbage, unlabelled)}, nil, "g1 k-new/now"},
		{"somebody else's", []manifest.Object{live(1, garbage, unlabelled)}, nil, ""},
	} {
		view := plan.View{Cluster: "c", Namespace: "ns", Objects: tt.objects, Records: tt.records}
		if got := told(plan.Live(view, secretA, judge, ring{})); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

// numbered gives rows their lines.
func numbered(rows []ledger.Row) []ledger.Row {
	for i := range rows {
		rows[i].Line = i + 2
	}
	return rows
}

func TestRecall(t *testing.T) {
	other := row(1, ledger.Created, current)
	other.EnvKey, other.Secret, other.Namespace = "SECRET_0", "secret-0", "other"
	for _, tt := range []struct {
		name       string
		rows       []ledger.Row
		generation int
		want       string
	}{
		{"nothing", nil, 0, ""},
		{"the newest, in the ledger's order", []ledger.Row{row(1, ledger.Created, changed), row(2, ledger.Created, current), other}, 0, "SECRET_A g2 k-new/now, SECRET_0 g1 k-new/now"},
		{"not what was planned or deleted", []ledger.Row{row(1, ledger.Created, current), row(2, ledger.Planned, changed), row(3, ledger.Deleted, changed)}, 0, "SECRET_A g1 k-new/now"},
		{"two tokens", []ledger.Row{row(2, ledger.Created, previous), row(2, ledger.Created, current), row(1, ledger.Created, changed)}, 0, "SECRET_A g2 k-new/now or k-old/now"},
		{"an older one", []ledger.Row{row(1, ledger.Created, changed), row(2, ledger.Created, current)}, 1, "SECRET_A g1 k-new/before"},
		{"a deleted one", []ledger.Row{row(1, ledger.Deleted, changed), row(2, ledger.Created, current)}, 1, "SECRET_A g1 k-new/before"},
		{"two deleted ones", []ledger.Row{row(1, ledger.Deleted, changed), row(1, ledger.Deleted, current)}, 1, "SECRET_A g1 k-new/before or k-new/now"},
		{"one is there", []ledger.Row{row(1, ledger.Deleted, changed), row(1, ledger.Created, previous), row(1, ledger.Deleted, current)}, 1, "SECRET_A g1 k-old/now"},
		{"one was there first", []ledger.Row{row(1, ledger.Created, changed), row(1, ledger.Deleted, previous)}, 1, "SECRET_A g1 k-new/before"},
		{"planned alone", []ledger.Row{row(1, ledger.Planned, changed)}, 1, ""},
		{"none of that number", []ledger.Row{row(1, ledger.Created, changed)}, 2, ""},
	} {
		var got []string
		for _, r := range plan.Recall(records(numbered(tt.rows)...), tt.generation) {
			text := fmt.Sprintf("%s g%d %s", r.Token.EnvKey, r.Generation, r.Token.Token)
			for _, o := range r.Others {
				text += " or " + o.Token
			}
			got = append(got, text)
		}
		if strings.Join(got, ", ") != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, strings.Join(got, ", "), tt.want)
		}
	}
}

func TestEvident(t *testing.T) {
	named := func(base string, generation int, token string, changes ...func(*manifest.Object)) manifest.Object {
		o := live(generation, token, changes...)
		o.Base, o.Name, o.EnvKey = base, names.Secret(base, generation), strings.ToUpper(base)
		return o
	}
	view := plan.View{Objects: []manifest.Object{
		live(1, current), named("secret-c", 2, previous), named("secret-c", 1, current), named("secret-b", 1, current, unlabelled),
		named("moved", 1, current, binding("elsewhere")), named("bare", 1, current, binding("")), named("other", 1, alien), named("broken", 1, garbage),
	}}
	want := []plan.Wanted{{EnvKey: "SECRET_A", Base: "secret-a"}, {EnvKey: "SECRET-B", Base: "secret-b"}, {EnvKey: "SECRET-C", Base: "secret-c"}}
	if got := plan.Evident(view, secretA, judge); !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	if got := plan.Evident(plan.View{}, secretA, judge); !slices.Equal(got, secretA) {
		t.Errorf("of nothing: %+v", got)
	}
}
