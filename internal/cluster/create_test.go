// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	core "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// check holds a Result against what a Fate promises and what is live.
func (l lab) check(t *testing.T, row ledger.Row, got cluster.Result, want cluster.Fate) {
	t.Helper()
	if got.Fate != want || (got.Err == nil) != (want == cluster.Landed) {
		t.Errorf("%s: fate %d, error %v; want fate %d", row.Secret, got.Fate, got.Err, want)
	}
	if got.Err != nil && strings.Contains(got.Err.Error(), canary) {
		t.Errorf("%s: the error shows a token: %v", row.Secret, got.Err)
	}
	if got.Object.Carries(row) != (want == cluster.Landed || want == cluster.Doubtful && got.Object.Deleting) {
		t.Errorf("%s: fate %d with %+v", row.Secret, want, got.Object)
	}
}

func TestCreateStoresTheManifest(t *testing.T) {
	l := newLab(t)
	row := l.row("secret-a-g2")
	result := l.client.Create(t.Context(), row, false)
	l.check(t, row, result, cluster.Landed)
	got, want := l.live(t)[row.Secret], manifest.Secret(row)
	if result.Object != manifest.FromSecret(&got) || result.Object.UID == "" {
		t.Errorf("result %+v, live %+v", result.Object, manifest.FromSecret(&got))
	}
	if len(got.ManagedFields) != 1 || got.ManagedFields[0].Manager != "kubectl-fernet" {
		t.Errorf("managed fields %+v, want one manager, kubectl-fernet", got.ManagedFields)
	}
	got.TypeMeta, got.ObjectMeta = want.TypeMeta, metav1.ObjectMeta{
		Name: got.Name, Namespace: got.Namespace, Labels: got.Labels, Annotations: got.Annotations,
	}
	if !equality.Semantic.DeepEqual(&got, want) {
		t.Errorf("live %+v\nwant %+v", &got, want)
	}
}

