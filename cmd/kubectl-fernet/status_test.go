// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
)

// A rotation that was killed half-way shows, to somebody without the key, in the
// entries that it reached and in those that it did not; and at its very start too.
func TestStatusOfAnUnfinishedRotation(t *testing.T) {
	for _, tc := range []struct {
		name   string
		create int
		states string
	}{
		{"before the first create", 1, "unfinished unfinished unfinished"},
		{"before the third", 3, "retire retire unfinished"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, proxy := rotatedPlace{newPlace(t, 3)}, startProxy(t)
			p.must("push")
			var cmd *exec.Cmd
			started := make(chan struct{})
			pid := func() int { <-started; return cmd.Process.Pid }
			creates := func(r faultproxy.Request) faultproxy.Action {
				if r.Method == http.MethodPost && r.IsWrite() {
					return faultproxy.KillBefore(pid)
				}
				return nil
			}
			proxy.Reset(faultproxy.Nth(tc.create, creates))
			cmd = p.command(proxyKubeconfig(t, proxy), "rotate", "--yes", "--parallel", "1")
			err := cmd.Start()
			close(started)
			var exit *exec.ExitError
			if err == nil {
				err = cmd.Wait()
			}
			if !errors.As(err, &exit) || exit.Exited() {
				t.Fatalf("not killed: %v", err)
			}
			settle(t, proxy)
			p.forgetKeys()
			code, out := p.fernet(nil, "status")
			var states []string
			for line := range strings.Lines(out) {
				if fields := strings.Fields(line); strings.HasPrefix(line, "SECRET_") {
					states = append(states, fields[1])
				}
			}
			if code != 1 || strings.Join(states, " ") != tc.states || !strings.Contains(out, "next: kubectl fernet rotate finishes the rotation\n") {
				t.Errorf("exit code %d\n%s", code, out)
			}
		})
	}
}

// forgetKeys leaves an .env without any key.
func (p rotatedPlace) forgetKeys() {
	p.t.Helper()
	env := filepath.Join(p.dir, ".env")
	kept := ""
	for line := range strings.Lines(string(read(p.t, env))) {
		if !strings.HasPrefix(line, "KEY") {
			kept += line
		}
	}
	write(p.t, env, kept)
}
