// SPDX-License-Identifier: Apache-2.0

package hint

import "testing"

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"abc", "abc", 0}, {"", "abc", 3}, {"a", "b", 1}, {"kitten", "sitting", 3},
		{"update", "udpate", 2}, {"abcdef", "bcdefg", 2}, {"ab", "ba", 2}, {"flaw", "lawn", 2},
	} {
		if got, back := distance(c.a, c.b), distance(c.b, c.a); got != c.want || back != c.want {
			t.Errorf("%q, %q: %d, backwards %d, want %d", c.a, c.b, got, back, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"env", "namespace", "namespaces", "ledger", "insecure-skip-tls-verify"}
	for name, want := range map[string]string{
		"namespace": "namespace", "namspace": "namespace", "namspaces": "namespaces", "legder": "ledger", "evn": "env",
		"ledger-file": "", "password": "", "skip-tls-verify": "", "insecure-tls-verify": "insecure-skip-tls-verify",
	} {
		if got := Nearest(name, names); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := Nearest("x", nil); got != "" {
		t.Errorf("%q of nothing", got)
	}
}
