// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/finding"
	"github.com/kubectl-fernet/kubectl-fernet/internal/gitstate"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
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
	var views []plan.View
	labelled := true // a token may have been copied under any name
	err := s.views(ctx, s.Target.Namespaces, s.mine, labelled, func(view plan.View) error {
		views = append(views, view)
		return nil
	})
	if err != nil {
		return r, err
	}
	return r, r.namespaces(ctx, views)
}

// namespaces verifies what was seen, in the order in which it was.
func (r *VerifyReport) namespaces(ctx context.Context, views []plan.View) error {
	s, older := r.session, map[string]plan.Generations{}
	namespaces := make([]string, len(views))
	for i, view := range views {
		namespaces[i] = view.Namespace
		older[view.Namespace] = plan.Successors(view, s.mine(view.Namespace), s.Project.Sealer.Judge, s.Project.Keys, s.Project.Sealer.SameValue)
	}
	users, err := s.Cluster.Users(ctx, namespaces, func(w workload.Workload) bool {
		return (w.Kind != workload.Pod || w.Owner == "") && !w.Finished && len(outdated(w, older[w.Namespace])) > 0
	})
	if err != nil {
		return err
	}
	for _, view := range views {
		if err := r.namespace(ctx, view); err != nil {
			return err
		}
		r.users(view.Namespace, users[view.Namespace], older[view.Namespace])
	}
	return nil
}

// outdated names the older generations that a workload refers to, each once.
func outdated(w workload.Workload, g plan.Generations) (names []string) {
	for _, ref := range w.References() {
		if _, older := g.Older(ref.Secret); older && !slices.Contains(names, ref.Secret) {
			names = append(names, ref.Secret)
		}
	}
	return names
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

// namespace verifies the Secrets of one namespace.
func (r *VerifyReport) namespace(ctx context.Context, view plan.View) error {
	s := r.session
	r.Seen = r.Seen || len(view.Objects)+len(view.Records) > 0
	r.Found = append(r.Found, plan.Verify(view, s.Project.Wanted, s.Project.Sealer.Judge, s.Project.Keys, s.Now())...)
	if s.Unlisted[view.Namespace] {
		r.add(plan.Finding{Code: finding.Unseen, Namespace: view.Namespace, Detail: "secrets"})
		return nil
	}
	held, err := s.keyringsSeen(ctx, view.Namespace)
	if err != nil {
		return err
	}
	for _, h := range held {
		r.add(plan.Finding{Code: finding.Keyring, Namespace: view.Namespace, Secret: h.Object.Name})
	}
	return nil
}

// users names the workloads of one namespace that use an older generation.
func (r *VerifyReport) users(namespace string, users cluster.Users, g plan.Generations) {
	if len(users.Denied) > 0 {
		r.add(plan.Finding{Code: finding.Unseen, Namespace: namespace, Detail: hint.Few(users.Denied)})
	}
	var found []plan.Finding
	for _, w := range users.Workloads {
		for _, name := range outdated(w, g) {
			found = append(found, plan.Finding{Code: finding.Older, Namespace: namespace, Secret: name, Detail: w.String()})
		}
	}
	slices.SortFunc(found, func(a, b plan.Finding) int { return strings.Compare(a.Secret+a.Detail, b.Secret+b.Detail) })
	r.Found = append(r.Found, found...)
}
