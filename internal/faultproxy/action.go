// SPDX-License-Identifier: Apache-2.0

package faultproxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Rule picks what happens to a request, once it has come in whole; nil leaves it
// to the next rule, and after the last one to Pass. Rules are called one at a
// time, in the order of Request.N, so they may keep state; they must not block.
type Rule func(Request) Action

// All does a to every request.
func All(a Action) Rule { return func(Request) Action { return a } }

// Writes does a to every request that IsWrite.
func Writes(a Action) Rule {
	return func(r Request) Action {
		if r.IsWrite() {
			return a
		}
		return nil
	}
}

// First lets rule act on the first n requests that it would act on. It keeps
// count over a Reset, so give that a new one.
func First(n int, rule Rule) Rule { return between(1, n, rule) }

// Nth lets rule act on the n-th, from 1, of the requests that it would act on; it
// counts as First does.
func Nth(n int, rule Rule) Rule { return between(n, n, rule) }

func between(first, last int, rule Rule) Rule {
	matched := 0
	return func(r Request) Action {
		a := rule(r)
		if a == nil {
			return nil
		}
		matched++
		if matched < first || matched > last {
			return nil
		}
		return a
	}
}

// Action is what happens to one request. Where one says "cut", the client gets
// no reply: with a POST it sees io.EOF, but a GET is sent again by net/http if
// the connection was used before, and by client-go ten times, once a second.
type Action func(*exchange)

// Pass forwards the request and relays the reply.
func Pass() Action { return func(e *exchange) { e.forward(); e.relay() } }

// Delay waits before it forwards the request and before it relays the reply.
func Delay(before, after time.Duration) Action {
	return func(e *exchange) {
		e.sleep(before)
		e.forward()
		e.sleep(after)
		e.relay()
	}
}

// Hold forwards the request when before is closed, and relays the reply when
// after is; nil does not hold. A write is forwarded even if its client has gone.
func Hold(before, after <-chan struct{}) Action {
	return func(e *exchange) {
		if before != nil {
			wait(e.proxy.life, before)
		}
		e.forward()
		if after != nil {
			wait(e.proxy.life, after)
		}
		e.relay()
	}
}

// After forwards the request, throws the reply away and then does a, which is to
// forward nothing.
func After(a Action) Action {
	return func(e *exchange) { e.deliver(); a(e) }
}

// Cut forwards nothing and cuts.
func Cut() Action { return func(e *exchange) { e.cut(false) } }

// DropReply forwards the request, waits for the reply and cuts.
func DropReply() Action { return After(Cut()) }

// Hang forwards nothing, and cuts when the client has gone or after d.
func Hang(d time.Duration) Action {
	return func(e *exchange) {
		wait(e.client, time.After(d)) // which ends with the proxy, too
		e.cut(false)
	}
}

// HalfReply forwards the request and cuts in the middle of the reply, or in that of the
// first change of a watch.
func HalfReply() Action { return func(e *exchange) { e.forward(); e.relayHalf() } }

// HalfStatus answers without forwarding, as Status, and cuts in the middle of the body.
func HalfStatus(code int, header http.Header, body []byte) Action {
	return func(e *exchange) {
		e.reply = &http.Response{StatusCode: code, Header: header, Body: io.NopCloser(bytes.NewReader(body))}
		e.relayHalf()
	}
}

// ResetBefore forwards nothing and cuts with a TCP reset.
func ResetBefore() Action { return func(e *exchange) { e.cut(true) } }

// Status answers without forwarding. A nil body is a Kubernetes Status of that
// code; header may be nil.
func Status(code int, header http.Header, body []byte) Action {
	return func(e *exchange) { e.answer(code, header, body) }
}

// StatusAfter forwards the request, throws the reply away and answers as Status.
func StatusAfter(code int, header http.Header) Action {
	return After(Status(code, header, nil))
}

// RetryAfter is the header that asks a client to wait; client-go then sends a
// request that got a 429 or 5xx again, ten times at most, a POST too.
func RetryAfter(seconds int) http.Header {
	return http.Header{"Retry-After": {strconv.Itoa(seconds)}}
}

// LandLater answers 504 at once and forwards the write d later.
func LandLater(d time.Duration) Action {
	return func(e *exchange) { landWhen(e, time.After(d)) }
}

// LandWhen answers 504 at once and forwards the write when release is closed.
func LandWhen(release <-chan struct{}) Action {
	return func(e *exchange) { landWhen(e, release) }
}

func landWhen[T any](e *exchange, release <-chan T) {
	e.proxy.begin()
	go func() {
		defer e.proxy.done()
		wait(e.proxy.life, release)
		e.deliver()
	}()
	e.answer(http.StatusGatewayTimeout, nil, nil)
}

// KillBefore kills the process of that id (SIGKILL), forwards nothing and cuts.
// Request.Killed tells whether the process was alive; its exit status is the
// proof that it died of this.
func KillBefore(pid func() int) Action {
	return func(e *exchange) { e.kill(pid()); e.cut(false) }
}

