// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

// MissingEnv gives an error about a .env that is not there the way out: another one beside
// it, the ledger to recreate it from, or else init. command is what was typed.
func MissingEnv(env, ledger string, command hint.Text, err error) error {
	if !errors.Is(err, fs.ErrNotExist) || isLink(env) {
		return err
	}
	switch other := otherEnv(env); {
	case other != "" && env == DefaultEnv:
		return hint.With(err, "%s --env %s", command, other)
	case other != "":
		return hint.With(err, "--env %s", other)
	}
	if _, statErr := os.Stat(ledger); statErr == nil {
		return hint.With(err, "kubectl fernet pull%s recreates it from the ledger, with the key from FERNET_KEY or --key-file", Paths{Env: env, Ledger: ledger}.Flags())
	}
	return err
}

// noEnv are the files beside a .env that begin like one and are none: what editors, this
// program and other tools leave there, and samples for people.
var noEnv = regexp.MustCompile(`(?i)(~|\.(bak|orig|save|sw[op]|tmp|fernet-tmp|keys|vault|plain|enc|example|sample|template|dist))$`)

// otherEnv gives the one other .env of a folder; empty where there is none, or several.
func otherEnv(env string) (other string) {
	dir := filepath.Dir(env)
	entries, _ := os.ReadDir(dir) // a folder that cannot be read has none
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), DefaultEnv) || noEnv.MatchString(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		if other != "" {
			return ""
		}
		other = filepath.Join(dir, e.Name())
	}
	return other
}