func TestCreate(t *testing.T) {
	writes := faultproxy.Writes
	for _, tc := range []struct {
		name   string
		there  func(*corev1.Secret) // changes what is there already; nil: nothing is
		edit   func(*ledger.Row)
		rules  []faultproxy.Rule
		want   cluster.Fate
		posts  int
		landed bool
		refuse bool // RefusesAll
	}{
		{name: "taken", there: otherToken, want: cluster.Taken, posts: 1, landed: true},
		{name: "taken by an empty one", there: func(s *corev1.Secret) { s.Data = nil }, want: cluster.Taken, posts: 1, landed: true},
		{name: "there already", there: unlabelled, want: cluster.Landed, posts: 1, landed: true},
		{name: "no such namespace", edit: func(r *ledger.Row) { r.Namespace += "-x" }, want: cluster.Refused, posts: 1, refuse: true},
		{name: "invalid", edit: func(r *ledger.Row) { r.EnvKey = "A/B" }, want: cluster.Refused, posts: 1},
		{name: "gone again", there: otherToken, rules: []faultproxy.Rule{reads(faultproxy.Status(404, nil, nil))}, want: cluster.Refused, posts: 1, landed: true},

		{name: "a gateway's 404", there: otherToken, rules: []faultproxy.Rule{reads(faultproxy.Status(404, plainText, []byte("no such page")))}, want: cluster.Doubtful, posts: 1, landed: true},

		{name: "never arrived", rules: []faultproxy.Rule{writes(faultproxy.ResetBefore())}, want: cluster.Doubtful, posts: 1},
		{name: "reply lost", rules: []faultproxy.Rule{writes(faultproxy.DropReply())}, want: cluster.Landed, posts: 1, landed: true},
		{name: "reply lost, name taken", there: otherToken, rules: []faultproxy.Rule{writes(faultproxy.DropReply())}, want: cluster.Taken, posts: 1, landed: true},
		{name: "504, not there", rules: []faultproxy.Rule{writes(faultproxy.Status(504, nil, nil))}, want: cluster.Doubtful, posts: 1},
		{name: "504, there", rules: []faultproxy.Rule{writes(faultproxy.StatusAfter(504, nil))}, want: cluster.Landed, posts: 1, landed: true},
		{name: "408", rules: []faultproxy.Rule{writes(faultproxy.Status(408, nil, nil))}, want: cluster.Doubtful, posts: 1},
		{name: "429 without Retry-After", rules: []faultproxy.Rule{writes(faultproxy.Status(429, nil, nil))}, want: cluster.Doubtful, posts: 1},
		{name: "429 with Retry-After", rules: []faultproxy.Rule{faultproxy.First(3, writes(faultproxy.Status(429, faultproxy.RetryAfter(0), nil)))}, want: cluster.Landed, posts: 4, landed: true},
		{name: "throttled, then refused", rules: []faultproxy.Rule{faultproxy.First(1, writes(faultproxy.Status(429, faultproxy.RetryAfter(0), nil))), writes(faultproxy.Status(403, nil, nil))}, want: cluster.Refused, posts: 2},
		{name: "sent again after its success", rules: []faultproxy.Rule{faultproxy.First(1, writes(faultproxy.StatusAfter(503, faultproxy.RetryAfter(0))))}, want: cluster.Landed, posts: 2, landed: true},
		{name: "sent again, then refused", rules: []faultproxy.Rule{faultproxy.First(1, writes(faultproxy.Status(503, faultproxy.RetryAfter(0), nil))), writes(faultproxy.Status(403, nil, nil))}, want: cluster.Doubtful, posts: 2},
		{name: "an unreadable reply", rules: []faultproxy.Rule{writes(faultproxy.Status(201, http.Header{"Content-Type": {";"}}, []byte("x")))}, want: cluster.Doubtful, posts: 1},
		{name: "a reply with other bytes", rules: []faultproxy.Rule{writes(faultproxy.Status(201, asJSON, []byte(`{"apiVersion":"v1","kind":"Secret","data":{"A":"eA=="}}`)))}, want: cluster.Doubtful, posts: 1},
		{name: "reply lost, and more than was sent is there", there: extended, rules: []faultproxy.Rule{writes(faultproxy.DropReply())}, want: cluster.Doubtful, posts: 1, landed: true},
		{name: "nobody can look", rules: []faultproxy.Rule{writes(faultproxy.DropReply()), reads(faultproxy.Status(500, nil, nil))}, want: cluster.Doubtful, posts: 1, landed: true},
		{name: "refused, nobody can look", rules: []faultproxy.Rule{writes(faultproxy.Status(403, nil, nil)), reads(faultproxy.Status(500, nil, nil))}, want: cluster.Doubtful, posts: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t)
			row := l.row("secret-a")
			if tc.there != nil {
				l.ours(t, tc.there, row.Secret)
			}
			if tc.edit != nil {
				tc.edit(&row)
			}
			l.proxy.Reset(tc.rules...)
			result := l.client.Create(t.Context(), row, false)
			l.check(t, row, result, tc.want)
			if cluster.RefusesAll(result.Err) != tc.refuse {
				t.Errorf("RefusesAll(%v) = %v", result.Err, !tc.refuse)
			}
			if posts := len(l.proxy.Writes()); posts != tc.posts {
				t.Errorf("%d POSTs, want %d", posts, tc.posts)
			}
			if _, landed := l.live(t)["secret-a"]; landed != tc.landed {
				t.Errorf("it is there: %v, want %v", landed, tc.landed)
			}
		})
	}
}

