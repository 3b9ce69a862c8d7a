// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"flag"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/target"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file in testdata/status.
func golden(t *testing.T, name, got string) {
	t.Helper()
	goldenIn(t, "status", name, got)
}

// goldenIn compares with a file in a folder of testdata.
func goldenIn(t *testing.T, folder, name, got string) {
	t.Helper()
	path := filepath.Join("..", "..", "testdata", folder, name)
	if *update {
		put(t, path, got)
	}
	if want := get(t, path); got != want {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

var now = time.Date(2031, 2, 3, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) *time.Time {
	at := now.Add(-d)
	return &at
}

// statusItems have all that a report can say.
func statusItems() []plan.Status {
	const day = 24 * time.Hour
	web, none := []string{"deployment/web", "pod/web-6d5c-x7x2p", "cronjob/tick"}, []string{}
	return []plan.Status{
		{Namespace: "prod", EnvKey: "SECRET_A", Secret: "secret-a-g2", Generation: 2, KeyID: "k0123abcd", KeySince: ago(100 * day), ValueSince: ago(400 * day), UsedBy: web,
			Older: []plan.Older{{Secret: "secret-a", KeyID: "k9876fedc", UsedBy: none}}, State: plan.ToRetire, Gone: []plan.Gone{}, OverAge: none, Future: none},
		{Namespace: "prod", EnvKey: "SECRET_B", Secret: "secret-b-g3", Generation: 3, KeyID: "k0123abcd", KeySince: ago(100 * day), ValueSince: ago(2 * time.Hour), UsedBy: none,
			Older: []plan.Older{{Secret: "secret-b-g2", KeyID: "k9876fedc", UsedBy: []string{"statefulset/db"}}, {Secret: "secret-b", KeyID: "k9876fedc", UsedBy: none}}, State: plan.ToRollOut, Gone: []plan.Gone{}, OverAge: none, Future: none},
		{Namespace: "prod", EnvKey: "SECRET-C", Secret: "secret-c", Generation: 1, KeyID: "k9876fedc", KeySince: ago(300 * day), ValueSince: ago(30 * time.Second), UsedBy: web[:1], Older: []plan.Older{}, State: plan.Unfinished, Gone: []plan.Gone{}, OverAge: none, Future: none},
		{Namespace: "prod", EnvKey: "SECRET_D", UsedBy: none, Older: []plan.Older{}, State: plan.Missing, Gone: []plan.Gone{}, OverAge: none, Future: none},
		{Namespace: "prod", EnvKey: "SECRET_E", Secret: "secret-e", Generation: 1, KeyID: "k0123abcd", UsedBy: none, Older: []plan.Older{}, State: plan.Current, Gone: []plan.Gone{}, OverAge: none, Future: none},
		{Namespace: "prod", EnvKey: "SECRET_F", Secret: "secret-f-g2", Generation: 2, KeyID: "k0123abcd", UsedBy: none, Older: []plan.Older{}, State: plan.Broken, Gone: []plan.Gone{{Secret: "secret-f", UsedBy: web[:1]}}, OverAge: none, Future: none},
		{Namespace: "prod", Keyring: "fernet-key", Secret: "fernet-key-g2", Generation: 2, KeyID: "k0123abcd", KeySince: ago(100 * day), UsedBy: web[:1], Older: []plan.Older{{Secret: "fernet-key-g1", KeyID: "k9876fedc", UsedBy: none}}, State: plan.ToRetire, Gone: []plan.Gone{}, OverAge: none, Future: none},
	}
}

// statusRun is a status that has looked already.
type statusRun struct {
	*app
	o       *statusOptions
	session *action.Session
	report  *action.StatusReport
}

func newStatusRun(items []plan.Status, namespaces ...string) (r *statusRun, out, errOut func() string) {
	a, stdout, stderr := newApp()
	a.machine.Now = func() time.Time { return now }
	a.console.begin("target")
	o := &statusOptions{workOptions: noWorkOptions()}
	session := &action.Session{Target: target.Target{Cluster: "main", Namespaces: namespaces}}
	return &statusRun{a, o, session, &action.StatusReport{Items: items}}, stdout.String, stderr.String
}

func (r *statusRun) judgeAges() {
	for i := range r.report.Items {
		r.report.Items[i].JudgeTimes(now, time.Duration(r.o.maxAge), time.Duration(r.o.maxValueAge))
	}
}

func (r *statusRun) print() error { return r.printStatus(r.o, r.session, r.report.Items) }
func (r *statusRun) next() error  { return r.afterStatus(r.o, r.session, r.report) }

func TestStatusTable(t *testing.T) {
	for _, tc := range []struct {
		file, output string
		namespaces   []string
	}{
		{"table.txt", "", []string{"prod"}},
		{"wide.txt", "wide", []string{"prod"}},
		{"namespaces.txt", "", []string{"prod", "test"}},
	} {
		r, out, _ := newStatusRun(statusItems(), tc.namespaces...)
		r.o.output = tc.output
		r.o.maxAge, r.o.maxValueAge = age(99*24*time.Hour), age(time.Hour)
		r.judgeAges()
		if err := r.print(); err != nil {
			t.Fatal(err)
		}
		golden(t, tc.file, out())
	}
}

func TestStatusReport(t *testing.T) {
	for output, file := range map[string]string{"json": "report.json", "yaml": "report.yaml", "name": "names.txt"} {
		r, out, _ := newStatusRun(statusItems(), "prod")
		r.o.output, r.o.maxAge = output, age(99*24*time.Hour)
		r.judgeAges()
		if err := r.print(); err != nil {
			t.Fatal(err)
		}
		golden(t, file, out())
	}
}

func TestStatusOfNothing(t *testing.T) {
	for output, want := range map[string]string{
		"":     "",
		"name": "",
		"json": "{\n    \"apiVersion\": \"kubectl-fernet.github.io/v1\",\n    \"kind\": \"StatusReport\",\n    \"cluster\": \"main\",\n    \"items\": []\n}\n",
		"yaml": "apiVersion: kubectl-fernet.github.io/v1\ncluster: main\nitems: []\nkind: StatusReport\n",
	} {
		r, out, errOut := newStatusRun(nil, "prod")
		r.o.output = output
		if err := errors.Join(r.print(), r.next()); err != nil || out() != want || !strings.Contains(errOut(), `note: nothing of this .env is in namespace "prod"`) {
			t.Errorf("-o %q: %v, %q\n%s", output, err, out(), errOut())
		}
	}
}

// A limit is reached when the age is more, not when it is as much.
func TestStatusOverAge(t *testing.T) {
	const limit = 100 * time.Hour
	for _, tc := range []struct {
		key, value       time.Duration
		keyMax, valueMax time.Duration
		want             string
	}{
		{limit + 1, limit + 1, 0, 0, ""},
		{limit, limit, limit, limit, ""},
		{limit + 1, limit, limit, limit, "key"},
		{limit, limit + 1, limit, limit, "value"},
		{limit + 1, limit + 1, limit, limit, "key and value"},
		{limit + 1, limit + 1, limit, 0, "key"},
		{limit + 1, limit + 1, 0, limit, "value"},
	} {
		r, _, _ := newStatusRun([]plan.Status{{KeySince: ago(tc.key), ValueSince: ago(tc.value), State: plan.Current}, {State: plan.Current}}, "prod")
		r.o.maxAge, r.o.maxValueAge = age(tc.keyMax), age(tc.valueMax)
		r.judgeAges()
		if got := strings.Join(r.report.Items[0].OverAge, " and "); got != tc.want || len(r.report.Items[1].OverAge) != 0 {
			t.Errorf("%+v: %q, unknown ages %v", tc, got, r.report.Items[1].OverAge)
		}
		if err := r.next(); errors.Is(err, errFindings) != (tc.want != "") {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}

// specialItems are broken ones, whose next step depends on what else is known.
var specialItems = map[string]plan.Status{
	"lost":     {State: plan.Broken, EnvKey: "SECRET_A", Secret: "secret-a", Missing: true},
	"lostring": {State: plan.Broken, Keyring: "fernet-key"},
	"unpushed": {State: plan.Broken, EnvKey: "SECRET_A"},
	"retired":  {State: plan.Broken},
	"newest":   {State: plan.Broken, EnvKey: "SECRET_A", Secret: "secret-a", Generation: 1, Gone: []plan.Gone{{Secret: "secret-a-g2"}}},
}

// A Secret under an older key that was dropped too early needs that key, and no newer .env.
func TestStatusOfAForgottenKey(t *testing.T) {
	item := plan.Status{Namespace: "prod", EnvKey: "SECRET_A", Secret: "secret-a", KeyID: "k9876fedc", State: plan.Unfinished}
	r, _, errOut := newStatusRun([]plan.Status{item}, "prod")
	r.report.Forgotten = []plan.Status{item}
	code := r.exit(r.next())
	if said := errOut(); code != 1 || strings.Contains(said, "next:") ||
		!strings.Contains(said, `secret/secret-a in namespace "prod" is under key k9876fedc, an older one that this keyring no longer has`) ||
		!strings.Contains(said, "hint: put the key k9876fedc back into KEY_PREVIOUS") {
		t.Errorf("exit code %d\n%s", code, said)
	}
}

// What could not be looked at makes an exit code of its own, whatever the rest says.
func TestInPart(t *testing.T) {
	for _, tc := range []struct {
		err  error
		seen bool
		code int
	}{
		{nil, true, 0}, {errFindings, true, 1}, {nil, false, 2}, {errFindings, false, 2}, {errInterrupted, false, 130},
	} {
		r, _, errOut := newStatusRun(nil, "prod")
		if r.app.session = r.session; !tc.seen {
			r.session.Unseen = []action.Unseen{{Namespace: "prod", What: "pods"}}
		}
		if code := r.exit(r.inPart(tc.err, "status")); code != tc.code || strings.Contains(errOut(), "rbac --for status") != (tc.code == 2) {
			t.Errorf("%v: exit code %d\n%s", tc.err, code, errOut())
		}
	}
}

// The most urgent step is named, and only what needs somebody gives exit code 1.
func TestStatusNext(t *testing.T) {
	for _, tc := range []struct {
		states   string
		previous bool
		over     []string
		next     string
		code     int
	}{
		{states: "current"},
		{states: "current", previous: true, next: "retire"},
		{states: "current retire", next: "retire"},
		{states: "retire", over: []string{"key"}, next: "rotate", code: 1},
		{states: "retire rollout", over: []string{"key"}, next: "rollout", code: 1},
		{states: "retire rollout unfinished", over: []string{"value"}, next: "rotate", code: 1},
		{states: "unfinished missing rollout", next: "restore", code: 1},
		{states: "retire broken", next: "rollout", code: 1},
		{states: "broken unfinished", next: "rotate", code: 1},
		{states: "rollout lost", next: "restore", code: 1},
		{states: "rollout lostring", next: "restore", code: 1},
		{states: "rollout unpushed", next: "push", code: 1},
		{states: "retired retire", next: "retire", code: 1},
		{states: "rollout newest", next: "restore", code: 1},
	} {
		var items []plan.Status
		for _, state := range strings.Fields(tc.states) {
			item, special := specialItems[state]
			if !special {
				item = plan.Status{State: plan.State(state), EnvKey: "SECRET_A", Secret: "secret-a"}
			}
			item.OverAge = tc.over
			items = append(items, item)
		}
		r, _, errOut := newStatusRun(items, "prod")
		r.o.env = "a b"
		if tc.previous {
			r.report.Previous = true
		}
		code := r.exit(r.next())
		_, next, _ := strings.Cut(errOut(), "next: kubectl fernet ")
		if code != tc.code || !strings.HasPrefix(next, tc.next) || tc.next == "" && next != "" || next != "" && !strings.HasPrefix(next, tc.next+" --env 'a b' ") {
			t.Errorf("%s: exit code %d, next %q", tc.states, code, next)
		}
	}
}
