// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
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

// seen gives a live Secret as retire saw it.
func (l lab) seen(t *testing.T, name string) manifest.Object {
	t.Helper()
	s, ok := l.live(t)[name]
	if !ok {
		t.Fatalf("no Secret %s", name)
	}
	return manifest.FromSecret(&s)
}

// touch changes a Secret, and so its resourceVersion.
func touch(t *testing.T, l lab) {
	t.Helper()
	s, err := l.admin.Get(t.Context(), "secret-a", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	metav1.SetMetaDataAnnotation(&s.ObjectMeta, "touched", "x")
	if _, err := l.admin.Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, l lab) {
	t.Helper()
	if err := l.admin.Delete(t.Context(), "secret-a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// replace makes the Secret anew, with another UID and the same bytes.
func replace(t *testing.T, l lab) {
	t.Helper()
	remove(t, l)
	l.ours(t, nil, "secret-a")
}

// judge holds a DeleteResult against what its fate promises and what is live.
func (l lab) judge(t *testing.T, before manifest.Object, got cluster.DeleteResult, want cluster.DeleteFate) {
	t.Helper()
	if got.Fate != want || (got.Err == nil) != (want == cluster.Gone) {
		t.Errorf("fate %d, error %v; want fate %d", got.Fate, got.Err, want)
	}
	if got.Err != nil && strings.Contains(got.Err.Error(), canary) {
		t.Errorf("the error shows a token: %v", got.Err)
	}
	var now manifest.Object
	if s, there := l.live(t)[before.Name]; there {
		now = manifest.FromSecret(&s)
	}
	if got.Object != now && got.Object != (manifest.Object{}) {
		t.Errorf("says that %+v is there; it is %+v", got.Object, now)
	}
	same := now.UID == before.UID
	switch {
	case want == cluster.Gone && same:
		t.Error("it is not gone")
	case want == cluster.Held && (!same || !now.Deleting),
		want == cluster.Changed && (now.Name == "" || now.Deleting || now.ResourceVersion == before.ResourceVersion),
		want == cluster.DeleteRefused && now != before:
		t.Errorf("fate %d, and there is %+v", want, now)
	}
	if (want == cluster.Held || want == cluster.Changed || want == cluster.DeleteRefused) && got.Object == (manifest.Object{}) {
		t.Error("does not say what is there")
	}
}

func TestDelete(t *testing.T) {
	writes, once := faultproxy.Writes, func(r faultproxy.Rule) faultproxy.Rule { return faultproxy.First(1, r) }
	hold := func(s *corev1.Secret) { s.Finalizers = []string{"example.com/hold"} }
	success := []byte(`{"kind":"Status","apiVersion":"v1","status":"Success"}`)
	for _, tc := range []struct {
		name  string
		there func(*corev1.Secret)
		since func(*testing.T, lab) // what happens after the Secret was seen
		rules []faultproxy.Rule
		want  cluster.DeleteFate
		sent  int
	}{
		{name: "deleted", want: cluster.Gone, sent: 1},
		{name: "touched since", since: touch, want: cluster.Changed, sent: 1},
		{name: "replaced since", since: replace, want: cluster.Changed, sent: 1},
		{name: "removed since", since: remove, want: cluster.Gone, sent: 1},
		{name: "held", there: hold, want: cluster.Held, sent: 1},
		{name: "removed since, but held", there: hold, since: remove, want: cluster.Held, sent: 1},
		{name: "refused", rules: []faultproxy.Rule{writes(faultproxy.Status(403, nil, nil))}, want: cluster.DeleteRefused, sent: 1},
		{name: "a conflict of something else", rules: []faultproxy.Rule{writes(faultproxy.Status(409, nil, nil))}, want: cluster.DeleteRefused, sent: 1},
		{name: "refused, and removed", since: remove, rules: []faultproxy.Rule{writes(faultproxy.Status(403, nil, nil))}, want: cluster.Gone, sent: 1},
		{name: "refused, and replaced", since: replace, rules: []faultproxy.Rule{writes(faultproxy.Status(403, nil, nil))}, want: cluster.Gone, sent: 1},

		{name: "never arrived", rules: []faultproxy.Rule{writes(faultproxy.ResetBefore())}, want: cluster.DeleteDoubtful, sent: 1},
		{name: "reply lost", rules: []faultproxy.Rule{writes(faultproxy.DropReply())}, want: cluster.Gone, sent: 1},
		{name: "reply lost, held", there: hold, rules: []faultproxy.Rule{writes(faultproxy.DropReply())}, want: cluster.Held, sent: 1},
		{name: "reply lost, touched since", since: touch, rules: []faultproxy.Rule{writes(faultproxy.DropReply())}, want: cluster.Changed, sent: 1},
		{name: "reply lost, replaced since", since: replace, rules: []faultproxy.Rule{writes(faultproxy.DropReply())}, want: cluster.Gone, sent: 1},
		{name: "504, still there", rules: []faultproxy.Rule{writes(faultproxy.Status(504, nil, nil))}, want: cluster.DeleteDoubtful, sent: 1},
		{name: "504, done", rules: []faultproxy.Rule{writes(faultproxy.StatusAfter(504, nil))}, want: cluster.Gone, sent: 1},
		{name: "408", rules: []faultproxy.Rule{writes(faultproxy.Status(408, nil, nil))}, want: cluster.DeleteDoubtful, sent: 1},
		{name: "sent again after its success", rules: []faultproxy.Rule{once(writes(faultproxy.StatusAfter(503, faultproxy.RetryAfter(0))))}, want: cluster.Gone, sent: 2},
		{name: "sent again after its success, held", there: hold, rules: []faultproxy.Rule{once(writes(faultproxy.StatusAfter(503, faultproxy.RetryAfter(0))))}, want: cluster.Held, sent: 2},
		{name: "sent again, then refused", rules: []faultproxy.Rule{once(writes(faultproxy.Status(503, faultproxy.RetryAfter(0), nil))), writes(faultproxy.Status(403, nil, nil))}, want: cluster.DeleteDoubtful, sent: 2},
		{name: "throttled, then refused", rules: []faultproxy.Rule{once(writes(faultproxy.Status(429, faultproxy.RetryAfter(0), nil))), writes(faultproxy.Status(403, nil, nil))}, want: cluster.DeleteRefused, sent: 2},
		{name: "a success that is none", rules: []faultproxy.Rule{writes(faultproxy.Status(200, asJSON, success))}, want: cluster.DeleteDoubtful, sent: 1},
		{name: "nobody can look", rules: []faultproxy.Rule{reads(faultproxy.Status(500, nil, nil))}, want: cluster.DeleteDoubtful, sent: 1},
		{name: "refused, nobody can look", rules: []faultproxy.Rule{writes(faultproxy.Status(403, nil, nil)), reads(faultproxy.Status(500, nil, nil))}, want: cluster.DeleteDoubtful, sent: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t)
			l.ours(t, tc.there, "secret-a")
			defer l.release(t)
			before := l.seen(t, "secret-a")
			if tc.since != nil {
				tc.since(t, l)
			}
			l.proxy.Reset(tc.rules...)
			l.judge(t, before, l.client.Delete(t.Context(), before, false), tc.want)
			sent := l.proxy.Writes()
			if len(sent) != tc.sent {
				t.Errorf("%d DELETEs, want %d", len(sent), tc.sent)
			}
			for _, r := range sent {
				if !bytes.Contains(r.Body, []byte(before.UID)) || !bytes.Contains(r.Body, []byte(before.ResourceVersion)) {
					t.Errorf("%s %s without both preconditions", r.Method, r.Path)
				}
			}
		})
	}
}

// release lets go of what a finalizer holds, so that the namespace can go.
func (l lab) release(t *testing.T) {
	t.Helper()
	for name, s := range l.live(t) {
		if len(s.Finalizers) > 0 {
			s.Finalizers = nil
			if _, err := l.admin.Update(context.WithoutCancel(t.Context()), &s, metav1.UpdateOptions{}); err != nil {
				t.Errorf("releasing Secret %s: %v", name, err)
			}
		}
	}
}

// A delete that answered 504 lands after Delete has looked: the next one finds
// that. One that was overtaken by a change never lands.
func TestDeleteLandsLater(t *testing.T) {
	l := newLab(t)
	l.ours(t, nil, "secret-a", "secret-b")
	a, b := l.seen(t, "secret-a"), l.seen(t, "secret-b")
	release := make(chan struct{})
	l.proxy.Reset(faultproxy.First(2, faultproxy.Writes(faultproxy.LandWhen(release))))
	l.judge(t, a, l.client.Delete(t.Context(), a, false), cluster.DeleteDoubtful)
	l.judge(t, b, l.client.Delete(t.Context(), b, false), cluster.DeleteDoubtful)
	touch(t, l)
	l.judge(t, a, l.client.Delete(t.Context(), a, false), cluster.Changed)
	close(release)
	until(t, "both deletes have been answered", func() bool {
		answered := 0
		for _, r := range l.proxy.Writes() {
			if r.Upstream != 0 {
				answered++
			}
		}
		return answered == 3
	})
	l.judge(t, b, l.client.Delete(t.Context(), b, false), cluster.Gone)
	if live := l.live(t); len(live) != 1 || live["secret-a"].UID == "" {
		t.Errorf("there is %v, want secret-a, which was changed", live)
	}
}

// Ctrl-C does not leave a delete that was sent.
func TestDeleteIsWaitedFor(t *testing.T) {
	l := newLab(t)
	l.ours(t, nil, "secret-a")
	before := l.seen(t, "secret-a")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	release := make(chan struct{})
	l.proxy.Reset(faultproxy.Writes(faultproxy.Hold(release, nil)))
	go func() {
		defer close(release)
		until(t, "the delete is under way", func() bool { return len(l.proxy.Writes()) == 1 })
		cancel()
		time.Sleep(50 * time.Millisecond) // whoever does not wait comes back now, with a doubt
	}()
	l.judge(t, before, l.client.Delete(ctx, before, false), cluster.Gone)
}

func TestDeleteWithoutTheRight(t *testing.T) {
	l := newLab(t, "get", "list")
	l.ours(t, nil, "secret-a")
	before := l.seen(t, "secret-a")
	for _, dryRun := range []bool{false, true} {
		r := l.client.Delete(t.Context(), before, dryRun)
		if says(t, explained(t, cluster.Result{Err: r.Err}), `cannot delete resource "secrets"`, "that needs the verbs get, list and delete"); !dryRun {
			l.judge(t, before, r, cluster.DeleteRefused)
		}
	}
}

func TestDeleteAsADryRun(t *testing.T) {
	for _, tc := range []struct {
		name  string
		since func(*testing.T, lab)
		rules []faultproxy.Rule
		want  cluster.DeleteFate
	}{
		{name: "would go", want: cluster.Gone},
		{name: "touched since", since: touch, want: cluster.Changed},
		{name: "replaced since", since: replace, want: cluster.Changed},
		{name: "removed since", since: remove, want: cluster.Gone},
		{name: "refused", rules: []faultproxy.Rule{faultproxy.All(faultproxy.Status(403, nil, nil))}, want: cluster.DeleteRefused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t)
			l.ours(t, nil, "secret-a", "stays")
			before := l.seen(t, "secret-a")
			if tc.since != nil {
				tc.since(t, l)
			}
			was := l.live(t)
			l.proxy.Reset(tc.rules...)
			r := l.client.Delete(t.Context(), before, true)
			if r.Fate != tc.want || (r.Err == nil) != (tc.want == cluster.Gone) {
				t.Errorf("fate %d, error %v; want fate %d", r.Fate, r.Err, tc.want)
			}
			if got := len(l.live(t)); got != len(was) || len(l.proxy.Writes()) != 0 || len(l.proxy.Requests()) != 1 {
				t.Errorf("%d Secrets of %d, requests %+v", got, len(was), l.proxy.Requests())
			}
		})
	}
}

