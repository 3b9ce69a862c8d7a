// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fernet/fernet-go"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

const (
	honestSeeds = 4  // FERNET_TEST_SEEDS takes more, FERNET_TEST_SEED takes one
	honestSteps = 12 // of each sequence
)

// Whatever people legitimately do, in whatever order, and whatever they lose: the
// verbs that look tell the truth after each step.
func TestHonestUse(t *testing.T) {
	first, last := uint64(1), uint64(honestSeeds)
	if text := os.Getenv("FERNET_TEST_SEEDS"); text != "" {
		last, _ = strconv.ParseUint(text, 10, 64)
	}
	if text := os.Getenv("FERNET_TEST_SEED"); text != "" {
		first, _ = strconv.ParseUint(text, 10, 64)
		last = first
	}
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			newHonest(t, seed).play(honestSteps)
		})
	}
}

// sealed is one token in its place. What it holds is known from what was done,
// never from what the program says of it.
type sealed struct {
	namespace, entry string
	generation       int
	value, key       string
	text             string // once it was seen in the cluster
}

func (s *sealed) name() string {
	base := strings.ReplaceAll(strings.ToLower(s.entry), "_", "-")
	if s.generation == 1 {
		return base
	}
	return fmt.Sprintf("%s-g%d", base, s.generation)
}

// object is a Secret that is, or was, in the cluster: what a uid is.
type object struct {
	*sealed
	mutable bool
}

// rows is what a ledger says of objects, true for created and false for deleted,
// which wins.
type rows map[*sealed]map[*object]bool

func (l rows) note(o *object, created bool) {
	if l[o.sealed] == nil {
		l[o.sealed] = map[*object]bool{}
	}
	was, known := l[o.sealed][o]
	l[o.sealed][o] = created && (was || !known)
}

func (l rows) clone() rows {
	other := rows{}
	other.join(l)
	return other
}

func (l rows) join(other rows) {
	for _, objects := range other {
		for o, created := range objects {
			l.note(o, created)
		}
	}
}

func (l rows) created(s *sealed) bool {
	return slices.Contains(slices.Collect(maps.Values(l[s])), true)
}

// honest is a folder, its namespaces, and the model of both.
type honest struct {
	t          *testing.T
	random     *rand.Rand
	seed       uint64
	dir        string
	namespaces []string
	steps      []string // so far

	entries []string // of the .env, in order
	values  map[string]string
	keys    []string // KEY, then KEY_PREVIOUS
	named   bool     // the .env has a CLUSTER_NAME
	ledger  rows
	live    map[string]map[string]*object // by namespace and name
	made    int                           // names and values given out
}

func newHonest(t *testing.T, seed uint64) *honest {
	h := &honest{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), seed: seed, dir: t.TempDir(),
		values: map[string]string{}, keys: []string{testKey}, ledger: rows{}, live: map[string]map[string]*object{},
	}
	for range 3 {
		namespace := testkube.Namespace(t)
		h.namespaces = append(h.namespaces, namespace)
		h.live[namespace] = map[string]*object{}
	}
	for range 3 {
		h.add(h.fresh())
	}
	h.save()
	return h
}

func (h *honest) fatalf(format string, args ...any) {
	h.t.Helper()
	names := strings.NewReplacer(h.namespaces[0], "NS0", h.namespaces[1], "NS1", h.namespaces[2], "NS2")
	h.t.Fatal(names.Replace(fmt.Sprintf("FERNET_TEST_SEED=%d replays this:\n  %s\n%s\nledger:\n%s",
		h.seed, strings.Join(h.steps, "\n  "), fmt.Sprintf(format, args...), read(h.t, h.file(ledgerName)))))
}

func (h *honest) file(name string) string { return filepath.Join(h.dir, name) }

func (h *honest) log(format string, args ...any) {
	h.steps = append(h.steps, fmt.Sprintf(format, args...))
}

// fresh gives a name that was never used, and add an entry of it.
func (h *honest) fresh() string {
	h.made++
	return fmt.Sprintf("SECRET_%02d", h.made)
}

func (h *honest) add(entry string) {
	h.entries = append(h.entries, entry)
	h.values[entry] = h.value()
}

// value gives one that was never used, of the kinds that people have.
func (h *honest) value() string {
	h.made++
	frames := []string{"plain-%d", "two words %d", " %d # no comment ", "it's \"%d\"", "a\\n%d\\", "$HOME/%d", "line\n%d\n", "Grüße %d ✓"}
	return fmt.Sprintf(frames[h.random.IntN(len(frames))], h.made)
}

