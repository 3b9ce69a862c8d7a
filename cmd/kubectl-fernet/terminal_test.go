// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/tools/clientcmd/api/latest"

	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// hostileTexts are what a terminal would obey, and a shell too: one is whole commands, one
// ends a quotation first.
var hostileTexts = []string{
	"x;$(touch pwned)`touch pwned`;touch pwned;\x1b[2Jpassed",
	"x$(touch pwned)`touch pwned`;touch pwned;\x1b[2J\x1b]0;title\x07\r\u202e\u2066\u200f\u009b31m'\"|touch pwned&\\b",
	"x';touch pwned;'\u202e",
	"x$(touch pwned)",
}

// terminalRun is a verb that meets a hostile text from one place outside.
type terminalRun struct {
	name    string
	args    []string
	prepare func(s *terminalSite)
	rule    faultproxy.Rule
	silent  bool // nothing of the text has to be shown
}

// terminalSite is where it runs.
type terminalSite struct {
	t          *testing.T
	dir        string
	kubeconfig *clientcmdapi.Config
}

func (s *terminalSite) put(name, text string) { write(s.t, filepath.Join(s.dir, name), text) }

// context gives the kubeconfig's one context other names.
func (s *terminalSite) context(context, cluster string) {
	was := s.kubeconfig.Contexts["localkube"]
	s.kubeconfig.Clusters[cluster] = s.kubeconfig.Clusters[was.Cluster]
	s.kubeconfig.Contexts = map[string]*clientcmdapi.Context{context: {Cluster: cluster, AuthInfo: was.AuthInfo, Namespace: was.Namespace}}
	s.kubeconfig.CurrentContext = context
}

// plugin has the credentials come from a program that says this on stderr.
func (s *terminalSite) plugin(command, text, advice string) {
	s.put("text", text)
	direct, err := clientcmd.LoadFromFile(testkube.Kubeconfig(s.t)) // without TLS no credentials are asked for
	if err != nil {
		s.t.Fatal(err)
	}
	s.kubeconfig.Clusters["localkube"] = direct.Clusters["localkube"]
	s.kubeconfig.Contexts["localkube"].AuthInfo = "plugin"
	s.kubeconfig.AuthInfos["plugin"] = &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{
		APIVersion: "client.authentication.k8s.io/v1", Command: command, Args: []string{"-c", "cat '" + filepath.Join(s.dir, "text") + "' >&2; exit 1"},
		InteractiveMode: clientcmdapi.NeverExecInteractiveMode, InstallHint: advice,
	}}
}

// run runs the plugin with the kubeconfig as it is now.
func (s *terminalSite) run(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	kubeconfig := filepath.Join(s.t.TempDir(), "kubeconfig")
	write(s.t, kubeconfig, inASCII(s.t, s.kubeconfig))
	cmd := exec.Command("kubectl-fernet", args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	code = exitCode(s.t, cmd.Run())
	return out.String(), errOut.String(), code
}

// saying answers with an error of that text.
func saying(hostile string, code int, reason metav1.StatusReason, details *metav1.StatusDetails, header http.Header) faultproxy.Rule {
	body, err := json.Marshal(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
		Code: int32(code), Reason: reason, Message: "said: " + hostile, Details: details, // #nosec G115 -- an HTTP status
	})
	if err != nil {
		panic(err) // a plain struct of strings and numbers
	}
	all := http.Header{"Content-Type": {"application/json"}}
	for name, values := range header {
		all[name] = values
	}
	return faultproxy.All(faultproxy.Status(code, all, body))
}

