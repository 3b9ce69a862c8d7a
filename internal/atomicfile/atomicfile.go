// SPDX-License-Identifier: Apache-2.0

// Package atomicfile writes a file whole or not at all: bytes and a path go in,
// and whatever call fails or whenever the process dies, the path then holds
// entirely the old or entirely the new bytes, and when the call has returned
// without an error the new ones survive a power cut. It refuses to replace a file
// that somebody else has changed in the meantime and to overwrite one that it
// was to create. Its errors name files, never what is in them. The small
// interface FS, through which it works, serves the ledger too.
package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Suffix is what a file's name gets while its next content is being written. The
// name is fixed, so that git can ignore it and the next run can find a leftover.
const Suffix = ".fernet-tmp"

var (
	// ErrChanged refuses to replace a file whose bytes are not the ones that the
	// caller knows.
	ErrChanged = errors.New("changed since it was read")
	// ErrBusy says that a temporary file is in the way: somebody is writing, or was
	// killed while writing and nobody has called CleanLeftover since.
	ErrBusy = errors.New("exists: another run is writing it, or was killed while it did")
	// ErrDangling refuses to follow a link to a file that is not there.
	ErrDangling = errors.New("a symbolic link to what does not exist")
)

// Replace gives an existing file new bytes, if it still has the old ones, and
// else fails with ErrChanged. A symbolic link stays one: the file that it leads to
// is replaced. The file's mode is kept, and its owner where possible; where not,
// only the new owner has access. With old nil it is Create with mode 0600.
func Replace(fsys FS, path string, old, new []byte) error {
	return replace(fsys, path, old, new, false)
}

// ReplacePrivate is Replace, but the new file has mode 0600 whatever the old one
// had: there may have been nothing to hide in that.
func ReplacePrivate(fsys FS, path string, old, new []byte) error {
	return replace(fsys, path, old, new, true)
}

// private is what is known of a file, as if only its owner had access.
type private struct{ fs.FileInfo }

func (private) Mode() fs.FileMode { return 0o600 }

func replace(fsys FS, path string, old, new []byte, hide bool) error {
	if old == nil {
		return Create(fsys, path, new, 0o600)
	}
	target, err := Resolve(path)
	if err != nil {
		return err
	}
	info, err := fsys.Stat(target)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: not a regular file", path)
	case hide:
		info = private{info}
	}
	temp := target + Suffix
	if err := write(fsys, temp, new, 0o600, info); err != nil {
		return err
	}
	err = compare(fsys, target, old)
	if err == nil {
		err = fsys.Rename(temp, target)
	}
	if err != nil {
		_ = fsys.Remove(temp)
		return err
	}
	return fsys.SyncDir(filepath.Dir(target))
}

// Create writes a file that must not exist yet; if it does, even as a dangling
// symbolic link, the error is fs.ErrExist. The umask applies to perm.
func Create(fsys FS, path string, data []byte, perm fs.FileMode) error {
	temp := path + Suffix
	if err := write(fsys, temp, data, perm, nil); err != nil {
		return err
	}
	if err := publish(fsys, temp, path); err != nil {
		_ = fsys.Remove(temp)
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}

// publish gives a file its name, if that is free. A link cannot overwrite; where
// the file system has no links, a look before the rename has to do.
func publish(fsys FS, temp, path string) error {
	err := fsys.Link(temp, path)
	if err == nil {
		_ = fsys.Remove(temp) // if not, it is a leftover, a second name of the same file
		return nil
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	if _, statErr := fsys.Stat(path); !errors.Is(statErr, fs.ErrNotExist) {
		return err
	}
	return fsys.Rename(temp, path)
}

// CleanLeftover removes the temporary file that a killed run left beside path,
// and says whether there was one. Only the holder of the lock may call it.
func CleanLeftover(fsys FS, path string) (removed bool, err error) {
	target, err := Resolve(path)
	if err != nil {
		return false, err
	}
	err = fsys.Remove(target + Suffix)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, fsys.SyncDir(filepath.Dir(target))
}

// Resolve follows symbolic links to the file that is meant, so that what is put
// beside it is beside the file and not beside a link. The file itself may be
// missing; a link that leads nowhere is ErrDangling.
func Resolve(path string) (string, error) {
	target, err := filepath.EvalSymlinks(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return target, err
	}
	if _, linkErr := os.Lstat(path); linkErr == nil {
		return "", fmt.Errorf("%s: %w", path, ErrDangling)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

// write makes a new, durable file; with like, one of that file's mode and owner.
// On failure there is none.
func write(fsys FS, name string, data []byte, perm fs.FileMode, like fs.FileInfo) error {
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s %w", name, ErrBusy)
	}
	if err != nil {
		return err
	}
	if like != nil {
		err = setMode(f, like)
	}
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = fsys.Remove(name)
	}
	return err
}

func setMode(f File, like fs.FileInfo) error {
	mode := like.Mode().Perm()
	if chownLike(f, like) != nil {
		mode &= 0o700 // what its group or others could read is now another group's
	}
	return f.Chmod(mode)
}

// compare fails with ErrChanged unless the file has exactly these bytes.
func compare(fsys FS, name string, want []byte) error {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(io.LimitReader(f, int64(len(want))+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s: %w", name, ErrChanged)
	}
	return nil
}
