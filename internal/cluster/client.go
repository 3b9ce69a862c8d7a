// SPDX-License-Identifier: Apache-2.0

// Package cluster is the only package that dials. It looks at the Secrets of a
// namespace, creates and deletes them, finds what refers to them, repoints
// workloads, and finds out what became of a doubtful write. Tokens go in and come
// out; it has no type that could carry a plaintext, and it never updates data. What
// servers say passes one function, which leaves nothing in it that is secret.
package cluster

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	appsv1client "k8s.io/client-go/kubernetes/typed/apps/v1"
	batchv1client "k8s.io/client-go/kubernetes/typed/batch/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	_ "k8s.io/client-go/plugin/pkg/client/auth/oidc" // as kubectl; exec plugins need no import
	"k8s.io/client-go/rest"

	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

// Exchange is one HTTP request and what came of it: all that -v may show.
// Status is 0 when no answer came.
type Exchange struct {
	Method, Path string
	Status       int
	RetryAfter   string // of a 429 or 503 that asks to wait
	Took         time.Duration
}

// Trace is told of every exchange, from many goroutines at once.
type Trace func(Exchange)

// Client talks to one API server.
type Client struct {
	core      corev1client.CoreV1Interface
	apps      appsv1client.AppsV1Interface
	batch     batchv1client.BatchV1Interface
	meta      metadata.Interface
	dynamic   dynamic.Interface
	discovery discovery.DiscoveryInterface

	known discovered
}

// Connect makes a client; it dials nobody yet. At most limit requests are under way
// at once, any number if limit is 0. The client-side rate limit is off: the API
// server's own (429 and Retry-After) is obeyed instead.
func Connect(config *rest.Config, trace Trace, limit int) (*Client, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1
	if server, err := url.Parse(config.Host); err == nil {
		redact.Name(server.Host, server.Hostname())
	}
	var slots chan struct{}
	if limit > 0 {
		slots = make(chan struct{}, limit)
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return bounded{tracer{next, trace}, slots} })
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, errors.New("cannot use the kubeconfig: " + outside(err.Error()))
	}
	c := &Client{}
	var errs [6]error
	c.core, errs[0] = corev1client.NewForConfigAndClient(config, httpClient)
	c.apps, errs[1] = appsv1client.NewForConfigAndClient(config, httpClient)
	c.batch, errs[2] = batchv1client.NewForConfigAndClient(config, httpClient)
	// A walk asks for every kind that there is, deprecated ones too: that is no news to the user.
	config.WarningHandler = rest.NoWarnings{}
	c.meta, errs[3] = metadata.NewForConfigAndClient(metadata.ConfigFor(config), httpClient)
	c.dynamic, errs[4] = dynamic.NewForConfigAndClient(dynamic.ConfigFor(config), httpClient)
	c.discovery, errs[5] = discovery.NewDiscoveryClientForConfigAndClient(config, httpClient)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, errors.New("cannot use the kubeconfig: " + outside(err.Error()))
	}
	return c, nil
}

// know has what a Secret holds cut out of what servers say, and keeps its names readable.
func know(s *corev1.Secret) {
	redact.Name(s.Namespace, s.Name)
	for key, value := range s.Data {
		redact.Name(key)
		redact.Add(string(value))
	}
}

// Warnings gives what hands the Warning headers of API servers to show, each once.
func Warnings(show func(text string)) rest.WarningHandler {
	return &warnings{show: show, shown: map[string]bool{}}
}

type warnings struct {
	mutex sync.Mutex
	shown map[string]bool
	show  func(text string)
}

// HandleWarningHeader implements rest.WarningHandler. 299 is the code of those that
// Kubernetes means for a user.
func (w *warnings) HandleWarningHeader(code int, _, text string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if code != 299 || text == "" || w.shown[text] {
		return
	}
	w.shown[text] = true
	w.show(outside(text))
}

// doubtful is the context key of an *atomic.Bool that becomes true when an
// attempt of a request, of which client-go may make several, may yet be done.
type doubtful struct{}

// bounded lets only as many requests be under way, until their header is there, as
// slots has room for; a nil slots has no bound. A watch, which is open for long, does
// not count.
type bounded struct {
	next  http.RoundTripper
	slots chan struct{}
}

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	if b.slots == nil || req.URL.Query().Get("watch") == "true" {
		return b.next.RoundTrip(req)
	}
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	case <-req.Context().Done():
		if req.Body != nil {
			_ = req.Body.Close() // as each RoundTripper must
		}
		return nil, req.Context().Err()
	}
	return b.next.RoundTrip(req)
}

type tracer struct {
	next  http.RoundTripper
	trace Trace
}

func (t tracer) RoundTrip(req *http.Request) (*http.Response, error) {
	redact.Name(strings.Split(req.URL.Path, "/")...)
	_, credential, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	redact.Add(credential)
	start := time.Now()
	resp, err := t.next.RoundTrip(req)
	if doubt, ok := req.Context().Value(doubtful{}).(*atomic.Bool); ok && (resp == nil || resp.StatusCode >= 500) {
		doubt.Store(true)
	}
	if t.trace == nil {
		return resp, err
	}
	e := Exchange{Method: req.Method, Path: req.URL.Path, Took: time.Since(start)}
	if resp != nil {
		e.Status, e.RetryAfter = resp.StatusCode, outside(resp.Header.Get("Retry-After"))
	}
	t.trace(e)
	return resp, err
}
