// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"
)

// Where there is no .env or no key, the first line says where it was looked for, and the hint
// is the command for what is there instead.
func TestNoEnvOrNoKey(t *testing.T) {
	keyFile := "hint: name the file that has the key: --key-file FILE\n"
	for _, c := range []struct{ files, command, want string }{
		{"", "push", "error: .env: no such file\nhint: kubectl fernet init\n"},
		{"", "lint", "error: .env: no such file\nhint: kubectl fernet init\n"},
		{"fernet-ledger.csv", "push", "error: .env: no such file\nhint: kubectl fernet pull recreates it from the ledger, with the key from FERNET_KEY or --key-file\n"},
		{"fernet-ledger.csv", "lint", "error: .env: no such file\nhint: kubectl fernet pull recreates it from the ledger, with the key from FERNET_KEY or --key-file\n"},
		{"a/fernet-ledger.csv", "push --env a/b", "error: a/b: no such file\nhint: kubectl fernet pull --env a/b recreates it from the ledger, with the key from FERNET_KEY or --key-file\n"},
		{".env.local fernet-ledger.csv", "push -n x", "error: .env: no such file\nhint: kubectl fernet push -n x --env .env.local\n"},
		{".env.local .env.example .env~ .env.bak", "lint", "error: .env: no such file\nhint: kubectl fernet lint --env .env.local\n"},
		{".env.a .env.b", "lint", "error: .env: no such file\nhint: kubectl fernet init\n"},
		{"", "push --env -", "error: -: is standard input, and an .env is read more than once\nhint: name a file: --env .env\n"},
		{"", "init --env=", "error: \"\": names no file\nhint: an empty variable? name a file: --env .env\n"},
		{".env", "push", "error: .env: no KEY in it\nhint: kubectl fernet init\n"},
		{".env fernet-ledger.csv", "push", "error: .env: no KEY in it\nhint: the tokens in fernet-ledger.csv have a key already: give it as KEY in .env, as FERNET_KEY or as --key-file FILE\n"},
		{".env k", "push --key-file k", "error: k: no KEY in it\n" + keyFile},
		{".env empty", "push --key-file empty", "error: empty: is empty\n" + keyFile},
		{"", "pull", "error: no key: .env does not exist, and FERNET_KEY is not set\nhint: the key comes from .env, from --key-file or from FERNET_KEY\n"},
	} {
		emptyFolder(t)
		for _, file := range strings.Fields(c.files) {
			put(t, file, map[bool]string{false: "SECRET_A=x\n"}[file == "empty"])
		}
		if code, _, stderr := run(t, strings.Fields(c.command)...); code != 2 || stderr != c.want {
			t.Errorf("%s, %s: exit code %d\n%swant\n%s", c.files, c.command, code, stderr, c.want)
		}
	}
}

// A .env that is named as kubectl's -f or as an argument is told the flag.
func TestEnvAsArgument(t *testing.T) {
	emptyFolder(t)
	put(t, "prod", "SECRET_A=x\n")
	for command, hint := range map[string]string{
		"push .env": "kubectl fernet push --env .env", "push -f .env": "kubectl fernet push --env .env", "push -f.env.local": "kubectl fernet push --env .env.local",
		"diff -f=a/prod.env": "kubectl fernet diff --env a/prod.env", "push prod": "kubectl fernet push --env prod", "push -f prod": "kubectl fernet push --env prod",
		"push -f": "kubectl fernet push --help", "push -f web.yaml": "kubectl fernet push --help", "push web": "kubectl fernet push --help", "keygen .env": "kubectl fernet keygen --help",
	} {
		if code, _, stderr := run(t, strings.Fields(command)...); code != 2 || !strings.HasSuffix(stderr, "\nhint: "+hint+"\n") {
			t.Errorf("%s: exit code %d\n%s", command, code, stderr)
		}
	}
}

// lint tells of a setting that is none.
func TestLintNamesStrangeSettings(t *testing.T) {
	emptyFolder(t)
	put(t, ".env", "FERNET_NAMSPACE=a\nSECRET_A=x\nFERNET_KEY="+testKey+"\nFERNET_WHATEVER=c\n")
	code, stdout, _ := run(t, "lint")
	if want := ".env:1: FERNET_NAMSPACE: no setting of this program; did you mean FERNET_NAMESPACE?\n.env:4: FERNET_WHATEVER: no setting of this program\n"; code != 1 || stdout != want {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
}

// A key file that holds a key and nothing else is that key.
func TestBareKeyFile(t *testing.T) {
	emptyFolder(t)
	put(t, ".env", "SECRET_A=x\n")
	put(t, "data.key", testKey+"\n")
	if code, _, stderr := run(t, "push", "--dry-run=client", "--key-file", "data.key"); code != 0 {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

// In a pod without a kubeconfig the cluster has no name: that is said before anything is planned.
func TestNamelessClusterIsRefused(t *testing.T) {
	emptyFolder(t)
	t.Setenv("KUBERNETES_SERVICE_HOST", "192.0.2.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "443")
	put(t, ".env", "KEY="+testKey+"\nSECRET_A=x\n")
	want := "error: the cluster has no name here: this is a pod without a kubeconfig\nhint: write CLUSTER_NAME=NAME into .env: the ledger knows the cluster by it\n"
	for _, command := range []string{"push", "rotate --yes", "retire --yes"} {
		if code, _, stderr := run(t, append(strings.Fields(command), "--kubeconfig", "")...); code != 2 || !strings.HasSuffix(stderr, want) {
			t.Errorf("%s: exit code %d\n%s", command, code, stderr)
		}
	}
	put(t, ".env", "KEY="+testKey+"\nCLUSTER_NAME=prod\nSECRET_A=x\n")
	if _, _, stderr := run(t, "push", "--kubeconfig", ""); !strings.Contains(stderr, `cluster "prod"`) {
		t.Errorf("with a name:\n%s", stderr)
	}
}
