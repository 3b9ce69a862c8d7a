// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile/faultfs"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
)

// retiring is a situation in which retire deletes.
type retiring struct {
	name    string
	prepare func(*desk)
	late    string   // the Secret that a Pod of namespace a names between the walk and the delete
	names   []string // what there is when retire has finished

	env, ledger string // as prepared, and so is the cluster
	cluster     *memCluster
}

var (
	newValues = strings.NewReplacer("=one\n", "=uno\n", "=two\n", "=due\n", "=three\n", "=tre\n")
	onlyNew   = []string{"a/secret-a-g2", "a/secret-b-g2", "a/secret-c-g2", "b/secret-a-g2", "b/secret-b-g2", "b/secret-c-g2"}
)

var retireSituations = []retiring{
	{name: "changed values", prepare: (*desk).changeValues, names: onlyNew},
	{name: "a value that changed twice", prepare: func(d *desk) {
		d.changeValues()
		put(d.t, DefaultEnv, strings.ReplaceAll(get(d.t, DefaultEnv), "=due\n", "=dos\n"))
		d.must((*desk).push)
	}, names: []string{"a/secret-a-g2", "a/secret-b-g3", "a/secret-c-g2", "b/secret-a-g2", "b/secret-b-g3", "b/secret-c-g2"}},
	{name: "a Pod that begins to use a Secret", prepare: (*desk).changeValues, late: "secret-a", names: onlyNew},
	{name: "a new key, in the cluster too", prepare: (*desk).changeKeys, names: append([]string{"a/fernet-key-g2"}, onlyNew...)},
	{name: "a Pod that begins to use the old keyring", prepare: (*desk).changeKeys, late: "fernet-key-g1", names: append([]string{"a/fernet-key-g2"}, onlyNew...)},
}

// changeValues pushes, and pushes other values.
func (d *desk) changeValues() {
	d.must((*desk).push)
	put(d.t, DefaultEnv, newValues.Replace(get(d.t, DefaultEnv)))
	d.must((*desk).push)
}

// changeKeys pushes under one key and other values under the next; namespace a has the
// keyring of each.
func (d *desk) changeKeys() {
	put(d.t, DefaultEnv, strings.ReplaceAll(threeEntries, testKey, keyBefore))
	d.must((*desk).push)
	d.keepKeyring()
	put(d.t, DefaultEnv, newValues.Replace(threeEntries)+"KEY_PREVIOUS="+keyBefore+"\n")
	d.must((*desk).push)
	d.keepKeyring()
}

func (d *desk) keepKeyring() {
	d.t.Helper()
	s, err := d.open(Retire{}.Needs())
	if err != nil {
		d.t.Fatal(err)
	}
	defer s.Close()
	if err := s.dial(); err != nil {
		d.t.Fatal(err)
	}
	if err := s.ensureKeyring(d.t.Context(), "a", "fernet-key", s.Project.Keys, true); err != nil {
		d.t.Fatal(err)
	}
}

// useFromSecondWalk makes a Pod of namespace a name a Secret from the second walk on.
func (d *desk) useFromSecondWalk(secret string) {
	first := map[string]bool{} // namespaces
	d.cluster.refer = func(_ int, namespace string) []usage.Finding {
		again := first[namespace]
		if first[namespace] = true; namespace != "a" || !again {
			return nil
		}
		return []usage.Finding{{Kind: "Pod", Namespace: namespace, Name: "late", Secret: secret, Field: ".spec.volumes[0].secret.secretName", Reason: "running pod"}}
	}
}

// retire is retire --yes; told says that the user is told of something that is left to do.
func (d *desk) retire(ctx context.Context) (p *RetirePlan, told bool, err error) {
	verb := Retire{}
	s, err := d.open(verb.Needs())
	if err != nil {
		return nil, false, err
	}
	defer s.Close()
	if p, err = verb.Plan(ctx, s); err != nil {
		return p, false, err
	}
	if err := p.Apply(ctx); err != nil || p.Has(plan.Failed) {
		return p, true, err
	}
	drop, err := p.DropKeys(ctx)
	if err != nil || len(drop.Reasons) > 0 {
		return p, true, err
	}
	if len(drop.Keys) > 0 {
		err = drop.Apply()
	}
	return p, p.Findings(), err
}

func (d *desk) rows() []ledger.Row {
	d.t.Helper()
	rows, _, err := ledger.Parse(DefaultLedger, []byte(get(d.t, DefaultLedger)))
	if err != nil {
		d.t.Fatal(err)
	}
	return rows
}

// recorded says whether the ledger on the disk has such a row.
func (d *desk) recorded(operation ledger.Operation, state ledger.State, token, uid string) bool {
	return slices.ContainsFunc(d.rows(), func(r ledger.Row) bool {
		return r.Operation == operation && r.State == state && r.Token == token && r.UID == uid
	})
}

// watchDeletes fails the test if something is deleted, or put back, whose planned row is
// not on the disk.
func (d *desk) watchDeletes() {
	d.cluster.deleting = func(o manifest.Object) {
		if o.Kind != manifest.KindKeyring && !d.recorded(ledger.Retire, ledger.Planned, o.Token, o.UID) {
			d.t.Errorf("%s/%s was deleted before its row was durable", o.Namespace, o.Name)
		}
	}
	d.cluster.sent = func(row ledger.Row) {
		if !d.recorded(ledger.Restore, ledger.Planned, row.Token, "") {
			d.t.Errorf("%s/%s was put back before its row was durable", row.Namespace, row.Secret)
		}
	}
}

