// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// calls are system calls at which a run is stopped.
type calls map[uint64]bool

// changing are those that change files. A kill between two of them is one at the
// second of them.
var changing = calls{
	syscall.SYS_OPENAT: true, syscall.SYS_MKDIRAT: true, syscall.SYS_WRITE: true, syscall.SYS_FCHMOD: true, syscall.SYS_FCHOWN: true,
	syscall.SYS_SYMLINKAT: true, syscall.SYS_RENAMEAT: true, syscall.SYS_UNLINKAT: true, syscall.SYS_FSYNC: true, syscall.SYS_FLOCK: true,
}

// fstatat has two names in package syscall.
var fstatat = map[string]uint64{"amd64": 262, "arm64": 79}[runtime.GOARCH]

// naming are those that have the name of a file. Between two of them nobody can
// change what a name leads to: what has been opened is a descriptor's.
var naming = calls{
	syscall.SYS_OPENAT: true, syscall.SYS_MKDIRAT: true, syscall.SYS_SYMLINKAT: true, syscall.SYS_RENAMEAT: true, syscall.SYS_UNLINKAT: true,
	syscall.SYS_READLINKAT: true, fstatat: true, syscall.SYS_FCHMODAT: true, syscall.SYS_FCHOWNAT: true, syscall.SYS_CHDIR: true,
}

const (
	traceExitKill = 1 << 20 // PTRACE_O_EXITKILL
	getInfo       = 0x420e  // PTRACE_GET_SYSCALL_INFO
	entry         = 1       // PTRACE_SYSCALL_INFO_ENTRY
)

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

// callOf says which system call a thread has come to or out of; at the exit the kernel
// does not say which it is.
func callOf(t *testing.T, thread int) syscallInfo {
	t.Helper()
	var info syscallInfo
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PTRACE, getInfo, uintptr(thread), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 && errno != syscall.ESRCH { // gone meanwhile
		t.Fatal(errno)
	}
	return info
}

// opens says whether a thread has come to the call that opens a path.
func opens(t *testing.T, thread int, info syscallInfo, path string) bool {
	t.Helper()
	if info.op != entry || info.number != syscall.SYS_OPENAT {
		return false
	}
	name := make([]byte, len(path)+1)
	n, err := syscall.PtracePeekData(thread, uintptr(info.args[1]), name)
	if err != nil && !errors.Is(err, syscall.ESRCH) && !errors.Is(err, syscall.EIO) { // EIO: the text ends with its page
		t.Fatal(err)
	}
	return string(name[:n]) == path+"\x00"
}

// traced runs fernet-exec, all threads of it, and stops it before and after each
// of some calls: at is given the number of the stop, and says whether it goes on, or is
// killed there. They are counted from where the folder is opened, which is the last of
// args: from there on, two runs make the same calls. (Before, Go's runtime looks at the
// machine, and what it makes of that depends on it.)
func traced(t *testing.T, env, args []string, some calls, at func(stop int) (goOn bool)) syscall.WaitStatus {
	t.Helper()
	runtime.LockOSThread() // the kernel takes a tracer's requests from this thread alone
	defer runtime.UnlockOSThread()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	must(t, err)
	defer func() { _ = null.Close() }()
	pid, err := syscall.ForkExec(binary, append([]string{binary}, args...), &syscall.ProcAttr{
		Env: append(append([]string{"GOMAXPROCS=1"}, keys...), env...), Files: []uintptr{null.Fd(), null.Fd(), null.Fd()},
		Sys: &syscall.SysProcAttr{Ptrace: true, Setpgid: true},
	})
	must(t, err)
	stops, counts, started, inCall := 0, false, map[int]bool{}, map[int]bool{} // the maps are of threads
	for {
		var status syscall.WaitStatus
		thread, err := syscall.Wait4(-pid, &status, syscall.WALL, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			t.Fatal(err)
		case thread == pid && (status.Exited() || status.Signaled()):
			return status
		case !status.Stopped():
			continue
		}
		signal := status.StopSignal()
		switch {
		case thread == pid && !started[pid]: // it has just become the program
			must(t, syscall.PtraceSetOptions(pid, syscall.PTRACE_O_TRACESYSGOOD|syscall.PTRACE_O_TRACECLONE|traceExitKill))
			signal = 0
		case signal == syscall.SIGTRAP|0x80:
			signal = 0
			info := callOf(t, thread)
			counts = counts || opens(t, thread, info, args[len(args)-1])
			if info.op == entry {
				inCall[thread] = counts && some[info.number]
			}
			if inCall[thread] {
				if !at(stops) {
					must(t, syscall.Kill(pid, syscall.SIGKILL))
				}
				stops++
			}
		case signal == syscall.SIGTRAP, signal == syscall.SIGSTOP && !started[thread]: // a new thread
			signal = 0
		}
		started[thread] = true
		if err := syscall.PtraceSyscall(thread, int(signal)); err != nil && !errors.Is(err, syscall.ESRCH) { // gone meanwhile
			t.Fatal(err)
		}
	}
}

