// SPDX-License-Identifier: Apache-2.0

package keyring_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
)

// FuzzFind takes any .env, any key file and any two variables. No error about keys shows a piece
// of one, and a keyring of the variables alone is the one that a Pod has of them.
func FuzzFind(f *testing.F) {
	for _, seed := range [][4]string{
		{"KEY=" + keyA + "\nKEY_PREVIOUS=" + keyB + " , " + keyC, "", "", ""},
		{"FERNET_KEY=" + keyA + "\r\nFERNET_KEY_PREVIOUS='" + keyB + "'\r\n", keyA + "\n", "", ""},
		{"# keys\nexport KEY=\"" + keyA + "\" # mine\nKEY_NEXT=" + keyB, "KEY=" + keyA, keyA + "\r\n", ""},
		{"SECRET_A=x", "  " + keyC + "\r\n", keyC + "\n", keyA + "," + keyB + "\n"},
		{"KEY=" + keyA + "," + keyB, "KEY=" + keyA[:43], keyA + "\r", keyB + ",," + keyC},
		{"", "", keyA + "\r", keyB},
		{"", "", keyA + "\r\n", keyB + "\t,\r\n"},
		{"", "", keyA, keyB + "," + keyA + "\n\n"},
		{"KEY=" + keyA + "\nFERNET_KEY=" + keyB, "\ufeffKEY=" + keyA, " " + keyA, keyA},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, env, keyFile, key, previous string) {
		environment := keyring.FromEnvironment(key, previous)
		sources := []keyring.Source{environment}
		for path, data := range map[string][]byte{".env": []byte(env), "keys": keyring.Named([]byte(keyFile))} {
			file, err := envfile.Parse(path, data)
			if err == nil {
				sources = append(sources, keyring.FromFile(file))
			}
		}
		if _, err := keyring.Find(sources...); err != nil {
			checkNoKey(t, err.Error())
		}
		ring, err := keyring.Find(environment)
		theirs, theirErr := decrypt.KeysFromEnviron([]string{"FERNET_KEY=" + key, "FERNET_KEY_PREVIOUS=" + previous})
		if err != nil {
			checkNoKey(t, err.Error())
			parted := strings.Contains(strings.TrimSpace(previous), "\n") // as a Pod may have it
			if theirErr == nil && !parted && !strings.Contains(err.Error(), "stands in the keyring twice") {
				t.Errorf("a Pod reads %v, we do not: %v", theirs, err)
			}
			return
		}
		if theirErr != nil || !slices.Equal(theirs.KeyIDs(), ring.IDs()) {
			t.Errorf("we read %v, a Pod does not: %v", ring, theirErr)
		}
		if primary, others := ring.Reveal(); strings.TrimRight(key, "\r\n") != primary || len(others) != len(ring.IDs())-1 {
			t.Errorf("the first of %v is not the key that was given", ring)
		}
	})
}
