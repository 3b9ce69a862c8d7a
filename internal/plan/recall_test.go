// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// liveCases are what is known of the current value of one entry: its token, or why it
// is not known.
var liveCases = []situation{
	{name: "nothing"},
	{name: "planned, and never there", records: records(row(1, ledger.Planned, current))},
	{name: "failed, deleted", records: records(row(1, ledger.Deleted, current), row(2, ledger.Failed, current))},
	{name: "ours by row", objects: objects(live(1, current)), records: records(row(1, ledger.Created, current)), want: "secret-a k-new/now"},
	{name: "ours by binding", objects: objects(live(1, current)), want: "secret-a k-new/now"},
	{name: "ours by the binding of its row", objects: objects(live(1, current, binding(""))), records: records(row(1, ledger.Planned, current)), want: "secret-a k-new/now"},
	{name: "the newest", objects: objects(live(1, changed), live(3, previous)), want: "secret-a-g3 k-old/now"},
	{name: "under the next key", objects: objects(live(1, staged)), want: "secret-a k-next/now"},
	{name: "an older one is gone", objects: objects(live(2, current)), records: records(row(1, ledger.Created, changed)), want: "secret-a-g2 k-new/now"},
	{name: "the newest is gone", objects: objects(live(1, changed)), records: records(row(1, ledger.Created, changed), row(2, ledger.Created, current)), want: "secret-a-g2 gone: it was created, and is gone"},
	{name: "all is gone", records: records(row(1, ledger.Created, current)), want: "secret-a gone: it was created, and is gone"},
	{name: "the newest was deleted by us", objects: objects(live(1, changed)), records: records(row(2, ledger.Deleted, current)), want: "secret-a k-new/before"},
	{name: "the newest is being deleted", objects: objects(live(1, changed), live(2, current, deleting)), want: "secret-a-g2 k-new/now"},
	{name: "a plan above", objects: objects(live(1, changed)), records: records(row(2, ledger.Planned, current)), want: "secret-a k-new/before"},
	{name: "a hint above", objects: objects(live(1, changed)), records: hints(row(2, ledger.Created, current)), want: "secret-a k-new/before"},
	{name: "recorded, under a key that we lack", objects: objects(live(1, alien)), records: records(row(1, ledger.Created, alien)), want: "secret-a: it is under key k-lost, which this keyring lacks"},
	{name: "not recorded, under a key that we lack", objects: objects(live(1, current), live(2, alien)), want: "secret-a-g2: it is under key k-lost, which this keyring lacks"},
	{name: "under a key that was dropped: an older one that turned up again", objects: objects(live(1, current), live(2, alien)), past: list(row(3, ledger.Deleted, alien)), want: "secret-a k-new/now"},
	{name: "cut, under a key that we have, of which something was deleted", objects: objects(live(1, current), live(2, garbage)), past: list(row(3, ledger.Deleted, changed)), want: "secret-a-g2: no key of this keyring opens its token"},
	{name: "recorded, opens with no key", objects: objects(live(1, garbage)), records: records(row(1, ledger.Created, garbage)), want: "secret-a: no key of this keyring opens its token"},
	{name: "labelled, opens with no key", objects: objects(live(1, current), live(2, garbage)), want: "secret-a-g2: no key of this keyring opens its token"},
	{name: "labelled, its key label removed, opens with no key", objects: objects(live(1, current), live(2, garbage, keyID(""))), want: "secret-a-g2: no key of this keyring opens its token"},
	{name: "a key label that we lack on somebody else's", objects: objects(live(1, current), live(2, alien, unmanaged)), want: "secret-a k-new/now"},
	{name: "a key label that was dropped, on other bytes than were created", objects: objects(live(1, changed), live(2, alien, unmanaged)), records: records(row(2, ledger.Created, current)), past: list(row(3, ledger.Deleted, alien)), want: "secret-a-g2: it has other bytes than were created"},
	{name: "copied above", objects: objects(live(1, current), live(2, current, binding("elsewhere"))), want: "secret-a-g2: its token opens, but it was made for another place"},
	{name: "without a binding above", objects: objects(live(1, current), live(2, current, binding(""))), want: "secret-a-g2: its token opens, but nothing says that it was made for this place"},
	{name: "renamed by kustomize", objects: objects(live(1, current, renamed)), want: "secret-a: as kustomize"},
	{name: "copied below", objects: objects(live(1, current, binding("elsewhere")), live(2, current)), want: "secret-a-g2 k-new/now"},
	{name: "other bytes than were created", objects: objects(live(1, garbage, unlabelled)), records: records(row(1, ledger.Created, current)), want: "secret-a: it has other bytes than were created"},
	{name: "a number that somebody burned", objects: objects(live(1, current), live(7, garbage, unlabelled)), want: "secret-a k-new/now"},
	{name: "somebody else's", objects: objects(live(1, garbage, unlabelled))},
	{name: "two entries", entries: both, objects: objects(live(1, current), of("b", live(1, garbage))), want: "secret-a k-new/now | secret-b: no key of this keyring opens its token"},
}

