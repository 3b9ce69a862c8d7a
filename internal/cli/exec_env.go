// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"
)

const execEnvLong = `Run a local command with the secrets in its environment.

The command takes this program's place: its signals, its exit code, its terminal.
It does not get FERNET_KEY and FERNET_KEY_PREVIOUS, and nothing is written to the
disk. Entries that were never pushed are not there: the command can read the rest
of the .env itself.`

const execEnvExample = `  # a local server with the values that the ledger has
  kubectl fernet exec-env -- go run ./server

  # with those of another namespace
  kubectl fernet exec-env --from cluster -n staging -- env`

type execEnvOptions struct {
	recallOptions
	command []string
}

// newExecEnv makes the verb; run is a.execEnv, or what a test puts in its place.
func newExecEnv(a *app, run func(context.Context, *execEnvOptions) error) *cobra.Command {
	o := &execEnvOptions{}
	cmd := &cobra.Command{
		Use:     "exec-env [flags] -- COMMAND [ARG...]",
		Short:   "Run a local command with the secrets in its environment",
		Long:    execEnvLong,
		Example: execEnvExample,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.complete()
			if cmd.ArgsLenAtDash() != 0 || len(args) == 0 {
				return withHint(errors.New("no command to run"), "%s -- COMMAND", cmd.CommandPath())
			}
			o.command = args
			if err := o.validate(*a.connect.Namespace); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (a *app) execEnv(ctx context.Context, o *execEnvOptions) error {
	path, err := exec.LookPath(o.command[0])
	if err != nil {
		return withHint(fmt.Errorf("%s: no such command", o.command[0]), "a command of your PATH, or a path with a / in it")
	}
	values, _, err := a.recall(ctx, o.recallOptions)
	if err != nil {
		return err
	}
	if values, err = agreed(values); err != nil {
		return err
	}
	environ := os.Environ() // without the keys: they were taken out at the start
	for _, v := range values {
		plain := v.entry.Value.Reveal()
		if strings.ContainsRune(plain, 0) {
			return fmt.Errorf("%s has a NUL byte, which no environment variable can have", v.entry.Name)
		}
		environ = append(environ, v.entry.Name+"="+plain)
	}
	a.console.flush()
	return replaceProcess(path, o.command, environ)
}
