// SPDX-License-Identifier: Apache-2.0

// Package redact stands between texts from outside (an API server, a webhook, a
// credential plugin, a library's error) and a stream. What goes in is the text; what
// comes out has lost everything that this process knows to be secret, in whatever
// encoding, and is short enough to read. It goes by what is known and not by what a
// text looks like, so whoever makes a value, a key or a token says so with Add: that
// is the process's own knowledge, and so there is one set of it, which gives nothing
// back. Visible makes control characters harmless; the streams do that to all text.
package redact

import (
	"strings"
	"sync"

	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

const (
	shortest = 8 // bytes of a secret that is worth hiding: a shorter one stands in every text
	window   = 6 // bytes of a secret that may not be shown in a row
	longest  = 2 << 10
	examined = 8 << 10 // of a text; the rest is dropped before anything is looked for

	mark = "[redacted]"
)

// Set is what is known: secrets, and names that stay readable. The zero value is
// empty; it is safe for concurrent use.
type Set struct {
	mutex   sync.RWMutex
	known   map[string]bool
	secrets []string
	names   map[string]bool
}

// process is what this process knows.
var process Set

// Add says that texts are secret; those under 8 bytes are ignored.
func Add(texts ...string) { process.Add(texts...) }

// Name says that texts are names which the user or a request uses as names: they
// stay readable although a secret may contain them.
func Name(names ...string) { process.Name(names...) }

// Clean gives a text from outside without the secrets of this process, at most 2
// KiB of it. What is cut out reads [redacted].
func Clean(text string) string { return process.Clean(text) }

// Add is the package's Add.
func (s *Set) Add(texts ...string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.known == nil {
		s.known = map[string]bool{}
	}
	for _, text := range texts {
		if len(text) >= shortest && !s.known[text] {
			s.known[text] = true
			s.secrets = append(s.secrets, text)
			if strings.ContainsAny(text, between) { // to be found where a text was split
				s.secrets = append(s.secrets, strings.Map(squeezed, text))
			}
		}
	}
}

// Name is the package's Name. What has the shape of a key or token is no name.
func (s *Set) Name(names ...string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.names == nil {
		s.names = map[string]bool{}
	}
	for _, name := range names {
		if len(name) >= window && !s.names[name] && token.Kind(name) == "" {
			s.names[name] = true
		}
	}
}

// Clean is the package's Clean.
func (s *Set) Clean(text string) string {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	dropped := len(text) > examined
	text = text[:min(len(text), examined)]
	if len(s.secrets) > 0 && len(text) >= window {
		text = cut(text, s.spare(text, s.find(text)))
	}
	if dropped || len(text) > longest {
		text = strings.ToValidUTF8(text[:min(len(text), longest)], "") + "…"
	}
	return text
}

// common are words that say nothing about a secret, for every message has them.
var common = map[string]bool{"secret": true, "secrets": true, "Secret": true, "Secrets": true}

// spare takes the marks off what is a name as a whole.
func (s *Set) spare(text string, secret []bool) []bool {
	for from, to := 0, 0; from < len(text); from = to {
		for to = from; to < len(text) && secret[to] == secret[from]; to++ {
		}
		if secret[from] && (s.names[wordAround(text, from, to)] || common[text[from:to]]) {
			clear(secret[from:to])
		}
	}
	return secret
}

// wordAround gives the whole word that a part of a text stands in.
func wordAround(text string, from, to int) string {
	inName := func(c byte) bool {
		return c == '-' || c == '_' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	for from > 0 && inName(text[from-1]) {
		from--
	}
	for to < len(text) && inName(text[to]) {
		to++
	}
	return strings.Trim(text[from:to], ".")
}

// cut puts the mark in the place of what is secret.
func cut(text string, secret []bool) string {
	var b strings.Builder
	for i := range len(text) {
		switch {
		case !secret[i]:
			b.WriteByte(text[i])
		case i == 0 || !secret[i-1]:
			b.WriteString(mark)
		}
	}
	return b.String()
}

// find marks each byte of a text that is part of a run of a secret, in any encoding.
// It looks at what the text may decode to, and goes through the secrets once: there
// may be many, and most runs have no text from outside at all.
func (s *Set) find(text string) []bool {
	pieces := decodings(text)
	looked := newWindows(pieces)
	for _, secret := range s.secrets {
		looked.hold(secret)
	}
	marks := make([]bool, len(text))
	for _, p := range pieces {
		p.each(func(at int, key uint64) {
			if looked.found[key] {
				for i := p.from[at]; i < p.to[at+window-1]; i++ {
					marks[i] = true
				}
			}
		})
	}
	for i := 1; i < len(text); i++ {
		marks[i] = marks[i] || marks[i-1] && text[i] == '=' // the end of base64
	}
	return marks
}

// windows are the runs of 6 bytes that a text has, and which of them a secret has
// too. The filter answers nearly all questions.
type windows struct {
	filter [1 << (filterBits - 6)]uint64
	found  map[uint64]bool
}

const (
	filterBits = 20
	runMask    = 1<<(8*window) - 1
)

func newWindows(pieces []piece) *windows {
	w := &windows{found: map[uint64]bool{}}
	for _, p := range pieces {
		p.each(func(_ int, key uint64) {
			w.found[key] = false
			slot := slotOf(key)
			w.filter[slot>>6] |= 1 << (slot & 63)
		})
	}
	return w
}

func slotOf(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> (64 - filterBits) }

// hold finds those that a secret has.
func (w *windows) hold(secret string) {
	key := uint64(0)
	for i := range len(secret) {
		key = (key<<8 | uint64(secret[i])) & runMask
		if slot := slotOf(key); i >= window-1 && w.filter[slot>>6]>>(slot&63)&1 == 1 {
			if _, ok := w.found[key]; ok {
				w.found[key] = true
			}
		}
	}
}