func unmanaged(o *manifest.Object) { o.Managed = false }

func TestLive(t *testing.T) {
	for _, tc := range liveCases {
		t.Run(tc.name, func(t *testing.T) {
			all, unknown := plan.Live(tc.view(), tc.wanted(), judge, ring{})
			agree(t, append(recalled(t, all), untold(t, unknown)...), tc.want)
		})
	}
}

// What the ledger has is in its order, what it has not comes last.
func TestLiveInTheLedgersOrder(t *testing.T) {
	tc := situation{entries: both, objects: objects(live(1, current), of("b", live(1, current)), of("b", live(2, previous))), records: records(numbered(rowOf("c", old), rowOf("b", row(1, ledger.Created, current)), rowOf("b", row(2, ledger.Created, previous)))...)}
	all, _ := plan.Live(tc.view(), tc.wanted(), judge, ring{})
	plan.InOrder(all)
	agree(t, recalled(t, all), "secret-b-g2 k-old/now | secret-a k-new/now")
	if all[0].Order != 3 || all[1].Order != 0 {
		t.Errorf("orders %d and %d", all[0].Order, all[1].Order)
	}
}

// untold writes SECRET TOKEN of what is known, and why the rest is not.
func untold(t *testing.T, all []plan.Unknown) (texts []string) {
	t.Helper()
	for _, u := range all {
		text := u.Token.Secret
		if base, generation := names.Split(text); u.Token.Namespace != "ns" || u.Token.EnvKey != entryOf(base) || u.Generation != generation {
			t.Errorf("the place of %+v", u)
		}
		if u.Token.Token != "" {
			text += " " + u.Token.Token
		}
		if u.Gone {
			text += " gone"
		}
		if u.Reason != "" {
			text += ": " + u.Reason
		}
		texts = append(texts, text)
	}
	return texts
}

// recalled writes SECRET TOKEN, and what else its name may have.
func recalled(t *testing.T, all []plan.Recalled) (texts []string) {
	t.Helper()
	for _, r := range all {
		if _, generation := names.Split(r.Token.Secret); r.Cluster != "c" || r.Token.Namespace != "ns" || r.Token.EnvKey != entryOf(r.Token.Secret) || r.Generation != generation {
			t.Errorf("the place of %+v", r)
		}
		text := r.Token.Secret + " " + r.Token.Token
		for _, o := range r.Others {
			text += " or " + o.Token
		}
		texts = append(texts, text)
	}
	return texts
}

// numbered gives rows their lines.
func numbered(rows ...ledger.Row) []ledger.Row {
	for i := range rows {
		rows[i].Line = i + 2
	}
	return rows
}

