// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
)

// fault is what can happen to a request in place of being forwarded, or after it was.
type fault struct {
	name  string
	does  func(c matrixCase, u *undoing) faultproxy.Action
	flags []string
	code  int    // of the answer, where there is one
	says  string // what a message about it holds
	bears bool   // the client waits, or asks again and is answered
	asks  bool   // so it is where nothing is changed
	lands bool   // after the answer: before the next run, or after it
	kills bool
}

// undoing is a fault under way.
type undoing struct {
	request faultproxy.Request
	pid     func() int
	late    chan struct{}
}

var faults = []fault{
	{name: "reset", does: instead(faultproxy.ResetBefore()), says: "connection reset by peer", asks: true},
	{name: "end of file", does: instead(faultproxy.Cut()), says: "EOF", asks: true},
	{name: "half a body", does: half, says: "the API server's answer broke off: unexpected EOF"},
	{name: "hang, until the server closes", does: instead(faultproxy.Hang(300 * time.Millisecond)), says: "EOF", asks: true},
	{name: "hang, until the client gives up", does: instead(faultproxy.Hang(time.Minute)), says: "request canceled|deadline exceeded", flags: []string{"--request-timeout", "3s"}},
	{name: "delay", does: delay, bears: true},
	refusal(401),
	refusal(403),
	refusal(409, "another process changed"),
	refusal(413),
	refusal(422),
	refusal(429),
	{name: "429 with Retry-After", does: refuse(429, faultproxy.RetryAfter(0)), bears: true},
	refusal(500),
	{name: "503 with Retry-After", does: refuse(503, faultproxy.RetryAfter(0)), bears: true},
	refusal(504),
	{name: "504, and it lands later", does: land, says: "may still be processing the request", lands: true},
	{name: "kill -9", does: kill, kills: true},
}

// refusal is an answer with that code; what is said of it is the API server's message, or or.
func refusal(code int, or ...string) fault {
	says := slices.Concat(or, []string{regexp.QuoteMeta(echoPolicy + echoMessage)})
	return fault{name: strconv.Itoa(code), does: refuse(code, nil), code: code, says: strings.Join(says, "|")}
}

// instead does a where the request is not forwarded, or once it was.
func instead(a faultproxy.Action) func(matrixCase, *undoing) faultproxy.Action {
	return func(c matrixCase, _ *undoing) faultproxy.Action { return c.place(a) }
}

func (c matrixCase) place(a faultproxy.Action) faultproxy.Action {
	if c.side == after {
		return faultproxy.After(a)
	}
	return a
}

// half gives a half of the reply, or of an error where there is none.
func half(c matrixCase, u *undoing) faultproxy.Action {
	if c.side == after {
		return faultproxy.HalfReply()
	}
	header, body := quoting(500, echoes[0], u.request)
	return faultproxy.HalfStatus(500, header, body)
}

func delay(c matrixCase, _ *undoing) faultproxy.Action {
	if c.side == after {
		return faultproxy.Delay(0, 200*time.Millisecond)
	}
	return faultproxy.Delay(200*time.Millisecond, 0)
}

// refuse answers with an error that quotes the request.
func refuse(code int, more http.Header) func(matrixCase, *undoing) faultproxy.Action {
	return func(c matrixCase, u *undoing) faultproxy.Action {
		header, body := quoting(code, echoes[(code+c.at.nth)%len(echoes)], u.request)
		maps.Copy(header, more)
		return c.place(faultproxy.Status(code, header, body))
	}
}

func land(_ matrixCase, u *undoing) faultproxy.Action { return faultproxy.LandWhen(u.late) }

func kill(c matrixCase, u *undoing) faultproxy.Action {
	return c.place(faultproxy.KillBefore(u.pid))
}

// run is one case.
func (c matrixCase) run(t *testing.T) {
	sw := c.verb.swept()
	s, proxy := sw.prepare(t), startProxy(t)
	s.holds()
	was := s.keys().primary
	u := &undoing{late: make(chan struct{})}
	run := s.disturbed(proxy, slices.Concat(sw.args(s), c.fault.flags, []string{"-v", "9"}), func(pid func() int) []faultproxy.Rule {
		u.pid = pid
		return append(c.verb.provoke(c.kind), ofKind(c.kind, c.once(u)))
	})
	if c.side == before {
		lands(s, proxy, u.late)
	}
	if u.request.N == 0 {
		t.Fatalf("it met no fault: %v\n%s", run.err, run.out)
	}
	s.holds()
	durable := s.keys().primary
	c.ended(s, run, u.request)
	s.saysNothing(run.out.String(), proxy.Requests())
	sw.again(s)
	if c.side == after {
		lands(s, proxy, u.late)
	}
	s.settled()
	sw.check(s)
	if durable != was && s.keys().primary != durable {
		t.Error("the next run made another key than the one that was on disk")
	}
}

