// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// reader is a Pod that reads a Secret and goes at once when it is deleted.
func reader(name, secret string) string {
	return `apiVersion: v1
kind: Pod
metadata: {name: ` + name + `}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: app, image: i, envFrom: [{secretRef: {name: ` + secret + `}}]}]
`
}

// bytesOf is all of a Secret that its writer chose.
func (p rotatedPlace) bytesOf(secret string) string {
	p.t.Helper()
	var s struct {
		Metadata        struct{ Labels, Annotations map[string]string }
		Data            map[string]string
		Type            string
		Immutable       bool
		OwnerReferences []any
	}
	if err := json.Unmarshal([]byte(p.kubectl("", "get", "secret", secret, "-o", "json")), &s); err != nil {
		p.t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

func (p rotatedPlace) uid(secret string) string {
	p.t.Helper()
	return p.kubectl("", "get", "secret", secret, "--ignore-not-found", "-o", "jsonpath={.metadata.uid}")
}

func (p rotatedPlace) rows() string {
	p.t.Helper()
	return string(read(p.t, filepath.Join(p.dir, ledgerName)))
}

func (p rotatedPlace) holdsOldKey() bool {
	p.t.Helper()
	return strings.Contains(string(read(p.t, filepath.Join(p.dir, ".env"))), testKey)
}

// retired asserts that the next retire ends the work: the first generations and
// the old key are gone.
func (p rotatedPlace) retired() {
	p.t.Helper()
	out := p.must("retire", "--skip-cluster-check", "--yes")
	if p.uid("secret-00") != "" || p.uid("secret-00-g2") == "" || p.holdsOldKey() {
		p.t.Errorf("not retired:\n%s", out)
	}
	if out := p.must("retire", "--skip-cluster-check", "--yes"); strings.Contains(out, "secret/") {
		p.t.Errorf("retired, and again:\n%s", out)
	}
}

// Somebody begins to use a Secret between the walk and its delete: it is put back
// with the same bytes, the old key stays, and all ends well once it is free.
func TestReferenceThatAppearsBetweenWalkAndDelete(t *testing.T) {
	p := newRotatedPlace(t, 2)
	before, uid := p.bytesOf("secret-00"), p.uid("secret-00")
	run, release, _ := p.held(http.MethodDelete, "/secrets/secret-00", "retire", "--skip-cluster-check", "--yes")
	p.kubectl(reader("late", "secret-00"), "create", "-f", "-")
	release()
	code, out := run.ended(t)
	for _, line := range []string{"secret/secret-00 put back\n", "secret/secret-01 deleted\n", "in use: secret/secret-00 by pod/late: ", "key kept: "} {
		if !strings.Contains(out, line) {
			t.Errorf("it does not say %q", line)
		}
	}
	if now := p.uid("secret-00"); code != 1 || now == uid || p.bytesOf("secret-00") != before || !p.holdsOldKey() {
		t.Errorf("exit code %d, the same object %t, the same bytes %t, old key there %t\n%s", code, now == uid, p.bytesOf("secret-00") == before, p.holdsOldKey(), out)
	}
	for row, want := range map[string]int{",restore,planned,": 1, ",restore,created,": 1, ",retire,planned,": 2, ",retire,deleted,": 2} {
		if n := strings.Count(p.rows(), row); n != want {
			t.Errorf("%d rows %s, want %d", n, row, want)
		}
	}
	if code, out := p.fernet(nil, "retire", "--skip-cluster-check", "--yes"); code != 1 || !strings.Contains(out, "secret/secret-00 in use\n") {
		t.Errorf("in use: exit code %d\n%s", code, out)
	}
	p.kubectl("", "delete", "pod", "late")
	p.retired()
}

// A keyring Secret, which has no row, is put back too.
func TestKeyringThatIsUsedAgainBetweenWalkAndDelete(t *testing.T) {
	p := rotatedPlace{newPlace(t, 1)}
	p.must("push")
	p.must("rotate", "--prepare", "--key-secret", "fernet-key", "--yes")
	p.must("rotate", "--key-secret", "fernet-key", "--yes")
	before := p.bytesOf("fernet-key-g1")
	run, release, _ := p.held(http.MethodDelete, "/secrets/fernet-key-g1", "retire", "--skip-cluster-check", "--yes")
	p.kubectl(reader("late", "fernet-key-g1"), "create", "-f", "-")
	release()
	code, out := run.ended(t)
	if code != 1 || !strings.Contains(out, "secret/fernet-key-g1 put back\n") || p.bytesOf("fernet-key-g1") != before || !p.holdsOldKey() {
		t.Errorf("exit code %d, old key there %t\n%s", code, p.holdsOldKey(), out)
	}
	p.kubectl("", "delete", "pod", "late")
	p.retired()
}

// A retire that was killed after its deletes looks again at the next run, and puts
// back what somebody uses by then.
func TestKilledRetireLooksAgain(t *testing.T) {
	for _, used := range []bool{false, true} {
		p, proxy := newRotatedPlace(t, 2), startProxy(t)
		before := p.bytesOf("secret-00")
		var cmd *exec.Cmd
		started := make(chan struct{})
		pid := func() int { <-started; return cmd.Process.Pid }
		proxy.Reset(on(http.MethodDelete, "/secrets/secret-01", faultproxy.KillAfter(pid)))
		cmd = p.command(proxyKubeconfig(t, proxy), "retire", "--skip-cluster-check", "--yes", "--parallel", "1")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		close(started)
		_ = cmd.Wait()
		settle(t, proxy)
		if p.uid("secret-00")+p.uid("secret-01") != "" || strings.Contains(p.rows(), ",deleted,") {
			t.Fatal("not killed between the deletes and their rows")
		}
		if used {
			p.kubectl(reader("late", "secret-00"), "create", "-f", "-")
			code, out := p.fernet(nil, "retire", "--skip-cluster-check", "--yes")
			if code != 1 || !strings.Contains(out, "secret/secret-00 put back\n") || p.bytesOf("secret-00") != before || !p.holdsOldKey() {
				t.Errorf("exit code %d\n%s", code, out)
			}
			p.kubectl("", "delete", "pod", "late")
		}
		p.retired()
		if planned, deleted := strings.Count(p.rows(), ",retire,planned,"), strings.Count(p.rows(), ",retire,deleted,"); deleted < 2 || planned < deleted {
			t.Errorf("%d planned, %d deleted", planned, deleted)
		}
	}
}

// What somebody replaced or changed since it was looked at is not deleted.
func TestSecretChangedBeforeItsDelete(t *testing.T) {
	for name, change := range map[string]func(rotatedPlace){
		"replaced": func(p rotatedPlace) {
			saved := p.kubectl("", "get", "secret", "secret-00", "-o", "yaml")
			p.kubectl("", "delete", "secret", "secret-00")
			p.kubectl(saved, "create", "-f", "-")
		},
		"labelled": func(p rotatedPlace) { p.kubectl("", "label", "secret", "secret-00", "a=b") },
	} {
		t.Run(name, func(t *testing.T) {
			p := newRotatedPlace(t, 1)
			run, release, _ := p.held(http.MethodDelete, "/secrets/secret-00", "retire", "--skip-cluster-check", "--yes")
			change(p)
			uid := p.uid("secret-00")
			release()
			code, out := run.ended(t)
			if code != 2 || p.uid("secret-00") != uid || !p.holdsOldKey() || !strings.Contains(out, "secret/secret-00 failed\n") ||
				!strings.Contains(out, "error: secret/secret-00: another process changed or replaced the Secret since it was looked at\n") {
				t.Errorf("exit code %d\n%s", code, out)
			}
			p.retired()
		})
	}
}

// A finalizer keeps the object, and so the key, until its owner lets go.
func TestRetireOfWhatAFinalizerHolds(t *testing.T) {
	p := newRotatedPlace(t, 1)
	p.kubectl("", "patch", "secret", "secret-00", "-p", `{"metadata":{"finalizers":["example.com/holds"]}}`)
	for range 2 {
		code, out := p.fernet(nil, "retire", "--skip-cluster-check", "--yes")
		if code != 2 || !strings.Contains(out, "secret/secret-00 failed\n") || !strings.Contains(out, "a finalizer holds it") || !p.holdsOldKey() || strings.Contains(p.rows(), ",deleted,") {
			t.Errorf("exit code %d\n%s", code, out)
		}
	}
	p.kubectl("", "patch", "secret", "secret-00", "-p", `{"metadata":{"finalizers":null}}`)
	p.retired()
}

// A delete whose answer is lost, or lies, is looked at; the next run finishes.
func TestDoubtfulDeletes(t *testing.T) {
	for _, tc := range []struct {
		name   string
		action faultproxy.Action
		code   int
	}{
		{"reply lost", faultproxy.DropReply(), 0},
		{"504 after success", faultproxy.StatusAfter(504, nil), 0},
		{"503 with Retry-After after success: client-go sends again", faultproxy.StatusAfter(503, faultproxy.RetryAfter(1)), 0},
		{"reset before it arrived", faultproxy.ResetBefore(), 2},
		{"500", faultproxy.Status(500, nil, nil), 2},
		{"403", faultproxy.Status(403, nil, nil), 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, proxy := newRotatedPlace(t, 2), startProxy(t)
			proxy.Reset(faultproxy.First(1, on(http.MethodDelete, "/secrets/secret-00", tc.action)))
			code, out := p.fernet(proxy, "retire", "--skip-cluster-check", "--yes")
			line := "secret/secret-00 " + map[int]string{0: "deleted", 2: "failed"}[tc.code] + "\n"
			if code != tc.code || !strings.Contains(out, line) || !strings.Contains(out, "secret/secret-01 deleted\n") || p.holdsOldKey() != (tc.code != 0) {
				t.Errorf("exit code %d, old key there %t\n%s", code, p.holdsOldKey(), out)
			}
			p.retired()
		})
	}
}

// When the first delete leaves, the plans of all are in the ledger. Each delete
// says which object it means.
func TestPlannedRowsBeforeTheFirstDelete(t *testing.T) {
	p := newRotatedPlace(t, 3)
	uids := map[string]string{}
	for _, name := range []string{"secret-00", "secret-01", "secret-02"} {
		uids[name] = p.uid(name)
	}
	run, release, proxy := p.held(http.MethodDelete, "", "retire", "--skip-cluster-check", "--yes", "--parallel", "1")
	if n := strings.Count(p.rows(), ",retire,planned,"); n != 3 {
		t.Errorf("%d plans before the first delete", n)
	}
	release()
	if code, out := run.ended(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, out)
	}
	writes := proxy.Writes()
	for _, r := range writes {
		uid, ours := uids[path.Base(r.Path)]
		if r.Method != http.MethodDelete || !ours || !strings.Contains(string(r.Body), uid) {
			t.Errorf("%s %s", r.Method, r.Path)
		}
	}
	if len(writes) != 3 {
		t.Errorf("%d writes", len(writes))
	}
}