func TestRecall(t *testing.T) {
	two := row(2, ledger.Created, current)
	for _, tt := range []struct {
		situation
		generation int
	}{
		{situation{name: "nothing"}, 0},
		{situation{name: "the newest", records: records(row(1, ledger.Created, changed), two), want: "secret-a-g2 k-new/now"}, 0},
		{situation{name: "the newest, though the tenth sorts before the second", records: records(row(2, ledger.Created, changed), row(10, ledger.Created, current)), want: "secret-a-g10 k-new/now"}, 0},
		{situation{name: "in the ledger's order", records: records(numbered(rowOf("c", two), rowOf("a", two), rowOf("d", two), rowOf("b", two))...), want: "secret-c-g2 k-new/now | secret-a-g2 k-new/now | secret-d-g2 k-new/now | secret-b-g2 k-new/now"}, 0},
		{situation{name: "not what was planned or deleted", records: records(row(1, ledger.Created, current), row(2, ledger.Planned, changed), row(3, ledger.Deleted, changed)), want: "secret-a k-new/now"}, 0},
		{situation{name: "a hint is nothing", records: hints(two)}, 0},
		{situation{name: "two tokens", records: records(row(2, ledger.Created, previous), two, row(1, ledger.Created, changed)), want: "secret-a-g2 k-new/now or k-old/now"}, 0},
		{situation{name: "an older one", records: records(row(1, ledger.Created, changed), two), want: "secret-a k-new/before"}, 1},
		{situation{name: "a deleted one", records: records(row(1, ledger.Deleted, changed), two), want: "secret-a k-new/before"}, 1},
		{situation{name: "two deleted ones", records: records(row(1, ledger.Deleted, changed), row(1, ledger.Deleted, current)), want: "secret-a k-new/before or k-new/now"}, 1},
		{situation{name: "one is there", records: records(row(1, ledger.Deleted, changed), row(1, ledger.Created, previous), row(1, ledger.Deleted, current)), want: "secret-a k-old/now"}, 1},
		{situation{name: "one was there first", records: records(row(1, ledger.Created, changed), row(1, ledger.Deleted, previous)), want: "secret-a k-new/before"}, 1},
		{situation{name: "planned alone", records: records(row(1, ledger.Planned, changed))}, 1},
		{situation{name: "a hint of that number is nothing", records: hints(row(1, ledger.Created, changed))}, 1},
		{situation{name: "none of that number", records: records(row(1, ledger.Created, changed))}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			agree(t, recalled(t, plan.Recall(tt.records, tt.generation)), tt.want)
		})
	}
}

// Entries are in the ledger's order, the first line of a name counting for all its
// places; what the ledger has not comes last, by name.
func TestInOrder(t *testing.T) {
	entry := func(envKey string, order int, cluster, namespace string) plan.Recalled {
		return plan.Recalled{Cluster: cluster, Order: order, Token: token.Token{Namespace: namespace, EnvKey: envKey}}
	}
	all := []plan.Recalled{
		entry("X", 0, "c", "ns"), entry("B", 5, "c", "ns"), entry("A", 7, "c", "ns"), entry("C", 9, "d", "ns"), entry("W", 0, "c", "ns"),
		entry("C", 3, "c", "z"), entry("C", 8, "c", "a"), entry("B", 0, "c", "a"), entry("A", 0, "a", "ns"),
	}
	plan.InOrder(all)
	var got []string
	for _, r := range all {
		got = append(got, fmt.Sprintf("%s %s/%s", r.Token.EnvKey, r.Cluster, r.Token.Namespace))
	}
	agree(t, got, "C c/a | C c/z | C d/ns | B c/a | B c/ns | A a/ns | A c/ns | W c/ns | X c/ns")
}

