// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

const testKey = "8wjBHTr1D9Hn2w2E1wHkUOb0cSgEJVkUIYW6Jk1cP2E="

// place is a folder with an .env, and the namespace it is pushed to.
type place struct {
	t         *testing.T
	dir       string
	namespace string
	values    map[string]string
	bundle    bool // all entries go into one Secret
}

// bundleBase is the base name of the bundle in a place that has one.
const bundleBase = "web"

// whole gives the token in a Secret, or the tokens of a bundle as the ledger has them.
func whole(s corev1.Secret) string {
	var entries []token.Entry
	for name, data := range s.Data {
		entries = append(entries, token.Entry{Name: name, Token: string(data)})
	}
	if !strings.HasPrefix(s.Name, bundleBase+"-g") && len(entries) == 1 {
		return entries[0].Token
	}
	return token.Join(entries)
}

// bundled puts the entries of a place into a bundle.
func (p place) bundled() place {
	p.t.Helper()
	p.bundle = true
	env := filepath.Join(p.dir, ".env")
	write(p.t, env, string(read(p.t, env))+"FERNET_BUNDLE="+bundleBase+"\n")
	return p
}

func newPlace(t *testing.T, entries int) place {
	t.Helper()
	p := place{t: t, dir: t.TempDir(), namespace: testkube.Namespace(t), values: map[string]string{}}
	env := "KEY=" + testKey + "\n"
	for i := range entries {
		name, value := fmt.Sprintf("SECRET_%02d", i), fmt.Sprintf("canary-%d-%d", i, rand.Uint64())
		p.values[name] = value
		env += name + "=" + value + "\n"
	}
	if err := os.WriteFile(filepath.Join(p.dir, ".env"), []byte(env), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// set puts settings into the .env.
func (p place) set(settings string) {
	p.t.Helper()
	env := filepath.Join(p.dir, ".env")
	write(p.t, env, settings+string(read(p.t, env)))
}

func (p place) push(kubeconfig string, flags ...string) *exec.Cmd {
	cmd := exec.Command("kubectl-fernet", append([]string{"push", "-n", p.namespace}, flags...)...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	return cmd
}

func (p place) secrets() []corev1.Secret {
	p.t.Helper()
	list, err := corev1client.NewForConfigOrDie(testkube.RESTConfig(p.t)).Secrets(p.namespace).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	return list.Items
}

// checkWhole asserts what a finished push means: each entry exists once and
// opens to its value, each Secret has a created row with its uid and its bytes,
// and no created row is without its Secret.
func (p place) checkWhole() {
	p.t.Helper()
	keys, err := decrypt.ParseKeys(testKey)
	if err != nil {
		p.t.Fatal(err)
	}
	created := map[string]ledger.Record{}
	for _, r := range ledgerRecords(p.t, p.dir) {
		if r.State == ledger.Created {
			created[r.Secret] = r
		}
	}
	secrets, tokens := p.secrets(), 0
	if len(secrets) != len(created) || p.bundle && len(secrets) != 1 {
		p.t.Errorf("%d Secrets and %d created records for %d entries", len(secrets), len(created), len(p.values))
	}
	for _, s := range secrets {
		record := created[s.Name]
		for entry, text := range s.Data {
			tokens++
			if plain, err := keys.Open(text); err != nil || string(plain) != p.values[entry] {
				p.t.Errorf("Secret %s does not hold what the .env says of %s: %v", s.Name, entry, err)
			}
		}
		if uids := record.UIDs(); record.Token != whole(s) || len(uids) != 1 || uids[0] != string(s.UID) {
			p.t.Errorf("Secret %s does not hold what the ledger says, or has uid %s, and the ledger %v", s.Name, s.UID, uids)
		}
	}
	if tokens != len(p.values) {
		p.t.Errorf("%d tokens for %d entries", tokens, len(p.values))
	}
}

// A push that is killed anywhere is finished by the next one.
func TestKilledPushIsFinishedByTheNext(t *testing.T) {
	const entries, wanted, tries = 12, 20, 80
	seed := uint64(time.Now().UnixNano()) // #nosec G115 -- any bits will do
	if text := os.Getenv("FERNET_TEST_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	random := rand.New(rand.NewPCG(seed, 0))
	proxy := startProxy(t)
	counted := 0
	for try := 0; try < tries && counted < wanted; try++ {
		k, after := 1+random.IntN(entries), random.IntN(2) == 1
		p := newPlace(t, entries)
		if !p.pushUntilKilled(proxy, k, after) {
			continue
		}
		if n := len(p.secrets()); n < 1 || n > entries-1 {
			continue
		}
		counted++
		out, err := p.push(testkube.Kubeconfig(t)).CombinedOutput()
		if err != nil {
			t.Errorf("seed %d, killed at write %d: the next push: %v\n%s", seed, k, err, out)
		}
		p.checkWhole()
		if bytes.Contains(out, []byte("foreign\n")) || !bytes.Contains(out, []byte(" 0 foreign, 0 failed")) {
			t.Errorf("seed %d, killed at write %d:\n%s", seed, k, out)
		}
	}
	t.Logf("%d pushes killed with some of %d Secrets written; FERNET_TEST_SEED=%d", counted, entries, seed)
	if counted < wanted {
		t.Errorf("only %d of %d cases were killed half-way", counted, wanted)
	}
}

func startProxy(t *testing.T) *faultproxy.Proxy {
	t.Helper()
	proxy, err := faultproxy.Start(t.Context(), testkube.RESTConfig(t), faultproxy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	return proxy
}

func proxyKubeconfig(t *testing.T, proxy *faultproxy.Proxy) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := proxy.Kubeconfig(file, "localkube", "localkube"); err != nil {
		t.Fatal(err)
	}
	return file
}

// pushUntilKilled says whether the push died of SIGKILL at its k-th write.
func (p place) pushUntilKilled(proxy *faultproxy.Proxy, k int, after bool) bool {
	p.t.Helper()
	var pid atomic.Int64
	action := faultproxy.KillBefore(func() int { return int(pid.Load()) })
	if after {
		action = faultproxy.KillAfter(func() int { return int(pid.Load()) })
	}
	proxy.Reset(faultproxy.Nth(k, faultproxy.Writes(action)))
	cmd := p.push(proxyKubeconfig(p.t, proxy), "--parallel", "3")
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	pid.Store(int64(cmd.Process.Pid))
	err := cmd.Wait()
	settle(p.t, proxy)
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// A doubtful write is looked at, not believed.
func TestDoubtfulWrites(t *testing.T) {
	for _, tc := range []struct {
		name   string
		rule   func() faultproxy.Rule
		code   int
		stdout string // of the entry that met the fault
	}{
		{"reply lost", func() faultproxy.Rule { return faultproxy.Nth(1, faultproxy.Writes(faultproxy.DropReply())) }, 0, "created"},
		{"reset before it arrived", func() faultproxy.Rule {
			return faultproxy.Nth(1, faultproxy.Writes(faultproxy.ResetBefore()))
		}, 2, "failed"},
		{"503 with Retry-After after success: client-go sends again", func() faultproxy.Rule {
			return faultproxy.Nth(1, faultproxy.Writes(faultproxy.StatusAfter(503, faultproxy.RetryAfter(1))))
		}, 0, "created"},
		{"504 after success", func() faultproxy.Rule { return faultproxy.Nth(1, faultproxy.Writes(faultproxy.StatusAfter(504, nil))) }, 0, "created"},
		{"504 that lands later", func() faultproxy.Rule { return faultproxy.Nth(1, faultproxy.Writes(faultproxy.LandLater(time.Second))) }, 2, "failed"},
		{"403 after success, as at a full quota", func() faultproxy.Rule {
			return faultproxy.Nth(1, faultproxy.Writes(faultproxy.StatusAfter(403, nil)))
		}, 0, "created"},
		{"500", func() faultproxy.Rule { return faultproxy.Nth(1, faultproxy.Writes(faultproxy.Status(500, nil, nil))) }, 2, "failed"},
		{"422", func() faultproxy.Rule { return faultproxy.Nth(1, faultproxy.Writes(faultproxy.Status(422, nil, nil))) }, 2, "failed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for name, p := range map[string]place{"secret-00": newPlace(t, 2), bundleBase + "-g1": newPlace(t, 3).bundled()} {
				proxy := startProxy(t)
				proxy.Reset(tc.rule())
				out, err := p.push(proxyKubeconfig(t, proxy), "--parallel", "1").CombinedOutput()
				if code := exitCode(t, err); code != tc.code || !strings.Contains(string(out), "secret/"+name+" "+tc.stdout) {
					t.Errorf("exit code %d, want %d and %s %s:\n%s", code, tc.code, name, tc.stdout, out)
				}
				settle(t, proxy) // what lands later has landed
				if out, err := p.push(testkube.Kubeconfig(t)).CombinedOutput(); err != nil {
					t.Errorf("the next push: %v\n%s", err, out)
				}
				p.checkWhole()
			}
		})
	}
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	code := codeOf(err)
	if code == notStarted {
		t.Fatal(err)
	}
	return code
}

// A throttling API server is obeyed, and the user is told once.
func TestThrottlingIsObeyedAndShown(t *testing.T) {
	proxy := startProxy(t)
	p := newPlace(t, 6)
	proxy.Reset(faultproxy.First(4, faultproxy.Writes(faultproxy.Status(429, faultproxy.RetryAfter(1), nil))))
	out, err := p.push(proxyKubeconfig(t, proxy)).CombinedOutput()
	if err != nil || strings.Count(string(out), "throttles this client (429)") != 1 {
		t.Errorf("%v\n%s", err, out)
	}
	p.checkWhole()
}

// Ctrl-C ends a push with 130 once its requests have ended; the same command
// finishes the work.
func TestInterruptedPush(t *testing.T) {
	proxy := startProxy(t)
	p := newPlace(t, 8)
	release := make(chan struct{})
	proxy.Reset(faultproxy.Nth(3, faultproxy.Writes(faultproxy.Hold(release, nil))))
	cmd := p.push(proxyKubeconfig(t, proxy), "--parallel", "1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for len(proxy.Writes()) < 3 {
		time.Sleep(5 * time.Millisecond)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // long enough to hear it
	close(release)
	if code := exitCode(t, cmd.Wait()); code != 130 {
		t.Errorf("exit code %d, want 130:\n%s", code, out.String())
	}
	if n := len(p.secrets()); n != 3 || !strings.Contains(out.String(), "secret/secret-02 created\n") || !strings.Contains(out.String(), "3 created, 0 unchanged, 0 differ, 0 foreign, 0 failed, 5 not sent\n") {
		t.Errorf("%d Secrets after the third create was interrupted:\n%s", n, out.String())
	}
	if out, err := p.push(testkube.Kubeconfig(t)).CombinedOutput(); err != nil {
		t.Errorf("the next push: %v\n%s", err, out)
	}
	p.checkWhole()
}

// Planned rows are durable before the first request that carries a token, and
// a fresh push costs one POST an entry and a few requests more.
func TestRequestsOfAPush(t *testing.T) {
	const entries = 40
	proxy := startProxy(t)
	p := newPlace(t, entries)
	planned := -1
	proxy.Reset(faultproxy.First(1, func(r faultproxy.Request) faultproxy.Action {
		if !r.IsWrite() {
			return nil
		}
		text, _ := os.ReadFile(filepath.Join(p.dir, "fernet-ledger.csv"))
		planned = strings.Count(string(text), ",push,planned,")
		return faultproxy.Pass()
	}))
	kubeconfig := proxyKubeconfig(t, proxy)
	if out, err := p.push(kubeconfig).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if planned != entries {
		t.Errorf("%d planned rows at the first create, want %d", planned, entries)
	}
	if writes, all := len(proxy.Writes()), len(proxy.Requests()); writes != entries || all > entries+3 {
		t.Errorf("a fresh push of %d entries made %d writes and %d requests", entries, writes, all)
	}
	proxy.Reset()
	if out, err := p.push(kubeconfig).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if writes, all := len(proxy.Writes()), len(proxy.Requests()); writes != 0 || all > 2 {
		t.Errorf("an unchanged push made %d writes and %d requests, want two LISTs", writes, all)
	}
}

// What the system saw: the planned rows are written and fsynced, and only then
// the first create leaves the process.
func TestPlannedRowsAreOnDiskBeforeTheFirstCreate(t *testing.T) {
	proxy := startProxy(t)
	p := newPlace(t, 3)
	push := p.push(proxyKubeconfig(t, proxy))
	log := filepath.Join(t.TempDir(), "strace")
	traced := exec.Command("strace", append([]string{"-f", "-qq", "-s", "256", "-e", "trace=openat,write,fsync", "-o", log}, push.Args...)...)
	traced.Dir, traced.Env = push.Dir, push.Env
	if out, err := traced.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\napt-get install -y strace", err, out)
	}
	text := string(read(t, log))
	steps := []*regexp.Regexp{
		regexp.MustCompile(`openat\([^"]*"([^"]*/)?fernet-ledger\.csv", .*O_APPEND[^)]*\) += (?P<fd>\d+)`),
		regexp.MustCompile(`write\(FD, "time,operation,`),
		regexp.MustCompile(`fsync\(FD\)?`),
		regexp.MustCompile(`write\(\d+, "POST /api/v1/namespaces/[^?]*/secrets\?fieldManager=[^&]* `),
	}
	fd := ""
	for i, step := range steps {
		pattern := regexp.MustCompile(strings.ReplaceAll(step.String(), "FD", fd))
		at := pattern.FindStringSubmatchIndex(text)
		if at == nil {
			t.Fatalf("step %d (%s) does not follow the one before it", i+1, pattern)
		}
		if i == 0 {
			group := 2 * pattern.SubexpIndex("fd")
			fd = text[at[group]:at[group+1]]
		}
		if early := steps[3].FindStringIndex(text[:at[0]]); i < 3 && early != nil {
			t.Fatalf("a create left before step %d (%s)", i+1, pattern)
		}
		text = text[at[1]:]
	}
}