// wantHonest fails the test if the ledger says of what is there that it was deleted, or if
// the lock is not free.
func (d *desk) wantHonest() {
	d.t.Helper()
	for _, row := range d.rows() {
		if o, there := d.cluster.secrets[[2]string{row.Namespace, row.Secret}]; there && row.State == ledger.Deleted && row.UID == o.UID {
			d.t.Errorf("%s/%s is there, and the ledger has it as deleted", row.Namespace, row.Secret)
		}
	}
	lock, err := ledger.Lock(DefaultLedger)
	if err != nil {
		d.t.Fatal(err)
	}
	_ = lock.Unlock()
}

// Retire in each situation, with each fault at each of its writes, a failure of each of its
// looks and of each of its file calls: no delete comes before its row, no row says deleted
// of what is there, nothing stays locked, and the next run finishes.
func TestEveryFaultOfRetire(t *testing.T) {
	t.Setenv("PATH", "") // git is not asked, a thousand times
	for _, situation := range retireSituations {
		situation.begin(t)
		for _, what := range []fault{unsent, refused, lost, landed, held, changed} {
			situation.loop(t, fmt.Sprintf("fault %d at write", what), 4, func(d *desk, at int) { d.cluster.at, d.cluster.fault = d.cluster.writes+at, what }, func(d *desk) int { return d.cluster.writes })
		}
		situation.loop(t, "no answer to look", 4, func(d *desk, at int) { d.cluster.blind = d.cluster.looks + at }, func(d *desk) int { return d.cluster.looks })
		for _, dies := range []bool{false, true} {
			situation.loop(t, fmt.Sprintf("no disk, and with %v none after it, at file call", dies), 10, func(d *desk, at int) { d.files = &faultfs.FS{FailAt: at, Dies: dies} }, func(d *desk) int {
				if files, faulty := d.files.(*faultfs.FS); faulty {
					return len(files.Calls())
				}
				return 0
			})
		}
	}
}

// loop spoils the first, the second and each further call, until there is none; there are
// at least so many.
func (r retiring) loop(t *testing.T, what string, atLeast int, spoil func(d *desk, at int), calls func(*desk) int) {
	t.Helper()
	at := 1
	for ; r.survives(t, fmt.Sprintf("%s: %s %d", r.name, what, at), func(d *desk) { spoil(d, at) }, func(d *desk, before int) bool { return calls(d)-before >= at }, calls); at++ {
	}
	if at <= atLeast {
		t.Errorf("%s: only %d times %s", r.name, at-1, what)
	}
}

// begin prepares the situation once, for all that is tried in it.
func (r *retiring) begin(t *testing.T) {
	t.Helper()
	d := newDesk(t, threeEntries, "a", "b")
	r.prepare(d)
	r.env, r.ledger, r.cluster = get(t, DefaultEnv), get(t, DefaultLedger), d.cluster
}

// again gives a desk in the situation.
func (r retiring) again(t *testing.T) *desk {
	t.Helper()
	d := newDesk(t, r.env, "a", "b")
	put(t, DefaultLedger, r.ledger)
	d.cluster.secrets, d.cluster.whole, d.cluster.uids = maps.Clone(r.cluster.secrets), maps.Clone(r.cluster.whole), r.cluster.uids
	d.watchDeletes()
	d.useFromSecondWalk(r.late)
	return d
}

// survives retires with a fault and then without, and says whether the fault came.
func (r retiring) survives(t *testing.T, name string, spoil func(*desk), came func(d *desk, before int) bool, calls func(*desk) int) (happened bool) {
	t.Run(name, func(t *testing.T) {
		d := r.again(t)
		before := calls(d)
		spoil(d)
		_, told, err := d.retire(t.Context())
		if happened = came(d, before); happened && err == nil && !told && d.files == atomicfile.OS {
			t.Error("a fault that nobody is told of")
		}
		d.wantHonest()
		d.files, d.cluster.at, d.cluster.blind, d.cluster.refer = atomicfile.OS, 0, 0, nil
		if _, told, err := d.retire(t.Context()); err != nil || told {
			t.Errorf("the next run: %v, told %v: %+v", err, told, d.said)
		}
		d.wantHonest()
		d.wantRetired(r.cluster.sorted(""), r.names)
	})
	return happened
}

// wantRetired holds cluster, ledger and .env against what retire has to leave.
func (d *desk) wantRetired(before []manifest.Object, names []string) {
	d.t.Helper()
	if got := d.cluster.names(); !slices.Equal(got, names) {
		d.t.Errorf("there are %q, want %q", got, names)
	}
	for _, o := range before {
		if slices.Contains(names, o.Namespace+"/"+o.Name) || o.Kind == manifest.KindKeyring {
			continue
		}
		if !d.recorded(ledger.Retire, ledger.Deleted, o.Token, o.UID) {
			d.t.Errorf("%s/%s was deleted, and the ledger has no such row", o.Namespace, o.Name)
		}
	}
	if strings.Contains(get(d.t, DefaultEnv), keyBefore) {
		d.t.Error("the previous key was not dropped")
	}
}
