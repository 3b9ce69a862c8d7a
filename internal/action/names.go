// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// Only are the names that a report is narrowed to, as users know them: of an entry, of a
// Secret, or of a Secret without its generation. None: everything.
type Only []string

// has says whether one of the names is meant: that of an entry, of the Secret that it is
// in, or of one of several entries of a bundle.
func (only Only) has(secret string, entries ...string) bool {
	base, _ := names.Split(secret)
	return len(only) == 0 || slices.ContainsFunc(only, func(name string) bool {
		name = strings.TrimPrefix(name, "secret/")
		return secret != "" && (name == secret || name == base) || slices.Contains(entries, name)
	})
}

// known refuses a name that nothing has: neither the .env, nor the ledger, nor, as found
// says, the cluster.
func (s *Session) known(only Only, found func(Only) bool) error {
	for _, name := range only {
		one := Only{name}
		wanted := slices.ContainsFunc(s.Project.Wanted, func(w plan.Wanted) bool { return one.has(w.Base, w.EnvKey) })
		recorded := slices.ContainsFunc(s.Records, func(r ledger.Record) bool { return one.has(r.Secret, entryNames(r.Placed())...) })
		if !wanted && !recorded && !found(one) {
			return hint.With(fmt.Errorf("%w %q", errUnknownName, name), "kubectl fernet status%s lists them", s.Flags())
		}
	}
	return nil
}

var errUnknownName = errors.New("neither the .env nor the ledger has a name")

// entryNames gives the names of what a token stands for.
func entryNames(t token.Token) (names []string) {
	for _, e := range t.Entries() {
		names = append(names, e.Name)
	}
	return names
}
