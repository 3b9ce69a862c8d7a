// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// Whatever was pushed comes back from the ledger and from the cluster as exactly
// the same entries, in the same order, in a file that pushes as unchanged.
func TestPullRoundTrip(t *testing.T) {
	pieces := []string{"b", " ", "\t", "\n", "\r\n", "#", " #", "'", `"`, "`", `\`, `\n`, "$B", "${B}", "=", "ä", "\u00a0", "\ufeff", "KEY=b", "export ", "\x1b"}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0)) // #nosec G404 -- test input
	p := place{t: t, dir: t.TempDir(), namespace: testkube.Namespace(t)}
	entries := []envfile.Entry{
		{Name: "KEY", Value: envfile.NewValue(testKey)}, {Name: "CLUSTER_NAME", Value: envfile.NewValue("localkube")}, {Name: "FERNET_NAMESPACE", Value: envfile.NewValue(p.namespace)},
	}
	for i := range 300 {
		var value strings.Builder
		for range 1 + random.IntN(8) {
			value.WriteString(pieces[random.IntN(len(pieces))])
		}
		entries = append(entries, envfile.Entry{Name: fmt.Sprintf("SECRET_%d", random.IntN(1000)*1000+i), Value: envfile.NewValue(value.String())})
	}
	text, err := envfile.Format(entries)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(p.dir, ".env"), string(text))
	write(t, filepath.Join(p.dir, "key.env"), "KEY="+testKey+"\n")
	if out, err := p.push(testkube.Kubeconfig(t)).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, from := range []string{"ledger", "cluster"} {
		cmd := exec.Command("kubectl-fernet", "pull", "--from", from, "--key-file", "key.env", "--out", from+".env", "-n", p.namespace)
		cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "KUBECONFIG="+testkube.Kubeconfig(t))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, out)
		}
		file, _, err := envfile.ReadFile(filepath.Join(p.dir, from+".env"))
		if err != nil || len(file.Entries) != len(entries) {
			t.Fatalf("seed %d, from the %s: %v, %d entries", seed, from, err, len(file.Entries))
		}
		for i, e := range file.Entries {
			if e.Name != entries[i].Name || !e.Value.Equal(entries[i].Value) {
				t.Errorf("seed %d, from the %s: entry %d is %s and not %s, or has another value", seed, from, i, e.Name, entries[i].Name)
			}
		}
		out, err := p.push(testkube.Kubeconfig(t), "--env", from+".env").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "\n0 created, 300 unchanged, 0 differ, 0 foreign, 0 failed\n") {
			t.Errorf("seed %d, from the %s: %v\n%s", seed, from, err, out)
		}
	}
}
