// SPDX-License-Identifier: Apache-2.0

package faultproxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// names is an upstream that creates each path once, as an API server does.
type names struct {
	mu   sync.Mutex
	made []string
	at   []time.Time
}

func (n *names) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	code := http.StatusCreated
	switch {
	case r.Method == http.MethodGet:
		code = http.StatusOK
	case slices.Contains(n.made, r.URL.Path):
		code = http.StatusConflict
	default:
		n.made, n.at = append(n.made, r.URL.Path), append(n.at, time.Now())
	}
	w.WriteHeader(code)
	if code == http.StatusConflict {
		_ = json.NewEncoder(w).Encode(apierrors.NewAlreadyExists(corev1.Resource("secrets"), "a").Status())
		return
	}
	_, _ = io.WriteString(w, `{"kind":"Secret","apiVersion":"v1"}`)
}

func (n *names) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.made)
}

func clientConfig(t testing.TB, p *Proxy) *rest.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := p.Kubeconfig(file, "context", "cluster"); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	config.GroupVersion, config.NegotiatedSerializer = &corev1.SchemeGroupVersion, scheme.Codecs.WithoutConversion()
	return config
}

// client is client-go's own, as the plugin has it.
func client(t testing.TB, p *Proxy) *rest.RESTClient {
	t.Helper()
	c, err := rest.UnversionedRESTClientFor(clientConfig(t, p))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func create(t testing.TB, c *rest.RESTClient, path string) error {
	t.Helper()
	return c.Post().AbsPath(path).Body(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "a"}}).Do(t.Context()).Error()
}

func TestCuts(t *testing.T) {
	tests := map[string]struct {
		action   Action
		want     error
		upstream int
	}{
		"drop reply":   {DropReply(), io.EOF, 201},
		"cut":          {Cut(), io.EOF, 0},
		"reset before": {ResetBefore(), syscall.ECONNRESET, 0},
		"reset after":  {After(ResetBefore()), syscall.ECONNRESET, 201},
		"hang":         {Hang(time.Millisecond), io.EOF, 0},
		"hang after":   {After(Hang(time.Millisecond)), io.EOF, 201},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var upstream names
			p := start(t, upstream.ServeHTTP, Options{}, All(test.action))
			err := create(t, client(t, p), "/a")
			if !errors.Is(err, test.want) {
				t.Errorf("the client sees %v, want %v", err, test.want)
			}
			landed := upstream.count() == 1
			got := p.Requests()
			if len(got) != 1 || got[0].Status != 0 || got[0].Upstream != test.upstream || landed != (test.upstream != 0) {
				t.Errorf("landed: %v, logged %+v", landed, got)
			}
		})
	}
}

// A hang ends when its client has gone.
func TestHangEndsWithItsClient(t *testing.T) {
	p := start(t, new(names).ServeHTTP, Options{}, All(Hang(time.Hour)))
	client := &http.Client{Timeout: 20 * time.Millisecond}
	if resp, err := client.Get("http://" + p.address); err == nil {
		_ = resp.Body.Close()
		t.Error("it was answered")
	}
	settle(t, p)
}

// Of half a reply comes its header, the half of its body, and no end; of a watch, the half
// of its first change.
func TestHalf(t *testing.T) {
	finish := make(chan struct{})
	defer close(finish)
	p := start(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "12345678")
		if r.URL.Query().Get("watch") != "" {
			_ = http.NewResponseController(w).Flush()
			<-finish
		}
	}, Options{})
	for _, tt := range []struct {
		path     string
		action   Action
		code     int
		body     string
		upstream int
	}{
		{"/", HalfReply(), 200, "1234", 200},
		{"/?watch=true", HalfReply(), 200, "1234", 200},
		{"/", HalfStatus(500, nil, []byte("abcd")), 500, "ab", 0},
	} {
		p.Reset(All(tt.action))
		code, body, err := send(t, p, http.MethodGet, tt.path, "")
		if code != tt.code || body != tt.body || !errors.Is(err, io.ErrUnexpectedEOF) || p.Requests()[0].Upstream != tt.upstream {
			t.Errorf("%s: got %d %q, %v", tt.path, code, body, err)
		}
	}
}

