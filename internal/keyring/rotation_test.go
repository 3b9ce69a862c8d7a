// SPDX-License-Identifier: Apache-2.0

package keyring_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
)

const keyD = "BwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSY="

// A rotation only moves keys about; comments and the rest stay where they are.
func TestRotationOfAFile(t *testing.T) {
	for _, tt := range []struct {
		name, before string
		change       func(f *envfile.File) ([]envfile.Change, error)
		after        string // "" is refused
	}{
		{"stage", "# c\nKEY=A # k\nSECRET=1\n", stage, "# c\nKEY=A # k\nKEY_NEXT=D\nSECRET=1\n"},
		{"fresh", "KEY='A'\nSECRET=1\n", advance, "KEY=D\nKEY_PREVIOUS=A\nSECRET=1\n"},
		{"staged", "KEY_NEXT=B\nKEY=A\nSECRET=1\n", advance, "KEY=B\nKEY_PREVIOUS=A\nSECRET=1\n"},
		{"empty lines", "KEY=A\nKEY_NEXT=\nKEY_PREVIOUS=\n", advance, "KEY=D\nKEY_PREVIOUS=A\n"},
		{"third", "KEY=A\n# old ones\nKEY_PREVIOUS=B, C\n", advance, "KEY=D\n# old ones\nKEY_PREVIOUS=A,B,C\n"},
		{"renewed", "KEY=A\nKEY_PREVIOUS=B\n", renew(false), "KEY=D\nKEY_PREVIOUS=A,B\n"},
		{"renewed, the staged one thrown away", "KEY=A\nKEY_NEXT=B\nKEY_PREVIOUS=C\n", renew(false), "KEY=D\nKEY_PREVIOUS=A,C\n"},
		{"renewed, the staged one kept", "KEY=A\nKEY_NEXT=B\nKEY_PREVIOUS=C\n", renew(true), "KEY=D\nKEY_PREVIOUS=A,B,C\n"},
		{"back", "KEY=A\nKEY_PREVIOUS=B,C\n", keyring.Retreat, "KEY=B\nKEY_NEXT=A\nKEY_PREVIOUS=C\n"},
		{"back to one", "KEY=A\nKEY_PREVIOUS=B\nSECRET=1\n", keyring.Retreat, "KEY=B\nKEY_NEXT=A\nSECRET=1\n"},
		{"back to none", "KEY=A\nKEY_PREVIOUS=\n", keyring.Retreat, ""},
		{"back, no room", "KEY=A\nKEY_PREVIOUS=B\nKEY_NEXT=C\n", keyring.Retreat, ""},
		{"stage, the other spelling", "FERNET_KEY=A\r\nSECRET=1", stage, "FERNET_KEY=A\r\nKEY_NEXT=D\r\nSECRET=1"},
		{"fresh, the other spelling", "FERNET_KEY=A\nSECRET=1\n", advance, "FERNET_KEY=D\nFERNET_KEY_PREVIOUS=A\nSECRET=1\n"},
		{"fresh, two spellings", "FERNET_KEY=A\nSECRET=1\nKEY_PREVIOUS=B\n", advance, "FERNET_KEY=D\nSECRET=1\nKEY_PREVIOUS=A,B\n"},
		{"fresh, two spellings the other way", "FERNET_KEY_PREVIOUS=B\nKEY=A\n", advance, "FERNET_KEY_PREVIOUS=A,B\nKEY=D\n"},
		{"renewed, the other spelling", "FERNET_KEY='A' # mine\nKEY_NEXT=B\n", renew(true), "FERNET_KEY=D # mine\nFERNET_KEY_PREVIOUS=A,B\n"},
		{"back, the other spelling", "FERNET_KEY=A\nFERNET_KEY_PREVIOUS=B,C\n", keyring.Retreat, "FERNET_KEY=B\nKEY_NEXT=A\nFERNET_KEY_PREVIOUS=C\n"},
		{"back to one, the other spelling", "FERNET_KEY=A\nFERNET_KEY_PREVIOUS=B\n", keyring.Retreat, "FERNET_KEY=B\nKEY_NEXT=A\n"},
		{"drop, the other spelling", "FERNET_KEY=A\nFERNET_KEY_PREVIOUS=B\nSECRET=1\n", drop, "FERNET_KEY=A\nSECRET=1\n"},
		{"drop, two spellings", "KEY=A\nFERNET_KEY_PREVIOUS=B\n", drop, "KEY=A\n"},
		{"drop", "KEY=A\nKEY_PREVIOUS=B,D, C\nSECRET=1\n", drop, "KEY=A\nSECRET=1\n"},
	} {
		names := strings.NewReplacer("=A", "="+keyA, "='A'", "='"+keyA+"'", "=B", "="+keyB, "=C", "="+keyC, "=D", "="+keyD,
			",B", ","+keyB, ",C", ","+keyC, ",D", ","+keyD, ", C", ", "+keyC)
		before := []byte(names.Replace(tt.before))
		f, err := envfile.Parse("x", before)
		if err != nil {
			t.Fatal(err)
		}
		changes, err := tt.change(f)
		if tt.after == "" {
			if !errors.Is(err, keyring.ErrNoWayBack) {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		after, err := envfile.Edit("x", before, changes...)
		if err != nil || string(after) != names.Replace(tt.after) {
			t.Errorf("%s: %q, %v; want %q", tt.name, after, err, tt.after)
		}
	}
}

func stage(f *envfile.File) ([]envfile.Change, error)   { return keyring.Stage(f, keyD), nil }
func advance(f *envfile.File) ([]envfile.Change, error) { return keyring.Advance(f, keyD), nil }

func renew(keepStaged bool) func(*envfile.File) ([]envfile.Change, error) {
	return func(f *envfile.File) ([]envfile.Change, error) { return keyring.Renew(f, keyD, keepStaged), nil }
}

func drop(f *envfile.File) ([]envfile.Change, error) {
	return []envfile.Change{keyring.Drop(f)}, nil
}
