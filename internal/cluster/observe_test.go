// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

// observe compares what Observe gives with the live Secrets of these names.
func (l lab) observe(t *testing.T, in manifest.Interest, listed bool, want ...string) {
	t.Helper()
	sight, err := l.client.Observe(t.Context(), l.namespace, in)
	if err != nil || sight.Listed != listed {
		t.Errorf("listed %v, error %v; want listed %v", sight.Listed, err, listed)
	}
	live := l.live(t)
	var got []string
	for _, o := range sight.Objects {
		got = append(got, o.Name)
		if s := live[o.Name]; o != manifest.FromSecret(&s) {
			t.Errorf("%s: got %+v, live is %+v", o.Name, o, manifest.FromSecret(&s))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("observed %q\nwant %q", got, want)
	}
}

func TestObserveGivesWhatMatters(t *testing.T) {
	l := newLab(t)
	l.ours(t, nil, "secret-a", "secret-a-g2", "recorded-g3", "of-another-project")
	l.ours(t, unlabelled, "secret-b", "secret-a-g7", "unrelated")
	l.ours(t, func(s *corev1.Secret) {
		s.Labels = map[string]string{manifest.LabelManagedBy: "Helm"}
		s.Data["second"] = []byte("x")
	}, "secret-c")
	in := manifest.Interest{
		Bases: map[string]int{"secret-a": 1, "secret-b": 1, "secret-c": 1, "secret-d": 1},
		Names: map[string]bool{"recorded-g3": true},
	}
	l.observe(t, in, true, "secret-a", "secret-a-g2", "secret-a-g7", "recorded-g3", "secret-b", "secret-c")
	got, want := namesIn(l.proxy.Requests(), "GET"), []string{"secret-a-g7", "secret-b", "secret-c", "secrets", "secrets"}
	if !slices.Equal(got, want) {
		t.Errorf("requests for %q, want two LISTs and a GET of each that has no label of ours: %q", got, want)
	}
}

// 1,100 Secrets of ours come in three pages, and 600 others, of which only the
// names come, in two.
func TestObserveListsByPages(t *testing.T) {
	l := newLab(t)
	in := manifest.Interest{Bases: map[string]int{}}
	var ours, others []string
	for i := range 1100 {
		ours = append(ours, fmt.Sprintf("secret-%04d", i))
		in.Bases[ours[i]] = 1
	}
	for i := range 600 {
		others = append(others, fmt.Sprintf("other-%03d", i))
	}
	l.ours(t, nil, ours...)
	l.ours(t, unlabelled, others...)
	l.observe(t, in, true, ours...)
	var got []string
	for _, r := range l.proxy.Requests() {
		query, err := url.ParseQuery(r.RawQuery)
		if err != nil {
			t.Fatal(err)
		}
		onlyNames := strings.HasPrefix(r.Header.Get("Accept"), "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList")
		got = append(got, fmt.Sprint(query.Get("labelSelector"), " ", query.Get("limit"), " further ", query.Has("continue"), " names ", onlyNames))
	}
	const label = "app.kubernetes.io/managed-by"
	want := []string{
		label + "=kubectl-fernet 500 further false names false",
		label + "=kubectl-fernet 500 further true names false",
		label + "=kubectl-fernet 500 further true names false",
		label + "!=kubectl-fernet 500 further false names true",
		label + "!=kubectl-fernet 500 further true names true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("requests\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestObserveWithoutTheRightToList(t *testing.T) {
	l := newLab(t, "get", "create")
	l.ours(t, nil, "secret-a", "secret-a-g2", "secret-a-g3", "secret-a-g5", "secret-b-g2", "secret-b-g3", "secret-b-g4", "recorded", "secret-x")
	l.ours(t, unlabelled, "secret-b-g5")
	in := manifest.Interest{
		Bases: map[string]int{"secret-a": 1, "secret-b": 4, "secret-c": 1, "secret-d": 0},
		Names: map[string]bool{"recorded": true, "recorded-g2": true, "secret-a": true, "secret-b-g2": true, "secret-b-g4": true},
	}
	l.observe(t, in, false, "secret-a", "secret-a-g2", "secret-a-g3", "secret-b-g2", "secret-b-g4", "secret-b-g5", "recorded")
	got := namesIn(l.proxy.Requests(), "GET")
	want := []string{
		"recorded", "recorded-g2",
		"secret-a", "secret-a-g2", "secret-a-g3", "secret-a-g4",
		"secret-b", "secret-b-g2", "secret-b-g4", "secret-b-g5", "secret-b-g6",
		"secret-c", "secret-d", "secrets",
	}
	if !slices.Equal(got, want) {
		t.Errorf("asked for %q\nwant %q", got, want)
	}
}

func TestObserveFails(t *testing.T) {
	broken := func(n int) faultproxy.Rule { return faultproxy.Nth(n, reads(faultproxy.Status(500, nil, nil))) }
	for _, tc := range []struct {
		name  string
		verbs []string
		rule  faultproxy.Rule
		want  string
		hint  bool
	}{
		{name: "neither list nor get", verbs: []string{"create"}, want: "cannot get resource", hint: true},
		{name: "list ours", rule: broken(1), want: "cannot look at the Secrets of namespace "},
		{name: "half a list", rule: faultproxy.First(1, reads(faultproxy.HalfReply())), want: ": the API server's answer broke off: unexpected EOF"},
		{name: "list others", rule: broken(2), want: "has prevented"},
		{name: "get another", rule: broken(3), want: "has prevented"},
		{name: "get a recorded one", verbs: []string{"get"}, rule: broken(2), want: "has prevented"},
		{name: "climb", verbs: []string{"get"}, rule: broken(3), want: "has prevented"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t, tc.verbs...)
			l.ours(t, unlabelled, "secret-a")
			if tc.rule != nil {
				l.proxy.Reset(tc.rule)
			}
			in := manifest.Interest{Bases: map[string]int{"secret-a": 1}, Names: map[string]bool{"recorded": true}}
			sight, err := l.client.Observe(t.Context(), l.namespace, in)
			var e *cluster.Error
			if !errors.As(err, &e) || !strings.Contains(e.Message, tc.want) || (e.Way != "") != tc.hint || sight.Objects != nil {
				t.Errorf("got %v, error %+v; want an error with %q, hint: %v", sight, err, tc.want, tc.hint)
			}
		})
	}
}

// Ctrl-C while looking is no failure of the connection.
func TestObserveInterrupted(t *testing.T) {
	l := newLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l.proxy.Reset(func(faultproxy.Request) faultproxy.Action {
		cancel()
		return faultproxy.Delay(time.Second, 0)
	})
	if _, err := l.client.Observe(ctx, l.namespace, manifest.Interest{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestAwaitGone(t *testing.T) {
	const patience = 3 * time.Second
	l := newLab(t)
	l.ours(t, nil, "stays", "made-again")
	releaseFirst, releaseLast := l.deleting(t, "goes"), l.deleting(t, "held")
	defer releaseLast()
	var objects []manifest.Object
	for name, s := range l.live(t) {
		o := manifest.FromSecret(&s)
		if o.Deleting = name != "stays"; name == "made-again" {
			o.UID = "of-its-predecessor"
		}
		objects = append(objects, o)
	}
	soon := time.AfterFunc(300*time.Millisecond, releaseFirst)
	defer soon.Stop()
	start := time.Now()
	left, gone, err := l.client.AwaitGone(t.Context(), objects, patience)
	if took := time.Since(start); err != nil || took < patience || took > time.Minute {
		t.Errorf("error %v after %v, want none after %v", err, took, patience)
	}
	if len(gone) != 1 || gone[0].Name != "goes" {
		t.Errorf("gone: %+v, want the one called goes", gone)
	}
	if slices.Contains(namesIn(l.proxy.Requests(), "GET"), "stays") {
		t.Error("looked for one that is not being deleted")
	}
	live := l.live(t)
	for _, o := range left {
		if s := live[o.Name]; o != manifest.FromSecret(&s) {
			t.Errorf("left %+v, live is %+v", o, manifest.FromSecret(&s))
		}
	}
	if len(left) != 3 || len(live) != 3 {
		t.Errorf("left %+v, want all but the one that went", left)
	}
}

func TestAwaitGoneEndsEarly(t *testing.T) {
	l := newLab(t)
	release := l.deleting(t, "held")
	defer release()
	s, err := l.admin.Get(t.Context(), "held", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	objects := []manifest.Object{manifest.FromSecret(s)}
	for name, tc := range map[string]struct {
		rule faultproxy.Rule
		want string
	}{
		"cancelled between looks": {rule: nil},
		"cancelled in a look":     {rule: faultproxy.All(faultproxy.Delay(time.Hour, 0))},
		"an error":                {rule: faultproxy.All(faultproxy.Status(500, nil, nil)), want: "secret held: "},
	} {
		t.Run(name, func(t *testing.T) {
			if l.proxy.Reset(); tc.rule != nil {
				l.proxy.Reset(tc.rule)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tc.want == "" {
				time.AfterFunc(500*time.Millisecond, cancel)
			}
			start := time.Now()
			left, gone, err := l.client.AwaitGone(ctx, objects, 2*time.Minute)
			if took := time.Since(start); took > time.Minute {
				t.Errorf("came back after %v", took)
			}
			switch {
			case tc.want == "" && (err != nil || !slices.Equal(left, objects) || gone != nil):
				t.Errorf("left %+v, gone %+v, error %v; want the one that is held left", left, gone, err)
			case tc.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.want)):
				t.Errorf("error %v, want %q…", err, tc.want)
			}
		})
	}
}