// save writes the .env with the keys of the model.
func (h *honest) save() {
	lines := h.keyLines()
	if h.named {
		lines += "CLUSTER_NAME=localkube\n"
	}
	for _, entry := range h.entries {
		text, err := envfile.Quote(h.values[entry])
		if err != nil {
			h.fatalf("%v", err)
		}
		lines += entry + "=" + text + "\n"
	}
	write(h.t, h.file(".env"), lines)
}

func (h *honest) keyLines() string {
	lines := "KEY=" + h.keys[0] + "\n"
	if len(h.keys) > 1 {
		lines += "KEY_PREVIOUS=" + strings.Join(h.keys[1:], ",") + "\n"
	}
	return lines
}

// run gives what the plugin says; its exit code has to be the one that the model
// expects.
func (h *honest) run(want int, args ...string) (stdout string) {
	h.t.Helper()
	cmd := exec.Command("kubectl-fernet", args...)
	cmd.Dir, cmd.Env = h.dir, append(os.Environ(), "KUBECONFIG="+testkube.Kubeconfig(h.t))
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if code := exitCode(h.t, cmd.Run()); code != want {
		h.fatalf("%v: exit code %d, want %d\n%s%s", args, code, want, &out, &err)
	}
	return out.String()
}

func (h *honest) secrets(namespace string) corev1client.SecretInterface {
	return corev1client.NewForConfigOrDie(testkube.RESTConfig(h.t)).Secrets(namespace)
}

func choose[T any](h *honest, all []T) T { return all[h.random.IntN(len(all))] }

// The model's own questions, in one namespace each.

func (h *honest) recorded(namespace string, created bool) (all []*sealed) {
	for s := range h.ledger {
		if s.namespace == namespace && (!created || h.ledger.created(s)) {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *sealed) int { return strings.Compare(a.name()+a.text, b.name()+b.text) })
	return all
}

// lost says whether nothing is left of all that the ledger recorded.
func (h *honest) lost(namespace string) bool {
	all := h.recorded(namespace, true)
	return len(all) > 0 && !slices.ContainsFunc(all, func(s *sealed) bool { return h.live[namespace][s.name()] != nil })
}

// current gives the newest Secret of an entry.
func (h *honest) current(namespace, entry string) (newest *object) {
	for _, o := range h.live[namespace] {
		if o.entry == entry && h.evident(o) && (newest == nil || o.generation > newest.generation) {
			newest = o
		}
	}
	return newest
}

func (h *honest) opens(s *sealed) bool { return slices.Contains(h.keys, s.key) }

func (h *honest) evident(o *object) bool { return h.opens(o.sealed) || h.ledger[o.sealed] != nil }

// gone gives the newest token above a generation that was created and is not there.
func (h *honest) gone(namespace, entry string) (newest *sealed) {
	above := 0
	if o := h.current(namespace, entry); o != nil {
		above = o.generation
	}
	for _, s := range h.recorded(namespace, true) {
		if s.entry == entry && s.generation > above && h.live[namespace][s.name()] == nil && (newest == nil || s.generation > newest.generation) {
			newest = s
		}
	}
	return newest
}

// top is the highest generation that was ever seen.
func (h *honest) top(namespace, entry string) (top int) {
	for _, o := range h.live[namespace] {
		if o.entry == entry {
			top = max(top, o.generation)
		}
	}
	for _, s := range h.recorded(namespace, false) {
		if s.entry == entry {
			top = max(top, s.generation)
		}
	}
	return top
}

