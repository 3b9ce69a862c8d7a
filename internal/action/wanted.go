// SPDX-License-Identifier: Apache-2.0

package action

import "github.com/kubectl-fernet/kubectl-fernet/internal/plan"

// wanted gives the Secrets that the .env wants in a namespace.
func (s *Session) wanted(string) []plan.Wanted {
	return plan.Bundling(s.Project.Wanted, s.Project.bundle())
}

func (p *Project) bundle() string {
	bundle, _ := p.File.Lookup("FERNET_BUNDLE")
	return bundle.Value.Reveal()
}
