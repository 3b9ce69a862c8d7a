// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/finding"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// Finding is one thing that verify found about one Secret.
type Finding struct {
	Code      finding.Code `json:"code"`
	Namespace string       `json:"namespace,omitempty"`
	Secret    string       `json:"secret,omitempty"`
	EnvKey    string       `json:"envKey,omitempty"`
	Detail    string       `json:"detail,omitempty"`
}

// verifier looks at one namespace.
type verifier struct {
	view   View
	judge  token.Judge
	keys   Keys
	now    time.Time
	names  map[string][]ledger.Record // evidence, by Secret
	found  []Finding
	known  map[Finding]bool
	edited map[string]bool // Secrets that a finding about the ledger names already
}

// Verify holds the Secrets of a view against the keyring, the ledger and what was
// written, one finding for one cause: what is wrong with a ledger's row is not
// said once more of the Secret that it names. wanted are the .env's entries; now is
// what times are held to.
func Verify(view View, wanted []Wanted, judge token.Judge, keys Keys, now time.Time) []Finding {
	v := &verifier{view: view, judge: judge, keys: keys, now: now, names: map[string][]ledger.Record{}, known: map[Finding]bool{}, edited: map[string]bool{}}
	for _, r := range view.Records {
		if !r.Hint {
			v.names[r.Secret] = append(v.names[r.Secret], r)
		}
	}
	bases := map[string]Wanted{}
	for _, w := range wanted {
		bases[w.Base] = w
	}
	v.ledger()
	live := map[string]bool{}
	for _, o := range view.Objects {
		live[o.Name] = true
		if !v.edited[o.Name] {
			w, is := bases[o.Base]
			v.object(o, is && o.Name == w.Secret(o.Generation))
		}
	}
	for _, r := range view.Records {
		if r.State == ledger.Created && !r.Hint && !live[r.Secret] && !v.edited[r.Secret] {
			v.add(finding.Missing, r.Secret, r.EnvKey, "")
		}
		v.incomplete(r)
	}
	slices.SortStableFunc(v.found, func(a, b Finding) int { return strings.Compare(a.Secret, b.Secret) })
	return v.found
}

// VerifyLedger holds the rows of a view by themselves against the keyring: what evidence
// has as created has to open, in its own place.
func VerifyLedger(view View, judge token.Judge) []Finding {
	v := &verifier{view: view, known: map[Finding]bool{}, edited: map[string]bool{}}
	v.ledger()
	for _, r := range view.Records {
		if v.incomplete(r); r.State != ledger.Created || r.Hint || v.edited[r.Secret] || r.Incomplete {
			continue
		}
		switch verdict := judge(r.Placed()); {
		case !verdict.Opens:
			v.add(finding.Unopened, r.Secret, r.EnvKey, "its row says key "+r.KeyID)
		case verdict.Binding != token.BindingHolds:
			v.add(finding.Misplaced, r.Secret, r.EnvKey, "its row")
		}
	}
	return v.found
}

func (v *verifier) add(code finding.Code, secret, envKey, detail string) {
	f := Finding{Code: code, Namespace: v.view.Namespace, Secret: secret, EnvKey: envKey, Detail: detail}
	if !v.known[f] {
		v.known[f] = true
		v.found = append(v.found, f)
	}
}

// incomplete reports a bundle that the ledger could not rebuild.
func (v *verifier) incomplete(r ledger.Record) {
	if n, _ := token.BundleSize(r.Binding); r.Incomplete && !r.Hint && r.State == ledger.Created && !v.edited[r.Secret] {
		v.add(finding.Incomplete, r.Secret, "", fmt.Sprintf("the rows of %d of %d entries are there", len(r.Placed().Entries()), n))
	}
}

// ledger judges the rows by themselves.
func (v *verifier) ledger() {
	for _, e := range v.view.Edits {
		if v.edited[e.Secret] {
			continue
		}
		v.add(finding.LedgerRow, e.Secret, e.EnvKey, fmt.Sprintf("%s:%d", v.view.Ledger, e.Line))
		v.edited[e.Secret] = true
	}
	for _, same := range ledger.Conflicts(v.view.Records) {
		if name := same[0].Secret; !v.edited[name] {
			v.add(finding.TwoTokens, name, same[0].EnvKey, "")
			v.edited[name] = true
		}
	}
}

