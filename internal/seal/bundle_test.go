// SPDX-License-Identifier: Apache-2.0

package seal_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// bundle gives a row of a bundle that is to be sealed.
func bundle() ledger.Row {
	return ledger.Row{Operation: ledger.Push, State: ledger.Planned, Cluster: "c", Namespace: "ns", Secret: "web-g1", Generation: 1, Since: 1}
}

// sealedBundle gives a row of a bundle of these entries.
func sealedBundle(t *testing.T, keys *keyring.Keyring, values ...envfile.Entry) ledger.Row {
	t.Helper()
	row, err := seal.New(keys, values).Seal(bundle(), named(values)...)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// named gives entries by their names alone.
func named(values []envfile.Entry) (all []token.Entry) {
	for _, v := range values {
		all = append(all, token.Entry{Name: v.Name})
	}
	return all
}

// sealedAt gives a token of a known time.
func sealedAt(t *testing.T, keys *keyring.Keyring, value string, seconds int64) string {
	t.Helper()
	text, err := keys.Primary().SealAt([]byte(value), time.Unix(seconds, 0))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func secondsOf(t *testing.T, text string) int64 {
	t.Helper()
	info, err := token.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return info.Time.Unix()
}

// A bundle's tokens are under the first key alone, whatever they were made from: what did
// not change keeps its text, or its time under the new key, and all else is fresh.
func TestSealABundle(t *testing.T) {
	const long = 1_500_000_000 // before any clock of today
	keys, before, others := ring(t, keyA, keyB), ring(t, keyB, ""), ring(t, "n1hQ0o0cV1c4b8mJ7mX3k5y2Q9wE6rT8uI0oP2aS4dA=", "")
	values := []envfile.Entry{
		entry("SECRET_KEPT", "kept"), entry("SECRET-KEPT", "also kept"), entry("SECRET_OLD_KEY", "of the previous key"), entry("SECRET_CHANGED", "now"),
		entry("SECRET_LOST_KEY", "of no key"), entry("SECRET_NEW", "new"), entry("SECRET_EMPTY", ""),
	}
	kept, alsoKept := sealedAt(t, keys, "kept", long), sealedAt(t, keys, "also kept", long)
	of := sealedAt(t, before, "of the previous key", long)
	row, err := seal.New(keys, values).Seal(bundle(),
		token.Entry{Name: "SECRET_KEPT", Token: kept}, token.Entry{Name: "SECRET-KEPT", Token: alsoKept}, token.Entry{Name: "SECRET_OLD_KEY", Token: of},
		token.Entry{Name: "SECRET_CHANGED", Token: sealedAt(t, keys, "before", long)}, token.Entry{Name: "SECRET_LOST_KEY", Token: sealedAt(t, others, "of no key", long)},
		token.Entry{Name: "SECRET_NEW"}, token.Entry{Name: "SECRET_EMPTY", Token: "no token at all"})
	if err != nil {
		t.Fatal(err)
	}
	if row.EnvKey != "" || row.KeyID != keys.IDs()[0] || !token.Joined(row.Token) {
		t.Errorf("row %+v", row)
	}
	got := map[string]string{}
	for _, e := range row.Placed().Entries() {
		got[e.Name] = e.Token
	}
	if len(got) != len(values) || got["SECRET_KEPT"] != kept || got["SECRET-KEPT"] != alsoKept {
		t.Errorf("%d entries; what did not change has another text", len(got))
	}
	if got["SECRET_OLD_KEY"] == of || secondsOf(t, got["SECRET_OLD_KEY"]) != long {
		t.Errorf("a token of the previous key is one of %d now", secondsOf(t, got["SECRET_OLD_KEY"]))
	}
	for _, name := range []string{"SECRET_CHANGED", "SECRET_LOST_KEY", "SECRET_NEW", "SECRET_EMPTY"} {
		if secondsOf(t, got[name]) == long {
			t.Errorf("%s: no fresh token", name)
		}
	}
	want := token.Verdict{Opens: true, KeyID: keys.IDs()[0], Same: true, Binding: token.BindingHolds}
	if v := seal.New(keys.Alone(), values).Judge(row.Placed()); v != want {
		t.Errorf("verdict of the first key by itself %+v, want %+v", v, want)
	}
}

// A single entry reuses a token in the same way.
func TestSealReusesATokenOfABundle(t *testing.T) {
	keys := ring(t, keyA, keyB)
	text := sealedAt(t, keys, "x", 1_500_000_000)
	row, err := seal.New(keys, []envfile.Entry{entry("SECRET_A", "x")}).Seal(target("SECRET_A"), token.Entry{Name: "SECRET_A", Token: text})
	if err != nil || row.Token != text || row.EnvKey != "SECRET_A" || token.Bundled(row.Binding) {
		t.Errorf("%+v, %v", row, err)
	}
}

// An entry that was not handed in is named, and nothing is sealed.
func TestSealABundleOfUnknownEntries(t *testing.T) {
	sealer := seal.New(ring(t, keyA, ""), []envfile.Entry{entry("SECRET_A", "canary-51f0")})
	row, err := sealer.Seal(bundle(), token.Entry{Name: "SECRET_A"}, token.Entry{Name: "SECRET_B"})
	if err == nil || !strings.Contains(err.Error(), "SECRET_B: no such entry") || row.Token != "" {
		t.Errorf("%+v, %v", row, err)
	}
}

// A whole bundle moves under another key: the same values and times, one key.
func TestResealABundle(t *testing.T) {
	before, after := ring(t, keyB, ""), ring(t, keyA, keyB)
	values := []envfile.Entry{entry("SECRET_A", "a"), entry("SECRET-A", "b")}
	from := token.Token{Namespace: "ns", Secret: "web-g1", Token: token.Join([]token.Entry{
		{Name: "SECRET_A", Token: sealedAt(t, before, "a", 1_500_000_000)}, {Name: "SECRET-A", Token: sealedAt(t, before, "b", 1_600_000_000)}})}
	next := bundle()
	next.Secret, next.Generation = "web-g2", 2
	row, err := seal.New(after, nil).Reseal(next, from)
	if err != nil {
		t.Fatal(err)
	}
	want := token.Verdict{Opens: true, KeyID: after.IDs()[0], Same: true, Binding: token.BindingHolds}
	if got := seal.New(after.Alone(), values).Judge(row.Placed()); got != want {
		t.Errorf("verdict %+v, want %+v", got, want)
	}
	for _, e := range row.Placed().Entries() {
		if at := map[string]int64{"SECRET_A": 1_500_000_000, "SECRET-A": 1_600_000_000}[e.Name]; secondsOf(t, e.Token) != at {
			t.Errorf("%s is of %d, want %d", e.Name, secondsOf(t, e.Token), at)
		}
	}
	if !seal.New(after, nil).SameValue(from, row.Placed()) {
		t.Error("SameValue does not know the bundle again")
	}
	from.Token = token.Join(append(from.Entries(), token.Entry{Name: "SECRET_Z", Token: sealedAt(t, ring(t, "n1hQ0o0cV1c4b8mJ7mX3k5y2Q9wE6rT8uI0oP2aS4dA=", ""), "canary-51f0", 1)}))
	if row, err := seal.New(after, nil).Reseal(next, from); err == nil || row.Token != "" || strings.Contains(err.Error(), "canary") {
		t.Errorf("%+v, %v: no key opens one of the entries", row, err)
	}
}

// What a keyring makes of a bundle in its place. Every change of the set shows.
func TestJudgeABundle(t *testing.T) {
	keys := ring(t, keyA, keyB)
	values := []envfile.Entry{entry("SECRET_A", "a"), entry("SECRET-A", "b"), entry("SECRET_B", "b")}
	row := sealedBundle(t, keys, values...)
	other := sealedBundle(t, keys, values...)
	previous := sealedBundle(t, ring(t, keyB, ""), values...)
	entries := row.Placed().Entries() // SECRET-A, SECRET_A, SECRET_B
	set := func(all ...token.Entry) token.Token {
		p := row.Placed()
		p.Token = token.Join(all)
		return p
	}
	under := func(name string, e token.Entry) token.Entry { return token.Entry{Name: name, Token: e.Token} }
	changed := func(change func(*token.Token)) token.Token {
		p := row.Placed()
		change(&p)
		return p
	}
	id, old := keys.IDs()[0], keys.IDs()[1]
	for _, tt := range []struct {
		name string
		in   token.Token
		want token.Verdict
	}{
		{"as it was made", row.Placed(), token.Verdict{Opens: true, KeyID: id, Same: true, Binding: token.BindingHolds}},
		{"in another order", token.Token{Namespace: "ns", Secret: "web-g1", Token: token.Join([]token.Entry{entries[2], entries[0], entries[1]}), Binding: row.Binding},
			token.Verdict{Opens: true, KeyID: id, Same: true, Binding: token.BindingHolds}},
		{"under the previous key", previous.Placed(), token.Verdict{Opens: true, KeyID: old, Same: true, Binding: token.BindingHolds}},
		{"without its binding", changed(func(p *token.Token) { p.Binding = "" }), token.Verdict{Opens: true, KeyID: id, Same: true, Binding: token.BindingAbsent}},
		{"the binding of another making", changed(func(p *token.Token) { p.Binding = other.Binding }), token.Verdict{Opens: true, KeyID: id, Same: true, Binding: token.BindingWrong}},
		{"its binding with another number", changed(func(p *token.Token) { p.Binding = strings.Replace(p.Binding, "v2:3:", "v2:2:", 1) }), token.Verdict{Opens: true, KeyID: id, Same: true, Binding: token.BindingWrong}},
		{"its binding without the number", changed(func(p *token.Token) { p.Binding = strings.Replace(p.Binding, "v2:3:", "v2:", 1) }), token.Verdict{Opens: true, KeyID: id, Same: true, Binding: token.BindingWrong}},
		{"in another namespace", changed(func(p *token.Token) { p.Namespace = "other" }), token.Verdict{Opens: true, KeyID: id, Same: true, Binding: token.BindingWrong}},
		{"under another name", changed(func(p *token.Token) { p.Secret = "web-g2" }), token.Verdict{Opens: true, KeyID: id, Same: true, Binding: token.BindingWrong}},
		{"two of one value swapped", set(under("SECRET-A", entries[2]), entries[1], under("SECRET_B", entries[0])), token.Verdict{Opens: true, KeyID: id, Same: true, Binding: token.BindingWrong}},
		{"two swapped", set(under("SECRET-A", entries[1]), under("SECRET_A", entries[0]), entries[2]), token.Verdict{Opens: true, KeyID: id, Binding: token.BindingWrong}},
		{"one missing", set(entries[:2]...), token.Verdict{Opens: true, KeyID: id, Same: true, Binding: token.BindingWrong}},
		{"one added", set(append(slices.Clone(entries), under("SECRET_C", entries[0]))...), token.Verdict{Opens: true, KeyID: id, Binding: token.BindingWrong}},
		{"one renamed", set(entries[0], entries[1], under("SECRET.B", entries[2])), token.Verdict{Opens: true, KeyID: id, Binding: token.BindingWrong}},
		{"one of an older making", set(entries[0], entries[1], other.Placed().Entries()[2]), token.Verdict{Opens: true, KeyID: id, Same: true, Binding: token.BindingWrong}},
		{"the last one under the previous key", set(entries[0], entries[1], previous.Placed().Entries()[2]), token.Verdict{Opens: true, Same: true, Binding: token.BindingWrong}},
		{"the first one under the previous key", set(previous.Placed().Entries()[0], entries[1], entries[2]), token.Verdict{Opens: true, Same: true, Binding: token.BindingWrong}},
		{"one that no key opens", set(entries[0], entries[1], token.Entry{Name: "SECRET_B", Token: "x"}), token.Verdict{}},
		{"one entry by the binding of all", row.Placed().Entry("SECRET_A"), token.Verdict{Opens: true, KeyID: id, Same: true, Binding: token.BindingHolds}},
		{"an entry that it has not", row.Placed().Entry("SECRET_X"), token.Verdict{}},
	} {
		if got := seal.New(keys, values).Judge(tt.in); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
	stranger := seal.New(ring(t, "n1hQ0o0cV1c4b8mJ7mX3k5y2Q9wE6rT8uI0oP2aS4dA=", ""), values)
	if got := stranger.Judge(row.Placed()); got != (token.Verdict{}) {
		t.Errorf("without a key: %+v", got)
	}
	if got := seal.New(keys, values[:2]).Judge(row.Placed()); got.Same {
		t.Error("an entry that the .env has not counts as the same")
	}
}

// A set under two keys holds under no binding, whichever key bound it: a Secret has one key.
func TestTwoKeysAreNeverBound(t *testing.T) {
	keys, before := ring(t, keyA, keyB), ring(t, keyB, "")
	mixed := []token.Entry{{Name: "A", Token: sealedAt(t, keys, "a", 1)}, {Name: "B", Token: sealedAt(t, before, "b", 1)}}
	for _, key := range keys.Keys() {
		p := token.Token{Namespace: "ns", Secret: "web-g1", Token: token.Join(mixed), Binding: seal.BindBundle(key, "ns", "web-g1", mixed)}
		if v := seal.New(keys, nil).Judge(p); v.KeyID != "" || v.Binding == token.BindingHolds {
			t.Errorf("bound by %s: %+v", key.ID(), v)
		}
	}
}

// The plaintext of one entry, where the whole proves it.
func TestOpenOneEntry(t *testing.T) {
	keys := ring(t, keyA, "")
	row := sealedBundle(t, keys, entry("SECRET_A", "a"), entry("SECRET-A", "b"))
	sealer := seal.New(keys, nil)
	for name, want := range map[string]string{"SECRET_A": "a", "SECRET-A": "b"} {
		if value, err := sealer.Open(row.Placed().Entry(name)); err != nil || value.Reveal() != want {
			t.Errorf("%s: %q, %v", name, value.Reveal(), err)
		}
	}
	moved := row.Placed()
	moved.Secret = "web-g2"
	single := row.Placed().Each()[0]
	for name, in := range map[string]token.Token{
		"all at once": row.Placed(), "one that it has not": row.Placed().Entry("SECRET_B"), "moved": moved.Entry("SECRET_A"), "an entry without the whole": single,
	} {
		if value, err := sealer.Open(in); err == nil || value.Reveal() != "" {
			t.Errorf("%s: opened", name)
		}
	}
}

// A bundle at another place has the binding of that place.
func TestRebindABundle(t *testing.T) {
	keys := ring(t, keyA, keyB)
	values := []envfile.Entry{entry("SECRET_A", "a"), entry("SECRET_B", "b")}
	moved := place(sealedBundle(t, ring(t, keyB, ""), values...))
	moved.Namespace = "other"
	sealer := seal.New(keys, values)
	var err error
	if moved.Binding, err = sealer.Rebind(moved); err != nil {
		t.Fatal(err)
	}
	if v := sealer.Judge(moved); v.Binding != token.BindingHolds || v.KeyID != keys.IDs()[1] {
		t.Errorf("%+v", v)
	}
}

// Bundles have the same value when they have the same entries, each of the same value.
func TestSameValueOfBundles(t *testing.T) {
	keys := ring(t, keyA, keyB)
	sealer := seal.New(keys, nil)
	row := place(sealedBundle(t, keys, entry("SECRET_A", "a"), entry("SECRET_B", "b")))
	for _, tt := range []struct {
		name string
		with token.Token
		want bool
	}{
		{"itself", row, true},
		{"another making", place(sealedBundle(t, keys, entry("SECRET_B", "b"), entry("SECRET_A", "a"))), true},
		{"under the previous key", place(sealedBundle(t, ring(t, keyB, ""), entry("SECRET_A", "a"), entry("SECRET_B", "b"))), true},
		{"another value", place(sealedBundle(t, keys, entry("SECRET_A", "a"), entry("SECRET_B", "c"))), false},
		{"values swapped", place(sealedBundle(t, keys, entry("SECRET_A", "b"), entry("SECRET_B", "a"))), false},
		{"one less", place(sealedBundle(t, keys, entry("SECRET_A", "a"))), false},
		{"one more", place(sealedBundle(t, keys, entry("SECRET_A", "a"), entry("SECRET_B", "b"), entry("SECRET_C", "c"))), false},
		{"another name", place(sealedBundle(t, keys, entry("SECRET_A", "a"), entry("SECRET_C", "b"))), false},
		{"under a key that is not held", place(sealedBundle(t, ring(t, "n1hQ0o0cV1c4b8mJ7mX3k5y2Q9wE6rT8uI0oP2aS4dA=", ""), entry("SECRET_A", "a"), entry("SECRET_B", "b"))), false},
	} {
		if sealer.SameValue(row, tt.with) != tt.want || sealer.SameValue(tt.with, row) != tt.want {
			t.Errorf("%s: not %t", tt.name, tt.want)
		}
	}
}

// A bundle that no Secret holds is refused, by the names of its largest entries.
func TestSealRefusesABundleTooLarge(t *testing.T) {
	values := []envfile.Entry{
		entry("SECRET_A", "x"), entry("SECRET_B", strings.Repeat("x", 300_000)), entry("SECRET_C", strings.Repeat("x", 500_000)), entry("SECRET_D", strings.Repeat("x", 200_000)),
	}
	row, err := seal.New(ring(t, keyA, ""), values).Seal(bundle(), named(values)...)
	if err == nil || !strings.Contains(string(hint.Of(err)), "another .env makes another bundle") {
		t.Fatalf("%d bytes of tokens, %v", len(row.Token), err)
	}
	if text := err.Error(); !strings.Contains(text, "bundle web: ") || !strings.Contains(text, "SECRET_C (666764 bytes), SECRET_B (400100 bytes), SECRET_D (") || strings.Contains(text, "SECRET_A") {
		t.Errorf("%v; a Secret holds %d", err, manifest.MaxData)
	}
}

// The vectors were computed by Python, which shares no code with this package. A map has no
// order, so neither has what goes in.
func TestBindBundleVectors(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "vectors", "bundle.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Name, Key, Namespace, Secret, Binding string
			Data                                  map[string]string
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) < 20 {
		t.Fatalf("only %d vectors", len(file.Cases))
	}
	for _, v := range file.Cases {
		var entries []token.Entry
		for name, text := range v.Data {
			entries = append(entries, token.Entry{Name: name, Token: text})
		}
		if got := seal.BindBundle(ring(t, v.Key, "").Primary(), v.Namespace, v.Secret, entries); got != v.Binding {
			t.Errorf("%s: %s, want %s", v.Name, got, v.Binding)
		}
		if n, ok := token.BundleSize(v.Binding); n != len(entries) || ok != (n > 0) {
			t.Errorf("%s: its binding says %d entries of %d", v.Name, n, len(entries))
		}
	}
}
