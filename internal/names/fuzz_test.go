// SPDX-License-Identifier: Apache-2.0

package names_test

import (
	"math/big"
	"regexp"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

var numbered = regexp.MustCompile(`(?s)^(.+)-g([1-9][0-9]*)$`)

// FuzzSplit: a name is split into what makes it again, and has a number where a pattern, read
// with numbers of any size, has one.
func FuzzSplit(f *testing.F) {
	for _, name := range []string{"secret-a", "secret-a-g2", "a-g1-g2", "-g1", "a-g01", "a-g999999999", "a-g1000000000", "a-g99999999999999999999", "a-g+1", "a-g2\n", "\n-g2", ""} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		base, generation, ok := names.SplitNumbered(name)
		match, n := numbered.FindStringSubmatch(name), new(big.Int)
		if match != nil {
			n.SetString(match[2], 10)
		}
		if want := match != nil && n.Cmp(big.NewInt(names.MaxGeneration)) <= 0; ok != want {
			t.Fatalf("%q has a number: %t, want %t", name, ok, want)
		}
		if ok && (base != match[1] || names.Numbered(base, generation) != name) {
			t.Errorf("%q is split into %q and %d", name, base, generation)
		}
		if b, g := names.Split(name); ok && (b != base || g != generation) || !ok && (b != name || g != 1) {
			t.Errorf("%q is split into %q and %d", name, b, g)
		}
	})
}