// mine are the entries of the .env and those of the ledger.
func (h *honest) mine(namespace string) []string {
	all := slices.Clone(h.entries)
	for _, s := range h.recorded(namespace, true) {
		all = append(all, s.entry)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (h *honest) create(s *sealed) *object {
	o := &object{sealed: s}
	h.live[s.namespace][s.name()] = o
	h.ledger.note(o, true)
	return o
}

func (h *honest) learn(o *object) {
	if !h.ledger.created(o.sealed) {
		h.ledger.note(o, true)
	}
}

// retired takes a Secret away, and the ledger says so.
func (h *honest) retired(s *sealed) {
	if o := h.live[s.namespace][s.name()]; o != nil && o.sealed == s {
		h.ledger.note(o, false)
		delete(h.live[s.namespace], s.name())
	}
	for o := range h.ledger[s] {
		h.ledger.note(o, false)
	}
}

// What diff says, and push would do, of an entry.
type word struct{ name, state string }

func (h *honest) diffOf(namespace, entry string) word {
	next := &sealed{namespace: namespace, entry: entry, generation: h.top(namespace, entry) + 1}
	current, gone := h.current(namespace, entry), h.gone(namespace, entry)
	switch {
	case gone != nil && gone.value == h.values[entry]:
		return word{gone.name(), "missing"}
	case gone != nil || current == nil:
		return word{next.name(), "missing"}
	case current.value != h.values[entry]:
		return word{current.name(), "differs"}
	case current.key != h.keys[0]:
		return word{current.name(), "re-encrypted"}
	default:
		return word{current.name(), "same"}
	}
}

func (h *honest) orphans(namespace string) (all []word) {
	newest := map[string]*sealed{}
	for _, s := range h.recorded(namespace, true) {
		if slices.Contains(h.entries, s.entry) || h.live[namespace][s.name()] == nil {
			continue
		}
		if was := newest[s.entry]; was == nil || s.generation > was.generation {
			newest[s.entry] = s
		}
	}
	for _, entry := range slices.Sorted(maps.Keys(newest)) {
		all = append(all, word{newest[entry].name(), "orphan"})
	}
	return all
}

// The steps.

// push pushes to one or two namespaces.
func (h *honest) push(flags ...string) {
	h.t.Helper()
	targets := []string{choose(h, h.namespaces)}
	if other := choose(h, h.namespaces); other != targets[0] {
		targets = append(targets, other)
	}
	h.pushTo(targets, flags...)
}

func (h *honest) pushTo(targets []string, flags ...string) {
	h.t.Helper()
	again, update := slices.Contains(flags, "--same-cluster"), slices.Contains(flags, "--update")
	args := append([]string{"push", "--namespaces", strings.Join(targets, ",")}, flags...)
	h.log("%s", strings.Join(args, " "))
	if !again && slices.ContainsFunc(targets, h.lost) {
		h.run(2, args...)
		return
	}
	var want []string
	code := 0
	for _, namespace := range targets {
		in := ""
		if len(targets) > 1 {
			in = " in " + namespace
		}
		for _, w := range h.orphans(namespace) {
			want = append(want, "secret/"+w.name+" orphan"+in)
		}
		for _, entry := range h.entries {
			w := h.diffOf(namespace, entry)
			switch {
			case w.state == "missing" && h.gone(namespace, entry) != nil && h.gone(namespace, entry).name() == w.name:
				h.create(h.gone(namespace, entry))
				w.state = "created"
			case w.state == "missing" || w.state == "differs" && update:
				o := h.create(&sealed{namespace: namespace, entry: entry, generation: h.top(namespace, entry) + 1, value: h.values[entry], key: h.keys[0]})
				w = word{o.name(), "created"}
			case w.state == "differs":
				code = 1
			default:
				h.learn(h.live[namespace][w.name])
				w.state = "unchanged"
			}
			want = append(want, "secret/"+w.name+" "+w.state+in)
		}
	}
	if out := h.run(code, args...); len(want) > 0 {
		h.compare(want, out)
	}
}

// all names all namespaces, or leaves that to the ledger where it knows them.
func (h *honest) all() []string {
	known := 0
	for _, namespace := range h.namespaces {
		recorded := len(h.recorded(namespace, true)) > 0
		if !recorded && len(h.live[namespace]) > 0 {
			known = -len(h.namespaces)
		}
		if recorded {
			known++
		}
	}
	if known > 1 && h.random.IntN(2) == 0 {
		return nil
	}
	return []string{"--namespaces", strings.Join(h.namespaces, ",")}
}

// views are the namespaces that a rotation or a retirement goes through.
func (h *honest) views() []string {
	return slices.DeleteFunc(slices.Clone(h.namespaces), h.lost)
}

func (h *honest) rotate(flags ...string) {
	h.t.Helper()
	args := slices.Concat([]string{"rotate", "--yes"}, h.all(), flags)
	h.log("%s", strings.Join(args, " "))
	var current, pending []*object
	blocked := false
	for _, namespace := range h.views() {
		for _, entry := range h.mine(namespace) {
			blocked = blocked || h.gone(namespace, entry) != nil
			if o := h.current(namespace, entry); o != nil {
				current = append(current, o)
				if o.key != h.keys[0] {
					pending = append(pending, o)
				}
			}
		}
	}
	switch {
	case blocked || len(current) == 0:
		h.run(2, args...)
		return
	case len(pending) > 0:
		h.run(0, args...)
		for _, o := range current {
			if o.key == h.keys[0] {
				h.learn(o)
			}
		}
	case len(h.keys) == 1 || slices.Contains(flags, "--new-key"):
		h.run(0, args...)
		pending = current
		h.keys = slices.Concat([]string{h.keyOnDisk("KEY")}, h.keys)
	default:
		h.run(1, args...)
		for _, o := range current {
			h.learn(o)
		}
	}
	h.checkKeys()
	for _, o := range pending {
		h.create(&sealed{namespace: o.namespace, entry: o.entry, generation: h.top(o.namespace, o.entry) + 1, value: o.value, key: h.keys[0]})
	}
}

func (h *honest) keyOnDisk(name string) string {
	for line := range strings.Lines(string(read(h.t, h.file(".env")))) {
		if value, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), name+"="); ok {
			return value
		}
	}
	return ""
}

