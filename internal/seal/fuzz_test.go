// SPDX-License-Identifier: Apache-2.0

package seal_test

import (
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// FuzzJudge seals a value in one place and has it judged in any other: it opens everywhere, and
// its binding holds in its own place alone.
func FuzzJudge(f *testing.F) {
	f.Add("ns", "secret-a", "SECRET_A", "value", "ns", "secret-a", "SECRET_A", "")
	f.Add("ns", "secret-a", "SECRET_A", "", "nss", "ecret-a", "SECRET_A", "")
	f.Add("a", "b-g2", "C", "x\x00y", "a", "b", "-g2C", "v1:")
	f.Add("", "", "SECRET_A", "\xff", "\x00", "", "SECRET_A", "v2:1:")
	f.Add("ns", "a", "B", "v", "ns", "a", "B", "v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, namespace, secret, envKey, value, otherNamespace, otherSecret, otherKey, binding string) {
		if envKey == "" || otherKey == "" {
			return // that is a bundle
		}
		sealer := seal.New(ring(t, keyA, keyB), []envfile.Entry{entry(envKey, value)})
		row := target(envKey)
		row.Namespace, row.Secret = namespace, secret
		row, err := sealer.Seal(row)
		if err != nil {
			return // it is too large
		}
		was := place(row)
		is := token.Token{Namespace: otherNamespace, Secret: otherSecret, EnvKey: otherKey, Token: was.Token, Binding: was.Binding}
		if binding != "" {
			is.Binding = binding
		}
		got := sealer.Judge(is)
		if want := is == was; !got.Opens || (got.Binding == token.BindingHolds) != want {
			t.Errorf("made for %q, and judged in %q: %+v", was, is, got)
		}
		if opened, err := sealer.Open(was); err != nil || opened.Reveal() != value {
			t.Errorf("it opens to %q, %v", opened.Reveal(), err)
		}
	})
}
