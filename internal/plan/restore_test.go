// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// A decision is written OUTCOME NAME, and "complete" where a created row is missing.
func TestRestore(t *testing.T) {
	one, two := row(1, ledger.Created, previous), row(2, ledger.Created, current)
	for _, tt := range []struct {
		name    string
		cluster string
		objects []manifest.Object
		records []ledger.Record
		want    string // with the key
		keyless string // without, where that differs
	}{
		{name: "nothing recorded"},
		{name: "gone", records: records(one, two), want: "created secret-a, created secret-a-g2"},
		{name: "there", objects: []manifest.Object{live(1, previous)}, records: records(one), want: "unchanged secret-a"},
		{name: "there under another uid", objects: []manifest.Object{live(1, previous, func(o *manifest.Object) { o.UID = "uid-9" })}, records: records(one), want: "unchanged secret-a complete"},
		{name: "there, and to another cluster", cluster: "d", objects: []manifest.Object{live(1, previous)}, records: records(one), want: "unchanged secret-a complete"},
		{name: "other bytes are there", objects: []manifest.Object{live(1, current)}, records: records(one), want: "foreign secret-a"},
		{name: "being deleted", objects: []manifest.Object{live(1, previous, deleting)}, records: records(one), want: "failed secret-a"},
		{name: "no key opens it", records: records(row(1, ledger.Created, alien)), want: "unproven secret-a", keyless: "created secret-a"},
		{name: "no key opens it, and it is there", objects: []manifest.Object{live(1, alien, func(o *manifest.Object) { o.UID = "uid-9" })}, records: records(row(1, ledger.Created, alien)), want: "unchanged secret-a"},
		{name: "made for another place", records: records(withBinding(one, "of another")), want: "unproven secret-a", keyless: "created secret-a"},
		{name: "its row has no binding", records: records(withBinding(one, "")), want: "unproven secret-a", keyless: "created secret-a"},
		{name: "a hint", records: hints(one), want: "unproven secret-a", keyless: "created secret-a"},
		{name: "a hint of what is there", objects: []manifest.Object{live(1, previous)}, records: hints(one)},
		{name: "a hint of an older generation is history", records: slices.Concat(records(two), hints(one)), want: "created secret-a-g2"},
		{name: "a hint of a newer generation", records: slices.Concat(records(one), hints(two)), want: "created secret-a, unproven secret-a-g2", keyless: "created secret-a, created secret-a-g2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cluster := tt.cluster
			if cluster == "" {
				cluster = "c"
			}
			for _, judge := range []token.Judge{judge, nil} {
				want := tt.want
				if judge == nil && tt.keyless != "" {
					want = tt.keyless
				}
				var out []string
				for _, d := range plan.Restore(tt.records, cluster, tt.objects, judge) {
					text := string(d.Outcome) + " " + d.Row.Secret
					if d.Complete && judge != nil {
						text += " complete"
					}
					out = append(out, text)
					if d.Row.Cluster != cluster || d.Row.Operation != ledger.Restore || (d.Reason == "") != (d.Outcome == plan.Created || d.Outcome == plan.Unchanged) {
						t.Errorf("%+v", d)
					}
				}
				got := strings.Join(out, ", ")
				if judge == nil {
					want = strings.ReplaceAll(want, " complete", "")
				}
				if got != want {
					t.Errorf("key %v: got %q, want %q", judge != nil, got, want)
				}
			}
		})
	}
}

