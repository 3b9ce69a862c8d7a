// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
)

// contextsFlag lets a verb go through several clusters.
func (o *workOptions) contextsFlag(f *pflag.FlagSet) {
	f.StringSliceVar(&o.contexts, "contexts", nil, "several contexts, comma-separated, one after the other, instead of --context")
}

// validateContexts checks what --contexts says beside the other flags.
func (o *workOptions) validateContexts(context string) error {
	switch {
	case o.contexts != nil && len(o.contexts) == 0:
		return errors.New("--contexts names none")
	case slices.Contains(o.contexts, ""):
		return withHint(errors.New("--contexts has an empty name"), "an empty variable? name each context, or leave --contexts out")
	case context != "" && len(o.contexts) > 0:
		return errors.New("--context and --contexts exclude each other")
	}
	if name := duplicate(o.contexts); name != "" {
		return fmt.Errorf("--contexts names %q twice", name)
	}
	return nil
}

// runsInContexts is runs for a verb with --contexts: one context after the other,
// with a report each. A failure in one does not keep the others from their turn;
// the exit code is the worst of all. output is the verb's -o: YAML documents need a
// line between them.
func runsInContexts[O options](a *app, o O, where *workOptions, output *string, run func(context.Context, O) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		each := func(ctx context.Context, o O) error {
			return a.eachContext(ctx, where, cmd.Name(), *output, func(ctx context.Context) error { return run(ctx, o) })
		}
		return runs(a, o, each)(cmd, args)
	}
}

func (a *app) eachContext(ctx context.Context, o *workOptions, verb, output string, run func(context.Context) error) error {
	if err := o.validateContexts(*a.connect.Context); err != nil {
		return err
	}
	if len(o.contexts) == 0 {
		return run(ctx)
	}
	worst := exitDone
	for i, name := range o.contexts {
		if i > 0 && output == "yaml" {
			fmt.Fprintln(a.Out, "---")
		}
		a.connect.Context = &name
		o.more = i+1 < len(o.contexts)
		a.console.hold()
		err := a.inPart(action.WithRights(run(ctx), verb), verb)
		a.console.flush()
		worst = max(worst, a.exit(err))
		if ctx.Err() != nil || errors.Is(err, action.ErrOneCluster) {
			break
		}
	}
	if worst == exitDone {
		return nil
	}
	return exitCode(worst)
}
