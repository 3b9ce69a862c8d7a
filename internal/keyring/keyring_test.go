// SPDX-License-Identifier: Apache-2.0

package keyring_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
)

const (
	keyA = "8wjBHTr1D9Hn2w2E1wHkUOb0cSgEJVkUIYW6Jk1cP2E="
	keyB = "T5YHqGT4w7N1V6gJ0WG4c8uU5ZJbQ5q2h4w0m1V3X9g="
	keyC = "n1hQ0o0cV1c4b8mJ7mX3k5y2Q9wE6rT8uI0oP2aS4dA="
)

func file(t *testing.T, path, text string) keyring.Source {
	t.Helper()
	f, err := envfile.Parse(path, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return keyring.FromFile(f)
}

func TestFind(t *testing.T) {
	for _, tc := range []struct {
		name    string
		env     string
		keyFile string
		vars    [2]string
		want    []string // the keys that must open, the first seals
		problem string
	}{
		{name: "one key", env: "KEY=" + keyA, want: []string{keyA}},
		{name: "next, then previous", env: "KEY=" + keyA + "\nKEY_PREVIOUS=" + keyB + "\nKEY_NEXT=" + keyC, want: []string{keyA, keyC, keyB}},
		{name: "several previous, blanks", env: "KEY=" + keyA + "\nKEY_PREVIOUS=" + keyB + " , " + keyC, want: []string{keyA, keyB, keyC}},
		{name: "empty previous", env: "KEY=" + keyA + "\nKEY_PREVIOUS=", want: []string{keyA}},
		{name: "key file", env: "SECRET_A=x", keyFile: "KEY=" + keyB, want: []string{keyB}},
		{name: "environment", env: "SECRET_A=x", vars: [2]string{keyC, keyA + "," + keyB}, want: []string{keyC, keyA, keyB}},
		{name: "the same in two places", env: "KEY=" + keyA, vars: [2]string{keyA, ""}, want: []string{keyA}},
		{name: "key here, previous there", env: "KEY=" + keyA, keyFile: "KEY_PREVIOUS=" + keyB, want: []string{keyA, keyB}},

		{name: "the other spelling", env: "FERNET_KEY=" + keyA + "\r\nFERNET_KEY_PREVIOUS='" + keyB + "'", want: []string{keyA, keyB}},
		{name: "one of each spelling", env: "KEY=" + keyA + "\nFERNET_KEY_PREVIOUS=" + keyB, want: []string{keyA, keyB}},
		{name: "spelled otherwise in two places", env: "FERNET_KEY=" + keyA, keyFile: "KEY=" + keyA, want: []string{keyA}},
		{name: "the staged key has one spelling", env: "FERNET_KEY=" + keyA + "\nFERNET_KEY_NEXT=" + keyB, want: []string{keyA}},

		{name: "two spellings", env: "KEY=" + keyA + "\n\nFERNET_KEY=" + keyA, problem: ".env:3: FERNET_KEY: means the same as KEY in line 1"},
		{name: "two spellings, the other way", env: "FERNET_KEY=" + keyB + "\nKEY=" + keyA, problem: ".env:1: FERNET_KEY: means the same as KEY in line 2"},
		{name: "two spellings of the previous", env: "KEY=" + keyA + "\nKEY_PREVIOUS=" + keyB + "\nFERNET_KEY_PREVIOUS=" + keyC, problem: ".env:3: FERNET_KEY_PREVIOUS: means the same as KEY_PREVIOUS in line 2"},
		{name: "two spellings in a key file", env: "A=1", keyFile: "KEY=" + keyA + "\nFERNET_KEY=", problem: "keys:2: FERNET_KEY: means the same as KEY in line 1"},
		{name: "empty key, the other spelling", env: "A=1\nFERNET_KEY=", problem: ".env:2: FERNET_KEY: it is empty"},
		{name: "two places differ", env: "KEY=" + keyA, vars: [2]string{keyB, ""}, problem: "environment: FERNET_KEY: differs from KEY in .env"},
		{name: "key file differs", env: "A=1\nKEY=" + keyA, keyFile: "\n\nKEY=" + keyB, problem: "keys:3: KEY: differs from KEY in .env"},
		{name: "previous is the primary", env: "KEY=" + keyA + "\nKEY_PREVIOUS=" + keyA, problem: ".env:2: KEY_PREVIOUS: key k"},
		{name: "two keys in KEY", env: "KEY=" + keyA + "," + keyB, problem: ".env:1: KEY: it has a comma"},
		{name: "bad previous", env: "KEY=" + keyA + "\nKEY_PREVIOUS=" + keyB + ",abc", problem: ".env:2: KEY_PREVIOUS: "},
		{name: "half a line break behind a key", env: "A=1", vars: [2]string{keyA + "\r", ""}, problem: "environment: FERNET_KEY: it has a blank"},
		{name: "empty key", env: "KEY=", problem: ".env:1: KEY: it is empty"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sources := []keyring.Source{file(t, ".env", tc.env)}
			if tc.keyFile != "" {
				sources = append(sources, file(t, "keys", tc.keyFile))
			}
			ring, err := keyring.Find(append(sources, keyring.FromEnvironment(tc.vars[0], tc.vars[1]))...)
			if tc.problem != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tc.problem) {
					t.Fatalf("got %v, want %s…", err, tc.problem)
				}
				checkNoKey(t, err.Error())
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkRing(t, ring, tc.want)
		})
	}
}

