// SPDX-License-Identifier: Apache-2.0

// Package faultfs is a file system for tests: the calls that go in are recorded
// and passed on to the real one, except for a chosen call, which fails, and, when
// the process is to die there, except for all that come after it. Only the disk
// is not waited for: no test can see what a power cut would leave.
package faultfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
)

// ErrFault is what the chosen call fails with.
var ErrFault = errors.New("injected fault")

// Call is one call: "open", "open to write", "create", "write", "sync", "rename",
// "syncdir" and so on, and the last element of the name that it is about, or "." for
// the folder.
type Call struct{ Op, Name string }

// FS fails at one call. The zero value fails nowhere and only records.
type FS struct {
	// FailAt is the number of the call that fails, from 1; 0 is none.
	FailAt int
	// Of makes FailAt count such calls alone; the zero value counts all.
	Of Call
	// Err is what the chosen call fails with; nil is ErrFault.
	Err error
	// Stays makes what FailAt counts go on failing, as on a disk that is full.
	Stays bool
	// Short is how many bytes the failing call still writes, if it is a write.
	Short int
	// Before is called before each call, with its number from 1: what another
	// process does meanwhile.
	Before func(call int)
	// Dies makes every call after FailAt fail too: what runs on is a dead process.
	Dies bool

	mu      sync.Mutex
	calls   []Call
	counted int // of those that FailAt counts
}

// Calls gives what has been called so far.
func (f *FS) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Call(nil), f.calls...)
}

// step records a call and says whether it fails, and whether at this very call.
func (f *FS) step(op, name string) (here bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	call := Call{op, filepath.Base(name)}
	if op == "syncdir" {
		call.Name = "."
	}
	f.calls = append(f.calls, call)
	if f.Before != nil {
		f.Before(len(f.calls))
	}
	counts := f.Of == Call{} || f.Of == call
	if counts {
		f.counted++
	}
	here = counts && f.counted == f.FailAt
	later := f.FailAt > 0 && f.counted >= f.FailAt && (f.Dies || f.Stays && counts)
	if !here && !later {
		return false, nil
	}
	err = ErrFault
	if f.Err != nil {
		err = f.Err
	}
	return here, &fs.PathError{Op: op, Path: name, Err: err}
}

func (f *FS) do(op, name string, call func() error) error {
	if _, err := f.step(op, name); err != nil {
		return err
	}
	return call()
}

// Stat implements atomicfile.FS.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	if _, err := f.step("stat", name); err != nil {
		return nil, err
	}
	return atomicfile.OS.Stat(name)
}

// OpenFile implements atomicfile.FS.
func (f *FS) OpenFile(name string, flag int, perm fs.FileMode) (atomicfile.File, error) {
	op := "open"
	switch {
	case flag&os.O_CREATE != 0:
		op = "create"
	case flag&(os.O_WRONLY|os.O_RDWR) != 0:
		op = "open to write"
	}
	if _, err := f.step(op, name); err != nil {
		return nil, err
	}
	real, err := atomicfile.OS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &file{File: real, fs: f, name: name}, nil
}

// Link implements atomicfile.FS.
func (f *FS) Link(oldname, newname string) error {
	return f.do("link", newname, func() error { return atomicfile.OS.Link(oldname, newname) })
}

// Rename implements atomicfile.FS.
func (f *FS) Rename(oldname, newname string) error {
	return f.do("rename", newname, func() error { return atomicfile.OS.Rename(oldname, newname) })
}

// Remove implements atomicfile.FS.
func (f *FS) Remove(name string) error {
	return f.do("remove", name, func() error { return atomicfile.OS.Remove(name) })
}

// SyncDir implements atomicfile.FS.
func (f *FS) SyncDir(dir string) error {
	return f.do("syncdir", dir, func() error { return nil })
}

type file struct {
	atomicfile.File
	fs   *FS
	name string
}

func (f *file) Read(p []byte) (int, error) {
	if _, err := f.fs.step("read", f.name); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func (f *file) Write(p []byte) (int, error) {
	here, err := f.fs.step("write", f.name)
	if err == nil {
		return f.File.Write(p)
	}
	if here {
		n, _ := f.File.Write(p[:min(f.fs.Short, len(p))])
		return n, err
	}
	return 0, err
}

func (f *file) Stat() (fs.FileInfo, error) {
	if _, err := f.fs.step("fstat", f.name); err != nil {
		return nil, err
	}
	return f.File.Stat()
}

func (f *file) Chmod(mode fs.FileMode) error {
	return f.fs.do("chmod", f.name, func() error { return f.File.Chmod(mode) })
}

func (f *file) Chown(uid, gid int) error {
	return f.fs.do("chown", f.name, func() error { return f.File.Chown(uid, gid) })
}

func (f *file) Truncate(size int64) error {
	return f.fs.do("truncate", f.name, func() error { return f.File.Truncate(size) })
}

func (f *file) Sync() error {
	return f.fs.do("sync", f.name, func() error { return nil })
}

// Close closes the real file even when it is to fail, so that none stays open.
func (f *file) Close() error {
	_, err := f.fs.step("close", f.name)
	return errors.Join(err, f.File.Close())
}
