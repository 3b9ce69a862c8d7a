// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
)

const holdVariable = "LEDGER_TEST_HOLD"

// TestMain lets the test binary be another process that holds a lock.
func TestMain(m *testing.M) {
	if path := os.Getenv(holdVariable); path != "" {
		_, err := ledger.Lock(path)
		fmt.Println("held:", err)
		_, _ = os.Stdin.Read(make([]byte, 1)) // until killed
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// hold starts a process that holds the lock, and returns when it does.
func hold(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdVariable+"="+path)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	if said, err := bufio.NewReader(stdout).ReadString('\n'); said != "held: <nil>\n" {
		t.Fatalf("the other process says %q, %v", said, err)
	}
	return cmd
}

func TestLockHeldByAnotherProcess(t *testing.T) {
	path := newPath(t)
	other := hold(t, path)
	_, err := ledger.Lock(path)
	var held *ledger.LockedError
	if !errors.As(err, &held) || held.PID != other.Process.Pid {
		t.Fatalf("got %v, want pid %d", err, other.Process.Pid)
	}
	if want := path + ": held by pid " + strconv.Itoa(other.Process.Pid); err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait()
	guard := lock(t, path) // the dead hold nothing
	if got := get(t, path+ledger.LockSuffix); got != strconv.Itoa(os.Getpid())+"\n" {
		t.Errorf("the lock file holds %q", got)
	}
	if err := guard.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := guard.Unlock(); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if got := get(t, path+ledger.LockSuffix); got != "" {
		t.Errorf("given back, the lock file holds %q", got)
	}
}

// A ledger has one lock, whatever link leads to it.
func TestLockFollowsLinks(t *testing.T) {
	path := newPath(t)
	put(t, path, header)
	link := filepath.Join(t.TempDir(), "link.csv")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	lock(t, link)
	var held *ledger.LockedError
	if _, err := ledger.Lock(path); !errors.As(err, &held) || held.PID != os.Getpid() {
		t.Errorf("got %v", err)
	}
}

func TestLockedErrorWithoutPID(t *testing.T) {
	if got := (&ledger.LockedError{}).Error(); got != "held by another process" {
		t.Errorf("got %q", got)
	}
}

func TestLockRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "d.csv.lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "link.csv")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"no/ledger.csv": "no such directory",
		"d.csv":         "is not a lock file of ours",
		"link.csv":      "a symbolic link",
	} {
		_, err := ledger.Lock(filepath.Join(dir, path))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}
