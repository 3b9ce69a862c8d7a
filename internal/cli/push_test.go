// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
)

// TestPushIsValidated runs where there is no .env: that it is missing is told
// only after the flags have been accepted.
func TestPushIsValidated(t *testing.T) {
	emptyFolder(t)
	put(t, "file", "")
	for _, link := range []string{"hard", "keys"} {
		if err := os.Link("file", link); err != nil {
			t.Fatal(err)
		}
	}
	const accepted = "error: .env: no such file\nhint: kubectl fernet init\n"
	for args, want := range map[string]string{
		"":                                      accepted,
		"-n a --parallel 1 --match [a-c]*":      accepted,
		"--namespaces a,b --namespaces c --yes": accepted,
		"--dry-run --record -o yaml":            accepted,
		"--dry-run=server --update --allow-empty --ignore-cluster-name": accepted,
		"--ledger file --key-file absent -o jsonpath={.kind}":           "error: .env: no such file\nhint: kubectl fernet pull --ledger file recreates it from the ledger, with the key from FERNET_KEY or --key-file\n",
		"-n a --namespaces b":                              "error: -n and --namespaces exclude each other\n",
		"--parallel 0":                                     "error: --parallel 0: at least one request must be under way\n",
		"--parallel -1":                                    "error: --parallel -1: at least one request must be under way\n",
		"--record":                                         "error: --record goes with --dry-run=client\n",
		"--record --dry-run=none":                          "error: --record goes with --dry-run=client\n",
		"--record --dry-run=server":                        "error: --record goes with --dry-run=client\n",
		"--namespaces a,b,a":                               "error: --namespaces names \"a\" twice\n",
		"--namespaces b --namespaces a,b":                  "error: --namespaces names \"b\" twice\n",
		"-o wide":                                          "error: -o: no such output format\nhint: -o name, yaml, json, jsonpath=… or go-template=…\n",
		"--match OK --match x[":                            "error: --match: \"x[\" is no valid pattern\n",
		"--ledger ./x/../.env":                             "error: --env and --ledger are the same file: .env\n",
		"--env file --ledger hard":                         "error: --env and --ledger are the same file: file\n",
		"--key-file keys --ledger hard":                    "error: --key-file and --ledger are the same file: keys\n",
		"--env x/fernet-ledger.csv":                        "error: --env and --ledger are the same file: x/fernet-ledger.csv\n",
		"--env x/.env --key-file x/a/../fernet-ledger.csv": "error: --key-file and --ledger are the same file: x/a/../fernet-ledger.csv\n",
	} {
		code, stdout, stderr := run(t, append([]string{"push"}, strings.Fields(args)...)...)
		if code != 2 || stdout != "" || stderr != want {
			t.Errorf("push %s: exit code %d, stdout %q, stderr\n%swant\n%s", args, code, stdout, stderr, want)
		}
	}
}

