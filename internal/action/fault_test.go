// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile/faultfs"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

const threeEntries = "KEY=" + testKey + "\nSECRET_A=one\nSECRET_B=two\nSECRET_C=three\n"

// creating is a use case that creates, as a test runs it.
type creating struct {
	name    string
	prepare func(d *desk)
	run     func(*desk, context.Context) ([]plan.Decision, error)
	names   []string // what there is at its end
}

var creatingVerbs = []creating{
	{"push", func(*desk) {}, (*desk).push, []string{"a/secret-a", "a/secret-b", "a/secret-c", "b/secret-a", "b/secret-b", "b/secret-c"}},
	{"push of changed values", func(d *desk) {
		d.must((*desk).push)
		put(d.t, DefaultEnv, strings.NewReplacer("one", "uno", "three", "tre").Replace(threeEntries))
	}, (*desk).push, []string{"a/secret-a", "a/secret-a-g2", "a/secret-b", "a/secret-c", "a/secret-c-g2", "b/secret-a", "b/secret-a-g2", "b/secret-b", "b/secret-c", "b/secret-c-g2"}},
	{"restore", func(d *desk) {
		d.must((*desk).push)
		d.cluster.secrets = newMemCluster().secrets
	}, (*desk).restore, []string{"a/secret-a", "a/secret-b", "a/secret-c", "b/secret-a", "b/secret-b", "b/secret-c"}},
	{"rotate", func(d *desk) { d.must((*desk).push) }, (*desk).rotate, []string{
		"a/secret-a", "a/secret-a-g2", "a/secret-b", "a/secret-b-g2", "a/secret-c", "a/secret-c-g2",
		"b/secret-a", "b/secret-a-g2", "b/secret-b", "b/secret-b-g2", "b/secret-c", "b/secret-c-g2",
	}},
}

