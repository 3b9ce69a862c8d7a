// SPDX-License-Identifier: Apache-2.0

package action

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

func splitName(secret string) (base string, generation int) { return names.Split(secret) }
func baseOf(entry string) string                            { return strings.ToLower(strings.ReplaceAll(entry, "_", "-")) }
func nameOf(base string, generation int) string             { return names.Secret(base, generation) }

// step lets somebody do one thing.
func (w *walk) step() {
	p := pick(w, w.people)
	q := pick(w, w.team(p.project))
	lives := 0
	if w.random.IntN(4) == 0 {
		lives = 1 + w.random.IntN(30)
	}
	if w.bundles && p.project == 0 && w.random.IntN(12) == 0 {
		w.switchForm(p)
		return
	}
	switch w.random.IntN(25) {
	case 0, 1:
		w.push(p, lives, Push{})
	case 2, 3:
		w.change(p)
		w.push(p, lives, Push{Update: true, Drop: w.bundles && w.random.IntN(2) == 0})
	case 4:
		w.revert(p, lives)
	case 5:
		w.addOrDrop(p)
	case 6, 7, 8:
		w.rotate(p, lives, Rotate{NewKey: w.random.IntN(2) == 0})
	case 9:
		w.stage(p, lives)
	case 10:
		w.abort(p, lives)
	case 11, 12:
		w.retire(p, lives)
	case 13:
		w.restore(p, lives)
	case 14:
		w.log("%s gets the ledger of %s", p.name, q.name)
		w.merge(p, q)
	case 15, 16:
		w.catchUp(p, q)
	case 17:
		w.mishap()
	case 18:
		w.forge(p)
	case 19:
		w.intrude()
	case 20:
		w.restoreKeyless(p, lives)
	case 21:
		w.deploy(p, pick(w, walkNamespaces))
	case 22:
		w.rollout(p, lives, Rollout{Values: w.random.IntN(2) == 0})
	case 23:
		w.conflict(p, q, lives)
	default:
		w.count["landed late"] += len(w.cluster.late)
		w.cluster.arrive()
	}
}

// ran notes how a command ended.
func (w *walk) ran(p *person, decisions []plan.Decision, err error) {
	p.newer, p.blocked = false, false
	for _, d := range decisions {
		if d.Outcome == plan.Superseded || d.Outcome == plan.Failed {
			w.count[string(d.Outcome)]++
		}
		if d.Outcome == plan.Superseded && slices.Contains(w.ring(p).Previous(), d.Row.KeyID) {
			p.newer = true
		}
		p.blocked = p.blocked || d.Outcome == plan.Blocked
	}
	if w.life.over() {
		w.count["killed"]++
		w.log("  killed")
	}
	w.log("  %v %v", outcomes(decisions), err)
	w.now, w.drops = nil, false
	w.life = &life{}
}

func (w *walk) push(p *person, lives int, verb Push) {
	w.drops = verb.Drop
	s, err := w.open(p, fmt.Sprintf("push %+v", verb), lives, verb.Needs())
	var decisions []plan.Decision
	if err == nil {
		var done *PushPlan
		if done, err = verb.Plan(w.t.Context(), s); err == nil {
			err = done.Apply(w.t.Context())
			decisions = done.Decisions
		}
		s.Close()
	}
	w.ran(p, decisions, err)
}

func (w *walk) rotate(p *person, lives int, verb Rotate) {
	s, err := w.open(p, fmt.Sprintf("rotate %+v", verb), lives, verb.Needs())
	var decisions []plan.Decision
	if err == nil {
		var done *RotatePlan
		if done, err = verb.Plan(w.t.Context(), s); err == nil {
			if done.Phase == RotateMoves {
				err = done.Apply(w.t.Context())
			} else if done.Phase == RotateComplete {
				err = done.Confirm()
			}
			decisions = done.Decisions()
		}
		s.Close()
	}
	w.ran(p, decisions, err)
}

func (w *walk) stage(p *person, lives int) {
	s, err := w.open(p, "rotate --prepare", lives, StageKey{}.Needs())
	if err == nil {
		var done *KeyPlan
		if done, err = (StageKey{}).Plan(w.t.Context(), s); err == nil {
			err = done.Apply(w.t.Context())
		}
		s.Close()
	}
	w.ran(p, nil, err)
}

func (w *walk) abort(p *person, lives int) {
	s, err := w.open(p, "rotate --abort", lives, Abort{}.Needs())
	if err == nil {
		var done *KeyPlan
		if done, err = (Abort{}).Plan(w.t.Context(), s); err == nil {
			err = done.Apply(w.t.Context())
		}
		s.Close()
	}
	w.ran(p, nil, err)
}

