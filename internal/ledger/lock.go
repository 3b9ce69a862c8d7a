// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/gofrs/flock"

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
	flock  *flock.Flock
	ledger string // as atomicfile.Resolve gives it
}

// Lock takes the lock of a ledger, which need not exist yet, without waiting: if
// somebody holds it the cause is a *LockedError. The lock file stays; the system
// lets go of a lock whose holder died.
func Lock(path string) (*Guard, error) {
	ledger, err := atomicfile.Resolve(path)
	if err != nil {
		return nil, lockError(path, err)
	}
	if err := checkLockFile(ledger + LockSuffix); err != nil {
		return nil, err
	}
	f := flock.New(ledger+LockSuffix, flock.SetFlag(os.O_CREATE|os.O_RDWR))
	locked, err := f.TryLock()
	if err != nil {
		return nil, lockError(path+LockSuffix, err)
	}
	if !locked {
		held := &LockedError{PID: readPID(f.Path())}
		return nil, &Error{Path: path, Message: held.Error(), Hint: "wait until it has ended", cause: held}
	}
	// For the message above, and for nothing else: failing to write it changes nothing.
	_ = os.WriteFile(f.Path(), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
	return &Guard{flock: f, ledger: ledger}, nil
}

var pidLine = regexp.MustCompile(`^([0-9]{1,10}\n)?$`)

// checkLockFile refuses what is no lock file of ours, because Lock writes into
// it: a link would lead that to another file.
func checkLockFile(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return lockError(path, err)
	}
	foreign := &Error{Path: path, Message: "is not a lock file of ours", Hint: "move it away, or name another ledger with --ledger"}
	if !info.Mode().IsRegular() || info.Size() > 16 {
		return foreign
	}
	// Where a lock keeps others from reading, the holder is told by TryLock.
	if data, err := os.ReadFile(path); err == nil && !pidLine.Match(data) { // #nosec G304 -- beside the user's own ledger
		return foreign
	}
	return nil
}

func lockError(path string, err error) error {
	e := systemError(path, err)
	if errors.Is(err, fs.ErrNotExist) {
		e.Message, e.Hint = "no such directory", hint.Format("mkdir -p %s", filepath.Dir(path))
	}
	return e
}

func readPID(path string) int {
	data, _ := os.ReadFile(path) // #nosec G304 -- beside the user's own ledger
	pid, _ := strconv.Atoi(string(bytes.TrimSpace(data)))
	return pid
}

// Unlock gives the lock back. A second time does nothing.
func (g *Guard) Unlock() error {
	if g.flock.Locked() {
		_ = os.Truncate(g.flock.Path(), 0) // or its pid would be blamed for the next holder
	}
	return g.flock.Unlock()
}