func TestStatus(t *testing.T) {
	p := start(t, new(names).ServeHTTP, Options{})
	tests := []struct {
		action   Action
		is       func(error) bool
		upstream int
	}{
		{Status(403, nil, nil), apierrors.IsForbidden, 0},
		{Status(429, nil, nil), apierrors.IsTooManyRequests, 0},
		{Status(500, nil, nil), apierrors.IsInternalError, 0},
		{Status(503, nil, nil), apierrors.IsServiceUnavailable, 0},
		{Status(504, nil, nil), apierrors.IsTimeout, 0},
		{StatusAfter(504, nil), apierrors.IsTimeout, 201},
	}
	for _, test := range tests {
		p.Reset(All(test.action))
		if err := create(t, client(t, p), "/a"); !test.is(err) {
			t.Errorf("the client sees %#v", err)
		}
		if got := p.Requests(); len(got) != 1 || got[0].Upstream != test.upstream {
			t.Errorf("logged %+v", got)
		}
	}
	p.Reset(All(Status(504, nil, nil)))
	if body := mustSend(t, p, http.MethodGet, "/", "", 504); !strings.HasPrefix(body, `{"kind":"Status","apiVersion":"v1",`) {
		t.Errorf("body: %s", body)
	}
}

func TestStatusOwnReply(t *testing.T) {
	header := http.Header{"X-Own": {"h"}, "Content-Type": {"text/html"}}
	p := start(t, new(names).ServeHTTP, Options{}, All(Status(502, header, []byte("<html>"))))
	resp, err := http.Get("http://" + p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 502 || string(body) != "<html>" || resp.Header.Get("X-Own") != "h" || resp.Header.Get("Content-Type") != "text/html" {
		t.Errorf("got %d %q %v", resp.StatusCode, body, resp.Header)
	}
}

// client-go sends a POST again after a 503 with Retry-After, and so meets its own object.
func TestResendAfter503(t *testing.T) {
	var upstream names
	p := start(t, upstream.ServeHTTP, Options{}, First(1, Writes(StatusAfter(503, RetryAfter(1)))))
	begun := time.Now()
	if err := create(t, client(t, p), "/a"); !apierrors.IsAlreadyExists(err) {
		t.Errorf("the client sees %v, want its own object in the way", err)
	}
	if took := time.Since(begun); took < time.Second {
		t.Errorf("Retry-After: 1 was over in %v", took)
	}
	if got := outcomes(p); !slices.Equal(got, []string{"503/201", "409/409"}) {
		t.Errorf("client/upstream: %v", got)
	}
	r := p.Writes()
	if len(r[0].Body) == 0 || !reflect.DeepEqual(r[0].Body, r[1].Body) {
		t.Error("the second request has another body")
	}
}

func TestThrottledThenPass(t *testing.T) {
	p := start(t, new(names).ServeHTTP, Options{}, First(2, Writes(Status(429, RetryAfter(0), nil))))
	if err := create(t, client(t, p), "/a"); err != nil {
		t.Error(err)
	}
	if got := outcomes(p); !slices.Equal(got, []string{"429/0", "429/0", "201/201"}) {
		t.Errorf("client/upstream: %v", got)
	}
}

func outcomes(p *Proxy) []string {
	var list []string
	for _, r := range p.Requests() {
		list = append(list, fmt.Sprintf("%d/%d", r.Status, r.Upstream))
	}
	return list
}

func TestRules(t *testing.T) {
	rules := []Rule{
		Nth(2, Writes(Status(402, nil, nil))),
		First(1, Writes(Status(401, nil, nil))), // sees neither the 402 nor a GET
		func(r Request) Action {
			if r.N == 6 {
				return Pass()
			}
			return nil
		},
		Nth(3, All(Status(418, nil, nil))),
	}
	p := start(t, new(names).ServeHTTP, Options{}, rules...)
	wants := []int{200, 401, 402, 200, 418, 200, 200}
	for i, want := range wants {
		method := http.MethodGet
		if i == 1 || i == 2 {
			method = http.MethodPost
		}
		mustSend(t, p, method, fmt.Sprint("/", i), "", want)
	}
}

func TestDelay(t *testing.T) {
	const d = 60 * time.Millisecond
	for name, action := range map[string]Action{"before": Delay(d, 0), "after": Delay(0, d)} {
		var upstream names
		p := start(t, upstream.ServeHTTP, Options{}, All(action))
		begun := time.Now()
		mustSend(t, p, http.MethodPost, "/a", "", 201)
		ended := time.Now()
		waits := map[string]time.Duration{"before": upstream.at[0].Sub(begun), "after": ended.Sub(upstream.at[0])}
		if waits[name] < d {
			t.Errorf("%s: waited %v", name, waits)
		}
	}
}

func TestHold(t *testing.T) {
	for name, landed := range map[string]int{"before": 0, "after": 1} {
		t.Run(name, func(t *testing.T) {
			var upstream names
			release := make(chan struct{})
			action := map[string]Action{"before": Hold(release, nil), "after": Hold(nil, release)}[name]
			p := start(t, upstream.ServeHTTP, Options{}, All(action))
			replied := make(chan int)
			go func() {
				code, _, _ := send(t, p, http.MethodPost, "/a", "")
				replied <- code
			}()
			for len(p.Requests()) == 0 || upstream.count() < landed {
				time.Sleep(time.Millisecond)
			}
			select {
			case code := <-replied:
				t.Fatalf("answered %d while held", code)
			case <-time.After(60 * time.Millisecond): // in which it would be answered, or one too many land
			}
			if got := upstream.count(); got != landed {
				t.Errorf("while held %d landed, want %d", got, landed)
			}
			close(release)
			if code := <-replied; code != 201 {
				t.Errorf("answered %d", code)
			}
		})
	}
}

func TestLandLater(t *testing.T) {
	const d = 60 * time.Millisecond
	release := make(chan struct{})
	for name, action := range map[string]Action{"later": LandLater(d), "when": LandWhen(release)} {
		t.Run(name, func(t *testing.T) {
			var upstream names
			p, begun := start(t, upstream.ServeHTTP, Options{}, All(action)), time.Now()
			if err := create(t, client(t, p), "/a"); !apierrors.IsTimeout(err) {
				t.Errorf("the client sees %v", err)
			}
			if name == "when" {
				if upstream.count() != 0 {
					t.Error("landed at once")
				}
				close(release)
			}
			for wait := time.Now().Add(time.Minute); upstream.count() == 0 || outcomes(p)[0] != "504/201"; {
				if time.Now().After(wait) {
					t.Fatalf("never landed: %v", outcomes(p))
				}
				time.Sleep(time.Millisecond)
			}
			if waited := upstream.at[0].Sub(begun); name == "later" && waited < d {
				t.Errorf("landed after %v", waited)
			}
		})
	}
}

const childURL = "FAULTPROXY_TEST_CHILD_URL"

// As a child the test binary is a client that sends one POST and ends well.
func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		resp, err := http.DefaultClient.Post(url, "text/plain", strings.NewReader("{}"))
		if err == nil {
			_ = resp.Body.Close()
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// startChild runs TestMain's client.
func startChild(t *testing.T, url string) *exec.Cmd {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childURL+"="+url)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	return child
}

func TestKill(t *testing.T) {
	for name, action := range map[string]func(func() int) Action{"before": KillBefore, "after": KillAfter} {
		t.Run(name, func(t *testing.T) {
			var upstream names
			pid := make(chan int, 1)
			p := start(t, upstream.ServeHTTP, Options{}, Writes(action(func() int { return <-pid })))
			child := startChild(t, "http://"+p.address+"/a")
			pid <- child.Process.Pid
			var exit *exec.ExitError
			if err := child.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Errorf("the client ended with %v", err)
			}
			settle(t, p)
			got := p.Requests()[0]
			landed := upstream.count() == 1
			if !got.Killed || got.Status != 0 || landed != (name == "after") || landed != (got.Upstream == 201) {
				t.Errorf("landed: %v, logged %+v", landed, got)
			}
		})
	}
}

func TestKillNobody(t *testing.T) {
	p := start(t, new(names).ServeHTTP, Options{})
	child := startChild(t, "http://"+p.address+"/a") // not waited for, so a zombie in the end
	defer func() { _ = child.Wait() }()
	for len(p.Requests()) == 0 || !zombie(child.Process.Pid) {
		time.Sleep(time.Millisecond)
	}
	for name, pid := range map[string]int{"zombie": child.Process.Pid, "nobody": 0, "init": 1, "everybody": -1, "a group": -1 << 30} {
		p.Reset(All(KillBefore(func() int { return pid })))
		if _, _, err := send(t, p, http.MethodPost, "/", ""); err == nil {
			t.Errorf("%s: answered", name)
		}
		if p.Requests()[0].Killed {
			t.Errorf("%s: killed", name)
		}
	}
}
