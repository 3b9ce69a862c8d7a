// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"
)

// Every verb that reads a .env or a key file refuses a line that is a secret, before
// it says anything else, and shows nothing of it.
func TestEveryVerbRefusesASecretForAName(t *testing.T) {
	bare := strings.TrimSuffix(otherKey, "=")
	for name, text := range map[string]string{
		"a bare key":           otherKey + "\n",
		"a bare key, twice":    otherKey + "\n" + otherKey + "\n",
		"a key in a name":      "KEY=" + testKey + "\nMY_SECRET_" + otherKey + "\nSECRET_A=changeme\n",
		"KEY_PREVIOUS wrapped": "KEY=" + testKey + "\nKEY_PREVIOUS=" + testKey + ",\n" + otherKey + "\n",
		"wrapped base64":       "KEY=" + testKey + "\nSECRET_A=" + bare + bare[:21] + "\n" + bare[:22] + "==\n",
	} {
		for _, verb := range []string{
			"push --match *", "rotate --yes", "rollout", "wire deployment/web", "retire --yes", "status", "diff", "verify", "pull --out x", "reveal SECRET_A", "exec-env -- true",
			"restore", "adopt secret-a", "lint", "init", "push --key-file .env --env other.env", "lint --env .env",
		} {
			if name == "a bare key" && strings.Contains(verb, "--key-file") {
				continue // which is what a key file may be
			}
			emptyFolder(t)
			put(t, ".env", text)
			put(t, "other.env", "SECRET_A=changeme\n")
			put(t, "fernet-ledger.csv", "")
			code, stdout, stderr := run(t, strings.Fields(verb)...)
			if code != 2 || stdout != "" || !strings.HasPrefix(stderr, "error: .env:") {
				t.Errorf("%s, %s: exit code %d\n%s%s", name, verb, code, stdout, stderr)
			}
			for i := 0; i+5 <= len(bare); i++ {
				if strings.Contains(stdout+stderr, bare[i:i+5]) {
					t.Errorf("%s, %s: shows part of it:\n%s%s", name, verb, stdout, stderr)
					break
				}
			}
		}
	}
}
