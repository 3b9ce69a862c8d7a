// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/fernet/fernet-go"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
)

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
	if update && h.bundle {
		args = append(args, "--drop-entries")
	}
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
		for _, entry := range h.units() {
			w := h.diffOf(namespace, entry)
			switch {
			case w.state == "missing" && h.gone(namespace, entry) != nil && h.gone(namespace, entry).name() == w.name:
				h.create(h.gone(namespace, entry))
				w.state = "created"
			case w.state == "missing" || w.state == "differs" && update:
				o := h.create(&sealed{namespace: namespace, entry: entry, generation: h.top(namespace, entry) + 1, value: h.wanted(entry), key: h.keys[0]})
				w = word{o.name(), "created"}
			case w.state == "differs" || w.state == "stale":
				code = 1
			default:
				w.state = "unchanged"
			}
			want = append(want, "secret/"+w.name+" "+w.state+in)
		}
		h.confirm(namespace)
	}
	if out := h.run(code, args...); len(want) > 0 {
		h.compare(want, out)
	}
}

// all names all namespaces, or leaves that to the ledger where it knows them. It
// gives those that are gone through: what is lost altogether is left out.
func (h *honest) all() (flags, views []string) {
	var known []string
	hidden := false
	for _, namespace := range h.namespaces {
		switch {
		case len(h.recorded(namespace, h.written)) > 0:
			known = append(known, namespace)
		case len(h.live[namespace]) > 0:
			hidden = true
		}
	}
	if len(known) > 1 && !hidden && h.random.IntN(2) == 0 {
		return nil, slices.DeleteFunc(known, h.lost)
	}
	return []string{"--namespaces", strings.Join(h.namespaces, ",")}, slices.DeleteFunc(slices.Clone(h.namespaces), h.lost)
}

// turn is what a rotation finds.
type turn struct {
	current []*sealed // under KEY, and there
	lost    []*sealed // under KEY, and gone
	pending []*sealed // under another key, there or gone
	blocked bool
}

func (h *honest) turn(views []string) (r turn) {
	for _, namespace := range views {
		for _, entry := range h.mine(namespace) {
			current, gone := h.current(namespace, entry), h.gone(namespace, entry)
			switch {
			case gone != nil && (current == nil && !slices.Contains(h.units(), entry) || !h.opens(gone)):
				r.blocked = true
			case gone != nil && gone.key == h.keys[0]:
				r.lost = append(r.lost, gone)
			case gone != nil:
				r.pending = append(r.pending, gone)
			case current == nil:
			case current.key == h.keys[0]:
				r.current = append(r.current, current.sealed)
			default:
				r.pending = append(r.pending, current.sealed)
			}
		}
	}
	return r
}

