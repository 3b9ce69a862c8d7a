// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// fullVariable holds, in a command's environment, with which write to the ledger its
// disk is full.
const fullVariable = "FERNET_TEST_FULL_WRITE"

// fullFS is the real file system until its disk is full.
type fullFS struct {
	atomicfile.FS
	at     int
	writes atomic.Int64
}

func (f *fullFS) OpenFile(name string, flag int, perm fs.FileMode) (atomicfile.File, error) {
	file, err := f.FS.OpenFile(name, flag, perm)
	if err != nil || !strings.HasSuffix(name, ledgerName) {
		return file, err
	}
	return fullFile{file, f}, nil
}

type fullFile struct {
	atomicfile.File
	fs *fullFS
}

func (f fullFile) Write(p []byte) (int, error) {
	if f.fs.writes.Add(1) >= int64(f.fs.at) {
		return 0, &fs.PathError{Op: "write", Path: ledgerName, Err: syscall.ENOSPC}
	}
	return f.File.Write(p)
}

// The created rows of each writing verb find the disk full: that is an error with a
// way out, never exit code 0, and the next run completes the ledger.
func TestFullDisk(t *testing.T) {
	for name, tt := range map[string]struct {
		before, verb string
	}{
		"push":    {"", "push"},
		"update":  {"push; change", "push --update"},
		"rotate":  {"push", "rotate --yes"},
		"retire":  {"push; rotate --yes", "retire --skip-cluster-check --yes"},
		"restore": {"push; delete", "restore"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, 3)
			for line := range strings.SplitSeq(tt.before, "; ") {
				p.prepare(line)
			}
			cmd := p.verb("kubectl-fernet " + tt.verb)
			cmd.Env = append(cmd.Env, fullVariable+"=2")
			out, err := cmd.CombinedOutput()
			if code := exitCode(t, err); code != 2 || !strings.Contains(string(out), "no space left on device") || !strings.Contains(string(out), "\nhint: ") {
				t.Errorf("exit code %d\n%s", code, out)
			}
			if tt.verb == "rotate --yes" { // again, it says what is left to do
				p.prepare("push")
			} else {
				p.prepare(tt.verb)
			}
			if out := p.prepare("verify"); !strings.Contains(out, "0 errors, 0 warnings") {
				t.Errorf("after the next run:\n%s", out)
			}
		})
	}
}

// prepare runs a verb that succeeds, or changes the first value, or deletes Secrets.
func (p place) prepare(line string) (out string) {
	p.t.Helper()
	switch line {
	case "":
		return ""
	case "change":
		file := filepath.Join(p.dir, ".env")
		write(p.t, file, strings.Replace(string(read(p.t, file)), "SECRET_00=", "SECRET_00=other-", 1))
		return ""
	case "delete":
		line = "kubectl delete secret secret-00 secret-01"
	default:
		line = "kubectl-fernet " + line
	}
	text, err := p.verb(line).CombinedOutput()
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", line, err, text)
	}
	return string(text)
}

func (p place) verb(line string) *exec.Cmd {
	args := append(strings.Fields(line), "-n", p.namespace)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "KUBECONFIG="+testkube.Kubeconfig(p.t))
	return cmd
}
