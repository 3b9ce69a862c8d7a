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
)

// Replace gives an existing file new bytes, if it still has the old ones, and
// else fails with ErrChanged. The file may hold keys: what its mode gave to others
// than its owner goes, before the new bytes are in it. A symbolic link stays one:
// the file that it leads to is replaced. Its owner is kept where possible; a file
// that another user may have put there is ErrForeign. With old nil it is Create
// with mode 0600.
func Replace(fsys FS, path string, old, new []byte) error {
	return replace(fsys, path, old, new, 0o600)
}

// ReplacePublic is Replace for a file that holds no key and no value: its mode is
// kept, but where its owner cannot be, only the new one has access.
func ReplacePublic(fsys FS, path string, old, new []byte) error {
	return replace(fsys, path, old, new, 0o777)
}

// replace keeps those bits of the old file's mode that are in mask.
func replace(fsys FS, path string, old, new []byte, mask fs.FileMode) error {
	if old == nil {
		return Create(fsys, path, new, 0o600)
	}
	target, err := Resolve(path)
	if err != nil {
		return err
	}
	t, err := newTemp(fsys, target, new, 0o600)
	if err != nil {
		return err
	}
	like, err := compare(fsys, target, old)
	if err == nil {
		err = t.become(like, mask)
	}
	if err == nil {
		err = fsys.Rename(t.name, target)
	}
	return t.finish(target, err)
}

// Create writes a file that must not exist yet; if it does, even as a dangling
// symbolic link, the error is fs.ErrExist. The umask applies to perm.
func Create(fsys FS, path string, data []byte, perm fs.FileMode) error {
	t, err := newTemp(fsys, path, data, perm)
	if err != nil {
		return err
	}
	return t.finish(path, publish(fsys, t.name, path))
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

// temp is a new, durable file beside the one whose next content it is, still open.
type temp struct {
	fsys FS
	name string
	file File
	info fs.FileInfo
}

// newTemp makes one; on failure there is none.
func newTemp(fsys FS, path string, data []byte, perm fs.FileMode) (*temp, error) {
	name := path + Suffix
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s %w", name, ErrBusy)
	}
	if err != nil {
		return nil, err
	}
	t := &temp{fsys: fsys, name: name, file: f}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err == nil {
		t.info, err = f.Stat()
	}
	if err != nil {
		_ = f.Close()
		return nil, t.remove(err)
	}
	return t, nil
}

func (t *temp) remove(err error) error {
	_ = t.fsys.Remove(t.name)
	return err
}

// become gives the file the owner of another one, and of its mode what is in mask.
func (t *temp) become(like fs.FileInfo, mask fs.FileMode) error {
	keep, err := keepOwner(filepath.Dir(t.name), like)
	if err != nil {
		return err
	}
	mode := like.Mode().Perm() & mask
	if !keep || chownLike(t.file, like) != nil {
		mode &= 0o700 // what its group or others could read is now another group's
	}
	return t.file.Chmod(mode)
}

// finish makes the file durable under its name, once err says that it has it, and
// else removes it. It looks whether the name is really that of this file: whoever
// may write the folder could have put another one in its place.
func (t *temp) finish(path string, err error) error {
	if closeErr := t.file.Close(); err != nil {
		return t.remove(err)
	} else if closeErr != nil {
		return closeErr
	}
	now, err := t.fsys.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	there, err := now.Stat()
	if err = errors.Join(err, now.Close()); err != nil {
		return err
	}
	if !os.SameFile(t.info, there) {
		return fmt.Errorf("%s: another process put another file in its place: %w", path, ErrChanged)
	}
	return t.fsys.SyncDir(filepath.Dir(path))
}

// compare fails with ErrChanged unless the file has exactly these bytes, and else
// describes the very file that was read.
func compare(fsys FS, name string, want []byte) (fs.FileInfo, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	var got []byte
	if err == nil {
		got, err = io.ReadAll(io.LimitReader(f, int64(len(want))+1))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if !bytes.Equal(got, want) {
		return nil, fmt.Errorf("%s: %w", name, ErrChanged)
	}
	return info, nil
}
