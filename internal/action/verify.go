// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/finding"
	"github.com/kubectl-fernet/kubectl-fernet/internal/gitstate"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// Verify proves that cluster, ledger and keyring agree.
type Verify struct {
	Offline bool // the ledger and the keyring alone
	Only    Only // findings about these, and what could not be looked at
}

// Needs says what verify needs of its session.
func (v Verify) Needs() Needs {
	return Needs{Read: EntriesIfAny, Offline: v.Offline, Spreads: true, Selects: true, InPart: true}
}

// VerifyReport is what verify found.
type VerifyReport struct {
	Found []plan.Finding
	Seen  bool // something of ours was there to look at

	session *Session
	places  []*verifyPlace
}

// verifyPlace is what verify sees of one namespace.
type verifyPlace struct {
	view     plan.View
	keyrings []plan.Keyring
}

// Run looks at the files, the ledger and each namespace.
func (v Verify) Run(ctx context.Context, s *Session) (*VerifyReport, error) {
	s.announce()
	r := &VerifyReport{session: s}
	r.files(ctx)
	r.rows()
	if v.Offline {
		r.ledger()
		return r, r.narrow(v.Only)
	}
	if err := s.dial(); err != nil {
		return nil, err
	}
	labelled := true // a token may have been copied under any name
	if err := s.views(ctx, s.Target.Namespaces, s.mine, labelled, func(view plan.View) error { return r.namespace(ctx, view) }); err != nil {
		return nil, err
	}
	if err := r.references(ctx); err != nil {
		return nil, err
	}
	for _, u := range s.Unseen {
		r.add(plan.Finding{Code: finding.Unseen, Namespace: u.Namespace, Detail: u.What})
	}
	return r, r.narrow(v.Only)
}

// narrow leaves out what was not asked for.
func (r *VerifyReport) narrow(only Only) error {
	if len(only) == 0 {
		return nil
	}
	r.Found = slices.DeleteFunc(r.Found, func(f plan.Finding) bool { return f.Code != finding.Unseen && !only.has(f.Secret, f.EnvKey) })
	return r.session.known(only, func(name Only) bool {
		return slices.ContainsFunc(r.Found, func(f plan.Finding) bool { return name.has(f.Secret, f.EnvKey) }) || r.sees(name)
	})
}

// sees says whether a live Secret has a name.
func (r *VerifyReport) sees(name Only) bool {
	return slices.ContainsFunc(r.places, func(p *verifyPlace) bool {
		return slices.ContainsFunc(p.view.Objects, func(o manifest.Object) bool { return name.has(o.Name, o.EnvKey) })
	})
}

// ledger verifies the rows of each namespace by themselves.
func (r *VerifyReport) ledger() {
	s := r.session
	for _, namespace := range s.Target.Namespaces {
		at := s.Known[namespace]
		r.Seen = r.Seen || len(at.Records) > 0
		r.Found = append(r.Found, plan.VerifyLedger(s.completed(plan.View{Cluster: s.Target.Cluster, Namespace: namespace, Records: at.Records, Past: at.Past}), s.Project.Sealer.Judge)...)
	}
}

func (r *VerifyReport) add(f plan.Finding) { r.Found = append(r.Found, f) }

// files looks at who can read the files that hold keys or values.
func (r *VerifyReport) files(ctx context.Context) {
	s, paths := r.session, map[string]bool{}
	for _, h := range s.Project.Holders {
		paths[h.Path] = true
	}
	if len(s.Project.Wanted) > 0 {
		paths[s.Env] = true
	}
	for _, path := range SortedKeys(paths) {
		if info, err := os.Stat(path); err == nil && atomicfile.Exposed(info) {
			r.add(plan.Finding{Code: finding.EnvMode, Detail: path})
		}
		switch gitstate.Of(ctx, path) {
		case gitstate.Tracked:
			r.add(plan.Finding{Code: finding.EnvTracked, Detail: path})
		case gitstate.Visible:
			r.add(plan.Finding{Code: finding.EnvVisible, Detail: path})
		}
	}
}

