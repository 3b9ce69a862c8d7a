// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pathArguments says which arguments of a system call are names of files. Go makes
// no others with a name. Between two of them that name the same file nothing can
// notice what its name leads to: what has been opened is a descriptor's.
var pathArguments = map[uint64][]int{
	unix.SYS_OPENAT: {1}, unix.SYS_OPENAT2: {1}, unix.SYS_NEWFSTATAT: {1}, unix.SYS_STATX: {1}, unix.SYS_READLINKAT: {1},
	unix.SYS_UNLINKAT: {1}, unix.SYS_LINKAT: {1, 3}, unix.SYS_RENAMEAT: {1, 3}, unix.SYS_RENAMEAT2: {1, 3},
	unix.SYS_FCHMODAT: {1}, unix.SYS_FCHOWNAT: {1}, unix.SYS_TRUNCATE: {0}, unix.SYS_FACCESSAT: {1}, unix.SYS_FACCESSAT2: {1},
	unix.SYS_SYMLINKAT: {2}, unix.SYS_MKNODAT: {1}, unix.SYS_MKDIRAT: {1}, unix.SYS_UTIMENSAT: {1}, unix.SYS_CHDIR: {0}, unix.SYS_EXECVE: {0},
}

// syscallInfo is the kernel's struct ptrace_syscall_info at the entry of a call.
type syscallInfo struct {
	op     uint8
	_      [3]uint8
	arch   uint32
	_, _   uint64 // instruction and stack pointer
	number uint64
	args   [6]uint64
	_      uint64
}

// tracedRun runs a program, stops it before each system call that names a file, and
// calls before with the last element of that name; meanwhile the call waits. It
// gives the exit code, -1 of a run that did not end and was killed, and all that
// the program said.
func tracedRun(t *testing.T, dir string, environ, command []string, before func(name string)) (code int, said string) {
	t.Helper()
	runtime.LockOSThread() // the kernel takes a tracer's requests from this thread alone
	defer runtime.UnlockOSThread()
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nothing.Close() }()
	pid, err := syscall.ForkExec(command[0], command, &syscall.ProcAttr{
		Dir: dir, Env: environ, Files: []uintptr{nothing.Fd(), out.Fd(), out.Fd()},
		Sys: &syscall.SysProcAttr{Ptrace: true, Setpgid: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	killed := time.AfterFunc(time.Minute, func() { _ = syscall.Kill(-pid, syscall.SIGKILL) })
	code = trace(t, pid, before)
	if !killed.Stop() {
		code = -1
	}
	text, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return code, string(text)
}

// trace lets a process run from stop to stop until it ends.
func trace(t *testing.T, pid int, before func(name string)) (code int) {
	t.Helper()
	started := map[int]bool{}
	for {
		var status syscall.WaitStatus
		thread, err := syscall.Wait4(-pid, &status, syscall.WALL, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			t.Fatal(err)
		case thread == pid && (status.Exited() || status.Signaled()):
			return status.ExitStatus()
		case !status.Stopped():
			continue
		}
		signal := status.StopSignal()
		switch {
		case thread == pid && !started[pid]: // it has just become the program
			const how = syscall.PTRACE_O_TRACESYSGOOD | syscall.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
			if err := syscall.PtraceSetOptions(pid, how); err != nil {
				t.Fatal(err)
			}
			signal = 0
		case signal == syscall.SIGTRAP|0x80:
			for _, name := range namesAtEntry(t, thread) {
				before(filepath.Base(name))
			}
			signal = 0
		case signal == syscall.SIGTRAP, signal == syscall.SIGSTOP && !started[thread]: // a new thread
			signal = 0
		}
		started[thread] = true
		if err := syscall.PtraceSyscall(thread, int(signal)); err != nil && !errors.Is(err, syscall.ESRCH) { // gone meanwhile
			t.Fatal(err)
		}
	}
}

// namesAtEntry gives the names in the system call that a thread has come to, none
// where it has come out of one.
func namesAtEntry(t *testing.T, thread int) (names []string) {
	t.Helper()
	var info syscallInfo
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(thread), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno == syscall.ESRCH {
		return nil
	}
	if errno != 0 {
		t.Fatal(errno)
	}
	const entry = 1
	if info.op != entry {
		return nil
	}
	for _, i := range pathArguments[info.number] {
		text := make([]byte, unix.PathMax)
		n, err := syscall.PtracePeekData(thread, uintptr(info.args[i]), text)
		if name, _, whole := bytes.Cut(text[:n], []byte{0}); whole {
			names = append(names, string(name))
		} else if !errors.Is(err, syscall.ESRCH) && info.args[i] != 0 {
			t.Fatalf("a name in system call %d: %v", info.number, err)
		}
	}
	return names
}
