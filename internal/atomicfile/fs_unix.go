// SPDX-License-Identifier: Apache-2.0

//go:build unix

package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// openFile follows no link and waits for no pipe.
func openFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, perm) // #nosec G304 -- the user names the file
}

func rename(from, to string) error { return os.Rename(from, to) }

// syncDir takes EINVAL and ENOTSUP as "not needed here": some network and FUSE
// file systems give them for a directory, and nothing else can be done there.
func syncDir(dir string) error {
	d, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY, 0) // #nosec G304 -- the user names the file
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// chownLike gives f the owner and group of another file.
func chownLike(f File, like fs.FileInfo) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	is, ok1 := info.Sys().(*syscall.Stat_t)
	want, ok2 := like.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 || is.Uid == want.Uid && is.Gid == want.Gid {
		return nil
	}
	return f.Chown(int(want.Uid), int(want.Gid))
}

// keepOwner says whether the next content of a file may belong to the file's owner:
// to us, and to another user if no third one can have put the file into its
// folder. Where they can, in a shared folder, that other user may be the one who
// did, and would be given what is written: ErrForeign.
func keepOwner(dir string, file fs.FileInfo) (bool, error) {
	owner := ownerOf(file)
	if owner == ourUID() {
		return true, nil
	}
	folder, err := os.Stat(dir)
	if err != nil {
		return false, err
	}
	if ownerOf(folder) == owner || !shared(folder) {
		return true, nil
	}
	return false, fmt.Errorf("%s: %w (uid %d), in a folder that others may write: run this as that user, or put a copy of your own in its place", filepath.Join(dir, file.Name()), ErrForeign, owner)
}

// shared says whether others than we and root may put files into a folder.
func shared(folder fs.FileInfo) bool {
	owner := ownerOf(folder)
	return folder.Mode().Perm()&0o022 != 0 || owner != ourUID() && owner != 0
}

func ourUID() int { return os.Geteuid() }

// ownerOf gives the uid of a file's owner, -1 where it is not known.
func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// Exposed says whether others than its owner have access to a file, as far as its
// mode says so.
func Exposed(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }

// Borrowed says whether a file has a second name, in a folder into which another
// user may have put this one: to write into it may be to change a file of ours
// that is elsewhere.
func Borrowed(dir string, file fs.FileInfo) bool {
	stat, ok := file.Sys().(*syscall.Stat_t)
	if !ok || stat.Nlink < 2 {
		return false
	}
	folder, err := os.Stat(dir)
	return err != nil || shared(folder)
}
