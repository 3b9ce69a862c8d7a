// SPDX-License-Identifier: Apache-2.0

//go:build unix

package cli

import (
	"fmt"
	"syscall"
)

// replaceProcess makes this process the command; it comes back only with an error.
func replaceProcess(path string, command, environ []string) error {
	releaseMemory()
	err := syscall.Exec(path, command, environ) // #nosec G204 -- the user's command
	return fmt.Errorf("%s: cannot be started: %w", path, err)
}