// Ctrl-C between deletes ends with 130, and the next run finishes. The deletes are
// slow, and so many that the signal is heard long before the last.
func TestInterruptedRetire(t *testing.T) {
	p, proxy := newRotatedPlace(t, 15), startProxy(t)
	proxy.Reset(on(http.MethodDelete, "", faultproxy.Delay(500*time.Millisecond, 0)))
	run := start(p.command(proxyKubeconfig(t, proxy), "retire", "--skip-cluster-check", "--yes", "--parallel", "1"))
	run.await(t, func() bool { return asked(proxy, http.MethodDelete, "") > 1 })
	interrupt(t, run)
	code, out := run.ended(t)
	if code != 130 || !strings.Contains(out, "secret/secret-00 deleted\n") || !strings.Contains(out, "secret/secret-14 not sent\n") || p.uid("secret-14") == "" || !p.holdsOldKey() {
		t.Errorf("exit code %d\n%s", code, out)
	}
	p.retired()
}

// listing is the right to list kinds of an API group.
func listing(group string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: []string{"list"}}
}

// Of what cannot be listed, that which holds pods keeps a Secret; the rest is
// named, and keeps it with --strict.
func TestRetireWithFewRights(t *testing.T) {
	rights := []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "create", "delete"}},
		listing("", "pods", "replicationcontrollers"),
		listing("apps", "deployments", "statefulsets", "daemonsets", "replicasets", "controllerrevisions"),
		listing("batch", "jobs", "cronjobs"),
	}
	for _, tc := range []struct {
		name   string
		rights []rbacv1.PolicyRule
		flags  []string
		code   int
		word   string
	}{
		{"no configmaps", rights, nil, 0, "deleted"},
		{"no configmaps, strict", rights, []string{"--strict"}, 1, "kept, unproven"},
		{"no jobs", rights[:3], nil, 1, "kept, unproven"},
		{"no pods", append([]rbacv1.PolicyRule{rights[0]}, rights[2:]...), nil, 1, "kept, unproven"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newRotatedPlace(t, 1)
			user := "limited-" + p.namespace
			kubeconfig := testkube.User(t, p.namespace, user, tc.rights...)
			out, err := p.command(kubeconfig, append([]string{"retire", "--skip-cluster-check", "--yes", "--context", user}, tc.flags...)...).CombinedOutput()
			if code := exitCode(t, err); code != tc.code || !strings.Contains(string(out), "secret/secret-00 "+tc.word+"\n") || !strings.Contains(string(out), "not allowed to list ") {
				t.Errorf("exit code %d\n%s", code, out)
			}
			if there := p.uid("secret-00") != ""; there != (tc.code != 0) || p.holdsOldKey() != there {
				t.Errorf("there %t, old key there %t", there, p.holdsOldKey())
			}
		})
	}
}