// A create that answered 504 lands after Create has looked: the next one finds it.
func TestCreateLandsLater(t *testing.T) {
	l := newLab(t)
	release := make(chan struct{})
	l.proxy.Reset(faultproxy.First(1, faultproxy.Writes(faultproxy.LandWhen(release))))
	row := l.row("secret-a")
	l.check(t, row, l.client.Create(t.Context(), row, false), cluster.Doubtful)
	close(release)
	until(t, "the create has landed", func() bool { return len(l.live(t)) == 1 })
	l.check(t, row, l.client.Create(t.Context(), row, false), cluster.Landed)
}

// At a full quota every name answers 403, our own and other people's too.
func TestCreateAtAFullQuota(t *testing.T) {
	l := newLab(t)
	full := corev1.ResourceList{"count/secrets": resource.MustParse("2")}
	quotas := core.NewForConfigOrDie(testkube.RESTConfig(t)).ResourceQuotas(l.namespace)
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "full"}, Spec: corev1.ResourceQuotaSpec{Hard: full}}
	if _, err := quotas.Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, "the quota counts", func() bool {
		q, err := quotas.Get(t.Context(), "full", metav1.GetOptions{})
		return err == nil && equality.Semantic.DeepEqual(q.Status.Hard, full)
	})
	// After the quota: what was there before is counted from a cache that may lag.
	l.ours(t, nil, "secret-a")
	l.ours(t, otherToken, "secret-b")
	for name, want := range map[string]cluster.Fate{"secret-a": cluster.Landed, "secret-b": cluster.Taken, "secret-c": cluster.Refused} {
		row := l.row(name)
		result := l.client.Create(t.Context(), row, false)
		l.check(t, row, result, want)
		if want == cluster.Refused {
			says(t, explained(t, result), "exceeded quota: full", "")
		}
		if cluster.RefusesAll(result.Err) {
			t.Errorf("%v refuses all", result.Err)
		}
		l.check(t, row, l.client.Create(t.Context(), row, true), cluster.Refused)
	}
}

// What is being deleted was there: its row must not count as failed, or its
// name could come again with other bytes.
func TestCreateOfWhatIsBeingDeleted(t *testing.T) {
	l := newLab(t)
	release := l.deleting(t, "secret-a")
	defer release()
	row := l.row("secret-a")
	for _, dryRun := range []bool{false, true} {
		result := l.client.Create(t.Context(), row, dryRun)
		l.check(t, row, result, cluster.Doubtful)
		if result.Err == nil || result.Err.Error() != "the Secret is being deleted" {
			t.Errorf("error %v", result.Err)
		}
	}
	row.Token += "other"
	l.check(t, row, l.client.Create(t.Context(), row, false), cluster.Taken)
}

func TestCreateAsADryRun(t *testing.T) {
	l := newLab(t)
	l.ours(t, otherToken, "secret-b")
	l.ours(t, nil, "secret-c")
	for name, want := range map[string]cluster.Fate{"secret-a": cluster.Landed, "secret-b": cluster.Taken, "secret-c": cluster.Landed} {
		row := l.row(name)
		l.check(t, row, l.client.Create(t.Context(), row, true), want)
	}
	missing := l.row("secret-a")
	missing.Namespace += "-x"
	l.check(t, missing, l.client.Create(t.Context(), missing, true), cluster.Refused)
	if live, writes := l.live(t), l.proxy.Writes(); len(live) != 2 || len(writes) != 0 {
		t.Errorf("%d Secrets are there, want the 2 from before; writes: %+v", len(live), writes)
	}
}

// number gives n names in their order.
func number(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("secret-%02d", i))
	}
	return names
}

// createAll collects what CreateAll tells, and its order; it fails unless each
// row is told of once.
func (l lab) createAll(ctx context.Context, t *testing.T, rows []ledger.Row, parallel int) (results []cluster.Result, order []int) {
	t.Helper()
	results = make([]cluster.Result, len(rows))
	l.client.CreateAll(ctx, rows, parallel, false, func(i int, r cluster.Result) {
		results[i] = r
		order = append(order, i) // the race detector tells of two calls at a time
	})
	if sorted := slices.Sorted(slices.Values(order)); len(order) != len(rows) || len(slices.Compact(sorted)) != len(rows) {
		t.Fatalf("told of %v, want each of %d rows once", order, len(rows))
	}
	return results, order
}

