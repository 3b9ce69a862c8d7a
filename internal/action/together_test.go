// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// colleague gives a desk with copies of the .env and the ledger, in a folder of its own, and
// the same cluster.
func (d *desk) colleague() *desk {
	d.t.Helper()
	dir := d.t.TempDir()
	other := &desk{t: d.t, cluster: d.cluster, files: d.files, request: d.request}
	other.request.Env, other.request.Ledger = filepath.Join(dir, DefaultEnv), filepath.Join(dir, DefaultLedger)
	put(d.t, other.request.Env, get(d.t, d.request.Env))
	put(d.t, other.request.Ledger, get(d.t, d.request.Ledger))
	return other
}

// merge adds what a ledger lacks of the lines of another one, as git's union does.
func (d *desk) merge(from *desk) {
	d.t.Helper()
	mine := get(d.t, d.request.Ledger)
	for line := range strings.Lines(get(d.t, from.request.Ledger)) {
		if !strings.Contains(mine, line) {
			mine += line
		}
	}
	put(d.t, d.request.Ledger, mine)
}

func (d *desk) pull() {
	d.t.Helper()
	r := d.request
	r.Machine, r.Tell = On(d.files), func(Event) {}
	p, err := Pull{Out: r.Env}.Plan(d.t.Context(), r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer p.Close()
	if _, _, err := p.Apply(); err != nil {
		d.t.Fatal(err)
	}
}

// entries gives the names in a Secret of namespace a.
func (d *desk) entries(secret string) (names []string) {
	for _, e := range d.cluster.secrets[[2]string{"a", secret}].Placed().Entries() {
		names = append(names, e.Name)
	}
	return names
}

// Two who each add another entry to one bundle have the same ledger and look at the same
// moment: one gets the next generation, the other one learns that. What the first one added
// is not left out by the second one's next push, and after a pull both entries are there.
func TestTwoAddToOneBundle(t *testing.T) {
	first := newDesk(t, bundled, "a")
	first.must((*desk).push)
	second := first.colleague()
	first.edit("SECRET_C=three\n", "SECRET_C=three\nSECRET_FIRST=1\n")
	second.edit("SECRET_C=three\n", "SECRET_C=three\nSECRET_SECOND=2\n")

	verb := Push{Update: true}
	s, err := second.open(verb.Needs())
	if err != nil {
		t.Fatal(err)
	}
	p, err := verb.Plan(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	first.must((*desk).push)
	if err := p.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if got := p.Decisions[0].Outcome; got != plan.Differs {
		t.Errorf("the second one gets %s, want differs", got)
	}
	want := []string{"SECRET_A", "SECRET_B", "SECRET_C", "SECRET_FIRST"}
	if got := first.entries("web-g2"); !slices.Equal(got, want) {
		t.Errorf("web-g2 has %q, want %q", got, want)
	}

	decisions, err := second.pushAs(t.Context(), verb)
	if err != nil || decisions[0].Outcome != plan.Differs || !slices.Equal(decisions[0].Dropped, []string{"SECRET_FIRST"}) {
		t.Errorf("the next push: %v, %s, which would drop %q", err, decisions[0].Outcome, decisions[0].Dropped)
	}
	if len(first.cluster.names()) != 2 {
		t.Errorf("there are %q", first.cluster.names())
	}

	second.merge(first)
	second.pull()
	if decisions, err := second.pushAs(t.Context(), verb); err != nil || decisions[0].Outcome != plan.Created || len(decisions[0].Dropped) > 0 {
		t.Errorf("after the pull: %v, %s, dropped %q", err, decisions[0].Outcome, decisions[0].Dropped)
	}
	third := first.cluster.names()[len(first.cluster.names())-1]
	if got, want := first.entries(strings.TrimPrefix(third, "a/")), append(want, "SECRET_SECOND"); !slices.Equal(got, want) {
		t.Errorf("%s has %q, want %q", third, got, want)
	}
	second.wantRecorded()
	first.merge(second)
	first.pull()
	if decisions, err := first.pushAs(t.Context(), Push{}); err != nil || decisions[0].Outcome != plan.Unchanged {
		t.Errorf("the first one's next push: %v, %s", err, decisions[0].Outcome)
	}
}

// outrun is a cluster in which something happens before the first create that is no dry run.
type outrun struct {
	*memCluster
	first func()
}

func (o *outrun) before(dryRun bool) {
	if !dryRun && o.first != nil {
		first := o.first
		o.first = nil
		first()
	}
}

func (o *outrun) Create(ctx context.Context, row ledger.Row, dryRun bool) cluster.Result {
	o.before(dryRun)
	return o.memCluster.Create(ctx, row, dryRun)
}

func (o *outrun) CreateAll(ctx context.Context, rows []ledger.Row, parallel int, dryRun bool, done func(int, cluster.Result)) {
	o.before(dryRun)
	o.memCluster.CreateAll(ctx, rows, parallel, dryRun, done)
}

// Of two rotations of one bundle at the same moment, the one whose create comes first goes
// on: its create is the lock. The other one writes nothing.
func TestTwoRotateOneBundle(t *testing.T) {
	first := newDesk(t, bundled, "a")
	first.must((*desk).push)
	second := first.colleague()
	s, err := second.open(Rotate{}.Needs())
	if err != nil {
		t.Fatal(err)
	}
	p, err := Rotate{}.Plan(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	before := get(t, second.request.Ledger)
	s.Cluster = &outrun{second.cluster, func() { first.must((*desk).rotate) }}
	err = p.Apply(t.Context())
	s.Close()
	if d := p.Decisions(); err != nil || len(d) != 1 || d[0].Outcome != plan.Foreign || second.cluster.writes != 2 {
		t.Errorf("the second one: %v, %v, and %d creates by both, want 2 with the push", outcomes(d), err, second.cluster.writes)
	}
	if got, want := first.cluster.names(), []string{"a/web-g1", "a/web-g2"}; !slices.Equal(got, want) {
		t.Errorf("there are %q, want %q", got, want)
	}
	first.wantOneKey(first.cluster.secrets[[2]string{"a", "web-g2"}])
	if now := get(t, second.request.Ledger); !strings.HasPrefix(now, before) {
		t.Error("the ledger of the second one lost rows")
	}
	first.wantRecorded()
	put(t, second.request.Env, get(t, first.request.Env))
	second.merge(first)
	if decisions, err := second.rotate(t.Context()); err != nil || failed(decisions) || len(first.cluster.names()) != 2 {
		t.Errorf("with the other's .env: %v, %v, and there are %q", err, outcomes(decisions), first.cluster.names())
	}
	for _, o := range first.cluster.sorted("a") {
		if _, joined := token.BundleSize(o.Binding); !joined {
			t.Errorf("%s is no bundle", o.Name)
		}
	}
}
