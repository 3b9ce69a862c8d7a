// SPDX-License-Identifier: Apache-2.0

// Package faultproxy is for tests only: an HTTP proxy on loopback that stands
// between a Kubernetes client and a real API server. In go the rest.Config to
// reach the API server with and rules that pick an Action for a request; out
// come a kubeconfig for the client and a log of all requests. It adds the
// upstream's credentials itself, limits no rate, speaks HTTP/1.1 without TLS to
// the client, and does not do connection upgrades (exec, attach, port-forward).
package faultproxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Request is one request as the proxy saw it, and what became of it so far.
// Header and Body are shared with the log: do not change them.
type Request struct {
	N                      int // order of arrival, from 1
	Method, Path, RawQuery string
	Header                 http.Header
	Body                   []byte // nil with Options.NoBodies, but there for rules
	Status                 int    // what the client was answered; 0: nothing yet, or cut off
	Upstream               int    // what the API server answered; 0: not forwarded, or no answer
	Err                    error  // why the API server gave no answer
	Killed                 bool   // KillBefore or KillAfter found the process alive
	write                  bool
}

// IsWrite says that the request would change something: any POST, PUT, PATCH or
// DELETE that is no dry run, and so also a review, which is a POST that stores
// nothing.
func (r Request) IsWrite() bool { return r.write }

// Options of a Proxy; the zero value adds nothing and keeps bodies.
type Options struct {
	RTT      time.Duration // added to each exchange; they still overlap
	NoBodies bool          // do not keep request bodies in the log
}

// Proxy is a running proxy. Its methods may be called at any time and from any
// goroutine; a rule may call Requests and Writes only.
type Proxy struct {
	options  Options
	base     *url.URL
	upstream http.RoundTripper
	server   *http.Server
	address  string
	life     context.Context // of the proxy; ends with Close
	end      context.CancelFunc

	ruling sync.Mutex // one rule at a time, in the order of Request.N
	rules  []Rule

	mu        sync.Mutex // guards what follows and each Request in log
	log       []*Request
	exchanges int // not yet finished, late landings included
	conns     int // of clients
}

// Start starts a proxy on a free loopback port, to the API server of upstream
// and with its credentials. For each request the first rule that returns an
// Action decides. The caller must Close it; when ctx ends it forwards no more.
func Start(ctx context.Context, upstream *rest.Config, options Options, rules ...Rule) (*Proxy, error) {
	base, _, err := rest.DefaultServerUrlFor(upstream)
	if err != nil {
		return nil, fmt.Errorf("upstream address: %w", err)
	}
	transport, err := newTransport(upstream)
	if err != nil {
		return nil, fmt.Errorf("upstream credentials: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	p := &Proxy{options: options, base: base, upstream: transport, rules: rules, address: listener.Addr().String()}
	p.life, p.end = context.WithCancel(ctx)
	p.server = &http.Server{
		Handler:           p,
		BaseContext:       func(net.Listener) context.Context { return p.life },
		ConnState:         p.count,
		ReadHeaderTimeout: time.Minute,
	}
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

// newTransport is rest.TransportFor with a pool of its own and room in it: the
// shared one keeps 25 idle HTTP/1.1 connections, or 2 without TLS.
func newTransport(config *rest.Config) (http.RoundTripper, error) {
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, err
	}
	return rest.HTTPWrappersForConfig(config, &http.Transport{
		TLSClientConfig:     tlsConfig,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 1024,
		DisableCompression:  true, // the client says what it accepts, and unpacks it
	})
}

// Close ends all exchanges, the held ones too, and frees the port.
func (p *Proxy) Close() {
	p.end()
	_ = p.server.Close()
	_ = p.Settle(context.WithoutCancel(p.life))
	utilnet.CloseIdleConnectionsFor(p.upstream)
}

// Kubeconfig writes a kubeconfig file whose current context leads to the proxy
// and needs no credentials.
func (p *Proxy) Kubeconfig(file, contextName, clusterName string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters[clusterName] = &clientcmdapi.Cluster{Server: "http://" + p.address}
	config.Contexts[contextName] = &clientcmdapi.Context{Cluster: clusterName, AuthInfo: contextName}
	config.AuthInfos[contextName] = &clientcmdapi.AuthInfo{}
	config.CurrentContext = contextName
	return clientcmd.WriteToFile(*config, file)
}

// Requests returns all requests since the start or the last Reset, in order.
func (p *Proxy) Requests() []Request {
	return p.logged(func(*Request) bool { return true })
}

// Writes returns those of Requests for which IsWrite is true.
func (p *Proxy) Writes() []Request {
	return p.logged(func(r *Request) bool { return r.write })
}

func (p *Proxy) logged(want func(*Request) bool) []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Request
	for _, r := range p.log {
		if want(r) {
			list = append(list, *r)
		}
	}
	return list
}

// Reset empties the log, starts Request.N again at 1 and replaces the rules, by
// none if none are given. Exchanges under way go on as decided, unseen.
func (p *Proxy) Reset(rules ...Rule) {
	p.ruling.Lock()
	defer p.ruling.Unlock()
	p.rules = rules
	p.note(func() { p.log = nil })
}

// Settle waits until no client is connected and no exchange is under way, late
// landings included: from then on no request of a process that has ended can
// change anything upstream. It fails when ctx ends first, as it will while a
// client keeps idle connections.
func (p *Proxy) Settle(ctx context.Context) error {
	for {
		var conns, exchanges int
		p.note(func() { conns, exchanges = p.conns, p.exchanges })
		if conns == 0 && exchanges == 0 {
			return nil
		}
		if !wait(ctx, time.After(time.Millisecond)) {
			return fmt.Errorf("%d connections and %d exchanges open: %w", conns, exchanges, ctx.Err())
		}
	}
}

// note runs f with the log locked.
func (p *Proxy) note(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *Proxy) begin() { p.note(func() { p.exchanges++ }) }
func (p *Proxy) done()  { p.note(func() { p.exchanges-- }) }

func (p *Proxy) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		p.note(func() { p.conns++ })
	case http.StateClosed, http.StateHijacked:
		p.note(func() { p.conns-- })
	}
}

