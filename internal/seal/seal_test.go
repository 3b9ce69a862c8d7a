// SPDX-License-Identifier: Apache-2.0

package seal_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

const (
	keyA = "8wjBHTr1D9Hn2w2E1wHkUOb0cSgEJVkUIYW6Jk1cP2E="
	keyB = "T5YHqGT4w7N1V6gJ0WG4c8uU5ZJbQ5q2h4w0m1V3X9g="
)

func ring(t *testing.T, key, previous string) *keyring.Keyring {
	t.Helper()
	r, err := keyring.Find(keyring.FromEnvironment(key, previous))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func entry(name, value string) envfile.Entry {
	return envfile.Entry{Name: name, Value: envfile.NewValue(value)}
}

func target(envKey string) ledger.Row {
	return ledger.Row{Operation: ledger.Push, State: ledger.Planned, Cluster: "c", Namespace: "ns", Secret: "secret-a", Generation: 1, EnvKey: envKey}
}

func place(r ledger.Row) token.Token {
	return token.Token{Namespace: r.Namespace, Secret: r.Secret, EnvKey: r.EnvKey, Token: r.Token, Binding: r.Binding}
}

func TestSealThenJudge(t *testing.T) {
	keys := ring(t, keyA, keyB)
	for _, value := range []string{"", "x", "canary-51f0", strings.Repeat("é", 4096), "line\nline\r\n\x00"} {
		sealer := seal.New(keys, []envfile.Entry{entry("SECRET_A", value)})
		row, err := sealer.Seal(target("SECRET_A"))
		if err != nil {
			t.Fatal(err)
		}
		if row.KeyID != keys.IDs()[0] || row.Namespace != "ns" || row.Secret != "secret-a" {
			t.Errorf("row %+v", row)
		}
		want := token.Verdict{Opens: true, KeyID: keys.IDs()[0], Same: true, Binding: token.BindingHolds}
		if got := sealer.Judge(place(row)); got != want {
			t.Errorf("verdict %+v, want %+v", got, want)
		}
		again, err := sealer.Seal(target("SECRET_A"))
		if err != nil || again.Token == row.Token {
			t.Errorf("the same token twice, or %v", err)
		}
	}
}

// A token moves under another key: the same value, the same time, another name.
func TestReseal(t *testing.T) {
	before := ring(t, keyB, "")
	for _, value := range []string{"", "x", "canary-51f0", strings.Repeat("é", 4096), "line\nline\r\n\x00"} {
		text, err := before.Primary().SealAt([]byte(value), time.Unix(1700000000, 0))
		if err != nil {
			t.Fatal(err)
		}
		from := token.Token{Namespace: "ns", Secret: "secret-a", EnvKey: "SECRET_A", Token: text}
		row := target("SECRET_A")
		row.Secret, row.Generation = "secret-a-g2", 2
		after := ring(t, keyA, keyB)
		row, err = seal.New(after, nil).Reseal(row, from)
		if err != nil {
			t.Fatal(err)
		}
		alone := seal.New(after.Alone(), []envfile.Entry{entry("SECRET_A", value)})
		want := token.Verdict{Opens: true, KeyID: after.IDs()[0], Same: true, Binding: token.BindingHolds}
		if got := alone.Judge(place(row)); got != want {
			t.Errorf("verdict %+v, want %+v", got, want)
		}
		info, err := token.Parse(row.Token)
		if err != nil || info.Time.Unix() != 1700000000 || len(row.Token) != len(text) {
			t.Errorf("token of %v and %d bytes, %v; want the old one's 1700000000 and %d", info.Time, len(row.Token), err, len(text))
		}
		if alone.SameValue(from, place(row)) || !seal.New(after, nil).SameValue(from, place(row)) {
			t.Error("SameValue does not say that both open to one value with both keys only")
		}
	}
	other := seal.New(ring(t, keyA, ""), nil)
	sealed, err := seal.New(before, []envfile.Entry{entry("SECRET_A", "canary-51f0")}).Seal(target("SECRET_A"))
	if err != nil {
		t.Fatal(err)
	}
	if row, err := other.Reseal(target("SECRET_A"), place(sealed)); err == nil || row.Token != "" || strings.Contains(err.Error(), "canary") {
		t.Errorf("%+v, %v: no key opens it", row, err)
	}
}

func TestJudge(t *testing.T) {
	old := seal.New(ring(t, keyB, ""), []envfile.Entry{entry("SECRET_A", "before")})
	row, err := old.Seal(target("SECRET_A"))
	if err != nil {
		t.Fatal(err)
	}
	sealer := seal.New(ring(t, keyA, keyB), []envfile.Entry{entry("SECRET_A", "after"), entry("SECRET_B", "before")})
	stranger := seal.New(ring(t, keyA, ""), []envfile.Entry{entry("SECRET_A", "before")})
	changed := func(change func(*token.Token)) token.Token {
		p := place(row)
		change(&p)
		return p
	}
	opened := token.Verdict{Opens: true, KeyID: row.KeyID, Binding: token.BindingHolds}
	wrong := token.Verdict{Opens: true, KeyID: row.KeyID, Binding: token.BindingWrong}
	for _, tc := range []struct {
		name   string
		sealer *seal.Sealer
		in     token.Token
		want   token.Verdict
	}{
		{"other value, previous key", sealer, place(row), opened},
		{"no key", stranger, place(row), token.Verdict{}},
		{"no token", sealer, changed(func(p *token.Token) { p.Token = "x" }), token.Verdict{}},
		{"moved to another namespace", sealer, changed(func(p *token.Token) { p.Namespace = "other" }), wrong},
		{"moved to another name", sealer, changed(func(p *token.Token) { p.Secret = "secret-b" }), wrong},
		{"moved to another entry of the same value", sealer, changed(func(p *token.Token) { p.EnvKey = "SECRET_B" }),
			token.Verdict{Opens: true, KeyID: row.KeyID, Same: true, Binding: token.BindingWrong}},
		{"no binding", sealer, changed(func(p *token.Token) { p.Binding = "" }), token.Verdict{Opens: true, KeyID: row.KeyID, Binding: token.BindingAbsent}},
		{"binding without its version", sealer, changed(func(p *token.Token) { p.Binding = strings.TrimPrefix(p.Binding, "v1:") }), wrong},
	} {
		if got := tc.sealer.Judge(tc.in); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func TestSealKnowsItsEntriesOnly(t *testing.T) {
	sealer := seal.New(ring(t, keyA, ""), []envfile.Entry{entry("SECRET_A", "x")})
	if _, err := sealer.Seal(target("KEY")); err == nil {
		t.Error("sealed an entry that was not handed in")
	}
}

func TestSealRefusesWhatNoSecretHolds(t *testing.T) {
	fits := entry("SECRET_A", strings.Repeat("x", manifest.MaxPlaintext))
	row, err := seal.New(ring(t, keyA, ""), []envfile.Entry{fits}).Seal(target("SECRET_A"))
	if err != nil || len(row.Token) > manifest.MaxData {
		t.Errorf("%d bytes of token, %v", len(row.Token), err)
	}
	tooLong := entry("SECRET_A", strings.Repeat("x", manifest.MaxPlaintext+1))
	if _, err := seal.New(ring(t, keyA, ""), []envfile.Entry{tooLong}).Seal(target("SECRET_A")); err == nil {
		t.Error("a token over 1 MiB was accepted")
	}
}

func TestCheckValue(t *testing.T) {
	keys := ring(t, keyA, keyB)
	token, err := keys.Primary().Seal([]byte("canary-51f0"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := ring(t, "n1hQ0o0cV1c4b8mJ7mX3k5y2Q9wE6rT8uI0oP2aS4dA=", "").Primary().Seal([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, value, problem string }{
		{"plain", "x", ""},
		{"token of somebody else", other, ""},
		{"longest", strings.Repeat("x", manifest.MaxPlaintext), ""},
		{"token", token, "already a token"},
		{"key", keyA, "Fernet key of this keyring"},
		{"key in a longer value", "x," + keyA + " ", "Fernet key of this keyring"},
		{"previous key", keyB, "Fernet key of this keyring"},
		{"too long", strings.Repeat("x", manifest.MaxPlaintext+1), "786368 bytes"},
	} {
		err := seal.CheckValue(keys, envfile.NewValue(tc.value))
		switch {
		case tc.problem == "" && err != nil:
			t.Errorf("%s: %v", tc.name, err)
		case tc.problem != "" && (err == nil || !strings.Contains(err.Error(), tc.problem)):
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.problem)
		}
	}
	if err := seal.CheckValue(keys, envfile.NewValue(token)); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("got %v, want ErrSealed", err)
	}
}

// The vectors were computed by Python, which shares no code with this package.
func TestBindVectors(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "vectors", "binding.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Key, Namespace, Secret, Token, Binding string
			DataKey                                string `json:"data_key"`
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) < 20 {
		t.Fatalf("only %d vectors", len(file.Cases))
	}
	for i, v := range file.Cases {
		if got := seal.Bind(ring(t, v.Key, "").Primary(), v.Namespace, v.Secret, v.DataKey, v.Token); got != v.Binding {
			t.Errorf("vector %d: %s, want %s", i, got, v.Binding)
		}
	}
}
