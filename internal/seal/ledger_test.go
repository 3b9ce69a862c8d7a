// SPDX-License-Identifier: Apache-2.0

package seal_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
)

type macVector struct {
	Name, Key string
	Cells     []string
	MAC       string
}

func macVectors(t *testing.T) []macVector {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "vectors", "ledgermac.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []macVector }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) < 35 {
		t.Fatalf("only %d vectors", len(file.Cases))
	}
	return file.Cases
}

func TestSignVectors(t *testing.T) {
	for _, v := range macVectors(t) {
		keys := seal.New(ring(t, v.Key, ""), nil).Ledger()
		if got := keys.Sign(slices.Clone(v.Cells)); got != v.MAC {
			t.Errorf("%s: %s, want %s", v.Name, got, v.MAC)
		}
	}
}

// What a mac proves depends on who looks and on every single cell.
func TestVerify(t *testing.T) {
	vectors := macVectors(t)
	usual, other := vectors[0], vectors[1]
	held, previous, stranger := seal.New(ring(t, usual.Key, ""), nil).Ledger(), seal.New(ring(t, other.Key, usual.Key), nil).Ledger(), seal.New(ring(t, other.Key, ""), nil).Ledger()
	for name, verify := range map[string]func([]string, string) ledger.Standing{"the key": held.Verify, "a previous key": previous.Verify} {
		if got := verify(usual.Cells, usual.MAC); got != ledger.Evidence {
			t.Errorf("%s: %d", name, got)
		}
		if got := verify(usual.Cells, ""); got != ledger.Unsigned {
			t.Errorf("%s, no mac: %d", name, got)
		}
		for _, v := range vectors {
			if got := verify(v.Cells, usual.MAC); v.MAC != usual.MAC && !slices.Equal(v.Cells, usual.Cells) && got != ledger.Edited {
				t.Errorf("%s, %s: %d", name, v.Name, got)
			}
		}
	}
	if got := stranger.Verify(usual.Cells, usual.MAC); got != ledger.Hint {
		t.Errorf("another key: %d", got)
	}
	if got := held.Verify(usual.Cells, "v1:k00000000:AAAAAAAAAAAAAAAAAAAAAA"); got != ledger.Hint {
		t.Errorf("a signer that nobody is: %d", got)
	}
}
