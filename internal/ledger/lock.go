// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

// LockSuffix is what the lock file's name has after the ledger's.
const LockSuffix = ".lock"

// LockedError says that another process writes this ledger.
type LockedError struct {
	PID int // 0 where it cannot be read
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return "held by another process"
	}
	return "held by pid " + strconv.Itoa(e.PID)
}

// Guard is the right to write a ledger and the .env beside it.
type Guard struct {
	file   *os.File // nil once it is given back
	named  bool     // our pid is in it
	ledger string   // as atomicfile.Resolve gives it
}

// Lock takes the lock of a ledger, which need not exist yet, without waiting: if
// another process holds it the cause is a *LockedError. The lock file stays; the
// system gives back the lock of a process that died.
func Lock(path string) (*Guard, error) {
	ledger, err := atomicfile.Resolve(path)
	if err != nil {
		return nil, lockError(path, err)
	}
	name := ledger + LockSuffix
	for range 3 { // a file that is gone again when it is locked is no lock
		f, err := openLock(name)
		if err != nil {
			return nil, err
		}
		guard, err := lockFile(f, name)
		var held *LockedError
		switch {
		case errors.As(err, &held):
			err = &Error{Path: path, Message: held.Error(), Way: "wait until it has ended", cause: held}
		case err == nil && guard != nil:
			guard.ledger = ledger
			return guard, nil
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
	return nil, &Error{Path: name, Message: "another process exchanges it all the time", Way: "whoever may write that folder may do so: use one of your own"}
}

// openLock opens the lock file by its own name, and makes it where there is none.
func openLock(name string) (*os.File, error) {
	for range 3 {
		f, err := atomicfile.Open(name, os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			f, err = atomicfile.Open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		}
		switch {
		case errors.Is(err, fs.ErrExist): // made by another process in between
		case errors.Is(err, atomicfile.ErrIrregular):
			return nil, notOurs(name)
		case err != nil:
			return nil, lockError(name, err)
		default:
			return f, nil
		}
	}
	return nil, notOurs(name)
}

// lockFile locks an open file, if its name still leads to it: if not, there is no
// guard and no error. All that is read or written from here on is that file, as a
// name can be given to another one.
func lockFile(f *os.File, name string) (*Guard, error) {
	pid, ours := readPID(f)
	if !ours {
		return nil, notOurs(name)
	}
	locked, err := tryLock(f)
	if err != nil {
		return nil, lockError(name, err)
	}
	if !locked {
		return nil, &LockedError{PID: pid}
	}
	info, err := f.Stat()
	if err != nil {
		return nil, lockError(name, err)
	}
	if now, err := os.Lstat(name); err != nil || !os.SameFile(now, info) {
		return nil, unlock(f)
	}
	if _, ours := readPID(f); !ours { // before it was locked it could change
		return nil, errors.Join(notOurs(name), unlock(f))
	}
	g := &Guard{file: f}
	if !atomicfile.Borrowed(filepath.Dir(name), info) {
		// For a message, and for nothing else: failing to write it changes nothing.
		_ = f.Truncate(0)
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		g.named = err == nil
	}
	return g, nil
}

var pidLine = regexp.MustCompile(`^([0-9]{1,10}\n)?$`)

// readPID gives the pid that a lock file names, 0 where it names none, and says
// whether it is a lock file of ours at all.
func readPID(f *os.File) (pid int, ours bool) {
	const most = 16
	data := make([]byte, most)
	n, err := f.ReadAt(data, 0)
	if err != nil && !errors.Is(err, io.EOF) || !pidLine.Match(data[:n]) {
		return 0, false
	}
	pid, _ = strconv.Atoi(string(bytes.TrimSpace(data[:n])))
	return pid, true
}

func notOurs(name string) error {
	return &Error{Path: name, Message: "is not a lock file of ours", Way: "move it away, or name another ledger with --ledger"}
}

func lockError(path string, err error) error {
	e := systemError(path, err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Message, e.Way = "no such directory", hint.Format("mkdir -p %s", filepath.Dir(path))
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.ENOLCK):
		e.Way = "this file system has no locks: keep the ledger on another one, with --ledger FILE"
	}
	return e
}

// held says whether the lock has not been given back.
func (g *Guard) held() bool { return g.file != nil }

// Unlock gives the lock back. A second time does nothing.
func (g *Guard) Unlock() error {
	if g.file == nil {
		return nil
	}
	if g.named {
		_ = g.file.Truncate(0) // or its pid would be blamed for the next holder
	}
	err := errors.Join(unlock(g.file), g.file.Close())
	g.file = nil
	return err
}
