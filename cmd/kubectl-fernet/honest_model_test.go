// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// sealed is one token in its place, or all those of a bundle. What it holds is known from
// what was done, never from what the program says of it. Of a bundle entry is the base name,
// and value the values of all entries as JSON.
type sealed struct {
	namespace, entry string
	generation       int
	value, key       string
	text             string // once it was seen in the cluster
}

func (s *sealed) name() string {
	base := strings.ReplaceAll(strings.ToLower(s.entry), "_", "-")
	if s.generation == 1 && s.entry != bundleBase {
		return base
	}
	return fmt.Sprintf("%s-g%d", base, s.generation)
}

// values gives the value of each entry.
func (s *sealed) values() map[string]string { return valuesIn(s.entry, s.value) }

func valuesIn(unit, value string) map[string]string {
	if unit != bundleBase {
		return map[string]string{unit: value}
	}
	all := map[string]string{}
	if err := json.Unmarshal([]byte(value), &all); err != nil {
		panic(err)
	}
	return all
}

// lacks says whether a value has not all entries that a token has.
func (s *sealed) lacks(value string) bool {
	values := valuesIn(s.entry, value)
	for entry := range s.values() {
		if _, there := values[entry]; !there {
			return true
		}
	}
	return false
}

// units are what becomes a Secret: each entry of the .env, or the bundle of all.
func (h *honest) units() []string {
	if h.bundle && len(h.entries) > 0 {
		return []string{bundleBase}
	}
	return h.entries
}

// wanted gives the value of a unit in the .env.
func (h *honest) wanted(unit string) string {
	if unit != bundleBase {
		return h.values[unit]
	}
	all := map[string]string{}
	for _, entry := range h.entries {
		all[entry] = h.values[entry]
	}
	return asJSON(all)
}

// object is a Secret that is, or was, in the cluster: what a uid is.
type object struct {
	*sealed
	mutable bool
}

// row is one that a ledger has: an object was created, or deleted. What is planned
// is created at once in these games.
type row struct {
	*object
	deleted bool
	signer  string // the key that signed it
}

// rows is a ledger: neither the order of its rows nor duplicates matter.
type rows map[row]bool

// The model's questions to the ledger.

func (h *honest) note(o *object, deleted bool) { h.ledger[row{o, deleted, h.keys[0]}] = true }

// fold gives the objects of a token of which the evidence, or the hints, say that
// they were created and not deleted, and whether any was deleted.
func (h *honest) fold(s *sealed, hints bool) (there map[*object]bool, deleted bool) {
	there = map[*object]bool{}
	gone := map[*object]bool{}
	for r := range h.ledger {
		switch {
		case r.sealed != s || slices.Contains(h.keys, r.signer) == hints:
		case r.deleted:
			gone[r.object] = true
		default:
			there[r.object] = true
		}
	}
	maps.DeleteFunc(there, func(o *object, _ bool) bool { return gone[o] })
	return there, len(gone) > 0
}

// knows says whether there is evidence of a token at all.
func (h *honest) knows(s *sealed) bool {
	there, deleted := h.fold(s, false)
	return len(there) > 0 || deleted
}

// written says that the evidence, by itself, has a token as created.
func (h *honest) written(s *sealed) bool {
	there, _ := h.fold(s, false)
	return len(there) > 0
}

// hinted says that only rows under a key which is not held have a token as created.
func (h *honest) hinted(s *sealed) bool {
	there, _ := h.fold(s, true)
	_, ended := h.fold(s, false)
	return len(there) > 0 && !ended
}

// created says that a token is recorded, the cluster being looked at: what was
// retired once and is not there does not come back.
func (h *honest) created(s *sealed) bool {
	there, deleted := h.fold(s, false)
	o := h.at(s)
	return len(there) > 0 && (!deleted || o != nil && there[o])
}

// at gives the object that holds exactly this token, if it is there.
func (h *honest) at(s *sealed) *object {
	if o := h.live[s.namespace][s.name()]; o != nil && o.sealed == s {
		return o
	}
	return nil
}

