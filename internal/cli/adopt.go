// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
)

const adoptLong = `Take over a Secret whose token your key opens, such as one that was written by
hand or by a script. Its data stays as it is.

It gets our labels and annotations, and a row in the ledger.

Its one data key has to be the name of an entry that gives this Secret's name:
SECRET_A for secret-a.`

const adoptExample = `  # a Secret that was there before this tool
  kubectl fernet adopt secret-a

  # whether it would be possible, as the API server sees it
  kubectl fernet adopt secret-a --dry-run=server`

type adoptOptions struct {
	workOptions
	name string
}

// newAdopt makes the verb; run is a.adopt, or what a test puts in its place.
func newAdopt(a *app, run func(context.Context, *adoptOptions) error) *cobra.Command {
	o := &adoptOptions{}
	cmd := &cobra.Command{
		Use:               "adopt NAME",
		Short:             "Take over a Secret whose token your key opens",
		Long:              adoptLong,
		Example:           adoptExample,
		Args:              oneName,
		ValidArgsFunction: a.words(unmanagedNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.complete()
			o.name = strings.TrimPrefix(args[0], "secret/") // as this tool prints it
			if err := o.validate(*a.connect.Namespace); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *adoptOptions) validate(namespace string) error {
	if len(o.namespaces) > 1 {
		return errors.New("adopt takes one Secret of one namespace: -n NAMESPACE")
	}
	return o.workOptions.validate(namespace)
}

func (a *app) adopt(ctx context.Context, o *adoptOptions) error {
	verb := action.Adopt{Name: o.name}
	s, err := a.open(ctx, o.workOptions, verb.Needs())
	if err != nil {
		return err
	}
	defer s.Close()
	p, err := verb.Plan(ctx, s)
	if err != nil {
		return err
	}
	if err := p.Apply(ctx); err != nil {
		return err
	}
	word := "adopted"
	if p.Known {
		word = "unchanged"
	}
	fmt.Fprintf(a.Out, "secret/%s %s%s\n", p.Secret, word, o.dryRun.suffix())
	if !p.Immutable {
		a.console.note("it is not immutable: the next generation, by kubectl fernet rotate, will be")
	}
	return nil
}
