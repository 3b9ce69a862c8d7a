// SPDX-License-Identifier: Apache-2.0

package adversary

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/finding"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

const histories = 1000 // FERNET_TEST_SEEDS takes another number, FERNET_TEST_SEED takes one

// each plays histories, and says which one failed and what was done in it.
func each(t *testing.T, test func(ours, theirs *project)) {
	first, last := testkube.Seeds(t, histories)
	testkube.Cases(t, histories)
	for seed := first; seed <= last && !t.Failed(); seed++ {
		ours, theirs := history(t, seed)
		test(ours, theirs)
		if t.Failed() {
			t.Logf("FERNET_TEST_SEED=%d replays this:\n  %s\nthe ledger:\n%s", seed, strings.Join(ours.world.steps, "\n  "), brief(ours.rows))
		}
	}
}

func brief(rows []ledger.Row) string {
	var text strings.Builder
	for i, row := range rows {
		signer, _, _ := strings.Cut(strings.TrimPrefix(row.MAC, "v1:"), ":")
		fmt.Fprintf(&text, "  %d %s %s %s/%s/%s %s …%s %s by %s\n", i+2, row.Operation, row.State, row.Cluster, row.Namespace, row.Secret, row.KeyID, row.Token[max(0, len(row.Token)-12):], row.UID, signer)
	}
	return text.String()
}

// facts are what a run decides, in words: what is about a base name, and the rest.
type facts struct {
	about map[string][]string // by base name
	all   []string
}

func (f *facts) add(base, format string, args ...any) {
	f.about[base] = append(f.about[base], fmt.Sprintf(format, args...))
}

// decided gives what push --update, rotate and retire would do.
func (r *run) decided() (f facts) {
	f.about = map[string][]string{}
	for _, namespace := range r.namespaces {
		view := r.view(namespace)
		f.all = append(f.all, fmt.Sprintf("cluster %s: %v", namespace, plan.CheckCluster(view)))
		decisions, err := plan.Push(view, r.wanted, r.sealer.Judge, r.ring, plan.PushOptions{Update: true})
		f.all = append(f.all, fmt.Sprintf("push %s: %v", namespace, err))
		for _, d := range decisions {
			base, _ := names.Split(d.Row.Secret)
			f.add(base, "push %s %s %s %v %s", d.Outcome, namespace, d.Row.Secret, d.Resend, d.Row.Token)
		}
		retired, skipped := plan.Retire(view, plan.Mine(view.Records, r.wanted), r.sealer.Judge, r.ring, func(plan.Wanted) bool { return false })
		for _, item := range retired {
			f.add(item.Object.Base, "retire %s %s %v", namespace, item.Object.Name, item.UIDs)
		}
		for _, d := range skipped {
			base, _ := names.Split(d.Row.Secret)
			f.add(base, "skip %s %s", namespace, d.Row.Secret)
		}
	}
	moves, ok := r.moves()
	f.all = append(f.all, fmt.Sprintf("rotate: %v", ok))
	for _, m := range moves {
		base, _ := names.Split(m.Row.Secret)
		f.add(base, "rotate %s %s %s %v of %s", m.Outcome, m.Row.Namespace, m.Row.Secret, m.Resend, m.From.Token)
	}
	return f
}

