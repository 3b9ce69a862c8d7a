// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"

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

const (
	fullError = "error: fernet-ledger.csv: no space left on device\n"
	createdIs = "hint: what was created is in the cluster; "
)

// fullDisks are the verbs that write rows: what they find, what they report on stdout
// although the rows that say so find the disk full, and the way out.
var fullDisks = map[string]struct {
	before, verb string
	stdout       string
	hint         string
	next         string // if not the verb itself
}{
	"push": {"", "push", "secret/secret-00 created\nsecret/secret-01 created\nsecret/secret-02 created\n",
		createdIs + "push again to complete the ledger\n", ""},
	"update": {"push; change", "push --update", "secret/secret-00-g2 created\nsecret/secret-01 unchanged\nsecret/secret-02 unchanged\n",
		createdIs + "push again to complete the ledger\n", ""},
	"rotate": {"push", "rotate --yes", "secret/secret-00-g2 created\nsecret/secret-01-g2 created\nsecret/secret-02-g2 created\n",
		createdIs + "rotate again to complete the ledger\n", "push"}, // again, it says what is left to do
	"restore": {"push; delete", "restore", "secret/secret-00 created\nsecret/secret-01 created\nsecret/secret-02 unchanged\n",
		createdIs + "restore again to complete the ledger\n", ""},
}

// The created rows of each writing verb find the disk full: what was created is told
// all the same, with an error and a way out, and the next run completes the ledger.
func TestFullDisk(t *testing.T) {
	for name, tt := range fullDisks {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, 3)
			p.prepare(tt.before)
			code, stdout, stderr := p.full(2, tt.verb)
			if code != 2 || stdout != tt.stdout || !strings.Contains(stderr, fullError+tt.hint) {
				t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
			}
			p.prepare(cmp.Or(tt.next, tt.verb))
			p.complete()
		})
	}
}

// What retire deleted is gone, whatever the ledger could still be told.
func TestFullDiskOfARetire(t *testing.T) {
	p := newPlace(t, 3)
	p.prepare("push; rotate --yes")
	code, _, stderr := p.full(2, "retire --skip-cluster-check --yes")
	if code != 2 || !strings.Contains(stderr, fullError+"hint: what was deleted is gone; retire again to look once more and complete the ledger\n") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	p.prepare("retire --skip-cluster-check --yes")
	p.complete()
}

// Without its planned rows no verb writes anything.
func TestFullDiskForThePlans(t *testing.T) {
	for name, tt := range fullDisks {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, 3)
			p.prepare(tt.before)
			before := p.secrets()
			code, stdout, stderr := p.full(1, tt.verb)
			if code != 2 || stdout != "" || !strings.Contains(stderr, fullError) || !reflect.DeepEqual(p.secrets(), before) {
				t.Errorf("exit code %d, written: %t\n%s%s", code, !reflect.DeepEqual(p.secrets(), before), stdout, stderr)
			}
			p.prepare(tt.verb)
			p.complete()
		})
	}
}

// full runs a verb whose disk is full from one write to the ledger on.
func (p place) full(write int, verb string) (code int, stdout, stderr string) {
	p.t.Helper()
	cmd := p.verb("kubectl-fernet " + verb)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", fullVariable, write))
	return ran(p.t, cmd)
}

// ran gives what became of a command.
func ran(t *testing.T, cmd *exec.Cmd) (code int, stdout, stderr string) {
	t.Helper()
	var out, say strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &say
	err := cmd.Run()
	return exitCode(t, err), out.String(), say.String()
}

// complete asserts that the ledger says of all Secrets what they are.
func (p place) complete() {
	p.t.Helper()
	if out := p.prepare("verify"); !strings.Contains(out, "0 errors, 0 warnings") {
		p.t.Errorf("after the next run:\n%s", out)
	}
	p.agrees(byName(p.secrets()))
}

func byName(secrets []corev1.Secret) map[string]corev1.Secret {
	named := map[string]corev1.Secret{}
	for _, s := range secrets {
		named[s.Name] = s
	}
	return named
}

// prepare runs verbs and kubectl, which succeed, or changes the first value, or deletes
// Secrets, and gives what the last one said.
func (p place) prepare(lines string) (out string) {
	p.t.Helper()
	for line := range strings.SplitSeq(lines, "; ") {
		out = p.step(line)
	}
	return out
}

var changedValue = regexp.MustCompile(`(SECRET_00='?)`)

func (p place) step(line string) (out string) {
	p.t.Helper()
	switch line {
	case "":
		return ""
	case "change":
		file := filepath.Join(p.dir, ".env")
		write(p.t, file, changedValue.ReplaceAllString(string(read(p.t, file)), "${1}other-"))
		return ""
	case "delete":
		line = "kubectl delete secret secret-00 secret-01"
	default:
		if !strings.HasPrefix(line, "kubectl ") {
			line = "kubectl-fernet " + line
		}
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
