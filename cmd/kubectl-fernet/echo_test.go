// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// echoValues are values that look like nothing that this program or Kubernetes says.
var echoValues = map[string]string{"SECRET_A": "xK9#vQ2!mZ7&wL4\"tR8 pJ", "SECRET_B": "hunter-Bq5zX0yUfGn3eVw", "SECRET_C": "πρόβα\nYd6kTq1oHs8bMc2a"}

// echoes are the ways in which a server quotes the body that it got.
var echoes = []func(body []byte) string{
	func(body []byte) string { return string(body) },
	func(body []byte) string { return base64.StdEncoding.EncodeToString(body) },
	func(body []byte) string { return "x" + base64.URLEncoding.EncodeToString(append([]byte("x"), body...)) },
	func(body []byte) string { return base64.RawStdEncoding.EncodeToString(append([]byte("xy"), body...)) },
	hex.EncodeToString,
	func(body []byte) string { return strconv.Quote(string(body)) },
	func(body []byte) string { return url.QueryEscape(string(body)) },
	func(body []byte) string { return fmt.Sprint(body) },
	func(body []byte) string { // split
		var b strings.Builder
		for part := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(body)), 20) {
			b.Write(append(part, '\n'))
		}
		return b.String()
	},
}

const (
	echoPolicy  = "ValidatingAdmissionPolicy 'keep-out' with binding 'everywhere' denied request: "
	echoMessage = "not on a Friday: "
)

// echoing answers every request that has a body with an error that quotes it. The
// interesting part of the body comes first: only the begin of a message is shown.
func echoing(code int, echo func([]byte) string) faultproxy.Rule {
	return func(r faultproxy.Request) faultproxy.Action {
		if r.Method == http.MethodGet || bytes.Contains(r.Body, []byte("SelfSubject")) {
			return nil
		}
		header, body := quoting(code, echo, r)
		return faultproxy.Status(code, header, body)
	}
}

// quoting makes an error that quotes a request.
func quoting(code int, echo func([]byte) string, r faultproxy.Request) (http.Header, []byte) {
	body := r.Body
	for _, sign := range []string{"gAAAA", "FERNET_KEY", "Z0FBQU"} {
		if at := bytes.Index(body, []byte(sign)); at >= 0 {
			body = body[max(0, at-20):]
			break
		}
	}
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: int32(code), // #nosec G115 -- an HTTP status
		Reason: echoReasons[code], Message: echoPolicy + echoMessage + echo(body),
		Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Message: echo(body), Field: echo(body)}}},
	}
	text, err := json.Marshal(status)
	if err != nil {
		panic(err) // a plain struct of strings and numbers
	}
	quoted := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return '.'
		}
		return c
	}, echo(body))
	header := http.Header{"Content-Type": {"application/json"}, "Warning": {`299 - "careful: ` + quoted[:min(len(quoted), 900)] + `"`}}
	return header, text
}

var echoReasons = map[int]metav1.StatusReason{
	400: metav1.StatusReasonBadRequest, 401: metav1.StatusReasonUnauthorized, 403: metav1.StatusReasonForbidden, 404: metav1.StatusReasonNotFound,
	409: metav1.StatusReasonConflict, 413: metav1.StatusReasonRequestEntityTooLarge, 422: metav1.StatusReasonInvalid, 429: metav1.StatusReasonTooManyRequests,
	500: metav1.StatusReasonInternalError, 503: metav1.StatusReasonServiceUnavailable, 504: metav1.StatusReasonTimeout,
}

// echoSite is a folder and a namespace in which every writing verb has something to send.
type echoSite struct {
	t         *testing.T
	dir       string
	namespace string
}

func newEchoSite(t *testing.T) echoSite {
	t.Helper()
	s := echoSite{t: t, dir: t.TempDir(), namespace: testkube.Namespace(t)}
	s.env(testKey, "SECRET_A", "SECRET_B")
	s.must("push")
	return s
}

// env writes the .env with some of the values.
func (s echoSite) env(key string, names ...string) {
	s.t.Helper()
	text := "KEY=" + key + "\n"
	for _, name := range names {
		quoted := "'" + echoValues[name] + "'"
		text += name + "=" + quoted + "\n"
	}
	write(s.t, filepath.Join(s.dir, ".env"), text)
}

