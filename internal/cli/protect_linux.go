// SPDX-License-Identifier: Apache-2.0

package cli

import "golang.org/x/sys/unix"

// coreLimit is what protectMemory found.
var coreLimit unix.Rlimit

// protectMemory keeps plaintext out of core dumps and away from debuggers of
// the same user. Best effort: swap and copies in Go's heap are not covered.
// The first call alone rules out a core dump, and ends with this program. The soft
// limit is a second lock; the hard one stays, because nobody but root could raise it
// again for a command that takes our place.
func protectMemory() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	if unix.Getrlimit(unix.RLIMIT_CORE, &coreLimit) == nil {
		_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Max: coreLimit.Max})
	}
}

// releaseMemory gives the limit back to a command that is about to take our place.
func releaseMemory() { _ = unix.Setrlimit(unix.RLIMIT_CORE, &coreLimit) }
