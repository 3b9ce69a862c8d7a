// SPDX-License-Identifier: Apache-2.0

package action

import (
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

// Two entries that would become one Secret are found, whatever their spelling,
// and two that would not are let through.
func FuzzSameBaseName(f *testing.F) {
	for _, seed := range [][2]string{{"SECRET_A", "SECRET-A"}, {"SECRET_A", "secret.a"}, {"SECRET_A", "SECRET_B"}, {"S", "s"}, {"A-B", "A_b"}, {"A", "A-g2"}} {
		f.Add(seed[0], seed[1])
	}
	ring, err := keyring.Find(keyring.FromEnvironment(testKey, ""))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		a, errA := names.Base(first)
		b, errB := names.Base(second)
		if errA != nil || errB != nil || first == second || ours(first) || ours(second) || strings.Contains(first+second, "/") {
			return
		}
		p := &Project{Keys: ring, File: &envfile.File{Path: ".env", Entries: []envfile.Entry{
			{Name: first, Value: envfile.NewValue("x"), Line: 1}, {Name: second, Value: envfile.NewValue("x"), Line: 2},
		}}}
		err := p.take(Settings{Match: []string{"*"}}.chooses, false)
		if (a == b) != (err != nil) {
			t.Errorf("%q and %q have the base names %q and %q: %v", first, second, a, b, err)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), ".env:2: ") || !strings.Contains(err.Error(), "(line 1)")) {
			t.Errorf("does not name both lines: %v", err)
		}
	})
}
