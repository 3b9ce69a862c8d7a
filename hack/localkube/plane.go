// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	admin      = "localkube-admin"
	adminGroup = "system:masters" // bypasses RBAC
	controller = "system:kube-controller-manager"
	scheduler  = "system:kube-scheduler"

	// startup is how long a control plane has to become ready; three seconds are usual, a busy machine takes longer.
	startup = 2 * time.Minute
	// tail is how many bytes of a log an error quotes.
	tail = 1500
)

// plane is one control plane: its directory, its certificate authority and, unless it was only opened, its processes.
type plane struct {
	dir       string
	bin       string
	apiOnly   bool
	used      bool // a control plane ran in dir before, and its data is there
	url, etcd string
	authority authority

	// running ends when a signal comes or a process ends; its cause says which.
	running   context.Context
	lose      context.CancelCauseFunc
	processes []*os.Process
	ended     sync.WaitGroup
}

// launch starts a control plane in dir and returns once it is ready. A start that fails is tried once more, because another
// program may take a port between our choosing it and our binding it.
func launch(ctx context.Context, dir string, apiOnly bool) (*plane, error) {
	bin, err := commands(apiOnly)
	if err != nil {
		return nil, err
	}
	dir, used, err := dataDir(dir)
	if err != nil {
		return nil, err
	}
	for range 2 {
		p := &plane{dir: dir, bin: bin, apiOnly: apiOnly, used: used}
		p.running, p.lose = context.WithCancelCause(ctx)
		if err = p.start(); err == nil {
			return p, nil
		}
		p.stop()
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// open finds the control plane that was started in dir.
func open(dir string) (*plane, error) {
	p := &plane{dir: dir}
	url, err := os.ReadFile(p.path("url"))
	if err != nil {
		return nil, fmt.Errorf("%s is not the data directory of a control plane: %w", dir, err)
	}
	p.url = string(url)
	p.authority, err = loadAuthority(p.path("ca.pem"), p.path("ca-key.pem"))
	return p, err
}

// commands is the directory of our own executable, where the control plane's commands have to be too.
func commands(apiOnly bool) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(self)
	names := []string{"etcd", "kube-apiserver"}
	if !apiOnly {
		names = append(names, "kube-controller-manager", "kube-scheduler", "kwok", stages)
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("%s is not in %s; run: make localkube", name, dir)
		}
	}
	return dir, nil
}

// dataDir makes dir unless it is there, and refuses one with anything in it but what a control plane left: then it was used.
func dataDir(dir string) (path string, used bool, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return "", false, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", false, fmt.Errorf("data directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", false, fmt.Errorf("data directory: %w", err)
	}
	_, err = os.Stat(filepath.Join(dir, stored))
	if used = err == nil; !used && len(entries) > 0 {
		return "", false, fmt.Errorf("data directory %s is not empty, and no control plane ran in it; name a new one or remove what is in it", dir)
	}
	return dir, used, nil
}

func (p *plane) path(name string) string { return filepath.Join(p.dir, name) }

// start is one attempt at a ready control plane.
func (p *plane) start() error {
	if err := p.prepare(); err != nil {
		return err
	}
	if err := p.spawn("etcd", "--data-dir="+p.path("etcd"),
		"--listen-client-urls="+p.etcd, "--advertise-client-urls="+p.etcd, "--listen-peer-urls=http://127.0.0.1:0"); err != nil {
		return err
	}
	if err := p.spawn("kube-apiserver", p.apiserverFlags()...); err != nil {
		return err
	}
	if err := p.startClients(); err != nil {
		return err
	}
	return os.WriteFile(p.path(stored), nil, 0o600)
}

// stored is there once a control plane was ready in a data directory.
const stored = "stored"

// prepare chooses the addresses and fills the data directory; what was used keeps what it has.
func (p *plane) prepare() error {
	if p.used {
		etcd, err := os.ReadFile(p.path("etcd-url"))
		if err != nil {
			return err
		}
		before, err := open(p.dir)
		if err != nil {
			return err
		}
		p.url, p.etcd, p.authority = before.url, string(etcd), before.authority
		return nil
	}
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	p.etcd = fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	p.url = fmt.Sprintf("https://127.0.0.1:%d", ports[1])
	return p.writeFiles()
}

func (p *plane) apiserverFlags() []string {
	return []string{
		"--etcd-servers=" + p.etcd,
		"--bind-address=127.0.0.1",
		"--secure-port=" + p.url[strings.LastIndex(p.url, ":")+1:],
		"--cert-dir=" + p.path("apiserver"),
		"--tls-cert-file=" + p.path("apiserver.pem"),
		"--tls-private-key-file=" + p.path("apiserver-key.pem"),
		"--client-ca-file=" + p.path("ca.pem"),
		"--service-account-issuer=" + p.url,
		"--service-account-key-file=" + p.path("apiserver-key.pem"),
		"--service-account-signing-key-file=" + p.path("apiserver-key.pem"),
		"--service-cluster-ip-range=10.0.0.0/24",
		"--authorization-mode=RBAC",
		"--endpoint-reconciler-type=none",
	}
}

