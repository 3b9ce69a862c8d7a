// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

// Restore gives, for records that were created and not deleted, what has to be
// there again in the target cluster. live are the Secrets of the records'
// namespaces that are there now. Rows keep names, tokens and bindings.
func Restore(records []ledger.Record, cluster string, live []manifest.Object) []Decision {
	there := map[[2]string]manifest.Object{}
	for _, o := range live {
		there[[2]string{o.Namespace, o.Name}] = o
	}
	var all []Decision
	for _, r := range records {
		row := ledger.Row{
			Operation: ledger.Restore, State: ledger.Planned, Cluster: cluster, Namespace: r.Namespace, Secret: r.Secret,
			Generation: r.Generation, EnvKey: r.EnvKey, KeyID: r.KeyID, Token: r.Token, Binding: r.Binding,
		}
		d := Decision{Outcome: Created, Row: row}
		switch o, found := there[[2]string{r.Namespace, r.Secret}]; {
		case !found:
		case o.Deleting:
			d.Outcome, d.Reason = Failed, "it is being deleted; something holds it with a finalizer"
		case o.Carries(row):
			d.Outcome, d.Row.State, d.Row.UID = Unchanged, ledger.Created, o.UID
			d.Complete = r.Cluster != cluster || !slices.Contains(r.UIDs(), o.UID)
		default:
			d.Outcome, d.Reason = Foreign, "the name is taken by a Secret with other bytes"
		}
		all = append(all, d)
	}
	return all
}