// newerCases are what the ledger gave of an entry, and what is there that is newer or
// may be.
var newerCases = []struct {
	situation
	recorded []ledger.Record // that the ledger gave
}{
	{situation{name: "nothing"}, nil},
	{situation{name: "the same", objects: objects(live(2, current))}, records(row(2, ledger.Created, current))},
	{situation{name: "a newer generation", objects: objects(live(2, current)), want: "secret-a-g2 k-new/now"}, records(row(1, ledger.Created, changed))},
	{situation{name: "a newer generation of the same value", objects: objects(live(2, current))}, records(row(1, ledger.Created, previous))},
	{situation{name: "an older generation: the newer one is gone", objects: objects(live(1, changed))}, records(row(2, ledger.Created, current))},
	{situation{name: "other bytes under one name", objects: objects(live(2, current)), want: "secret-a-g2 k-new/now"}, records(row(2, ledger.Created, changed))},
	{situation{name: "nothing recorded", objects: objects(live(1, current)), want: "secret-a k-new/now"}, nil},
	{situation{name: "another entry recorded", objects: objects(live(1, current)), want: "secret-a k-new/now"}, records(rowOf("b", row(1, ledger.Created, current)))},
	{situation{name: "a newer one that does not tell", objects: objects(live(2, alien)), want: "secret-a-g2: it is under key k-lost"}, records(row(1, ledger.Created, current))},
	{situation{name: "the recorded one does not tell", objects: objects(live(2, garbage)), want: "secret-a-g2: no key of this keyring opens its token"}, records(row(2, ledger.Created, current))},
	{situation{name: "the recorded one is gone", records: records(row(2, ledger.Created, current))}, records(row(2, ledger.Created, current))},
	{situation{name: "a newer one is gone", records: records(row(3, ledger.Created, current))}, records(row(2, ledger.Created, current))},
	{situation{name: "an older one does not tell", objects: objects(live(1, garbage))}, records(row(2, ledger.Created, current))},
	{situation{name: "nothing recorded, and it does not tell", objects: objects(live(1, garbage)), want: "secret-a: no key of this keyring opens its token"}, nil},
	{situation{name: "one of each", entries: both, objects: objects(live(1, garbage), of("b", live(1, current))), want: "secret-b k-new/now | secret-a: no key of this keyring opens its token"}, nil},
}

func TestNewer(t *testing.T) {
	for _, tc := range newerCases {
		t.Run(tc.name, func(t *testing.T) {
			all, unknown := plan.Live(tc.view(), tc.wanted(), judge, ring{})
			agree(t, untold(t, plan.Newer(plan.Recall(tc.recorded, 0), all, unknown, sameValue)), tc.want)
		})
	}
}

// evidentCases are the entries that are ours, once a key has opened what is there.
var evidentCases = []situation{
	{name: "nothing there", want: "SECRET_A secret-a"},
	{name: "known already", objects: objects(live(1, current)), want: "SECRET_A secret-a"},
	{name: "ours in its place, several generations of it", objects: objects(of("c", live(2, previous)), of("c", live(1, current))), want: "SECRET_A secret-a | SECRET_C secret-c"},
	{name: "ours without a label, sorted", objects: objects(of("c", live(1, current)), of("b", live(1, current, unlabelled))), want: "SECRET_A secret-a | SECRET_B secret-b | SECRET_C secret-c"},
	{name: "moved", objects: objects(of("b", live(1, current, binding("elsewhere")))), want: "SECRET_A secret-a"},
	{name: "without a binding", objects: objects(of("b", live(1, current, binding("")))), want: "SECRET_A secret-a"},
	{name: "under a key that we lack", objects: objects(of("b", live(1, alien))), want: "SECRET_A secret-a"},
	{name: "opens with no key", objects: objects(of("b", live(1, garbage))), want: "SECRET_A secret-a"},
	{name: "no entry is known before", entries: none, objects: objects(live(1, current)), want: "SECRET_A secret-a"},
}

func TestEvident(t *testing.T) {
	for _, tc := range evidentCases {
		t.Run(tc.name, func(t *testing.T) {
			agree(t, listed(plan.Evident(tc.view(), tc.wanted(), judge)), tc.want)
		})
	}
}
