// SPDX-License-Identifier: Apache-2.0

package cli

import (
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
)

const (
	testKey   = "8wjBHTr1D9Hn2w2E1wHkUOb0cSgEJVkUIYW6Jk1cP2E="
	testToken = "gAAAAABlU_EAMDEyMzQ1Njc4OWFiY2RlZqrtKI-OpiA3se9kUtejVGOVU4SNczTK5An6Mf2LDCkbfk5IZLoNScVi7e0q1M2x8w=="
	canary    = "canary-7f3a"
)

// kubeconfig makes one from words "context=cluster"; the first one with a "*"
// before it is current.
func kubeconfig(words string) clientcmdapi.Config {
	config := *clientcmdapi.NewConfig()
	for _, word := range strings.Fields(words) {
		name, cluster, _ := strings.Cut(strings.TrimPrefix(word, "*"), "=")
		if strings.HasPrefix(word, "*") {
			config.CurrentContext = name
		}
		config.Contexts[name] = &clientcmdapi.Context{Cluster: cluster, AuthInfo: "user", Namespace: "of-" + name}
		config.Clusters[cluster] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:1"}
	}
	return config
}

// newApp gives an app that writes into buffers.
func newApp() (a *app, out, errOut *bytes.Buffer) {
	out, errOut = &bytes.Buffer{}, &bytes.Buffer{}
	a = appOf(action.On(atomicfile.OS), genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: out, ErrOut: errOut})
	a.connect = genericclioptions.NewConfigFlags(false)
	return a, out, errOut
}

// emptyFolder makes a new folder the current one, far from any kubeconfig.
func emptyFolder(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	t.Setenv("KUBECONFIG", "no-kubeconfig")
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
}

// run runs the real command.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	a, out, errOut := newApp()
	code = a.run(t.Context(), args)
	return code, out.String(), errOut.String()
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// wantError checks an error's text, the beginning of its hint, and that there is
// one only where it is wanted.
func wantError(t *testing.T, err error, text, way string) {
	t.Helper()
	switch {
	case text == "" && err == nil:
	case err == nil:
		t.Errorf("no error, want %q", text)
	case err.Error() != text:
		t.Errorf("error %q, want %q", err, text)
	case !strings.HasPrefix(string(hint.Of(err)), way) || way == "" && hint.Of(err) != "":
		t.Errorf("hint %q, want %q", hint.Of(err), way)
	}
}

func TestHintIsFoundThroughWrapping(t *testing.T) {
	for want, err := range map[string]error{
		"":             errors.New("x"),
		"of hinted 1":  withHint(io.EOF, "of hinted %d", 1),
		"of envfile":   &envfile.Error{Message: "x", Way: "of envfile"},
		"of cluster":   &cluster.Error{Message: "x", Way: "of cluster"},
		"of ledger":    &ledger.Error{Message: "x", Way: "of ledger"},
		"of the outer": withHint(&envfile.Error{Message: "x", Way: "of the inner"}, "of the outer"),
	} {
		for how, wrapped := range map[string]error{
			"bare": err, "%w": fmt.Errorf("a: %w", fmt.Errorf("b: %w", err)), "join": errors.Join(io.ErrUnexpectedEOF, err),
		} {
			if got := hint.Of(wrapped); string(got) != want {
				t.Errorf("%s, %s: hint %q", want, how, got)
			}
		}
	}
	if !errors.Is(withHint(io.EOF, "x"), io.EOF) {
		t.Error("a hint hides the error below it")
	}
}

func TestExit(t *testing.T) {
	const interrupted = "interrupted: the same command finishes the work\n"
	for _, c := range []struct {
		err    error
		code   int
		stderr string
	}{
		{nil, 0, ""},
		{errFindings, 1, ""},
		{fmt.Errorf("push: %w", errEntries), 2, ""},
		{errInterrupted, 130, interrupted},
		{fmt.Errorf("push: %w", context.Canceled), 130, interrupted},
		{errors.New("a: b"), 2, "error: a: b\n"},
		{withHint(errors.New("a\n\nb\r\nc"), "x\ny"), 2, "error: a; b; c\nhint: x; y\n"},
	} {
		a, _, errOut := newApp()
		if code := a.exit(c.err); code != c.code || errOut.String() != c.stderr {
			t.Errorf("%v: exit code %d, stderr %q", c.err, code, errOut)
		}
	}
}

