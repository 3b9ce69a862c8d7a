// SPDX-License-Identifier: Apache-2.0

package cli

import "golang.org/x/sys/unix"

// protectMemory keeps plaintext out of core dumps and away from debuggers of
// the same user. Best effort: swap and copies in Go's heap are not covered.
func protectMemory() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}