func terminalRuns(hostile string) []terminalRun {
	return []terminalRun{
		{name: "server, 403", args: []string{"push"}, rule: saying(hostile, 403, metav1.StatusReasonForbidden, nil, nil)},
		{name: "server, 422", args: []string{"status"}, rule: saying(hostile, 422, metav1.StatusReasonInvalid, nil, nil), silent: true},
		{name: "server, 500", args: []string{"push", "--dry-run=server"}, rule: saying(hostile, 500, metav1.StatusReasonInternalError, nil, nil)},
		{name: "server, namespace", args: []string{"push"}, rule: saying(hostile, 404, metav1.StatusReasonNotFound, &metav1.StatusDetails{Kind: "namespaces", Name: hostile}, nil)},
		{name: "server, warning", args: []string{"push"}, rule: saying(hostile, 403, metav1.StatusReasonForbidden, nil, http.Header{"Warning": {"299 - \"\u009b31m \u202e said $(touch pwned)\""}})},
		{name: "server, plain text", args: []string{"push"}, rule: faultproxy.All(faultproxy.Status(500, http.Header{"Content-Type": {"text/plain"}}, []byte(hostile)))},
		{name: "context", args: []string{"push"}, prepare: func(s *terminalSite) { s.context(hostile, "localkube") }},
		{name: "cluster", args: []string{"push"}, prepare: func(s *terminalSite) { s.context("localkube", hostile) }},
		{name: "context that is not there", args: []string{"push", "--context", hostile}},
		{name: "contexts that are there", args: []string{"push", "--context", "other"}, prepare: func(s *terminalSite) { s.context(hostile, "localkube") }},
		{name: "the context that may be meant", args: []string{"push", "--context", hostile[:len(hostile)-1] + "c"}, prepare: func(s *terminalSite) { s.context(hostile, "localkube") }},
		{name: "CLUSTER_NAME of another", args: []string{"push"}, prepare: func(s *terminalSite) {
			s.context("localkube", "elsewhere")
			s.put(".env", "KEY="+testKey+"\nSECRET_A=value-of-a\nCLUSTER_NAME=\"\x1b[2J$(touch pwned)\"\n")
		}},
		{name: "--context against CLUSTER_NAME", args: []string{"push", "--context", hostile}, prepare: func(s *terminalSite) {
			s.context(hostile, hostile)
			s.put(".env", "KEY="+testKey+"\nSECRET_A=value-of-a\nCLUSTER_NAME=\"\u202e$(touch pwned)\"\n")
		}},
		{name: "several contexts of a cluster", args: []string{"push"}, prepare: func(s *terminalSite) {
			s.context(hostile, "shared")
			s.kubeconfig.Contexts["z"] = s.kubeconfig.Contexts[hostile]
			s.put(".env", "KEY="+testKey+"\nSECRET_A=value-of-a\nCLUSTER_NAME=shared\n")
		}},
		{name: "namespace", args: []string{"push", "-n", hostile}},
		{name: "namespaces", args: []string{"push", "--namespaces", strings.ReplaceAll(hostile, `"`, "")}},
		{name: "server's address", args: []string{"push", "-s", "http://" + hostile}},
		{name: "plugin's words", args: []string{"push"}, prepare: func(s *terminalSite) { s.plugin("sh", hostile+"\n"+hostile, hostile) }},
		{name: "plugin's name", args: []string{"push"}, prepare: func(s *terminalSite) { s.plugin(hostile, "", hostile) }},
		{name: ".env that is not there", args: []string{"push", "--env", hostile}},
		{name: ".env in a folder that is not there", args: []string{"init", "--env", hostile + "/x"}},
		{name: ".env made", args: []string{"init", "--env", hostile}},
		{name: ".env that is there", args: []string{"init", "--env", hostile}, prepare: func(s *terminalSite) { s.put(hostile, "KEY="+testKey+"\n") }},
		{name: ".env that is a folder", args: []string{"push", "--env", hostile}, prepare: func(s *terminalSite) { s.folder(hostile) }},
		{name: ".env with findings", args: []string{"lint", "--env", hostile}, prepare: func(s *terminalSite) { s.put(hostile, "A='b'#c\n") }},
		{name: ".env that others may read", args: []string{"push", "--env", hostile, "--dry-run=client"}, prepare: func(s *terminalSite) {
			s.put(hostile, "KEY="+testKey+"\nSECRET_A=changeme\nB=\"$c\"\nMY_SECRET=x\n")
			s.chmod(hostile, 0o644)
		}},
		{name: ".env without a key", args: []string{"push", "--env", hostile}, prepare: func(s *terminalSite) { s.put(hostile, "SECRET_A=b\n") }},
		{name: ".env as an argument", args: []string{"push", hostile}, prepare: func(s *terminalSite) { s.put(hostile, "A=b\n") }},
		{name: "key file", args: []string{"push", "--key-file", hostile}},
		{name: "ledger that is a folder", args: []string{"push", "--ledger", hostile}, prepare: func(s *terminalSite) { s.folder(hostile) }},
		{name: "ledger in no folder", args: []string{"push", "--ledger", hostile + "/l.csv"}},
		{name: "ledger that is none", args: []string{"push", "--ledger", hostile}, prepare: func(s *terminalSite) { s.put(hostile, "a,b\n") }},
		{name: "clusters of a ledger", args: []string{"restore"}, prepare: func(s *terminalSite) {
			for _, cluster := range []string{hostile, "zz"} { // as two people would call it
				s.context("localkube", cluster)
				s.run("push", "--dry-run=none")
			}
			s.context("localkube", "elsewhere")
		}, silent: true},
		{name: "unknown command", args: []string{hostile[:15]}, silent: true},
		{name: "unknown flag", args: []string{"push", "--" + hostile[:15]}, silent: true},
		{name: "a question nobody can answer", args: []string{"rotate", "--context", hostile}, prepare: func(s *terminalSite) { s.context(hostile, "localkube") }},
		{name: "pull", args: []string{"pull", "--out", hostile}, prepare: func(s *terminalSite) { s.put(hostile, "A=b\n") }, silent: true},
		{name: "exec-env", args: []string{"exec-env", "--", hostile}},
	}
}

