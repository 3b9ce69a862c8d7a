// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

const execEnvLong = `Run a local command with the values in its environment.

The command takes this program's place: its signals, its exit code, its terminal.
It does not get FERNET_KEY and FERNET_KEY_PREVIOUS, and nothing is written to the
disk. A variable of an entry's name is replaced if it is set. Entries that were
never pushed are not there: the command can read the rest of the .env itself.`

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
		Short:   "Run a local command with the values as environment",
		Long:    execEnvLong,
		Example: execEnvExample,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.complete()
			if cmd.ArgsLenAtDash() != 0 || len(args) == 0 {
				return withHint(errors.New("no command to run"), "%s -- COMMAND", hint.Text(cmd.CommandPath()))
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
		return notRunnable(o.command[0], err)
	}
	values, _, err := a.recall(ctx, o.recallOptions)
	if err != nil {
		return err
	}
	if values, err = action.Agreed(values); err != nil {
		return err
	}
	var entries []envfile.Entry
	for _, v := range values {
		if strings.ContainsRune(v.Entry.Value.Reveal(), 0) {
			return withHint(fmt.Errorf("%s has a NUL byte, which no environment variable can have", v.Entry.Name), "%s", action.BytesHint(v.Entry.Name, o.asRecall().Flags(o.paths())))
		}
		entries = append(entries, v.Entry)
	}
	a.console.flush()
	a.heard.stop()
	err = replaceProcess(path, o.command, environOf(os.Environ(), entries)) // without the keys: they were taken out at the start
	if errors.Is(err, syscall.E2BIG) {
		largest := slices.MaxFunc(entries, func(a, b envfile.Entry) int { return cmp.Compare(a.Value.Len(), b.Value.Len()) })
		return withHint(fmt.Errorf("%s: the environment is too large for this system; the largest entry is %s with %d bytes", path, largest.Name, largest.Value.Len()),
			"%s", action.BytesHint(largest.Name, o.asRecall().Flags(o.paths())))
	}
	return err
}

const noCommand = "a command of your PATH, or a path with a / in it"

// notRunnable says what LookPath found instead of a command.
func notRunnable(command string, err error) error {
	switch {
	case errors.Is(err, syscall.EISDIR):
		return withHint(fmt.Errorf("%s: it is a directory", command), noCommand)
	case errors.Is(err, fs.ErrPermission):
		return withHint(fmt.Errorf("%s: it is not executable", command), "chmod +x %s", command)
	case errors.Is(err, exec.ErrDot):
		return withHint(fmt.Errorf("%s: your PATH finds it in the current folder alone", command), "%s", "./"+command)
	default:
		return withHint(fmt.Errorf("%s: no such command", command), noCommand)
	}
}

// environOf gives an environment with each entry once: of two variables of one
// name, most programs take the first.
func environOf(environ []string, entries []envfile.Entry) []string {
	set := map[string]bool{}
	for _, e := range entries {
		set[e.Name] = true
	}
	made := slices.DeleteFunc(environ, func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return set[name]
	})
	for _, e := range entries {
		made = append(made, e.Name+"="+e.Value.Reveal())
	}
	return made
}
