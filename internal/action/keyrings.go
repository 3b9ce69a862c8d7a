// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keysecret"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// keyrings gives the keyring Secrets of a namespace that hold a key of ours.
func (s *Session) keyrings(ctx context.Context, namespace string) (all []keysecret.Held, err error) {
	secrets, err := s.Cluster.Keyrings(ctx, namespace)
	if err != nil {
		return nil, err
	}
	return s.held(secrets), nil
}

// held gives what Secrets hold that are keyrings with a key of ours.
func (s *Session) held(secrets []corev1.Secret) (all []keysecret.Held) {
	for i := range secrets {
		if held, ok := keysecret.Read(&secrets[i]); ok && held.Ours(s.Project.Keys) {
			all = append(all, held)
		}
	}
	return all
}

// keyringsShown gives the keyring Secrets that a view shows: with a key those that hold a
// key of ours, without one all that are labelled. Without a key, one serves if a current
// token is under its key, or if there is none.
func (s *Session) keyringsShown(ctx context.Context, view plan.View, current map[string]bool) (shown []plan.Keyring, err error) {
	if !slices.ContainsFunc(view.Objects, func(o manifest.Object) bool { return o.Kind == manifest.KindKeyring }) {
		return nil, nil
	}
	if s.Project.Keys != nil {
		all, err := s.keyringsSeen(ctx, view.Namespace)
		for _, held := range all {
			shown = append(shown, plan.Keyring{Name: held.Name, Base: held.Base, Generation: held.Generation, KeyID: held.IDs[0], Serves: held.Serves(s.Project.Keys)})
		}
		return shown, err
	}
	for _, o := range view.Objects {
		if base, generation, ok := names.SplitNumbered(o.Name); ok && o.Kind == manifest.KindKeyring {
			shown = append(shown, plan.Keyring{Name: o.Name, Base: base, Generation: generation, KeyID: o.KeyID, Serves: len(current) == 0 || current[o.KeyID]})
		}
	}
	return shown, nil
}

// gone leaves of these Secrets, which a view does not show, those that are not there.
func (s *Session) gone(ctx context.Context, namespace string, absent map[string]plan.Wanted) error {
	if len(absent) == 0 {
		return nil
	}
	there, err := s.Cluster.GetSecrets(ctx, namespace, SortedKeys(absent))
	for _, o := range there {
		delete(absent, o.Name)
	}
	return err
}

// ensureKeyring makes the newest generation of a keyring Secret serve the current keyring,
// or, exactly, hold it and nothing else. Its bytes are a function of the keyring alone, so
// it has no row (R2): what a killed run sent, the next one finds and recognises.
func (s *Session) ensureKeyring(ctx context.Context, namespace, base string, ring *keyring.Keyring, exactly bool) error {
	all, err := s.keyrings(ctx, namespace)
	if err != nil {
		return err
	}
	newest := keysecret.Newest(all, base)
	if newest.Name != "" && (newest.Holds(ring) || !exactly && newest.Serves(ring)) {
		s.did(keyringItem(namespace, newest.Name, newest.IDs[0], plan.Unchanged), "secret/"+newest.Name+" unchanged")
		return nil
	}
	top := newest.Generation
	if newest.Name == "" {
		if top, err = s.namedGeneration(ctx, namespace, base); err != nil {
			return err
		}
	}
	err = s.createKeyring(ctx, namespace, base, ring, top+1)
	if err == nil && newest.Name == "" && s.Mode == Live && !s.warned {
		s.warned = true
		s.warn("%s", keysecret.Threat)
	}
	return err
}

// foreseeKeyring says what a push makes of a keyring Secret, as far as that is known without
// a look at the cluster: the ledger has no rows of it.
func (s *Session) foreseeKeyring(namespace string) {
	if len(s.recordsIn(namespace)) > 0 {
		s.note("namespace %q: which generation of the keyring secret/%s is there only the cluster knows", namespace, s.Settings.KeySecret)
		return
	}
	name := names.Numbered(s.Settings.KeySecret, 1)
	s.did(keyringItem(namespace, name, s.Project.Keys.IDs()[0], plan.Created), "secret/"+name+" created")
}

// createKeyring creates a generation of a keyring Secret and reports it.
func (s *Session) createKeyring(ctx context.Context, namespace, base string, ring *keyring.Keyring, generation int) error {
	name := names.Numbered(base, generation)
	if s.Mode == Live {
		result := s.Cluster.CreateSecret(ctx, keysecret.Secret(ring, namespace, base, generation), false)
		if result.Fate != cluster.Landed {
			return fmt.Errorf("secret %s in namespace %q, for the keyring: %w", name, namespace, result.Err)
		}
	}
	s.did(keyringItem(namespace, name, ring.IDs()[0], plan.Created), "secret/"+name+" created")
	return nil
}

// namedGeneration gives the highest generation of a keyring that templates name, 0 for
// none: it was there once, and its name is not used again. What may not be looked at
// counts as naming none.
func (s *Session) namedGeneration(ctx context.Context, namespace, base string) (top int, err error) {
	list, _, err := s.workloadsIn(ctx, namespace)
	for secret := range plan.Users(list) {
		if of, generation, ok := names.SplitNumbered(secret); ok && of == base {
			top = max(top, generation)
		}
	}
	return top, err
}
