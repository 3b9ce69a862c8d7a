// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestSecretsOnTheCommandLineAreRefused(t *testing.T) {
	for _, c := range []struct {
		args string
		at   int // of the secret, from 1; 0 is none
		kind string
	}{
		{testKey, 1, "key"},
		{"push " + testToken, 2, "token"},
		{"push --env x --key-file " + testKey, 5, "key"},
		{"push --key-file=" + testKey, 2, "key"},
		{"push -n=" + testToken, 2, "token"},
		{"push --token " + testKey + " " + testToken, 4, "token"},
		{"push --token=" + testKey + " --key-file=" + testKey, 3, "key"},
		{"push --token-file=" + testToken, 2, "token"},
		{"push --token " + testToken, 0, ""}, // the API server's
		{"push --token=" + testKey, 0, ""},
		{"exec-env -- " + testKey, 3, "key"},  // the command's name is repeated
		{"exec-env -- cmd " + testKey, 0, ""}, // somebody else's argument
		{"push --env .env --match SECRET_* " + testKey[4:], 0, ""},
		{"", 0, ""},
	} {
		err := refuseSecrets(strings.Fields(c.args))
		if c.at == 0 {
			wantError(t, err, "", "")
			continue
		}
		wantError(t, err, fmt.Sprintf("argument %d is a Fernet %s: it is now in your shell's history and was visible in the process list", c.at, c.kind),
			"remove it from the history;")
		if code, _, stderr := run(t, strings.Fields(c.args)...); code != 2 || strings.Contains(stderr, testKey) || strings.Contains(stderr, testToken) {
			t.Errorf("%s: exit code %d, %s", c.args, code, stderr)
		}
	}
}

// TestCommandLineCanBeTyped has a shell read what commandLine writes.
func TestCommandLineCanBeTyped(t *testing.T) {
	args := []string{
		"", " ", "push", "--match=SECRET*", "a b", "it's", "''", `"`, `\`, `\'`, "$HOME", "${x}", "`id`", "$(id)", "!x", "~", "~root", "*", "?[a]",
		"{a,b}", "a;b", "a&b", "a|b", "<a>", "#a", "(a)", "^a", "\t", "a\nb", "\n", "-", "--", "%s", "a=b", "größe", "\u00a0",
	}
	for b := 1; b < 256; b++ {
		args = append(args, "x"+string([]byte{byte(b)})+"y")
	}
	out, err := exec.Command("bash", "-c", `kubectl() { printf '%s\0' "$@"; }; `+string(commandLine(args))).Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if want := append([]string{"fernet"}, args...); !slices.Equal(got, want) {
		t.Errorf("a shell reads %q,\nwant %q", got, want)
	}
	if got := commandLine([]string{"push", "--env=a/.env", "-n", "x", "--match", "*"}); got != "kubectl fernet push --env=a/.env -n x --match '*'" {
		t.Errorf("quoted more than needed: %s", got)
	}
}

func TestFlagErrorsDoNotQuote(t *testing.T) {
	const help = "hint: kubectl fernet push --help\n"
	for args, want := range map[string]string{
		"push --namspace x":             "error: unknown flag --namspace\nhint: did you mean --namespace?\n",
		"push --quite-another x":        "error: unknown flag --quite-another\n" + help,
		"push --parallel " + canary:     "error: --parallel: not a valid int\n" + help,
		"push --update=" + canary:       "error: --update: not a valid bool\n" + help,
		"push --dry-run=" + canary:      "error: --dry-run: not a valid none|client|server\n" + help,
		"push -v " + canary:             "error: --v: not a valid int\n" + help,
		"push --env":                    "error: --env needs a value\n" + help,
		"push --unknown-flag=" + canary: "error: unknown flag --unknown-flag\n" + help,
	} {
		if code, stdout, stderr := run(t, strings.Fields(args)...); code != 2 || stdout != "" || stderr != want {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
}