// deleteAll tells each result in its place, and fails if one is told twice.
func (l lab) deleteAll(ctx context.Context, t *testing.T, objects []manifest.Object, parallel int) []cluster.DeleteResult {
	t.Helper()
	results := make([]cluster.DeleteResult, len(objects))
	told := make([]int, len(objects)) // by done alone, which runs once at a time
	l.client.DeleteAll(ctx, objects, parallel, false, func(i int, r cluster.DeleteResult) {
		results[i] = r
		told[i]++
	})
	for i, n := range told {
		if n != 1 {
			t.Errorf("object %d: told %d times", i, n)
		}
	}
	return results
}

func TestDeleteAll(t *testing.T) {
	l := newLab(t)
	l.ours(t, nil, number(40)...)
	l.ours(t, nil, "secret-a")
	var objects []manifest.Object
	for _, name := range number(40) {
		objects = append(objects, l.seen(t, name))
	}
	objects = slices.Insert(objects, 20, l.seen(t, "secret-a"))
	touch(t, l)
	for i, r := range l.deleteAll(t.Context(), t, objects, 8) {
		want := cluster.Gone
		if i == 20 {
			want = cluster.Changed
		}
		l.judge(t, objects[i], r, want)
	}
	if live := l.live(t); len(live) != 1 {
		t.Errorf("%d Secrets are left, want the one that was touched", len(live))
	}
}

func TestDeleteAllInterrupted(t *testing.T) {
	l := newLab(t)
	l.ours(t, nil, number(10)...)
	var objects []manifest.Object
	for _, name := range number(10) {
		objects = append(objects, l.seen(t, name))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	release := make(chan struct{})
	l.proxy.Reset(faultproxy.Writes(faultproxy.Hold(nil, release)))
	go func() {
		defer close(release)
		until(t, "three deletes have landed", func() bool { return len(l.live(t)) == 7 })
		cancel()
	}()
	for i, r := range l.deleteAll(ctx, t, objects, 3) {
		want := cluster.Gone
		if i >= 3 {
			want = cluster.DeleteNotSent
		}
		l.judge(t, objects[i], r, want)
		if want == cluster.DeleteNotSent && !errors.Is(r.Err, context.Canceled) {
			t.Errorf("object %d: %v", i, r.Err)
		}
	}
	if sent := len(namesIn(l.proxy.Requests(), http.MethodDelete)); sent != 3 {
		t.Errorf("%d DELETEs, want three", sent)
	}
}
