// SPDX-License-Identifier: Apache-2.0

package keyring

import "testing"

func TestNamed(t *testing.T) {
	const key = "8wjBHTr1D9Hn2w2E1wHkUOb0cSgEJVkUIYW6Jk1cP2E="
	for data, want := range map[string]string{
		key: "KEY=" + key + "\n", "\r\n" + key + " \n": "KEY=" + key + "\n", "KEY=" + key: "KEY=" + key, key + "\n" + key: key + "\n" + key, "": "", "a": "a",
	} {
		if got := string(Named([]byte(data))); got != want {
			t.Errorf("%q: %q", data, got)
		}
	}
}