func (w *walk) restore(p *person, lives int) {
	s, err := w.open(p, fmt.Sprintf("restore (keyless %t)", w.keyless), lives, Restore{}.Needs())
	var decisions []plan.Decision
	if err == nil {
		var done *RestorePlan
		if done, err = (Restore{}).Plan(w.t.Context(), s); err == nil {
			err = done.Apply(w.t.Context())
			decisions = done.Decisions
		}
		s.Close()
	}
	w.ran(p, decisions, err)
}

// change gives an entry another value.
func (w *walk) change(p *person) {
	if values := w.entries(p); len(values) > 0 {
		w.set(p, pick(w, SortedKeys(values)), w.value())
	}
}

// set writes an entry of a .env anew; an empty value takes it out.
func (w *walk) set(p *person, name, value string) {
	var lines []string
	for _, line := range strings.Split(strings.TrimSuffix(w.read(p.env()), "\n"), "\n") {
		if !strings.HasPrefix(line, name+"=") {
			lines = append(lines, line)
		}
	}
	if value != "" {
		lines = append(lines, name+"="+value)
	}
	w.log("%s: %s is %q now", p.name, name, value)
	w.write(p.env(), strings.Join(lines, "\n")+"\n")
}

// revert takes a value that was replaced, as an old checkout does, and publishes it or not.
func (w *walk) revert(p *person, lives int) {
	values := w.entries(p)
	if len(values) == 0 || len(w.order) == 0 {
		return
	}
	name := pick(w, SortedKeys(values))
	w.set(p, name, w.plain[pick(w, w.order)])
	verb := Push{Update: true}
	if w.random.IntN(2) == 0 {
		verb.Revert = []string{name}
	}
	w.push(p, lives, verb)
}

func (w *walk) addOrDrop(p *person) {
	name := pick(w, walkEntries[p.project][1:])
	if _, has := w.entries(p)[name]; has {
		w.set(p, name, "")
	} else {
		w.set(p, name, w.value())
	}
}

// switchForm puts the entries of a person into a bundle, or into Secrets of their own again.
func (w *walk) switchForm(p *person) {
	env := w.read(p.env())
	if w.bundled(p) {
		env = strings.Replace(env, bundleLine, "", 1)
	} else {
		env += bundleLine
	}
	w.log("%s: a bundle is wanted: %t", p.name, !w.bundled(p))
	w.write(p.env(), env)
}

// catchUp gives a person the .env of another one, who has all the keys that they have, or
// all that live tokens need.
func (w *walk) catchUp(p, q *person) {
	theirs, mine := w.ring(q), w.ring(p)
	for _, id := range mine.IDs() {
		if !theirs.Has(id) && !w.opensAll(p, theirs) {
			return
		}
	}
	w.log("%s gets the .env of %s", p.name, q.name)
	w.write(p.env(), w.read(q.env()))
}

// mishap is what befalls a cluster.
func (w *walk) mishap() {
	if w.random.IntN(4) == 0 {
		namespace := pick(w, walkNamespaces)
		w.log("namespace %s is lost", namespace)
		for at := range w.cluster.objects {
			if at.namespace == namespace {
				delete(w.cluster.objects, at)
				delete(w.others, at)
			}
		}
		for at := range w.cluster.workloads {
			if at.namespace == namespace {
				delete(w.cluster.workloads, at)
			}
		}
		for _, p := range w.people { // then people talk: who has an older ledger would take free names
			for _, q := range w.team(p.project) {
				w.merge(p, q)
			}
		}
		return
	}
	if list := w.cluster.sorted(""); len(list) > 0 {
		o := pick(w, list)
		w.log("somebody deletes %s/%s", o.Namespace, o.Name)
		delete(w.cluster.objects, place{o.Namespace, o.Name})
		delete(w.others, place{o.Namespace, o.Name})
	}
}

// forge lets somebody without a key write into a ledger.
func (w *walk) forge(p *person) {
	text := w.read(p.ledger())
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 2 || !strings.HasSuffix(text, "\n") {
		return
	}
	if w.bundles && w.random.IntN(3) == 0 {
		w.takeOut(p, pick(w, lines[1:])+"\n")
		return
	}
	if w.random.IntN(4) == 0 {
		w.mixUp(p)
		return
	}
	cells := strings.Split(pick(w, lines[1:]), ",")
	for range 1 + w.random.IntN(2) {
		w.alter(cells, strings.Split(pick(w, lines[1:]), ","))
	}
	switch w.random.IntN(3) {
	case 0:
		cells[13] = ""
	case 1:
		cells[13] = "v1:k00000000:AAAAAAAAAAAAAAAAAAAAAA"
	}
	line := strings.Join(cells, ",") + "\n"
	if _, _, err := ledger.Parse("", []byte(lines[0]+"\n"+line)); err != nil || slices.Contains(lines, strings.TrimSuffix(line, "\n")) {
		return
	}
	w.log("somebody forges a row of %s: %s", p.name, brief(cells))
	w.forged[line] = true
	w.write(p.ledger(), text+line)
}

