// SPDX-License-Identifier: Apache-2.0

package faultproxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const canary = "canary-7f3a91c2"

// start gives a proxy to handler, closed when the test ends.
func start(t testing.TB, handler http.HandlerFunc, options Options, rules ...Rule) *Proxy {
	t.Helper()
	upstream := httptest.NewServer(handler)
	t.Cleanup(upstream.Close)
	return startTo(t, &rest.Config{Host: upstream.URL}, options, rules...)
}

func startTo(t testing.TB, upstream *rest.Config, options Options, rules ...Rule) *Proxy {
	t.Helper()
	p, err := Start(context.Background(), upstream, options, rules...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// send does one request on a connection of its own, which net/http never sends
// again by itself.
func send(t testing.TB, p *Proxy, method, target, body string) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, "http://"+p.address+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(got), err
}

// mustSend is send for an exchange that has to end with status.
func mustSend(t testing.TB, p *Proxy, method, target, body string, status int) string {
	t.Helper()
	code, reply, err := send(t, p, method, target, body)
	if err != nil || code != status {
		t.Fatalf("%s %s: got %d, %v; want %d", method, target, code, err, status)
	}
	return reply
}

func settle(t testing.TB, p *Proxy) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := p.Settle(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestPassIsTransparent(t *testing.T) {
	var seen *http.Request
	var body []byte
	p := start(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("X-Reply", "yes")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "made")
	}, Options{})
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.address+"/a%2Fb/c?limit=5&x=%20", strings.NewReader(canary))
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("Impersonate-User", "ann")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	reply, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated || string(reply) != "made" || resp.Header.Get("X-Reply") != "yes" {
		t.Errorf("reply %d %q %v", resp.StatusCode, reply, resp.Header)
	}
	if seen.Method != http.MethodPost || seen.RequestURI != "/a%2Fb/c?limit=5&x=%20" || string(body) != canary {
		t.Errorf("upstream saw %s %s, %d bytes", seen.Method, seen.RequestURI, len(body))
	}
	if h := seen.Header; h.Get("Impersonate-User") != "ann" || h.Get("Accept-Encoding") != "identity" {
		t.Errorf("upstream saw headers %v", h)
	}
	got := p.Requests()[0]
	if got.N != 1 || got.Method != http.MethodPost || got.Path != "/a/b/c" || got.RawQuery != "limit=5&x=%20" ||
		got.Status != 201 || got.Upstream != 201 || got.Err != nil || string(got.Body) != canary || got.Header.Get("Impersonate-User") != "ann" {
		t.Errorf("logged %+v", got)
	}
}

func TestNoBodiesButForRules(t *testing.T) {
	var ruled string
	rule := func(r Request) Action { ruled = string(r.Body); return nil }
	p := start(t, func(http.ResponseWriter, *http.Request) {}, Options{NoBodies: true}, rule)
	mustSend(t, p, http.MethodPost, "/", canary, 200)
	if got := p.Requests()[0].Body; got != nil || ruled != canary {
		t.Errorf("log keeps %d bytes, the rule saw %d", len(got), len(ruled))
	}
}

func TestUpstreamCredentialsAndHTTP2(t *testing.T) {
	var proto, auth string
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		proto, auth = r.Proto, r.Header.Get("Authorization")
	}))
	upstream.EnableHTTP2 = true
	upstream.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	upstream.StartTLS()
	defer upstream.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: upstream.Certificate().Raw})
	p := startTo(t, &rest.Config{
		Host: upstream.URL, BearerToken: canary, TLSClientConfig: rest.TLSClientConfig{CAData: ca},
	}, Options{})
	mustSend(t, p, http.MethodGet, "/", "", 200)
	if proto != "HTTP/2.0" || auth != "Bearer "+canary {
		t.Errorf("upstream saw %s, %d characters of credentials", proto, len(auth))
	}
	if logged := fmt.Sprint(p.Requests()); strings.Contains(logged, canary) {
		t.Error("the upstream's credentials are in the log")
	}
}