func explode(value any) { panic(value) }

func explodeByItself(any) {
	var nothing *app
	nothing.verbose++
}

func TestPanicIsReportedWithoutItsValue(t *testing.T) {
	for _, c := range []struct {
		value any
		by    func(any)
		kind  string
		place string
	}{
		{canary, explode, "string", "cli.explode"},
		{errors.New(canary), explode, "*errors.errorString", "cli.explode"},
		{envfile.Entry{Name: canary, Value: envfile.NewValue(canary)}, explode, "envfile.Entry", "cli.explode"},
		{nil, explodeByItself, "runtime.errorString", ""},
	} {
		var out bytes.Buffer
		code := func() (code int) {
			defer func() { code = reportPanic(&out, recover()) }()
			c.by(c.value)
			return exitDone
		}()
		first := regexp.MustCompile(`^error: internal error \(` + regexp.QuoteMeta(c.kind) + `\)\n  \S*` + regexp.QuoteMeta(c.place) + `:\d+\n`)
		if code != exitFailed || !first.MatchString(out.String()) || !strings.Contains(out.String(), ".TestPanicIsReportedWithoutItsValue") {
			t.Errorf("%s: exit code %d\n%s", c.kind, code, &out)
		}
		if strings.Contains(out.String(), "canary") {
			t.Errorf("%s: the value is in the report:\n%s", c.kind, &out)
		}
	}
}

func TestTakeEnvRemovesTheVariable(t *testing.T) {
	t.Setenv(keyring.EnvVarKey, canary)
	if got := takeEnv(keyring.EnvVarKey); got != canary {
		t.Errorf("took %q", got)
	}
	if _, there := os.LookupEnv(keyring.EnvVarKey); there {
		t.Error("credential plugins inherit it")
	}
	if got := takeEnv(keyring.EnvVarKey); got != "" {
		t.Errorf("took %q the second time", got)
	}
}

func TestMayRevealNamesVerbs(t *testing.T) {
	a, _, _ := newApp()
	verbs := map[string]*cobra.Command{}
	for _, cmd := range a.command().Commands() {
		verbs[cmd.Name()] = cmd
	}
	for name := range MayReveal {
		verb, flag, _ := strings.Cut(name, " --")
		if verbs[verb] == nil || flag != "" && verbs[verb].Flags().Lookup(flag) == nil {
			t.Errorf("there is no verb %s", name)
		}
	}
	for _, name := range []string{"push", "wire", "diff", "rotate", "rollout", "retire", "status", "restore", "lint", "version", "completion"} {
		if verbs[name] == nil || MayReveal[name] {
			t.Errorf("%s is no verb, or may reveal", name)
		}
	}
}

// A command that nobody knows is repeated, what stands behind one is not.
func TestArgumentsAreNotRepeated(t *testing.T) {
	for _, c := range []struct{ args, stderr string }{
		{"something", "error: unknown command \"something\"\nhint: kubectl fernet --help\n"},
		{"pish", "error: unknown command \"pish\"\nhint: did you mean: kubectl fernet push\n"},
		{"push " + canary, "error: kubectl fernet push takes no arguments, only flags\nhint: kubectl fernet push --help\n"},
		{"completion " + canary, "error: no completion script for that shell\nhint: one of: kubectl, bash, zsh, fish\n"},
		{"version -o " + canary, "error: -o: no such output format\nhint: one of: json, yaml\n"},
	} {
		if code, stdout, stderr := run(t, strings.Fields(c.args)...); code != 2 || stdout != "" || stderr != c.stderr {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", c.args, code, stdout, stderr)
		}
	}
}