// mixUp puts the rows of another project into a ledger, as a merge of the wrong files does.
func (w *walk) mixUp(p *person) {
	q := pick(w, w.people)
	if q.project == p.project || !strings.Contains(w.read(q.ledger()), "\n") {
		return
	}
	w.log("%s gets the rows of %s, who is of another project", p.name, q.name)
	w.count["rows of another project"]++
	w.merge(p, q)
}

// takeOut takes the row of an entry of a bundle out of a ledger: it could not rebuild the
// bundle any more.
func (w *walk) takeOut(p *person, line string) {
	cells := strings.Split(line, ",")
	if p.project != 0 || !token.Bundled(cells[10]) || cells[7] == "" || w.forged[line] {
		return
	}
	w.log("somebody takes a row out of the ledger of %s: %s", p.name, brief(cells))
	w.count["row taken out"]++
	w.taken = append(w.taken, line)
	w.write(p.ledger(), strings.Replace(w.read(p.ledger()), line, "", 1))
}

func (w *walk) alter(cells, other []string) {
	switch w.random.IntN(5) {
	case 0:
		cells[2] = pick(w, []string{"planned", "failed", "created", "deleted"})
	case 1: // another name, with what goes with it
		copy(cells[4:8], other[4:8])
	case 2:
		base, generation := splitName(cells[5])
		generation += 1 + w.random.IntN(3)
		cells[5], cells[6] = nameOf(base, generation), fmt.Sprint(generation)
	case 3:
		cells[8] = "k00000000"
	default: // another token, with what goes with it
		copy(cells[8:12], other[8:12])
	}
	if cells[2] == "created" || cells[2] == "deleted" {
		if cells[11] == "" {
			cells[11] = "00000000-0000-4000-8000-000000000000"
		}
	}
	cells[12] = cells[6]
}

func brief(cells []string) string {
	return strings.Join(append(slices.Clone(cells[1:9]), "signed", cells[13][:min(12, len(cells[13]))]), " ")
}

// intrude lets somebody without a key write Secrets: an older token again, a token under
// another name, something of their own.
func (w *walk) intrude() {
	list := w.cluster.sorted("")
	if len(list) == 0 {
		return
	}
	o := pick(w, list)
	if o.Bundle() && w.random.IntN(2) == 0 {
		o = w.disarrange(o)
	}
	switch w.random.IntN(3) {
	case 0: // a name that comes next
		generation := o.Generation + 1 + w.random.IntN(2)
		o.Name, o.Generation = nameOf(o.Base, generation), generation
	case 1:
		o.Namespace = pick(w, walkNamespaces)
	default:
		other := pick(w, list)
		o.Name, o.Base, o.Generation = other.Name, other.Base, other.Generation
		if !o.Bundle() && !other.Bundle() {
			o.EnvKey = other.EnvKey
		}
	}
	switch bundle := o.Bundle(); {
	case w.random.IntN(3) != 0:
	case bundle:
		o.Token, o.Binding = "", ""
	default:
		o.Token, o.Binding = "cGxhaW4=", ""
	}
	if w.random.IntN(3) == 0 {
		o.KeyID = "k00000000"
	}
	at := place{o.Namespace, o.Name}
	if _, there := w.cluster.objects[at]; there && w.random.IntN(2) == 0 {
		return
	}
	w.log("somebody puts %s/%s there, labelled %s", o.Namespace, o.Name, o.KeyID)
	o = w.cluster.add(o)
	delete(w.others, at)
	if !w.isOurs(o) {
		w.others[at] = o
	}
}

// disarrange takes an entry out of a bundle, swaps the tokens of two, or puts another token
// under the name of one.
func (w *walk) disarrange(o manifest.Object) manifest.Object {
	entries := o.Placed().Entries()
	i, j := w.random.IntN(len(entries)), w.random.IntN(len(entries))
	switch w.random.IntN(3) {
	case 0:
		if len(entries) > 1 {
			entries = slices.Delete(entries, i, i+1)
		}
	case 1:
		entries[i].Token, entries[j].Token = entries[j].Token, entries[i].Token
	default:
		entries[i].Token = pick(w, w.order)
	}
	o.Token = token.Join(entries)
	return o
}

