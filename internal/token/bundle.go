// SPDX-License-Identifier: Apache-2.0

package token

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Entry is one token of a Secret, under its data key: the name of an .env entry.
type Entry struct{ Name, Token string }

// A bundle is a Secret that holds a token for each of several entries. Where the token of
// a single Secret is a text, its tokens are one too: a line "NAME TOKEN" for each, sorted
// bytewise. So two bundles hold the same when their texts are equal.

// Join gives the text of these entries.
func Join(entries []Entry) string {
	entries = slices.SortedFunc(slices.Values(entries), Compare)
	var text strings.Builder
	for _, e := range entries {
		text.WriteString(e.Name + " " + e.Token + "\n")
	}
	return text.String()
}

// Compare orders entries bytewise by name, then by token.
func Compare(a, b Entry) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Token, b.Token))
}

// Split is the reverse of Join.
func Split(text string) []Entry {
	entries := make([]Entry, 0, strings.Count(text, "\n"))
	for line := range strings.Lines(text) {
		name, token, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		entries = append(entries, Entry{name, token})
	}
	return entries
}

// Joined says whether a text is one that Join made, of one entry or more.
func Joined(text string) bool { return strings.HasSuffix(text, "\n") }

// Entries gives what the token stands for: its entry, or those of the bundle; none without
// a token.
func (t Token) Entries() []Entry {
	switch {
	case t.Token == "":
		return nil
	case !Joined(t.Token):
		return []Entry{{t.EnvKey, t.Token}}
	case t.EnvKey == "":
		return Split(t.Token)
	default:
		return find(t.Token, t.EnvKey)
	}
}

// find gives the entries of one name in Join's text, without taking the rest apart.
func find(text, name string) (entries []Entry) {
	begin := name + " "
	for at := 0; ; {
		i := strings.Index(text[at:], begin)
		if i < 0 {
			return entries
		}
		i += at
		at = i + len(begin)
		if i == 0 || text[i-1] == '\n' {
			token, _, _ := strings.Cut(text[at:], "\n")
			entries = append(entries, Entry{name, token})
		}
	}
}

// Each gives the entries by themselves: what is bound is the whole, so those of a bundle
// have no binding.
func (t Token) Each() []Token {
	if t.Token != "" && !Joined(t.Token) {
		return []Token{t}
	}
	entries := t.Entries()
	each := make([]Token, len(entries))
	for i, e := range entries {
		each[i] = Token{Namespace: t.Namespace, Secret: t.Secret, EnvKey: e.Name, Token: e.Token}
	}
	return each
}

// Entry gives one entry of a bundle, in the place of the whole: its binding is that of
// the whole, so the text stays that of all.
func (t Token) Entry(name string) Token {
	t.EnvKey = name
	return t
}

// BundleBinding is how the binding of a bundle begins; the number of its entries follows,
// and a colon.
const BundleBinding = "v2:"

// BundleSize gives the number of entries that a binding says its bundle has; ok is false
// for every other binding.
func BundleSize(binding string) (n int, ok bool) {
	rest, is := strings.CutPrefix(binding, BundleBinding)
	digits, _, colon := strings.Cut(rest, ":")
	n, err := strconv.Atoi(digits)
	return n, is && colon && err == nil && n > 0 && strconv.Itoa(n) == digits
}

// Bundled says whether a binding is that of a bundle.
func Bundled(binding string) bool { return strings.HasPrefix(binding, BundleBinding) }
