// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"testing"

	"golang.org/x/sys/unix"
)

// No core dump of ours, and the limits as they were for a command that takes our place.
func TestProtectMemory(t *testing.T) {
	limit := func() (l unix.Rlimit) {
		t.Helper()
		if err := unix.Getrlimit(unix.RLIMIT_CORE, &l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	before := limit()
	t.Cleanup(func() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) })
	raised := unix.Rlimit{Cur: before.Max, Max: before.Max}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &raised); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_CORE, &before) })
	protectMemory()
	if got := limit(); got.Cur != 0 || got.Max != raised.Max {
		t.Errorf("protected: %+v, was %+v", got, raised)
	}
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); dumpable != 0 || err != nil {
		t.Errorf("dumpable: %d, %v", dumpable, err)
	}
	releaseMemory()
	if got := limit(); got != raised {
		t.Errorf("released: %+v, was %+v", got, raised)
	}
}
