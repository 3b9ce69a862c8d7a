// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

const revealLong = `Print one value, as it is; on a terminal a line break follows it.

NAME is the name of an entry or of its Secret. The current generation is shown;
--generation, or the full name of a Secret (secret-a-g2), shows another one that
the ledger has.`

const revealExample = `  # the value that applications get now
  kubectl fernet reveal SECRET_A

  # the one before it
  kubectl fernet reveal SECRET_A --generation 1 | xxd`

type revealOptions struct {
	recallOptions
	name string
}

// newReveal makes the verb; run is a.reveal, or what a test puts in its place.
func newReveal(a *app, run func(context.Context, *revealOptions) error) *cobra.Command {
	o := &revealOptions{}
	cmd := &cobra.Command{
		Use:               "reveal NAME",
		Short:             "Print one value",
		Long:              revealLong,
		Example:           revealExample,
		Args:              oneName,
		ValidArgsFunction: a.words(recordedNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.complete()
			o.name = strings.TrimPrefix(strings.TrimPrefix(args[0], "secret/"), "secrets/")
			if err := o.validate(*a.connect.Namespace); err != nil {
				return err
			}
			if err := o.checkGeneration(cmd.Flags().Changed("generation")); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	o.addFlags(f)
	f.IntVar(&o.generation, "generation", 0, "this generation instead of the current one")
	return cmd
}

// oneName refuses all but one argument without repeating any.
func oneName(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return withHint(fmt.Errorf("%s takes one name", cmd.CommandPath()), "%s --help", hint.Text(cmd.CommandPath()))
}

// checkGeneration brings the flag and the generation of a full name together.
func (o *revealOptions) checkGeneration(flag bool) error {
	_, named := names.Split(o.name)
	switch {
	case flag && o.generation < 1:
		return errors.New("--generation: the first one is 1")
	case flag && o.from == fromCluster:
		return errors.New("--generation looks into the ledger: leave out --from cluster")
	case flag && named > 1 && named != o.generation:
		return fmt.Errorf("NAME is that of generation %d, --generation says %d", named, o.generation)
	case named > 1 && o.from == fromLedger:
		o.generation = named
	}
	return nil
}

func (o *revealOptions) names(t token.Token) bool {
	base, _ := names.Split(t.Secret)
	asked, generation := names.Split(o.name)
	first := generation == 1 && o.name != asked // BASE-g1 is a bundle's
	return o.name == t.EnvKey || asked == base && (!first || token.Joined(t.Token))
}

func (a *app) reveal(ctx context.Context, o *revealOptions) error {
	o.asked = o.names
	values, _, err := a.recall(ctx, o.recallOptions)
	if err != nil {
		return err
	}
	if len(values) == 0 {
		return withHint(errors.New("nothing of that name was created there"), "kubectl fernet status lists the names")
	}
	if values, err = action.Agreed(values); err != nil {
		return err
	}
	if len(values) > 1 {
		return withHint(fmt.Errorf("%s is a bundle of %s: name one of its entries", o.name, hint.Count(len(values), "entry")), "kubectl fernet reveal %s", values[0].Entry.Name)
	}
	if _, named := names.Split(o.name); named > 1 && named != values[0].Generation {
		return withHint(errors.New("that generation is not the current one in the cluster"), "the ledger may have it: leave out --from cluster")
	}
	value := values[0].Entry.Value.Reveal()
	if isTerminal(a.product) && !strings.HasSuffix(value, "\n") {
		value += "\n" // for the prompt behind it
	}
	_, err = io.WriteString(a.product, value)
	return err
}
