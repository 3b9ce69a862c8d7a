// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

// summaryWords are the words of the last line, in its order. The first five
// always stand there, the others when they occur.
var summaryWords = []struct {
	outcome plan.State
	word    string
	always  bool
}{
	{plan.Created, "created", true},
	{plan.Unchanged, "unchanged", true},
	{plan.Differs, "differ", true},
	{plan.Foreign, "foreign", true},
	{plan.Failed, "failed", true},
	{plan.Stale, "stale", false},
	{plan.Misplaced, "misplaced", false},
	{plan.Superseded, "superseded", false},
	{plan.Held, "held", false},
	{plan.Orphan, "orphaned", false},
	{plan.Replaced, "replaced", false},
	{plan.Unproven, "unproven", false},
	{plan.Blocked, "blocked", false},
	{plan.NotSent, "not sent", false},
}

// reportPush prints the products and the summary, and gives the error that makes
// the exit code.
func (a *app) reportPush(ctx context.Context, o *pushOptions, s *action.Session, p *action.PushPlan) error {
	results := p.Decisions
	printErr := a.products(o, s, results)
	keyringErr := a.keepKeyrings(ctx, o, p)
	a.explain(s, results)
	count := a.summary(results)
	switch {
	case printErr != nil || keyringErr != nil:
		return cmp.Or(printErr, keyringErr)
	case ctx.Err() != nil:
		return errInterrupted
	case count[plan.Failed] > 0:
		return errEntries
	case count[plan.Differs]+count[plan.Stale]+count[plan.Foreign]+count[plan.Misplaced]+count[plan.Superseded]+count[plan.Held] > 0:
		return errFindings
	default:
		return nil
	}
}

// summary prints the last line.
func (a *app) summary(results []plan.Decision) map[plan.State]int {
	count := map[plan.State]int{}
	for _, d := range results {
		count[d.Outcome]++
	}
	var parts []string
	for _, s := range summaryWords {
		if s.always || count[s.outcome] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[s.outcome], s.word))
		}
	}
	a.console.print(strings.Join(parts, ", ") + "\n")
	return count
}

// products prints a line an object, or with -o the objects that are there.
func (a *app) products(o *pushOptions, s *action.Session, results []plan.Decision) error {
	if o.print.wanted() {
		var objects []runtime.Object
		for _, d := range results {
			if d.Outcome == plan.Created || d.Outcome == plan.Unchanged {
				objects = append(objects, manifest.Secret(d.Row))
			}
		}
		return o.print.objects(a.product, objects)
	}
	return a.lines(s, o.dryRun, results)
}

// keepKeyrings makes or follows the keyrings and prints them. They hold keys, so of the forms
// of -o, which are made for committing, only the names have them.
func (a *app) keepKeyrings(ctx context.Context, o *pushOptions, p *action.PushPlan) error {
	before := len(a.items)
	err := p.KeepKeyrings(ctx)
	var kept []string
	for _, item := range a.items[before:] {
		kept = append(kept, item.Object)
	}
	a.items = a.items[:before]
	switch {
	case o.output == "" || len(kept) == 0:
	case o.output == "name":
		fmt.Fprintln(a.product, strings.Join(kept, "\n"))
	default:
		a.console.note("left out of -o, because it holds the key: %s", strings.Join(kept, ", "))
	}
	return err
}

// results reports what became of Secrets: lines on stdout, or with -o items of the report.
func (a *app) results(s *action.Session, o *workOptions, results []plan.Decision) error {
	a.report(secretItems(s, results)...)
	if o.output != "" {
		return nil
	}
	return a.lines(s, o.dryRun, results)
}

// secretItems gives the items of what became of Secrets, with the ways out.
func secretItems(s *action.Session, results []plan.Decision) []action.Item {
	items := make([]action.Item, len(results))
	for i, d := range results {
		items[i] = action.ItemOf(d)
		items[i].WayOut = wayOut(s, d)
	}
	return items
}

// lines prints a line an object.
func (a *app) lines(s *action.Session, mode dryRun, results []plan.Decision) error {
	var out strings.Builder
	several := len(s.Target.Namespaces) > 1 || slices.ContainsFunc(results, func(d plan.Decision) bool { // restore lists others
		return !slices.Contains(s.Target.Namespaces, d.Row.Namespace)
	})
	for _, d := range results {
		if d.Outcome == plan.NotSent {
			continue
		}
		fmt.Fprintf(&out, "secret/%s %s", redact.Visible(d.Row.Secret), a.paint(d.Outcome, d.Outcome.Words()))
		if d.Row.Bundle() && d.Outcome == plan.Created {
			fmt.Fprintf(&out, " (%s)", hint.Count(entriesIn(d), "entry"))
		}
		if several {
			fmt.Fprintf(&out, " in %s", redact.Visible(d.Row.Namespace))
		}
		out.WriteString(mode.suffix() + "\n")
	}
	_, err := fmt.Fprint(a.product, out.String())
	return err
}

