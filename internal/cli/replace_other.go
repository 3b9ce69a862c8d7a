// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package cli

import (
	"errors"
	"os"
	"os/exec"
)

// replaceProcess runs the command and gives its exit code: here no process can
// take the place of another.
func replaceProcess(path string, command, environ []string) error {
	cmd := exec.Command(path, command[1:]...) // #nosec G204 -- the user's command
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environ, os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return exitCode(ended.ExitCode())
	}
	return err
}