// current gives the files of the set that ..data points to, nil where there is none.
func current(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, dataLink, "*"))
	must(t, err)
	var values map[string]string
	for _, file := range files {
		content, err := os.ReadFile(file)
		must(t, err)
		if values == nil {
			values = map[string]string{}
		}
		values[filepath.Base(file)] = string(content)
	}
	return values
}

// Wherever a run is killed, before or after any system call: the current set is the
// old one or the new one, whole, and the next run removes what is left.
func TestWriteIsKilledAnywhere(t *testing.T) {
	old := map[string]string{"A": "old", "GONE": "old"}
	whole := map[string]string{"A": "new", "B": "new"}
	env, next := seals(t, "A", "new", "B", "new"), seals(t, "A", "next", "C", "next")
	for _, tt := range []struct {
		name    string
		prepare func(dir string)
		before  map[string]string
	}{
		{"no folder", func(string) {}, nil},
		{"empty folder", func(dir string) { must(t, os.Mkdir(dir, 0o755)) }, nil},
		{"old set", func(dir string) { write(t, dir, seals(t, "A", "old", "GONE", "old")) }, old},
	} {
		t.Run(tt.name, func(t *testing.T) {
			volume, seen := memory(t), map[string]int{}
			for n, killed := 0, true; killed; n++ {
				dir := filepath.Join(volume, fmt.Sprint(n))
				tt.prepare(dir)
				ended := traced(t, env, []string{"--any-filesystem", "--write", dir}, changing, func(stop int) bool { return stop != n })
				killed = ended.Signaled()
				switch got := current(t, dir); {
				case reflect.DeepEqual(got, whole):
					seen["new"]++
				case killed && reflect.DeepEqual(got, tt.before):
					seen["old"]++
				default:
					t.Errorf("killed at stop %d, %v: %q", n, ended, got)
				}
				write(t, dir, next)
				wantTree(t, dir, wantSet("A", "next", "C", "next"))
			}
			if t.Logf("kills: %v", seen); seen["old"] < 20 || seen["new"] < 10 {
				t.Error("these are too few")
			}
		})
	}
}

// So it is with --install: the program is not there, the old one, or the new one.
func TestInstallIsKilledAnywhere(t *testing.T) {
	program, err := os.ReadFile(binary)
	must(t, err)
	seen := map[string]int{}
	for n, killed := 0, true; killed; n++ {
		dir := t.TempDir()
		file := filepath.Join(dir, installed)
		must(t, os.WriteFile(file, []byte("old"), 0o600))
		ended := traced(t, nil, []string{"--install", dir}, changing, func(stop int) bool { return stop != n })
		killed = ended.Signaled()
		got, err := os.ReadFile(file)
		must(t, err)
		info, err := os.Stat(file)
		must(t, err)
		switch {
		case string(got) == string(program) && info.Mode() == 0o755:
			seen["new"]++
		case killed && string(got) == "old":
			seen["old"]++
		default:
			t.Errorf("killed at stop %d, %v: %d bytes of mode %v", n, ended, len(got), info.Mode())
		}
		if _, stderr, code := finish(t, start(nil, "--install", dir)); code != 0 {
			t.Fatal(stderr)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("the next run left %v, %v", entries, err)
		}
	}
	if t.Logf("kills: %v", seen); seen["old"] < 10 || seen["new"] < 2 {
		t.Error("these are too few")
	}
}

