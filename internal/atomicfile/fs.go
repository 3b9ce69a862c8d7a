// SPDX-License-Identifier: Apache-2.0

package atomicfile

import (
	"io"
	"io/fs"
	"os"
)

// File is an open file. *os.File is one.
type File interface {
	io.Reader
	io.Writer
	Stat() (fs.FileInfo, error)
	Chmod(mode fs.FileMode) error
	Chown(uid, gid int) error
	Truncate(size int64) error
	Sync() error
	Close() error
}

// FS is all that is ever done to the files that must not be lost. It is an
// interface so that a test can count the calls, make the n-th fail, or die there.
type FS interface {
	Stat(name string) (fs.FileInfo, error)
	// OpenFile is Open: it follows no link and opens regular files alone.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Link fails with fs.ErrExist when newname exists.
	Link(oldname, newname string) error
	Rename(oldname, newname string) error
	Remove(name string) error
	// SyncDir makes the names in a directory durable, where the system can.
	SyncDir(dir string) error
}

// OS is the real file system.
var OS FS = osFS{}

type osFS struct{}

func (osFS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }
func (osFS) Link(oldname, newname string) error    { return os.Link(oldname, newname) }
func (osFS) Rename(oldname, newname string) error  { return rename(oldname, newname) }
func (osFS) Remove(name string) error              { return os.Remove(name) }
func (osFS) SyncDir(dir string) error              { return syncDir(dir) }

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := Open(name, flag, perm)
	if err != nil {
		return nil, err // not f: a nil *os.File is not a nil File
	}
	return f, nil
}