// recorded lists what is so of the tokens of a namespace.
func (h *honest) recorded(namespace string, is func(*sealed) bool) (all []*sealed) {
	found := map[*sealed]bool{}
	for r := range h.ledger {
		if r.namespace == namespace && !found[r.sealed] && is(r.sealed) {
			found[r.sealed] = true
			all = append(all, r.sealed)
		}
	}
	slices.SortFunc(all, func(a, b *sealed) int { return strings.Compare(a.name()+a.text, b.name()+b.text) })
	return all
}

func everyToken(*sealed) bool { return true }

// anywhere says whether something is so of a token of some namespace.
func (h *honest) anywhere(is func(*sealed) bool) bool {
	return slices.ContainsFunc(h.namespaces, func(namespace string) bool { return len(h.recorded(namespace, is)) > 0 })
}

// Its questions to the ledger and the cluster.

// lost says whether nothing is left of all that the ledger recorded.
func (h *honest) lost(namespace string) bool {
	all := h.recorded(namespace, h.created)
	return len(all) > 0 && !slices.ContainsFunc(all, func(s *sealed) bool { return h.live[namespace][s.name()] != nil })
}

func (h *honest) opens(s *sealed) bool { return slices.Contains(h.keys, s.key) }

// current gives the newest Secret of an entry. All that is there was made by this
// tool, so that its binding holds.
func (h *honest) current(namespace, entry string) (newest *object) {
	for _, o := range h.live[namespace] {
		if o.entry == entry && h.opens(o.sealed) && (newest == nil || o.generation > newest.generation) {
			newest = o
		}
	}
	return newest
}

// gone gives the newest token above a generation that was created and is not there.
func (h *honest) gone(namespace, entry string) (newest *sealed) {
	above := 0
	if o := h.current(namespace, entry); o != nil {
		above = o.generation
	}
	for _, s := range h.recorded(namespace, h.created) {
		if s.entry == entry && s.generation > above && h.live[namespace][s.name()] == nil && (newest == nil || s.generation > newest.generation) {
			newest = s
		}
	}
	return newest
}

// superseded says whether rows have a newer generation of an entry than this keyring
// opens, under a key that was not dropped.
func (h *honest) superseded(namespace, entry string) bool {
	opened := 0
	if o := h.current(namespace, entry); o != nil {
		opened = o.generation
	}
	for _, s := range h.recorded(namespace, h.written) {
		if s.entry == entry && h.opens(s) {
			opened = max(opened, s.generation)
		}
	}
	dropped := map[string]bool{}
	for r := range h.ledger {
		if r.namespace == namespace && r.deleted && slices.Contains(h.keys, r.signer) {
			dropped[r.key] = true
		}
	}
	return len(h.recorded(namespace, func(s *sealed) bool {
		return s.entry == entry && s.generation > opened && !h.opens(s) && !dropped[s.key] && (h.written(s) || h.hinted(s))
	})) > 0
}

// hadValue says whether a generation below another one had a value, or that of an entry in
// which the two differ, as far as the evidence and the keys can show it.
func (h *honest) hadValue(newest *sealed, value string) bool {
	namespace, has := newest.namespace, newest.values()
	held := func(s *sealed) bool {
		if s.entry != newest.entry || s.generation >= newest.generation || !h.opens(s) {
			return false
		}
		had := s.values()
		for entry, now := range valuesIn(s.entry, value) {
			if was, there := had[entry]; there && was == now && has[entry] != now {
				return true
			}
		}
		return false
	}
	for _, o := range h.live[namespace] {
		if held(o.sealed) {
			return true
		}
	}
	return len(h.recorded(namespace, func(s *sealed) bool { return held(s) && h.live[namespace][s.name()] == nil && h.knows(s) })) > 0
}

// top is the highest generation that was ever seen.
func (h *honest) top(namespace, entry string) (top int) {
	for _, o := range h.live[namespace] {
		if o.entry == entry {
			top = max(top, o.generation)
		}
	}
	for _, s := range h.recorded(namespace, everyToken) {
		if s.entry == entry {
			top = max(top, s.generation)
		}
	}
	return top
}

