// SPDX-License-Identifier: Apache-2.0

package redact_test

import (
	"encoding/base64"
	"encoding/hex"
	"html"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

// readings are what a text may be read as by somebody who looks for a secret in it, by the
// standard library alone.
func readings(text string) (all []string) {
	all = append(all, text, html.UnescapeString(text), unquoted(text))
	if plain, err := url.QueryUnescape(text); err == nil {
		all = append(all, plain)
	}
	if plain, err := url.PathUnescape(text); err == nil {
		all = append(all, plain)
	}
	for _, run := range regexp.MustCompile(`[A-Za-z0-9+/_-]{8,}`).FindAllString(text, -1) {
		run = strings.NewReplacer("-", "+", "_", "/").Replace(run)
		for skip := range 4 {
			part := run[min(skip, len(run)):]
			plain, _ := base64.RawStdEncoding.DecodeString(part[:len(part)/4*4])
			all = append(all, string(plain))
		}
	}
	for _, run := range regexp.MustCompile(`[0-9a-fA-F]{12,}`).FindAllString(text, -1) {
		for skip := range 2 {
			part := run[skip:]
			plain, _ := hex.DecodeString(part[:len(part)/2*2])
			all = append(all, string(plain))
		}
	}
	return all
}

// unquoted takes the escapes of Go and JSON away.
func unquoted(text string) string {
	var b strings.Builder
	for text != "" {
		r, isRune, rest, err := strconv.UnquoteChar(text, 0)
		switch {
		case err != nil:
			b.WriteByte(text[0])
			rest = text[1:]
		case isRune:
			b.WriteRune(r)
		default:
			b.WriteByte(byte(r))
		}
		text = rest
	}
	return b.String()
}

// encodeAs writes a text in one of the encodings, by a number. Those that cut it into parts are
// none of them: a part of fewer than 6 bytes stays.
func encodeAs(n byte, text string) string {
	ways := slices.Sorted(maps.Keys(encodings))
	ways = slices.DeleteFunc(ways, func(name string) bool { return strings.Contains(name, "wrapped") || strings.Contains(name, "parts") })
	return encodings[ways[int(n)%len(ways)]](text)
}

// FuzzClean has a part of a secret in a text, encoded once or twice. Nothing is added to the
// text but the marks, and no reading of the rest has 6 bytes of the secret in a row.
func FuzzClean(f *testing.F) {
	for way := range byte(len(encodings)) {
		f.Add(value, uint8(0), uint8(200), way, way+1, `error: the object "`, `" is invalid`)
		f.Add(key, uint8(3), uint8(20), way, way, "data:", "=")
	}
	f.Add("p4ssw0rd and more", uint8(0), uint8(9), byte(1), byte(1), "AAA", "BBB")
	f.Fuzz(func(t *testing.T, secret string, from, to uint8, first, second byte, before, after string) {
		part := secret[min(int(from), len(secret)):]
		part = part[:min(int(to), len(part))]
		text := before + encodeAs(second, encodeAs(first, part)) + after
		if len(secret) < 8 || len(secret)+len(text) > 1500 || strings.Contains(strings.ToLower(secret), "secret") || overlap("[redacted]", secret) {
			return // too short, too long, or a word that every message has
		}
		var s redact.Set
		s.Add(secret)
		got := s.Clean(text)
		rest := text
		for _, kept := range strings.Split(got, "[redacted]") {
			_, behind, found := strings.Cut(rest, kept)
			if rest = behind; !found {
				t.Fatalf("%q becomes %q", text, got)
			}
			for _, reading := range readings(kept) {
				if overlap(reading, secret) {
					t.Fatalf("secret %q: %q becomes %q, which reads %q", secret, text, got, reading)
				}
			}
		}
	})
}

// overlap says whether a text has 6 bytes of a secret in a row.
func overlap(text, secret string) bool {
	for i := range max(0, len(secret)-5) {
		if strings.Contains(text, secret[i:i+6]) {
			return true
		}
	}
	return false
}

// FuzzVisible: what a terminal shows is printable, and what is printable stays as it is. Read
// as Go reads a string, the escapes are the text again, where it has no backslash of its own.
func FuzzVisible(f *testing.F) {
	for _, text := range []string{"plain é 漢", "\x1b[2J\x07\x7f\u009b", "a\rb\nc\td", "\u202eabc\u2066", "a\xffb\xc3", "\u00a0\ufeff\U000e0041", `C:\new`, "\ufffd"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := redact.Visible(text)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q is shown as %q", text, got)
		}
		if !strings.Contains(text, `\`) && unquoted(got) != text {
			t.Errorf("%q is shown as %s, which is %q", text, got, unquoted(got))
		}
		var b strings.Builder
		n, err := redact.Writer(&b).Write([]byte(text))
		if shown := strings.NewReplacer("\n", "\\n", "\t", "\\t").Replace(b.String()); n != len(text) || err != nil || shown != got {
			t.Errorf("%q is written as %q, %d, %v", text, b.String(), n, err)
		}
	})
}