func (h *honest) checkKeys() {
	h.t.Helper()
	if got := h.keyOnDisk("KEY"); got != h.keys[0] {
		h.fatalf("KEY is not the one that was expected")
	}
	if got := h.keyOnDisk("KEY_PREVIOUS"); got != strings.Join(h.keys[1:], ",") {
		h.fatalf("KEY_PREVIOUS has not the %d keys that were expected", len(h.keys)-1)
	}
}

func (h *honest) retire() {
	h.t.Helper()
	args := slices.Concat([]string{"retire", "--skip-cluster-check", "--drop-rollback", "--yes"}, h.all())
	h.log("%s", strings.Join(args, " "))
	if len(h.views()) == 0 {
		h.run(2, args...)
		return
	}
	code := 0
	for _, namespace := range h.views() {
		for _, entry := range h.mine(namespace) {
			current := h.current(namespace, entry)
			if current == nil {
				continue
			}
			if h.gone(namespace, entry) != nil {
				code = 1
				continue
			}
			for _, s := range h.recorded(namespace, true) {
				if s.entry == entry && s.generation < current.generation {
					h.retired(s)
				}
			}
			for _, o := range maps.Clone(h.live[namespace]) {
				if o.entry == entry && o.generation < current.generation && h.evident(o) {
					h.retired(o.sealed)
				}
			}
		}
	}
	keys := h.keys
	if len(h.keys) > 1 {
		keys = h.keys[:1]
		if h.needed() {
			keys, code = h.keys, 1
		}
	}
	h.run(code, args...)
	h.keys = keys
	h.checkKeys()
}

// needed says whether a previous key is, or whether that cannot be known.
func (h *honest) needed() bool {
	found := false
	for _, namespace := range h.namespaces {
		for _, o := range h.live[namespace] {
			if slices.Contains(h.keys[1:], o.key) || h.ledger.created(o.sealed) && o.key != h.keys[0] {
				return true
			}
		}
		recorded := h.recorded(namespace, true)
		for _, s := range recorded {
			live := h.live[namespace][s.name()] != nil
			found = found || live
			newest := !slices.ContainsFunc(recorded, func(o *sealed) bool { return o.entry == s.entry && o.generation > s.generation })
			if newest && !live && s.key != h.keys[0] {
				return true // it comes back with that key only
			}
		}
	}
	return !found
}

// retireNamed lets an orphan go with all its generations.
func (h *honest) retireNamed() {
	h.t.Helper()
	var names []string
	for _, namespace := range h.views() {
		for _, s := range h.recorded(namespace, true) {
			if !slices.Contains(h.entries, s.entry) {
				names = append(names, s.entry)
			}
		}
	}
	if len(names) == 0 {
		return
	}
	entry := choose(h, names)
	args := slices.Concat([]string{"retire", entry, "--skip-cluster-check", "--drop-rollback", "--yes"}, h.all())
	h.log("%s", strings.Join(args, " "))
	for _, namespace := range h.views() {
		if !slices.Contains(h.mine(namespace), entry) {
			continue
		}
		for _, s := range h.recorded(namespace, true) {
			if s.entry == entry {
				h.retired(s)
			}
		}
		for _, o := range maps.Clone(h.live[namespace]) {
			if o.entry == entry && h.evident(o) {
				h.retired(o.sealed)
			}
		}
	}
	h.run(0, args...)
}

// restore puts back what the ledger says, in all namespaces or in one.
func (h *honest) restore(namespaces ...string) {
	h.t.Helper()
	args := []string{"restore", "--namespaces", strings.Join(namespaces, ",")}
	h.log("%s", strings.Join(args, " "))
	code := 2
	for _, namespace := range namespaces {
		for _, s := range h.recorded(namespace, true) {
			code = 0
			if o := h.live[namespace][s.name()]; o == nil {
				h.create(s)
			} else {
				h.ledger.note(o, true)
			}
		}
	}
	h.run(code, args...)
}