func (h *honest) rotate(flags ...string) {
	h.t.Helper()
	all, views := h.all()
	args := slices.Concat([]string{"rotate", "--yes"}, all, flags)
	h.log("%s", strings.Join(args, " "))
	r := h.turn(views)
	switch {
	case r.blocked || len(r.current)+len(r.lost)+len(r.pending) == 0:
		h.run(2, args...)
		return
	case len(r.pending) > 0 && !slices.Contains(flags, "--new-key"):
		h.run(0, args...)
	case len(h.keys) == 1 || slices.Contains(flags, "--new-key"):
		h.run(0, args...)
		r.pending, r.lost = slices.Concat(r.pending, r.current, r.lost), nil
		h.keys = slices.Concat([]string{h.keyOnDisk("KEY")}, h.keys)
	case len(r.lost) > 0:
		h.run(0, args...)
	default:
		h.run(1, args...)
	}
	h.checkKeys()
	h.confirm(views...)
	for _, s := range r.lost {
		h.create(s)
	}
	for _, s := range r.pending {
		h.create(&sealed{namespace: s.namespace, entry: s.entry, generation: h.top(s.namespace, s.entry) + 1, value: s.value, key: h.keys[0]})
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
	all, views := h.all()
	args := slices.Concat([]string{"retire", "--ignore=history", "--yes"}, all)
	h.log("%s", strings.Join(args, " "))
	if len(views) == 0 {
		h.run(2, args...)
		return
	}
	code, keep := 0, !h.anywhere(h.knows)
	for _, namespace := range views {
		keep = keep || slices.ContainsFunc(h.units(), func(entry string) bool { return h.diffOf(namespace, entry).state == "stale" })
	}
	h.confirm(views...)
	for _, namespace := range views {
		for _, entry := range h.mine(namespace) {
			switch current := h.current(namespace, entry); {
			case current == nil:
			case h.gone(namespace, entry) != nil:
				code = 1
			default:
				h.retireBelow(namespace, entry, current.generation)
			}
		}
	}
	keep = len(h.keys) > 1 && (keep || h.needed())
	if keep {
		code = 1
	}
	h.run(code, args...)
	if !keep {
		h.dropKeys()
	}
	h.checkKeys()
}

// retireNamed lets an orphan go with all its generations.
func (h *honest) retireNamed() {
	h.t.Helper()
	all, views := h.all()
	var names []string
	for _, namespace := range views {
		for _, s := range h.recorded(namespace, h.created) {
			if !slices.Contains(h.units(), s.entry) {
				names = append(names, s.entry)
			}
		}
	}
	if len(names) == 0 {
		return
	}
	entry := choose(h, names)
	args := slices.Concat([]string{"retire", entry, "--ignore=history", "--yes"}, all)
	h.log("%s", strings.Join(args, " "))
	h.run(0, args...)
	h.confirm(views...)
	for _, namespace := range views {
		if slices.Contains(h.mine(namespace), entry) {
			h.retireBelow(namespace, entry, math.MaxInt)
		}
	}
}

// restore puts back what the ledger says, in all namespaces or in one, but no value
// of which a row under a key that is not held has a newer one. What only rows under
// a dropped key have is listed, but where it is history.
func (h *honest) restore(namespaces ...string) {
	h.t.Helper()
	args := []string{"restore", "--namespaces", strings.Join(namespaces, ",")}
	h.log("%s", strings.Join(args, " "))
	code, listed := 2, false
	for _, namespace := range namespaces {
		newest, held := map[string]int{}, map[string]bool{}
		for _, s := range h.recorded(namespace, h.written) {
			newest[s.entry] = max(newest[s.entry], s.generation)
			held[s.entry] = h.superseded(namespace, s.entry)
		}
		h.confirmOf(namespace, slices.Collect(maps.Keys(newest)))
		for _, s := range h.recorded(namespace, func(s *sealed) bool { return h.written(s) || h.hinted(s) }) {
			code = 0
			switch o := h.live[namespace][s.name()]; {
			case o != nil && h.created(s):
				h.note(o, false)
			case !h.written(s) && (o != nil || s.generation < newest[s.entry]):
			case !h.written(s), h.created(s) && (!h.opens(s) || held[s.entry]):
				listed = true
			case h.created(s):
				h.create(s)
			}
		}
	}
	if listed {
		code = 1
	}
	h.run(code, args...)
}

// restoreTo makes a namespace where nothing is like another one.
func (h *honest) restoreTo() {
	h.t.Helper()
	from := choose(h, h.namespaces)
	all := h.recorded(from, h.written)
	var free []string
	for _, namespace := range h.namespaces {
		if len(h.live[namespace]) == 0 && len(h.recorded(namespace, everyToken)) == 0 {
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
	if h.bundle {
		return
	}
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
			o := h.live[namespace][name]
			if h.knows(o.sealed) {
				continue
			}
			h.log("adopt %s -n %s", name, namespace)
			if len(h.recorded(namespace, func(s *sealed) bool { return s.entry == o.entry && h.knows(s) })) > 0 {
				h.run(2, "adopt", name, "-n", namespace) // what the ledger knows of an entry, push completes
				continue
			}
			h.run(0, "adopt", name, "-n", namespace)
			h.note(o, false)
		}
	}
}

func (h *honest) createdUnder(namespace, name string) (all []*sealed) {
	for _, s := range h.recorded(namespace, h.created) {
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
	h.save() // without FERNET_NAMESPACE: these commands name their namespaces
}