// evidence gives all that the evidence adds up to, in words.
func (r *run) evidence() (out []string) {
	out = append(out, fmt.Sprint(r.book.Clusters()), fmt.Sprint(r.book.Proven(theCluster)))
	for _, namespace := range []string{"ns-a", "ns-b", "kube-system"} {
		records, past := r.book.At(theCluster, namespace)
		// Of deleted values the oldest counts; what else is kept depends on the order of rows.
		oldest := map[string]int{}
		for _, record := range records {
			if was, seen := oldest[record.EnvKey]; record.State == ledger.Deleted && (!seen || record.Generation < was) {
				oldest[record.EnvKey] = record.Generation
			}
		}
		for _, record := range records {
			if !record.Hint && (record.State != ledger.Deleted || record.Generation == oldest[record.EnvKey]) {
				out = append(out, fmt.Sprintf("%s %s %s %s %s since %d %v", namespace, record.Secret, record.State, record.KeyID, record.Token, record.Since, record.UIDs()))
			}
		}
		for _, base := range []string{"secret-a", "secret-b", "secret-shared", "secret-x", "web"} {
			out = append(out, fmt.Sprint(namespace, base, past.Known(base)))
		}
		for _, id := range slices.Concat(r.ring.IDs(), strangers) {
			out = append(out, fmt.Sprint(namespace, id, past.Dropped(id)))
		}
		for _, m := range r.truth {
			out = append(out, fmt.Sprint(m.place, past.Deleted(m.name, m.envKey, m.keyID, m.token, m.binding)))
		}
	}
	values := plan.Recall(r.book.Records(), 0)
	for i := range values {
		values[i].Order = 0 // rows may be anywhere
	}
	plan.InOrder(values)
	for _, recalled := range values {
		out = append(out, fmt.Sprintf("recall %+v", recalled))
	}
	return out
}

// restored gives what restore would create with the key.
func (r *run) restored() (out []string) {
	records := slices.DeleteFunc(r.book.Records(), func(record ledger.Record) bool {
		return record.State != ledger.Created || record.Cluster != theCluster
	})
	var live []manifest.Object
	for _, at := range r.names() {
		live = append(live, r.live[at])
	}
	for _, d := range plan.Restore(plan.StillCreated(records, theCluster, live), theCluster, live, r.sealer.Judge) {
		if d.Outcome == plan.Created || d.Complete {
			out = append(out, fmt.Sprintf("%s %s/%s %s", d.Outcome, d.Row.Namespace, d.Row.Secret, d.Row.Token))
			if v := r.sealer.Judge(d.Row.Placed()); !v.Opens || v.KeyID == "" || v.Binding != token.BindingHolds {
				r.t.Errorf("restore would create what no key proves: %+v", d.Row)
			}
		}
	}
	return out
}

// findings gives what verify finds, but of the Secrets that edited rows name.
func (r *run) findings(edited map[string]bool) (out []string) {
	for _, namespace := range r.namespaces {
		view := r.observe(r.book, namespace, r.mine(namespace), true)
		for _, f := range plan.Verify(view, r.wanted, r.sealer.Judge, r.ring, time.Unix(1_900_000_000, 0)) {
			if f.Code != finding.LedgerRow && !edited[namespace+"/"+f.Secret] {
				out = append(out, fmt.Sprintf("%+v", f))
			}
		}
	}
	return out
}

// Rows that no key of ours signed prove nothing, however they look: what the
// evidence says stays as it was, and so does everything about the base names that
// they do not name.
func TestForgedRowsProveNothing(t *testing.T) {
	each(t, func(ours, _ *project) {
		if ours.random.IntN(3) == 0 {
			ours.forget() // what is there and not recorded is where a hint may be believed
		}
		clean := ours.open(ours.rows)
		bases := append(ours.bases(), "secret-b")
		named := bases[:1+ours.random.IntN(2)]
		forge := newForger(ours, named...)
		rows := slices.Clone(ours.rows)
		for range 1 + ours.random.IntN(6) {
			rows = append(rows, forge.row(clean.ring))
		}
		if ours.random.IntN(2) == 0 {
			ours.random.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		}
		with := ours.open(rows)
		same(t, "the evidence", clean.evidence(), with.evidence())
		same(t, "restore", clean.restored(), with.restored())
		checkDecisions(t, clean.decided(), with.decided(), named)
		checkEdited(t, with, rows)
		edited := map[string]bool{}
		all, _ := with.book.Edited()
		for _, e := range all {
			edited[e.Namespace+"/"+e.Secret] = true
		}
		same(t, "verify", clean.findings(edited), with.findings(edited))
		checkIgnored(t, ours, rows)
		ours.rows, rows = rows, ours.rows
		kept, _ := ours.open(nil).keepsKeys()
		ours.rows, rows = rows, ours.rows
		if keeps, _ := clean.keepsKeys(); len(keeps) > 0 && len(kept) == 0 {
			t.Errorf("a previous key would go, which stays without the forged rows: %v", keeps)
		}
		if t.Failed() {
			ours.rows = rows
		}
	})
}

