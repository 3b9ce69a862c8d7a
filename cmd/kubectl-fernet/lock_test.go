// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

const (
	// failVariable holds, in a command's environment, which of its calls of the file
	// system fails.
	failVariable = "FERNET_TEST_FAIL_CALL"
	// secondVariable holds the command line that the same process runs afterwards: a
	// lock that the first run kept is then held by this very process.
	secondVariable = "FERNET_TEST_SECOND_RUN"
	// firstRun stands on stdout between the two.
	firstRun = "first run: exit code %d, %d file calls\n"
)

// uncollected gives what has to be kept so that the garbage collector does not run:
// it would close a lock file that nobody closed, and nobody would see that.
func uncollected() []byte {
	ballast := make([]byte, 1<<30) // never touched, so it takes no memory
	runtime.GC()
	return ballast
}

// splitRuns gives the exit code of the first run of a process that had two, the
// number of its file calls, if one was to fail, and what the second one said.
func splitRuns(t *testing.T, said string) (code, calls int, second string) {
	t.Helper()
	_, rest, ok := strings.Cut(said, "first run: ")
	line, second, _ := strings.Cut(rest, "\n")
	if _, err := fmt.Sscanf("first run: "+line+"\n", firstRun, &code, &calls); !ok || err != nil {
		t.Fatalf("the first run did not end: %v\n%s", err, said)
	}
	return code, calls, second
}
