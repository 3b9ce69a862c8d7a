// SPDX-License-Identifier: Apache-2.0

package adversary

import (
	"encoding/base64"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// strangers are the ids of keys that nobody of this world has.
var strangers = []string{"kdeadbee1", "kdeadbee2"}

// forger writes a ledger without a key.
type forger struct {
	*project
	bases  []string // that are named; others are not
	tokens []string
	texts  map[string][]string
}

func newForger(p *project, bases ...string) *forger {
	f := &forger{project: p, bases: bases, texts: map[string][]string{}}
	for _, row := range p.rows {
		if row.Token != "" {
			f.tokens = append(f.tokens, row.Token)
		}
		f.texts["binding"] = append(f.texts["binding"], row.Binding)
		f.texts["uid"] = append(f.texts["uid"], row.UID)
	}
	for _, at := range p.names() {
		for _, e := range p.live[at].Placed().Entries() {
			f.tokens = append(f.tokens, e.Token)
		}
	}
	stranger := p.open(nil)
	strange, err := stranger.ring.Primary().Seal([]byte("forged"))
	if err != nil {
		p.t.Fatal(err)
	}
	f.tokens = append(f.tokens, strange[:len(strange)-8]+"AAAAAA==") // has the form, opens with no key
	f.texts["binding"] = append(f.texts["binding"], "")
	f.texts["uid"] = append(f.texts["uid"], f.uid())
	return f
}

func (f *forger) mac(signer string) string {
	sum := make([]byte, 16)
	for i := range sum {
		sum[i] = byte(f.random.Uint32())
	}
	return "v1:" + signer + ":" + base64.RawURLEncoding.EncodeToString(sum)
}

// row makes a row that no key of ours signed: edited, unsigned or a hint.
func (f *forger) row(ring interface{ IDs() []string }) ledger.Row {
	row := ledger.Row{}
	if len(f.rows) > 0 {
		row = choose(f.world, f.rows) // often all but one that is there
	}
	base := choose(f.world, f.bases)
	if was, generation := names.Split(row.Secret); was != base || f.random.IntN(3) == 0 {
		row.Generation = choose(f.world, []int{1, 2, 3, generation, generation + 1, 1000, 1_000_000, names.MaxGeneration})
		row.Secret, row.EnvKey = names.Secret(base, row.Generation), choose(f.world, f.entries)
	}
	if row.Namespace == "" || f.random.IntN(4) == 0 {
		row.Namespace = choose(f.world, []string{"ns-a", "ns-b", "kube-system"})
	}
	row.Cluster = choose(f.world, []string{theCluster, theCluster, theCluster, "evil"})
	row.Operation = choose(f.world, []ledger.Operation{ledger.Push, ledger.Rotate, ledger.Retire, ledger.Restore, ledger.Adopt, ledger.Learn})
	row.State = choose(f.world, []ledger.State{ledger.Planned, ledger.Failed, ledger.Created, ledger.Deleted, ledger.Deleted})
	if row.KeyID == "" || f.random.IntN(2) == 0 {
		row.KeyID = choose(f.world, slices.Concat(strangers, ring.IDs()))
	}
	if row.Token == "" || f.random.IntN(3) == 0 {
		row.Token, row.Binding = choose(f.world, f.tokens), choose(f.world, f.texts["binding"])
	}
	if row.UID = choose(f.world, f.texts["uid"]); row.UID == "" && (row.State == ledger.Created || row.State == ledger.Deleted) {
		row.UID = f.uid()
	}
	f.fit(&row)
	row.Since = 1 + f.random.IntN(row.Generation)
	row.Time = row.Time.AddDate(0, 0, f.random.IntN(3)-1)
	row.MAC = choose(f.world, []string{"", f.mac(choose(f.world, strangers)), f.mac(choose(f.world, strangers)), f.mac(choose(f.world, ring.IDs()))})
	return row
}

// fit makes a row one that a ledger may have: about an entry, or about a whole bundle, as its
// binding says. A planned row may put an entry into a bundle that is there.
func (f *forger) fit(row *ledger.Row) {
	base, _ := names.Split(row.Secret)
	row.Secret = names.Secret(base, row.Generation)
	switch bundle := token.Bundled(row.Binding); {
	case bundle:
		row.Secret = names.Numbered(base, row.Generation)
		if row.State != ledger.Planned || f.random.IntN(3) == 0 {
			row.EnvKey, row.Token = "", ""
			return
		}
		fallthrough
	default:
		if row.EnvKey == "" || bundle && f.random.IntN(2) == 0 {
			row.EnvKey = choose(f.world, append(slices.Clone(f.entries), "SECRET_FORGED"))
		}
		if row.Token == "" || bundle && f.random.IntN(2) == 0 {
			row.Token = choose(f.world, f.tokens)
		}
	}
}

// reread gives an object as it is read again after its data, labels or binding changed.
func reread(o manifest.Object) manifest.Object {
	s := manifest.Secret(ledger.Row{Namespace: o.Namespace, Secret: o.Name, Generation: o.Generation, EnvKey: o.EnvKey, KeyID: o.KeyID, Token: o.Token, Binding: o.Binding})
	if !o.Managed {
		delete(s.Labels, manifest.LabelManagedBy)
	}
	if o.Kind == "" {
		delete(s.Labels, manifest.LabelKind)
	}
	again := manifest.FromSecret(s)
	again.UID = o.UID
	return again
}

// spoil changes the tokens of an object.
func (w *world) spoil(o *manifest.Object, other manifest.Object) {
	entries, others := o.Placed().Entries(), append(other.Placed().Entries(), token.Entry{Name: "SECRET_A", Token: "garbage"})
	if len(entries) == 0 {
		return
	}
	i, j := w.random.IntN(len(entries)), w.random.IntN(len(entries))
	switch taken := choose(w, others); w.random.IntN(4) {
	case 0:
		entries[i].Token = taken.Token
	case 1:
		entries[i].Token, entries[j].Token = entries[j].Token, entries[i].Token
	case 2:
		if o.EnvKey == "" && !slices.ContainsFunc(entries, func(e token.Entry) bool { return e.Name == taken.Name }) {
			entries = append(entries, taken)
		}
	default:
		entries = slices.Delete(entries, i, i+1)
	}
	switch {
	case len(entries) == 0:
		o.EnvKey, o.Token = "", ""
	case o.EnvKey == "":
		o.Token = token.Join(entries)
	default:
		o.Token = entries[0].Token
	}
}

// meddle is what somebody does who may write Secrets.
func (w *world) meddle() {
	all := w.names()
	if len(all) == 0 {
		return
	}
	at := choose(w, all)
	o := w.live[at]
	switch w.random.IntN(7) {
	case 0: // a copy, under another name or in another namespace
		base, generation := choose(w, []string{"secret-a", "secret-b", "secret-shared", "other", "web"}), choose(w, []int{1, 2, 3, o.Generation, o.Generation + 1, 50})
		name := names.Secret
		if o.EnvKey == "" && w.random.IntN(4) > 0 {
			name = names.Numbered
			base = choose(w, []string{base, "web"})
		}
		o.Namespace, o.Name = choose(w, []string{"ns-a", "ns-b", "elsewhere"}), name(base, generation)
		o.Base, o.Generation = names.Split(o.Name)
		if w.random.IntN(2) == 0 {
			o.Binding = ""
		}
		if o.EnvKey != "" && w.random.IntN(2) == 0 {
			o.EnvKey = choose(w, []string{"SECRET_A", "SECRET_B", o.EnvKey})
		}
		w.add(o)
		return
	case 1:
		o.Binding = choose(w, []string{"", w.live[choose(w, all)].Binding})
		w.log("meddling: the binding of %s", at)
	case 2:
		o.Managed, o.KeyID = w.random.IntN(2) == 0, choose(w, []string{"", w.live[choose(w, all)].KeyID, strangers[0]})
		if w.random.IntN(2) == 0 {
			o.Kind = ""
		}
		w.log("meddling: the labels of %s: %v %s %q", at, o.Managed, o.KeyID, o.Kind)
	case 3, 4:
		if len(w.retired) > 0 {
			w.add(choose(w, w.retired))
		}
		return
	case 5:
		w.log("meddling: %s is deleted", at)
		delete(w.live, at)
		w.retired = append(w.retired, o)
		return
	default:
		w.spoil(&o, w.live[choose(w, all)])
		o.UID = w.uid()
		w.log("meddling: %s has other tokens", at)
	}
	w.live[at] = reread(o)
}

// add puts an object somewhere, if the name is free.
func (w *world) add(o manifest.Object) {
	at := place{o.Namespace, o.Name}
	if _, taken := w.live[at]; !taken {
		o.UID = w.uid()
		w.live[at] = reread(o)
		w.log("meddling: %s is put there, under key %s", at, o.KeyID)
	}
}

// thin removes rows, and repeats some, in another order: whoever writes a ledger can.
func (p *project) thin() {
	var left []ledger.Row
	for _, row := range p.rows {
		switch p.random.IntN(6) {
		case 0:
			p.log("meddling: no row %s %s of %s in %s", row.Operation, row.State, row.Secret, row.Namespace)
		case 1:
			left = append(left, row, row)
		default:
			left = append(left, row)
		}
	}
	p.random.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
	p.rows = left
}

// forget removes all rows about a Secret that is there, and perhaps what its
// annotations prove.
func (p *project) forget() {
	all := p.names()
	if len(all) == 0 {
		return
	}
	at := choose(p.world, all)
	o := p.live[at]
	whole := p.random.IntN(2) == 0
	p.rows = slices.DeleteFunc(slices.Clone(p.rows), func(row ledger.Row) bool {
		base, _ := names.Split(row.Secret)
		return row.Namespace == at.namespace && (row.Secret == at.name || whole && base == o.Base)
	})
	if p.random.IntN(2) == 0 {
		o.Binding = choose(p.world, []string{"", p.live[choose(p.world, all)].Binding})
	}
	p.live[at] = reread(o)
	p.log("meddling: no row of %s (or any generation: %v), its binding is %q", at, whole, o.Binding)
	if len(p.entries) > 1 && p.random.IntN(3) == 0 {
		p.entries = slices.DeleteFunc(slices.Clone(p.entries), func(entry string) bool { return entry == o.EnvKey })
		p.log("%s leaves the .env", o.EnvKey)
	}
}