// entriesIn says how many entries a bundle has, or is about to have.
func entriesIn(d plan.Decision) int {
	return cmp.Or(len(d.Row.Placed().Entries()), len(d.Entries))
}

// changes says which entries of a bundle are not as in the generation before.
func (a *app) changes(d plan.Decision, several bool) {
	texts := make([]string, len(d.Changes))
	for i, c := range d.Changes {
		texts[i] = c.String()
	}
	if len(texts) > 0 {
		in := ""
		if several {
			in = " in " + d.Row.Namespace
		}
		a.console.say(fmt.Sprintf("secret/%s%s: %s", d.Row.Secret, in, strings.Join(texts, " ")))
	}
}

// explain says on stderr why something was not written: one line for all that
// share outcome and reason.
func (a *app) explain(s *action.Session, results []plan.Decision) {
	type cause struct {
		outcome plan.State
		reason  string
	}
	names, order, first := map[cause][]string{}, []cause{}, map[cause]plan.Decision{}
	for _, d := range results {
		a.changes(d, len(s.Target.Namespaces) > 1)
		if d.Reason == "" || d.Outcome == plan.Created || d.Outcome == plan.Unchanged || d.Outcome == plan.NotSent {
			continue
		}
		c := cause{d.Outcome, d.Reason}
		if names[c] == nil {
			order = append(order, c)
			first[c] = d
		}
		if !slices.Contains(names[c], d.Row.Secret) { // in another namespace
			names[c] = append(names[c], d.Row.Secret)
		}
	}
	for _, c := range order {
		line := fmt.Sprintf("%s: %s: %s", c.outcome.Words(), hint.Few(names[c]), hint.OneLine(c.reason))
		if c.outcome == plan.Failed || c.outcome == plan.Blocked {
			line = fmt.Sprintf("error: secret/%s: %s", hint.Few(names[c]), hint.OneLine(c.reason))
		}
		a.console.say(line)
		if way := wayOut(s, first[c]); way != "" {
			a.console.hint(way)
		}
	}
}

// olderKey is the way out of a token under a key that was dropped too early.
func olderKey(s *action.Session, id string) hint.Text {
	return hint.Format("put the key %s back into KEY_PREVIOUS, from an older .env, then kubectl fernet rotate%s; if nobody has it any more, delete that Secret, then kubectl fernet push%s --ignore-key %s", id, s.Flags(), s.Flags(), id)
}

// wayOut says what to do about a decision that needs somebody to act.
func wayOut(s *action.Session, d plan.Decision) hint.Text {
	switch d.Outcome {
	case plan.Differs:
		if len(d.Dropped) > 0 {
			return s.Update + " --drop-entries"
		}
		return s.Update
	case plan.Stale:
		at := s.Aimed(d.Row.Namespace)
		if gone := d.Returned(); len(gone) == len(d.Stale) {
			return hint.Format("take %s out of %s, if it left the bundle on purpose; to publish it again: kubectl fernet push%s --revert %s", hint.Few(gone), s.Env, at, strings.Join(d.Stale, ","))
		}
		return hint.Format("kubectl fernet pull%s --force gets the current value; to publish the older one on purpose: kubectl fernet push%s --revert %s", at, at, strings.Join(d.Stale, ","))
	case plan.Superseded:
		ids := hint.List(s.Project.Keys.IDs())
		if d.OlderKey {
			return olderKey(s, d.Row.KeyID)
		}
		if d.ByRow {
			return hint.Format("if the key was rotated, get the current .env (this one has %s); if that row is not true, --ignore-key %s", ids, d.Row.KeyID)
		}
		if slices.Contains(s.Project.Keys.Previous(), d.Row.KeyID) {
			return hint.Format("get the current .env; or, if KEY and KEY_PREVIOUS were swapped, make the key %s KEY again", d.Row.KeyID)
		}
		return "the key was rotated: get the current .env; this one has " + ids
	case plan.Blocked:
		return "kubectl fernet restore puts back what is gone, kubectl fernet retire NAME gives up an entry that left the .env; kubectl describe secret NAME shows the rest"
	case plan.Foreign:
		return hint.Format("kubectl describe secret %s -n %s shows whose it is: get the .env that it is from, or rename the entry", d.Row.Secret, d.Row.Namespace)
	case plan.Misplaced:
		if d.Adoptable {
			return hint.Format("look before you touch it: kubectl describe secret %s -n %s; kubectl fernet adopt %s%s takes over a token that you know", d.Row.Secret, d.Row.Namespace, d.Row.Secret, s.Aimed(d.Row.Namespace))
		}
		return hint.Format("look before you touch it: kubectl describe secret %s -n %s; a token was copied to this name, or its binding was edited", d.Row.Secret, d.Row.Namespace)
	case plan.Unproven:
		return "with the key that signed those rows in KEY_PREVIOUS they can be restored"
	default:
		return d.Way
	}
}
