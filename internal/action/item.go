// SPDX-License-Identifier: Apache-2.0

package action

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
)

// Item is what a verb did with one object, or what it says of it: an item of the reports of
// rotate, rollout, retire and restore.
type Item struct {
	Kind      string     `json:"kind"` // KindSecret, KindKeyring, KindKey, or a workload's
	Namespace string     `json:"namespace,omitempty"`
	Name      string     `json:"name"`
	Object    string     `json:"object,omitempty"` // as kubectl writes it, deployment.apps/web; not of a key
	State     plan.State `json:"state"`
	Changed   bool       `json:"changed"` // by this run, or, in a dry run, it would be
	Reason    string     `json:"reason,omitempty"`
	WayOut    hint.Text  `json:"wayOut,omitempty"`

	EnvKey     string `json:"envKey,omitempty"` // of a Secret that holds one token
	Generation int    `json:"generation,omitempty"`
	KeyID      string `json:"keyID,omitempty"`

	Renames         []Renamed `json:"renames,omitempty"` // of a workload
	Keeper          string    `json:"keeper,omitempty"`
	UnhealthyBefore bool      `json:"unhealthyBefore,omitempty"`

	KeptBy []KeptBy `json:"keptBy,omitempty"`
}

// The kinds of items beside those of workloads.
const (
	KindSecret  = "Secret"
	KindKeyring = "Keyring" // a Secret that holds one
	KindKey     = "Key"     // of the .env or the --key-file
)

// Renamed is a Secret in the template of a workload, and the one that follows it.
type Renamed struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// KeptBy is what keeps a Secret or a key; of a key there is only a reason.
type KeptBy struct {
	Object string     `json:"object,omitempty"` // as deployment.apps/web
	Root   string     `json:"root,omitempty"`   // its topmost owner, or itself
	Way    plan.State `json:"way,omitempty"`    // InUse, InManifest, Mentioned or History
	Where  string     `json:"where,omitempty"`  // the place in the object
	Reason string     `json:"reason"`
	WayOut hint.Text  `json:"wayOut,omitempty"`
}

// ItemOf is the item of what was decided about a Secret.
func ItemOf(d plan.Decision) Item {
	return Item{
		Kind: KindSecret, Namespace: d.Row.Namespace, Name: d.Row.Secret, Object: "secret/" + d.Row.Secret, State: d.Outcome, Changed: d.Outcome == plan.Created,
		Reason: d.Reason, EnvKey: d.Row.EnvKey, Generation: d.Row.Generation, KeyID: d.Row.KeyID,
	}
}

// KeyItem is the item of a key.
func KeyItem(id string, state plan.State, changed bool) Item {
	return Item{Kind: KindKey, Name: id, State: state, Changed: changed}
}

// keyringItem is the item of a keyring Secret, whose first key has this id.
func keyringItem(namespace, name, keyID string, state plan.State) Item {
	_, generation, _ := names.SplitNumbered(name)
	return Item{Kind: KindKeyring, Namespace: namespace, Name: name, Object: "secret/" + name, State: state, Changed: state == plan.Created, Generation: generation, KeyID: keyID}
}

// item is the item of a workload.
func (s *Step) item() Item {
	w := s.Workload
	i := Item{
		Kind: cmp.Or(s.kind, string(w.Kind)), Namespace: w.Namespace, Name: w.Name, Object: cmp.Or(s.root, w.Object()), State: s.State, Reason: s.why(), WayOut: s.Way,
		Changed: s.sent || s.State == plan.Patched, Keeper: s.Keeper(), UnhealthyBefore: s.Unhealthy,
	}
	for _, name := range SortedKeys(s.Rename) {
		i.Renames = append(i.Renames, Renamed{From: name, To: s.Rename[name]})
	}
	return i
}

// why says what keeps a workload from its new references, or from being healthy.
func (s *Step) why() string {
	switch {
	case s.State == plan.LacksKey:
		return "its pods are not known to have key " + strings.Join(s.Lacking, ", ")
	case s.State == plan.LacksEntry:
		return s.absent()
	case s.State == plan.ChangedBack:
		return "changed back by " + s.Reason
	case s.Reason != "":
		return s.Reason
	case s.State == plan.ByHand:
		return s.byHand() + " the new names"
	case len(s.Changed) > 0:
		return fmt.Sprintf("the value of %s is not the current one", hint.Few(s.Changed))
	case len(s.Unproven) > 0:
		return fmt.Sprintf("gone, and nothing proves that it had the current value: %s", hint.Few(s.Unproven))
	default:
		return ""
	}
}

// Item is the item of a Secret that could be retired.
func (p *RetirePlan) Item(r *Retired) Item {
	o := r.Object
	i := Item{
		Kind: KindSecret, Namespace: o.Namespace, Name: o.Name, Object: "secret/" + o.Name, State: r.Outcome, Changed: r.Outcome == plan.Deleted || r.Outcome == plan.Restored,
		Reason: r.Reason, WayOut: r.Way, EnvKey: o.EnvKey, Generation: o.Generation, KeyID: cmp.Or(r.Row.KeyID, o.KeyID),
	}
	if r.keyring != nil {
		i.Kind, i.KeyID = KindKeyring, r.keyring.IDs[0]
	}
	if r.Outcome == plan.Unproven {
		i.Reason = p.Unlooked(o.Namespace)
	}
	if !r.stays() {
		return i
	}
	for _, f := range r.found {
		if !p.verb.Ignore.overlooks(f.Class) {
			i.KeptBy = append(i.KeptBy, keptBy(f))
		}
	}
	return i
}

// keptBy is a reference that keeps a Secret.
func keptBy(f usage.Finding) KeptBy {
	k := KeptBy{Object: f.Object(), Root: cmp.Or(f.Root, f.Object()), Way: ways[f.Class], Where: f.Field, Reason: f.Reason}
	if f.Class == usage.History {
		k.Reason = rollback(f)
	}
	return k
}

// ReturnedItem is the item of a Secret that was retired and is there again.
func ReturnedItem(o manifest.Object) Item {
	return Item{
		Kind: KindSecret, Namespace: o.Namespace, Name: o.Name, Object: "secret/" + o.Name, State: plan.Unproven, EnvKey: o.EnvKey, Generation: o.Generation, KeyID: o.KeyID,
		Reason: "it was retired and was put back; no key of this keyring opens it",
	}
}

// Items are those of the keys, with what keeps them.
func (d *KeyDrop) Items(state plan.State) (items []Item) {
	for _, id := range d.Keys {
		item := KeyItem(id, state, state == plan.Dropped)
		for _, because := range d.Reasons {
			item.KeptBy = append(item.KeptBy, KeptBy{Reason: because.Reason, WayOut: because.Way})
		}
		items = append(items, item)
	}
	return items
}

// Absent gives the items of the keyrings that workloads name and that stay missing.
func (p *RestorePlan) Absent() (items []Item) {
	for _, missing := range p.Keyrings {
		for _, name := range missing.Named {
			if missing.Wanted && name == missing.Name {
				continue
			}
			item := keyringItem(missing.Namespace, name, "", plan.Missing)
			item.Reason, item.WayOut = cmp.Or(missing.Reason, "named by workloads, and not there"), missing.Way
			items = append(items, item)
		}
	}
	return items
}

// Unwritten gives what a blocked rotation says of its Secrets: what would have been created is
// held back by the others.
func (p *RotatePlan) Unwritten() []plan.Decision {
	out := slices.Clone(p.Decisions())
	for i := range out {
		if out[i].Outcome == plan.Created {
			out[i].Outcome = plan.Held
		}
	}
	return out
}
