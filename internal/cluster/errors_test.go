// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// explained gives the *cluster.Error of a Result, and fails if it shows any of
// these texts, as they are or in base64.
func explained(t *testing.T, r cluster.Result, secret ...string) *cluster.Error {
	t.Helper()
	var e *cluster.Error
	if !errors.As(r.Err, &e) {
		t.Fatalf("fate %d, error %v; want a *cluster.Error", r.Fate, r.Err)
	}
	for _, s := range append(secret, canary) {
		for _, form := range []string{s, base64.StdEncoding.EncodeToString([]byte(s))[:len(s)]} {
			if strings.Contains(e.Message+string(e.Way), form) {
				t.Errorf("shows %q: %q, hint %q", form, e.Message, e.Way)
			}
		}
	}
	return e
}

// says checks an Error's text and hint; with an empty hint there must be none.
func says(t *testing.T, e *cluster.Error, message, hint string) {
	t.Helper()
	if !strings.Contains(e.Message, message) || !strings.Contains(string(e.Way), hint) || (e.Way == "") != (hint == "") {
		t.Errorf("error %q, hint %q; want %q and %q", e.Message, e.Way, message, hint)
	}
}

func TestErrorsOfAnAPIServer(t *testing.T) {
	l := newLab(t)
	for _, tc := range []struct {
		name          string
		edit          func(*ledger.Row)
		message, hint string
		refuse        bool
	}{
		{"missing namespace", func(r *ledger.Row) { r.Namespace = "no-such-one" },
			"the namespace does not exist", "kubectl create namespace no-such-one", true},
		{"name", func(r *ledger.Row) { r.Secret = "Not_A_Name" },
			`the API server refuses the object: Secret "Not_A_Name" is invalid: metadata.name: Invalid value: "Not_A_Name": a lowercase RFC 1123 subdomain`, "", false},
		{"label", func(r *ledger.Row) { r.KeyID = canary + "==" },
			`is invalid: metadata.labels: Invalid value: `, "", false},
		{"data key", func(r *ledger.Row) { r.EnvKey = canary + "/" },
			`is invalid: data[`, "", false},
		{"1 MiB and a byte", func(r *ledger.Row) { r.Token += strings.Repeat("A", manifest.MaxData) },
			`is invalid: data: Too long: may not be more than 1048576 bytes`, "", false},
		{"3 MiB", func(r *ledger.Row) { r.Token += strings.Repeat("A", 3*manifest.MaxData) },
			"Request entity too large", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			row := l.row("secret-a")
			tc.edit(&row)
			for _, dryRun := range []bool{false, true} {
				r := l.client.Create(t.Context(), row, dryRun)
				says(t, explained(t, r), tc.message, tc.hint)
				if r.Fate != cluster.Refused || cluster.RefusesAll(r.Err) != tc.refuse {
					t.Errorf("fate %d, refuses all: %v", r.Fate, !tc.refuse)
				}
			}
		})
	}
	t.Run("terminating namespace", func(t *testing.T) {
		release := l.deleting(t, "secret-c")
		t.Cleanup(release)
		namespaces := core.NewForConfigOrDie(testkube.RESTConfig(t)).Namespaces()
		if err := namespaces.Delete(t.Context(), l.namespace, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		var r cluster.Result
		until(t, "the namespace takes no more Secrets", func() bool {
			r = l.client.Create(t.Context(), l.row("secret-d"), true)
			return r.Err != nil
		})
		says(t, explained(t, r), "the namespace is being deleted", "wait until it is gone")
		if !cluster.RefusesAll(r.Err) {
			t.Error("does not refuse all")
		}
	})
}

func TestErrorsOfRights(t *testing.T) {
	l := newLab(t, "get")
	r := l.client.Create(t.Context(), l.row("secret-a"), false)
	says(t, explained(t, r), `cannot create resource "secrets"`, "ask for that verb")
	if r.Fate != cluster.Refused || !cluster.RefusesAll(r.Err) {
		t.Errorf("without create: fate %d, refuses all %v", r.Fate, cluster.RefusesAll(r.Err))
	}

	l = newLab(t, "create")
	l.ours(t, nil, "secret-a")
	r = l.client.Create(t.Context(), l.row("secret-a"), false)
	says(t, explained(t, r), `secrets "secret-a" already exists`, "")
	if r.Fate != cluster.Doubtful || cluster.RefusesAll(r.Err) {
		t.Errorf("without get: fate %d, refuses all %v", r.Fate, cluster.RefusesAll(r.Err))
	}

	config := rest.AnonymousClientConfig(testkube.RESTConfig(t))
	config.BearerToken = "canary-7f3a-bearer"
	r = connect(t, config, nil).Create(t.Context(), l.row("secret-a"), true)
	says(t, explained(t, r, config.BearerToken), "does not accept these credentials", "log in again")
	if !cluster.RefusesAll(r.Err) {
		t.Error("without credentials: does not refuse all")
	}
}

// echoing is a way to an API server that shows the body of what it does not send.
type echoing struct{}

func (echoing) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	return nil, errors.Join(errors.New("cannot send "+string(body[max(0, bytes.Index(body, []byte(canary))):])), err)
}