func TestWatchStreams(t *testing.T) {
	finish := make(chan struct{})
	p := start(t, func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, "event\n")
		_ = http.NewResponseController(w).Flush()
		<-finish
	}, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	defer close(finish)
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/watch", nil)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	event := make([]byte, 6)
	if _, err := io.ReadFull(resp.Body, event); err != nil || string(event) != "event\n" {
		t.Errorf("first event: %q, %v", event, err)
	}
}

// What comes after a watch comes when it has begun.
func TestWatchIsDeliveredWhenItBegins(t *testing.T) {
	finish := make(chan struct{})
	p := start(t, func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-finish
	}, Options{}, All(StatusAfter(504, nil)))
	release := time.AfterFunc(time.Minute, func() { close(finish) })
	if code, body, err := send(t, p, http.MethodGet, "/pods?watch=true", ""); code != 504 {
		t.Errorf("got %d %q, %v", code, body, err)
	}
	if !release.Stop() {
		t.Fatal("it waited until the watch ended")
	}
	close(finish)
}

func TestBrokenReplyDoesNotLookWhole(t *testing.T) {
	p := start(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}, Options{})
	if code, body, err := send(t, p, http.MethodGet, "/", ""); err == nil {
		t.Errorf("got %d %q without an error", code, body)
	}
}

func TestUpstreamGone(t *testing.T) {
	p := startTo(t, &rest.Config{Host: "http://127.0.0.1:1"}, Options{})
	if _, _, err := send(t, p, http.MethodPost, "/", ""); err == nil {
		t.Error("no error without an API server")
	}
	if got := p.Requests()[0]; got.Err == nil || got.Upstream != 0 || got.Status != 0 {
		t.Errorf("logged %+v", got)
	}
}

func TestRTTDoesNotSerialise(t *testing.T) {
	const rtt, n = 500 * time.Millisecond, 32
	p := start(t, func(http.ResponseWriter, *http.Request) {}, Options{RTT: rtt}, Nth(2, All(Status(204, nil, nil))))
	begun := time.Now()
	var clients sync.WaitGroup
	for i := range n {
		clients.Go(func() {
			begun := time.Now()
			if _, _, err := send(t, p, http.MethodGet, fmt.Sprint("/", i), ""); err != nil {
				t.Error(err)
			}
			if took := time.Since(begun); took < rtt {
				t.Errorf("a round trip took %v", took)
			}
		})
	}
	clients.Wait()
	if took := time.Since(begun); took > n*rtt/4 {
		t.Errorf("%d requests at once took %v", n, took)
	}
	numbers := map[string]int{}
	for i, r := range p.Requests() {
		if r.N != i+1 {
			t.Errorf("request %d has N %d", i+1, r.N)
		}
		numbers[r.Path]++
	}
	if len(numbers) != n {
		t.Errorf("%d of %d requests in the log", len(numbers), n)
	}
}

func TestWrites(t *testing.T) {
	dry := metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}
	protobuf := func(o metav1.DeleteOptions) string {
		raw, err := o.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		envelope, err := (&runtime.Unknown{Raw: raw}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return "k8s\x00" + string(envelope)
	}
	tests := []struct {
		method, target, body string
		want                 bool
	}{
		{http.MethodGet, "/", "", false},
		{http.MethodHead, "/", "", false},
		{http.MethodPost, "/", "{}", true},
		{http.MethodPost, "/?dryRun=All&fieldManager=x", "{}", false},
		{http.MethodPut, "/", "{}", true},
		{http.MethodPatch, "/", "{}", true},
		{http.MethodPatch, "/?dryRun=All", "{}", false},
		{http.MethodDelete, "/", "", true},
		{http.MethodDelete, "/?dryRun=All", "", false},
		{http.MethodDelete, "/", `{"kind":"DeleteOptions","dryRun":["All"]}`, false},
		{http.MethodDelete, "/", `{"kind":"DeleteOptions"}`, true},
		{http.MethodDelete, "/", protobuf(dry), false},
		{http.MethodDelete, "/", protobuf(metav1.DeleteOptions{}), true},
		{http.MethodDelete, "/", "k8s\x00garbage", true},
	}
	p := start(t, func(http.ResponseWriter, *http.Request) {}, Options{})
	var want []int
	for i, test := range tests {
		mustSend(t, p, test.method, test.target, test.body, 200)
		if test.want {
			want = append(want, i+1)
		}
	}
	var got []int
	for _, r := range p.Writes() {
		got = append(got, r.N)
	}
	if !slices.Equal(got, want) {
		t.Errorf("writes are requests %v, want %v", got, want)
	}
}

