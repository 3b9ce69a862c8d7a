// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cli"
	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// The canaries: a value, the key, and the key before it.
const (
	leakValue    = "canary-3f9a-do-not-print"
	leakPrevious = "T5YHqGT4w7N1V6gJ0WG4c8uU5ZJbQ5q2h4w0m1V3X9g="
)

// leakRuns run every verb at the highest verbosity, in order, in one folder.
// Those with refused true must fail, on paths where errors quote their input
// if nobody takes care.
var leakRuns = []struct {
	args    []string
	refused bool
	env     []string
	rule    faultproxy.Rule
	keyring bool // the keyring goes into the cluster, because the user says so
}{
	{args: []string{"lint"}, refused: true}, // findings
	{args: []string{"push", "--dry-run=server"}},
	{args: []string{"push"}, refused: true, rule: faultproxy.Writes(faultproxy.Status(422, nil, []byte(echo422)))},
	{args: []string{"push"}, refused: true, rule: faultproxy.Writes(faultproxy.Status(400, nil, []byte(echo400)))},
	{args: []string{"push"}, refused: true, rule: faultproxy.Writes(faultproxy.Status(500, nil, []byte("canary panic: "+testKey)))},
	{args: []string{"push"}},
	{args: []string{"push"}},
	{args: []string{"push"}, env: []string{"FERNET_KEY=" + testKey, "FERNET_KEY_PREVIOUS=" + leakPrevious}},
	{args: []string{"push"}, env: []string{"FERNET_KEY=" + leakPrevious}, refused: true},
	{args: []string{"push", "-o", "name"}},
	{args: []string{"adopt", "secret-a"}},
	{args: []string{"push", leakValue}, refused: true},
	{args: []string{"push", "--parallel", leakValue}, refused: true},
	{args: []string{"push", "--udpate=" + leakValue}, refused: true},
	{args: []string{"status", "-o", "yaml"}},
	{args: []string{"rotate", "--yes"}, refused: true}, // a previous key is still held
	{args: []string{"rotate", "--yes", "-o", "json"}, refused: true},
	{args: []string{"rotate", "--prepare", "--dry-run", "--yes", "-o", "json"}},
	{args: []string{"rotate", "--prepare", "--yes", "--key-secret", "fernet-key"}, keyring: true},
	{args: []string{"rotate", "--new-key", "--yes"}, refused: true, rule: faultproxy.Writes(faultproxy.Status(422, nil, []byte(echo422)))},
	{args: []string{"rotate", "--new-key", "--yes", "-o", "yaml"}, refused: true, rule: faultproxy.Writes(faultproxy.Status(422, nil, []byte(echo422)))},
	{args: []string{"rotate", "--yes", "--key-secret", "fernet-key", "--rollout", "-o", "json"}, keyring: true},
	{args: []string{"rotate", "--abort", "--yes"}, refused: true},
	{args: []string{"rollout", "--yes"}},
	{args: []string{"wire", "deployment/web"}, refused: true}, // no such workload
	{args: []string{"wire", "deployment/web", "--exec", "--", leakValue}, refused: true},
	{args: []string{"rollout", "--yes", "-o", "yaml"}},
	{args: []string{"retire", "--skip-cluster-check", "--yes", "-o", "json"}, refused: true, rule: faultproxy.Writes(faultproxy.Status(422, nil, []byte(echo422)))},
	{args: []string{"retire", "--skip-cluster-check", "--yes", "-o", "json"}},
	{args: []string{"retire", leakValue}, refused: true},
	{args: []string{"restore"}},
	{args: []string{"restore", "-o", "json"}},
	{args: []string{"restore", "-o", "name"}},
	{args: []string{"pull"}},
	{args: []string{"pull", "--force"}}, // nothing differs
	{args: []string{"pull", "--from", "cluster", "--out", "pulled.env"}},
	{args: []string{"verify"}},
	{args: []string{"rbac", "--for", "push"}},
	{args: []string{"policy"}},
	{args: []string{"diff"}},
	{args: []string{"diff", "-o", "json"}},
	{args: []string{"diff", "--show-values"}, refused: true}, // no terminal, and nobody to ask
	{args: []string{"diff", "--show-values", "--yes"}},
	{args: []string{"reveal", "SECRET_A"}},
	{args: []string{"reveal", leakValue}, refused: true},
	{args: []string{"exec-env", "--", "true"}},
	{args: []string{"exec-env", leakValue}, refused: true},
	{args: []string{"init"}, refused: true},
	{args: []string{"init", "--env", "new.env"}},
	{args: []string{"version"}},
	{args: []string{"completion", "bash"}},
	{args: []string{"keygen"}},
	{args: []string{"options"}},
	{args: []string{"--help"}},
}

const (
	echo422 = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422,` +
		`"message":"Secret \"` + testKey + `\" is invalid: data: Invalid value: \"` + leakValue + `\"",` +
		`"details":{"causes":[{"reason":"FieldValueInvalid","message":"Invalid value: \"` + leakValue + `\"","field":"data"}]}}`
	echo400 = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"BadRequest","code":400,` +
		`"message":"admission webhook \"w\" denied the request: ` + leakPrevious + ` is not allowed"}`
)