func TestErrorsOfTheWay(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	encrypted := httptest.NewUnstartedServer(http.NotFoundHandler())
	encrypted.Config.ErrorLog = log.New(io.Discard, "", 0)
	encrypted.StartTLS()
	defer encrypted.Close()
	ca := testkube.RESTConfig(t).CAData
	plugin := &clientcmdapi.ExecConfig{
		Command: "no-such-plugin", APIVersion: "client.authentication.k8s.io/v1",
		InteractiveMode: clientcmdapi.NeverExecInteractiveMode, InstallHint: "canary-7f3a-advice",
	}
	exec := func(command ...string) *clientcmdapi.ExecConfig {
		return &clientcmdapi.ExecConfig{Command: command[0], Args: command[1:], APIVersion: plugin.APIVersion, InteractiveMode: plugin.InteractiveMode}
	}
	proxy, _ := url.Parse(closed.URL)
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: encrypted.Certificate().Raw})
	for _, tc := range []struct {
		name          string
		config        rest.Config
		message, hint string
	}{
		{"refused", rest.Config{Host: closed.URL}, "cannot reach " + closed.URL + ": ", "is the cluster running"},
		{"a website", rest.Config{Host: plain.URL}, "HTTP 404 and is no Kubernetes API server", "check the server's address"},
		{"no TLS", rest.Config{Host: strings.Replace(plain.URL, "http", "https", 1)}, "HTTP response to HTTPS client", "no Kubernetes API server"},
		{"unknown CA", rest.Config{Host: encrypted.URL, TLSClientConfig: rest.TLSClientConfig{CAData: ca}}, "unknown authority", "certificate-authority"},
		{"a website with TLS", rest.Config{Host: encrypted.URL, TLSClientConfig: rest.TLSClientConfig{CAData: own}}, "HTTP 404 and is no", "check the server's address"},
		{"no plugin", rest.Config{Host: encrypted.URL, TLSClientConfig: rest.TLSClientConfig{CAData: own}, ExecProvider: plugin}, "no-such-plugin not found", "install the credential plugin"},
		{"a plugin that prints a text", rest.Config{Host: encrypted.URL, TLSClientConfig: rest.TLSClientConfig{CAData: own}, ExecProvider: exec("echo", "please log in: "+canary)},
			"the credential plugin of the kubeconfig printed something else than credentials", "kubectl config view --minify -o jsonpath='{.users[0].user.exec}' shows its command"},
		{"a plugin that prints JSON", rest.Config{Host: encrypted.URL, TLSClientConfig: rest.TLSClientConfig{CAData: own}, ExecProvider: exec("echo", `["`+canary+`"]`)},
			"the credential plugin of the kubeconfig printed something else than credentials", "shows its command"},
		{"a plugin that fails", rest.Config{Host: encrypted.URL, TLSClientConfig: rest.TLSClientConfig{CAData: own}, ExecProvider: exec("false")}, "the credential plugin of the kubeconfig: exec: executable false failed with exit code 1", "shows its command"},
		{"a dead proxy", rest.Config{Host: encrypted.URL, Proxy: http.ProxyURL(proxy)}, "cannot reach " + encrypted.URL + ": proxyconnect tcp: ", "is the proxy right that HTTPS_PROXY, or proxy-url in the kubeconfig, names? to go without it: export NO_PROXY=127.0.0.1"},
		{"a strange way", rest.Config{Host: plain.URL, WrapTransport: func(http.RoundTripper) http.RoundTripper { return echoing{} }}, ": cannot send [redacted]", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := connect(t, &tc.config, nil).Create(t.Context(), lab{namespace: "default"}.row("secret-a"), true)
			e := explained(t, r, "canary-7f3a-advice", "fieldManager", "/api/v1")
			says(t, e, tc.message, tc.hint)
			if cluster.RefusesAll(r.Err) {
				t.Error("refuses all")
			}
		})
	}
}

