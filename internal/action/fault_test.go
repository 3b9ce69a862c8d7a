// SPDX-License-Identifier: Apache-2.0

package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile/faultfs"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

const (
	threeEntries = "KEY=" + testKey + "\nSECRET_A=one\nSECRET_B=two\nSECRET_C=three\n"
	bundled      = threeEntries + bundleLine
)

// creating is a use case that creates, as a test runs it.
type creating struct {
	name    string
	env     string
	prepare func(d *desk)
	run     func(*desk, context.Context) ([]plan.Decision, error)
	names   []string // what there is at its end
	creates int      // at least so many
}

var creatingVerbs = []creating{
	{"push", threeEntries, func(*desk) {}, (*desk).push, []string{"a/secret-a", "a/secret-b", "a/secret-c", "b/secret-a", "b/secret-b", "b/secret-c"}, 3},
	{"push of changed values", threeEntries, func(d *desk) {
		d.must((*desk).push)
		d.edit("one", "uno", "three", "tre")
	}, (*desk).push, []string{"a/secret-a", "a/secret-a-g2", "a/secret-b", "a/secret-c", "a/secret-c-g2", "b/secret-a", "b/secret-a-g2", "b/secret-b", "b/secret-c", "b/secret-c-g2"}, 3},
	{"restore", threeEntries, func(d *desk) {
		d.must((*desk).push)
		d.cluster.secrets = newMemCluster().secrets
	}, (*desk).restore, []string{"a/secret-a", "a/secret-b", "a/secret-c", "b/secret-a", "b/secret-b", "b/secret-c"}, 3},
	{"rotate", threeEntries, func(d *desk) { d.must((*desk).push) }, (*desk).rotate, []string{
		"a/secret-a", "a/secret-a-g2", "a/secret-b", "a/secret-b-g2", "a/secret-c", "a/secret-c-g2",
		"b/secret-a", "b/secret-a-g2", "b/secret-b", "b/secret-b-g2", "b/secret-c", "b/secret-c-g2",
	}, 3},
	{"push of a bundle", bundled, func(*desk) {}, (*desk).push, []string{"a/web-g1", "b/web-g1"}, 2},
	{"push of a bundle with other entries", bundled, func(d *desk) {
		d.must((*desk).push)
		d.edit("one", "uno", "SECRET_C", "SECRET_D")
	}, (*desk).push, []string{"a/web-g1", "a/web-g2", "b/web-g1", "b/web-g2"}, 2},
	{"restore of a bundle", bundled, func(d *desk) {
		d.must((*desk).push)
		d.cluster.secrets = newMemCluster().secrets
	}, (*desk).restore, []string{"a/web-g1", "b/web-g1"}, 2},
	{"rotate of a bundle", bundled, func(d *desk) { d.must((*desk).push) }, (*desk).rotate, []string{"a/web-g1", "a/web-g2", "b/web-g1", "b/web-g2"}, 2},
	{"push of single Secrets as a bundle", threeEntries, func(d *desk) {
		d.must((*desk).push)
		put(d.t, DefaultEnv, bundled)
	}, (*desk).push, []string{"a/secret-a", "a/secret-b", "a/secret-c", "a/web-g1", "b/secret-a", "b/secret-b", "b/secret-c", "b/web-g1"}, 2},
	{"push of a bundle as single Secrets", bundled, func(d *desk) {
		d.must((*desk).push)
		put(d.t, DefaultEnv, threeEntries)
	}, (*desk).push, []string{"a/secret-a", "a/secret-b", "a/secret-c", "a/web-g1", "b/secret-a", "b/secret-b", "b/secret-c", "b/web-g1"}, 3},
}

func (d *desk) must(run func(*desk, context.Context) ([]plan.Decision, error)) {
	d.t.Helper()
	if _, err := run(d, d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

// edit replaces words of the .env by others.
func (d *desk) edit(oldnew ...string) {
	d.t.Helper()
	put(d.t, d.request.Env, strings.NewReplacer(oldnew...).Replace(get(d.t, d.request.Env)))
}

// push is push --update --drop-entries.
func (d *desk) push(ctx context.Context) ([]plan.Decision, error) {
	return d.pushAs(ctx, Push{Update: true, Drop: true})
}

func (d *desk) pushAs(ctx context.Context, verb Push) ([]plan.Decision, error) {
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
// and if a name is sent with other bytes than it had once, or with tokens of two keys.
func (d *desk) watch() {
	d.cluster.sent = func(row ledger.Row) {
		at := [2]string{row.Namespace, row.Secret}
		if was := d.cluster.had[at]; was != "" && was != row.Token {
			d.t.Errorf("%s/%s was sent with other bytes", row.Namespace, row.Secret)
		}
		d.cluster.had[at] = row.Token
		written := get(d.t, DefaultLedger)
		for _, e := range row.Placed().Entries() {
			if !strings.Contains(written, ","+row.Secret+","+strconv.Itoa(row.Generation)+","+e.Name+","+row.KeyID+","+e.Token+","+row.Binding+",") {
				d.t.Errorf("%s/%s was sent before its rows were durable", row.Namespace, row.Secret)
			}
		}
		d.wantOneKey(manifest.FromSecret(manifest.Secret(row)))
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
			if at <= verb.creates {
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
		d := newDesk(t, c.env, "a", "b")
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
	return slices.ContainsFunc(decisions, func(d plan.Decision) bool {
		return !slices.Contains([]plan.State{plan.Created, plan.Unchanged, plan.Replaced}, d.Outcome)
	})
}

func outcomes(decisions []plan.Decision) map[plan.State]int {
	count := map[plan.State]int{}
	for _, d := range decisions {
		count[d.Outcome]++
	}
	return count
}

// wantRecorded holds the ledger against the cluster: each Secret that is there has a
// created row with its token, or the binding of its bundle, and its uid.
func (d *desk) wantRecorded() {
	d.t.Helper()
	rows, _, err := ledger.Parse(d.request.Ledger, []byte(get(d.t, d.request.Ledger)))
	if err != nil {
		d.t.Fatal(err)
	}
	created := map[string]bool{}
	for _, row := range rows {
		if row.State == ledger.Created {
			created[row.Namespace+row.Secret+cmp.Or(row.Token, row.Binding)+row.UID] = true
		}
	}
	for _, o := range slices.Collect(maps.Values(d.cluster.secrets)) {
		text := o.Token
		if o.Bundle() {
			text = o.Binding
		}
		if !created[o.Namespace+o.Name+text+o.UID] {
			d.t.Errorf("%s/%s is there, and the ledger has no such created row", o.Namespace, o.Name)
		}
	}
}

// wantOneKey asserts that the tokens of a Secret are all under the key that its label says.
func (d *desk) wantOneKey(o manifest.Object) {
	d.t.Helper()
	file, err := envfile.Parse(d.request.Env, []byte(get(d.t, d.request.Env)))
	if err != nil {
		d.t.Fatal(err)
	}
	ring, err := keyring.Find(keyring.FromFile(file))
	if err != nil {
		d.t.Fatal(err)
	}
	for _, e := range o.Placed().Entries() {
		if _, by, err := ring.Open(e.Token); err != nil || by.ID() != o.KeyID {
			d.t.Errorf("%s of %s/%s is not under the key that its label says: %v", e.Name, o.Namespace, o.Name, err)
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
