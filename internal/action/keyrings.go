// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keysecret"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

// keyrings gives the keyring Secrets of a namespace that hold a key of ours.
func (s *Session) keyrings(ctx context.Context, namespace string) (all []keysecret.Held, err error) {
	secrets, err := s.Cluster.Keyrings(ctx, namespace)
	if err != nil {
		return nil, err
	}
	for i := range secrets {
		if held, ok := keysecret.Read(&secrets[i]); ok && held.Ours(s.Project.Keys) {
			all = append(all, held)
		}
	}
	return all, nil
}

// ensureKeyring makes the newest generation of a keyring Secret serve the current keyring,
// or, exactly, hold it and nothing else. Its bytes are a function of the keyring alone, so
// it has no row (R2): what a killed run sent, the next one finds and recognises.
func (s *Session) ensureKeyring(ctx context.Context, namespace, base string, exactly bool) error {
	all, err := s.keyrings(ctx, namespace)
	if err != nil {
		return err
	}
	newest := keysecret.Newest(all, base)
	if s.keeps(newest, exactly) {
		s.did(namespace, "secret/%s unchanged", newest.Name)
		return nil
	}
	name := names.Numbered(base, newest.Generation+1)
	if s.Mode == Live {
		result := s.Cluster.CreateSecret(ctx, keysecret.Secret(s.Project.Keys, namespace, base, newest.Generation+1), false)
		if result.Fate != cluster.Landed {
			return fmt.Errorf("secret %s in namespace %q, for the keyring: %w", name, namespace, result.Err)
		}
	}
	s.did(namespace, "secret/%s created", name)
	if newest.Name == "" && s.Mode == Live {
		s.warn("%s", keysecret.Threat)
	}
	return nil
}

// keeps says whether a keyring Secret, the zero value for none, needs no next generation.
func (s *Session) keeps(held keysecret.Held, exactly bool) bool {
	switch {
	case held.Name == "":
		return false
	case exactly:
		return held.Holds(s.Project.Keys)
	default:
		return held.Serves(s.Project.Keys)
	}
}
