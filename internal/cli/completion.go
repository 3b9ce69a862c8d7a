// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

// kubectlComplete is what kubectl runs, under the name kubectl_complete-fernet
// on PATH, to complete the plugin's arguments.
const kubectlComplete = `#!/bin/sh
exec kubectl fernet __complete "$@"
`

func newCompletion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "completion kubectl|bash|zsh|fish",
		Short: "Print a completion script",
		Long: `Print a completion script.

With "kubectl" it is the script that kubectl itself runs to complete
"kubectl fernet …"; put it on PATH as kubectl_complete-fernet. The others complete
"kubectl-fernet" called directly.`,
		Example: `  # complete "kubectl fernet" wherever kubectl's own completion works
  kubectl fernet completion kubectl > ~/.local/bin/kubectl_complete-fernet
  chmod +x ~/.local/bin/kubectl_complete-fernet`,
		ValidArgs: []string{"kubectl", "bash", "zsh", "fish"},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return withHint(fmt.Errorf("completion takes one argument: kubectl, bash, zsh or fish"), "kubectl fernet completion kubectl")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "kubectl":
				_, err := fmt.Fprint(a.product, kubectlComplete)
				return err
			case "bash":
				return root.GenBashCompletionV2(a.product, true)
			case "zsh":
				return root.GenZshCompletion(a.product)
			case "fish":
				return root.GenFishCompletion(a.product, true)
			default:
				return withHint(errors.New("no completion script for that shell"), "one of: %s", hint.List(cmd.ValidArgs))
			}
		},
	}
}
