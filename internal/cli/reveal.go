// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
)

const revealLong = `Print one plaintext, exactly as it is, without a line end.

NAME is the name of an entry or of its Secret. The current generation is shown;
--generation shows another one that the ledger has.`

const revealExample = `  # the value that applications get now
  kubectl fernet reveal SECRET_A

  # the one before it
  kubectl fernet reveal SECRET_A --generation 1 | xxd`

type revealOptions struct {
	recallOptions
	name       string
	generation int
}

// newReveal makes the verb; run is a.reveal, or what a test puts in its place.
func newReveal(a *app, run func(context.Context, *revealOptions) error) *cobra.Command {
	o := &revealOptions{}
	cmd := &cobra.Command{
		Use:               "reveal NAME",
		Short:             "Print one plaintext",
		Long:              revealLong,
		Example:           revealExample,
		Args:              oneName,
		ValidArgsFunction: a.words(recordedNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.complete()
			o.name = args[0]
			if err := o.validate(*a.connect.Namespace); err != nil {
				return err
			}
			if o.generation > 0 && o.from == fromCluster {
				return errors.New("--generation looks into the ledger: leave out --from cluster")
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
	return withHint(fmt.Errorf("%s takes one name", cmd.CommandPath()), "%s --help", cmd.CommandPath())
}

func (o *revealOptions) names(t plan.Token) bool {
	base, _ := manifest.SplitName(t.Secret)
	return o.name == t.EnvKey || o.name == base || o.name == t.Secret
}

func (a *app) reveal(ctx context.Context, o *revealOptions) error {
	if o.generation > 0 {
		return a.revealOlder(o)
	}
	values, _, err := a.recall(ctx, o.recallOptions)
	if err != nil {
		return err
	}
	values = slices.DeleteFunc(values, func(v value) bool { return !o.names(v.Token) })
	return a.revealOne(values)
}

// revealOlder opens one generation of the ledger, deleted ones too.
func (a *app) revealOlder(o *revealOptions) error {
	s, err := a.loadKeys(o.sourceOptions)
	if err != nil {
		return err
	}
	rows, err := ledger.Read(a.files, o.ledger)
	if err != nil {
		return err
	}
	door := seal.New(s.ring, nil)
	var values []value
	for _, r := range ledger.Fold(rows) {
		wrongPlace := o.fromCluster != "" && r.Cluster != o.fromCluster || *a.connect.Namespace != "" && r.Namespace != *a.connect.Namespace
		if wrongPlace || r.Generation != o.generation || !o.names(plan.TokenOf(r)) || r.State != ledger.Created && r.State != ledger.Deleted {
			continue
		}
		v := value{Recalled: plan.Recalled{Cluster: r.Cluster, Generation: r.Generation, Token: plan.TokenOf(r)}}
		v.entry.Name = r.EnvKey
		if v.entry.Value, err = door.Open(v.Token); err != nil {
			return err
		}
		values = append(values, v)
	}
	return a.revealOne(values)
}

func (a *app) revealOne(values []value) error {
	if len(values) == 0 {
		return withHint(errors.New("nothing of that name was created there"), "kubectl fernet status lists the names")
	}
	values, err := agreed(values)
	if err != nil {
		return err
	}
	_, err = io.WriteString(a.Out, values[0].entry.Value.Reveal())
	return err
}