func same(t *testing.T, what string, clean, with []string) {
	t.Helper()
	if !reflect.DeepEqual(clean, with) {
		for i := range max(len(clean), len(with)) {
			if i >= len(clean) || i >= len(with) || clean[i] != with[i] {
				t.Errorf("%s: forged rows make\n%v\nof\n%v", what, with[min(i, len(with)):], clean[min(i, len(clean)):])
				return
			}
		}
	}
}

// checkDecisions: the base names that nobody forged stay as they are, and nothing is
// sent or deleted of the others that was not without the forged rows.
func checkDecisions(t *testing.T, clean, with facts, named []string) {
	t.Helper()
	same(t, "the run", clean.all, with.all)
	for base, was := range clean.about {
		is := with.about[base]
		if !slices.Contains(named, base) {
			same(t, base, was, is)
			continue
		}
		for _, line := range is {
			sends := strings.HasPrefix(line, "retire") || strings.Contains(line, " true ") // a Resend
			if sends && !slices.Contains(was, line) {
				t.Errorf("%s: forged rows make %s", base, line)
			}
		}
	}
}

// checkEdited: each edited row has its line said, and all unsigned ones are counted.
func checkEdited(t *testing.T, with *run, rows []ledger.Row) {
	t.Helper()
	unsigned, lines := 0, map[int]bool{}
	all, more := with.book.Edited()
	for _, e := range all {
		lines[e.Line] = true
	}
	for i, row := range rows {
		standing := with.sealer.Ledger().Verify(row.Cells(), row.MAC)
		if standing == ledger.Unsigned {
			unsigned++
		}
		if (standing == ledger.Edited) != lines[i+2] {
			t.Errorf("line %d is edited: %v", i+2, !lines[i+2])
		}
	}
	if n, _ := with.book.Unsigned(); n != unsigned || more != 0 {
		t.Errorf("%d unsigned rows, want %d; %d edited ones more", n, unsigned, more)
	}
	for _, e := range all {
		if e.Cluster != theCluster || !slices.Contains(with.namespaces, e.Namespace) {
			continue
		}
		view := with.observe(with.book, e.Namespace, with.mine(e.Namespace), true)
		found := plan.Verify(view, with.wanted, with.sealer.Judge, with.ring, time.Unix(1_900_000_000, 0))
		if !slices.ContainsFunc(found, func(f plan.Finding) bool {
			return f.Code == finding.LedgerRow && f.Secret == e.Secret && strings.HasPrefix(f.Detail, "ledger:")
		}) {
			t.Errorf("verify does not name line %d", e.Line)
		}
	}
}

// checkIgnored: with --ignore-key the forged rows hold nothing back.
func checkIgnored(t *testing.T, ours *project, rows []ledger.Row) {
	t.Helper()
	clean, with := ours.open(ours.rows), ours.open(rows)
	for _, row := range rows {
		if !clean.ring.Has(row.KeyID) {
			with.ignore = append(with.ignore, row.KeyID)
		}
	}
	clean.ignore = with.ignore
	for _, namespace := range ours.namespaces {
		options := plan.PushOptions{Update: true}
		was, err := plan.Push(clean.view(namespace), clean.wanted, clean.sealer.Judge, clean.ring, options)
		is, again := plan.Push(with.view(namespace), with.wanted, with.sealer.Judge, with.ring, options)
		if (err == nil) != (again == nil) {
			t.Errorf("push: %v, without the forged rows %v", again, err)
		}
		for i := range was {
			if was[i].Outcome != is[i].Outcome || was[i].Resend != is[i].Resend || was[i].Row.Generation > is[i].Row.Generation {
				t.Errorf("--ignore-key: push says %+v, without the forged rows %+v", is[i], was[i])
			}
		}
	}
}