// restoreTo makes a namespace where nothing is like another one.
func (h *honest) restoreTo() {
	h.t.Helper()
	from := choose(h, h.namespaces)
	all := h.recorded(from, true)
	var free []string
	for _, namespace := range h.namespaces {
		if len(h.live[namespace]) == 0 && len(h.recorded(namespace, false)) == 0 {
			free = append(free, namespace)
		}
	}
	if len(all) == 0 || len(free) == 0 || slices.ContainsFunc(all, func(s *sealed) bool { return !h.opens(s) }) {
		return
	}
	to := choose(h, free)
	h.log("restore -n %s --to-namespace %s", from, to)
	h.run(0, "restore", "-n", from, "--to-namespace", to)
	for _, s := range all {
		h.create(&sealed{namespace: to, entry: s.entry, generation: s.generation, value: s.value, key: s.key, text: s.text})
	}
}

// remove deletes some Secrets of a namespace as kubectl does.
func (h *honest) remove(all bool) (namespace string) {
	h.t.Helper()
	var filled []string
	for _, n := range h.namespaces {
		if len(h.live[n]) > 0 {
			filled = append(filled, n)
		}
	}
	if len(filled) == 0 {
		return ""
	}
	namespace = choose(h, filled)
	names := slices.Sorted(maps.Keys(h.live[namespace]))
	if !all {
		names = []string{choose(h, names)}
	}
	h.log("kubectl delete secret -n %s %s", namespace, strings.Join(names, " "))
	for _, name := range names {
		if err := h.secrets(namespace).Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
			h.fatalf("%v", err)
		}
		delete(h.live[namespace], name)
	}
	return namespace
}

// adopt takes over a Secret that was made by hand.
func (h *honest) adopt() {
	h.t.Helper()
	s := &sealed{namespace: choose(h, h.namespaces), entry: h.fresh(), generation: 1, value: h.value(), key: h.keys[0]}
	key, err := fernet.DecodeKey(s.key)
	if err != nil {
		h.fatalf("%v", err)
	}
	token, err := fernet.EncryptAndSign([]byte(s.value), key)
	if err != nil {
		h.fatalf("%v", err)
	}
	made := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: s.name()}, Data: map[string][]byte{s.entry: token}}
	if _, err := h.secrets(s.namespace).Create(context.Background(), made, metav1.CreateOptions{}); err != nil {
		h.fatalf("%v", err)
	}
	known := h.random.IntN(2) == 0
	h.log("kubectl create secret generic -n %s %s; adopt; in the .env too: %v", s.namespace, s.name(), known)
	h.run(0, "adopt", s.name(), "-n", s.namespace)
	s.text = string(token)
	h.create(s).mutable = true
	if known {
		h.entries, h.values[s.entry] = append(h.entries, s.entry), s.value
		h.save()
	}
}

// adoptUnrecorded is the way out of FERNET007 for what is not in the .env.
func (h *honest) adoptUnrecorded() {
	h.t.Helper()
	for _, namespace := range h.namespaces {
		for _, name := range slices.Sorted(maps.Keys(h.live[namespace])) {
			if o := h.live[namespace][name]; h.ledger[o.sealed] == nil && h.opens(o.sealed) && len(h.createdUnder(namespace, name)) == 0 {
				h.log("adopt %s -n %s", name, namespace)
				h.run(0, "adopt", name, "-n", namespace)
				h.ledger.note(o, true)
			}
		}
	}
}

func (h *honest) createdUnder(namespace, name string) (all []*sealed) {
	for _, s := range h.recorded(namespace, true) {
		if s.name() == name {
			all = append(all, s)
		}
	}
	return all
}

// loseLedger is what a deleted file, or a checkout without it, does.
func (h *honest) loseLedger() {
	h.t.Helper()
	h.log("rm %s", ledgerName)
	if err := os.Remove(h.file(ledgerName)); err != nil && !os.IsNotExist(err) {
		h.fatalf("%v", err)
	}
	h.ledger = rows{}
}

// loseEnv gets the .env back from the ledger, or from the cluster where the ledger
// is lost as well, with the keys alone.
func (h *honest) loseEnv(ledgerToo bool) {
	h.t.Helper()
	namespace := choose(h, h.namespaces)
	if ledgerToo && len(h.fromCluster(namespace, rows{})) == 0 || !ledgerToo && len(h.fromLedger(namespace)) == 0 {
		return
	}
	if ledgerToo {
		h.loseLedger()
	}
	write(h.t, h.file("key.env"), h.keyLines())
	args, values := []string{"pull", "-n", namespace, "--key-file", "key.env"}, h.fromLedger(namespace)
	if ledgerToo {
		args, values = append(args, "--from", "cluster"), h.fromCluster(namespace, h.ledger)
	}
	h.log("rm .env; %s", strings.Join(args, " "))
	if err := os.Remove(h.file(".env")); err != nil {
		h.fatalf("%v", err)
	}
	h.run(0, args...)
	if err := os.Remove(h.file("key.env")); err != nil {
		h.fatalf("%v", err)
	}
	h.entries, h.values, h.named = nil, values, true
	h.checkPulled(".env", values)
	file, _, _ := envfile.ReadFile(h.file(".env"))
	for _, e := range file.Entries {
		if _, ok := values[e.Name]; ok {
			h.entries = append(h.entries, e.Name)
		}
	}
	h.checkKeys()
}