func (d *desk) must(run func(*desk, context.Context) ([]plan.Decision, error)) {
	d.t.Helper()
	if _, err := run(d, d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

// push is push --update.
func (d *desk) push(ctx context.Context) ([]plan.Decision, error) {
	verb := Push{Update: true}
	s, err := d.open(verb.Needs())
	if err != nil {
		return nil, err
	}
	defer s.Close()
	p, err := verb.Plan(ctx, s)
	if err != nil {
		return nil, err
	}
	err = p.Apply(ctx)
	return p.Decisions, err
}

func (d *desk) restore(ctx context.Context) ([]plan.Decision, error) {
	s, err := d.open(Restore{}.Needs())
	if err != nil {
		return nil, err
	}
	defer s.Close()
	p, err := Restore{}.Plan(ctx, s)
	if err != nil {
		return nil, err
	}
	err = p.Apply(ctx)
	return p.Decisions, err
}

// watch fails the test if a token leaves that the ledger on the disk does not have (R2),
// and if a name is sent with other bytes than it had once.
func (d *desk) watch() {
	d.cluster.sent = func(row ledger.Row) {
		at := [2]string{row.Namespace, row.Secret}
		if was := d.cluster.had[at]; was != "" && was != row.Token {
			d.t.Errorf("%s/%s was sent with other bytes", row.Namespace, row.Secret)
		}
		d.cluster.had[at] = row.Token
		if !strings.Contains(get(d.t, DefaultLedger), row.Token) {
			d.t.Errorf("%s/%s was sent before its row was durable", row.Namespace, row.Secret)
		}
	}
}

// Each verb that creates, with each fault at each of its creates and a full disk at each
// of its file calls: the protocol holds at the fault, nothing stays locked, and the next
// run of the same verb finishes.
func TestEveryFaultOfCreating(t *testing.T) {
	for _, verb := range creatingVerbs {
		for _, what := range []fault{unsent, refused, lost, landed} {
			at := 1
			for ; verb.survives(t, fmt.Sprintf("%s: fault %d at create %d", verb.name, what, at), func(d *desk) { d.cluster.at, d.cluster.fault = d.cluster.writes+at, what }, func(d *desk, before int) bool {
				return d.cluster.writes-before >= at
			}); at++ {
			}
			if at < 4 {
				t.Errorf("%s: only %d creates had fault %d", verb.name, at-1, what)
			}
		}
		for _, dies := range []bool{false, true} {
			at := 1
			for ; verb.survives(t, fmt.Sprintf("%s: file call %d fails, and with %v all after it", verb.name, at, dies), func(d *desk) { d.files = &faultfs.FS{FailAt: at, Dies: dies} }, func(d *desk, _ int) bool {
				return len(d.files.(*faultfs.FS).Calls()) >= at
			}); at++ {
			}
			if at < 10 {
				t.Errorf("%s: only %d file calls failed", verb.name, at-1)
			}
		}
	}
}

// survives runs the verb with a fault and then without, and says whether the fault came.
func (c creating) survives(t *testing.T, name string, spoil func(*desk), came func(d *desk, before int) bool) (happened bool) {
	t.Run(name, func(t *testing.T) {
		d := newDesk(t, threeEntries, "a", "b")
		c.prepare(d)
		d.watch()
		before := d.cluster.writes
		spoil(d)
		decisions, err := c.run(d, t.Context())
		happened = came(d, before)
		if happened && err == nil && !slices.ContainsFunc(decisions, func(d plan.Decision) bool { return d.Outcome == plan.Failed }) && d.files == atomicfile.OS {
			t.Error("a fault that nobody is told of")
		}
		if errors.Is(err, ErrUnrecorded) != (errors.Is(err, faultfs.ErrFault) && d.cluster.writes > before) {
			t.Errorf("%d creates, and %v", d.cluster.writes-before, err)
		}
		d.files, d.cluster.at = atomicfile.OS, 0
		if decisions, err = c.run(d, t.Context()); err != nil || failed(decisions) {
			t.Errorf("the next run: %v, %v", err, outcomes(decisions))
		}
		if got := d.cluster.names(); !slices.Equal(got, c.names) {
			t.Errorf("there are %q, want %q", got, c.names)
		}
		d.wantRecorded()
	})
	return happened
}

func failed(decisions []plan.Decision) bool {
	return slices.ContainsFunc(decisions, func(d plan.Decision) bool { return d.Outcome != plan.Created && d.Outcome != plan.Unchanged })
}

func outcomes(decisions []plan.Decision) map[plan.State]int {
	count := map[plan.State]int{}
	for _, d := range decisions {
		count[d.Outcome]++
	}
	return count
}

// wantRecorded holds the ledger against the cluster: each Secret that is there has a
// created row with its token and its uid.
func (d *desk) wantRecorded() {
	d.t.Helper()
	rows, _, err := ledger.Parse(DefaultLedger, []byte(get(d.t, DefaultLedger)))
	if err != nil {
		d.t.Fatal(err)
	}
	created := map[string]bool{}
	for _, row := range rows {
		if row.State == ledger.Created {
			created[row.Namespace+row.Secret+row.Token+row.UID] = true
		}
	}
	for _, o := range slices.Collect(maps.Values(d.cluster.secrets)) {
		if !created[o.Namespace+o.Name+o.Token+o.UID] {
			d.t.Errorf("%s/%s is there, and the ledger has no such created row", o.Namespace, o.Name)
		}
	}
}

// A ledger that lacks a Secret which is there, and proven ours, gets its row by a restore
// of others.
func TestRestoreConfirms(t *testing.T) {
	d := newDesk(t, threeEntries, "a")
	d.must((*desk).push)
	var rows []string
	for _, line := range strings.Split(get(t, DefaultLedger), "\n") {
		if !strings.Contains(line, ",secret-b,") || strings.Contains(line, ",planned,") {
			rows = append(rows, line)
		}
	}
	put(t, DefaultLedger, strings.Join(rows, "\n"))
	delete(d.cluster.secrets, [2]string{"a", "secret-a"})
	d.must((*desk).restore)
	d.wantRecorded()
}
