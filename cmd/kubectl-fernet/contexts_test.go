// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// One .env on two clusters that share nothing: each has its own tokens and its
// own rows, and when one is gone, the other one is served all the same.
func TestTwoClusters(t *testing.T) {
	p := newPlace(t, 3)
	elsewhere, stop := secondControlPlane(t, p.namespace)
	kubeconfigs := testkube.Kubeconfig(t) + string(filepath.ListSeparator) + elsewhere
	run := func(code, times int, want, verb string) {
		t.Helper()
		cmd := exec.Command("kubectl-fernet", verb, "-n", p.namespace, "--contexts", "localkube,elsewhere")
		cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "KUBECONFIG="+kubeconfigs)
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != code || strings.Count(string(out), want) != times {
			t.Errorf("%s: exit code %d, want %d, and %q %d times:\n%s", verb, cmd.ProcessState.ExitCode(), code, want, times, out)
		}
	}
	run(0, 2, "3 created, 0 unchanged", "push")
	run(0, 2, "0 created, 3 unchanged", "push")
	run(0, 2, "secret/secret-00 same", "diff")
	run(0, 2, "0 errors, 0 warnings", "verify")
	run(0, 2, "secret-00 ", "status")

	records, tokens := ledgerRecords(t, p.dir), map[string]string{}
	for name, kubeconfig := range map[string]string{"localkube": testkube.Kubeconfig(t), "elsewhere": elsewhere} {
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		s, err := corev1client.NewForConfigOrDie(config).Secrets(p.namespace).Get(t.Context(), "secret-00", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range s.Data {
			tokens[name] = string(token)
		}
		for _, r := range records {
			if r.Cluster == name && r.Secret == "secret-00" && (r.Token != tokens[name] || r.State != ledger.Created || r.UIDs()[0] != string(s.UID)) {
				t.Errorf("%s: the ledger says %v of what the cluster has", name, r.State)
			}
		}
	}
	if tokens["localkube"] == tokens["elsewhere"] || len(records) != 6 {
		t.Errorf("%d records, tokens the same: %v", len(records), tokens["localkube"] == tokens["elsewhere"])
	}

	stop()
	env := filepath.Join(p.dir, ".env")
	write(t, env, string(read(t, env))+"SECRET_NEW=1\n")
	run(2, 1, "secret/secret-new created", "push")
}
