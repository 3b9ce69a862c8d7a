// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"path"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
)

const matchUsage = "which entries are secrets: a glob over their names, repeatable (default FERNET_MATCH, else " + action.DefaultMatch + ")"

// sourceOptions are the flags of every verb that reads an .env.
type sourceOptions struct {
	env, ledger, keyFile string
	match                []string
	allowEmpty           bool
}

func (o *sourceOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.env, "env", action.DefaultEnv, "the .env file")
	f.StringVar(&o.ledger, "ledger", "", "the ledger (default "+action.DefaultLedger+" beside the .env)")
	f.StringVar(&o.keyFile, "key-file", "", "a file with KEY and KEY_PREVIOUS, instead of those in the .env")
	f.StringArrayVar(&o.match, "match", nil, matchUsage)
	f.BoolVar(&o.allowEmpty, "allow-empty", false, "accept secrets with an empty value")
}

func (o *sourceOptions) complete() {
	if o.ledger == "" {
		o.ledger = filepath.Join(filepath.Dir(o.env), action.DefaultLedger)
	}
}

func (o *sourceOptions) paths() action.Paths {
	return action.Paths{Env: o.env, Ledger: o.ledger, KeyFile: o.keyFile}
}

func (o *sourceOptions) validate() error {
	for _, glob := range o.match {
		if _, err := path.Match(glob, ""); err != nil {
			return fmt.Errorf("--match: %q is no valid pattern", glob)
		}
	}
	for flag, file := range map[string]string{"--env": o.env, "--key-file": o.keyFile} {
		if file != "" && action.SameFile(file, o.ledger) {
			return fmt.Errorf("%s and --ledger are the same file: %s", flag, file)
		}
	}
	return nil
}
