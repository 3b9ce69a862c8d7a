// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// TestBadInputs runs testdata/bad: one file for each bad input, with the exact
// stderr and exit code. Of each run it asserts that it wrote nothing to the API
// server, left the ledger as it was, and let no canary out.
func TestBadInputs(t *testing.T) {
	testkube.Kubeconfig(t)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join(testkube.Root(t), "testdata", "bad"),
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") == "1",
		Setup:               func(env *testscript.Env) error { return setupBad(t, env) },
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"bad": func(ts *testscript.TestScript, _ bool, args []string) {
				bad(ts, args[0], append([]string{"push"}, args[1:]...))
			},
			"badrun":       func(ts *testscript.TestScript, _ bool, args []string) { bad(ts, args[0], args[2:]) },
			"unprivileged": func(ts *testscript.TestScript, _ bool, _ []string) { ts.Setenv("UNPRIVILEGED", "1") },
			"locked":       locked,
			"terminating":  func(ts *testscript.TestScript, _ bool, args []string) { terminating(t, ts, args[0]) },
			"website":      website,
		},
	})
}

// TestBadInputsAreAllThere compares the list with the files, and docs/trust-inputs.md with both.
func TestBadInputsAreAllThere(t *testing.T) {
	dir := filepath.Join(testkube.Root(t), "testdata", "bad")
	table, listed := "| input | says | way out |\n|---|---|---|\n", 0
	for line := range strings.Lines(string(read(t, filepath.Join(dir, "LIST")))) {
		if name, what, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && !strings.HasPrefix(line, "#") {
			listed++
			says, way := answered(t, filepath.Join(dir, name+".txtar"))
			table += fmt.Sprintf("| %s | %s | %s |\n", cell(what), cell(says), cell(way))
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(files) != listed || listed < 100 {
		t.Errorf("%d bad inputs listed, %d files, %v", listed, len(files), err)
	}
	testkube.Cases(t, listed)
	testkube.Table(t, "trust-inputs.md", "inputs", table)
}

// answered gives the first error that the program prints for a bad input, or else its first line,
// and the first way out.
func answered(t *testing.T, file string) (says, way string) {
	t.Helper()
	for _, f := range txtar.Parse(read(t, file)).Files {
		if f.Name != "want" {
			continue
		}
		for line := range strings.Lines(string(f.Data)) {
			kind, text, _ := strings.Cut(strings.TrimSpace(line), ": ")
			switch {
			case kind == "hint" && way == "":
				way = text
			case kind != "hint" && kind != "target" && says == "", kind == "error" && !strings.HasPrefix(says, "error: "):
				says = strings.TrimSpace(line)
			}
		}
	}
	return says, way
}

// cell is a text as a cell of a table.
func cell(text string) string {
	if text == "" {
		return ""
	}
	return strings.ReplaceAll(strings.ReplaceAll(html.EscapeString(text), "|", `\|`), "`", "&#96;")
}

type proxyKey struct{}

// setupBad puts a counting proxy before the API server. $KUBECONFIG leads to it
// and to the namespace default; $DIRECT to the API server itself, at $SERVER.
func setupBad(t *testing.T, env *testscript.Env) error {
	if err := setup(t, env); err != nil {
		return err
	}
	proxy, err := faultproxy.Start(context.Background(), testkube.RESTConfig(t), faultproxy.Options{})
	if err != nil {
		return err
	}
	env.Defer(proxy.Close)
	env.Values[proxyKey{}] = proxy
	direct := filepath.Join(env.WorkDir, "kubeconfig")
	counted := filepath.Join(env.WorkDir, "counted")
	env.Setenv("DIRECT", direct)
	env.Setenv("SERVER", testkube.RESTConfig(t).Host)
	env.Setenv("KUBECONFIG", counted)
	return proxy.Kubeconfig(counted, "localkube", "localkube")
}

const (
	ledgerName = "fernet-ledger.csv"
	badLedger  = "over 2 GiB is not compared"
)

func bad(ts *testscript.TestScript, code string, args []string) {
	proxy, ok := ts.Value(proxyKey{}).(*faultproxy.Proxy)
	if !ok {
		ts.Fatalf("no proxy")
	}
	secrets := canaries(ts)
	before, files := readSmall(ts.MkAbs(ledgerName)), filesIn(ts)
	proxy.Reset()
	command := append([]string{"kubectl-fernet"}, args...)
	if ts.Getenv("UNPRIVILEGED") != "" && os.Geteuid() == 0 {
		command = append([]string{"setpriv", "--bounding-set=-dac_override,-dac_read_search"}, command...)
	}
	exits(ts, false, append([]string{code}, command...))
	for _, w := range proxy.Writes() {
		ts.Fatalf("wrote to the API server: %s %s", w.Method, w.Path)
	}
	if after := readSmall(ts.MkAbs(ledgerName)); !bytes.Equal(before, after) {
		ts.Fatalf("the ledger was altered")
	}
	said := map[string][]byte{"stdout": []byte(ts.ReadFile("stdout")), "stderr": []byte(ts.ReadFile("stderr"))}
	for name := range filesIn(ts) {
		if !files[name] {
			said[name] = readSmall(name)
		}
	}
	for where, text := range said {
		for _, secret := range secrets {
			if bytes.Contains(text, []byte(secret)) {
				ts.Fatalf("%s shows a canary", where)
			}
		}
	}
}

// canaryLike finds the texts that must not come out: marked values, keys and
// what looks like them, whole tokens.
var canaryLike = regexp.MustCompile(`(?i)[a-z0-9+/_-]*canary[a-z0-9-]*|[A-Za-z0-9+/_-]{16,}={0,2}`)

// canaries collects them from the input files of a case.
func canaries(ts *testscript.TestScript) []string {
	var all []string
	for name := range filesIn(ts) {
		base := filepath.Base(name)
		if base != ledgerName && base != "broken" && !strings.HasPrefix(base, ".env") {
			continue
		}
		for _, found := range canaryLike.FindAll(readSmall(name), -1) {
			if text := string(found); len(text) < 4096 {
				all = append(all, text)
			}
		}
	}
	if len(all) == 0 && ts.Getenv("NO_CANARY") == "" {
		ts.Fatalf("no canary in this case; `env NO_CANARY=why` if there can be none")
	}
	return all
}

func readSmall(name string) []byte {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	if info.Size() > 16<<20 {
		return []byte(badLedger)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return []byte(err.Error())
	}
	return data
}

func filesIn(ts *testscript.TestScript) map[string]bool {
	files := map[string]bool{}
	err := filepath.WalkDir(ts.MkAbs("."), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		if err == nil && d.Type().IsRegular() {
			files[path] = true
		}
		return err
	})
	ts.Check(err)
	return files
}

// locked FILE: another run holds the ledger's lock until the script ends; $PID
// is its process.
func locked(ts *testscript.TestScript, _ bool, args []string) {
	lock, err := ledger.Lock(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(func() { _ = lock.Unlock() })
	ts.Setenv("PID", fmt.Sprint(os.Getpid()))
}

// terminating VAR: makes a namespace that is being deleted until the script ends.
func terminating(t *testing.T, ts *testscript.TestScript, variable string) {
	ctx := context.Background()
	client := corev1client.NewForConfigOrDie(testkube.RESTConfig(t))
	name := testkube.Namespace(t)
	held := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "held", Finalizers: []string{"kubectl-fernet.github.io/test"}}}
	held, err := client.ConfigMaps(name).Create(ctx, held, metav1.CreateOptions{})
	ts.Check(err)
	ts.Check(client.Namespaces().Delete(ctx, name, metav1.DeleteOptions{}))
	ts.Defer(func() {
		held, err := client.ConfigMaps(name).Get(ctx, held.Name, metav1.GetOptions{})
		ts.Check(err)
		held.Finalizers = nil
		_, err = client.ConfigMaps(name).Update(ctx, held, metav1.UpdateOptions{})
		ts.Check(err)
	})
	ts.Setenv(variable, name)
}

// website VAR: something that speaks HTTP and is no Kubernetes API server.
func website(ts *testscript.TestScript, _ bool, args []string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprint(w, "<html>no such page</html>")
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
}