// mine are the entries of the .env and those of the ledger.
func (h *honest) mine(namespace string) []string {
	all := slices.Clone(h.units())
	for _, s := range h.recorded(namespace, h.created) {
		all = append(all, s.entry)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// needed says whether a previous key has to stay, or whether that cannot be known.
func (h *honest) needed() bool {
	found, recorded := false, false
	for _, namespace := range h.namespaces {
		for _, o := range h.live[namespace] {
			if o.key != h.keys[0] {
				return true
			}
		}
		for _, s := range h.recorded(namespace, h.written) {
			recorded = true
			found = found || h.live[namespace][s.name()] != nil
		}
		for _, s := range h.recorded(namespace, h.created) {
			if h.at(s) == nil && s.key != h.keys[0] && h.opens(s) && !h.covered(s) {
				return true // it comes back with that key only
			}
		}
	}
	return recorded && !found
}

// covered says whether KEY alone opens something newer of the entry, there or not.
func (h *honest) covered(s *sealed) bool {
	if o := h.current(s.namespace, s.entry); o != nil && o.generation > s.generation {
		return true
	}
	return len(h.recorded(s.namespace, func(other *sealed) bool {
		return other.entry == s.entry && other.generation > s.generation && other.key == h.keys[0] && h.created(other)
	})) > 0
}

// What the verbs do to the ledger and the cluster.

func (h *honest) create(s *sealed) *object {
	o := &object{sealed: s}
	h.live[s.namespace][s.name()] = o
	h.note(o, false)
	return o
}

// confirm records what is there of these namespaces and was not known.
func (h *honest) confirm(namespaces ...string) {
	for _, namespace := range namespaces {
		h.confirmOf(namespace, h.mine(namespace))
	}
}

func (h *honest) confirmOf(namespace string, entries []string) {
	for _, o := range h.live[namespace] {
		if slices.Contains(entries, o.entry) && !h.knows(o.sealed) {
			h.note(o, false)
		}
	}
}

// retired takes a Secret away, and the ledger says so of all that had its bytes.
func (h *honest) retired(s *sealed) {
	there, _ := h.fold(s, false)
	if o := h.at(s); o != nil {
		there[o] = true
		delete(h.live[s.namespace], s.name())
	}
	for o := range there {
		h.note(o, true)
	}
}

// retireBelow retires the generations of an entry below a number.
func (h *honest) retireBelow(namespace, entry string, below int) {
	old := func(s *sealed) bool { return s.entry == entry && s.generation < below }
	for _, s := range h.recorded(namespace, h.created) {
		if old(s) {
			h.retired(s)
		}
	}
	for _, o := range maps.Clone(h.live[namespace]) {
		if old(o.sealed) && h.opens(o.sealed) {
			h.retired(o.sealed)
		}
	}
}

// dropKeys leaves KEY alone; what is gone for good under another key ends first.
func (h *honest) dropKeys() {
	for _, namespace := range h.namespaces {
		for _, s := range h.recorded(namespace, h.written) {
			if h.at(s) == nil && s.key != h.keys[0] && h.opens(s) {
				h.retired(s)
			}
		}
	}
	h.keys = h.keys[:1]
}

// What diff says, and push would do, of an entry.
type word struct{ name, state string }

func (h *honest) diffOf(namespace, entry string) word {
	next := &sealed{namespace: namespace, entry: entry, generation: h.top(namespace, entry) + 1}
	current, gone, value := h.current(namespace, entry), h.gone(namespace, entry), h.wanted(entry)
	switch {
	case gone != nil && gone.value == value && h.opens(gone):
		return word{gone.name(), "missing"}
	case gone != nil && h.hadValue(gone, value):
		return word{gone.name(), "stale"}
	case gone != nil && gone.lacks(value):
		return word{gone.name(), "differs"}
	case gone != nil || current == nil:
		return word{next.name(), "missing"}
	case current.value != value && h.hadValue(current.sealed, value):
		return word{current.name(), "stale"}
	case current.value != value:
		return word{current.name(), "differs"}
	case current.key != h.keys[0]:
		return word{current.name(), "re-encrypted"}
	default:
		return word{current.name(), "same"}
	}
}

func (h *honest) orphans(namespace string) (all []word) {
	newest := map[string]*sealed{}
	for _, s := range h.recorded(namespace, h.created) {
		if slices.Contains(h.units(), s.entry) || h.live[namespace][s.name()] == nil {
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