// fork lets two people go on from one ledger, and git join what they have.
func (h *honest) fork() {
	h.t.Helper()
	first, second := h.inner, h.inner
	if h.random.IntN(2) == 0 { // what one took away, the other one puts back
		h.rotate("--new-key")
		first, second = h.retire, func() { h.restore(h.namespaces...) }
	}
	h.log("two ledgers {")
	before, start := h.ledger.clone(), string(read(h.t, h.file(ledgerName)))
	first()
	h.check()
	known, ours := h.ledger, string(read(h.t, h.file(ledgerName)))
	h.log("} and, from the other one, {")
	h.ledger = before
	if h.writeLedger(start); start == "" {
		_ = os.Remove(h.file(ledgerName))
	}
	second()
	h.check()
	theirs := string(read(h.t, h.file(ledgerName)))
	h.log("} joined")
	h.ledger.join(known)
	if h.random.IntN(2) == 0 {
		ours, theirs = theirs, ours
	}
	switch _, rest, _ := strings.Cut(theirs, "\n"); {
	case ours == "":
		h.writeLedger(theirs)
	default:
		h.writeLedger(ours + rest)
	}
}

func (h *honest) writeLedger(text string) {
	if text != "" {
		write(h.t, h.file(ledgerName), text)
	}
}

// inner is what one of two people does.
func (h *honest) inner() {
	h.t.Helper()
	switch h.random.IntN(6) {
	case 0:
		h.add(h.fresh())
		h.save()
		h.push()
	case 1:
		h.change()
		h.push("--update")
	case 2:
		h.rotate()
	case 3:
		h.retire()
	case 4:
		h.restore(h.namespaces...)
	default:
		h.push()
	}
}

func (h *honest) shuffle() {
	h.t.Helper()
	header, rest, _ := strings.Cut(string(read(h.t, h.file(ledgerName))), "\n")
	if rest == "" {
		return
	}
	h.log("the ledger's rows in another order")
	lines := strings.Split(strings.TrimSuffix(rest, "\n"), "\n")
	h.random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	write(h.t, h.file(ledgerName), header+"\n"+strings.Join(lines, "\n")+"\n")
}

func (h *honest) change() {
	if len(h.entries) > 0 {
		entry := choose(h, h.entries)
		h.values[entry] = h.value()
		h.log("another value of %s", entry)
		h.save()
	}
}

// step does one thing.
func (h *honest) step() {
	h.t.Helper()
	switch h.random.IntN(24) {
	case 0, 1:
		h.push()
	case 2, 3:
		h.change()
		h.push("--update")
	case 4:
		h.change()
		h.push()
	case 5:
		h.add(h.fresh())
		h.log("another entry")
		h.save()
		h.push()
	case 6:
		if len(h.entries) > 1 {
			entry := choose(h, h.entries)
			h.entries = slices.DeleteFunc(h.entries, func(e string) bool { return e == entry })
			h.log("%s leaves the .env", entry)
			h.save()
		}
	case 7:
		h.retireNamed()
	case 8, 9:
		h.rotate()
	case 10:
		h.rotate("--new-key")
	case 11, 12:
		h.retire()
	case 13:
		h.remove(false)
	case 14:
		if namespace := h.remove(h.random.IntN(3) == 0); namespace != "" {
			h.check()
			if h.random.IntN(2) == 0 {
				h.restore(namespace)
			} else {
				h.pushTo([]string{namespace}, "--same-cluster")
			}
		}
	case 15:
		if namespace := h.remove(true); namespace != "" { // and comes back under a key that was replaced meanwhile
			h.rotate("--new-key")
			h.restore(namespace)
			h.check()
			h.retire()
		}
	case 16:
		h.restoreTo()
	default:
		h.mishap()
	}
}

// mishap is what befalls files, and what is made by hand.
func (h *honest) mishap() {
	h.t.Helper()
	switch h.random.IntN(7) {
	case 0:
		h.loseLedger()
		h.check()
		h.pushTo(h.namespaces)
		if h.random.IntN(2) == 0 {
			h.check()
			h.adoptUnrecorded()
		}
	case 1:
		h.loseEnv(h.random.IntN(2) == 0)
	case 2:
		h.fork()
	case 3:
		h.shuffle()
	case 4:
		h.adopt()
	case 5:
		h.restore(h.namespaces...)
	case 6:
		h.fork()
	}
}

