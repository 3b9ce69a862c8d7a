// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"errors"
	"os"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

var (
	errNotConfirmed = errors.New("not confirmed; nothing was written") // the answer no
	errNoTerminal   = errors.New("this needs a confirmation, and there is no terminal to ask on; nothing was written")
)

// confirm asks a question on the terminal and takes y or yes for a yes. Where
// there is no terminal to ask, --yes has to stand on the command line.
func (a *app) confirm(ctx context.Context, yes bool, question string) error {
	return a.confirmFor(ctx, yes, question, a.typed+" --yes")
}

// confirmFor is confirm for a verb whose --yes needs more; command is what to type.
func (a *app) confirmFor(ctx context.Context, yes bool, question string, command hint.Text) error {
	if yes {
		return nil
	}
	in, ok := a.In.(*os.File)
	if !ok || !isTerminal(in) {
		return withHint(errNoTerminal, "%s", command)
	}
	a.console.print(question + " [y/N] ")
	answered := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n')
		answered <- line
	}()
	select {
	case <-ctx.Done():
		a.console.print("\n")
		return context.Cause(ctx)
	case line := <-answered:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return nil
		}
		return errNotConfirmed
	}
}
