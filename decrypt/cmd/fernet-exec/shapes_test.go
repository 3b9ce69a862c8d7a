// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// names are those of secrets, and of what else applications call them.
var names = []string{"SECRET_DB", "DATABASE_URL", "POSTGRES_PASSWORD", "db_password", "SECRET-DB", "app.db.password", "KEY_A"}

// shape is what a value looks like when it reaches fernet-exec, and what is to come
// of it: it opens, it is an error that says want, or, as a variable, it stays.
type shape struct {
	name, value string
	opens       bool
	want        string
}

func standard(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
func urlSafe(text string) string  { return base64.URLEncoding.EncodeToString([]byte(text)) }

func good(t *testing.T) []shape {
	t.Helper()
	token := sealed(t, canary, 0)
	return []shape{
		{"token", token, true, ""},
		{"line break", token + "\n", true, ""},
		{"CR LF", token + "\r\n", true, ""},
		{"token of a previous key", sealed(t, canary, 1), true, ""},
	}
}

// wrapped are tokens with something around them.
func wrapped(token string) []shape {
	const around, twice, inside = "around it; store the token alone", "encoded in base64 twice", "other text around it"
	lines := standard(token)[:76] + "\n" + standard(token)[76:] + "\n"
	return []shape{
		{"two line breaks", token + "\n\n", false, around},
		{"two CR LF", token + "\r\n\r\n", false, around},
		{"carriage return", token + "\r", false, around},
		{"blank before", " " + token, false, around},
		{"blank behind", token + " ", false, around},
		{"line break before", "\n" + token, false, around},
		{"tab before", "\t" + token, false, around},
		{"tab behind", token + "\t", false, around},
		{"no-break space", "\u00a0" + token, false, around},
		{"zero-width space", token + "\u200b", false, around},
		{"byte order mark", "\ufeff" + token, false, around},
		{"single quotes", "'" + token + "'", false, around},
		{"double quotes", `"` + token + `"`, false, around},
		{"double quotes and a line break", `"` + token + `"` + "\n", false, around},
		{"typographic quotes", "“" + token + "”", false, around},
		{"backticks", "`" + token + "`", false, around},
		{"base64", standard(token), false, twice},
		{"base64, line break outside", standard(token) + "\n", false, twice},
		{"base64, line break inside", standard(token + "\n"), false, twice},
		{"base64, blank inside", standard(" " + token), false, twice},
		{"base64, quotes inside", urlSafe(`"` + token + `"`), false, twice},
		{"base64 in lines", lines, false, twice},
		{"base64 without padding", strings.TrimRight(standard(token+"\n"), "="), false, twice},
		{"base64, URL-safe", urlSafe(token), false, twice},
		{"base64, URL-safe, without padding", strings.TrimRight(urlSafe(token+"\r\n"), "="), false, twice},
		{"base64 of base64", standard(standard(token)), false, twice},
		{"base64 in quotes", "'" + standard(token) + "'", false, twice},
		{"base64, cut", standard(token)[:100], false, twice},
		{"in a URL", "postgres://app:" + token + "@db:5432/app?sslmode=require", false, inside},
		{"in a URL, without padding", "postgres://app:" + strings.TrimRight(token, "=") + "@db/app", false, inside},
		{"in JSON", `{"password":"` + token + `"}`, false, inside},
		{"line of a .env", "SECRET_DB=" + token + "\n", false, inside},
		{"a .env", "KEY_B=x\nSECRET_DB=" + token + "\nB=c\n", false, inside},
		{"Python bytes", "b'" + token + "'", false, inside},
		{"behind a scheme", "Bearer " + token, false, inside},
		{"base64 behind a name", "base64:" + standard(token), false, inside},
		{"with a mark before", "enc-v1-" + token, false, inside},
		{"with a name before", "fernet:" + token, false, inside},
	}
}

// damaged are tokens that were cut, joined, altered or quoted, or are not ours.
func damaged(t *testing.T) []shape {
	t.Helper()
	token, foreign := sealed(t, canary, 0), sealed(t, canary, 2)
	even := sealed(t, strings.Repeat(canary, 3), 0) // needs no padding
	for !strings.ContainsAny(even, "-_") {
		even = sealed(t, strings.Repeat(canary, 3), 0)
	}
	altered := []byte(token)
	altered[40] = 'A' + (altered[40]+1)%26
	return []shape{
		{"no padding", strings.TrimRight(token, "="), false, "padding is missing"},
		{"half the padding", strings.TrimSuffix(token, "="), false, "padding is missing"},
		{"padding twice", token + "==", false, "padding is missing"},
		{"quoted padding", strings.ReplaceAll(token, "=", "%3D"), false, "not URL-safe base64"},
		{"an escaped line break", token + `\n`, false, "not URL-safe base64"},
		{"a character before", "=" + token, false, "malformed"},
		{"cut by a character", token[:len(token)-1], false, "it was cut"},
		{"cut by a block", even[:len(even)-22], false, "malformed"},
		{"cut by groups", token[:len(token)-8], false, "shorter than the 73 bytes"},
		{"cut in half", token[:len(token)/2], false, "malformed"},
		{"two tokens", token + token, false, "malformed"},
		{"two tokens and a comma", token + "," + token, false, "malformed"},
		{"line break inside", token[:64] + "\n" + token[64:], false, "not URL-safe base64"},
		{"blanks inside", token[:64] + "  " + token[64:], false, "not URL-safe base64"},
		{"standard alphabet", strings.NewReplacer("-", "+", "_", "/").Replace(even), false, "malformed"},
		{"altered", string(altered), false, "no key opens"},
		{"another key", foreign, false, "no key opens"},
		{"another key and a line break", foreign + "\n", false, "no key opens"},
		{"a block less", even[:100], false, "malformed"},
	}
}

// plain are values that never were tokens.
func plain(token string) []shape {
	return []shape{
		{"empty", "", false, ""},
		{"text", "hunter two", false, ""},
		{"text like a token", "gAAAAABshort", false, ""},
		{"text like a token, as long as a key", token[:44], false, ""},
		{"text in base64", standard("a text, and not a token, in base64 that is as long as one, and still no token"), false, ""},
		{"base64 of zeros with a token's version", standard("\xff\xff\xff\xe0"+strings.Repeat("\x00", 200)) + "/gAAAA" + strings.Repeat("A", 200), false, ""},
		{"base64 of zeros", standard(strings.Repeat("\x00", 200)), false, ""},
		{"key", testKey(5).Encode(), false, ""},
		{"JWT", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U", false, ""},
		{"PEM", "-----BEGIN PRIVATE KEY-----\n" + token[:64] + "\n" + token[:64] + "\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n", false, ""},
		{"URL", "postgres://app:hunter-two@db:5432/app?sslmode=require", false, ""},
		{"quotes", `"it's"`, false, ""},
		{"line breaks", "\n\n", false, ""},
		{"hexadecimal", strings.Repeat("0123456789abcdef", 10), false, ""},
	}
}

// Whatever a token looks like when it arrives, as a variable or as a file of any
// name: the command gets what was sealed, or is not started and an error names the
// place. A plain value arrives unharmed, but not in a folder.
func TestNoCommandGetsCiphertext(t *testing.T) {
	token := sealed(t, canary, 0)
	shapes := append(good(t), wrapped(token)...)
	shapes = append(append(shapes, damaged(t)...), plain(token)...)
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			for _, name := range names {
				checkShape(t, s, name, start([]string{name + "=" + s.value}, "--", "env", "-0"), name, s.want == "")
				dir := folder(t, name, s.value)
				checkShape(t, s, name, start(nil, "--dir", dir, "--", "env", "-0"), filepath.Join(dir, name), false)
			}
		})
	}
}

// checkShape runs a command that prints its environment. A plain value stays, if
// it may, and is else an error.
func checkShape(t *testing.T, s shape, name string, cmd *exec.Cmd, place string, stays bool) {
	t.Helper()
	stdout, stderr, code := finish(t, cmd)
	want := name + "=" + s.value + "\x00"
	switch {
	case s.opens:
		want = name + "=" + canary + "\x00"
	case !stays:
		want = ""
	}
	started := want != ""
	if started != (code == 0) || !started && (code != 125 || stdout != "") || !strings.Contains(stdout, want) {
		t.Errorf("%s: code %d, and the command's environment is %q; want %q in it", place, code, stdout, want)
	}
	if started {
		return
	}
	reason := s.want
	if reason == "" {
		reason = "not sealed"
	}
	if strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "fernet-exec: "+place+": ") || !strings.Contains(stderr, reason) {
		t.Errorf("stderr %q, want one line about %s that says %q", stderr, place, reason)
	}
	for i := 0; i+8 <= len(s.value); i++ {
		if piece := s.value[i : i+8]; strings.Contains(strings.Replace(stderr, place, "", 1), piece) {
			t.Fatalf("%s: stderr shows %q of the value", place, piece)
		}
	}
}