func TestNothingLeaks(t *testing.T) {
	proxy := startProxy(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".env"), "KEY="+testKey+"\nKEY_PREVIOUS="+leakPrevious+"\nSECRET_A='"+leakValue+"'\nSECRET_B=\"x "+leakValue+"\"\nSECRET_C=changeme\n")
	kubeconfig := proxyKubeconfig(t, proxy)
	ns := testkube.Namespace(t)
	forbidden := slices.Concat(forms(leakValue), forms(testKey), forms(leakPrevious))
	ran := map[string]bool{}
	for _, run := range leakRuns {
		proxy.Reset()
		if run.rule != nil {
			proxy.Reset(run.rule)
		}
		args := append([]string{"-v", "9"}, run.args...)
		if slices.Contains([]string{"push", "rotate", "rollout", "wire", "retire", "status", "restore", "pull", "reveal", "diff", "verify", "adopt"}, run.args[0]) {
			args = append(args, "-n", ns)
		}
		cmd := exec.Command("kubectl-fernet", args...)
		cmd.Dir = dir
		cmd.Env = append(append(os.Environ(), "KUBECONFIG="+kubeconfig), run.env...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		name := strings.Join(run.args, " ")
		if (err != nil) != run.refused {
			t.Errorf("%s: %v\n%s", name, err, stderr.String())
		}
		ran[run.args[0]] = true
		for _, key := range keysOf(t, dir) { // those that rotate made
			forbidden = append(forbidden, forms(key)...)
		}
		sent := forbidden
		if run.keyring {
			sent = forms(leakValue)
		}
		check := slices.Concat(forbidden, tokensOf(t, dir))
		noneOf(t, name+": stderr", stderr.Bytes(), check)
		if !cli.MayReveal[run.args[0]] && !cli.MayReveal[strings.Join(run.args[:min(2, len(run.args))], " ")] {
			noneOf(t, name+": stdout", stdout.Bytes(), check)
		}
		for _, r := range proxy.Requests() {
			noneOf(t, name+": request", append([]byte(r.Path+r.RawQuery), r.Body...), sent)
			for header, values := range r.Header {
				noneOf(t, name+": header "+header, []byte(strings.Join(values, " ")), forbidden)
			}
		}
		noneOf(t, name+": ledger", read(t, filepath.Join(dir, ledgerName)), forbidden)
	}
	noSurprises(t, dir)
	checkEveryVerbRan(t, ran)
}

// forms are the ways in which a text could be written down.
func forms(text string) []string {
	return []string{
		text,
		base64.StdEncoding.EncodeToString([]byte(text))[:len(text)],
		base64.StdEncoding.EncodeToString([]byte("x" + text))[4:len(text)],
		hex.EncodeToString([]byte(text)),
		url.QueryEscape(text),
	}
}

var keyText = regexp.MustCompile(`[A-Za-z0-9_-]{43}=`)

func keysOf(t *testing.T, dir string) []string {
	t.Helper()
	return keyText.FindAllString(string(read(t, filepath.Join(dir, ".env"))), -1)
}

var tokenColumn = regexp.MustCompile(`gAAAA[A-Za-z0-9_-]{60,}=*`)

func tokensOf(t *testing.T, dir string) []string {
	t.Helper()
	return tokenColumn.FindAllString(string(read(t, filepath.Join(dir, ledgerName))), -1)
}

func noneOf(t *testing.T, where string, text []byte, forbidden []string) {
	t.Helper()
	for _, f := range forbidden {
		if bytes.Contains(text, []byte(f)) {
			t.Errorf("%s: shows a canary", where)
			return
		}
	}
}

// noSurprises asserts that no other file came to be than those that are meant to.
func noSurprises(t *testing.T, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		switch f.Name() {
		case ".env", "new.env", "pulled.env", ledgerName, ledgerName + ".lock":
		default:
			t.Errorf("left behind: %s", f.Name())
		}
	}
}

func checkEveryVerbRan(t *testing.T, ran map[string]bool) {
	t.Helper()
	for _, verb := range cli.Command().Commands() {
		if !ran[verb.Name()] {
			t.Errorf("the leak test does not run %s", verb.Name())
		}
	}
}

// Credential plugins inherit the environment; the key is not in it any more.
func TestCredentialPluginsDoNotGetTheKey(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".env"), "SECRET_A="+leakValue+"\n")
	plugin := filepath.Join(dir, "bin", "plugin")
	if err := os.Mkdir(filepath.Dir(plugin), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, plugin, "#!/bin/sh\nenv >'"+dir+"/seen'\nexit 1\n")
	if err := os.Chmod(plugin, 0o700); err != nil { // #nosec G302 -- it is run
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(dir, "config")
	write(t, kubeconfig, string(read(t, testkube.Kubeconfig(t))))
	kubectl := filepath.Join(testkube.Root(t), "bin", "kubectl")
	for _, args := range [][]string{
		{"config", "set-credentials", "plugin", "--exec-command", plugin, "--exec-api-version", "client.authentication.k8s.io/v1", "--exec-interactive-mode", "Never"},
		{"config", "set-context", "--current", "--user", "plugin"},
	} {
		if out, err := exec.Command(kubectl, append([]string{"--kubeconfig", kubeconfig}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	cmd := exec.Command("kubectl-fernet", "push")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "FERNET_KEY="+testKey, "FERNET_KEY_PREVIOUS="+leakPrevious, "FERNET_TEST_MARK=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("succeeded without credentials:\n%s", out)
	}
	seen := read(t, filepath.Join(dir, "seen"))
	if !bytes.Contains(seen, []byte("FERNET_TEST_MARK=1")) {
		t.Fatalf("the plugin did not run:\n%s", out)
	}
	noneOf(t, "the plugin's environment", seen, []string{testKey, leakPrevious, "FERNET_KEY"})
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// read gives nothing for a file that is not there.
func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return data
}
