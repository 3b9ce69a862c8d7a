// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

const (
	// failVariable holds, in a command's environment, which of its calls of the file
	// system fails.
	failVariable = "FERNET_TEST_FAIL_CALL"
	// secondVariable holds the command line that the same process runs afterwards: a
	// lock that the first run kept is then held by this very process.
	secondVariable = "FERNET_TEST_SECOND_RUN"
	// firstRun stands on stdout between the two.
	firstRun = "first run: exit code %d, %d file calls\n"
)

// uncollected gives what has to be kept so that the garbage collector does not run:
// it would close a lock file that nobody closed, and nobody would see that.
func uncollected() []byte {
	ballast := make([]byte, 1<<30) // never touched, so it takes no memory
	runtime.GC()
	return ballast
}

// splitRuns gives the exit code of the first run of a process that had two, the
// number of its file calls, if one was to fail, and what the second one said.
func splitRuns(t *testing.T, said string) (code, calls int, second string) {
	t.Helper()
	_, rest, ok := strings.Cut(said, "first run: ")
	line, second, _ := strings.Cut(rest, "\n")
	if _, err := fmt.Sscanf("first run: "+line+"\n", firstRun, &code, &calls); !ok || err != nil {
		t.Fatalf("the first run did not end: %v\n%s", err, said)
	}
	return code, calls, second
}

// lockPlace has a rotated place with something to do for each verb that takes the
// lock, and files that break each step of its start.
type lockPlace struct {
	rotatedPlace
	proxy *faultproxy.Proxy
	files string // the folder of the kubeconfigs
}

func newLockPlace(t *testing.T) lockPlace {
	t.Helper()
	p := lockPlace{newRotatedPlace(t, 3), startProxy(t), t.TempDir()}
	p.kubectl("", "delete", "secret", "secret-01")                         // for restore
	row := sealedRow(t, nextKey, p.namespace, "SECRET_09", "canary-found") // for adopt
	p.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: row.Secret}, Data: map[string][]byte{row.EnvKey: []byte(row.Token)}})
	p.kubectl(web("web", "secret-00"), "create", "-f", "-") // for rollout
	p.kubectl("", "scale", "deployment", "web", "--replicas", "0")

	env := string(read(t, filepath.Join(p.dir, ".env")))
	for name, text := range map[string]string{
		"more.env":   env + "SECRET_NEW=1\n", // for push
		"bad.env":    env + "this is no line\n",
		"other.env":  strings.Replace(strings.Replace(env, nextKey, otherKey, 1), "KEY_PREVIOUS="+testKey+"\n", "", 1),
		"named.env":  env + "CLUSTER_NAME=elsewhere\n",
		"broken.csv": "broken\n",
	} {
		write(t, filepath.Join(p.dir, name), text)
	}
	config := string(read(t, testkube.Kubeconfig(t)))
	server := regexp.MustCompile(`server: .*`)
	write(t, filepath.Join(p.files, "nowhere"), server.ReplaceAllString(config, "server: https://127.0.0.1:1"))
	nobody := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}}
	write(t, filepath.Join(p.files, "limited"), string(read(t, testkube.User(t, p.namespace, "nobody-"+p.namespace, nobody))))
	write(t, filepath.Join(p.files, "refusing"), string(read(t, proxyKubeconfig(t, p.proxy))))
	p.proxy.Reset(faultproxy.Writes(faultproxy.Status(403, nil, nil)))
	write(t, filepath.Join(p.files, "refusing-all"), string(read(t, proxyKubeconfig(t, p.refusingAll()))))
	return p
}

// otherKey has made none of the tokens.
const otherKey = "u0aFh9o7n1tq0H9Bz2h6uI3m8aS5v0mYp4y1Wc7dR2Q="

// refusingAll refuses what would write, and the dry runs before it too.
func (p lockPlace) refusingAll() *faultproxy.Proxy {
	proxy := startProxy(p.t)
	proxy.Reset(func(r faultproxy.Request) faultproxy.Action {
		if r.Method == http.MethodGet {
			return nil
		}
		return faultproxy.Status(403, nil, nil)
	})
	return proxy
}

var lockVerbs = map[string]string{
	"push":    "push --env more.env",
	"restore": "restore",
	"adopt":   "adopt secret-09",
	"rotate":  "rotate --new-key --yes",
	"rollout": "rollout --yes --workload-timeout 1m --apps-have-key " + nextKeyID,
	"retire":  "retire --skip-cluster-check --yes",
	"pull":    "pull --from cluster --force --yes",
}

// startFaults are flags that make one step fail, with what is then said, and the
// verbs that this is no fault for.
var startFaults = []struct {
	name, flags, says string
	not               string
}{
	{"bad .env", "--env bad.env", "bad.env:6: ", ""},
	{"wrong key", "--env other.env", "", "rollout retire"}, // which find nothing of theirs,
	{"wrong CLUSTER_NAME", "--env named.env", `CLUSTER_NAME "elsewhere" is no context and no cluster`, ""},
	{"broken ledger", "--ledger broken.csv", "broken.csv:1: ", ""},
	{"unreachable server", "--kubeconfig FILES/nowhere", "connection refused", ""},
	{"no rights", "--kubeconfig FILES/limited", "cannot ", ""},
	{"refused dry run", "--kubeconfig FILES/refusing-all", "the API server answered HTTP 403", "pull"},
	{"refused write", "--kubeconfig FILES/refusing", "the API server answered HTTP 403", "pull"},
}

// After every error of each verb that takes the lock, the same process can take it. The
// name is short: the folders of a test are called like it, and a path of 43 such characters
// can be taken for a key.
func TestLockIsFree(t *testing.T) {
	for name, verb := range lockVerbs {
		t.Run(name, func(t *testing.T) {
			p := newLockPlace(t)
			for _, fault := range startFaults {
				if strings.Contains(fault.not, name) {
					continue
				}
				t.Run(fault.name, func(t *testing.T) {
					flags := strings.ReplaceAll(fault.flags, "FILES", p.files)
					p.lockIsFreeAfter(t, strings.Fields(verb+" "+flags), fault.says)
				})
			}
		})
	}
}

// lockIsFreeAfter runs a verb that fails, and then a push with the same ledger.
func (p lockPlace) lockIsFreeAfter(t *testing.T, args []string, says string) {
	t.Helper()
	second, want := "push -n "+p.namespace, 0
	if args[len(args)-1] == "broken.csv" {
		second, want = second+" --ledger broken.csv", 2
	}
	cmd := p.command(testkube.Kubeconfig(t), args...)
	cmd.Env = append(cmd.Env, secondVariable+"="+second)
	said, err := cmd.CombinedOutput()
	first, _, out := splitRuns(t, string(said))
	if first == 0 || !strings.Contains(string(said), says) {
		t.Errorf("exit code %d, without an error that says %q\n%s", first, says, said)
	}
	if code := exitCode(t, err); code != want || strings.Contains(out, "held by") {
		t.Errorf("the second run: exit code %d, want %d\n%s", code, want, said)
	}
}
