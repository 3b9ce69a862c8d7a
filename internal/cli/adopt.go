// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

const adoptLong = `Take over an existing Secret whose data is a token that our key opens, such as
one that was written by hand or by a script. It gets our labels and annotations
and a row in the ledger; its data stays as it is.

Its one data key has to be the name of an entry that gives this Secret's name:
SECRET_A for secret-a.`

const adoptExample = `  # a Secret that was there before this tool
  kubectl fernet adopt secret-a

  # whether it would be possible, as the API server sees it
  kubectl fernet adopt secret-a --dry-run=server`

type adoptOptions struct {
	workOptions
	name string
}

// newAdopt makes the verb; run is a.adopt, or what a test puts in its place.
func newAdopt(a *app, run func(context.Context, *adoptOptions) error) *cobra.Command {
	o := &adoptOptions{}
	cmd := &cobra.Command{
		Use:               "adopt NAME",
		Short:             "Take over an existing Secret whose token our key opens",
		Long:              adoptLong,
		Example:           adoptExample,
		Args:              oneName,
		ValidArgsFunction: a.words(unmanagedNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.complete()
			o.name = strings.TrimPrefix(args[0], "secret/") // as this tool prints it
			if err := o.validate(*a.connect.Namespace); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *adoptOptions) validate(namespace string) error {
	if len(o.namespaces) > 1 {
		return errors.New("adopt takes one Secret of one namespace: -n NAMESPACE")
	}
	return o.workOptions.validate(namespace)
}

func (a *app) adopt(ctx context.Context, o *adoptOptions) error {
	w, err := a.aim(o.workOptions, false)
	if err != nil {
		return err
	}
	close, err := w.open(o.dryRun == dryRunNone)
	defer close()
	if err != nil {
		return err
	}
	a.console.begin(w.target.String())
	if err := w.connectTo(); err != nil {
		return err
	}
	namespace := w.target.Namespaces[0]
	found, err := w.client.GetSecrets(ctx, namespace, []string{o.name}, 1)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return withHint(fmt.Errorf("namespace %q has no Secret of that name", namespace), "kubectl get secrets -n %s", namespace)
	}
	row, known, err := w.adoptable(found[0])
	if err != nil {
		return err
	}
	word := "unchanged"
	if !known {
		word = "adopted"
		if err := w.takeOver(ctx, found[0], row); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.Out, "secret/%s %s%s\n", row.Secret, word, o.dryRun.suffix())
	if !found[0].Immutable {
		a.console.note("it is not immutable: the next generation, by kubectl fernet rotate, will be")
	}
	return nil
}

// adoptable gives the row of a Secret that can be taken over; known says that it
// is ours already, in the ledger too.
func (w *work) adoptable(o manifest.Object) (row ledger.Row, known bool, err error) {
	if o.Deleting {
		return row, false, withHint(fmt.Errorf("secret/%s is being deleted; something holds it with a finalizer", o.Name), "kubectl get secret %s -n %s -o jsonpath='{.metadata.finalizers}'", o.Name, o.Namespace)
	}
	if o.Token == "" {
		return row, false, fmt.Errorf("secret/%s has not exactly one data key, so it holds no token of one entry", o.Name)
	}
	base, err := names.Base(o.EnvKey)
	if err != nil || base != o.Base {
		return row, false, withHint(fmt.Errorf("secret/%s: its data key is no name of an entry that gives this Secret's name", o.Name),
			"push the value under a name of its own, and point the workloads there")
	}
	v := w.door.Judge(o.Placed())
	switch {
	case !v.Opens:
		return row, false, w.notOpened(o)
	case v.Binding == token.BindingWrong:
		return row, false, withHint(fmt.Errorf("secret/%s: its token was made for another place", o.Name), "kubectl fernet verify%s", envFlag(w.o.env))
	}
	if row, known, err = w.recordedAs(o, v); err != nil || known {
		return row, known, err
	}
	if v.Binding != token.BindingHolds && o.Generation > 1 {
		return row, false, withHint(fmt.Errorf("secret/%s: its name is that of a later generation, and nothing proves that it is one", o.Name),
			"only a Secret under the base name can be adopted; push the value, and delete this Secret if nothing needs it")
	}
	binding, err := w.door.Rebind(o.Placed())
	if err != nil {
		return row, false, err
	}
	return ledger.Row{
		Time: time.Now().UTC(), Operation: ledger.Adopt, State: ledger.Planned, Cluster: w.target.Cluster, Namespace: o.Namespace,
		Secret: o.Name, Generation: o.Generation, EnvKey: o.EnvKey, KeyID: v.KeyID, Token: o.Token, Binding: binding, Since: o.Generation,
	}, false, nil
}

// notOpened says why no key opens what a Secret holds.
func (w *work) notOpened(o manifest.Object) error {
	if defect := w.door.NearToken(o.Token); defect != "" {
		return withHint(fmt.Errorf("secret/%s: it holds %s", o.Name, defect), "create it again with the token alone, without a line break and not encoded: kubectl encodes by itself")
	}
	return withHint(fmt.Errorf("secret/%s: no key of this keyring opens what it holds", o.Name), "only Fernet tokens can be adopted; this keyring has %s", hint.List(w.source.ring.IDs()))
}

// recordedAs compares a Secret with what the ledger has. A token is made for one place:
// one that the ledger knows in another was copied, and may be an old value, or
// another entry's; one under a name that had other bytes is not what was written
// there. known says that it is ours already, in the ledger too.
func (w *work) recordedAs(o manifest.Object, v token.Verdict) (row ledger.Row, known bool, err error) {
	at := w.known[o.Namespace]
	elsewhere, other, same := "", at.past.Known(o.Base) > 0, false
	for _, r := range at.records {
		base, _ := names.Split(r.Secret)
		switch {
		case r.Token == o.Token && (r.Secret != o.Name || r.EnvKey != o.EnvKey):
			elsewhere = r.Secret
		case base != o.Base, r.Hint && slices.Contains(w.o.ignoreKeys, r.KeyID):
		case r.Token != o.Token:
			other = other || r.State == ledger.Created
		case !r.Hint:
			same = true
			known = known || r.State == ledger.Created && o.Managed && v.Binding == token.BindingHolds
		}
	}
	switch {
	case elsewhere != "":
		return row, false, withHint(fmt.Errorf("secret/%s: the ledger has its token as that of secret/%s, so it may hold an old value", o.Name, elsewhere),
			"push the value that is meant: kubectl fernet push --update%s", envFlag(w.o.env))
	case other && !same:
		return row, false, withHint(fmt.Errorf("secret/%s: the ledger knows %s with other bytes", o.Name, o.Base),
			"kubectl fernet verify%s says more; if the ledger is right, delete this Secret and %s", envFlag(w.o.env), w.again)
	}
	return ledger.Row{Secret: o.Name}, known, nil
}

// takeOver writes the metadata, between its two rows.
func (w *work) takeOver(ctx context.Context, o manifest.Object, row ledger.Row) error {
	if w.o.dryRun == dryRunClient {
		return nil
	}
	if w.o.dryRun == dryRunNone {
		if err := w.ledger.Append(row); err != nil {
			return err
		}
	}
	now, err := w.client.Adopt(ctx, o, row, w.o.dryRun == dryRunServer)
	if err != nil || w.o.dryRun != dryRunNone {
		return err
	}
	row.State, row.UID, row.Time = ledger.Created, now.UID, time.Now().UTC()
	return w.ledger.Append(row)
}
