// SPDX-License-Identifier: Apache-2.0

package testkube

import (
	"os"
	"strconv"
	"testing"
)

// Seeds gives the first and the last seed of a test that plays at random, 1 to n:
// FERNET_TEST_SEEDS takes another number of them, FERNET_TEST_SEED that one alone.
func Seeds(t testing.TB, n uint64) (first, last uint64) {
	t.Helper()
	number := func(name string) (value uint64, set bool) {
		text := os.Getenv(name)
		if text == "" {
			return 0, false
		}
		value, err := strconv.ParseUint(text, 10, 64)
		if err != nil || value == 0 {
			t.Fatalf("%s=%q is not a number above 0", name, text)
		}
		return value, true
	}
	if one, set := number("FERNET_TEST_SEED"); set {
		return one, one
	}
	if many, set := number("FERNET_TEST_SEEDS"); set {
		n = many
	}
	return 1, n
}
