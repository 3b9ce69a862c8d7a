// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const vectors = "../../testdata/vectors"

func TestKeyIDVectors(t *testing.T) {
	var file struct {
		Info  string
		Cases []struct{ Name, Key, Subkey, ID string }
	}
	content, err := os.ReadFile(filepath.Join(vectors, "keyid.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) < 20 {
		t.Fatalf("%d cases, want at least 20", len(file.Cases))
	}
	for _, tt := range file.Cases {
		t.Run(tt.Name, func(t *testing.T) {
			if got := ring(t, tt.Key).KeyIDs()[0]; got != tt.ID {
				t.Errorf("id %s, want %s", got, tt.ID)
			}
			raw, err := base64.URLEncoding.DecodeString(tt.Key)
			if err != nil {
				t.Fatal(err)
			}
			subkey, err := hkdf.Key(sha256.New, raw, nil, file.Info, sha256.Size)
			if err != nil || hex.EncodeToString(subkey) != tt.Subkey {
				t.Errorf("subkey %x, %v; want %s", subkey, err, tt.Subkey)
			}
		})
	}
}

// The scripts are a second implementation; the committed files are what they
// say today.
func TestScriptsWriteTheVectors(t *testing.T) {
	skipOnRequest(t)
	for _, name := range []string{"keyid", "binding", "bundle", "ledgermac"} {
		committed, err := os.ReadFile(filepath.Join(vectors, name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		made, err := exec.Command(python, filepath.Join(vectors, "make_"+name+".py")).Output()
		if err != nil {
			t.Fatalf("%v; perhaps type: %s", err, pythonLine)
		}
		if !bytes.Equal(made, committed) {
			t.Errorf("make_%s.py writes other bytes than %s.json has", name, name)
		}
	}
}