// restoreKeyless restores from a ledger that nobody has forged, as somebody without the
// key does who looked at it.
func (w *walk) restoreKeyless(p *person, lives int) {
	if slices.ContainsFunc(slices.Collect(maps.Keys(w.forged)), func(line string) bool { return strings.Contains(w.read(p.ledger()), line) }) {
		return
	}
	env := w.read(p.env())
	w.write(p.env(), "SECRET_A=x\n")
	w.keyless = true
	w.restore(p, lives)
	w.keyless = false
	w.write(p.env(), env)
}

// retire deletes what is older, or all of an entry that left the .env, and drops the
// previous keys if nothing needs them.
func (w *walk) retire(p *person, lives int) {
	verb := Retire{}
	if left := w.left(p); len(left) > 0 && w.random.IntN(3) == 0 {
		verb.Names = []string{pick(w, left)}
	}
	w.retireAs(p, lives, verb)
}

func (w *walk) retireAs(p *person, lives int, verb Retire) {
	if len(verb.Names) > 0 {
		w.removed = baseOf(verb.Names[0])
	}
	s, err := w.open(p, fmt.Sprintf("retire %q", verb.Names), lives, verb.Needs())
	before := w.evidence(p)
	var drop *KeyDrop
	if err == nil {
		drop, err = w.retires(s, verb)
		s.Close()
	}
	if drop != nil {
		w.log("  keeps %v, because of %v", drop.Keys, drop.Reasons)
		if len(drop.Reasons) == 0 && err == nil {
			w.count["key dropped"]++
			w.dropped(p, drop.Keys, before)
		}
	}
	w.removed = ""
	w.ran(p, nil, err)
}

// left gives the entries of which a person has evidence, and that are not in their .env.
func (w *walk) left(p *person) (names []string) {
	for _, name := range walkEntries[p.project] {
		if _, has := w.entries(p)[name]; !has && strings.Contains(w.read(p.ledger()), ","+name+",") {
			names = append(names, name)
		}
	}
	if p.project == 0 && !w.bundled(p) && strings.Contains(w.read(p.ledger()), ","+bundleBase+"-g") {
		names = append(names, bundleBase)
	}
	return names
}

func (w *walk) retires(s *Session, verb Retire) (*KeyDrop, error) {
	p, err := verb.Plan(w.t.Context(), s)
	if err == nil {
		err = p.Apply(w.t.Context())
	}
	if err != nil || len(verb.Names) > 0 {
		return nil, err
	}
	drop, err := p.DropKeys(w.t.Context())
	if err != nil || len(drop.Keys) == 0 {
		return nil, err
	}
	if len(drop.Reasons) == 0 {
		err = drop.Apply()
	}
	return drop, err
}

// finishes: a person with the newest keys and all ledgers, who is told of no key that is
// not theirs, gets every entry into every namespace, under KEY.
func (w *walk) finishes(p *person) {
	w.calm, w.ignored = true, w.strangers(w.ring(p))
	w.restore(p, 0) // rotate says so of what left the .env and is gone
	w.push(p, 0, Push{Update: true, Drop: true})
	newer := p.newer
	w.rotate(p, 0, Rotate{NewKey: newer})
	if p.blocked && newer { // restore was held back, so what left the .env and is gone is given up
		for _, name := range w.left(p) {
			w.retireAs(p, 0, Retire{Names: []string{name}})
		}
		w.rotate(p, 0, Rotate{NewKey: newer})
	}
	w.push(p, 0, Push{Update: true, Drop: true, Revert: SortedKeys(w.entries(p))})
	w.rotate(p, 0, Rotate{}) // perhaps to finish another one
	w.rotate(p, 0, Rotate{})
	w.rollout(p, 0, Rollout{Values: true, Unproven: true})
	w.retire(p, 0)
	key := w.ring(p).IDs()[0]
	for name, value := range w.entries(p) {
		for _, namespace := range walkNamespaces {
			text, _, _ := w.holder(p, namespace, name)
			if w.plain[text] != value || w.ids[text] != key {
				w.fail("%s is stuck: %s in %s is %q under %s, not %q under %s", p.name, name, namespace, w.plain[text], w.ids[text], value, key)
			}
		}
	}
	w.reads(p)
	w.count["finished"]++
}

