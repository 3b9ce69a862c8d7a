// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// StillCreated drops the records that a look at the target cluster ends: an object
// that was retired once, and put back by another run, is not to come back after it
// is gone. Of another cluster nothing was looked at, and all its records stay.
func StillCreated(records []ledger.Record, cluster string, live []manifest.Object) (still []ledger.Record) {
	there := map[[2]string]manifest.Object{}
	for _, o := range live {
		there[[2]string{o.Namespace, o.Name}] = o
	}
	for _, r := range records {
		uid := ""
		if o := asRecorded(r, there[[2]string{r.Namespace, r.Secret}]); recordsThat(r, o) {
			uid = o.UID
		}
		if r.Cluster != cluster || r.Observed(uid).State == ledger.Created {
			still = append(still, r)
		}
	}
	return still
}

// asRecorded gives a live object as what its record is: without label and binding a bundle
// of one entry looks like a single token.
func asRecorded(r ledger.Record, o manifest.Object) manifest.Object {
	if r.Bundle() && o.Binding == "" {
		return o.AsBundle()
	}
	return o
}

// Restore gives, for records that were created and not deleted, what has to be
// there again in the target cluster. live are the Secrets of the records'
// namespaces that are there now. Rows keep names, tokens and bindings.
//
// With a judge only what evidence says, and what a key opens in its own place, is
// created: the rest is Unproven. Without a key there is no judge, and the rows are
// believed.
func Restore(records []ledger.Record, cluster string, live []manifest.Object, judge token.Judge) []Decision {
	there := map[[2]string]manifest.Object{}
	for _, o := range live {
		there[[2]string{o.Namespace, o.Name}] = o
	}
	newest := map[[2]string]int{} // of the evidence, by namespace and base name
	for _, r := range records {
		if base, generation := names.Split(r.Secret); !r.Hint {
			newest[[2]string{r.Namespace, base}] = max(newest[[2]string{r.Namespace, base}], generation)
		}
	}
	var all []Decision
	for _, r := range records {
		o, found := there[[2]string{r.Namespace, r.Secret}]
		base, generation := names.Split(r.Secret)
		if o = asRecorded(r, o); r.Hint && (found || generation < newest[[2]string{r.Namespace, base}]) {
			continue // nothing would be created, or it is history
		}
		all = append(all, restore(r, cluster, o, judge))
	}
	return all
}

func restore(r ledger.Record, cluster string, o manifest.Object, judge token.Judge) Decision {
	row := ledger.Row{
		Operation: ledger.Restore, State: ledger.Planned, Cluster: cluster, Namespace: r.Namespace, Secret: r.Secret,
		Generation: r.Generation, EnvKey: r.EnvKey, KeyID: r.KeyID, Token: r.Token, Binding: r.Binding, Since: r.Since,
	}
	d := Decision{Outcome: Created, Row: row}
	doubt := unproven(r, judge)
	if n, _ := token.BundleSize(r.Binding); r.Incomplete {
		doubt = fmt.Sprintf("the ledger has %d of its %d entries: half a bundle is never created", len(r.Placed().Entries()), n)
	}
	switch {
	case o.Name == "" && doubt != "":
		d.Outcome, d.Reason = Unproven, doubt
	case o.Name == "":
	case o.Deleting:
		d.Outcome, d.Reason = Failed, "it is being deleted; something holds it with a finalizer"
	case recordsThat(r, o):
		d.Outcome, d.Row.State, d.Row.UID, d.Row.Token = Unchanged, ledger.Created, o.UID, o.Token
		d.Complete = unproven(r.Live(o.Token), judge) == "" && (r.Cluster != cluster || r.Incomplete || !slices.Contains(r.UIDs(), o.UID))
	default:
		d.Outcome, d.Reason = Foreign, "the name is taken by a Secret with other bytes"
	}
	return d
}

// unproven says why a record permits nothing; empty where it is proven, or where no
// key is there to prove it with.
func unproven(r ledger.Record, judge token.Judge) string {
	if judge == nil {
		return ""
	}
	v := judge(r.Placed())
	switch {
	case r.Hint:
		return "its rows are signed by a key that this keyring lacks"
	case !v.Opens:
		return "no key of this keyring opens its token"
	case v.Binding != token.BindingHolds:
		return "its token was made for another place"
	default:
		return ""
	}
}
