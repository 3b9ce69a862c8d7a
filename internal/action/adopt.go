// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// Adopt takes over an existing Secret whose token our key opens.
type Adopt struct {
	Name string // of the Secret, in the one namespace of the target
}

// Needs says what adopt needs of its session.
func (Adopt) Needs() Needs { return Needs{Writes: true} }

// AdoptPlan is what adopt is about to do.
type AdoptPlan struct {
	Secret    string
	Known     bool // it is ours already, in the ledger too: nothing is to do
	Immutable bool

	session *Session
	object  manifest.Object
	row     ledger.Row
}

// Plan looks at the Secret and refuses what cannot be taken over.
func (a Adopt) Plan(ctx context.Context, s *Session) (*AdoptPlan, error) {
	if n := s.Target.Namespaces; len(n) > 1 {
		return nil, hint.With(errors.New("adopt takes one Secret of one namespace"), "name it: -n %s", n[0])
	}
	if err := s.Start(); err != nil {
		return nil, err
	}
	namespace := s.Target.Namespaces[0]
	found, err := s.Cluster.GetSecrets(ctx, namespace, []string{a.Name})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, hint.With(fmt.Errorf("namespace %q has no Secret of that name", namespace), "kubectl get secrets -n %s", namespace)
	}
	out := &AdoptPlan{session: s, object: found[0], Secret: found[0].Name, Immutable: found[0].Immutable}
	out.row, out.Known, err = s.adoptable(found[0])
	return out, err
}

// Apply writes the metadata, between its two rows.
func (p *AdoptPlan) Apply(ctx context.Context) error {
	s := p.session
	if p.Known || s.Mode == Client {
		return nil
	}
	if err := s.record(p.row); err != nil {
		return err
	}
	now, err := s.Cluster.Adopt(ctx, p.object, p.row, s.Mode == Server)
	if err != nil {
		return fmt.Errorf("secret/%s: %w", p.Secret, err)
	}
	p.row.State, p.row.UID, p.row.Time = ledger.Created, now.UID, s.Now().UTC()
	return s.record(p.row)
}

// adoptable gives the row of a Secret that can be taken over; known says that it
// is ours already, in the ledger too.
func (s *Session) adoptable(o manifest.Object) (row ledger.Row, known bool, err error) {
	if slices.ContainsFunc(s.wanted(o.Namespace), func(w plan.Wanted) bool { return w.Bundle() && w.Base == o.Base }) {
		o = o.AsBundle()
	}
	v := token.Verdict{}
	if o.Token != "" {
		v = s.Project.Sealer.Judge(o.Placed())
	}
	at := s.Known[o.Namespace]
	refusal, known := plan.Adopt(o, v, at.Records, at.Past, s.IgnoreKeys)
	if refusal.Reason != plan.Adoptable {
		return row, false, s.notAdoptable(o, refusal)
	}
	if known {
		return row, true, nil
	}
	binding, err := s.Project.Sealer.Rebind(o.Placed())
	return ledger.Row{
		Time: s.Now().UTC(), Operation: ledger.Adopt, State: ledger.Planned, Cluster: s.Target.Cluster, Namespace: o.Namespace,
		Secret: o.Name, Generation: o.Generation, EnvKey: o.EnvKey, KeyID: v.KeyID, Token: o.Token, Binding: binding, Since: o.Generation,
	}, false, err
}

// notAdoptable says why a Secret cannot be taken over, and the way out.
func (s *Session) notAdoptable(o manifest.Object, r plan.Refusal) error {
	flag := s.Flags()
	switch r.Reason {
	case plan.BeingDeleted:
		return hint.With(fmt.Errorf("secret/%s is being deleted; something holds it with a finalizer", o.Name), "kubectl get secret %s -n %s -o jsonpath='{.metadata.finalizers}'", o.Name, o.Namespace)
	case plan.NoToken:
		return fmt.Errorf("secret/%s: its data is not one token, nor are all of it tokens under names of entries", o.Name)
	case plan.OtherName:
		if o.Bundle() {
			return hint.With(fmt.Errorf("secret/%s holds several tokens, and has not the name of a bundle's first generation", o.Name), "create it again as %s-g1", o.Base)
		}
		return hint.With(fmt.Errorf("secret/%s: its data key is no name of an entry that gives this Secret's name", o.Name),
			"push the value under a name of its own, and point the workloads there")
	case plan.Unopened:
		return s.notOpened(o)
	case plan.MadeElsewhere:
		return hint.With(fmt.Errorf("secret/%s: its token was made for another place", o.Name), "kubectl fernet verify%s", flag)
	case plan.RecordedElsewhere:
		return hint.With(fmt.Errorf("secret/%s: the ledger has its token as that of secret/%s, so it may hold an old value", o.Name, r.Secret),
			"push the value that is meant: kubectl fernet push --update%s", flag)
	case plan.RecordedOtherwise:
		return hint.With(fmt.Errorf("secret/%s: the ledger knows %s with other bytes", o.Name, o.Base),
			"kubectl fernet verify%s says more; if the ledger is right, delete this Secret and %s", flag, s.Again)
	default:
		return hint.With(fmt.Errorf("secret/%s: its name is that of a later generation, and nothing proves that it is one", o.Name),
			"only a Secret under the base name can be adopted; push the value, and delete this Secret if nothing needs it")
	}
}

// notOpened says why no key opens what a Secret holds.
func (s *Session) notOpened(o manifest.Object) error {
	if defect := s.Project.Sealer.NearToken(o.Token); defect != "" {
		return hint.With(fmt.Errorf("secret/%s: it holds %s", o.Name, defect), "create it again with the token alone, without a line break and not encoded: kubectl encodes by itself")
	}
	if slices.ContainsFunc(o.Placed().Each(), func(t token.Token) bool { return s.Project.Sealer.Judge(t).Opens }) && o.Bundle() {
		return hint.With(fmt.Errorf("secret/%s: not all of its tokens open with one key of this keyring", o.Name), "a bundle has tokens of one key; this keyring has %s", hint.List(s.Project.Keys.IDs()))
	}
	return hint.With(fmt.Errorf("secret/%s: no key of this keyring opens what it holds", o.Name), "only Fernet tokens can be adopted; this keyring has %s", hint.List(s.Project.Keys.IDs()))
}