// Whoever removes rows, and writes Secrets, but has no key: nothing goes that is not
// ours, no key goes that a Secret of ours needs, and no older value comes instead of
// the current one.
func TestMeddling(t *testing.T) {
	deleted, dropped, older := 0, 0, 0
	each(t, func(ours, _ *project) {
		switch ours.random.IntN(4) {
		case 0, 1:
			ours.thin()
		case 2:
			ours.forget()
		}
		for range ours.random.IntN(4) {
			ours.meddle()
		}
		if len(ours.rows) > 0 && ours.random.IntN(2) == 0 {
			forge := newForger(ours, append(ours.bases(), "secret-b")...)
			ours.rows = append(ours.rows, forge.row(ours.open(nil).ring))
		}
		older += checkValues(t, ours.clone())
		checkStale(t, ours.clone())
		ours.open(ours.rows).restored()
		again := ours.clone()
		again.log("rotate, to see what is created")
		again.rotate() // send holds what is created to the keyring
		gone, keys := checkRetire(t, ours)
		deleted, dropped = deleted+gone, dropped+keys
	})
	if os.Getenv("FERNET_TEST_SEED") == "" && (deleted == 0 || dropped == 0 || older == 0) {
		t.Errorf("%d deleted, %d keys dropped, %d older values: this proves nothing", deleted, dropped, older)
	}
}

// checkRetire retires, and looks at what went.
func checkRetire(t *testing.T, ours *project) (deleted, dropped int) {
	t.Helper()
	rows := slices.Clone(ours.rows)
	ours.log("retire")
	r := ours.open(ours.rows)
	for _, o := range r.retire("") {
		deleted++
		if !slices.ContainsFunc(ours.truth, func(m made) bool {
			return m.place == place{o.Namespace, o.Name} && m.in(o)
		}) {
			t.Errorf("%s/%s was deleted, and is none of ours", o.Namespace, o.Name)
		}
	}
	keys := r.dropKeys()
	named := map[place]bool{}
	for _, row := range ours.rows {
		if r.sealer.Ledger().Verify(row.Cells(), row.MAC) == ledger.Evidence && (row.State == ledger.Created || row.State == ledger.Planned) {
			named[place{row.Namespace, row.Secret}] = true
		}
	}
	for _, m := range ours.truth {
		o, there := ours.live[m.place]
		hidden := !named[m.place] && (!o.Managed || o.KeyID != m.keyID) // neither a row nor a label is left of it
		if there && m.in(o) && slices.Contains(keys, m.keyID) && !hidden {
			t.Errorf("key %s is gone, and %s/%s needs it", m.keyID, m.namespace, m.name)
		}
	}
	if len(keys) > 0 {
		checkPending(t, r, rows, keys)
	}
	return deleted, len(keys)
}

// checkPending: no key goes while what it opens may come, or come back, and is newer
// than all that is there.
func checkPending(t *testing.T, r *run, rows []ledger.Row, keys []string) {
	t.Helper()
	type name struct{ namespace, base string }
	newest, over := map[name]int{}, map[place]bool{}
	for at, o := range r.live {
		for _, m := range r.truth {
			if m.place == at && m.in(o) {
				newest[name{at.namespace, o.Base}] = max(newest[name{at.namespace, o.Base}], o.Generation)
			}
		}
	}
	evidence := slices.DeleteFunc(slices.Clone(rows), func(row ledger.Row) bool {
		return r.sealer.Ledger().Verify(row.Cells(), row.MAC) != ledger.Evidence
	})
	for _, row := range evidence {
		base, _ := names.Split(row.Secret)
		switch {
		case row.State == ledger.Deleted:
			over[place{row.Namespace, row.Secret}] = true
		case row.State == ledger.Created && !slices.Contains(keys, row.KeyID):
			newest[name{row.Namespace, base}] = max(newest[name{row.Namespace, base}], row.Generation)
		}
	}
	for _, row := range evidence {
		base, _ := names.Split(row.Secret)
		at := place{row.Namespace, row.Secret}
		if row.State != ledger.Deleted && slices.Contains(keys, row.KeyID) && !over[at] && row.Generation > newest[name{row.Namespace, base}] {
			t.Errorf("key %s is gone, and %s/%s is %s with it", row.KeyID, row.Namespace, row.Secret, row.State)
		}
	}
}

