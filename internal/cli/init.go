// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

func newInit(a *app) *cobra.Command {
	var env string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a .env with a fresh key, or add the key to one",
		Long: `Write a .env with a fresh key, readable by you only. To a .env that has no KEY
yet, what is missing is appended, and every other byte stays; from then on only
its owner can read it. One that has a KEY is left alone. In a git work tree the .env
and the copies that editors make of it are added to .gitignore, and the ledger's
merge rule to .gitattributes.`,
		Example: `  # a .env here
  kubectl fernet init

  # one of another environment, with a key of its own
  kubectl fernet init --env staging/.env`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.init(cmd.Context(), env) },
	}
	cmd.Flags().StringVar(&env, "env", action.DefaultEnv, "the .env file")
	return cmd
}

func (a *app) init(ctx context.Context, env string) error {
	name, known := a.currentContext()
	if !known {
		name = ""
	}
	done, err := action.Init{Env: env, Cluster: name}.Run(a.machine)
	if err != nil {
		return err
	}
	did := "completed"
	if done.Created {
		did = "created"
	}
	a.narrowed(env, done.Opened)
	a.gitWarning(ctx, env)
	_, err = fmt.Fprintf(a.Out, "%s %s with key %s\nnext: put your secrets into it, then: kubectl fernet push --env %s\n", redact.Visible(env), did, done.Key, hint.Word(env))
	return err
}

// narrowed says of a file that was written what its mode has become.
func (a *app) narrowed(path string, was fs.FileMode) {
	if was != 0 {
		a.console.note("%s was open to others (mode %04o); now only its owner can read it (mode %04o)", path, was, was&0o600)
	}
}

func (a *app) currentContext() (name string, ok bool) {
	kubeconfig, err := a.connect.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return "", false
	}
	if name = *a.connect.Context; name == "" {
		name = kubeconfig.CurrentContext
	}
	return name, kubeconfig.Contexts[name] != nil
}

// gitWarning warns where git has, or could get, a file that holds secrets.
func (a *app) gitWarning(ctx context.Context, env string) {
	if text := action.GitWarning(ctx, env); text != "" {
		a.console.warn("%s", text)
	}
}
