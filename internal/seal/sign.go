// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

const (
	ledgerInfo = "kubectl-fernet ledger v1"
	macPrefix  = "v1:"
	macSize    = 16 // bytes of the HMAC that a row has
)

// signer makes macs with one key. It is not for several goroutines at once.
type signer struct {
	id  string
	mac hash.Hash
}

func newSigner(key keyring.Key) signer {
	return signer{id: key.ID(), mac: hmac.New(sha256.New, key.Subkey(ledgerInfo))}
}

// sum gives the mac of a row's other cells: "v1:", the signer's key id, ":", and the
// first 16 bytes of an HMAC-SHA256 as unpadded base64url. The HMAC is over the
// cells in the order of the columns, each after its length as big-endian u32.
func (s signer) sum(cells []string) string {
	s.mac.Reset()
	var size [4]byte
	for _, cell := range cells {
		binary.BigEndian.PutUint32(size[:], uint32(len(cell))) // #nosec G115 -- a cell has at most 1 MiB
		s.mac.Write(size[:])
		s.mac.Write([]byte(cell))
	}
	return macPrefix + s.id + ":" + base64.RawURLEncoding.EncodeToString(s.mac.Sum(nil)[:macSize])
}

// Ledger gives a ledger what it needs of the keyring: the first key signs, all
// keys verify. Of deleted objects it keeps, for each entry of each base name, the oldest
// that has the value which the entry has now: by it push knows a stale value.
func (s *Sealer) Ledger() ledger.Keys {
	kept := map[[4]string]int{} // cluster, namespace, base name, entry: generation
	return ledger.Keys{
		Sign:   newSigner(s.ring.Primary()).sum,
		Verify: verifier(s.ring),
		Keep: func(r ledger.Record) (keep bool) {
			base, _ := names.Split(r.Secret)
			for _, t := range r.Placed().Each() {
				at := [4]string{r.Cluster, r.Namespace, base, t.EnvKey}
				oldest, known := kept[at]
				if _, ours := s.values[t.EnvKey]; known && oldest < r.Generation || !ours || !s.Judge(t).Same {
					continue
				}
				kept[at], keep = r.Generation, true
			}
			return keep
		},
	}
}

// verifier says what a mac proves to the holder of these keys.
func verifier(ring *keyring.Keyring) func(cells []string, mac string) ledger.Standing {
	byID := map[string][]signer{} // two keys with one id are as good as impossible, and no reason to call a row edited
	for _, key := range ring.Keys() {
		byID[key.ID()] = append(byID[key.ID()], newSigner(key))
	}
	return func(cells []string, mac string) ledger.Standing {
		if mac == "" {
			return ledger.Unsigned
		}
		id, _, _ := strings.Cut(strings.TrimPrefix(mac, macPrefix), ":")
		held := byID[id]
		if held == nil {
			return ledger.Hint
		}
		for _, s := range held {
			if hmac.Equal([]byte(s.sum(cells)), []byte(mac)) {
				return ledger.Evidence
			}
		}
		return ledger.Edited
	}
}