// What is there, proven ours and not recorded gets its row, in any generation; what
// was retired and put back does not.
func TestConfirm(t *testing.T) {
	pastOf := func(rows ...ledger.Row) *ledger.Past {
		b := ledger.NewBook(ledger.Keys{})
		for _, r := range rows {
			b.Add(r)
		}
		_, past := b.At("c", "ns")
		return past
	}
	for _, tt := range []struct {
		name    string
		objects []manifest.Object
		records []ledger.Record
		past    *ledger.Past
		want    string // OPERATION NAME since N, of each row
	}{
		{name: "nothing there", records: records(row(1, ledger.Created, current))},
		{name: "recorded", objects: []manifest.Object{live(1, current)}, records: records(row(1, ledger.Created, current))},
		{name: "not recorded", objects: []manifest.Object{live(2, current), live(1, previous)}, want: "learn secret-a since 1, learn secret-a-g2 since 2"},
		{name: "only a hint has it", objects: []manifest.Object{live(1, current)}, records: hints(row(1, ledger.Created, current)), want: "learn secret-a since 1"},
		{name: "planned, and killed before its created row", objects: []manifest.Object{live(1, previous), live(2, current)},
			records: records(row(1, ledger.Created, previous), sinceOne(rotated(2, ledger.Planned, current))), want: "rotate secret-a-g2 since 1"},
		{name: "planned, and the annotation removed", objects: []manifest.Object{live(1, current, binding(""))}, records: records(row(1, ledger.Planned, current)), want: "push secret-a since 1"},
		{name: "failed, and it landed", objects: []manifest.Object{live(1, current)}, records: records(row(1, ledger.Failed, current)), want: "push secret-a since 1"},
		{name: "planned with other bytes", objects: []manifest.Object{live(1, current)}, records: records(row(1, ledger.Planned, changed)), want: "learn secret-a since 1"},
		{name: "retired, and put back", objects: []manifest.Object{live(1, previous, func(o *manifest.Object) { o.UID = "uid-again" }), live(2, current)},
			records: records(row(2, ledger.Created, current)), past: pastOf(row(1, ledger.Deleted, previous))},
		{name: "retired, kept for its value, and put back", objects: []manifest.Object{live(1, previous), live(2, current)},
			records: records(row(1, ledger.Deleted, previous), row(2, ledger.Created, current))},
		{name: "misplaced", objects: []manifest.Object{live(1, current, binding("of another"))}},
		{name: "no proof: no annotation and no row", objects: []manifest.Object{live(1, current, binding(""))}},
		{name: "no key opens it", objects: []manifest.Object{live(1, alien)}},
		{name: "being deleted", objects: []manifest.Object{live(1, current, deleting)}},
		{name: "another base name", objects: []manifest.Object{live(1, current, func(o *manifest.Object) { o.Name, o.Base = "secret-b", "secret-b" })}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			view := plan.NewView("c", "ns", tt.records, tt.past, tt.objects, nil)
			var out []string
			for _, r := range plan.Confirm(view, secretA, judge, ring{}) {
				out = append(out, string(r.Operation)+" "+r.Secret+" since "+digit(r.Since))
				if r.State != ledger.Created || r.UID == "" || r.Binding != "holds" || r.KeyID != keyOf(r.Token) {
					t.Errorf("row %+v", r)
				}
			}
			if got := strings.Join(out, ", "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// A kustomize transformer puts something around a name; a copier takes another name.
func TestRenamed(t *testing.T) {
	for _, tt := range []struct {
		name, claimed, binding string
		token                  string
		want                   bool
	}{
		{"dev-secret-a", "secret-a", "of secret-a", current, true},
		{"secret-a-dev", "secret-a", "of secret-a", current, true},
		{"dev-secret-a-g2", "secret-a-g2", "of secret-a-g2", current, true},
		{"secret-a-g3", "secret-a", "of secret-a", current, false}, // another generation of it
		{"secret-a", "secret-a", "of secret-a", current, false},
		{"secret-b", "secret-a", "of secret-a", current, false},
		{"dev-secret-a", "", "of secret-a", current, false},
		{"dev-secret-a", "secret-a", "of another", current, false},
		{"dev-secret-a", "secret-a", "", current, false},
		{"dev-secret-a", "secret-a", "of secret-a", alien, false},
	} {
		base, generation := names.Split(tt.name)
		o := live(1, tt.token, func(o *manifest.Object) {
			o.Name, o.Base, o.Generation, o.Claimed, o.Binding = tt.name, base, generation, tt.claimed, tt.binding
		})
		if got := plan.Renamed(o, judge); got != tt.want {
			t.Errorf("%s, made as %q: %v", tt.name, tt.claimed, got)
		}
	}
}

func TestOldestFirst(t *testing.T) {
	item := func(namespace, base string, generation int) manifest.Object {
		return manifest.Object{Namespace: namespace, Base: base, Generation: generation, Name: names.Secret(base, generation)}
	}
	items := []manifest.Object{item("x", "a", 3), item("x", "b", 9), item("y", "a", 1), item("x", "a", 1), item("x", "a", 2)}
	var got []string
	for _, step := range plan.OldestFirst(items, func(o manifest.Object) manifest.Object { return o }) {
		var names []string
		for _, o := range step {
			names = append(names, o.Namespace+"/"+o.Name)
		}
		slices.Sort(names)
		got = append(got, strings.Join(names, " "))
	}
	if want := []string{"x/a x/b-g9 y/a", "x/a-g2", "x/a-g3"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if items[0].Generation != 3 {
		t.Error("the items were sorted in place")
	}
}

// since is never a range: only the very numbers say that values are the same.
func TestSameSince(t *testing.T) {
	for _, tt := range []struct {
		since, generation, otherSince, otherGeneration int
		want                                           bool
	}{
		{1, 1, 1, 2, true}, // rotated
		{1, 2, 1, 5, true}, // both from the first
		{2, 5, 2, 2, true}, // the other is the very one
		{2, 2, 2, 5, true}, // and the other way round
		{2, 5, 1, 2, true}, // the other is the very one, and had it from the first
		{1, 2, 2, 5, true},
		{1, 1, 2, 2, false}, // updated
		{1, 3, 2, 2, false}, // what came between may be another value
		{1, 4, 3, 3, false},
	} {
		if got := plan.SameSince(tt.since, tt.generation, tt.otherSince, tt.otherGeneration); got != tt.want {
			t.Errorf("since %d of %d, and since %d of %d: %v", tt.since, tt.generation, tt.otherSince, tt.otherGeneration, got)
		}
	}
}

// What a ledger gave is held to what is there: newer, or perhaps newer, is said.
func TestNewer(t *testing.T) {
	recalled := func(generation int, text string) plan.Recalled {
		return plan.Recalled{Cluster: "c", Generation: generation, Token: token.Token{Secret: names.Secret("secret-a", generation), EnvKey: "SECRET_A", Token: text}}
	}
	unknown := func(generation int, gone bool) []plan.Unknown {
		return []plan.Unknown{{Token: token.Token{EnvKey: "SECRET_A"}, Generation: generation, Gone: gone, Reason: "why"}}
	}
	for _, tt := range []struct {
		name     string
		recorded []plan.Recalled
		live     []plan.Recalled
		unknown  []plan.Unknown
		want     int
	}{
		{"the same", []plan.Recalled{recalled(2, current)}, []plan.Recalled{recalled(2, current)}, nil, 0},
		{"a newer generation", []plan.Recalled{recalled(1, changed)}, []plan.Recalled{recalled(2, current)}, nil, 1},
		{"a newer generation of the same value", []plan.Recalled{recalled(1, previous)}, []plan.Recalled{recalled(2, current)}, nil, 0},
		{"an older generation: the newer one is gone", []plan.Recalled{recalled(2, current)}, []plan.Recalled{recalled(1, changed)}, nil, 0},
		{"other bytes under one name", []plan.Recalled{recalled(2, changed)}, []plan.Recalled{recalled(2, current)}, nil, 1},
		{"nothing recorded", nil, []plan.Recalled{recalled(1, current)}, nil, 1},
		{"a newer one that does not tell", []plan.Recalled{recalled(1, current)}, nil, unknown(2, false), 1},
		{"the recorded one does not tell", []plan.Recalled{recalled(2, current)}, nil, unknown(2, false), 1},
		{"the recorded one is gone", []plan.Recalled{recalled(2, current)}, nil, unknown(2, true), 0},
		{"an older one does not tell", []plan.Recalled{recalled(2, current)}, nil, unknown(1, false), 0},
		{"nothing recorded, and it does not tell", nil, nil, unknown(1, false), 1},
	} {
		if got := plan.Newer(tt.recorded, tt.live, tt.unknown, sameValue); len(got) != tt.want {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}