func (h *honest) play(steps int) {
	h.t.Helper()
	h.pushTo(h.namespaces[:1+h.random.IntN(2)])
	h.check()
	for range steps {
		for done := len(h.steps); len(h.steps) == done; { // not everything can be done at any time
			h.step()
		}
		h.check()
	}
}

// What is asserted after each step.

func (h *honest) check() {
	h.t.Helper()
	h.checkCluster()
	h.checkVerify()
	h.checkDiff()
	h.checkPulls(choose(h, h.namespaces))
	h.checkPullOfAll()
}

// checkCluster compares what is there with the model, without the plugin.
func (h *honest) checkCluster() {
	h.t.Helper()
	for _, namespace := range h.namespaces {
		list, err := h.secrets(namespace).List(context.Background(), metav1.ListOptions{})
		if err != nil {
			h.fatalf("%v", err)
		}
		if len(list.Items) != len(h.live[namespace]) {
			h.fatalf("%s has %d Secrets, want %v", namespace, len(list.Items), slices.Sorted(maps.Keys(h.live[namespace])))
		}
		for _, item := range list.Items {
			o := h.live[namespace][item.Name]
			if o == nil {
				h.fatalf("%s in %s should not be there", item.Name, namespace)
			}
			token := item.Data[o.entry]
			if o.text == "" {
				o.text = string(token)
			}
			key, err := decrypt.ParseKeys(o.key)
			if err != nil {
				h.fatalf("%v", err)
			}
			if plain, err := key.Open(token); err != nil || string(plain) != o.value || string(token) != o.text {
				h.fatalf("%s in %s does not hold %q: %v", item.Name, namespace, o.value, err)
			}
		}
	}
}

func (h *honest) findings() (all []string, errors int) {
	add := func(code string, namespace, name string) {
		all = append(all, code+" "+name+" in "+namespace)
		if code != "FERNET014" {
			errors++
		}
	}
	for _, namespace := range h.namespaces {
		torn := map[string]bool{}
		for _, s := range h.recorded(namespace, true) {
			switch n := len(h.createdUnder(namespace, s.name())); {
			case n > 1 && !torn[s.name()]:
				torn[s.name()] = true
				add("FERNET013", namespace, s.name())
			case n == 1 && h.live[namespace][s.name()] == nil:
				add("FERNET006", namespace, s.name())
			}
		}
		for name, o := range h.live[namespace] {
			switch recorded := h.ledger[o.sealed] != nil; {
			case torn[name]:
				continue
			case recorded && !h.ledger.created(o.sealed):
				add("FERNET005", namespace, name)
				continue
			case !h.opens(o.sealed):
				if recorded || len(h.createdUnder(namespace, name)) > 0 || slices.Contains(h.entries, o.entry) {
					add("FERNET001", namespace, name)
				}
				continue
			case !recorded && len(h.createdUnder(namespace, name)) > 0:
				add("FERNET004", namespace, name)
				continue
			case !recorded:
				add("FERNET007", namespace, name)
			}
			if o.mutable {
				add("FERNET010", namespace, name)
			}
			newer := slices.ContainsFunc(slices.Collect(maps.Values(h.live[namespace])), func(other *object) bool {
				return other.entry == o.entry && other.generation > o.generation
			})
			if o.key != h.keys[0] && !newer {
				add("FERNET014", namespace, name)
			}
		}
	}
	slices.Sort(all)
	return all, errors
}

func (h *honest) checkVerify() {
	h.t.Helper()
	want, errors := h.findings()
	out := h.run(min(1, errors), "verify", "--namespaces", strings.Join(h.namespaces, ","))
	var got []string
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			h.fatalf("verify says %q", line)
		}
		got = append(got, fields[0]+" "+strings.TrimPrefix(fields[2], "secret/")+" in "+strings.TrimSuffix(fields[4], ":"))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		h.fatalf("verify finds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (h *honest) checkDiff() {
	h.t.Helper()
	code := 0
	var want, shown []string
	for _, namespace := range h.namespaces {
		if h.lost(namespace) {
			h.run(2, "diff", "-n", namespace)
		} else {
			shown = append(shown, namespace)
		}
	}
	for _, namespace := range shown {
		words, in := h.orphans(namespace), ""
		for _, entry := range h.entries {
			words = append(words, h.diffOf(namespace, entry))
		}
		if len(shown) > 1 {
			in = " in " + namespace
		}
		for _, w := range words {
			want = append(want, "secret/"+w.name+" "+w.state+in)
			if w.state != "same" && w.state != "re-encrypted" {
				code = 1
			}
		}
	}
	if len(want) > 0 {
		h.compare(want, h.run(code, "diff", "--namespaces", strings.Join(shown, ",")))
	}
}

