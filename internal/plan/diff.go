// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// Diff says of each wanted entry how the view differs from the .env, and then of
// what is no longer in the .env. It is what push would find, in other words: a
// value that is the same under another key than KEY, or in another token than the
// ledger's, is re-encrypted.
func Diff(view View, wanted []Wanted, judge token.Judge, keys Keys, inEnv func(string) bool) ([]Decision, error) {
	decisions, err := Push(view, wanted, judge, keys, PushOptions{})
	if err != nil {
		return nil, err
	}
	recorded := map[string][]ledger.Record{} // by Secret
	for _, r := range view.Records {
		if r.State == ledger.Created && !r.Hint {
			recorded[r.Secret] = append(recorded[r.Secret], r)
		}
	}
	for i := range decisions {
		d := &decisions[i]
		switch d.Outcome {
		case Created, Held:
			d.Outcome, d.Reason = Missing, "the .env has it, and it is not there"
		case Unchanged:
			d.Outcome = Same
			switch {
			case d.Row.KeyID != keys.IDs()[0]:
				d.Outcome, d.Reason = Reencrypted, "the same value, under key "+d.Row.KeyID+" and not KEY"
			case recorded[d.Row.Secret] != nil && !slices.ContainsFunc(recorded[d.Row.Secret], func(r ledger.Record) bool { return r.Incomplete || r.Token == d.Row.Token }):
				d.Outcome, d.Reason = Reencrypted, "the same value, in another token than the ledger's"
			}
		}
	}
	return append(decisions, Orphans(view, inEnv)...), nil
}
