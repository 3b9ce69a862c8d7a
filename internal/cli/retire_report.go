// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
)

// confirmRetire names what can no longer be returned to, and asks.
func (a *app) confirmRetire(ctx context.Context, o *retireOptions, s *action.Session, doomed []*action.Retired) error {
	if len(doomed) == 0 || o.yes || o.dryRun != dryRunNone {
		return nil
	}
	for _, item := range doomed {
		a.console.say(fmt.Sprintf("secret/%s in %s", item.Object.Name, item.Object.Namespace))
		for _, text := range overlooked(o, item) {
			a.console.say("  " + text)
		}
	}
	return a.confirm(ctx, false, fmt.Sprintf("delete %s in %s?", hint.Count(len(doomed), "Secret"), s.Target.Places()))
}

// overlooked says, each once, what refers to a Secret that is deleted all the same.
func overlooked(o *retireOptions, item *action.Retired) (texts []string) {
	for _, f := range item.Findings(o.ignored(), true) {
		text := action.Rollback(f)
		if f.Class != usage.History {
			text = f.Object() + ": " + f.Reason + ", " + f.Field
		}
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return texts
}

// reportRetire says what was deleted, and what keeps the rest.
func (a *app) reportRetire(o *retireOptions, s *action.Session, p *action.RetirePlan) {
	several := len(s.Target.Namespaces) > 1
	for _, item := range p.Items {
		where := ""
		if several {
			where = " in " + item.Object.Namespace
		}
		fmt.Fprintf(a.Out, "secret/%s %s%s%s\n", item.Object.Name, item.Outcome, where, o.dryRun.suffix())
	}
	for _, item := range p.Items {
		switch item.Outcome {
		case plan.Failed:
			a.console.say(fmt.Sprintf("error: secret/%s: %s", item.Object.Name, hint.OneLine(item.Reason)))
		case plan.Deleted:
			for _, text := range overlooked(o, item) {
				a.console.say(fmt.Sprintf("given up with secret/%s: %s", item.Object.Name, text))
			}
		}
	}
	a.reportKeepers(o, s, p)
	a.explain(s, p.Skipped)
	for _, namespace := range s.Target.Namespaces {
		if kinds := p.Denied(namespace); len(kinds) > 0 {
			a.console.warn("namespace %q: not allowed to look at %s", namespace, strings.Join(kinds, ", "))
		}
	}
	for _, r := range p.Returned {
		a.console.warn("secret/%s in namespace %q was retired and was put back; no key of this keyring opens it, so it is not deleted", r.Name, r.Namespace)
		a.console.hint(hint.Format("kubectl delete secret %s -n %s if nothing uses it", r.Name, r.Namespace))
	}
	if len(p.Items)+len(p.Skipped)+len(p.Returned) == 0 {
		a.console.note("no older generation is in %s", s.Target.Places())
	}
}

// keeper is what keeps Secrets of a namespace: all objects of one owner, in one way.
type keeper struct {
	class     usage.Class
	namespace string
	root      string
	first     usage.Finding
	secrets   []string
	places    int
}

// keepers groups what keeps the Secrets that stay, the strongest reasons first.
func keepers(o *retireOptions, p *action.RetirePlan) (list []*keeper) {
	for _, item := range p.Items {
		if !slices.Contains([]plan.Outcome{plan.InUse, plan.InManifest, plan.Mentioned, plan.ForRollback, plan.Restored}, item.Outcome) {
			continue
		}
		for _, f := range item.Findings(o.ignored(), false) {
			root := cmp.Or(f.Root, f.Object())
			if f.Class == usage.History || f.Release != "" {
				root = f.Object() // each revision is a way back of its own
			}
			at := slices.IndexFunc(list, func(k *keeper) bool {
				return k.class == f.Class && k.namespace == item.Object.Namespace && k.root == root
			})
			if at < 0 {
				at = len(list)
				list = append(list, &keeper{class: f.Class, namespace: item.Object.Namespace, root: root, first: f})
			}
			k := list[at]
			if k.places++; f.Object() == root && k.first.Object() != root {
				k.first = f
			}
			if name := "secret/" + f.Secret; !slices.Contains(k.secrets, name) {
				k.secrets = append(k.secrets, name)
			}
		}
	}
	slices.SortStableFunc(list, func(x, y *keeper) int {
		return cmp.Or(strings.Compare(x.namespace, y.namespace), cmp.Compare(x.class, y.class), strings.Compare(x.root, y.root))
	})
	return list
}

// keptLines is how many lines are written of what keeps the Secrets of a namespace.
const keptLines = 20

// reportKeepers says what keeps the Secrets that stay, a line an owner, and what to do next.
func (a *app) reportKeepers(o *retireOptions, s *action.Session, p *action.RetirePlan) {
	lines, classes := map[string]int{}, map[usage.Class]bool{}
	for _, k := range keepers(o, p) {
		classes[k.class] = true
		if lines[k.namespace]++; lines[k.namespace] <= keptLines {
			a.console.say(k.text(len(s.Target.Namespaces) > 1))
		}
	}
	for _, namespace := range action.SortedKeys(lines) {
		if more := lines[namespace] - keptLines; more > 0 {
			a.console.say(fmt.Sprintf("and %d more in namespace %q: -o json has them all", more, namespace))
		}
	}
	use := "kubectl fernet rollout" + action.EnvFlag(o.env) + " moves workloads to the current generations; change the others where they stand"
	if len(o.names) > 0 {
		use = "take these references out where they stand"
	}
	ways := map[usage.Class]hint.Text{
		usage.Use:      use,
		usage.Manifest: "change the names in these manifests and apply them; or " + a.typed + " --ignore manifests",
		usage.Mention:  "take the names out there; or " + a.typed + " --ignore mentions if they do not mean these Secrets",
		usage.History:  a.typed + " --ignore history gives the way back to those revisions up",
	}
	for _, class := range []usage.Class{usage.Use, usage.Manifest, usage.Mention, usage.History} {
		if classes[class] {
			a.console.hint(ways[class])
		}
	}
}

// text is the line of a keeper.
func (k *keeper) text(several bool) string {
	words := map[usage.Class]string{usage.Use: "in use", usage.Manifest: "in a manifest", usage.Mention: "mentioned", usage.History: "history"}
	word := words[k.class]
	if several {
		word += " in " + k.namespace
	}
	f := k.first
	what := f.Reason + ", " + f.Field
	if k.class == usage.History {
		what = strings.TrimPrefix(action.Rollback(f), f.Object()+": ")
	} else if f.Object() != k.root {
		what = f.Object() + ", " + what
	}
	text := fmt.Sprintf("%s: %s by %s: %s", word, hint.Few(k.secrets), k.root, what)
	if more := k.places - 1; more > 0 && k.class != usage.History {
		text += fmt.Sprintf("; and in %s more", hint.Count(more, "place"))
	}
	return text
}
