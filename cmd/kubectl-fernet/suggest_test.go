// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// Who presses the tab key does not wait for a credential plugin that does not
// answer; what the ledger knows is there all the same.
func TestCompletionDoesNotWait(t *testing.T) {
	p := newPlace(t, 1)
	if out, err := p.push(testkube.Kubeconfig(t)).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	slow := filepath.Join(p.dir, "kubeconfig")
	write(t, slow, string(read(t, testkube.Kubeconfig(t))))
	for _, args := range [][]string{
		{"set-credentials", "slow", "--exec-command", "sleep", "--exec-arg", "600", "--exec-interactive-mode", "Never", "--exec-api-version", "client.authentication.k8s.io/v1"},
		{"set-context", "--current", "--user", "slow"},
	} {
		kubectl := exec.Command(filepath.Join(testkube.Root(t), "bin", "kubectl"), append([]string{"--kubeconfig", slow, "config"}, args...)...)
		if out, err := kubectl.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kubectl-fernet", "__complete", "verify", "--kubeconfig", slow, "--namespace", "")
	var stdout bytes.Buffer
	cmd.Dir, cmd.Stdout = p.dir, &stdout
	cmd.WaitDelay = time.Second // the plugin that is left behind has our output open
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 0 || !bytes.HasPrefix(stdout.Bytes(), []byte(p.namespace+"\n")) {
		t.Errorf("exit code %d, stdout %q", code, stdout.Bytes())
	}
}
