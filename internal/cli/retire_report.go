// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// confirmRetire names what can no longer be returned to, and asks.
func (a *app) confirmRetire(ctx context.Context, o *retireOptions, s *action.Session, p *action.RetirePlan) error {
	doomed := p.Doomed()
	if len(doomed) == 0 || o.yes || o.dryRun != dryRunNone {
		return nil
	}
	for _, item := range doomed {
		a.console.say(fmt.Sprintf("secret/%s in %s", item.Object.Name, item.Object.Namespace))
		for _, text := range p.Overlooked(item) {
			a.console.say("  " + text)
		}
	}
	return a.confirm(ctx, false, fmt.Sprintf("delete %s in %s?", hint.Count(len(doomed), "Secret"), s.Target.Places()))
}

// reportRetire says what was deleted, and what keeps the rest.
func (a *app) reportRetire(o *retireOptions, s *action.Session, p *action.RetirePlan) {
	several := len(s.Target.Namespaces) > 1
	for _, item := range p.Items {
		where := ""
		if several {
			where = " in " + item.Object.Namespace
		}
		a.did(&o.workOptions, p.Item(item), fmt.Sprintf("secret/%s %s%s", item.Object.Name, retireWords(item.Outcome), where))
	}
	for _, item := range p.Items {
		switch item.Outcome {
		case plan.Failed:
			a.console.say(fmt.Sprintf("error: secret/%s: %s", item.Object.Name, hint.OneLine(item.Reason)))
		case plan.Deleted:
			for _, text := range p.Overlooked(item) {
				a.console.say(text)
			}
		}
	}
	a.reportKeepers(o, s, p)
	a.explain(s, p.Skipped)
	a.report(secretItems(s, p.Skipped)...)
	for _, namespace := range s.Target.Namespaces {
		if text := p.Unlooked(namespace); text != "" {
			a.console.warn("namespace %q: %s", namespace, text)
		}
	}
	for _, way := range p.WaysOut() {
		a.console.hint(way)
	}
	for _, r := range p.Returned {
		a.report(action.ReturnedItem(r))
		a.console.warn("secret/%s in namespace %q was retired and was put back; no key of this keyring opens it, so it is not deleted", r.Name, r.Namespace)
		a.console.hint(hint.Format("kubectl delete secret %s -n %s if nothing uses it", r.Name, r.Namespace))
	}
	if len(p.Items)+len(p.Skipped)+len(p.Returned) == 0 {
		a.console.note("no older generation is in %s", s.Target.Places())
	}
}

// retireWords says what retire made of a Secret.
func retireWords(state plan.State) string {
	if state == plan.Unproven {
		return "kept, unproven"
	}
	return state.Words()
}

// keptLines is how many lines are written of what keeps the Secrets of a namespace.
const keptLines = 20

// reportKeepers says what keeps the Secrets that stay, a line an owner, and what to do next.
func (a *app) reportKeepers(o *retireOptions, s *action.Session, p *action.RetirePlan) {
	lines, kept := map[string]int{}, map[plan.State]bool{}
	for _, k := range p.Keepers() {
		kept[k.Way] = true
		if lines[k.Namespace]++; lines[k.Namespace] <= keptLines {
			a.console.say(keeperLine(k, len(s.Target.Namespaces) > 1))
		}
	}
	for _, namespace := range action.SortedKeys(lines) {
		if more := lines[namespace] - keptLines; more > 0 {
			a.console.say(fmt.Sprintf("and %d more in namespace %q: -o json has them all", more, namespace))
		}
	}
	use := "kubectl fernet rollout" + o.paths().Flags() + " moves workloads to the current generations; change the others where they stand"
	if len(o.names) > 0 {
		use = "take these references out where they stand"
	}
	for _, way := range []struct {
		out  plan.State
		hint hint.Text
	}{
		{plan.InUse, use},
		{plan.InManifest, "change the names in these manifests and apply them, then: " + a.typed + "; or " + a.typed + " --ignore manifests"},
		{plan.Mentioned, "take the names out there; or " + a.typed + " --ignore mentions if they do not mean these Secrets"},
		{plan.History, a.typed + " --ignore history gives the way back to those revisions up"},
	} {
		if kept[way.out] {
			a.console.hint(way.hint)
		}
	}
}

// keeperLine is the line of a keeper.
func keeperLine(k *action.Keeper, several bool) string {
	word := k.Way.Words()
	if k.Way == plan.History {
		word = action.IgnoreHistory
	}
	if several {
		word += " in " + k.Namespace
	}
	secrets := make([]string, len(k.Secrets))
	for i, name := range k.Secrets {
		secrets[i] = "secret/" + name
	}
	text := fmt.Sprintf("%s: %s by %s: %s", word, hint.Few(secrets), k.Root, k.Why)
	if more := k.Places - 1; more > 0 && k.Way != plan.History {
		text += fmt.Sprintf("; and in %s more", hint.Count(more, "place"))
	}
	return text
}
