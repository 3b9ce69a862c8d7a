// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
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
	run(0, 2, "3 same", "diff")
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

// shared is one control plane as several contexts: "first" and "second" are
// namespaces of it, and nobody answers at "nowhere".
type shared struct {
	place
	kubeconfig string
	namespaces map[string]string
}

func newShared(t *testing.T) shared {
	t.Helper()
	p := newPlace(t, 2)
	s := shared{p, filepath.Join(t.TempDir(), "kubeconfig"), map[string]string{"first": p.namespace, "second": testkube.Namespace(t), "nowhere": p.namespace}}
	config, err := clientcmd.LoadFromFile(testkube.Kubeconfig(t))
	if err != nil {
		t.Fatal(err)
	}
	base := config.Contexts[config.CurrentContext]
	nobody := config.Clusters[base.Cluster].DeepCopy()
	nobody.Server = "https://127.0.0.1:1"
	config.Clusters["nowhere"] = nobody
	for name, namespace := range s.namespaces {
		c := base.DeepCopy()
		if c.Namespace = namespace; name == "nowhere" {
			c.Cluster = name
		}
		config.Contexts[name] = c
	}
	if err := clientcmd.WriteToFile(*config, s.kubeconfig); err != nil {
		t.Fatal(err)
	}
	return s
}

// push runs a push through contexts. It never says that its own process has the lock.
func (s shared) push(contexts string, env ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	cmd := exec.Command("kubectl-fernet", "push", "--contexts", contexts)
	cmd.Dir, cmd.Env = s.dir, append(append(os.Environ(), "KUBECONFIG="+s.kubeconfig), env...)
	code, stdout, stderr = ran(s.t, cmd)
	if own := fmt.Sprintf("held by pid %d", cmd.Process.Pid); strings.Contains(stderr, own) {
		s.t.Errorf("the lock is held by this very process:\n%s", stderr)
	}
	return code, stdout, stderr
}

// in gives the place of one context.
func (s shared) in(context string) place {
	p := s.place
	p.namespace = s.namespaces[context]
	return p
}

// pushed asserts that a push through both contexts creates what is missing, and that
// the next one finds all there.
func (s shared) pushed() {
	s.t.Helper()
	if code, stdout, stderr := s.push("first,second"); code != 0 {
		s.t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := s.push("first,second"); code != 0 || stdout != strings.Repeat("secret/secret-00 unchanged\nsecret/secret-01 unchanged\n", 2) {
		s.t.Errorf("and again: exit code %d\n%s%s", code, stdout, stderr)
	}
	for _, context := range []string{"first", "second"} {
		if n := len(s.in(context).secrets()); n != 2 {
			s.t.Errorf("%s has %d Secrets", context, n)
		}
	}
}

const createdBoth = "secret/secret-00 created\nsecret/secret-01 created\n"

// A first context that nobody answers for does not keep the second from its turn.
func TestSecondContextAfterOneThatIsUnreachable(t *testing.T) {
	s := newShared(t)
	code, stdout, stderr := s.push("nowhere,second")
	if code != 2 || stdout != createdBoth || !strings.Contains(stderr, "connection refused") || strings.Contains(stderr, "held by") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	s.pushed()
}

// A broken ledger is said of each context, and kept by none.
func TestContextsWithABrokenLedger(t *testing.T) {
	s := newShared(t)
	write(t, filepath.Join(s.dir, ledgerName), "broken\n")
	code, stdout, stderr := s.push("first,second")
	if code != 2 || stdout != "" || strings.Count(stderr, "error: fernet-ledger.csv:1: ") != 2 || strings.Contains(stderr, "held by") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if err := os.Remove(filepath.Join(s.dir, ledgerName)); err != nil {
		t.Fatal(err)
	}
	s.pushed()
}

// Where another process has the lock, each context says who.
func TestContextsWithALockedLedger(t *testing.T) {
	s := newShared(t)
	guard, err := ledger.Lock(filepath.Join(s.dir, ledgerName))
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := s.push("first,second")
	held := fmt.Sprintf("error: fernet-ledger.csv: held by pid %d\nhint: wait until it has ended\n", os.Getpid())
	if code != 2 || stdout != "" || strings.Count(stderr, held) != 2 || strings.Count(stderr, "target: context ") != 2 {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if err := guard.Unlock(); err != nil {
		t.Fatal(err)
	}
	s.pushed()
}

// Whichever call of the file system fails in one of two contexts, the other one has
// its turn, and the next run finishes.
func TestContextsOfWhichOneMeetsAFailingFileCall(t *testing.T) {
	most := 0
	for k, more := 1, true; more; k++ {
		t.Run(fmt.Sprintf("file call %d", k), func(t *testing.T) {
			s := newShared(t)
			code, stdout, stderr := s.push("first,second", fmt.Sprintf("%s=%d", failVariable, k))
			more = code != 0
			if turns := strings.Count(stderr, "target: context "); turns != 2 || !strings.Contains(stdout, createdBoth) || strings.Contains(stderr, "held by") {
				t.Errorf("exit code %d, %d turns\n%s%s", code, turns, stdout, stderr)
			}
			if more && strings.Count(stderr, "injected fault") == 0 {
				t.Errorf("exit code %d, of another fault\n%s", code, stderr)
			}
			s.pushed()
			most = k
		})
	}
	if most < 15 {
		t.Errorf("only %d calls", most)
	}
}