// ServeHTTP handles one request of a client.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.begin()
	defer p.done()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // half a request: the client is gone
	}
	r.Header.Del("Connection")
	entry := &Request{
		Method: r.Method, Path: r.URL.Path, RawQuery: r.URL.RawQuery,
		Header: r.Header, write: isWrite(r, body), Body: body,
	}
	e := &exchange{proxy: p, client: r.Context(), w: w, entry: entry, out: p.outgoing(r, body)}
	action := p.decide(entry)
	e.sleep(p.options.RTT)
	if action == nil {
		action = Pass()
	}
	action(e)
}

// outgoing makes the request for the API server. A write outlives its client, so
// that its fate is known when the exchange ends; a read (a watch!) does not.
func (p *Proxy) outgoing(r *http.Request, body []byte) *http.Request {
	ctx := p.life
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		ctx = r.Context()
	}
	out := r.Clone(ctx)
	out.RequestURI, out.Host = "", ""
	out.URL.Scheme, out.URL.Host = p.base.Scheme, p.base.Host
	out.Body = http.NoBody
	out.ContentLength = int64(len(body))
	out.TransferEncoding = nil
	if len(body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(body))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	return out
}

// decide logs the request and asks the rules.
func (p *Proxy) decide(entry *Request) Action {
	p.ruling.Lock()
	defer p.ruling.Unlock()
	var seen Request
	p.note(func() {
		p.log = append(p.log, entry)
		entry.N = len(p.log)
		seen = *entry
		if p.options.NoBodies {
			entry.Body = nil
		}
	})
	for _, rule := range p.rules {
		if action := rule(seen); action != nil {
			return action
		}
	}
	return nil
}

func isWrite(r *http.Request, body []byte) bool {
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return !r.URL.Query().Has("dryRun")
	case http.MethodDelete:
		return !r.URL.Query().Has("dryRun") && !deletesDry(body)
	}
	return false
}

// deletesDry finds the dry run of a DELETE, which client-go puts into the body.
func deletesDry(body []byte) bool {
	var options metav1.DeleteOptions
	err := json.Unmarshal(body, &options)
	if wrapped, ok := bytes.CutPrefix(body, []byte("k8s\x00")); ok {
		var envelope runtime.Unknown // of Kubernetes' protobuf encoding
		err = errors.Join(envelope.Unmarshal(wrapped), options.Unmarshal(envelope.Raw))
	}
	return err == nil && len(options.DryRun) > 0
}