// What may be on a disk is made durable: each file, the set, and the links to it.
func TestDiskIsSynced(t *testing.T) {
	env := seals(t, "A", "a", "B", "b")
	for flag, want := range map[string]int{"--any-filesystem": 2 + 2, "--mode=0400": 0} {
		stops := 0
		ended := traced(t, env, []string{flag, "--write", memory(t)}, calls{syscall.SYS_FSYNC: true}, func(int) bool { stops++; return true })
		if stops != 2*want || ended.ExitStatus() != 0 {
			t.Errorf("%s: %v after %d stops at fsync, want two for each of %d", flag, ended, stops, want)
		}
	}
}

// attacks are what somebody who may write in the folder, and in that above it, can
// put in the place of what is there.
func attacks(t *testing.T) map[string]func(dir, outside string) {
	t.Helper()
	sets := func(dir string) []string {
		found, err := filepath.Glob(filepath.Join(dir, "..2*"))
		must(t, err)
		return found
	}
	swap := func(path, target string) {
		if err := os.Rename(path, path+".moved"); !errors.Is(err, os.ErrNotExist) {
			must(t, err)
		}
		must(t, os.Symlink(target, path))
	}
	return map[string]func(dir, outside string){
		"a set becomes a link": func(dir, outside string) {
			for _, set := range sets(dir) {
				swap(set, outside)
			}
		},
		"a set becomes another's folder": func(dir, _ string) {
			for _, set := range sets(dir) {
				must(t, os.Rename(set, set+".moved"))
				must(t, os.Mkdir(set, 0o700))
				if os.Geteuid() == 0 {
					must(t, os.Chown(set, 1001, 2000))
				}
			}
		},
		"a name becomes a link": func(dir, outside string) {
			for _, name := range []string{"A", "B", installed, installing} {
				swap(filepath.Join(dir, name), filepath.Join(outside, name))
			}
		},
		"..data becomes a link": func(dir, outside string) {
			swap(filepath.Join(dir, dataLink), outside)
			swap(filepath.Join(dir, nextLink), outside)
		},
		"the folder becomes a link": swap,
	}
}

// Whatever links others plant, and when: nothing is written, changed or removed in
// a folder outside, and no value comes into a folder that somebody else has made.
func TestNoLinkLeadsOutside(t *testing.T) {
	env := seals(t, "A", canary, "B", canary)
	for name, attack := range attacks(t) {
		for _, flag := range []string{"--write", "--install"} {
			if flag == "--install" && strings.Contains(name, "set") {
				continue // it makes none
			}
			t.Run(name+", "+flag, func(t *testing.T) {
				volume, attacked := memory(t), true
				outside := filepath.Join(volume, "outside")
				must(t, os.Mkdir(outside, 0o755))
				for _, file := range []string{"A", "B", "GONE", installed, installing} {
					must(t, os.WriteFile(filepath.Join(outside, file), []byte("x"), 0o600))
				}
				before := tree(t, outside)
				n := 0
				for ; attacked; n++ {
					dir := filepath.Join(volume, fmt.Sprint(n))
					write(t, dir, seals(t, "A", "old", "GONE", "old"))
					attacked = false
					traced(t, env, []string{flag, dir}, naming, func(stop int) bool {
						if stop == n {
							attack(dir, outside)
							attacked = true
						}
						return true
					})
					wantTree(t, outside, before)
					wantNoGift(t, dir)
				}
				if t.Logf("%d attacks", n-1); n < 10 {
					t.Error("these are too few")
				}
			})
		}
	}
}

// wantNoGift looks for values in folders of others.
func wantNoGift(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "..2*", "*"))
	must(t, err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		must(t, err)
		info, err := os.Stat(filepath.Dir(file))
		must(t, err)
		if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Geteuid() && string(content) == canary {
			t.Errorf("%s, with a value, is in a folder of user %d", file, owner)
		}
	}
}