// startClients starts the API server's clients and returns when they have done their first work. It waits for the API
// server first: a controller manager that finds none for ten seconds gives up. An API server alone is ready when its own
// loops have made the namespace default.
func (p *plane) startClients() error {
	ctx, cancel := context.WithTimeoutCause(p.running, startup, fmt.Errorf("not ready after %v; the logs are in %s", startup, p.dir))
	defer cancel()
	client, err := p.client()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	if err := answered(ctx, client, p.url+"/readyz", "", ok); err != nil {
		return err
	}
	if p.apiOnly {
		return answered(ctx, client, p.url+"/api/v1/namespaces/default", "", ok)
	}
	if err := p.startControllers(); err != nil {
		return err
	}
	if err := p.startWorkloads(); err != nil {
		return err
	}
	if err := answered(ctx, client, p.url+"/api/v1/nodes", oneNode, made); err != nil {
		return err
	}
	if err := answered(ctx, client, p.url+"/api/v1/namespaces/default/serviceaccounts/default", "", ok); err != nil {
		return err
	}
	return answered(ctx, client, p.url+"/api/v1/nodes/localkube", "", free)
}

// startControllers gives each controller credentials of its own: otherwise no quota is enforced and no namespace is ever
// emptied. With the usual 20 requests a second, the first service accounts alone take five seconds. The fake node sends no
// heartbeats, and pods of a node that was given up never become ready again: so it has a day.
func (p *plane) startControllers() error {
	return p.spawn("kube-controller-manager", "--kubeconfig="+p.path("controllers.kubeconfig"),
		"--leader-elect=false", "--secure-port=0", "--use-service-account-credentials=true",
		"--kube-api-qps=1000", "--kube-api-burst=1000", "--node-monitor-grace-period=24h")
}

// answered gets a URL, or posts a body to it, until the answer will do.
func answered(ctx context.Context, client *http.Client, url, body string, will func(*http.Response) bool) error {
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	for {
		req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		if resp, err := client.Do(req); err == nil {
			done := will(resp)
			_ = resp.Body.Close()
			if done {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func ok(resp *http.Response) bool { return resp.StatusCode == http.StatusOK }

// client is an HTTP client of the administrator.
func (p *plane) client() (*http.Client, error) {
	issued, err := p.authority.client(admin, adminGroup)
	if err != nil {
		return nil, err
	}
	own, err := tls.X509KeyPair(issued.cert, issued.key)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(p.authority.cert)
	config := &tls.Config{Certificates: []tls.Certificate{own}, RootCAs: roots}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config}, Timeout: 5 * time.Second}, nil
}

// writeFiles fills the data directory, anew for each attempt of a first start.
func (p *plane) writeFiles() error {
	var err error
	if p.authority, err = newAuthority(time.Now()); err != nil {
		return err
	}
	server, err := p.authority.server(net.IPv4(127, 0, 0, 1))
	if err != nil {
		return err
	}
	ca, err := p.authority.pair()
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"ca.pem": ca.cert, "ca-key.pem": ca.key,
		"apiserver.pem": server.cert, "apiserver-key.pem": server.key,
		"url": []byte(p.url), "etcd-url": []byte(p.etcd),
	} {
		if err := os.WriteFile(p.path(name), content, 0o600); err != nil {
			return err
		}
	}
	return errors.Join(os.RemoveAll(p.path("etcd")),
		p.writeKubeconfig(p.path("controllers.kubeconfig"), controller),
		p.writeKubeconfig(p.path("scheduler.kubeconfig"), scheduler),
		p.writeKubeconfig(p.path("kwok.kubeconfig"), "kwok", adminGroup))
}

// freePorts finds n free ports on loopback. All are held until all are found, so that none is found twice.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("free port: %w", err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// spawn starts one process of the control plane. Its environment is empty but for places to write to: etcd takes flags from
// there, and nothing may be written outside the data directory.
func (p *plane) spawn(name string, args ...string) error {
	log, err := os.Create(p.path(name + ".log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir, cmd.Env = p.dir, []string{"HOME=" + p.dir, "TMPDIR=" + p.dir}
	cmd.Stdout, cmd.Stderr = log, log
	if err := spawn(inBackground(cmd)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p.processes = append(p.processes, cmd.Process)
	p.ended.Go(func() {
		_ = cmd.Wait() // the process state says it all
		if p.running.Err() == nil {
			p.lose(fmt.Errorf("%s ended: %v; its log %s ends with:\n%s", name, cmd.ProcessState, log.Name(), end(log.Name())))
		}
	})
	return nil
}

// end is the last lines of a log.
func end(path string) string {
	log, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(log) > tail {
		log = log[len(log)-tail:]
		_, log, _ = bytes.Cut(log, []byte("\n"))
	}
	return strings.TrimSpace(string(log))
}

// stop kills all processes and returns when they are gone. Nothing is lost by that: etcd has fsynced what it confirmed, and
// the data directory is not used again.
func (p *plane) stop() {
	p.lose(context.Canceled)
	for _, process := range p.processes {
		_ = process.Kill() // an error says that it is gone
	}
	p.ended.Wait()
}
