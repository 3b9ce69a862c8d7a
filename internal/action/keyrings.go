// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
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

// ensureKeyring makes the newest generation of a keyring Secret hold exactly this keyring.
// Its bytes are a function of the keyring alone, so it has no row (R2): what a killed run
// sent, the next one finds and recognises.
func (s *Session) ensureKeyring(ctx context.Context, namespace, base string, ring *keyring.Keyring) error {
	all, err := s.keyrings(ctx, namespace)
	if err != nil {
		return err
	}
	newest := keysecret.Newest(all, base)
	if newest.Name != "" && newest.Holds(ring) {
		s.did(namespace, "secret/%s unchanged", newest.Name)
		return nil
	}
	name := names.Secret(base, newest.Generation+1)
	if s.Mode == Live {
		result := s.Cluster.CreateSecret(ctx, keysecret.Secret(ring, namespace, base, newest.Generation+1), false)
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
