// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// mostFree is how many pages are enough for a rotation of a site.
const mostFree = 6

// TestTrustFullDisk rotates in a folder that is a file system of its own, with room for none,
// one, two pages and so on, and then in one that can only be read. What holds at every moment
// holds, and with room the next run finishes.
func TestTrustFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this test mounts, which only root may")
	}
	t.Run("disks", func(t *testing.T) {
		for free := range mostFree + 1 {
			t.Run(fmt.Sprintf("%d pages free", free), func(t *testing.T) {
				t.Parallel()
				rotation.survives(t, func(s *site) bool {
					s.ontoDisk()
					s.remount(fmt.Sprintf("size=%d", (s.used()+free)*os.Getpagesize()))
					code, out := s.run("rotate", "--yes")
					if full := code != 0; full != (free < mostFree) && (free == 0 || free == mostFree) {
						s.t.Errorf("exit code %d\n%s", code, out)
					}
					s.saysWhatFailed(code, out, syscall.ENOSPC, "")
					s.remount("size=1m")
					return code != 0
				})
			})
		}
		t.Run("read-only", func(t *testing.T) {
			t.Parallel()
			rotation.survives(t, func(s *site) bool {
				s.ontoDisk()
				s.remount("ro")
				code, out := s.run("rotate", "--yes")
				s.saysWhatFailed(code, out, syscall.EROFS, ledgerName)
				s.remount("rw")
				return code != 0
			})
		})
	})
	testkube.Cases(t, mostFree+2)
}

// ontoDisk moves the site's files to a file system of their own.
func (s *site) ontoDisk() {
	s.t.Helper()
	disk := s.t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"); err != nil {
		s.t.Fatalf("this test mounts: %v", err)
	}
	s.t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	if out, err := exec.Command("cp", "-a", s.dir+"/.", disk).CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
	s.dir = disk
}

func (s *site) remount(option string) {
	s.t.Helper()
	var flags uintptr = syscall.MS_REMOUNT
	switch option {
	case "ro":
		flags, option = flags|syscall.MS_RDONLY, ""
	case "rw":
		option = ""
	}
	if err := syscall.Mount("tmpfs", s.dir, "tmpfs", flags, option); err != nil {
		s.t.Fatal(err)
	}
}

// used gives how many pages the site's files have.
func (s *site) used() int {
	s.t.Helper()
	var is syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &is); err != nil {
		s.t.Fatal(err)
	}
	return int(is.Blocks - is.Bfree)
}

// noLocks are what file systems answer that have no locks.
var noLocks = map[string]syscall.Errno{"ENOLCK": syscall.ENOLCK, "ENOSYS": syscall.ENOSYS, "EOPNOTSUPP": syscall.EOPNOTSUPP}

// TestTrustNoLocks runs the verbs that write where no file can be locked: nothing is written, and the
// message says where else the ledger could be.
func TestTrustNoLocks(t *testing.T) {
	verbs := []string{"push", "rotate --yes", "pull --force --yes", "retire --skip-cluster-check --yes", "restore"}
	for name, err := range noLocks {
		for _, verb := range verbs {
			t.Run(name+" "+verb, func(t *testing.T) {
				t.Parallel()
				p := newPlace(t, 1)
				p.prepare("push; change")
				before := p.bytesOf(ledgerName) + p.bytesOf(".env") + p.secrets()[0].ResourceVersion
				cmd := p.verb("kubectl-fernet " + verb)
				cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", noFlockVariable, err))
				code, stdout, stderr := ran(t, cmd)
				want := "error: " + ledgerName + ".lock: " + err.Error() + "\nhint: this file system has no locks: keep the ledger on another one, with --ledger FILE\n"
				if code != 2 || stdout != "" || !strings.HasSuffix(stderr, want) {
					t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
				}
				if after := p.bytesOf(ledgerName) + p.bytesOf(".env") + p.secrets()[0].ResourceVersion; after != before {
					t.Error("something was written")
				}
			})
		}
	}
	testkube.Cases(t, len(noLocks)*len(verbs))
}

// noFlockVariable holds, in a command's environment, the error number that its calls of flock
// fail with.
const noFlockVariable = "FERNET_TEST_NO_FLOCK"

func init() {
	if text, asked := os.LookupEnv(noFlockVariable); asked {
		errno, err := strconv.Atoi(text)
		if err == nil {
			err = failFlock(uint32(errno))
		}
		if err != nil {
			panic(err)
		}
	}
}

// failFlock has the kernel answer each flock of this process with an error number.
func failFlock(errno uint32) error {
	const loadNumber, equal, give = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	filter := []unix.SockFilter{
		{Code: loadNumber}, // of the system call
		{Code: equal, K: unix.SYS_FLOCK, Jf: 1},
		{Code: give, K: unix.SECCOMP_RET_ERRNO | errno},
		{Code: give, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, failed := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if failed != 0 {
		return failed
	}
	return nil
}
