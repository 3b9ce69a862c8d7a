// SPDX-License-Identifier: Apache-2.0

package redact_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

const (
	key   = "q7WcVxnCzJYzW0e9hQ5p3mT1uR8aK2dL6sF4gB0iEoM="
	value = "p4ss \"wörd\"\n<&> 'x' 100% 😀 \\ end"
)

// encodings are the ways in which a server may quote what it got.
var encodings = map[string]func(string) string{
	"raw":                        func(s string) string { return s },
	"base64":                     func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64, moved by one":       func(s string) string { return base64.StdEncoding.EncodeToString([]byte("x" + s)) },
	"base64, moved by two":       func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("xy" + s)) },
	"base64 behind other digits": func(s string) string { return "abc" + base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64, wrapped": func(s string) string {
		text := base64.StdEncoding.EncodeToString([]byte(s))
		for i := 11; i < len(text); i += 12 {
			text = text[:i] + "\n" + text[i:]
		}
		return text
	},
	"quoted in parts": func(s string) string {
		var b strings.Builder
		for i := 0; i < len(s); i += 5 {
			fmt.Fprintf(&b, "%q + ", s[i:min(i+5, len(s))])
		}
		return strings.TrimSuffix(b.String(), " + ")
	},
	"base64 twice": func(s string) string {
		return base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(s))))
	},
	"base64 in JSON": func(s string) string {
		return fmt.Sprintf("%q", fmt.Sprintf(`{"data":%q}`, base64.URLEncoding.EncodeToString([]byte(s))))
	},
	"hex":           func(s string) string { return hex.EncodeToString([]byte(s)) },
	"HEX":           func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
	"hex, spaced":   func(s string) string { return fmt.Sprintf("% x", s) },
	"hex, as Go":    func(s string) string { return fmt.Sprintf("%#v", []byte(s)) },
	"numbers":       func(s string) string { return fmt.Sprint([]byte(s)) },
	"quoted":        strconv.Quote,
	"quoted, ASCII": strconv.QuoteToASCII,
	"quoted twice":  func(s string) string { return strconv.Quote(strconv.Quote(s)) },
	"JSON":          func(s string) string { text, _ := json.Marshal(s); return string(text) },
	"query":         url.QueryEscape,
	"path":          url.PathEscape,
	"HTML":          html.EscapeString,
	"octal": func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			fmt.Fprintf(&b, `\%03o`, c)
		}
		return b.String()
	},
}

// What is left of an encoded secret encodes no 6 bytes of it.
func TestCleanInEveryEncoding(t *testing.T) {
	for name, encode := range encodings {
		for _, secret := range []string{key, value} {
			var s redact.Set
			s.Add(secret)
			for _, part := range []string{secret, secret[3 : len(secret)-5], secret[1:13], secret[7:13]} {
				if (name == "base64, wrapped" || name == "quoted in parts") && len(part) < 12 {
					continue // in parts, it is two parts of fewer than 6 bytes
				}
				text := "before #" + encode(part) + "# after"
				got := s.Clean(text)
				if !strings.Contains(got, "[redacted]") || !strings.HasPrefix(got, "before #") || !strings.HasSuffix(got, "# after") {
					t.Errorf("%s of %q: %q becomes %q", name, part, text, got)
				}
				if left := len(got) - len("before #[redacted]# after"); left > len(encode("xxxxx"))+4 {
					t.Errorf("%s of %q: %q still shows much", name, part, got)
				}
			}
		}
	}
}

func TestCleanShowsTheRest(t *testing.T) {
	var s redact.Set
	s.Add(key, value, "prefix-default-suffix", "short", "a-secret-Secret-b")
	s.Name("default", "prefix")
	for text, want := range map[string]string{
		"":      "",
		"short": "short",
		"secrets \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no": "secrets \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
		"the key " + key + ", again " + key:        "the key [redacted], again [redacted]",
		"namespace \"default\" has no prefix.":     "namespace \"default\" has no prefix.",
		"namespace defaults":                       "namespace [redacted]s",
		"it is prefix-default-suffix, of default.": "it is [redacted], of default.",
		"it is fix-default-su, of default.":        "it is [redacted], of default.",
		"five of q7WcV are shown":                  "five of q7WcV are shown",
		"the secretKeyRef and the Secret of it":    "the secretKeyRef and the Secret of it",
		"six of q7WcVx are not":                    "six of [redacted] are not",
	} {
		if got := s.Clean(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// A key cannot be made readable by calling it a name.
func TestNameTakesNoKey(t *testing.T) {
	var s redact.Set
	s.Add(key)
	s.Name(strings.TrimSuffix(key, "="))
	if got := s.Clean("name " + strings.TrimSuffix(key, "=")); got != "name [redacted]" {
		t.Errorf("%q", got)
	}
}

func TestCleanLimitsTheText(t *testing.T) {
	var s redact.Set
	s.Add(key)
	for _, text := range []string{strings.Repeat("é", 3000), strings.Repeat(" ", 2<<10-20) + key, strings.Repeat("a", 1<<20)} {
		got := s.Clean(text)
		if len(got) > 2<<10+len("…") || !strings.HasSuffix(got, "…") && !strings.HasSuffix(got, "[redacted]") {
			t.Errorf("%d bytes become %d: …%q", len(text), len(got), got[len(got)-20:])
		}
	}
}

// One look-up among the secrets of a large run is a matter of milliseconds.
func BenchmarkClean(b *testing.B) {
	var s redact.Set
	for i := range 10000 {
		s.Add(fmt.Sprintf("value-%d-of-some-length-as-they-are-in-files", i), strings.Repeat(fmt.Sprint(i), 40))
	}
	text := strings.Repeat("secrets \"a\" is forbidden: ", 40) + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("body ", 150)))
	for b.Loop() {
		s.Clean(text)
	}
}

// Nor is it when a server sends nothing but encodings in encodings.
func BenchmarkCleanOfEncodings(b *testing.B) {
	var s redact.Set
	s.Add(key, value)
	text := base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("body \\x41", 700)))))
	for b.Loop() {
		s.Clean(text)
	}
}

func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"plain é 漢 text\\x": "plain é 漢 text\\x", "\x1b[2J": `\x1b[2J`, "a\rb\nc\td": `a\rb\nc\td`, "\x07\x7f\u009b": `\x07\x7f\u009b`,
		"\u202eabc\u2066\u200f": `\u202eabc\u2066\u200f`, "a\xffb": `a\xffb`, "\u00a0\ufeff\U000e0041": `\u00a0\ufeff\U000e0041`,
	} {
		if got := redact.Visible(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	var b strings.Builder
	if n, err := redact.Writer(&b).Write([]byte("a\tb\x1b\n")); n != 5 || err != nil || b.String() != "a\tb\\x1b\n" {
		t.Errorf("wrote %q, %d, %v", b.String(), n, err)
	}
}

// What the runtime prints of a panic in a goroutine is its last value: that has the kind
// and the place of the panic, and nothing of the first value.
func TestGuardHidesTheValueOfAPanic(t *testing.T) {
	explode := func() error { panic(errors.New("canary")) }
	var printed any
	func() {
		defer func() { printed = recover() }()
		_ = redact.Guard(explode)()
	}()
	text := fmt.Sprint(printed)
	if !strings.HasPrefix(text, "internal error (*errors.errorString)\n  ") || !strings.Contains(text, "TestGuardHidesTheValueOfAPanic.func1:") || strings.Contains(text, "canary") {
		t.Errorf("it shows:\n%s", text)
	}
	if got := redact.Guard(func() int { return 7 })(); got != 7 {
		t.Errorf("without a panic it gives %d", got)
	}
}
