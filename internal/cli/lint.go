// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

func newLint(a *app) *cobra.Command {
	var env string
	cmd := &cobra.Command{
		Use:   "lint",
		Short: "Check a .env for mistakes and ambiguous values",
		Long: `Check a .env for mistakes and ambiguous values, without a key or a cluster: a
line each with file, line, name and cause, never a value.

Values that other dotenv parsers read differently are among them, because the
application's own parser may be one of those. Exit code 1 when there is something.`,
		Example: `  # what an application's dotenv library may read differently
  kubectl fernet lint --env .env`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			file, _, err := envfile.ReadFile(env)
			if err != nil {
				return action.MissingEnv(env, filepath.Join(filepath.Dir(env), action.DefaultLedger), a.typed, err)
			}
			findings := append(envfile.Lint(file), action.StrangeSettings(file)...)
			slices.SortStableFunc(findings, func(a, b envfile.Finding) int { return a.Line - b.Line })
			for _, f := range findings {
				if _, err := fmt.Fprintln(a.Out, action.Place(redact.Visible(file.Path), f.Line, f.Name)+": "+f.Cause); err != nil {
					return err
				}
			}
			if len(findings) > 0 {
				return errFindings
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&env, "env", action.DefaultEnv, "the .env file")
	return cmd
}
