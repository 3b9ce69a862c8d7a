// SPDX-License-Identifier: Apache-2.0

package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/windows"
)

// openFile opens a file by way of its folder, because os.OpenFile keeps everybody, this
// process too, from renaming and removing a file that it has open.
func openFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	folder, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return nil, named(name, err)
	}
	defer func() { _ = folder.Close() }()
	f, err := folder.OpenFile(filepath.Base(name), flag, perm)
	return f, named(name, err)
}

// named gives an error the name that the caller knows.
func named(name string, err error) error {
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: "open", Path: name, Err: inner.Err}
	}
	return err
}

// patience is how long a rename waits for others to close the file: scanners and
// indexers open what is new for a moment.
const patience = 2 * time.Second

func rename(from, to string) error {
	for end := time.Now().Add(patience); ; time.Sleep(patience / 100) {
		err := os.Rename(from, to)
		open := errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !open || time.Now().After(end) {
			return err
		}
	}
}

func syncDir(string) error { return nil } // a directory cannot be opened for it

func chownLike(File, fs.FileInfo) error { return nil } // it inherits the directory's rights

func keepOwner(string, fs.FileInfo) (bool, error) { return true, nil }

func ourUID() int { return 0 }

func ownerOf(fs.FileInfo) int { return 0 }

// Exposed says whether others than the owner have access, as far as a mode says
// so: not here.
func Exposed(fs.FileInfo) bool { return false }

// Borrowed says whether to write into a file could change another one, of which
// this is a second name that another user made: not known here.
func Borrowed(string, fs.FileInfo) bool { return false }
