// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// Restore creates again what the ledger says was created and not deleted.
type Restore struct {
	FromCluster string // as the ledger names it; empty: the target, or the only one
	ToNamespace string // another namespace to restore to
}

// Needs says what restore needs of its session.
func (Restore) Needs() Needs { return Needs{Read: Keys, KeyLess: true, Writes: true} }

// RestorePlan is what restore is about to do; after Apply it is what came of it.
type RestorePlan struct {
	Decisions []plan.Decision
	Keyrings  []*MissingKeyring // that templates name
	KeyLess   bool              // nothing of it is authenticated

	session   *Session
	confirmed []ledger.Row // that the ledger lacks of what is there
}

// ToCreate says how many Secrets Apply creates.
func (p *RestorePlan) ToCreate() (n int) {
	for _, d := range p.Decisions {
		if d.Outcome == plan.Created {
			n++
		}
	}
	return n
}

// Edited says whether rows were edited, so that what they were about is not known.
func (p *RestorePlan) Edited() bool {
	rows, _ := p.session.Book.Edited()
	return len(rows) > 0
}

// Plan picks the records to restore, looks at what is there, and says what it is about to create.
func (r Restore) Plan(ctx context.Context, s *Session) (*RestorePlan, error) {
	out := &RestorePlan{session: s, KeyLess: s.Project.Keys == nil}
	records, err := r.choose(s)
	if err != nil {
		return nil, err
	}
	if err := s.Start(); err != nil {
		return nil, err
	}
	live, err := s.secretsOf(ctx, records)
	if err != nil {
		return nil, err
	}
	if records, err = settleConflicts(s, plan.StillCreated(records, s.Target.Cluster, live), live); err != nil {
		return nil, err
	}
	if out.KeyLess {
		out.Decisions = plan.Restore(records, s.Target.Cluster, live, nil)
	} else if err := out.heldBack(ctx, plan.Restore(records, s.Target.Cluster, live, s.Project.Sealer.Judge)); err != nil {
		return nil, err
	}
	return out, out.missingKeyrings(ctx)
}

// Apply creates what is missing. Without a key a name that is taken is foreign.
func (p *RestorePlan) Apply(ctx context.Context) error {
	if p.session.Mode == Client {
		return p.restoreKeyrings(ctx)
	}
	if err := p.create(ctx); err != nil {
		return err
	}
	return p.restoreKeyrings(ctx)
}

func (p *RestorePlan) create(ctx context.Context) error {
	return p.session.create(ctx, p.Decisions, p.confirmed, "restore", func(token.Token) token.Verdict { return token.Verdict{} })
}

// heldBack creates nothing in a namespace where a newer generation is live that this
// keyring lacks the key of: what it knows was retired, and would come back. Where only
// a row has the newer one, that entry alone is held back. What is there and proven,
// and not recorded yet, is confirmed.
func (p *RestorePlan) heldBack(ctx context.Context, decisions []plan.Decision) error {
	s := p.session
	created := map[string][]plan.Wanted{} // by namespace
	recorded := map[[2]string]bool{}      // namespace and name of what gets a row anyway
	for _, d := range decisions {
		if at := d.Row.Namespace; d.Outcome == plan.Created {
			base, _ := names.Split(d.Row.Secret)
			created[at] = append(created[at], plan.Wanted{EnvKey: d.Row.EnvKey, Base: base})
		}
		if d.Complete {
			recorded[[2]string{d.Row.Namespace, d.Row.Secret}] = true
		}
	}
	for namespace := range created { // what is written beside may not be older than what the .env has there (R5)
		created[namespace] = slices.Concat(s.wanted(namespace), created[namespace])
	}
	wanted := func(namespace string) []plan.Wanted { return plan.Mine(s.recordsIn(namespace), created[namespace]) }
	err := s.views(ctx, s.Target.Namespaces, wanted, false, func(view plan.View) error {
		superseded := plan.Rotated(view, wanted(view.Namespace), s.Project.Sealer.Judge, s.Project.Keys)
		if !plan.SupersededLive(superseded) {
			p.confirmed = append(p.confirmed, s.confirmed(view)...)
		}
		decisions = plan.HoldBack(decisions, superseded)
		return nil
	})
	p.Decisions = decisions
	p.confirmed = slices.DeleteFunc(p.confirmed, func(row ledger.Row) bool { return recorded[[2]string{row.Namespace, row.Secret}] })
	return err
}

// Announce tells what is about to be created: rows may have been removed from a
// ledger, so that it brings back what was retired.
func (p *RestorePlan) Announce() {
	secrets := map[string][]string{}
	for _, d := range p.Decisions {
		if d.Outcome == plan.Created {
			secrets[d.Row.Namespace] = append(secrets[d.Row.Namespace], d.Row.Secret)
		}
	}
	for _, missing := range p.Keyrings {
		if missing.Name != "" && missing.Wanted {
			secrets[missing.Namespace] = append(secrets[missing.Namespace], missing.Name+" (the keyring)")
		}
	}
	for _, namespace := range SortedKeys(secrets) {
		p.session.line("to create in namespace %q of cluster %q: %s", namespace, p.session.Target.Cluster, strings.Join(secrets[namespace], ", "))
	}
}

