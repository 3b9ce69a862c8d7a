// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
)

func newKeygen(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "keygen",
		Short: "Print a fresh key",
		Long: `Print a fresh Fernet key: 32 random bytes as 44 characters of URL-safe base64.
Its key id, which is safe to show, goes to stderr.`,
		Example: `  # a key for FERNET_KEY or a key file
  kubectl fernet keygen`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			text, id, err := action.NewKey()
			if err != nil {
				return err
			}
			a.console.note("key id %s", id)
			_, err = fmt.Fprintln(a.product, text)
			return err
		},
	}
}
