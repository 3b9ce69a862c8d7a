// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

var errNoFolder = errors.New("not a folder; a symbolic link in its place is not followed, so name the folder itself")

// openOrMake opens a folder that passes a check, and makes it if it is not there.
// It is ours until it is closed: another fernet-exec gets an error. Links above
// it are followed, one in its place is not, because who may write in the folder
// above could lead us anywhere.
func openOrMake(path string, check func(dir *os.File) error) (*os.File, error) {
	dir, err := openFolder(path)
	if errors.Is(err, fs.ErrNotExist) {
		dir, err = makeFolder(path, check)
	}
	if err != nil {
		return nil, named(path, err)
	}
	err = check(dir)
	if err == nil {
		err = lock(dir)
	}
	if err != nil {
		_ = dir.Close()
		return nil, named(path, err)
	}
	return dir, nil
}

// makeFolder makes a folder that others may enter, if the one above passes the check.
func makeFolder(path string, check func(dir *os.File) error) (*os.File, error) {
	above, err := os.Open(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("neither it nor the folder above is there; mount a volume at one of them")
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = above.Close() }()
	if err := check(above); err != nil {
		return nil, err
	}
	if err := os.Mkdir(path, 0o755); err != nil { //nolint:gosec // the modes of the files say who reads them
		return nil, err
	}
	dir, err := openFolder(path)
	if err != nil {
		return nil, err
	}
	info, err := dir.Stat()
	if err == nil && info.Mode().Perm() != 0o755 { // the umask; the bit that hands on the group is kept
		err = dir.Chmod(info.Mode() | 0o755)
	}
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return dir, nil
}

// named says which folder an error is about, once.
func named(path string, err error) error {
	var place *fs.PathError
	if errors.As(err, &place) {
		err = place.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// within calls do with dir as the working folder, and comes back. There, a name of
// one element leads nowhere else, whatever others rename or link meanwhile.
func within(dir *os.File, do func() error) (err error) {
	before, err := os.Open(".")
	if err != nil {
		return fmt.Errorf("the working folder, which has to be opened to come back to it: %w; set another (workingDir)", err)
	}
	defer func() { _ = before.Close() }()
	if err := dir.Chdir(); err != nil {
		return err
	}
	defer func() {
		if back := before.Chdir(); err == nil {
			err = back
		}
	}()
	return do()
}