// choose picks the records to restore: of one cluster, and of the namespaces that
// were named. Their namespaces become the target's.
func (r Restore) choose(s *Session) (records []ledger.Record, err error) {
	all := slices.DeleteFunc(s.Book.Records(), func(record ledger.Record) bool { return record.State != ledger.Created })
	from, err := r.cluster(s, all)
	if err != nil {
		return nil, err
	}
	named := s.Request.Target.Chosen()
	known, hinted := map[string]bool{}, map[string]bool{}
	for _, record := range all {
		if record.Cluster == from && (len(named) == 0 || slices.Contains(named, record.Namespace)) {
			records = append(records, record)
			// Where only hints name a namespace, nothing is asked of it: they may name any.
			hinted[record.Namespace] = true
			if !record.Hint || len(named) > 0 {
				known[record.Namespace] = true
			}
		}
	}
	if len(records) == 0 {
		return nil, hint.With(fmt.Errorf("%s: it records nothing that was created there and not deleted", s.Ledger), "check --ledger, -n and --from-cluster")
	}
	if s.Target.Namespaces = SortedKeys(known); len(known) == 0 { // as with the clusters
		s.Target.Namespaces = SortedKeys(hinted)
	}
	if r.ToNamespace == "" {
		return records, nil
	}
	s.Target.Namespaces = []string{r.ToNamespace}
	return s.rebind(records, r.ToNamespace)
}

// cluster says which of the ledger's clusters is restored.
func (r Restore) cluster(s *Session, all []ledger.Record) (string, error) {
	clusters := map[string]bool{}
	for _, record := range all {
		if !record.Hint {
			clusters[record.Cluster] = true
		}
	}
	if len(clusters) == 0 { // nothing will be created; the list says why
		for _, record := range all {
			clusters[record.Cluster] = true
		}
	}
	known := SortedKeys(clusters)
	switch {
	case r.FromCluster != "":
		return r.FromCluster, nil
	case clusters[s.Target.Cluster]:
		return s.Target.Cluster, nil
	case len(known) == 1:
		return known[0], nil
	case len(known) > 1:
		return "", hint.With(fmt.Errorf("the ledger has several clusters: %s", hint.Few(known)), "choose one: --from-cluster %s", known[0])
	default:
		return "", nil
	}
}

// rebind moves the records to another namespace.
func (s *Session) rebind(records []ledger.Record, namespace string) ([]ledger.Record, error) {
	if s.Project.Keys == nil {
		return nil, hint.With(errors.New("--to-namespace needs the key: the binding of each token names its namespace"), "--key-file, or FERNET_KEY")
	}
	records = slices.DeleteFunc(records, func(record ledger.Record) bool { return record.Hint })
	for i := range records {
		t := records[i].Placed()
		if !s.Project.Sealer.Judge(t).Opens || records[i].Incomplete {
			continue // it is listed as unproven
		}
		t.Namespace = namespace
		binding, err := s.Project.Sealer.Rebind(t)
		if err != nil {
			return nil, err
		}
		records[i] = records[i].Moved(t.Namespace, binding)
	}
	return records, nil
}

// secretsOf gives the Secrets of records that are there now.
func (s *Session) secretsOf(ctx context.Context, records []ledger.Record) (live []manifest.Object, err error) {
	for _, namespace := range s.Target.Namespaces {
		var secrets []string
		for _, record := range records {
			if record.Namespace == namespace {
				secrets = append(secrets, record.Secret)
			}
		}
		found, err := s.Cluster.GetSecrets(ctx, namespace, secrets)
		if err != nil {
			return nil, err
		}
		live = append(live, found...)
	}
	return live, nil
}

// settleConflicts drops the records of a name that has another token now. Where a
// name was created with two tokens and has none, nobody can say which was there.
func settleConflicts(s *Session, records []ledger.Record, live []manifest.Object) ([]ledger.Record, error) {
	var torn []string
	for _, same := range ledger.Conflicts(records) {
		i := slices.IndexFunc(live, func(o manifest.Object) bool { return o.Namespace == same[0].Namespace && o.Name == same[0].Secret })
		if i < 0 {
			torn = append(torn, fmt.Sprintf("%s in namespace %q", same[0].Secret, same[0].Namespace))
			continue
		}
		if slices.ContainsFunc(same, func(record ledger.Record) bool { return record.Token == live[i].Token }) {
			records = slices.DeleteFunc(records, func(record ledger.Record) bool {
				return record.Namespace == live[i].Namespace && record.Secret == live[i].Name && record.Token != live[i].Token
			})
		}
	}
	if len(torn) == 0 {
		return records, nil
	}
	return nil, hint.With(fmt.Errorf("%s: two tokens are recorded as created under one name: %s", s.Ledger, hint.Few(torn)),
		"two ledgers were merged; delete the rows of the one that was not there, which `git log -p` tells")
}
