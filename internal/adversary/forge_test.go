// SPDX-License-Identifier: Apache-2.0

package adversary

import (
	"encoding/base64"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
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
		f.tokens = append(f.tokens, row.Token)
		f.texts["binding"] = append(f.texts["binding"], row.Binding)
		f.texts["uid"] = append(f.texts["uid"], row.UID)
	}
	for _, at := range p.names() {
		f.tokens = append(f.tokens, p.live[at].Token)
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
	row.Since = 1 + f.random.IntN(row.Generation)
	row.Time = row.Time.AddDate(0, 0, f.random.IntN(3)-1)
	row.MAC = choose(f.world, []string{"", f.mac(choose(f.world, strangers)), f.mac(choose(f.world, strangers)), f.mac(choose(f.world, ring.IDs()))})
	return row
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
		base, generation := choose(w, []string{"secret-a", "secret-b", "secret-shared", "other"}), choose(w, []int{1, 2, 3, o.Generation, o.Generation + 1, 50})
		o.Namespace, o.Name = choose(w, []string{"ns-a", "ns-b", "elsewhere"}), names.Secret(base, generation)
		o.Base, o.Generation = names.Split(o.Name)
		if w.random.IntN(2) == 0 {
			o.Binding = ""
		}
		if w.random.IntN(2) == 0 {
			o.EnvKey = choose(w, []string{"SECRET_A", "SECRET_B", o.EnvKey})
		}
		w.add(o)
		return
	case 1:
		o.Binding = choose(w, []string{"", w.live[choose(w, all)].Binding})
		w.log("meddling: the binding of %s", at)
	case 2:
		o.Managed, o.KeyID = w.random.IntN(2) == 0, choose(w, []string{"", w.live[choose(w, all)].KeyID, strangers[0]})
		w.log("meddling: the labels of %s: %v %s", at, o.Managed, o.KeyID)
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
		o.Token, o.UID = choose(w, []string{"garbage", w.live[choose(w, all)].Token}), w.uid()
		w.log("meddling: %s has another token", at)
	}
	w.live[at] = o
}

// add puts an object somewhere, if the name is free.
func (w *world) add(o manifest.Object) {
	at := place{o.Namespace, o.Name}
	if _, taken := w.live[at]; !taken {
		o.UID = w.uid()
		w.live[at] = o
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
	p.live[at] = o
	p.log("meddling: no row of %s (or any generation: %v), its binding is %q", at, whole, o.Binding)
	if len(p.entries) > 1 && p.random.IntN(3) == 0 {
		p.entries = slices.DeleteFunc(slices.Clone(p.entries), func(entry string) bool { return entry == o.EnvKey })
		p.log("%s leaves the .env", o.EnvKey)
	}
}