func TestKubeconfig(t *testing.T) {
	p := start(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }, Options{})
	file := filepath.Join(t.TempDir(), "config")
	if err := p.Kubeconfig(file, "there", "far"); err != nil {
		t.Fatal(err)
	}
	raw, err := clientcmd.LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if raw.CurrentContext != "there" || raw.Contexts["there"].Cluster != "far" || raw.Clusters["far"].Server != "http://"+p.address {
		t.Errorf("kubeconfig %+v", raw)
	}
	body, err := client(t, p).Get().AbsPath("/readyz").DoRaw(t.Context())
	if err != nil || string(body) != "ok" {
		t.Errorf("through the kubeconfig: %q, %v", body, err)
	}
}

func TestReset(t *testing.T) {
	p := start(t, func(http.ResponseWriter, *http.Request) {}, Options{}, All(Status(418, nil, nil)))
	mustSend(t, p, http.MethodGet, "/before", "", 418)
	p.Reset(First(1, All(Status(503, nil, nil))))
	if got := p.Requests(); got != nil {
		t.Errorf("log after Reset: %+v", got)
	}
	mustSend(t, p, http.MethodGet, "/first", "", 503)
	mustSend(t, p, http.MethodGet, "/second", "", 200)
	if got := p.Requests(); len(got) != 2 || got[0].N != 1 || got[0].Path != "/first" {
		t.Errorf("log: %+v", got)
	}
}

func TestSettle(t *testing.T) {
	release := make(chan struct{})
	p := start(t, func(http.ResponseWriter, *http.Request) {}, Options{}, All(LandWhen(release)))
	mustSend(t, p, http.MethodPost, "/", "{}", 504)
	busy(t, p, "1 exchanges")
	close(release)
	settle(t, p)
	if p.Requests()[0].Upstream != 200 {
		t.Error("settled before the write landed")
	}
	kept := &http.Transport{}
	resp, err := kept.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.address, nil))
	if err != nil {
		t.Fatal(err)
	}
	// Only a body that was read to its end leaves the connection open.
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	busy(t, p, "1 connections and 0 exchanges")
	kept.CloseIdleConnections()
	settle(t, p)
}

// busy waits until Settle fails with want. It asks more than once: a request
// that has been answered may still be on its way out of its handler.
func busy(t *testing.T, p *Proxy, want string) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err = p.Settle(ctx)
		cancel()
		if err == nil || strings.Contains(err.Error(), want) {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("settle: %v, want %q", err, want)
	}
}

// A client that went away must not take its write with it.
func TestWriteOutlivesClient(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	p := start(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
	}, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.address, bytes.NewReader([]byte("{}")))
	if resp, err := (&http.Transport{}).RoundTrip(req); err == nil {
		_ = resp.Body.Close()
		t.Fatal("the request was not cut")
	}
	time.Sleep(20 * time.Millisecond) // let the proxy see it
	close(release)
	settle(t, p)
	if got := p.Requests()[0]; got.Upstream != 200 {
		t.Errorf("logged %+v", got)
	}
}

func TestCloseEndsHeldExchanges(t *testing.T) {
	p := start(t, func(http.ResponseWriter, *http.Request) {}, Options{}, All(Hold(make(chan struct{}), nil)))
	failed := make(chan error)
	go func() {
		_, _, err := send(t, p, http.MethodPost, "/", "")
		failed <- err
	}()
	for len(p.Requests()) == 0 {
		time.Sleep(time.Millisecond)
	}
	p.Close()
	if err := <-failed; err == nil {
		t.Error("a held request was answered")
	}
}

func TestBadUpstream(t *testing.T) {
	tests := map[string]*rest.Config{
		"address":     {Host: "http://[::1"},
		"credentials": {Host: "https://localhost", TLSClientConfig: rest.TLSClientConfig{CAFile: "/nonexistent"}},
	}
	for name, config := range tests {
		if _, err := Start(t.Context(), config, Options{}); err == nil || !strings.Contains(err.Error(), "upstream "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