// strangers gives the ids of keys that a ring lacks.
func (w *walk) strangers(ring *keyring.Keyring) (ids []string) {
	for id := range w.keys {
		if !ring.Has(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// deploy lets a person apply the manifest of what reads their Secrets in a namespace: it names
// those that are the newest now.
func (w *walk) deploy(p *person, namespace string) {
	application := one(namespace, fmt.Sprintf("app-%d", p.project), 1)
	var secrets []string
	for _, name := range SortedKeys(w.entries(p)) {
		if _, o, found := w.holder(p, namespace, name); found && !slices.Contains(secrets, o.Name) {
			secrets = append(secrets, o.Name)
		}
	}
	w.log("%s deploys %s in %s with %v", p.name, application, namespace, secrets)
	w.cluster.workloads[place{namespace, application.Name}] = mounting(application, secrets...)
}

// rollout points what is deployed to the current generations. Its Pods have the keys of whoever
// does it.
func (w *walk) rollout(p *person, lives int, verb Rollout) {
	verb.NoWait, verb.MaxProgressing, verb.AppsHaveKey = true, 1, w.ring(p).IDs()[0]
	w.follows = verb.Values
	s, err := w.open(p, fmt.Sprintf("rollout (values %t)", verb.Values), lives, verb.Needs())
	if err == nil {
		var done *RolloutPlan
		if done, err = verb.Plan(w.t.Context(), s); err == nil {
			err = done.Apply(w.t.Context())
			w.log("  %s", done.Summary())
		}
		s.Close()
	}
	w.ran(p, nil, err)
}

// patched: what a workload is pointed to is there, is ours, opens with a key of whoever does
// it, and is newer (R6). Its value is another one only if that was asked for.
func (w *walk) patched(at workload.Workload, old, name string) {
	was, is := w.cluster.objects[place{at.Namespace, old}], w.cluster.objects[place{at.Namespace, name}]
	_, generation := splitName(old)
	switch {
	case !w.isOurs(is):
		w.fail("%s points %s/%s to %s, which is not ours (R4)", w.now.name, at.Namespace, at, name)
	case !w.ring(w.now).Has(w.ids[is.Token]):
		w.fail("%s points %s/%s to %s, whose key %s they lack (R6)", w.now.name, at.Namespace, at, name, w.ids[is.Token])
	case is.Generation <= generation:
		w.fail("%s points %s/%s from %s back to %s (R6)", w.now.name, at.Namespace, at, old, name)
	case w.isOurs(was) && !w.follows && w.plain[was.Token] != w.plain[is.Token]:
		w.fail("%s points %s/%s from %s to %s, which has another value", w.now.name, at.Namespace, at, old, name)
	}
	w.count["rolled out"]++
}

// reads: at the end what is deployed names the newest generation of each entry that is wanted.
func (w *walk) reads(p *person) {
	for at, application := range w.cluster.workloads {
		for _, ref := range application.References() {
			base, _ := splitName(ref.Secret)
			newest, found := w.newest(at.namespace, base)
			if found && w.owners[w.ids[newest.Token]] == p.project && w.wants(p, base) && newest.Name != ref.Secret {
				w.fail("%s is stuck: %s in %s names %s, not %s", p.name, application, at.namespace, ref.Secret, newest.Name)
			}
		}
	}
}

// wants says whether a person wants a Secret of a base name.
func (w *walk) wants(p *person, base string) bool {
	return slices.ContainsFunc(SortedKeys(w.entries(p)), func(name string) bool { return w.baseFor(p, name) == base })
}

// conflict lets a person push while their ledger is as git leaves it where two added rows:
// nothing is written. Then they resolve it.
func (w *walk) conflict(p, q *person, lives int) {
	head, mine, _ := strings.Cut(w.read(p.ledger()), "\n")
	_, theirs, _ := strings.Cut(w.read(q.ledger()), "\n")
	if mine == "" || theirs == "" || !strings.HasSuffix(mine, "\n") || mine == theirs {
		return
	}
	w.log("%s has a conflict with the ledger of %s", p.name, q.name)
	w.count["conflict"]++
	whole := head + "\n" + mine
	text := head + "\n<<<<<<< HEAD\n" + mine + "=======\n" + theirs + ">>>>>>> theirs\n"
	w.write(p.ledger(), text)
	env, made, there := w.read(p.env()), w.cluster.uids, len(w.cluster.objects)
	w.push(p, lives, Push{Update: true})
	w.rotate(p, lives, Rotate{NewKey: true})
	w.retireAs(p, lives, Retire{})
	if w.read(p.ledger()) != text || w.read(p.env()) != env || w.cluster.uids != made || len(w.cluster.objects) != there {
		w.fail("%s wrote with a conflict in the ledger", p.name)
	}
	w.write(p.ledger(), whole)
	w.merge(p, q)
}
