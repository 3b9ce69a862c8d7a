// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets this program be localkube where it runs under that name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "localkube" {
		main()
	}
	os.Exit(m.Run())
}

// install makes a folder like bin/: this program as localkube, and the real commands beside it.
func install(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err == nil {
		err = os.Link(self, filepath.Join(dir, "localkube"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", stages, "kubectl"} {
		real, err := filepath.Abs(filepath.Join("../../bin", name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(real); err != nil {
			t.Fatalf("bin/%s is missing; run: make localkube", name)
		}
		if err := os.Symlink(real, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// session is a running localkube, alone in a temporary folder.
type session struct {
	*exec.Cmd
	bin, home, dir, kubeconfig string
	out, err                   bytes.Buffer
	ended                      chan struct{}
}

// begin starts localkube with these arguments; a control plane that is served has its own.
func begin(t *testing.T, bin string, args ...string) *session {
	t.Helper()
	home := t.TempDir()
	s := &session{bin: bin, home: home, dir: filepath.Join(home, "data"), kubeconfig: filepath.Join(home, "kubeconfig"), ended: make(chan struct{})}
	if len(args) == 0 {
		args = []string{"--data-dir", s.dir, "--kubeconfig", s.kubeconfig}
	}
	s.Cmd = exec.Command(filepath.Join(bin, "localkube"), args...)
	s.Env = append(os.Environ(), "TMPDIR="+home)
	s.Stdout, s.Stderr = &s.out, &s.err
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		_ = s.Wait() // finish asserts the exit code
	}()
	t.Cleanup(func() { _ = s.Process.Kill() })
	return s
}

// serving starts localkube and waits until its kubeconfig is there.
func serving(t *testing.T, bin string) *session {
	t.Helper()
	s := begin(t, bin)
	s.await(t, s.kubeconfig)
	return s
}

// await waits for a file that tells how far localkube is.
func (s *session) await(t *testing.T, path string) {
	t.Helper()
	within(t, startup, path+" is not there", func() bool {
		select {
		case <-s.ended:
			t.Fatalf("ended before %s was there, with %v; it says %s", path, s.ProcessState, &s.err)
		default:
		}
		_, err := os.Stat(path)
		return err == nil
	})
}

func within(t *testing.T, limit time.Duration, otherwise string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v %s", limit, otherwise)
		}
	}
}

// finish waits for localkube's end and asserts its exit code, and that nothing of it runs any more.
func (s *session) finish(t *testing.T, code int) {
	t.Helper()
	<-s.ended
	if got := s.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d; it says %s", got, code, &s.err)
	}
	if left := s.alive(t); len(left) > 0 {
		t.Errorf("still running: %v", left)
	}
}

func (s *session) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := s.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// alive names the processes with the session's folder in their arguments.
func (s *session) alive(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Fatalf("no processes in /proc: %v", err)
	}
	var names []string
	for _, file := range files {
		line, _ := os.ReadFile(file) // a process that ended meanwhile has none
		if bytes.Contains(line, []byte(s.home)) {
			name, _, _ := strings.Cut(string(line), "\x00")
			names = append(names, filepath.Base(name))
		}
	}
	return names
}

func (s *session) left(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir(s.home)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(entries)
}

func (s *session) kubectl(kubeconfig, args string) (string, error) {
	cmd := exec.Command(filepath.Join(s.bin, "kubectl"), strings.Fields(args)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (s *session) want(t *testing.T, kubeconfig, args, want string) {
	t.Helper()
	if got, err := s.kubectl(kubeconfig, args); err != nil || got != want {
		t.Errorf("kubectl %s: %s (%v), want %s", args, got, err, want)
	}
}

func (s *session) refused(t *testing.T, kubeconfig, args, reason string) {
	t.Helper()
	if got, err := s.kubectl(kubeconfig, args); err == nil || !strings.Contains(got, reason) {
		t.Errorf("kubectl %s: %s (%v), want a refusal: %s", args, got, err, reason)
	}
}

func TestServe(t *testing.T) {
	s := serving(t, install(t))
	s.want(t, s.kubeconfig, "config current-context", "localkube")
	s.want(t, s.kubeconfig, "config view -o jsonpath={.contexts[0].context}", `{"cluster":"localkube","user":"localkube-admin"}`)
	s.want(t, s.kubeconfig, "-n default get serviceaccount default -o name", "serviceaccount/default")
	s.want(t, s.kubeconfig, `get node localkube -o jsonpath={.spec.taints}{.status.conditions[?(@.type=="Ready")].status}`, "True")
	s.testUser(t)
	s.testControllers(t)
	s.testWorkloads(t)
	names := s.alive(t)
	slices.Sort(names)
	if want := "[etcd kube-apiserver kube-controller-manager kube-scheduler kwok localkube]"; fmt.Sprint(names) != want {
		t.Errorf("running: %v, want %s", names, want)
	}
	s.signal(t, syscall.SIGTERM)
	s.finish(t, 0)
	if s.out.String() != "localkube ready\n" || s.err.String() != "" {
		t.Errorf("stdout %q, stderr %q; want one line and nothing", &s.out, &s.err)
	}
	if s.left(t) != "[d data/]" {
		t.Errorf("left behind: %s, want the data directory alone", s.left(t))
	}
}

// TestStartsAgain kills all of a control plane at once: what it had confirmed is there when it starts again, at the same
// address, for the same kubeconfig.
func TestStartsAgain(t *testing.T) {
	bin := install(t)
	s := begin(t, bin, "--api-only", "--data-dir", filepath.Join(bin, "data"), "--kubeconfig", filepath.Join(bin, "kubeconfig"))
	s.kubeconfig = filepath.Join(bin, "kubeconfig")
	s.await(t, s.kubeconfig)
	s.want(t, s.kubeconfig, "-n default create secret generic x -o name", "secret/x")
	kept, err := os.ReadFile(s.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	s.signal(t, syscall.SIGKILL)
	<-s.ended
	if err := os.Remove(s.kubeconfig); err != nil {
		t.Fatal(err)
	}
	again := begin(t, bin, s.Args[1:]...)
	again.await(t, s.kubeconfig)
	before := filepath.Join(bin, "before")
	if err := os.WriteFile(before, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	again.want(t, before, "-n default get secret x -o name", "secret/x")
}

func TestDataDirOfOthers(t *testing.T) {
	bin, dir := install(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "theirs"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := begin(t, bin, "--data-dir", dir, "--kubeconfig", filepath.Join(bin, "kubeconfig"))
	s.finish(t, 1)
	if !strings.Contains(s.err.String(), "is not empty, and no control plane ran in it") {
		t.Errorf("it says %s", &s.err)
	}
}

// testUser makes a user, who may do nothing until his group may.
func (s *session) testUser(t *testing.T) {
	t.Helper()
	ann := filepath.Join(t.TempDir(), "ann")
	add := exec.Command(s.Path, "user", "--data-dir", s.dir, "--kubeconfig", ann, "ann", "readers")
	if out, err := add.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("user: %s (%v)", out, err)
	}
	s.want(t, ann, "config current-context", "ann")
	s.want(t, ann, "config view -o jsonpath={.contexts[0].context.cluster}", "localkube")
	s.want(t, ann, "auth whoami -o jsonpath={.status.userInfo.username}{.status.userInfo.groups}", `ann["readers","system:authenticated"]`)
	s.refused(t, ann, "-n default get secrets", `User "ann" cannot list resource "secrets"`)
	s.want(t, s.kubeconfig, "-n default create role reader --verb=list --resource=secrets -o name", "role.rbac.authorization.k8s.io/reader")
	s.want(t, s.kubeconfig, "-n default create rolebinding reader --role=reader --group=readers -o name",
		"rolebinding.rbac.authorization.k8s.io/reader")
	within(t, time.Minute, "the group's right is not in effect", func() bool {
		_, err := s.kubectl(ann, "-n default get secrets")
		return err == nil
	})
	s.refused(t, ann, "-n default get secret x", "Forbidden")
}

// testControllers asks for what the controllers do with their own service accounts: they fill a quota's status, and only
// then does admission enforce it.
func (s *session) testControllers(t *testing.T) {
	t.Helper()
	s.want(t, s.kubeconfig, "-n default create quota none --hard=secrets=0 -o name", "resourcequota/none")
	within(t, time.Minute, "the quota is not counted", func() bool {
		hard, _ := s.kubectl(s.kubeconfig, "-n default get quota none -o jsonpath={.status.hard.secrets}")
		return hard == "0"
	})
	s.refused(t, s.kubeconfig, "-n default create secret generic x", "exceeded quota")
}

// testWorkloads rolls a Deployment out, and then out again with pods that no node can take.
func (s *session) testWorkloads(t *testing.T) {
	t.Helper()
	s.want(t, s.kubeconfig, "-n default create deployment web --image=web --replicas=3 -o name", "deployment.apps/web")
	s.want(t, s.kubeconfig, "-n default wait deployment web --for=jsonpath={.status.readyReplicas}=3 --timeout=60s",
		"deployment.apps/web condition met")
	s.want(t, s.kubeconfig, `-n default patch deployment web -o name -p {"spec":{"progressDeadlineSeconds":1,`+
		`"template":{"spec":{"containers":[{"name":"web","resources":{"requests":{"cpu":"65"}}}]}}}}`, "deployment.apps/web")
	s.refused(t, s.kubeconfig, "-n default rollout status deployment web --timeout=60s", "exceeded its progress deadline")
	within(t, time.Minute, "no pod waits for cpu", func() bool {
		why, _ := s.kubectl(s.kubeconfig, "-n default get pods -l app=web -o jsonpath={.items[*].status.conditions[*].message}")
		return strings.Contains(why, "Insufficient cpu")
	})
	s.want(t, s.kubeconfig, "-n default get deployment web -o jsonpath={.status.readyReplicas}", "3")

	s.want(t, s.kubeconfig, "-n default create cronjob tick --image=tick --schedule=@yearly -o name", "cronjob.batch/tick")
	s.want(t, s.kubeconfig, "-n default create job once --from=cronjob/tick -o name", "job.batch/once")
	s.want(t, s.kubeconfig, "-n default wait job once --for=condition=Complete --timeout=60s", "job.batch/once condition met")

	s.want(t, s.kubeconfig, "-n default delete deployment web --cascade=foreground --timeout=60s -o name", "deployment.apps/web")
	s.want(t, s.kubeconfig, "-n default get pods -l app=web -o name", "")
}

// TestAPIOnly has no other programs than an API server needs; an object can be made at once.
func TestAPIOnly(t *testing.T) {
	bin := install(t)
	for _, name := range []string{"kube-controller-manager", "kube-scheduler", "kwok", stages} {
		if err := os.Remove(filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	s := begin(t, bin, "run", "--api-only", "--", filepath.Join(bin, "kubectl"), "-n", "default", "create", "secret", "generic", "x", "-o", "name")
	s.finish(t, 0)
	if s.out.String() != "secret/x\n" || s.left(t) != "[]" {
		t.Errorf("stdout %q, left behind %s; want the Secret's name and nothing; it says %s", &s.out, s.left(t), &s.err)
	}
}

func TestKilled(t *testing.T) {
	s := serving(t, install(t))
	s.signal(t, syscall.SIGKILL)
	<-s.ended
	within(t, time.Minute, "its processes still run", func() bool { return len(s.alive(t)) == 0 })
}

func TestInterruptedStart(t *testing.T) {
	s := begin(t, install(t))
	s.await(t, filepath.Join(s.dir, "kube-apiserver.log"))
	s.signal(t, os.Interrupt)
	s.finish(t, 0)
	if s.out.String() != "" || s.left(t) != "[d data/]" {
		t.Errorf("stdout %q, left behind %s; want nothing and the data directory", &s.out, s.left(t))
	}
}

// replaceEtcd puts a shell script in etcd's place.
func replaceEtcd(t *testing.T, bin, script string) {
	t.Helper()
	path := filepath.Join(bin, "etcd")
	if err := os.Rename(path, path+".real"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
}

// TestProcessEnds lets etcd fail once at the start, which must not matter, and kills it later, which must.
func TestProcessEnds(t *testing.T) {
	bin := install(t)
	replaceEtcd(t, bin, `[ -e "$0.tried" ] || { : >"$0.tried"; exit 1; }; echo $$ >"$0.pid"; exec "$0.real" "$@"`)
	s := serving(t, bin)
	s.want(t, s.kubeconfig, "-n default get serviceaccount default -o name", "serviceaccount/default")
	if out, err := exec.Command("sh", "-c", "kill -9 $(cat "+bin+"/etcd.pid)").CombinedOutput(); err != nil {
		t.Fatalf("kill: %s", out)
	}
	s.finish(t, 1)
	want := "localkube: etcd ended: signal: killed; its log " + filepath.Join(s.dir, "etcd.log") + " ends with:\n{"
	if !strings.HasPrefix(s.err.String(), want) {
		t.Errorf("it says %s, want %s", &s.err, want)
	}
}

func TestStartFails(t *testing.T) {
	bin := install(t)
	replaceEtcd(t, bin, "echo x >>$0.tried; seq -f 'broken %g' 1000; exit 3")
	s := begin(t, bin)
	s.finish(t, 1)
	says := s.err.String()
	if !strings.Contains(says, "etcd ended: exit status 3") || !strings.Contains(says, "\nbroken 1000\n") || strings.Contains(says, "broken 1\n") {
		t.Errorf("it says %s, want the end of etcd's log", says)
	}
	if tries, _ := os.ReadFile(filepath.Join(bin, "etcd.tried")); string(tries) != "x\nx\n" {
		t.Errorf("tries: %q, want two", tries)
	}
}

func TestRun(t *testing.T) {
	bin := install(t)
	s := begin(t, bin, "run", "--", "sh", "-c", `
		[ "$KUBECONFIG" = "$FERNET_TEST_KUBECONFIG" ] && [ -f "$FERNET_TEST_DATADIR/ca.pem" ] || exit 1
		"$0" -n default get serviceaccount default -o name
		exit 7`, filepath.Join(bin, "kubectl"))
	s.finish(t, 7)
	if s.out.String() != "serviceaccount/default\n" || s.left(t) != "[]" {
		t.Errorf("stdout %q, left behind %s; want the command's line and nothing; it says %s", &s.out, s.left(t), &s.err)
	}
}

func TestRunEndsWithItsCommand(t *testing.T) {
	for _, tt := range []struct {
		name, command string
		code          int
	}{
		{"no handler", `exec sleep 60`, 143},
		{"own exit code", `trap 'kill $!; exit 5' TERM; sleep 60 & wait`, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := begin(t, install(t), "run", "--", "sh", "-c", `: >"$TMPDIR/began"; `+tt.command)
			began := filepath.Join(s.home, "began")
			s.await(t, began)
			s.signal(t, syscall.SIGTERM)
			s.finish(t, tt.code)
			if s.left(t) != "[- began]" {
				t.Errorf("left behind: %s, want nothing of localkube", s.left(t))
			}
		})
	}
}

// TestFreePortsAreDistinct asks for so many that ports which are not held would surely be found twice.
func TestFreePortsAreDistinct(t *testing.T) {
	ports, err := freePorts(1000)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, port := range ports {
		if port == 0 || seen[port] {
			t.Fatalf("ports %v", ports)
		}
		seen[port] = true
	}
}
