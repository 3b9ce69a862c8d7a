// SPDX-License-Identifier: Apache-2.0

package action

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
)

// Keeper is what keeps Secrets of a namespace: all objects of one owner, in one way.
type Keeper struct {
	Way       plan.State // InUse, InManifest, Mentioned or ForRollback
	Namespace string
	Root      string   // the owner, as deployment.apps/web
	Secrets   []string // their names
	Why       string   // the first place, for people
	Places    int

	first usage.Finding
}

// ways are what the classes of references make of a Secret.
var ways = map[usage.Class]plan.State{usage.Use: plan.InUse, usage.Manifest: plan.InManifest, usage.Mention: plan.Mentioned, usage.History: plan.History}

// Keepers gives what keeps the Secrets that stay, by namespace, the strongest reasons first.
func (p *RetirePlan) Keepers() (list []*Keeper) {
	for _, item := range p.Items {
		if !item.stays() {
			continue
		}
		for _, f := range item.found {
			if !p.verb.Ignore.overlooks(f.Class) {
				list = kept(list, f, item.Object.Namespace)
			}
		}
	}
	for _, k := range list {
		k.Why = k.why()
	}
	order := []plan.State{plan.InUse, plan.InManifest, plan.Mentioned, plan.History}
	slices.SortStableFunc(list, func(x, y *Keeper) int {
		return cmp.Or(strings.Compare(x.Namespace, y.Namespace), slices.Index(order, x.Way)-slices.Index(order, y.Way), strings.Compare(x.Root, y.Root))
	})
	return list
}

// stays says that something keeps a Secret.
func (r *Retired) stays() bool {
	return r.Outcome != plan.Deleted && r.Outcome != plan.Failed && r.Outcome != plan.NotSent
}

// kept adds a finding to the keepers. Each revision is a way back of its own.
func kept(list []*Keeper, f usage.Finding, namespace string) []*Keeper {
	root := cmp.Or(f.Root, f.Object())
	if f.Class == usage.History || f.Release != "" {
		root = f.Object()
	}
	at := slices.IndexFunc(list, func(k *Keeper) bool {
		return k.Way == ways[f.Class] && k.Namespace == namespace && k.Root == root
	})
	if at < 0 {
		at = len(list)
		list = append(list, &Keeper{Way: ways[f.Class], Namespace: namespace, Root: root, first: f})
	}
	k := list[at]
	if k.Places++; f.Object() == root && k.first.Object() != root {
		k.first = f
	}
	if !slices.Contains(k.Secrets, f.Secret) {
		k.Secrets = append(k.Secrets, f.Secret)
	}
	return list
}

func (k *Keeper) why() string {
	f := k.first
	switch {
	case f.Class == usage.History:
		return rollback(f)
	case f.Object() != k.Root:
		return f.Object() + ", " + f.Reason + ", " + f.Field
	default:
		return f.Reason + ", " + f.Field
	}
}

// overlooks says whether a reference of that class is no reason to keep a Secret.
func (i Ignore) overlooks(c usage.Class) bool {
	switch c {
	case usage.Manifest:
		return i.Manifests
	case usage.Mention:
		return i.Mentions
	case usage.History:
		return i.History
	default:
		return false
	}
}

// Overlooked says, each once, what refers to a Secret that is deleted all the same.
func (p *RetirePlan) Overlooked(r *Retired) (texts []string) {
	for _, f := range r.found {
		if !p.verb.Ignore.overlooks(f.Class) {
			continue
		}
		text := fmt.Sprintf("overlooked: %s: %s (secret/%s)", f.Object(), f.Reason+", "+f.Field, f.Secret)
		switch command := undo(f); {
		case command != "":
			text = fmt.Sprintf("no longer possible: %s (it needs secret/%s)", command, f.Secret)
		case f.Class == usage.History:
			text = fmt.Sprintf("overlooked: %s: %s (secret/%s)", f.Object(), f.Reason, f.Secret)
		}
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return texts
}

// rollback says what a reference of history is there for.
func rollback(f usage.Finding) string {
	if command := undo(f); command != "" {
		return f.Reason + ", " + command
	}
	return f.Reason
}

// undo gives the command that goes back to what a reference of history is in; empty if none
// does.
func undo(f usage.Finding) string {
	switch {
	case f.Class != usage.History:
		return ""
	case f.Release != "":
		return fmt.Sprintf("helm rollback %s %s", f.Release, f.Revision)
	case f.Revision != "":
		return fmt.Sprintf("kubectl rollout undo %s --to-revision=%s", cmp.Or(f.Owner, f.Object()), f.Revision)
	default:
		return ""
	}
}
