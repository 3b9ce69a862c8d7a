// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// Go's HTTP/2 client would write the bearer token and each body to stderr.
func TestHTTP2DebuggingIsRefused(t *testing.T) {
	for _, setting := range []string{"http2debug=1", "http2debug=2", "madvdontneed=1,http2debug=2"} {
		p := newPlace(t, 1)
		cmd := p.push(testkube.Kubeconfig(t), "--token", "canary-bearer-token")
		cmd.Env = append(cmd.Env, "GODEBUG="+setting)
		out, err := cmd.CombinedOutput()
		if code := exitCode(t, err); code != 2 || !bytes.HasPrefix(out, []byte("error: GODEBUG=http2debug ")) || bytes.Contains(out, []byte("canary")) || bytes.Contains(out, []byte("http2: ")) {
			t.Errorf("%s: exit code %d\n%s", setting, code, out)
		}
		if rows := read(t, filepath.Join(p.dir, ledgerName)); len(rows) > 0 {
			t.Errorf("%s: something was planned", setting)
		}
	}
	p := newPlace(t, 1)
	cmd := p.push(testkube.Kubeconfig(t))
	cmd.Env = append(cmd.Env, "GODEBUG=http2debug=0,madvdontneed=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("other settings: %v\n%s", err, out)
	}
}

// pluginKubeconfig has a shell script give the credentials.
func pluginKubeconfig(t *testing.T, script string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(testkube.Kubeconfig(t))
	if err != nil {
		t.Fatal(err)
	}
	user := config.AuthInfos[config.Contexts["localkube"].AuthInfo]
	credential := `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"clientCertificateData":"%s","clientKeyData":"%s"}}`
	for _, data := range [][]byte{user.ClientCertificateData, user.ClientKeyData} {
		credential = strings.Replace(credential, "%s", strings.ReplaceAll(string(data), "\n", `\n`), 1)
	}
	file := filepath.Join(t.TempDir(), "credential")
	write(t, file, credential)
	config.Contexts["localkube"].AuthInfo = "plugin"
	config.AuthInfos["plugin"] = &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{
		APIVersion: "client.authentication.k8s.io/v1", Command: "sh", Args: []string{"-c", script + "\ncat '" + file + "'"},
		InteractiveMode: clientcmdapi.IfAvailableExecInteractiveMode,
	}}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

// What a credential plugin says is shown, without what this process knows and without
// anything that a terminal obeys; before the report, so that a question can be read.
func TestWhatPluginsSayIsCleaned(t *testing.T) {
	p := newPlace(t, 1)
	value := p.values["SECRET_00"]
	script := `printf 'open https://login.example/device and enter ABCD\n\033[31mkey %s\n%s\n' "$(cat .env | head -1)" '` + base64.StdEncoding.EncodeToString([]byte(value)) + `' >&2
printf 'no line end: ' >&2`
	cmd := p.push(pluginKubeconfig(t, script))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	noRunOf(t, "stderr", stderr.String(), []string{testKey, value})
	shown(t, "stderr", stderr.String())
	for _, want := range []string{"open https://login.example/device and enter ABCD\n", `\x1b[31mkey KEY=[redacted]` + "\n[redacted]\n", "no line end: "} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("no %q in:\n%s", want, &stderr)
		}
	}
}

// A question without a line end can be read before it is answered.
func TestQuestionsOfPluginsCanBeRead(t *testing.T) {
	p := newPlace(t, 1)
	cmd := p.push(pluginKubeconfig(t, "printf 'Password: ' >&2; cat '"+filepath.Join(p.dir, "answer")+"' >/dev/null"))
	if out, err := exec.Command("mkfifo", filepath.Join(p.dir, "answer")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said []byte
	for !bytes.Contains(said, []byte("Password: ")) {
		more := make([]byte, 1024)
		n, err := stderr.Read(more)
		said = append(said, more[:n]...)
		if err != nil {
			t.Fatalf("%v, after %q", err, said)
		}
	}
	answer, err := os.OpenFile(filepath.Join(p.dir, "answer"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("after the answer: %v", err)
	}
}
