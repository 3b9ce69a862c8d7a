// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// stranger is the uid of the second user.
const stranger = 65534

// second is another user of the machine: a shell under another uid that runs the
// lines that it gets.
type second struct {
	in  io.WriteCloser
	out *bufio.Reader
}

// newSecond starts that shell. Only root may become another user: for anyone else the
// test is left out, which the last line of `make test` says.
func newSecond(t *testing.T) *second {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("this test needs a second user, and only root may become one")
	}
	cmd := exec.Command("sh", "-c", `umask 0; while read -r line; do eval "$line" 2>/dev/null; echo done; done`)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return &second{in, bufio.NewReader(out)}
}

// does lets the second user run a line of shell; whether it succeeds is up to the
// system.
func (s *second) does(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
	if said, err := s.out.ReadString('\n'); err != nil || said != "done\n" {
		t.Fatalf("the second user says %q, %v", said, err)
	}
}

// openFolder makes a folder that every user can reach, with that mode.
func openFolder(t *testing.T, mode fs.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, mode)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// sharedRun is a command whose files are in a folder of two users.
type sharedRun struct {
	name  string
	args  []string
	files map[string]string // before it, of mode 0644; folders end in /
	mode  fs.FileMode       // of the folder
}

// sharedRuns are one for each way of writing: a new .env, a changed one, a new and a
// longer ledger, and a rotation, which changes both.
func sharedRuns(t *testing.T) []sharedRun {
	t.Helper()
	const env = "KEY=" + testKey + "\nCLUSTER_NAME=localkube\nSECRET_A=canary-of-two-users\n"
	namespace := testkube.Namespace(t)
	pushed := t.TempDir()
	write(t, filepath.Join(pushed, ".env"), env)
	cmd := exec.Command("kubectl-fernet", "push", "-n", namespace)
	cmd.Dir, cmd.Env = pushed, append(os.Environ(), "KUBECONFIG="+testkube.Kubeconfig(t))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	recorded := string(read(t, filepath.Join(pushed, ledgerName)))
	record := []string{"push", "--dry-run=client", "--record", "-n", namespace}
	return []sharedRun{
		{"init anew", []string{"init"}, nil, 0o777},
		{"init anew, sticky", []string{"init"}, nil, 0o777 | fs.ModeSticky},
		{"init", []string{"init"}, map[string]string{".env": "SECRET_A=x\n"}, 0o777},
		{"init in a work tree", []string{"init"}, map[string]string{".env": "SECRET_A=x\n", ".gitignore": "x\n", ".git/": ""}, 0o777},
		{"pull", []string{"pull", "-n", namespace}, map[string]string{".env": "KEY=" + testKey + "\n", ledgerName: recorded}, 0o777},
		{"a new ledger", record, map[string]string{".env": env}, 0o777},
		{"a torn ledger", record, map[string]string{".env": env + "SECRET_B=x\n", ledgerName: recorded + "2026-01-01T00:00:00Z,push"}, 0o777},
		{"rotate", []string{"rotate", "--prepare", "--yes", "-n", namespace}, map[string]string{".env": env, ledgerName: recorded}, 0o777},
	}
}

// swaps are what the second user puts in the place of NAME. VICTIM is a file of ours
// elsewhere, COPY one that all may read; both have the very bytes that NAME had.
var swaps = map[string]string{
	"a link":         "ln -s VICTIM NAME",
	"a pipe":         "mkfifo NAME; test -p NAME && exec 3<>NAME",
	"their own file": "cat COPY >NAME",
}

// In a folder that two users share, the second one exchanges the lock, the ledger,
// the .env or the temporary file before each system call of a run that names it.
// No other file of ours changes, nothing that is theirs is written into, no key is
// where they can read it, and the run ends.
func TestTwoUsersInOneFolder(t *testing.T) {
	for _, run := range sharedRuns(t) {
		t.Run(run.name, func(t *testing.T) {
			t.Parallel()
			other, counts := newSecond(t), map[string]int{}
			s := newSharedSite(t, run)
			if code, said := s.run(func(name string) { counts[name]++ }); code != 0 {
				t.Fatalf("undisturbed: exit code %d\n%s", code, said)
			}
			s.check()
			cases := 0
			for _, name := range []string{".env", ".env" + atomicfile.Suffix, ledgerName, ledgerName + ledger.LockSuffix, ".gitignore", ".gitattributes"} {
				for what, swap := range swaps {
					for call := 1; call <= counts[name]; call++ {
						cases++
						t.Run(fmt.Sprintf("%s for %s at call %d", what, name, call), func(t *testing.T) {
							newSharedSite(t, run).swapped(other, name, swap, call)
						})
					}
				}
			}
			t.Logf("%d cases", cases)
			if counts[ledgerName+ledger.LockSuffix] < 2 || counts[".env"] < 2 || cases < 20 {
				t.Errorf("%d cases: named %v", cases, counts)
			}
		})
	}
}