// once has the fault happen at one of the requests.
func (c matrixCase) once(u *undoing) faultproxy.Rule {
	asked := 0
	return func(r faultproxy.Request) faultproxy.Action {
		if asked++; asked != c.at.nth {
			return nil
		}
		u.request = r
		return c.fault.does(c, u)
	}
}

// ended asserts how the run with the fault ended, and that it says what failed: 0 means that
// all is done.
func (c matrixCase) ended(s *site, run *running, asked faultproxy.Request) {
	s.t.Helper()
	if c.fault.kills {
		if !diedOfKill(s.t, run.err) {
			s.t.Errorf("it was not killed\n%s", run.out)
		}
		return
	}
	code, out := run.ended(s.t)
	if !slices.Contains(c.codes(), code) {
		s.t.Errorf("exit code %d, want one of %v\n%s", code, c.codes(), out)
	}
	if code == 0 {
		done := *s
		done.underWay = underWay{}
		done.holds()
		c.verb.swept().check(s)
		return
	}
	says := c.says(path.Base(asked.Path))
	if code == 1 { // it went on, and something is kept
		says = []string{c.fault.says + "|not allowed to list "}
	}
	for _, pattern := range says {
		if !regexp.MustCompile("(?m)" + pattern).MatchString(out) {
			s.t.Errorf("exit code %d, and it does not say %s\n%s", code, pattern, out)
		}
	}
}

// codes gives the exit codes that are right.
func (c matrixCase) codes() []int {
	switch {
	case c.fault.bears, c.kind == watchKind, changes(c.kind) && c.side == after && !c.fault.lands:
		return []int{0} // it looks after each error
	case changes(c.kind):
		return []int{2}
	case c.kind == dryRunKind:
		return []int{0, 2} // a push goes on without, a rotation does not
	case c.fault.asks:
		return []int{0} // the client asks again
	case c.verb.walks && c.kind != getKind:
		return []int{0, 1, 2} // which list it is decides whether the run can do without
	case c.kind == listKind && c.fault.name == "403":
		return []int{0, 2} // in place of a list of our own Secrets, it gets each by its name
	default:
		return []int{2}
	}
}

// says gives what the messages have to hold when a run has not done all.
func (c matrixCase) says(name string) []string {
	switch {
	case c.kind == getKind && c.verb.provoked != "":
		return []string{`^error: \S+/\S+.*: cannot reach http://127\.0\.0\.1:\d+: EOF`}
	case c.kind == createKind:
		return []string{`^error: secret/` + ".*(" + c.fault.says + ")"}
	case changes(c.kind), c.kind == getKind && (c.verb.name == "retire" || c.verb.name == "wire"):
		return []string{`^error: \S+/` + regexp.QuoteMeta(name) + ".*(" + c.fault.says + ")"}
	case c.kind == discoveryKind && c.fault.code != 0 && c.fault.code != 401:
		return []string{fmt.Sprintf(`^error: cannot look at what kinds of objects there are: the API server answered HTTP %d$`, c.fault.code)}
	case c.kind == discoveryKind && c.fault.code == 401: // of which client-go keeps the code alone
		return []string{"^error: the API server does not accept these credentials$"}
	case c.fault.code == 403:
		return []string{"^error: .*(" + c.fault.says + ")|^warning: .*not allowed to list "}
	case c.kind != dryRunKind && (c.fault.code > 403 || c.fault.name == "half a body"):
		return []string{"^(error|warning): .+: .*(" + c.fault.says + ")"} // what it looked at comes first
	default:
		return []string{"^error: .*(" + c.fault.says + ")"}
	}
}

// saysNothing asserts that nothing secret is in an output, no control character, and no
// trace of a crash.
func (s *site) saysNothing(out string, requests []faultproxy.Request) {
	s.t.Helper()
	secrets := slices.Concat(slices.Collect(maps.Values(s.values)), keysOf(s.t, s.dir), tokensOf(s.t, s.dir))
	for _, r := range requests {
		for _, token := range tokenColumn.FindAll(r.Body, -1) {
			secrets = append(secrets, string(token))
		}
	}
	slices.Sort(secrets)
	noRunOf(s.t, "the output", out, slices.Compact(secrets))
	if strings.ContainsFunc(out, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
		s.t.Errorf("a control character:\n%q", out)
	}
	for _, sign := range []string{"panic", "goroutine", "internal error", ".go:"} {
		if strings.Contains(out, sign) {
			s.t.Errorf("it says %q:\n%s", sign, out)
		}
	}
}
