// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

func testContext(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}

// following is a Follow of Deployments under way.
type following struct {
	mutex sync.Mutex
	told  []string // NAME STEP, or NAME gone
	stop  func()
	ended chan error
}

// follow follows the Deployments of a lab; a test tells their states apart by the label step.
func (l lab) follow(t *testing.T, client *cluster.Client) *following {
	t.Helper()
	ctx, cancel := testContext(t)
	f := &following{stop: cancel, ended: make(chan error, 1)}
	t.Cleanup(cancel)
	go func() {
		f.ended <- client.Follow(ctx, workload.Deployment, l.namespace, func(w workload.Workload, gone bool) {
			state := w.Labels["step"]
			if gone {
				state = "gone"
			}
			f.mutex.Lock()
			defer f.mutex.Unlock()
			f.told = append(f.told, w.Name+" "+state)
		})
	}()
	return f
}

func (f *following) has(told string) func() bool {
	return func() bool {
		f.mutex.Lock()
		defer f.mutex.Unlock()
		return slices.Contains(f.told, told)
	}
}

// end cancels and gives the error; it has to come.
func (f *following) end(t *testing.T) error {
	t.Helper()
	f.stop()
	select {
	case err := <-f.ended:
		return err
	case <-time.After(time.Minute):
		t.Error("it goes on after its end")
		return nil
	}
}

func (l lab) deploy(t *testing.T, name string) {
	t.Helper()
	l.make(t, "apps/v1/deployments", `{kind: Deployment, apiVersion: apps/v1, metadata: {name: `+name+`, labels: {step: first}}, spec: {replicas: 0, `+appX+`, template: `+template+`}}`)
}

func (l lab) step(t *testing.T, name, step string) {
	t.Helper()
	l.patch(t, "apps/v1/deployments", name, `{metadata: {labels: {step: `+step+`}}}`)
}

// changes makes changes one after the other, each of which has to be told.
func (l lab) changes(t *testing.T, f *following) {
	t.Helper()
	until(t, "the first state is told", f.has("web first"))
	l.step(t, "web", "second")
	until(t, "a change is told", f.has("web second"))
	l.deploy(t, "late")
	until(t, "another one is told", f.has("late first"))
	if err := l.objects(t, "apps/v1/deployments").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, "its end is told", f.has("web gone"))
	l.step(t, "late", "last")
	until(t, "the last change is told", f.has("late last"))
}