func (s *terminalSite) folder(name string) {
	if err := os.Mkdir(filepath.Join(s.dir, name), 0o700); err != nil {
		s.t.Fatal(err)
	}
}

func (s *terminalSite) chmod(name string, mode os.FileMode) {
	if err := os.Chmod(filepath.Join(s.dir, name), mode); err != nil {
		s.t.Fatal(err)
	}
}

// inASCII writes a kubeconfig as JSON without a character that YAML refuses.
func inASCII(t *testing.T, kubeconfig *clientcmdapi.Config) string {
	t.Helper()
	versioned, err := latest.Scheme.ConvertToVersion(kubeconfig, latest.ExternalVersion)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(versioned)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range string(text) {
		if r >= 0x7f {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Nothing that comes from outside is obeyed by a terminal, or by a shell into which
// somebody pastes what the program says.
func TestTerminalAndShellObeyNothing(t *testing.T) {
	proxy := startProxy(t)
	base, err := clientcmd.LoadFromFile(proxyKubeconfig(t, proxy))
	if err != nil {
		t.Fatal(err)
	}
	base.Contexts["localkube"].Namespace = testkube.Namespace(t)
	runs := slices.Concat(terminalRuns(hostileTexts[0]), terminalRuns(hostileTexts[1]), terminalRuns(hostileTexts[2]), terminalRuns(hostileTexts[3]))
	for _, run := range runs {
		t.Run(run.name, func(t *testing.T) {
			s := &terminalSite{t: t, dir: t.TempDir(), kubeconfig: base.DeepCopy()}
			s.put(".env", "KEY="+testKey+"\nSECRET_A=value-of-a\n")
			proxy.Reset()
			if run.rule != nil {
				proxy.Reset(run.rule)
			}
			if run.prepare != nil {
				run.prepare(s)
			}
			stdout, stderr, code := s.run(run.args...)
			if said := stdout + stderr; !run.silent && !strings.Contains(said, "touch pwned") || said == "" {
				t.Errorf("exit code %d, and nothing of the text was said: %q", code, said)
			}
			shown(t, "stdout", stdout)
			shown(t, "stderr", stderr)
			pasted(t, stdout+stderr)
		})
	}
}

// shown fails where a terminal would obey or hide something.
func shown(t *testing.T, where, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%s is not UTF-8: %q", where, text)
	}
	for _, r := range text {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			t.Errorf("%s has U+%04X: %q", where, r, text)
			return
		}
	}
}

var typed = regexp.MustCompile(`(?m)^(?:hint|next|note|warning): .*$`)

// pasted has a shell read each hint, and what of it looks like a command.
func pasted(t *testing.T, text string) {
	t.Helper()
	for _, line := range typed.FindAllString(text, -1) {
		kind, line, _ := strings.Cut(line, ": ")
		commands := regexp.MustCompile(`(?:kubectl|chmod|mkdir|git|--[a-z-]+) .*`).FindAllString(line, -1)
		if kind == "hint" || kind == "next" {
			commands = append(commands, line)
		}
		for _, command := range slices.Compact(commands) {
			dir := t.TempDir()
			cmd := exec.Command("bash", "--noprofile", "--norc", "-c", "kubectl() { :; }; chmod() { :; }; mkdir() { :; }; git() { :; }\n"+command)
			cmd.Dir = dir
			_ = cmd.Run() // prose is no command
			if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
				t.Errorf("a shell executes part of: %s", line)
			}
		}
	}
}
