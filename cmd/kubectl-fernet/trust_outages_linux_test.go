// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// outages befall a control plane while a rotation is under way.
var outages = []struct {
	name   string
	befall func(*ownPlane)
	codes  []int  // of the rotation
	says   string // where it fails
}{
	{"etcd stops for 3 s", func(p *ownPlane) { p.stall(3 * time.Second) }, []int{0}, ""},
	// The API server gives a write up after 34 s, and it may land all the same.
	{"etcd stops for 40 s", func(p *ownPlane) { p.stall(40 * time.Second) }, []int{0, 2}, "rotate again"},
	{"all is killed, and starts again", func(p *ownPlane) { p.kill(); p.begin() }, []int{0, 2}, "error: "},
	{"all is killed, and starts again later", func(p *ownPlane) { p.kill(); time.Sleep(5 * time.Second); p.begin() }, []int{2}, "error: "},
}

// Real outages of a control plane, each during a rotation: it ends well or says what failed,
// everything stays readable, and the next run finishes.
func TestTrustOutages(t *testing.T) {
	t.Run("outages", func(t *testing.T) {
		for _, outage := range outages {
			t.Run(outage.name, func(t *testing.T) {
				t.Parallel()
				p := newOwnPlane(t)
				p.must(0, "push")
				rotation := start(p.command("rotate", "--yes", "--parallel", "1"))
				p.awaitPlans(rotation)
				outage.befall(p)
				<-rotation.over
				code, said := codeOf(rotation.err), rotation.out.String()
				t.Logf("exit code %d: %s", code, said[strings.LastIndex(strings.TrimSpace(said), "\n")+1:])
				if !slices.Contains(outage.codes, code) || code != 0 && !strings.Contains(said, outage.says) {
					t.Errorf("exit code %d\n%s", code, said)
				}
				p.readable()
				if code, said := p.run("rotate", "--yes"); code != 0 && (code != 1 || !strings.Contains(said, "already use key")) {
					t.Errorf("the next run: exit code %d\n%s", code, said)
				}
				p.readable()
				p.must(0, "retire", "--skip-cluster-check", "--ignore", "history", "--yes")
				p.must(0, "verify")
				p.readable()
			})
		}
	})
	testkube.Cases(t, len(outages))
}

// ownPlane is a control plane that nobody else uses, with a folder whose secrets go there.
type ownPlane struct {
	t    *testing.T
	dir  string
	cmd  *exec.Cmd
	said bytes.Buffer
}

const ownEntries = 30

func newOwnPlane(t *testing.T) *ownPlane {
	t.Helper()
	p := &ownPlane{t: t, dir: t.TempDir()}
	env := "KEY=" + testKey + "\nCLUSTER_NAME=localkube\n"
	for i := range ownEntries {
		env += fmt.Sprintf("SECRET_%02d=%s\n", i, ownValue(i))
	}
	write(t, filepath.Join(p.dir, ".env"), env)
	p.begin()
	return p
}

func ownValue(i int) string { return fmt.Sprintf("canary-own-%02d-5f1c", i) }

func (p *ownPlane) kubeconfig() string { return filepath.Join(p.dir, "kubeconfig") }

// begin starts the control plane, and returns once it is ready.
func (p *ownPlane) begin() {
	p.t.Helper()
	_ = os.Remove(p.kubeconfig())
	p.cmd = exec.Command(filepath.Join(testkube.Root(p.t), "bin", "localkube"), "--api-only", "--data-dir", filepath.Join(p.dir, "plane"), "--kubeconfig", p.kubeconfig())
	p.cmd.Stderr = &p.said
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(p.kill)
	for range 1200 {
		if _, err := os.Stat(p.kubeconfig()); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.t.Fatalf("the control plane is not ready: %s", &p.said)
}

// kill kills all of it at once, as a power cut does.
func (p *ownPlane) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// stall stops etcd for a time.
func (p *ownPlane) stall(length time.Duration) {
	p.t.Helper()
	pid := p.etcd()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		p.t.Fatal(err)
	}
	time.Sleep(length)
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		p.t.Fatal(err)
	}
}

// etcd gives the process of this control plane's etcd.
func (p *ownPlane) etcd() int {
	p.t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, file := range files {
		line, _ := os.ReadFile(file) // a process that ended meanwhile has none
		if bytes.Contains(line, []byte("--data-dir="+filepath.Join(p.dir, "plane", "etcd")+"\x00")) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			return pid
		}
	}
	p.t.Fatal("there is no etcd")
	return 0
}

func (p *ownPlane) command(args ...string) *exec.Cmd {
	cmd := exec.Command("kubectl-fernet", args...)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "KUBECONFIG="+p.kubeconfig())
	return cmd
}

func (p *ownPlane) run(args ...string) (code int, said string) {
	p.t.Helper()
	out, err := p.command(args...).CombinedOutput()
	if strings.Contains(string(out), "canary-own") {
		p.t.Errorf("%s shows a value", args[0])
	}
	return exitCode(p.t, err), string(out)
}

func (p *ownPlane) must(code int, args ...string) {
	p.t.Helper()
	if got, said := p.run(args...); got != code {
		p.t.Fatalf("%s: exit code %d\n%s", strings.Join(args, " "), got, said)
	}
}

// awaitPlans waits until a rotation is about to create.
func (p *ownPlane) awaitPlans(rotation *running) {
	p.t.Helper()
	for range 6000 {
		rows, _ := os.ReadFile(filepath.Join(p.dir, ledgerName))
		if bytes.Contains(rows, []byte(",rotate,planned,")) {
			return
		}
		select {
		case <-rotation.over:
			p.t.Fatalf("the rotation has ended\n%s", rotation.out)
		case <-time.After(10 * time.Millisecond):
		}
	}
	p.t.Fatal("no rotation began within a minute")
}

// readable asserts that each value comes back from what is live, with the keys of the .env.
func (p *ownPlane) readable() {
	p.t.Helper()
	for _, from := range []string{"cluster", "ledger"} {
		cmd := p.command("exec-env", "--from", from, "--", "env")
		out, err := cmd.Output()
		if err != nil {
			p.t.Errorf("exec-env --from %s: %v", from, err)
		}
		for i := range ownEntries {
			if want := fmt.Sprintf("SECRET_%02d=%s\n", i, ownValue(i)); !strings.Contains(string(out), want) {
				p.t.Errorf("SECRET_%02d does not come back from the %s", i, from)
			}
		}
	}
}