func checkRing(t *testing.T, ring *keyring.Keyring, want []string) {
	t.Helper()
	if len(ring.IDs()) != len(want) {
		t.Errorf("has the keys %v, want %d", ring.IDs(), len(want))
	}
	for i, text := range want {
		single, err := keyring.Find(keyring.FromEnvironment(text, ""))
		if err != nil {
			t.Fatal(err)
		}
		if single.IDs()[0] != ring.IDs()[i] || !ring.Has(single.IDs()[0]) || !ring.Contains(text) {
			t.Errorf("key %d is %s, want %s", i, ring.IDs()[i], single.IDs()[0])
		}
		token, err := single.Primary().Seal([]byte("canary-77aa"))
		if err != nil {
			t.Fatal(err)
		}
		plain, by, err := ring.Open(token)
		if err != nil || string(plain) != "canary-77aa" || by.ID() != single.IDs()[0] {
			t.Errorf("key %d: opens %q with %v, %v", i, plain, by, err)
		}
	}
	if ring.Primary().ID() != ring.IDs()[0] {
		t.Errorf("seals with %s, want %s", ring.Primary().ID(), ring.IDs()[0])
	}
}

func TestNoKeyAnywhere(t *testing.T) {
	_, err := keyring.Find(file(t, ".env", "SECRET_A=x\nKEY_PREVIOUS="+keyA), keyring.FromEnvironment("", ""))
	if !errors.Is(err, keyring.ErrNoKey) {
		t.Errorf("got %v", err)
	}
}

func TestOpenRefusesOtherKeys(t *testing.T) {
	a, _ := keyring.Find(keyring.FromEnvironment(keyA, ""))
	b, _ := keyring.Find(keyring.FromEnvironment(keyB, ""))
	token, err := a.Primary().Seal(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Open(token); err == nil {
		t.Error("another key opened it")
	}
	if b.Contains(keyA) || b.Has(a.IDs()[0]) {
		t.Error("claims a key that it has not")
	}
}

func TestGenerate(t *testing.T) {
	text, key, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := keyring.Generate()
	if err != nil || other == text {
		t.Fatalf("twice the same key, or %v", err)
	}
	ring, err := keyring.Find(keyring.FromEnvironment(text, ""))
	if err != nil || ring.Primary().ID() != key.ID() {
		t.Errorf("%v, %v", ring, err)
	}
}

// Keys and keyrings show ids, whoever prints them and however.
func TestNothingPrintsAKey(t *testing.T) {
	ring, err := keyring.Find(keyring.FromEnvironment(keyA, keyB))
	if err != nil {
		t.Fatal(err)
	}
	wrapped := struct {
		Ring *keyring.Keyring
		Key  keyring.Key
	}{ring, ring.Primary()}
	hidden := struct {
		ring keyring.Keyring
		key  keyring.Key
	}{*ring, ring.Primary()}
	for _, v := range []any{ring, *ring, ring.Primary(), wrapped, &wrapped, []any{ring.Primary()}, hidden, &hidden} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b"} {
			checkNoKey(t, fmt.Sprintf(verb, v))
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		checkNoKey(t, string(text))
	}
	if got := fmt.Sprint(ring.Primary()); !strings.Contains(got, ring.IDs()[0]) {
		t.Errorf("a key prints as %q, without its id", got)
	}
}

// checkNoKey looks for a piece of any key, as text, as hex, or as a list of bytes.
func checkNoKey(t *testing.T, text string) {
	t.Helper()
	for _, key := range []string{keyA, keyB, keyC} {
		for i := 0; i+6 <= len(key); i++ {
			if strings.Contains(text, key[i:i+6]) {
				t.Errorf("a piece of a key in %q", text)
				return
			}
		}
	}
	raw := []byte{0xf3, 0x08, 0xc1, 0x1d, 0x3a} // the first bytes of keyA
	for _, form := range []string{hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)), "243 8 193 29", "0xf3, 0x8, 0xc1"} {
		if strings.Contains(text, form) {
			t.Errorf("the bytes of a key in %q", text)
		}
	}
}
