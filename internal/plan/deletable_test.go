// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

func TestDeletable(t *testing.T) {
	all := plan.Overlook{Manifests: true, Mentions: true, History: true}
	for _, tt := range []struct {
		name     string
		gone     bool
		found    plan.Uses
		overlook plan.Overlook
		want     plan.State
	}{
		{name: "nothing refers to it", want: plan.Deleted},
		{name: "a Pod names it", found: plan.Uses{Use: true}, want: plan.InUse},
		{name: "a Pod names it, whatever is overlooked", found: plan.Uses{Use: true, Manifest: true, Mention: true, History: true}, overlook: all, want: plan.InUse},
		{name: "a Pod names it, and more could not be looked at", found: plan.Uses{Use: true, Blind: true}, want: plan.InUse},
		{name: "Pods could not be looked at", found: plan.Uses{Blind: true}, want: plan.Unproven},
		{name: "Pods could not be looked at, whatever is overlooked", found: plan.Uses{Blind: true, History: true}, overlook: all, want: plan.Unproven},
		{name: "a manifest names it", found: plan.Uses{Manifest: true, Mention: true, History: true}, want: plan.InManifest},
		{name: "a manifest names it, and other things are overlooked", found: plan.Uses{Manifest: true}, overlook: plan.Overlook{Mentions: true, History: true}, want: plan.InManifest},
		{name: "a manifest that is overlooked names it", found: plan.Uses{Manifest: true}, overlook: plan.Overlook{Manifests: true}, want: plan.Deleted},
		{name: "a text names it", found: plan.Uses{Mention: true, History: true}, want: plan.Mentioned},
		{name: "a text names it, and other things are overlooked", found: plan.Uses{Mention: true}, overlook: plan.Overlook{Manifests: true, History: true}, want: plan.Mentioned},
		{name: "a text that is overlooked names it", found: plan.Uses{Mention: true}, overlook: plan.Overlook{Mentions: true}, want: plan.Deleted},
		{name: "an older revision names it", found: plan.Uses{History: true}, want: plan.History},
		{name: "an older revision names it, and other things are overlooked", found: plan.Uses{History: true}, overlook: plan.Overlook{Manifests: true, Mentions: true}, want: plan.History},
		{name: "an older revision names it, and rollbacks are given up", found: plan.Uses{History: true}, overlook: plan.Overlook{History: true}, want: plan.Deleted},
		{name: "it is gone already", gone: true, want: plan.Deleted},
		{name: "it is gone, and something names it", gone: true, found: plan.Uses{Use: true, History: true, Blind: true}, want: plan.Deleted},
	} {
		if got := plan.Deletable(plan.Retirement{Gone: tt.gone}, tt.found, tt.overlook); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestPresence(t *testing.T) {
	for _, tt := range []struct {
		name string
		of   plan.Presence
		want bool
	}{
		{"nothing was recorded there", plan.Presence{}, false},
		{"all of it is there", plan.Presence{Asked: true, Found: 2}, false},
		{"none of it is there", plan.Presence{Asked: true}, true},
		{"some could not be looked at, none is there", plan.Presence{Asked: true, Unseen: true}, false},
		{"some could not be looked at, one is there", plan.Presence{Asked: true, Unseen: true, Found: 1}, false},
	} {
		if got := tt.of.Another(); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

func TestStales(t *testing.T) {
	before := []manifest.Object{live(1, current), live(2, changed)} // the .env has the value of generation 1
	for _, tt := range []struct {
		name    string
		objects []manifest.Object
		wanted  []plan.Wanted
		want    string
	}{
		{"not pushed yet", nil, secretA, ""},
		{"the value is current", objects(live(1, changed), live(2, current)), secretA, ""},
		{"the value was replaced", before, secretA, "secret-a-g2"},
		{"the entry is not in the .env", before, nil, ""},
		{"the name was pushed with another spelling", objects(live(1, current, spelled("secret_a")), live(2, changed, spelled("secret_a"))), secretA, ""},
	} {
		got := ""
		for _, d := range plan.Stales(plan.View{Cluster: "c", Namespace: "ns", Objects: tt.objects}, tt.wanted, judge, ring{}) {
			got += d.Row.Secret
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestCopiesIn(t *testing.T) {
	keyring := func(o *manifest.Object) { o.Kind = manifest.KindKeyring }
	for _, tt := range []struct {
		name    string
		object  manifest.Object
		gone    bool
		ignored []string
		want    string
	}{
		{name: "ours", object: live(1, previous), want: "ours"},
		{name: "ours, and it is about to be deleted", object: live(1, previous), gone: true, want: ""},
		{name: "ours, and it was to be ignored", object: live(1, previous), ignored: []string{"ns/secret-a"}, want: "ours spared"},
		{name: "a copy of it", object: live(1, previous, binding("of another")), want: "mirrored"},
		{name: "a copy that is ignored", object: live(1, previous, binding("of another")), ignored: []string{"ns/secret-a"}, want: ""},
		{name: "a copy, and another one is ignored", object: live(1, previous, binding("of another")), ignored: []string{"other/secret-a"}, want: "mirrored"},
		{name: "the key does not open it", object: live(1, garbage), want: "foreign"},
		{name: "the key does not open it, and it is ignored", object: live(1, garbage), ignored: []string{"ns/secret-a"}, want: "foreign"},
		{name: "a keyring", object: live(1, "", keyring), want: "keyring"},
		{name: "a keyring that is about to be deleted", object: live(1, "", keyring), gone: true, want: ""},
	} {
		c := plan.CopiesIn(objects(tt.object), "k-old", judge, func(manifest.Object) bool { return tt.gone }, tt.ignored)
		var got []string
		for _, is := range []struct {
			word string
			so   bool
		}{{"ours", len(c.Ours) > 0}, {"spared", len(c.Spared) > 0}, {"mirrored", len(c.Mirrored) > 0}, {"foreign", len(c.Foreign) > 0}, {"keyring", c.Keyrings}} {
			if is.so {
				got = append(got, is.word)
			}
		}
		if text := strings.Join(got, " "); text != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, text, tt.want)
		}
	}
}

func TestWayOf(t *testing.T) {
	elsewhere := func(o *manifest.Object) { o.Namespace = "other" }
	for _, tt := range []struct {
		name     string
		ours     []manifest.Object
		recorded bool
		want     plan.Way
		of       string
	}{
		{"nothing", nil, true, plan.NoWay, ""},
		{"here, and in the ledger", objects(live(1, previous)), true, plan.NoWay, ""},
		{"here, and not in the ledger", objects(live(1, previous)), false, plan.RotateByOwner, "secret-a"},
		{"in another namespace", objects(live(2, previous, elsewhere)), true, plan.RotateThere, "secret-a-g2"},
		{"in another namespace, and not in the ledger", objects(live(1, previous, elsewhere)), false, plan.RotateThere, "secret-a"},
		{"one here, one in another namespace", objects(live(1, previous), live(2, previous, elsewhere)), true, plan.RotateThere, "secret-a-g2"},
	} {
		o, way := plan.WayOf(tt.ours, []string{"ns"}, func(manifest.Object) bool { return tt.recorded })
		if way != tt.want || o.Name != tt.of {
			t.Errorf("%s: %d of %q, want %d of %q", tt.name, way, o.Name, tt.want, tt.of)
		}
	}
}
