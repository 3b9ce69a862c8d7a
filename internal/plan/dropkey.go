// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// KeyUse is why one namespace still needs keys that are to be dropped. Names are
// those of Secrets.
type KeyUse struct {
	Opened  []string // live, and open only with one of these keys
	Lost    []string // created above the current generation, and not there
	Planned []string // planned above the current generation, and the create may land or have landed

	Recorded int          // how many Secrets the evidence has as created
	Live     int          // how many of them are there
	Close    []ledger.Row // the deleted rows that have to be written before the keys go
}

// Needed says whether the keys have to stay.
func (u KeyUse) Needed() bool { return len(u.Opened)+len(u.Lost)+len(u.Planned) > 0 }

// UseOfKeys says what of a namespace needs the keys with these ids. judge has the
// whole keyring, alone all but these keys. going says of a Secret that it is about to
// be deleted, forgotten that what is not there is lost for good. The view has the
// live Secrets that the evidence names.
func UseOfKeys(view View, ids []string, judge, alone token.Judge, going func(manifest.Object) bool, forgotten bool) (u KeyUse) {
	current := map[string]int{} // by base name: the highest generation that is there and proven ours
	bindings, live := bindingsIn(view.Records), map[string]manifest.Object{}
	for _, o := range view.Objects {
		if o.Token == "" {
			continue
		}
		live[o.Name] = o
		t := bindings.complete(o)
		if v := judge(t); v.Opens && v.Binding == token.BindingHolds {
			current[o.Base] = max(current[o.Base], o.Generation)
		}
		needs := slices.ContainsFunc(t.Each(), func(e token.Token) bool { return judge(e).Opens && !alone(e).Opens })
		if needs && !going(o) {
			u.Opened = append(u.Opened, o.Name)
		}
	}
	// What was created under a key that stays has the newest value, there or not.
	for _, r := range view.Records {
		base, generation := names.Split(r.Secret)
		if !r.Hint && r.State == ledger.Created && alone(r.Placed()).Opens {
			current[base] = max(current[base], generation)
		}
	}
	for _, r := range view.Records {
		base, generation := names.Split(r.Secret)
		o, is := live[r.Secret]
		there := is && recordsThat(r, o)
		if r.State == ledger.Created && !r.Hint {
			u.Recorded++
			if there {
				u.Live++
			}
		}
		above := generation > current[base] && !forgotten
		switch {
		case r.Hint || there || !slices.Contains(ids, r.KeyID):
		case r.State == ledger.Created && above:
			u.Lost = append(u.Lost, r.Secret)
		case above && (r.State == ledger.Planned || r.State == ledger.Failed):
			u.Planned = append(u.Planned, r.Secret)
		default: // also where only the look at the cluster ended the record
			u.Close = append(u.Close, deletedRows(r)...)
		}
	}
	return u
}

// bindings are those of the evidence, by Secret, data key and token: they stand for
// annotations that are absent.
type bindings map[[3]string]string

func bindingsIn(records []ledger.Record) bindings {
	b := bindings{}
	for _, r := range records {
		if !r.Hint {
			b[[3]string{r.Secret, r.EnvKey, r.Token}] = r.Binding
		}
	}
	return b
}

// complete gives an object's token with its binding, as far as that is known.
func (b bindings) complete(o manifest.Object) token.Token {
	t := o.Placed()
	t.Binding = cmp.Or(t.Binding, b[[3]string{o.Name, o.EnvKey, o.Token}])
	return t
}

// deletedRows gives the rows that end a record whose object is not there.
func deletedRows(r ledger.Record) (rows []ledger.Row) {
	for _, uid := range r.UIDs() {
		row := goneRow(r)
		row.State, row.UID = ledger.Deleted, uid
		rows = append(rows, row)
	}
	return rows
}

// Copy is what a Secret somewhere in a cluster, which carries the id of a key, is to
// whoever wants to drop that key.
type Copy int

// The kinds of copies.
const (
	CopyForeign  Copy = iota // the key does not open it
	CopyMirrored             // the key opens it, and it was made for another place
	CopyOurs                 // the key opens it in its own place
)

// CopyOf judges such a Secret.
func CopyOf(o manifest.Object, keyID string, judge token.Judge) Copy {
	t := o.Placed()
	opens := slices.ContainsFunc(t.Each(), func(e token.Token) bool { return judge(e).KeyID == keyID })
	switch v := judge(t); {
	case o.Token == "" || !opens:
		return CopyForeign
	case v.Opens && v.Binding == token.BindingHolds:
		return CopyOurs
	default:
		return CopyMirrored
	}
}