func (s echoSite) run(kubeconfig string, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	cmd := exec.Command("kubectl-fernet", append(args, "-n", s.namespace, "-v", "9")...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	return out.String(), errOut.String(), exitCode(s.t, err)
}

func (s echoSite) must(args ...string) {
	s.t.Helper()
	if out, errOut, code := s.run(testkube.Kubeconfig(s.t), args...); code != 0 {
		s.t.Fatalf("%v: exit code %d\n%s%s", args, code, out, errOut)
	}
}

// kubectl changes what is in the namespace.
func (s echoSite) kubectl(args ...string) {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(testkube.Root(s.t), "bin", "kubectl"), append(args, "-n", s.namespace, "--kubeconfig", testkube.Kubeconfig(s.t))...)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// secrets are all that the folder and the requests hold.
func (s echoSite) secrets(requests []faultproxy.Request) (all []string) {
	for _, value := range echoValues {
		all = append(all, value)
	}
	all = slices.Concat(all, keysOf(s.t, s.dir), tokensOf(s.t, s.dir), []string{testKey})
	for _, r := range requests {
		for _, token := range tokenColumn.FindAll(r.Body, -1) {
			all = append(all, string(token))
		}
		for _, key := range keyText.FindAll(r.Body, -1) {
			all = append(all, string(key))
		}
	}
	return all
}

// echoVerbs are the writing verbs, each with what makes it write.
var echoVerbs = []struct {
	name    string
	prepare func(s echoSite)
	args    []string
}{
	{"push", func(s echoSite) { s.env(testKey, "SECRET_A", "SECRET_B", "SECRET_C") }, []string{"push"}},
	{"push --update", func(s echoSite) {
		write(s.t, filepath.Join(s.dir, ".env"), "KEY="+testKey+"\nSECRET_A='"+echoValues["SECRET_C"]+"'\n")
	}, []string{"push", "--update"}},
	{"rotate", func(echoSite) {}, []string{"rotate", "--yes"}},
	{"rotate --key-secret", func(echoSite) {}, []string{"rotate", "--yes", "--key-secret", "fernet-key"}},
	{"rotate --prepare", func(echoSite) {}, []string{"rotate", "--prepare", "--yes", "--key-secret", "fernet-key"}},
	{"restore", func(s echoSite) { s.kubectl("delete", "secret", "secret-a") }, []string{"restore"}},
	{"adopt", func(s echoSite) { s.kubectl("label", "secret", "secret-a", "app.kubernetes.io/managed-by-") }, []string{"adopt", "secret-a"}},
	{"rollout", func(s echoSite) {
		s.kubectl("create", "deployment", "web", "--image", "app", "--replicas", "0")
		s.kubectl("set", "env", "deployment/web", "--from=secret/secret-a")
		s.must("rotate", "--yes")
	}, []string{"rollout", "--yes", "--force", "--apps-have-key"}},
	{"wire", func(s echoSite) {
		s.kubectl("create", "deployment", "web", "--image", "app", "--replicas", "0")
	}, []string{"wire", "deployment/web", "--yes"}},
	{"retire", func(s echoSite) { s.must("rotate", "--yes") }, []string{"retire", "--yes"}},
}

// A server that quotes what it was sent, in any way and with any status: no six bytes
// in a row of a key, a value or a token are in any stream, and who refused and why is.
func TestServersThatEcho(t *testing.T) {
	for i, verb := range echoVerbs {
		t.Run(verb.name, func(t *testing.T) {
			t.Parallel()
			s, proxy := newEchoSite(t), startProxy(t)
			kubeconfig := proxyKubeconfig(t, proxy)
			verb.prepare(s)
			said := 0
			for j, code := range []int{400, 401, 403, 404, 409, 413, 422, 429, 500, 503, 504} {
				proxy.Reset(echoing(code, echoes[(i+j)%len(echoes)]))
				args := slices.Clone(verb.args)
				if verb.name == "rollout" {
					ring, err := decrypt.ParseKeys(keysOf(t, s.dir)[0])
					if err != nil {
						t.Fatal(err)
					}
					args = append(args, ring.KeyIDs()[0])
				}
				stdout, stderr, exit := s.run(kubeconfig, args...)
				requests := proxy.Requests()
				noRunOf(t, fmt.Sprintf("HTTP %d: stdout", code), stdout, s.secrets(requests))
				noRunOf(t, fmt.Sprintf("HTTP %d: stderr", code), stderr, s.secrets(requests))
				echoed := slices.ContainsFunc(requests, func(r faultproxy.Request) bool { return r.Status == code && r.Method != http.MethodGet })
				if !echoed || verb.name == "adopt" && code == http.StatusConflict { // which means that somebody was faster
					continue
				}
				said++
				if exit == 0 || !strings.Contains(stderr, echoPolicy+echoMessage) || !strings.Contains(stderr, "Warning: careful: ") {
					t.Errorf("HTTP %d: exit code %d, and not said who refused and why:\n%s", code, exit, stderr)
				}
			}
			if said == 0 {
				t.Error("nothing was sent")
			}
		})
	}
}

// spellings are the ways in which a text is written sign by sign, so that a part of it is a
// part of what is written.
var spellings = []func(string) string{
	func(text string) string { return text },
	func(text string) string { return strings.Trim(strconv.Quote(text), "\"") },
	func(text string) string {
		quoted, _ := json.Marshal(text) // of a string, it cannot fail
		return string(quoted[1 : len(quoted)-1])
	},
	url.QueryEscape, url.PathEscape, html.EscapeString,
}

// noRunOf fails where six bytes in a row of a secret are in a text: as they are, quoted or
// escaped, in base64 of any alignment, or in hexadecimal.
func noRunOf(t *testing.T, where, text string, secrets []string) {
	t.Helper()
	std, lower := strings.NewReplacer("-", "+", "_", "/").Replace(text), strings.ToLower(text)
	shown := func(text, form string, run int) bool {
		for i := 0; i+run <= len(form); i++ {
			if strings.Contains(text, form[i:i+run]) {
				return true
			}
		}
		return false
	}
	for _, secret := range secrets {
		found := shown(lower, hex.EncodeToString([]byte(secret)), 12)
		for i := 0; i+6 <= len(secret) && !found; i++ {
			for _, spell := range spellings {
				found = found || strings.Contains(text, spell(secret[i:i+6]))
			}
		}
		for _, before := range []string{"", "x", "xy"} {
			form := base64.RawStdEncoding.EncodeToString([]byte(before + secret))
			found = found || shown(std, form[min(len(form), 2*len(before)):], 9)
		}
		if found {
			t.Errorf("%s shows a part of a secret:\n%s", where, text)
			return
		}
	}
}
