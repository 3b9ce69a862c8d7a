// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// form is the token of an entry in another form than the wanted one: in a bundle where it
// is to be single, or the other way round.
type form struct {
	secret, token, keyID string
	same, live           bool // it has the value of the .env; it is there
	made                 time.Time
}

// forms are those of each entry, by name.
type forms map[string][]form

// otherForms finds what is ours of the wanted entries in the other form, by proof. Of what is
// not there any more it takes the ledger's evidence.
func otherForms(view View, wanted []Wanted, judge token.Judge) forms {
	wants, bases := map[formOf]bool{}, map[string]bool{}
	for _, w := range wanted {
		bases[w.Base] = true
		for _, name := range w.names() {
			wants[formOf{name, w.Bundle()}] = true
		}
	}
	found, bindings := forms{}, bindingsIn(view.Records)
	add := func(t token.Token, live bool) {
		isWanted := func(e token.Entry) bool { return wants[formOf{e.Name, !token.Joined(t.Token)}] }
		if base, _ := names.Split(t.Secret); bases[base] || !slices.ContainsFunc(t.Entries(), isWanted) {
			return
		}
		v := judge(t)
		if !v.Opens || v.Binding != token.BindingHolds {
			return
		}
		for _, e := range t.Entries() {
			one := token.Token{Namespace: t.Namespace, Secret: t.Secret, EnvKey: e.Name, Token: e.Token}
			if info, err := token.Parse(e.Token); err == nil && isWanted(e) {
				found[e.Name] = append(found[e.Name], form{t.Secret, e.Token, v.KeyID, judge(one).Same, live, info.Time})
			}
		}
	}
	for _, o := range view.Objects {
		if o.Token != "" {
			add(bindings.complete(o), true)
		}
	}
	live := liveNames(view)
	for _, r := range view.Records {
		if !r.Hint && !live[r.Secret] && (r.State == ledger.Created || r.State == ledger.Deleted) {
			add(r.Placed(), false)
		}
	}
	return found
}

// reusable gives a live token of an entry that has its value, best one under this key;
// empty if there is none.
func (f forms) reusable(name, keyID string) (text string) {
	for _, one := range f[name] {
		if one.same && one.live && (text == "" || one.keyID == keyID) {
			text = one.token
		}
	}
	return text
}

// replaced gives the Secret that had the value which an entry has in the .env, where a newer
// one was sealed since: it is that of from, or that of another form which is there.
func (f forms) replaced(from token.Token, name string) (secret string) {
	var newest form
	for _, e := range from.Entries() {
		if info, err := token.Parse(e.Token); err == nil && e.Name == name {
			newest.made = info.Time
		}
	}
	for _, one := range f[name] {
		if one.live && one.made.After(newest.made) {
			newest = one
		}
	}
	for _, one := range f[name] {
		if one.same && !newest.same && one.made.Before(newest.made) {
			secret = one.secret
		}
	}
	return secret
}
