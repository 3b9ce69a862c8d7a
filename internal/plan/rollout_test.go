// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// Generations are written OLDER->NAME, then the change of keys or of the value,
// and last the current names.
func writtenGenerations(g plan.Generations) string {
	var out []string
	for _, older := range slices.Sorted(maps.Keys(g.Known)) {
		s, _ := g.Older(older)
		text := older + "->" + s.Name
		if s.OldKey != s.NewKey {
			text += " " + s.OldKey + "->" + s.NewKey
		}
		if !s.SameValue {
			text += " differs"
		}
		out = append(out, text)
	}
	return strings.Join(append(out, slices.Sorted(maps.Keys(g.Current))...), ", ")
}

func TestSuccessors(t *testing.T) {
	for _, tt := range []struct {
		name    string
		objects []manifest.Object
		records []ledger.Record
		want    string
	}{
		{"nothing there", nil, nil, ""},
		{"one generation", []manifest.Object{live(1, current)}, nil, "secret-a"},
		{"rotated", []manifest.Object{live(1, previous), live(2, current)}, nil, "secret-a->secret-a-g2 k-old->k-new, secret-a-g2"},
		{"updated", []manifest.Object{live(1, changed), live(2, current)}, nil, "secret-a->secret-a-g2 differs, secret-a-g2"},
		{"all older ones", []manifest.Object{live(1, "k-old/before"), live(2, previous), live(5, current)}, nil,
			"secret-a->secret-a-g5 k-old->k-new differs, secret-a-g2->secret-a-g5 k-old->k-new, secret-a-g5"},
		{"an older one is gone, the ledger knows its bytes", []manifest.Object{live(2, current)}, records(row(1, ledger.Created, previous)), "secret-a->secret-a-g2 k-old->k-new, secret-a-g2"},
		{"an older one was retired", []manifest.Object{live(2, current)}, records(row(1, ledger.Deleted, previous)), "secret-a->secret-a-g2 k-old->k-new, secret-a-g2"},
		{"an older one was planned only", []manifest.Object{live(2, current)}, records(row(1, ledger.Planned, previous)), "secret-a-g2"},
		{"an older one opens with no key", []manifest.Object{live(1, "k-lost/x"), live(2, current)}, records(row(1, ledger.Created, "k-lost/x")), "secret-a->secret-a-g2 ->k-new differs, secret-a-g2"},
		{"a newer generation is misplaced", []manifest.Object{live(1, previous), live(2, current), live(9, current, binding("of another"))}, nil, "secret-a->secret-a-g2 k-old->k-new, secret-a-g2"},
		{"an older generation is misplaced", []manifest.Object{live(1, previous, binding("of another")), live(2, current)}, nil, "secret-a-g2"},
		{"a newer generation is foreign", []manifest.Object{live(1, current), live(3, garbage, unlabelled)}, nil, "secret-a"},
		{"the current one is being deleted", []manifest.Object{live(1, previous), live(2, current, deleting)}, nil, ""},
		{"the current one opens with no key", []manifest.Object{live(1, current), live(2, alien)}, records(row(2, ledger.Created, alien)), ""},
		{"another base name", []manifest.Object{live(1, previous), live(2, current, func(o *manifest.Object) { o.Name, o.Base = "secret-b-g2", "secret-b" })}, nil, "secret-a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			view := plan.View{Cluster: "c", Namespace: "ns", Objects: tt.objects, Records: tt.records}
			got := plan.Successors(view, secretA, judge, ring{}, sameValue)
			if text := writtenGenerations(got); text != tt.want {
				t.Errorf("got  %s\nwant %s", text, tt.want)
			}
		})
	}
}

// uses makes a Deployment that refers to Secrets, one volume each.
func uses(secrets ...string) workload.Workload {
	w := workload.Workload{Kind: workload.Deployment, Namespace: "ns", Name: "web"}
	for _, name := range secrets {
		source := corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name}}
		w.Template.Spec.Volumes = append(w.Template.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: source})
	}
	return w
}

func TestRepoint(t *testing.T) {
	generations := plan.Generations{
		Known: map[string]plan.Successor{
			"a":    {Name: "a-g2", SameValue: true, OldKey: "k-old", NewKey: "k-new"},
			"b":    {Name: "b-g2", OldKey: "k-old", NewKey: "k-new"},
			"same": {Name: "same-g2", OldKey: "k-new", NewKey: "k-new"},
			"lost": {Name: "lost-g2", NewKey: "k-new"},
		},
		Current:  map[string]bool{"a-g2": true, "b-g2": true},
		Keyrings: map[string][]string{},
	}
	generations.AddKeyring("key", "key-g2", []string{"k-new", "k-old"})
	generations.AddKeyring("key-g2", "key-g2", []string{"k-new", "k-old"})
	generations.AddKeyring("stale", "stale", []string{"k-old"})
	for _, tt := range []struct {
		name             string
		refs, appsHold   string
		update           bool
		rename           string // what follows what, in the order of the names
		changed, lacking string
		current          bool
	}{
		{name: "nothing of ours", refs: "other"},
		{name: "current already", refs: "a-g2", current: true},
		{name: "its keyring alone", refs: "key", rename: "key->key-g2"},
		{name: "the newest keyring", refs: "key-g2", current: true},
		{name: "nobody says that it holds the key", refs: "a", rename: "a->a-g2", lacking: "k-new"},
		{name: "the operator says so", refs: "a", appsHold: "k-new", rename: "a->a-g2"},
		{name: "the operator says so of another key", refs: "a", appsHold: "k-old", rename: "a->a-g2", lacking: "k-new"},
		{name: "its keyring goes with it", refs: "a key", rename: "a->a-g2 key->key-g2"},
		{name: "its keyring is the newest already", refs: "a key-g2", rename: "a->a-g2", current: true},
		{name: "its keyring lacks the key", refs: "a stale", rename: "a->a-g2", lacking: "k-new", current: true},
		{name: "another value", refs: "b", changed: "b"},
		{name: "another value, named twice", refs: "b b", changed: "b"},
		{name: "another value follows", refs: "b", update: true, rename: "b->b-g2", lacking: "k-new"},
		{name: "another value under the same key", refs: "same", update: true, rename: "same->same-g2"},
		{name: "the old token opened with no key", refs: "lost", update: true, rename: "lost->lost-g2", lacking: "k-new"},
		{name: "one stays, one goes", refs: "b a key other", rename: "a->a-g2 key->key-g2", changed: "b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := plan.Repoint(uses(strings.Fields(tt.refs)...), generations, tt.appsHold, tt.update)
			var renamed []string
			for _, from := range slices.Sorted(maps.Keys(got.Rename)) {
				renamed = append(renamed, from+"->"+got.Rename[from])
			}
			gotText := fmt.Sprint(renamed, got.Changed, got.Lacking, got.Current)
			wantText := fmt.Sprint(strings.Fields(tt.rename), strings.Fields(tt.changed), strings.Fields(tt.lacking), tt.current)
			if gotText != wantText || got.Workload.Name != "web" {
				t.Errorf("got  %s\nwant %s", gotText, wantText)
			}
		})
	}
}
