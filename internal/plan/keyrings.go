// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// KeyringBase is the base name of keyring Secrets that the documentation uses.
const KeyringBase = "fernet-key"

// Keyring is a live keyring Secret, without its keys.
type Keyring struct {
	Name, Base string
	Generation int
	KeyID      string // of its first key
	Serves     bool   // its pods need no other one
}

// KeyringBases gives the base names of keyring Secrets: of those that are there, of those
// that templates take FERNET_KEY from, and more, but for those of entries.
func KeyringBases(held []Keyring, list []workload.Workload, entries []Wanted, more ...string) map[string]bool {
	bases := map[string]bool{KeyringBase: true}
	for _, base := range more {
		bases[base] = true
	}
	for _, k := range held {
		bases[k.Base] = true
	}
	for _, w := range list {
		for _, name := range keyringNames(&w.Template.Spec) {
			if base, _, ok := names.SplitNumbered(name); ok {
				bases[base] = true
			}
		}
	}
	for _, w := range entries {
		delete(bases, w.Base)
	}
	return bases
}

// keyringKeys are the data keys of a keyring Secret.
var keyringKeys = []string{"FERNET_KEY", "FERNET_KEY_PREVIOUS"}

// keyringNames gives the Secrets of which a template names the data key FERNET_KEY.
func keyringNames(spec *corev1.PodSpec) (secrets []string) {
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		for _, env := range c.Env {
			if env.ValueFrom != nil && env.ValueFrom.SecretKeyRef != nil && slices.Contains(keyringKeys, env.ValueFrom.SecretKeyRef.Key) {
				secrets = append(secrets, env.ValueFrom.SecretKeyRef.Name)
			}
		}
	}
	isKey := func(item corev1.KeyToPath) bool { return slices.Contains(keyringKeys, item.Key) }
	for _, v := range spec.Volumes {
		if v.Secret != nil && slices.ContainsFunc(v.Secret.Items, isKey) {
			secrets = append(secrets, v.Secret.SecretName)
		}
		if v.Projected == nil {
			continue
		}
		for _, source := range v.Projected.Sources {
			if source.Secret != nil && slices.ContainsFunc(source.Secret.Items, isKey) {
				secrets = append(secrets, source.Secret.Name)
			}
		}
	}
	return secrets
}

// Users gives, by Secret, the workloads that name it. Those that never run again are
// left out.
func Users(list []workload.Workload) map[string][]string {
	used := map[string][]string{}
	for _, w := range list {
		if w.Finished {
			continue
		}
		for _, ref := range w.References() {
			if users := used[ref.Secret]; !slices.Contains(users, w.String()) {
				used[ref.Secret] = append(users, w.String())
			}
		}
	}
	return used
}

// Absent gives the Secrets that are named and that the view does not show, of those that
// are ours by their name: generations of these entries or of retired ones, and of keyrings
// with these base names. What a view does not show may still be there.
func Absent(view View, entries []Wanted, keyrings map[string]bool, used map[string][]string) (tokens, rings map[string]Wanted) {
	tokens, rings = map[string]Wanted{}, map[string]Wanted{}
	there, ours := map[string]bool{}, map[string]Wanted{}
	for _, w := range entries {
		ours[w.Base] = w
	}
	for _, o := range view.Objects {
		there[o.Name] = true
	}
	for name := range used {
		base, _ := names.Split(name)
		ring, _, numbered := names.SplitNumbered(name)
		entry, is := ours[base]
		_, generation := names.Split(name)
		other := is && entry.Secret(generation) != name // of the same base name, and somebody else's
		switch {
		case there[name], other && !(numbered && keyrings[ring]):
		case is:
			tokens[name] = entry
		case numbered && keyrings[ring]:
			rings[name] = Wanted{Base: ring}
		case view.Past.Known(base) > 0:
			tokens[name] = Wanted{Base: base}
		}
	}
	return tokens, rings
}

// KeyringGeneration says which generation of a keyring comes back where templates name
// these, and none is there. Its bytes follow from the keyring of today alone. That they are
// those which the name had is taken for given where one generation is named, and whoever
// names it names no entry's token that is not under KEY, which underKey says of a Secret:
// keyring and tokens move together. Else it is the next generation above all of them.
func KeyringGeneration(named []string, list []workload.Workload, entries []Wanted, underKey func(secret string) bool) (generation int, same bool) {
	for _, name := range named {
		_, g, _ := names.SplitNumbered(name)
		generation = max(generation, g)
	}
	if len(named) > 1 {
		return generation + 1, false
	}
	ours := map[string]bool{}
	for _, w := range entries {
		ours[w.Base] = true
	}
	for _, w := range list {
		refs := w.References()
		if w.Finished || !slices.ContainsFunc(refs, func(r workload.Reference) bool { return slices.Contains(named, r.Secret) }) {
			continue
		}
		for _, ref := range refs {
			if base, _ := names.Split(ref.Secret); ours[base] && !underKey(ref.Secret) {
				return generation + 1, false
			}
		}
	}
	return generation, true
}

// OlderKeyring says whether a Secret is a keyring of which a newer generation is there.
func OlderKeyring(held []Keyring, secret string) bool {
	base, generation, _ := names.SplitNumbered(secret)
	return slices.ContainsFunc(held, func(k Keyring) bool { return k.Base == base && k.Generation > generation })
}

// KeyringStatus gives an item for each base name of keyring Secrets of a namespace, of
// which one is there or a template names one that is gone.
func KeyringStatus(namespace string, held []Keyring, look Look) []Status {
	byBase := map[string][]Keyring{}
	for _, w := range look.Gone {
		byBase[w.Base] = nil
	}
	for _, k := range held {
		byBase[k.Base] = append(byBase[k.Base], k)
	}
	var items []Status
	for _, base := range slices.Sorted(maps.Keys(byBase)) {
		items = append(items, keyringStatus(namespace, base, byBase[base], look))
	}
	return items
}

// keyringStatus gives the item of one base name.
func keyringStatus(namespace, base string, held []Keyring, look Look) Status {
	slices.SortFunc(held, func(a, b Keyring) int { return b.Generation - a.Generation })
	s := newStatus(namespace)
	s.Keyring = base
	named := false
	for i, k := range held {
		users := append([]string{}, look.Used[k.Name]...)
		named = named || len(users) > 0
		if i == 0 {
			s.Secret, s.Generation, s.KeyID, s.UsedBy = k.Name, k.Generation, k.KeyID, users
		} else {
			s.Older = append(s.Older, Older{Secret: k.Name, KeyID: k.KeyID, UsedBy: users})
		}
	}
	switch {
	case len(held) == 0 || held[0].Serves:
	case named:
		s.State = ToRollOut // it makes the next generation
	default:
		s.State = ToRetire // nothing uses it, and nothing could go on with it
	}
	s.judge(base, look)
	return s
}