// TestPushFlags shows, as far as a run without a cluster can, that each flag
// does what it says.
func TestPushFlags(t *testing.T) {
	const source = "SECRET_A=canary-1\nSECRET_E=\nOTHER=canary-2\n"
	config := kubeconfig("*dev=local prod=shared")
	for _, c := range []struct {
		args   string
		stdout string // without " created (dry run)"
		stderr string // a part of it
		ledger string // the file that there is afterwards
	}{
		{"", "", "error: .env:3: SECRET_E has no value", ""},
		{"--allow-empty", "secret/secret-a secret/secret-e", `target: context "dev", cluster "local", namespace "of-dev"`, ""},
		{"--match OTHER --match *_A", "secret/secret-a secret/other", "2 created", ""},
		{"--match *_A -n x", "secret/secret-a", `namespace "x"`, ""},
		{"--match *_A --namespaces x,y --namespaces z", "secret/secret-a in x secret/secret-a in y secret/secret-a in z", `namespaces "x", "y", "z"`, ""},
		{"--match *_A --context prod", "secret/secret-a", `target: context "prod", cluster "shared"`, ""},
		{"--match *_A --env named.env --context dev", "", "error: --context dev is cluster", ""},
		{"--match *_A --env named.env", "secret/secret-a", `target: context "prod", cluster "prod"`, ""},
		{"--match *_A --env named.env --ignore-cluster-name", "secret/secret-a", `target: context "dev", cluster "local"`, ""},
		{"--match *_A --env named.env --ignore-cluster-name --yes", "secret/secret-a", "1 created", ""},
		{"--match *_A --env keyless.env", "", "error: keyless.env: no KEY in it", ""},
		{"--match *_A --env keyless.env --key-file x/key", "secret/secret-a", "1 created", ""},
		{"--match *_A -o name", "secret/secret-a", "1 created", ""},
		{"--match *_A --record", "secret/secret-a", "1 created", "fernet-ledger.csv"},
		{"--match *_A --record --env x/.env", "secret/secret-a", "1 created", "x/fernet-ledger.csv"},
		{"--match *_A --record --env x/.env --ledger y.csv", "secret/secret-a", "1 created", "y.csv"},
	} {
		emptyFolder(t)
		if err := clientcmd.WriteToFile(config, "config"); err != nil {
			t.Fatal(err)
		}
		t.Setenv("KUBECONFIG", "config")
		put(t, ".env", "KEY="+testKey+"\n"+source)
		put(t, "x/.env", "KEY="+testKey+"\n"+source)
		put(t, "x/key", "KEY="+testKey)
		put(t, "keyless.env", source)
		put(t, "named.env", "KEY="+testKey+"\nCLUSTER_NAME=prod\n"+source)
		_, stdout, stderr := run(t, strings.Fields("push --dry-run=client "+c.args)...)
		if got := strings.Join(strings.Fields(strings.NewReplacer(" created", "", " (dry run)", "").Replace(stdout)), " "); got != c.stdout {
			t.Errorf("%s: stdout %q, want %q\n%s", c.args, got, c.stdout, stderr)
		}
		if !strings.Contains(stderr, c.stderr) || strings.Contains(stderr, "canary") {
			t.Errorf("%s: stderr %q", c.args, stderr)
		}
		for _, path := range []string{"fernet-ledger.csv", "x/fernet-ledger.csv", "y.csv"} {
			if _, err := os.Stat(path); (err == nil) != (path == c.ledger) {
				t.Errorf("%s: %s: %v", c.args, path, err)
			}
		}
	}
}

// confirmRows adds a created row to each planned one, as a push with a cluster does.
func confirmRows(t *testing.T) {
	t.Helper()
	rows, _, err := ledger.Parse(action.DefaultLedger, []byte(get(t, action.DefaultLedger)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		rows[i].State, rows[i].UID = ledger.Created, fmt.Sprintf("%08x-1111-4222-8333-000000000001", i)
	}
	appendRows(t, action.DefaultLedger, rows...)
}

// TestPushUpdate changes a value between two runs.
func TestPushUpdate(t *testing.T) {
	emptyFolder(t)
	put(t, ".env", "KEY="+testKey+"\nCLUSTER_NAME=c\nSECRET_A=canary-1\n")
	dry := []string{"push", "--dry-run=client", "-n", "x"}
	if code, _, stderr := run(t, append(dry, "--record")...); code != 0 {
		t.Fatal(stderr)
	}
	if code, stdout, _ := run(t, dry...); code != 0 || stdout != "secret/secret-a created (dry run)\n" {
		t.Errorf("the same: exit code %d, %q", code, stdout)
	}
	put(t, ".env", "KEY="+testKey+"\nCLUSTER_NAME=c\nSECRET_A=canary-2\n")
	confirmRows(t)
	for _, c := range []struct {
		flag, stdout string
		code         int
	}{
		{"--yes", "secret/secret-a differs (dry run)\n", 1},
		{"--update", "secret/secret-a-g2 created (dry run)\n", 0},
	} {
		code, stdout, stderr := run(t, append(dry, c.flag)...)
		if code != c.code || stdout != c.stdout {
			t.Errorf("%s: exit code %d, %q\n%s", c.flag, code, stdout, stderr)
		}
		if hint := "hint: kubectl fernet push --dry-run=client -n x --yes --update\n"; c.code == 1 && !strings.Contains(stderr, hint) {
			t.Errorf("%s: stderr %q", c.flag, stderr)
		}
	}
}
