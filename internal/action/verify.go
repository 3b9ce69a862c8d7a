// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/finding"
	"github.com/kubectl-fernet/kubectl-fernet/internal/gitstate"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// Verify proves that cluster, ledger and keyring agree.
type Verify struct{}

// Needs says what verify needs of its session.
func (Verify) Needs() Needs { return Needs{Spreads: true} }

// VerifyReport is what verify found.
type VerifyReport struct {
	Found []plan.Finding
	Seen  bool // something of ours was there to look at

	session *Session
}

// Run looks at the files, the ledger and each namespace.
func (Verify) Run(ctx context.Context, s *Session) (*VerifyReport, error) {
	if err := s.Start(); err != nil {
		return nil, err
	}
	r := &VerifyReport{session: s}
	r.files(ctx)
	r.rows()
	labelled := true // a token may have been copied under any name
	return r, s.views(ctx, s.Target.Namespaces, s.mine, labelled, func(view plan.View) error { return r.namespace(ctx, view) })
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
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
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

// namespace verifies the Secrets of one namespace, and who uses them.
func (r *VerifyReport) namespace(ctx context.Context, view plan.View) error {
	s := r.session
	r.Seen = r.Seen || len(view.Objects)+len(view.Records) > 0
	r.Found = append(r.Found, plan.Verify(view, s.Project.Wanted, s.Project.Sealer.Judge, s.Project.Keys, s.Now())...)
	if s.Unlisted[view.Namespace] {
		r.add(plan.Finding{Code: finding.Unseen, Namespace: view.Namespace, Detail: "secrets"})
		return r.users(ctx, view)
	}
	held, err := s.keyrings(ctx, view.Namespace)
	if err != nil {
		return err
	}
	for _, h := range held {
		r.add(plan.Finding{Code: finding.Keyring, Namespace: view.Namespace, Secret: h.Object.Name})
	}
	return r.users(ctx, view)
}

// users names the workloads that use an older generation.
func (r *VerifyReport) users(ctx context.Context, view plan.View) error {
	s := r.session
	g := plan.Successors(view, s.mine(view.Namespace), s.Project.Sealer.Judge, s.Project.Keys, s.Project.Sealer.SameValue)
	list, denied, err := s.Cluster.Workloads(ctx, view.Namespace)
	if err != nil {
		return err
	}
	if len(denied) > 0 {
		r.add(plan.Finding{Code: finding.Unseen, Namespace: view.Namespace, Detail: hint.Few(denied)})
	}
	older := map[plan.Finding]bool{}
	for _, w := range list {
		for _, ref := range w.References() {
			if _, is := g.Older(ref.Secret); is && !w.Finished {
				older[plan.Finding{Code: finding.Older, Namespace: view.Namespace, Secret: ref.Secret, Detail: w.String()}] = true
			}
		}
	}
	r.Found = append(r.Found, slices.SortedFunc(maps.Keys(older), func(a, b plan.Finding) int {
		return strings.Compare(a.Secret+a.Detail, b.Secret+b.Detail)
	})...)
	return nil
}