// compare compares lines, in whatever order.
func (h *honest) compare(want []string, out string) {
	h.t.Helper()
	got := slices.Sorted(strings.SplitSeq(strings.TrimSuffix(out, "\n"), "\n"))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		h.fatalf("it says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// fromLedger gives what was pushed last, as far as the ledger has it.
func (h *honest) fromLedger(namespace string) map[string]string {
	newest := map[string]*sealed{}
	for _, s := range h.recorded(namespace, true) {
		if was := newest[s.entry]; was == nil || s.generation > was.generation {
			newest[s.entry] = s
		}
	}
	return h.valuesOf(newest)
}

// valuesOf gives the values of tokens that all have to open: whatever was done, no
// key was given up that the current value of an entry needs.
func (h *honest) valuesOf(newest map[string]*sealed) map[string]string {
	values := map[string]string{}
	for entry, s := range newest {
		if !h.opens(s) {
			h.fatalf("the key of %s in %s, which was never replaced, is gone", s.name(), s.namespace)
		}
		values[entry] = s.value
	}
	return values
}

// fromCluster gives what the cluster tells beside a ledger; nothing where a newer
// value was lost.
func (h *honest) fromCluster(namespace string, ledger rows) map[string]string {
	mine := h.ledger
	h.ledger = ledger
	defer func() { h.ledger = mine }()
	if h.lost(namespace) {
		return nil
	}
	newest := map[string]*sealed{}
	for _, o := range h.live[namespace] {
		if h.evident(o) && (newest[o.entry] == nil || o.generation > newest[o.entry].generation) {
			newest[o.entry] = o.sealed
		}
	}
	for _, s := range h.recorded(namespace, true) {
		if h.gone(namespace, s.entry) != nil {
			return nil
		}
	}
	return h.valuesOf(newest)
}

// checkPulls gets the values back in each way, and one by itself.
func (h *honest) checkPulls(namespace string) {
	h.t.Helper()
	for _, from := range []string{"ledger", "cluster"} {
		want := h.fromLedger(namespace)
		if from == "cluster" {
			want = h.fromCluster(namespace, h.ledger)
		}
		args := []string{"pull", "-n", namespace, "--from", from, "--out", "fresh.env"}
		if len(want) == 0 {
			h.run(2, args...)
			if read(h.t, h.file("fresh.env")) != nil {
				h.fatalf("%v wrote a file", args)
			}
			continue
		}
		h.run(0, args...)
		h.checkPulled("fresh.env", want)
		if err := os.Remove(h.file("fresh.env")); err != nil {
			h.fatalf("%v", err)
		}
		if h.random.IntN(2) == 0 {
			continue
		}
		entry := choose(h, slices.Sorted(maps.Keys(want)))
		if got := h.run(0, "reveal", entry, "-n", namespace, "--from", from); got != want[entry] {
			h.fatalf("reveal %s from the %s of %s gives %q, want %q", entry, from, namespace, got, want[entry])
		}
	}
}

// checkPullOfAll gets one file of all namespaces, if they agree.
func (h *honest) checkPullOfAll() {
	h.t.Helper()
	values, agree := map[string]string{}, true
	for _, namespace := range h.namespaces {
		for entry, value := range h.fromLedger(namespace) {
			was, seen := values[entry]
			agree = agree && (!seen || was == value)
			values[entry] = value
		}
	}
	args := []string{"pull", "--out", "fresh.env"}
	if len(values) == 0 || !agree {
		h.run(2, args...)
		return
	}
	h.run(0, args...)
	h.checkPulled("fresh.env", values)
	if err := os.Remove(h.file("fresh.env")); err != nil {
		h.fatalf("%v", err)
	}
}

// checkPulled compares a file with the values that it has to have, and with the keys.
func (h *honest) checkPulled(name string, want map[string]string) {
	h.t.Helper()
	file, _, err := envfile.ReadFile(h.file(name))
	if err != nil {
		h.fatalf("%v", err)
	}
	got := map[string]string{}
	for _, e := range file.Entries {
		if strings.HasPrefix(e.Name, "SECRET") {
			got[e.Name] = e.Value.Reveal()
		}
	}
	if !maps.Equal(got, want) {
		h.fatalf("%s has %q, want %q", name, got, want)
	}
	if e, _ := file.Lookup("KEY"); e.Value.Reveal() != h.keys[0] {
		h.fatalf("%s has another KEY", name)
	}
	if e, _ := file.Lookup("KEY_PREVIOUS"); e.Value.Reveal() != strings.Join(h.keys[1:], ",") {
		h.fatalf("%s has other previous keys", name)
	}
}