func TestFollow(t *testing.T) {
	l := newLab(t)
	l.deploy(t, "web")
	client, err := cluster.Connect(load(t, l.way), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	f := l.follow(t, client)
	l.changes(t, f)
	if err := f.end(t); err != nil {
		t.Error(err)
	}
	if lists, watches := l.listsAndWatches(); lists != 1 || watches != 1 {
		t.Errorf("%d lists and %d watches, want one each", lists, watches)
	}
}

// A watch is not among the requests that are bounded.
func TestFollowHoldsNoSlot(t *testing.T) {
	l := newLab(t)
	client, err := cluster.Connect(load(t, l.way), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	l.proxy.Reset(watches(faultproxy.Hold(t.Context().Done(), nil)))
	f := l.follow(t, client)
	until(t, "a watch is under way", func() bool { _, watches := l.listsAndWatches(); return watches == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := client.Labelled(ctx, l.namespace, "no=thing"); err != nil {
		t.Error(err)
	}
	if err := f.end(t); err != nil {
		t.Error(err)
	}
}

func (l lab) listsAndWatches() (lists, watches int) {
	for _, r := range l.proxy.Requests() {
		switch {
		case !strings.HasSuffix(r.Path, "/deployments"):
		case strings.Contains(r.RawQuery, "watch=true"):
			watches++
		default:
			lists++
		}
	}
	return lists, watches
}

// Where watching is forbidden, it lists; where listing is, it says what is needed.
func TestFollowWithFewRights(t *testing.T) {
	l := newLab(t)
	l.deploy(t, "web")
	var watched atomic.Int32
	user := func(name string, verbs ...string) *cluster.Client {
		rule := rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: verbs}
		config := load(t, testkube.User(t, l.namespace, name+"-"+l.namespace, rule))
		config.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return way{next, func(r *http.Request) error {
				if r.URL.Query().Get("watch") == "true" {
					watched.Add(1)
				}
				return nil
			}}
		})
		return connect(t, config, nil)
	}
	f := l.follow(t, user("lister", "list"))
	l.changes(t, f)
	time.Sleep(3 * time.Second) // nothing changes any more
	if err := f.end(t); err != nil {
		t.Error(err)
	}
	last := slices.DeleteFunc(f.told, func(told string) bool { return told != "late last" })
	if len(last) > 2 { // a controller may have written its status
		t.Errorf("told of one state %d times", len(last))
	}
	if n := watched.Load(); n != 1 {
		t.Errorf("asked %d times whether it may watch", n)
	}
	f = l.follow(t, user("watcher", "watch"))
	var e *cluster.Error
	if err := <-f.ended; !errors.As(err, &e) || string(e.Way) != "that needs the verbs list and watch on deployments.apps in this namespace" {
		t.Errorf("without list: %v", err)
	}
	if err := l.client.Follow(t.Context(), "Nothing", l.namespace, nil); err == nil {
		t.Error("follows what is no workload")
	}
}

// watches is a rule about watches.
func watches(a faultproxy.Action) faultproxy.Rule {
	return func(r faultproxy.Request) faultproxy.Action {
		if strings.Contains(r.RawQuery, "watch=true") {
			return a
		}
		return nil
	}
}

// untilListed is a rule that ends with the nth list.
func untilListed(n int, rule faultproxy.Rule) faultproxy.Rule {
	lists := 0
	return func(r faultproxy.Request) faultproxy.Action {
		action := rule(r)
		if action == nil && strings.HasSuffix(r.Path, "/deployments") {
			lists++
		}
		if lists >= n {
			return nil
		}
		return action
	}
}

// Whatever happens to the connection, what changes is told.
func TestFollowOnABadWay(t *testing.T) {
	expired := `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}}` + "\n"
	for name, rules := range map[string][]faultproxy.Rule{
		"the first list fails":       {faultproxy.First(2, at("/deployments", faultproxy.Status(500, nil, nil)))},
		"watches are reset":          {faultproxy.First(3, watches(faultproxy.ResetBefore()))},
		"watches fail":               {faultproxy.First(3, watches(faultproxy.Status(500, nil, nil)))},
		"watches are gone":           {untilListed(3, watches(faultproxy.Status(410, nil, nil)))},
		"watches tell that they are": {untilListed(3, watches(faultproxy.Status(200, asJSON, []byte(expired))))},
		"watches tell nonsense":      {faultproxy.First(3, watches(faultproxy.Status(200, asJSON, []byte("nonsense\n"))))},
		"watches end at once":        {watches(faultproxy.Status(200, asJSON, []byte{}))},
		"lists fail later": {
			faultproxy.First(2, watches(faultproxy.Status(410, nil, nil))),
			faultproxy.Nth(2, at("/deployments", faultproxy.Status(503, nil, nil))),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.deploy(t, "web")
			l.proxy.Reset(rules...)
			f := l.follow(t, l.client)
			l.changes(t, f)
			time.Sleep(time.Second) // nothing changes any more
			if err := f.end(t); err != nil {
				t.Error(err)
			}
			if lists, watches := l.listsAndWatches(); lists+watches > 30 {
				t.Errorf("%d lists and %d watches: it hurries", lists, watches)
			}
		})
	}
}

// A watch that breaks in the middle goes on where it was: no older state is told again, and
// what happened meanwhile is told.
func TestFollowGoesOn(t *testing.T) {
	l := newLab(t)
	l.deploy(t, "web")
	config := load(t, l.way)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return cutting{next} })
	f := l.follow(t, connect(t, config, nil))
	until(t, "the first state is told", f.has("web first"))
	for i := range 10 {
		step := fmt.Sprintf("s%d", i)
		l.step(t, "web", step)
		until(t, step+" is told", f.has("web "+step))
		time.Sleep(60 * time.Millisecond) // meanwhile the watch is cut off
	}
	if err := f.end(t); err != nil {
		t.Error(err)
	}
	if lists, watches := l.listsAndWatches(); watches < 5 || lists > 1 {
		t.Errorf("%d lists, %d watches", lists, watches)
	}
	if !slices.IsSorted(f.told) {
		t.Errorf("told of older states again: %q", f.told)
	}
}

// cutting cuts each watch off soon after it has told something.
type cutting struct{ next http.RoundTripper }

func (c cutting) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err == nil && r.URL.Query().Get("watch") == "true" {
		resp.Body = &cut{ReadCloser: resp.Body}
	}
	return resp, err
}

type cut struct {
	io.ReadCloser
	once sync.Once
}

func (c *cut) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.once.Do(func() { time.AfterFunc(50*time.Millisecond, func() { _ = c.Close() }) })
	if err != nil {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// What keeps it from looking when its time is over is told.
func TestFollowThatCannotLook(t *testing.T) {
	nobody := &rest.Config{Host: "http://127.0.0.1:1"}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err := connect(t, nobody, nil).Follow(ctx, workload.Deployment, "x", nil)
	var e *cluster.Error
	if !errors.As(err, &e) || !strings.Contains(e.Message, "connection refused") {
		t.Errorf("got %v, want that the connection is refused", err)
	}
}
