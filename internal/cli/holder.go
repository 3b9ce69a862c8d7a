// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
)

// holder is a file that holds keys, an .env or a --key-file, as it was read.
type holder struct {
	path string
	file *envfile.File
	raw  []byte
}

func (h holder) holdsKeys() bool {
	return slices.ContainsFunc([]string{keyring.VarKey, keyring.VarPrevious, keyring.VarNext}, func(name string) bool {
		_, ok := h.file.Lookup(name)
		return ok
	})
}

// keyHolder gives the one file whose keys a rotation may change, and refuses
// where the keys stand in several places: they could not be changed together.
func (w *work) keyHolder() (holder, error) {
	inEnvironment := w.envKey != "" || w.envOld != ""
	switch held := w.source.holders; {
	case len(held) == 1 && !inEnvironment:
		return held[0], nil
	case len(held) == 0:
		return holder{}, withHint(errors.New("the key is in FERNET_KEY alone: there is no file in which a new key could be kept"),
			"put KEY into %s, or into a --key-file, and unset FERNET_KEY", w.o.env)
	case inEnvironment:
		return holder{}, withHint(fmt.Errorf("the key is in %s and in FERNET_KEY too, which cannot be changed with it", held[0].path),
			"unset FERNET_KEY FERNET_KEY_PREVIOUS")
	default:
		return holder{}, withHint(fmt.Errorf("keys are in %s and in %s, which cannot be changed together", held[0].path, held[1].path),
			"leave them in one of the two files")
	}
}

// edited is a holder with changed keys, and the keyring that it then makes.
type edited struct {
	from holder
	raw  []byte
	ring *keyring.Keyring
}

// edit gives what a holder becomes; nothing is written yet.
func (h holder) edit(changes ...envfile.Change) (edited, error) {
	raw, err := envfile.Edit(h.path, h.raw, changes...)
	if err != nil {
		return edited{}, err
	}
	file, err := envfile.Parse(h.path, raw)
	if err != nil {
		return edited{}, err
	}
	ring, err := keyring.Find(keyring.FromFile(file))
	return edited{from: h, raw: raw, ring: ring}, err
}

// save makes the new bytes durable; afterwards the work goes on with the new
// keyring. It refuses a file that was changed since it was read.
func (w *work) save(e edited) error {
	err := atomicfile.Replace(w.files, e.from.path, e.from.raw, e.raw)
	if errors.Is(err, atomicfile.ErrChanged) {
		return withHint(fmt.Errorf("%s changed while this run was under way; it was not touched", e.from.path), "run the command again")
	}
	if err != nil {
		return err
	}
	w.use(e)
	if w.ledger != nil {
		w.ledger.SignWith(w.ledgerKeys().Sign)
	}
	return nil
}

// use goes on as if the edit had been saved.
func (w *work) use(e edited) {
	w.source.ring = e.ring
	w.door = seal.New(e.ring, w.source.entries)
}
