// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os/exec"
	"strings"
	"testing"
)

// What the command line holds is never repeated where it may be a secret.
func TestNothingSecretIsRepeated(t *testing.T) {
	for args, secret := range map[string]string{
		"push --dry-run=client -n" + testKey:      testKey,
		"push --dry-run=client -s" + testToken:    testToken,
		"push --dry-run=client --token " + canary: canary,
		"push --dry-run=client --token=" + canary: canary,
		"push --=" + canary:                       canary,
	} {
		emptyFolder(t)
		put(t, ".env", "KEY="+testKey+"\nCLUSTER_NAME=c\nOTHER=x\n")
		_, _, stderr := run(t, strings.Fields(args)...)
		if strings.Contains(stderr, secret) {
			t.Errorf("%s:\n%s", args, stderr)
		}
	}
}

func TestSecretsInOtherFormsAreRefused(t *testing.T) {
	for _, arg := range []string{"-n" + testKey, "KEY=" + testKey, "SECRET_A=" + testToken, "--match=KEY=" + testKey} {
		if refuseSecrets([]string{"push", arg}) == nil {
			t.Errorf("%.12s… passes", arg)
		}
	}
}

func TestFlagsThatWereMisread(t *testing.T) {
	emptyFolder(t)
	put(t, ".env", "KEY="+testKey+"\nCLUSTER_NAME=c\nSECRET_A=x\n")
	if _, stdout, _ := run(t, "push", "--dry-run=client", "-o", "JSON"); !strings.Contains(stdout, "List") {
		t.Error("-o JSON is no List")
	}
	if _, stdout, _ := run(t, "push", "--dry-run=client", "--template={{.kind}}"); stdout != "Secret" {
		t.Errorf("--template: %q", stdout)
	}
	if _, _, stderr := run(t, "push", "-x"); strings.Contains(stderr, "--x") {
		t.Error(stderr)
	}
	if _, _, stderr := run(t, "push", "-n", "x"); strings.Contains(stderr, "localhost:8080") {
		t.Error(stderr)
	}
	put(t, "a b/.env", "KEY="+testKey)
	_, _, stderr := run(t, "init", "--env", "a b/.env")
	if _, way, found := strings.Cut(strings.TrimSpace(stderr), "hint: "); !found || exec.Command("sh", "-c", "kubectl() { test $# = 4; }; "+way).Run() != nil {
		t.Error(way)
	}
}
