// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// forge makes Secrets of ours whose tokens have these times.
type forge struct {
	t    *testing.T
	ring *keyring.Keyring
}

func newForge(t *testing.T) forge {
	t.Helper()
	ring, err := keyring.Find(keyring.FromEnvironment("8wjBHTr1D9Hn2w2E1wHkUOb0cSgEJVkUIYW6Jk1cP2E=", ""))
	if err != nil {
		t.Fatal(err)
	}
	return forge{t, ring}
}

// row makes the created row of a Secret with tokens of these entries, NAME:DAY each; a name
// with -g is a bundle's.
func (f forge) row(secret string, entries ...string) ledger.Row {
	f.t.Helper()
	key := f.ring.Primary()
	row := ledger.Row{Operation: ledger.Push, State: ledger.Created, Cluster: "c", Namespace: "ns", Secret: secret, Generation: 1, Since: 1, KeyID: key.ID(), UID: "uid-" + secret}
	sealed := make([]token.Entry, len(entries))
	for i, e := range entries {
		name, day, _ := strings.Cut(e, ":")
		text, err := key.SealAt([]byte("value of day "+day), time.Date(2026, 1, int(day[0]-'0'), 0, 0, 0, 0, time.UTC))
		if err != nil {
			f.t.Fatal(err)
		}
		sealed[i] = token.Entry{Name: name, Token: text}
	}
	if strings.Contains(secret, "-g") {
		row.Token, row.Binding = token.Join(sealed), seal.BindBundle(key, "ns", secret, sealed)
	} else {
		row.EnvKey, row.Token = sealed[0].Name, sealed[0].Token
		row.Binding = seal.Bind(key, "ns", secret, row.EnvKey, row.Token)
	}
	return row
}

// Single Secrets beside a bundle that has their entries, and the other way round: they are
// retired where nothing is lost with them.
func TestRetireOfWhatIsReplaced(t *testing.T) {
	bundle := []plan.Wanted{{Base: "web", Entries: []string{"SECRET_A", "SECRET_B"}}}
	single := []plan.Wanted{{EnvKey: "SECRET_A", Base: "secret-a"}, {EnvKey: "SECRET_B", Base: "secret-b"}}
	f := newForge(t)
	for _, tc := range []struct {
		name    string
		wanted  []plan.Wanted
		rows    []ledger.Row
		missing []string // of these, what is not there
		want    []string
	}{
		{"the bundle is of the same day", bundle, []ledger.Row{f.row("web-g1", "SECRET_A:1", "SECRET_B:1"), f.row("secret-a", "SECRET_A:1"), f.row("secret-b", "SECRET_B:1")}, nil, []string{"secret-a", "secret-b"}},
		{"the bundle is newer", bundle, []ledger.Row{f.row("web-g1", "SECRET_A:2", "SECRET_B:1"), f.row("secret-a", "SECRET_A:1")}, nil, []string{"secret-a"}},
		{"somebody pushed a newer value beside the bundle", bundle, []ledger.Row{f.row("web-g1", "SECRET_A:1", "SECRET_B:1"), f.row("secret-a", "SECRET_A:2"), f.row("secret-b", "SECRET_B:1")}, nil, []string{"secret-b"}},
		{"the bundle lacks the entry", bundle, []ledger.Row{f.row("web-g1", "SECRET_B:1"), f.row("secret-a", "SECRET_A:1")}, nil, nil},
		{"there is no bundle yet", bundle, []ledger.Row{f.row("secret-a", "SECRET_A:1")}, nil, nil},
		{"they are gone, and the ledger does not say so", bundle, []ledger.Row{f.row("web-g1", "SECRET_A:1", "SECRET_B:1"), f.row("secret-a", "SECRET_A:1")}, []string{"secret-a"}, []string{"secret-a gone"}},
		{"a newer one is gone: it is for restore", bundle, []ledger.Row{f.row("web-g1", "SECRET_A:1", "SECRET_B:1"), f.row("secret-a", "SECRET_A:2")}, []string{"secret-a"}, nil},
		{"the bundle is gone too", bundle, []ledger.Row{f.row("web-g1", "SECRET_A:1", "SECRET_B:1"), f.row("secret-a", "SECRET_A:1")}, []string{"web-g1"}, nil},
		{"single Secrets of the same day", single, []ledger.Row{f.row("web-g1", "SECRET_A:1", "SECRET_B:1"), f.row("secret-a", "SECRET_A:1"), f.row("secret-b", "SECRET_B:1")}, nil, []string{"web-g1"}},
		{"one of the single Secrets is older", single, []ledger.Row{f.row("web-g1", "SECRET_A:1", "SECRET_B:2"), f.row("secret-a", "SECRET_A:1"), f.row("secret-b", "SECRET_B:1")}, nil, nil},
		{"the bundle that they replace is gone, and the ledger does not say so", single, []ledger.Row{f.row("web-g1", "SECRET_A:1"), f.row("secret-a", "SECRET_A:1")}, []string{"web-g1"}, []string{"web-g1 gone"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var objects []manifest.Object
			for _, row := range tc.rows {
				if !slices.Contains(tc.missing, row.Secret) {
					o := manifest.FromSecret(manifest.Secret(row))
					o.UID = row.UID
					objects = append(objects, o)
				}
			}
			records := ledger.Fold(expanded(tc.rows))
			view := plan.NewView("c", "ns", records, nil, objects, nil)
			view.Wanted = tc.wanted
			retired, skipped := plan.Retire(view, plan.Mine(view.Records, tc.wanted), seal.New(f.ring, nil).Judge, f.ring, func(plan.Wanted) bool { return false })
			var got []string
			for _, r := range retired {
				name := r.Row.Secret
				if r.Gone {
					name += " gone"
				}
				got = append(got, name)
			}
			if !slices.Equal(got, tc.want) || len(skipped) > 0 && tc.missing == nil {
				t.Errorf("retired %q, want %q; skipped %v", got, tc.want, skipped)
			}
		})
	}
}

// expanded gives rows as they stand in a file: a bundle's with the rows of its entries.
func expanded(rows []ledger.Row) (all []ledger.Row) {
	for _, row := range rows {
		for _, e := range row.Placed().Entries() {
			if one := row; row.Bundle() {
				one.State, one.UID, one.EnvKey, one.Token = ledger.Planned, "", e.Name, e.Token
				all = append(all, one)
			}
		}
		if row.Bundle() {
			row.Token = ""
		}
		all = append(all, row)
	}
	return all
}