// Whatever an API server, a webhook or a gateway echoes of a request, no token
// comes out, and what else they say stays if it can.
func TestErrorsShowNoToken(t *testing.T) {
	l := newLab(t)
	token := canary + strings.Repeat("x_-9", 40) + "=="
	data := base64.StdEncoding.EncodeToString([]byte(token))
	echo := `said no to {"SECRET-A":"` + data + `"} and ` + token + "\nand [" + token[:16] + "]"
	causes := func(cause ...metav1.StatusCause) *metav1.StatusDetails {
		return &metav1.StatusDetails{Kind: "namespaces", Name: token, Causes: cause}
	}
	field := metav1.StatusCause{Type: "FieldValueInvalid", Message: echo, Field: "data[" + token + "]"}
	for _, tc := range []struct {
		name    string
		status  metav1.Status
		message string
	}{
		{"webhook", metav1.Status{Code: 400, Message: "admission webhook " + echo}, "admission webhook said no to {\"SECRET-A\":\"[redacted]\"} and [redacted]\nand [[redacted]]"},
		{"webhook, 403", metav1.Status{Code: 403, Reason: "Forbidden", Message: "cannot " + echo}, "cannot said no"},
		{"policy", metav1.Status{Code: 422, Reason: "Invalid", Message: `secrets "secret-a" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: ` + echo, Details: causes(metav1.StatusCause{Message: echo})},
			"refuses the object: secrets \"secret-a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: said no to {\"SECRET-A\":\"[redacted]"},
		{"credentials", metav1.Status{Code: 401, Reason: "Unauthorized", Message: echo}, "does not accept these credentials: said no to"},
		{"conflict", metav1.Status{Code: 409, Reason: "Conflict", Message: echo}, "said no"},
		{"invalid", metav1.Status{Code: 422, Reason: "Invalid", Message: echo, Details: causes(field)}, "refuses the object: said no to"},
		{"invalid by a strange type", metav1.Status{Code: 422, Reason: "Invalid", Details: causes(metav1.StatusCause{Type: metav1.CauseType(token)})}, "([redacted])"},
		{"invalid without causes", metav1.Status{Code: 422, Reason: "Invalid", Message: echo}, "refuses the object: said no to"},
		{"invalid without anything", metav1.Status{Code: 422, Reason: "Invalid"}, "refuses the object: HTTP 422"},
		{"namespace", metav1.Status{Code: 404, Reason: "NotFound", Message: echo, Details: causes()}, "the namespace does not exist"},
		{"internal", metav1.Status{Code: 500, Reason: "InternalError", Message: echo}, "said no"},
		{"long", metav1.Status{Code: 500, Message: strings.Repeat("ä", 246) + token + strings.Repeat("ö", 300)}, "ä[redacted]ö"},
		{"nothing at all", metav1.Status{Code: 500}, "the API server answered HTTP 500"},
		{"endless", metav1.Status{Code: 500, Message: strings.Repeat("ä", 3000)}, "ä…"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.status.TypeMeta, tc.status.Status = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, metav1.StatusFailure
			body, err := json.Marshal(tc.status)
			if err != nil {
				t.Fatal(err)
			}
			l.proxy.Reset(faultproxy.All(faultproxy.Status(int(tc.status.Code), asJSON, body)))
			row := l.row("secret-a")
			row.Token = token // what is sent is known, whatever it looks like
			e := explained(t, l.client.Create(t.Context(), row, true), token)
			if !strings.Contains(e.Message, tc.message) || len(e.Message) > 2100 {
				t.Errorf("error %q, want %q", e.Message, tc.message)
			}
		})
	}
	for code, message := range map[int]string{
		200: "is no Kubernetes object", 403: "HTTP 403 and is no Kubernetes API server", 413: "HTTP 413 and is no Kubernetes API server",
		401: "does not accept these credentials", 429: "too many requests", 500: "said no", 502: "said no", 503: "currently unable", 504: "may still be processing",
	} {
		for _, kind := range []string{"text/plain", "text/html", "application/json"} {
			l.proxy.Reset(faultproxy.All(faultproxy.Status(code, http.Header{"Content-Type": {kind}}, []byte(echo))))
			_, err := l.client.Observe(t.Context(), l.namespace, manifest.Interest{Bases: map[string]int{"secret-a": 1}})
			if e := explained(t, cluster.Result{Err: err}); kind == "text/plain" && !strings.Contains(e.Message, message) {
				t.Errorf("HTTP %d as %s: error %q, want %q", code, kind, e.Message, message)
			}
		}
	}
}

func TestTraceTellsOfEachRequestAndNothingElse(t *testing.T) {
	l := newLab(t)
	var mutex sync.Mutex
	var told []cluster.Exchange
	kubeconfig := t.TempDir() + "/proxy"
	if err := l.proxy.Kubeconfig(kubeconfig, "proxy", "proxy"); err != nil {
		t.Fatal(err)
	}
	client := connect(t, load(t, kubeconfig), func(e cluster.Exchange) {
		mutex.Lock()
		defer mutex.Unlock()
		if e.Took <= 0 {
			t.Errorf("%+v took no time", e)
		}
		e.Took = 0
		told = append(told, e)
	})
	writes := faultproxy.Writes
	l.proxy.Reset(faultproxy.First(1, writes(faultproxy.Status(429, faultproxy.RetryAfter(0), nil))), faultproxy.First(1, writes(faultproxy.ResetBefore())))
	client.Create(t.Context(), l.row("secret-a"), false)
	client.Create(t.Context(), l.row("secret-a"), false)
	if _, err := client.Observe(t.Context(), l.namespace, manifest.Interest{}); err != nil {
		t.Error(err)
	}
	secrets := "/api/v1/namespaces/" + l.namespace + "/secrets"
	want := []cluster.Exchange{
		{Method: "POST", Path: secrets, Status: 429, RetryAfter: "0"},
		{Method: "POST", Path: secrets, Status: 0},
		{Method: "GET", Path: secrets + "/secret-a", Status: 404},
		{Method: "POST", Path: secrets, Status: 201},
		{Method: "GET", Path: secrets, Status: 200},
		{Method: "GET", Path: secrets, Status: 200},
	}
	if !slices.Equal(told, want) {
		t.Errorf("told of %+v\nwant %+v", told, want)
	}
}