// object judges one Secret that the ledger's rows are right about.
func (v *verifier) object(o manifest.Object, wanted bool) {
	record, recorded, other := v.recordOf(o)
	t := o.Placed()
	if t.Binding == "" && recorded {
		t.Binding = record.Binding
	}
	verdict := v.judge(t)
	switch {
	case o.Deleting && (recorded || other):
		v.add(finding.Missing, o.Name, o.EnvKey, "something holds it in the middle of its deletion")
		return
	case recorded && record.State == ledger.Deleted, v.view.Past.Deleted(o.Name, o.EnvKey, cmp.Or(verdict.KeyID, o.KeyID), o.Token, t.Binding):
		v.add(finding.PutBack, o.Name, o.EnvKey, "")
		return
	case o.Token == "" && other:
		v.add(finding.OtherBytes, o.Name, o.EnvKey, "its data is not one token, nor that of a bundle")
		return
	case !recorded && !verdict.Opens && !other && !o.Managed:
		if wanted && o.Generation == 1 {
			v.add(finding.Foreign, o.Name, o.EnvKey, "")
		}
		return
	case !verdict.Opens && !other && !recorded && !wanted:
		return // labelled as ours, of another project
	case !verdict.Opens:
		detail := "its label says key " + o.KeyID
		if unlike := v.unlike(o); unlike != "" {
			detail += "; " + unlike
		}
		v.add(finding.Unopened, o.Name, o.EnvKey, detail)
		return
	case !recorded && verdict.Binding != token.BindingHolds && Renamed(o, v.judge):
		v.add(finding.Renamed, o.Name, o.EnvKey, "made as "+o.Claimed)
		return
	case !recorded && verdict.Binding != token.BindingHolds:
		v.add(finding.Misplaced, o.Name, o.EnvKey, v.unlike(o))
		return
	case other:
		v.add(finding.OtherBytes, o.Name, o.EnvKey, v.unlike(o))
		return
	case !recorded:
		v.add(finding.Unrecorded, o.Name, o.EnvKey, "")
	}
	v.intact(o, verdict)
}

// recordOf finds the evidence of exactly this token; other says that only other
// tokens were created under its name.
func (v *verifier) recordOf(o manifest.Object) (record ledger.Record, recorded, other bool) {
	for _, r := range v.names[o.Name] {
		if recordsThat(r, o) {
			return r, true, false
		}
		other = other || r.State == ledger.Created
	}
	return record, false, other
}

// unlike says how the entries of a bundle differ from those that the ledger has as created
// under its name.
func (v *verifier) unlike(o manifest.Object) string {
	i := slices.IndexFunc(v.names[o.Name], func(r ledger.Record) bool { return r.State == ledger.Created && r.Bundle() && !r.Incomplete })
	if i < 0 || !o.Bundle() {
		return ""
	}
	has, was := map[string]string{}, map[string]string{}
	for _, e := range o.Placed().Entries() {
		has[e.Name] = e.Token
	}
	var changes []string
	for _, e := range v.names[o.Name][i].Placed().Entries() {
		was[e.Name] = e.Token
		switch text, there := has[e.Name]; {
		case !there:
			changes = append(changes, Change{Minus, e.Name}.String())
		case text != e.Token:
			changes = append(changes, Change{Tilde, e.Name}.String())
		}
	}
	for _, e := range o.Placed().Entries() {
		if was[e.Name] == "" {
			changes = append(changes, Change{Plus, e.Name}.String())
		}
	}
	return strings.Join(changes, " ")
}

// intact compares the Secret's metadata with what was written.
func (v *verifier) intact(o manifest.Object, verdict token.Verdict) {
	if o.Binding == "" || verdict.Binding != token.BindingHolds {
		v.add(finding.Binding, o.Name, o.EnvKey, "")
	}
	for _, e := range o.Placed().Entries() {
		if info, err := token.Parse(e.Token); err == nil && FromFuture(info.Time, v.now) {
			v.add(finding.Future, o.Name, e.Name, "")
		}
	}
	if o.KeyID != verdict.KeyID {
		v.add(finding.KeyID, o.Name, o.EnvKey, fmt.Sprintf("its label says %q, and key %s opens it", o.KeyID, verdict.KeyID))
	}
	if !o.Immutable {
		v.add(finding.Mutable, o.Name, o.EnvKey, "")
	}
	if o.Altered != "" {
		v.add(finding.Metadata, o.Name, o.EnvKey, o.Altered)
	}
	if verdict.KeyID != v.keys.IDs()[0] && v.newest(o) {
		v.add(finding.OldKey, o.Name, o.EnvKey, verdict.KeyID)
	}
}

// clockSkew is how far two clocks may be apart before a time counts as one that
// cannot be.
const clockSkew = 24 * time.Hour

// FromFuture says whether a time is later than any clock that is nearly right has.
func FromFuture(t, now time.Time) bool { return t.After(now.Add(clockSkew)) }

func (v *verifier) newest(o manifest.Object) bool {
	return !slices.ContainsFunc(v.view.Objects, func(other manifest.Object) bool {
		return other.Base == o.Base && other.Generation > o.Generation
	})
}