// KillAfter is KillBefore, but the request has been forwarded and answered.
func KillAfter(pid func() int) Action {
	return After(KillBefore(pid))
}

// exchange is one request on its way.
type exchange struct {
	proxy  *Proxy
	client context.Context // ends when the client has gone
	w      http.ResponseWriter
	entry  *Request
	out    *http.Request
	reply  *http.Response // what forward got; nil: nothing
}

// forward sends the request to the API server and waits for its reply.
func (e *exchange) forward() {
	reply, err := e.proxy.upstream.RoundTrip(e.out)
	e.proxy.note(func() {
		e.entry.Err = err
		if err == nil {
			e.entry.Upstream = reply.StatusCode
		}
	})
	e.reply = reply
}

// deliver forwards the request and throws the reply away. A watch is delivered when it has
// begun, as its reply has no end.
func (e *exchange) deliver() {
	e.forward()
	if e.reply == nil {
		return
	}
	if !e.watches() {
		_, _ = io.Copy(io.Discard, e.reply.Body)
	}
	_ = e.reply.Body.Close()
}

// relay gives the client the API server's reply; without one it cuts.
func (e *exchange) relay() {
	if e.reply == nil {
		e.cut(false)
		return
	}
	defer func() { _ = e.reply.Body.Close() }()
	e.head(e.reply.StatusCode, e.reply.Header)
	to := io.Writer(e.w)
	if e.reply.ContentLength < 0 { // perhaps a watch
		flushing := flusher{e.w, http.NewResponseController(e.w)}
		_ = flushing.control.Flush()
		to = flushing
	}
	if _, err := io.Copy(to, e.reply.Body); err != nil {
		panic(http.ErrAbortHandler) // a reply that broke off must not look whole
	}
}

// relayHalf gives the client a half of the reply; of a watch, of what it tells first.
func (e *exchange) relayHalf() {
	if e.reply == nil {
		e.cut(false)
		return
	}
	defer func() { _ = e.reply.Body.Close() }()
	half := flusher{e.w, http.NewResponseController(e.w)}
	if e.watches() {
		e.head(e.reply.StatusCode, e.reply.Header)
		_ = half.control.Flush()
		body := make([]byte, 1<<16)
		n, _ := e.reply.Body.Read(body)
		_, _ = half.Write(body[:n/2])
	} else {
		body, _ := io.ReadAll(e.reply.Body)
		e.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		e.head(e.reply.StatusCode, e.reply.Header)
		_, _ = half.Write(body[:len(body)/2])
	}
	panic(http.ErrAbortHandler)
}

// watches says that the reply has no end of its own.
func (e *exchange) watches() bool { return e.out.URL.Query().Get("watch") != "" }

type flusher struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (f flusher) Write(b []byte) (int, error) {
	n, err := f.ResponseWriter.Write(b)
	if err == nil {
		err = f.control.Flush()
	}
	return n, err
}

// answer makes up a reply.
func (e *exchange) answer(code int, header http.Header, body []byte) {
	if body == nil {
		body = statusBody(code, e.entry.Method, header)
		e.w.Header().Set("Content-Type", "application/json")
	}
	e.head(code, header)
	_, _ = e.w.Write(body)
}

func (e *exchange) head(code int, header http.Header) {
	maps.Copy(e.w.Header(), header)
	e.w.Header().Del("Connection")
	e.proxy.note(func() { e.entry.Status = code })
	e.w.WriteHeader(code)
}

func statusBody(code int, method string, header http.Header) []byte {
	seconds, _ := strconv.Atoi(header.Get("Retry-After"))
	status := apierrors.NewGenericServerResponse(code, method, schema.GroupResource{}, "", "", seconds, false).ErrStatus
	status.APIVersion, status.Kind = "v1", "Status"
	body, err := json.Marshal(status)
	if err != nil {
		panic(err) // a plain struct of strings and numbers
	}
	return body
}

// cut ends the client's connection without a reply: with a FIN, or a reset.
func (e *exchange) cut(reset bool) {
	conn, _, err := http.NewResponseController(e.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// kill never takes 0, 1 or less, which mean process groups, init or everybody.
func (e *exchange) kill(pid int) {
	if pid <= 1 || zombie(pid) {
		return
	}
	process, err := os.FindProcess(pid)
	killed := err == nil && process.Kill() == nil
	e.proxy.note(func() { e.entry.Killed = killed })
}

// zombie finds the dead that nobody has waited for yet: a signal to them still
// succeeds. Only Linux tells.
func zombie(pid int) bool {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	return bytes.HasPrefix(state, []byte("Z"))
}

func (e *exchange) sleep(d time.Duration) {
	if d > 0 {
		wait(e.proxy.life, time.After(d))
	}
}

// wait returns false if ctx ended before c. Where that is the proxy's life,
// forward fails from then on.
func wait[T any](ctx context.Context, c <-chan T) bool {
	select {
	case <-c:
		return true
	case <-ctx.Done():
		return false
	}
}