func TestCreateAll(t *testing.T) {
	for _, tc := range []struct{ rows, parallel, inFlight int }{{0, 4, 0}, {3, 8, 3}, {6, 1, 1}, {100, 8, 8}} {
		t.Run(fmt.Sprintf("%d rows, %d at a time", tc.rows, tc.parallel), func(t *testing.T) {
			l := newLab(t)
			most := 0
			release := make(chan struct{})
			open := sync.OnceFunc(func() { close(release) })
			late := time.AfterFunc(time.Minute, open)
			defer late.Stop()
			l.proxy.Reset(func(faultproxy.Request) faultproxy.Action {
				flying := 0
				for _, r := range l.proxy.Writes() {
					if r.Status == 0 {
						flying++
					}
				}
				if most = max(most, flying); most == tc.inFlight {
					time.AfterFunc(50*time.Millisecond, open) // one too many would come until then
				}
				return faultproxy.Hold(release, nil)
			})
			rows := l.rows(number(tc.rows)...)
			start := time.Now()
			results, order := l.createAll(t.Context(), t, rows, tc.parallel)
			for i, r := range results {
				l.check(t, rows[i], r, cluster.Landed)
			}
			if tc.parallel == 1 && !slices.IsSorted(order) {
				t.Errorf("sent in the order %v", order)
			}
			if live := len(l.live(t)); most != tc.inFlight || live != tc.rows {
				t.Errorf("at most %d in flight, %d Secrets; want %d and %d", most, live, tc.inFlight, tc.rows)
			}
			if took := time.Since(start); took > 15*time.Second { // client-go's own limit would make it eighteen
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestCreateAllInterrupted(t *testing.T) {
	l := newLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	release := make(chan struct{})
	l.proxy.Reset(faultproxy.All(faultproxy.Hold(nil, release)))
	go func() {
		defer close(release)
		until(t, "three creates have landed", func() bool { return len(l.live(t)) == 3 })
		cancel()
	}()
	rows := l.rows(number(10)...)
	results, _ := l.createAll(ctx, t, rows, 3)
	for i, r := range results {
		want := cluster.Landed
		if i >= 3 {
			want = cluster.NotSent
		}
		l.check(t, rows[i], r, want)
		if want == cluster.NotSent && !errors.Is(r.Err, context.Canceled) {
			t.Errorf("row %d: %v", i, r.Err)
		}
	}
	if posts, live := len(l.proxy.Requests()), len(l.live(t)); posts != 3 || live != 3 {
		t.Errorf("%d requests, %d Secrets; want three of each", posts, live)
	}
}

// One namespace is missing: it is given up at the first answer, and the other
// one is completed.
func TestCreateAllGivesUpANamespace(t *testing.T) {
	for _, parallel := range []int{1, 4} {
		l := newLab(t)
		var rows []ledger.Row
		for _, good := range l.rows(number(20)...) {
			bad := good
			bad.Namespace += "-x"
			rows = append(rows, bad, good)
		}
		results, _ := l.createAll(t.Context(), t, rows, parallel)
		refused := 0
		for i, r := range results {
			switch {
			case i%2 == 1:
				l.check(t, rows[i], r, cluster.Landed)
			case r.Fate == cluster.Refused:
				refused++
			default:
				l.check(t, rows[i], r, cluster.NotSent)
			}
			if i%2 == 0 && !cluster.RefusesAll(r.Err) {
				t.Errorf("row %d: %v", i, r.Err)
			}
		}
		if posts := len(l.proxy.Writes()); refused < 1 || refused > parallel || posts != 20+refused {
			t.Errorf("%d at a time: %d refused, %d POSTs", parallel, refused, posts)
		}
	}
}
