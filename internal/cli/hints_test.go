// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"strings"
	"testing"
)

// The hints of what is wrong before any cluster is asked.
func TestHintsWithoutACluster(t *testing.T) {
	const key = "KEY=" + testKey + "\n"
	for _, c := range []struct{ env, command, want string }{
		{"", "retire --ignore A!", "the report names the word to type"},
		{"", "wire --local -f x.yaml --keyring fernet-key", "such as fernet-key-g2"},
		{key + "MY_SECRET_" + testKey + "=x\n", "lint", "take it out of the name: names are shown, and become names in the cluster"},
		{key + otherKey + "\n", "lint", "write KEY= before it; several keys of KEY_PREVIOUS stand on one line, with commas"},
		{key + "SECRET_A=x\nuYGIyY2M0ZDVlNmY3ODk=\n", "lint", "write that value on one line, or put quotes around all of it; if it is a name, put quotes behind its `=`"},
		{key + "SECRET_A=x\n", "push --dry-run=client --ledger folder", "name a file in it: --ledger folder/fernet-ledger.csv"},
		{key + "CLUSTER_NAME=prod\nSECRET_A=x\n", "push --record --dry-run=client --ledger other.csv", "move it away, or name another ledger with --ledger"},
	} {
		emptyFolder(t)
		put(t, ".env", c.env)
		put(t, "other.csv.lock", "of another program\n")
		if err := os.Mkdir("folder", 0o700); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := run(t, strings.Fields(c.command)...)
		if code != 2 || !strings.HasSuffix(stderr, "\nhint: "+c.want+"\n") {
			t.Errorf("%s: exit code %d\n%s", c.command, code, stderr)
		}
	}
}
