// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// Reason is why a Secret cannot be adopted.
type Reason int

// The reasons, in the order in which they are looked for.
const (
	Adoptable         Reason = iota // there is none
	BeingDeleted                    // a finalizer holds it
	NoToken                         // its data is not one token, nor that of a bundle
	OtherName                       // its data key is no name of an entry that gives its name, or a bundle's has no number
	Unopened                        // no key opens what it holds
	MadeElsewhere                   // its binding is that of another place
	RecordedElsewhere               // the ledger has its token under another name
	RecordedOtherwise               // the ledger knows its base name with other bytes
	LaterGeneration                 // its name is that of a later generation, and nothing proves that it is one
)

// Refusal is a Reason, and with RecordedElsewhere the Secret that the ledger names.
type Refusal struct {
	Reason Reason
	Secret string
}

// Adopt decides whether a live Secret, of whose token this is the verdict, can be taken
// over; known says that it is ours already, in the ledger too. records and past are what
// the ledger has of its namespace.
func Adopt(o manifest.Object, v token.Verdict, records []ledger.Record, past *ledger.Past, ignored []string) (r Refusal, known bool) {
	switch {
	case o.Deleting:
		return Refusal{Reason: BeingDeleted}, false
	case o.Token == "":
		return Refusal{Reason: NoToken}, false
	case !named(o):
		return Refusal{Reason: OtherName}, false
	case !v.Opens || v.KeyID == "":
		return Refusal{Reason: Unopened}, false
	case v.Binding == token.BindingWrong:
		return Refusal{Reason: MadeElsewhere}, false
	}
	r, known = recordedAs(o, v, records, past, ignored)
	if r.Reason == Adoptable && !known && v.Binding != token.BindingHolds && o.Generation > 1 {
		r.Reason = LaterGeneration
	}
	return r, known
}

// named says whether a Secret has the name that its entry gives, or that of a generation
// of a bundle.
func named(o manifest.Object) bool {
	if o.Bundle() {
		return names.IsBase(o.Base) && o.Name == names.Numbered(o.Base, o.Generation)
	}
	base, err := names.Base(o.EnvKey)
	return err == nil && o.Name == names.Secret(base, o.Generation)
}

// recordedAs compares a Secret with what the ledger has. A token is made for one place:
// one that the ledger knows in another was copied, and may be an old value, or
// another entry's; one under a name that had other bytes is not what was written there.
func recordedAs(o manifest.Object, v token.Verdict, records []ledger.Record, past *ledger.Past, ignored []string) (refusal Refusal, known bool) {
	elsewhere, other, same := "", past.Known(o.Base) > 0, false
	tokens := map[string]bool{}
	for _, e := range o.Placed().Entries() {
		tokens[e.Token] = true
	}
	for _, r := range records {
		base, _ := names.Split(r.Secret)
		switch {
		case (r.Secret != o.Name || r.EnvKey != o.EnvKey) && slices.ContainsFunc(r.Placed().Entries(), func(e token.Entry) bool { return tokens[e.Token] }):
			elsewhere = r.Secret
		case base != o.Base, r.Hint && slices.Contains(ignored, r.KeyID):
		case !recordsThat(r, o):
			other = other || r.State == ledger.Created
		case !r.Hint:
			same = true
			known = known || r.State == ledger.Created && o.Managed && v.Binding == token.BindingHolds
		}
	}
	switch {
	case elsewhere != "":
		return Refusal{RecordedElsewhere, elsewhere}, false
	case other && !same:
		return Refusal{Reason: RecordedOtherwise}, false
	}
	return Refusal{}, known
}