// rows names what is wrong with the ledger as a whole: edited rows about other
// places than the target, of which the namespaces say nothing, and unsigned ones.
func (r *VerifyReport) rows() {
	s := r.session
	edited, more := s.Book.Edited()
	named := map[[3]string]bool{}
	for _, e := range edited {
		at := [3]string{e.Cluster, e.Namespace, e.Secret}
		if named[at] {
			continue
		}
		named[at] = true
		if e.Cluster != s.Target.Cluster || !slices.Contains(s.Target.Namespaces, e.Namespace) {
			r.add(plan.Finding{Code: finding.LedgerRow, Namespace: e.Namespace, Secret: e.Secret, EnvKey: e.EnvKey, Detail: fmt.Sprintf("%s:%d", s.Ledger, e.Line)})
		}
	}
	if more > 0 {
		r.add(plan.Finding{Code: finding.LedgerRow, Detail: fmt.Sprintf("%s: %s more", s.Ledger, hint.Count(more, "row"))})
	}
	first := s.Book.FirstUse(s.Target.Cluster)
	for _, id := range SortedKeys(first) {
		if plan.FromFuture(first[id], s.Now()) {
			r.add(plan.Finding{Code: finding.Future, Detail: fmt.Sprintf("%s: the first row under key %s", s.Ledger, id)})
		}
	}
	if unsigned, line := s.Book.Unsigned(); unsigned > 0 {
		r.add(plan.Finding{Code: finding.Unsigned, Detail: fmt.Sprintf("%s:%d: %s", s.Ledger, line, hint.Count(unsigned, "row"))})
	}
}

// namespace verifies the Secrets of one namespace, and finds who uses them.
func (r *VerifyReport) namespace(ctx context.Context, view plan.View) (err error) {
	s, p := r.session, &verifyPlace{view: view}
	r.places = append(r.places, p)
	r.Seen = r.Seen || len(view.Objects)+len(view.Records) > 0
	r.Found = append(r.Found, plan.Verify(view, view.Wanted, s.Project.Sealer.Judge, s.Project.Keys, s.Now())...)
	if s.Unlisted[view.Namespace] {
		r.unseen(view.Namespace, "secrets")
	} else if p.keyrings, err = s.keyringsShown(ctx, view, nil); err != nil {
		return err
	}
	for _, k := range p.keyrings {
		if k.Base == s.Settings.KeySecret {
			continue // that is chosen
		}
		r.add(plan.Finding{Code: finding.Keyring, Namespace: view.Namespace, Secret: k.Name})
	}
	return nil
}

func (r *VerifyReport) unseen(namespace, what string) {
	r.session.Unseen = append(r.session.Unseen, Unseen{Namespace: namespace, What: what})
}

// references names the workloads that use an older generation, or one that is not there.
func (r *VerifyReport) references(ctx context.Context) error {
	s := r.session
	views := make([]plan.View, len(r.places))
	for i, p := range r.places {
		views[i] = p.view
	}
	all, err := s.referrers(ctx, views)
	if err != nil {
		return err
	}
	var held []plan.Keyring
	var list []workload.Workload
	var entries []plan.Wanted
	for _, p := range r.places {
		held, list, entries = append(held, p.keyrings...), append(list, all[p.view.Namespace].workloads...), append(entries, s.mine(p.view.Namespace)...)
	}
	bases := plan.KeyringBases(held, list, entries)
	for _, p := range r.places {
		view := p.view
		g := plan.Successors(view, s.mine(view.Namespace), s.Project.Sealer.Judge, s.Project.Keys, s.Project.Sealer.SameValue)
		found := all[view.Namespace]
		if len(found.denied) > 0 {
			r.unseen(view.Namespace, hint.Few(kindNames(found.denied)))
		}
		used := found.used()
		gone, rings := plan.Absent(view, s.mine(view.Namespace), bases, used)
		maps.Copy(gone, rings)
		if err := s.gone(ctx, view.Namespace, gone); err != nil {
			return err
		}
		for _, secret := range SortedKeys(used) {
			_, older := g.Older(secret)
			_, absent := gone[secret]
			switch at := (plan.Finding{Namespace: view.Namespace, Secret: secret}); {
			case absent:
				r.used(at, finding.Broken, used[secret])
			case older || plan.OlderKeyring(p.keyrings, secret):
				r.used(at, finding.Older, used[secret])
			}
		}
	}
	return nil
}

// used adds a finding for each workload that uses a Secret.
func (r *VerifyReport) used(at plan.Finding, code finding.Code, users []string) {
	for _, user := range slices.Sorted(slices.Values(users)) {
		at.Code, at.Detail = code, user
		r.add(at)
	}
}
