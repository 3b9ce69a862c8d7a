// SPDX-License-Identifier: Apache-2.0

package names_test

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

func TestBase(t *testing.T) {
	longest := "SECRET_" + strings.Repeat("A", names.MaxBase-len("SECRET_"))
	for _, tc := range []struct {
		envKey, want, problem string
	}{
		{envKey: "SECRET-TEST-1", want: "secret-test-1"},
		{envKey: "SECRET_TEST_1", want: "secret-test-1"},
		{envKey: "SECRET", want: "secret"},
		{envKey: "secret.Db.Password", want: "secret.db.password"},
		{envKey: "SECRET__X", want: "secret--x"},
		{envKey: "SECRET_G2", want: "secret-g2", problem: "generation"},
		{envKey: "SECRET-g01", problem: "generation"},
		{envKey: "SECRET_g2x", want: "secret-g2x"},
		{envKey: "SECRETg2", want: "secretg2"},
		{envKey: longest, want: strings.ToLower(strings.ReplaceAll(longest, "_", "-"))},
		{envKey: longest + "A", problem: "at most 241"},
		{envKey: "SECRET-", problem: "cannot be a Secret name"},
		{envKey: "_SECRET", problem: "cannot be a Secret name"},
		{envKey: "SECRET._X", problem: "cannot be a Secret name"},
		{envKey: "SECRETÄ", problem: "cannot be a Secret name"},
	} {
		got, err := names.Base(tc.envKey)
		switch {
		case tc.problem == "" && (err != nil || got != tc.want):
			t.Errorf("Base(%q) = %q, %v; want %q", tc.envKey, got, err, tc.want)
		case tc.problem != "" && (err == nil || !strings.Contains(err.Error(), tc.problem)):
			t.Errorf("Base(%q) = %q, %v; want an error with %q", tc.envKey, got, err, tc.problem)
		}
	}
}

func TestSplitReversesSecret(t *testing.T) {
	for _, base := range []string{"a", "secret-test-1", "x-g", "x-g0", "x-g02", "x-g99999999999999999999"} {
		for _, generation := range []int{1, 2, 10, 123456789} {
			for _, name := range []string{names.Secret(base, generation), names.Numbered(base, generation)} {
				if b, g := names.Split(name); b != base || g != generation {
					t.Errorf("Split(%q) = %q, %d", name, b, g)
				}
			}
		}
	}
}

func TestSplitNumberedReversesNumbered(t *testing.T) {
	for _, base := range []string{"a", "fernet-key", "x-g", "x-g0", "x-g1", "x-g02"} {
		for _, generation := range []int{1, 2, 10, names.MaxGeneration} {
			name := names.Numbered(base, generation)
			if b, g, ok := names.SplitNumbered(name); b != base || g != generation || !ok || !strings.HasPrefix(name, base+"-g") {
				t.Errorf("SplitNumbered(%q) = %q, %d, %t", name, b, g, ok)
			}
		}
	}
	for _, name := range []string{"", "fernet-key", "-g1", "a-g", "a-g0", "a-g01", "a-g1000000000", "a-g-1", "a-g1x"} {
		if b, g, ok := names.SplitNumbered(name); ok {
			t.Errorf("SplitNumbered(%q) = %q, %d", name, b, g)
		}
	}
}

// Every base name that Base accepts is valid with its longest suffix, stays
// as it is when normalised again, and cannot be read as somebody's generation.
func FuzzBase(f *testing.F) {
	for _, seed := range []string{"SECRET-TEST-1", "SECRET_G2", "secret", "SECRET.", "-", "SECRET_" + strings.Repeat("x", 250), "SECRET\u2010X"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, envKey string) {
		base, err := names.Base(envKey)
		if err != nil {
			return
		}
		if problems := validation.IsDNS1123Subdomain(names.Secret(base, 1<<31-1)); len(problems) > 0 {
			t.Errorf("%q: %v", base, problems)
		}
		if again, err := names.Base(base); err != nil || again != base {
			t.Errorf("%q is not stable: %q, %v", base, again, err)
		}
		if b, g := names.Split(base); b != base || g != 1 {
			t.Errorf("%q reads as generation %d of %q", base, g, b)
		}
	})
}

func TestCheckNamespace(t *testing.T) {
	for name, ok := range map[string]bool{"default": true, "a-1": true, "": false, "Prod": false, "a.b": false, "../x": false, strings.Repeat("a", 64): false} {
		err := names.CheckNamespace(name)
		if (err == nil) != ok || err != nil && !errors.Is(err, names.ErrNamespace) {
			t.Errorf("CheckNamespace(%q) = %v", name, err)
		}
	}
}

// The rules of RFC 1123 are written out here; they are those of apimachinery.
func FuzzAsKubernetes(f *testing.F) {
	for _, seed := range []string{"a", "a-b", "-a", "a-", "a.b", "a..b", ".a", "a.", "A", "", "ä", "a_b", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a.", 126) + "a", strings.Repeat("a.", 126) + "ab"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := names.Label(text), len(validation.IsDNS1123Label(text)) == 0; got != want {
			t.Errorf("Label(%q) = %v, Kubernetes says %v", text, got, want)
		}
		if got, want := names.Subdomain(text), len(validation.IsDNS1123Subdomain(text)) == 0; got != want {
			t.Errorf("Subdomain(%q) = %v, Kubernetes says %v", text, got, want)
		}
	})
}