// Who works as root on another user's file, in a folder where no third one can have
// put it, leaves it to that user; where one can, the file is refused.
func TestOwnerIsKept(t *testing.T) {
	newSecond(t)
	for _, tc := range []struct {
		folderOwner int
		mode        fs.FileMode
		kept        bool
	}{{stranger, 0o755, true}, {stranger, 0o775, true}, {0, 0o755, true}, {0, 0o775, false}, {0, 0o777, false}, {0, 0o777 | fs.ModeSticky, false}, {stranger - 1, 0o755, false}} {
		dir := openFolder(t, tc.mode)
		env := filepath.Join(dir, ".env")
		write(t, env, "SECRET_A=x\n")
		if err := errors.Join(os.Chmod(env, 0o644), os.Chown(env, stranger, stranger), os.Chown(dir, tc.folderOwner, -1), os.Chmod(dir, tc.mode)); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("kubectl-fernet", "init")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "KUBECONFIG=none")
		out, err := cmd.CombinedOutput()
		info, statErr := os.Stat(env)
		if statErr != nil || owner(info) != stranger {
			t.Fatalf("%+v: %v, %v", tc, info, statErr)
		}
		written := anyKey.Match(read(t, env))
		if written != tc.kept || written != (err == nil) || written && info.Mode() != 0o600 {
			t.Errorf("%+v: written=%t, mode %v, %v\n%s", tc, written, info.Mode(), err, out)
		}
		if !tc.kept && !strings.Contains(string(out), "belongs to another user (uid 65534), in a folder that others may write") {
			t.Errorf("%+v: %s", tc, out)
		}
	}
}

// sharedSite is the folder of one case.
type sharedSite struct {
	t           *testing.T
	command     sharedRun
	dir, victim string
}

func newSharedSite(t *testing.T, run sharedRun) *sharedSite {
	t.Helper()
	s := &sharedSite{t: t, command: run, dir: openFolder(t, run.mode), victim: filepath.Join(openFolder(t, 0o755), "victim")}
	for name, text := range run.files {
		if strings.HasSuffix(name, "/") {
			if err := os.Mkdir(filepath.Join(s.dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		write(t, filepath.Join(s.dir, name), text)
		if err := os.Chmod(filepath.Join(s.dir, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *sharedSite) run(before func(name string)) (code int, said string) {
	s.t.Helper()
	program, err := exec.LookPath("kubectl-fernet")
	if err != nil {
		s.t.Fatal(err)
	}
	environ := append(os.Environ(), "KUBECONFIG="+testkube.Kubeconfig(s.t), "GOMAXPROCS=2")
	return tracedRun(s.t, s.dir, environ, append([]string{program}, s.command.args...), before)
}

// swapped is one case.
func (s *sharedSite) swapped(other *second, name, swap string, call int) {
	s.t.Helper()
	path, text := filepath.Join(s.dir, name), s.command.files[name]
	precious := text
	if text == "" {
		precious = "what must stay" // that it was emptied shows
	}
	write(s.t, s.victim, precious)
	readable := filepath.Join(filepath.Dir(s.victim), "copy")
	write(s.t, readable, text)
	if err := os.Chmod(readable, 0o644); err != nil {
		s.t.Fatal(err)
	}
	n, done := 0, false
	swap = strings.NewReplacer("VICTIM", s.victim, "COPY", readable, "NAME", path).Replace(swap)
	code, said := s.run(func(now string) {
		if n++; now == name {
			call--
		}
		if call > 0 || done {
			return
		}
		done = true
		other.does(s.t, "mv -T "+path+" "+path+"-kept; "+swap)
	})
	defer other.does(s.t, "exec 3>&-")
	if code == -1 {
		s.t.Fatalf("it did not end\n%s", said)
	}
	if !done {
		s.t.Fatal("nothing was exchanged")
	}
	if info, err := os.Lstat(s.victim); err != nil || info.Mode() != 0o600 || string(read(s.t, s.victim)) != precious || owner(info) != 0 {
		s.t.Errorf("a file elsewhere was changed: %v, %v\n%s", info, err, said)
	}
	if bytes.Contains([]byte(said), []byte(testKey)) || bytes.Contains([]byte(said), []byte("panic")) {
		s.t.Errorf("it said\n%s", said)
	}
	s.check()
	s.checkTheirs(text)
}

var anyKey = regexp.MustCompile(`(?m)^KEY(_NEXT|_PREVIOUS)?=[A-Za-z0-9_-]{43}=`)

// check asserts that what holds a key and was written by the run is ours alone.
func (s *sharedSite) check() {
	s.t.Helper()
	files, err := os.ReadDir(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			s.t.Fatal(err)
		}
		if !info.Mode().IsRegular() || owner(info) == stranger {
			continue
		}
		text := read(s.t, filepath.Join(s.dir, f.Name()))
		if written := string(text) != s.command.files[".env"]; written && anyKey.Match(text) && info.Mode() != 0o600 {
			s.t.Errorf("%s holds a key and has mode %v", f.Name(), info.Mode())
		}
	}
}

// checkTheirs asserts that what the second user put there has nothing of ours in it.
func (s *sharedSite) checkTheirs(text string) {
	s.t.Helper()
	files, err := os.ReadDir(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || owner(info) != stranger || info.Mode()&fs.ModeSymlink != 0 {
			continue
		}
		// A lock file of theirs may get our pid, a ledger of theirs rows: they hold no secret.
		got := readNow(s.t, filepath.Join(s.dir, f.Name()))
		public := slices.Contains([]string{ledgerName, ledgerName + ledger.LockSuffix}, strings.TrimSuffix(f.Name(), "-kept")) && info.Mode().IsRegular()
		switch {
		case public && anyKey.MatchString(got):
			s.t.Errorf("%s of the second user holds a key", f.Name())
		case !public && info.Mode().IsRegular() && got != text, !info.Mode().IsRegular() && got != "":
			s.t.Errorf("%s of the second user was written into: %d bytes", f.Name(), len(got))
		}
	}
}

// readNow reads what is there, also in a pipe, and waits for nothing.
func readNow(t *testing.T, path string) string {
	t.Helper()
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(fd) }()
	data := make([]byte, 1<<20)
	n, _ := syscall.Read(fd, data)
	return string(data[:max(n, 0)])
}

func owner(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