// current gives the newest Secret that is there and was made by us, by the truth.
func (p *project) current(namespace, envKey string) (newest made) {
	for _, m := range p.truth {
		if o := p.live[m.place]; m.namespace == namespace && m.envKey == envKey && m.in(o) && m.generation > newest.generation {
			newest = m
		}
	}
	return newest
}

// checkValues: what pull gives, from the ledger or from the cluster, is the current
// value, or it comes with a word.
func checkValues(t *testing.T, p *project) (older int) {
	t.Helper()
	r := p.open(p.rows)
	for _, namespace := range p.namespaces {
		mine := plan.Mine(recordsAt(r, namespace), nil)
		view := r.observe(r.book, namespace, mine, true)
		if all := plan.Evident(view, mine, r.sealer.Judge); len(all) > len(mine) {
			view = r.observe(r.book, namespace, all, true)
		}
		live, unknown := plan.Live(view, plan.Evident(view, mine, r.sealer.Judge), r.sealer.Judge, r.ring)
		for _, l := range live {
			if now := p.current(namespace, l.Token.EnvKey); now.generation > l.Generation {
				t.Errorf("pull --from cluster gives %s, and %s/%s is there", l.Token.Secret, namespace, now.name)
			}
		}
		recorded := slices.DeleteFunc(plan.Recall(r.book.Records(), 0), func(c plan.Recalled) bool {
			return c.Cluster != theCluster || c.Token.Namespace != namespace
		})
		newer := plan.Newer(recorded, live, unknown, r.sealer.SameValue)
		for _, c := range recorded {
			value, err := r.sealer.Open(c.Token)
			now := p.current(namespace, c.Token.EnvKey)
			if err != nil || now.generation <= c.Generation || now.value == value.Reveal() {
				continue
			}
			older++
			if !slices.ContainsFunc(newer, func(u plan.Unknown) bool { return u.Token.EnvKey == c.Token.EnvKey }) {
				t.Errorf("pull gives %s of %s without a word, and %s is there", c.Token.Secret, namespace, now.name)
			}
		}
	}
	return older
}

func recordsAt(r *run, namespace string) []ledger.Record {
	records, _ := r.book.At(theCluster, namespace)
	return records
}

// recorded says whether the evidence has an entry as one that was created, with all of its
// Secret.
func (r *run) recorded(m made) bool {
	keys := r.sealer.Ledger()
	return slices.ContainsFunc(r.project.rows, func(row ledger.Row) bool {
		same := row.Token == m.token
		if m.set != "" {
			same = row.Binding == m.binding && token.Join(slices.Collect(maps.Keys(r.entriesIn(m.binding)))) == m.set
		}
		return same && (row.State == ledger.Created || row.State == ledger.Deleted) && keys.Verify(row.Cells(), row.MAC) == ledger.Evidence
	})
}

// checkStale: an .env that is behind publishes nothing, as long as a Secret or a row
// shows it.
func checkStale(t *testing.T, p *project) {
	t.Helper()
	if len(p.truth) == 0 {
		return
	}
	old := choose(p.world, p.truth)
	p.values[old.envKey] = old.value
	r := p.open(p.rows)
	now := p.current(old.namespace, old.envKey)
	o := p.live[old.place]
	shown := o.Name == "" && r.recorded(old) && r.ring.Has(old.keyID)
	if v := r.sealer.Judge(o.Placed()); old.in(o) && v.Opens && v.KeyID == old.keyID && v.Binding == token.BindingHolds {
		shown = true
	}
	if !shown || now.generation <= old.generation || now.value == old.value {
		return
	}
	for _, d := range r.push(old.namespace, true, false) {
		if (d.Row.EnvKey == old.envKey || d.Row.Bundle()) && d.Outcome == plan.Created && d.Row.Generation > now.generation {
			t.Errorf("push --update publishes the value of %s over that of %s in %s: %+v", old.name, now.name, old.namespace, d)
		}
	}
}
