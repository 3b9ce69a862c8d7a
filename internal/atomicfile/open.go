// SPDX-License-Identifier: Apache-2.0

package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// The rules for a folder that another user may write, who can put a symbolic
// link, a hard link, a pipe or a file of their own in the place of each name, at
// any moment:
//
//   A name is opened by itself: its last element is never followed, and nothing
//   waits for a pipe (Open). Links are followed before, by Resolve, and only
//   those that their owner could not use to reach more than what is theirs.
//   What was opened is judged on its descriptor, never by its name.
//   Keys and values are written into new files only, which are private from
//   their first byte; a file that others read is replaced, not changed.
//
// The folders above are trusted: whoever may write those can exchange them whole.

var (
	// ErrIrregular says that a name is no regular file: a link, a folder, a pipe.
	ErrIrregular = errors.New("not a regular file")
	// ErrForeign refuses what another user has put there.
	ErrForeign = errors.New("belongs to another user")
	// ErrDangling refuses to follow a link to a file that is not there.
	ErrDangling = errors.New("a symbolic link to what does not exist")
)

// Open opens a regular file by the last element of its name: a symbolic link and
// whatever else is no regular file are ErrIrregular, and a pipe is not waited for.
func Open(name string, flag int, perm fs.FileMode) (*os.File, error) {
	f, err := openFile(name, flag, perm)
	if err != nil {
		if info, statErr := os.Lstat(name); statErr == nil && !info.Mode().IsRegular() && !errors.Is(err, fs.ErrExist) {
			err = &fs.PathError{Op: "open", Path: name, Err: ErrIrregular}
		}
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: ErrIrregular}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Read gives the bytes of the file that Resolve finds, at most max of them.
func Read(fsys FS, path string, max int64) ([]byte, error) {
	target, err := Resolve(path)
	if err != nil {
		return nil, err
	}
	f, err := fsys.OpenFile(target, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err = errors.Join(err, f.Close()); err == nil && int64(len(data)) > max {
		err = fmt.Errorf("%s: is larger than %d bytes", path, max)
	}
	return data, err
}

// maxLinks is how many symbolic links Linux follows in one name.
const maxLinks = 40

// Resolve follows symbolic links to the file that is meant, so that what is put
// beside it is beside the file and not beside a link. The file itself may be
// missing; a link that leads nowhere is ErrDangling. A link of another user to a
// file that is not theirs is ErrForeign: they could have it changed in our name.
func Resolve(path string) (string, error) {
	at, owners := path, []int(nil)
	for range maxLinks {
		dir, name := split(at)
		dir, err := filepath.EvalSymlinks(dir)
		if err != nil {
			return "", dangling(path, at, err)
		}
		at = filepath.Join(dir, name)
		to, owner, err := readLink(at)
		switch {
		case err != nil:
			return "", dangling(path, at, err)
		case to == "":
			return at, mayLead(path, at, owners)
		case !filepath.IsAbs(to):
			to = dir + string(filepath.Separator) + to
		}
		at, owners = to, append(owners, owner)
	}
	return "", fmt.Errorf("%s: too many symbolic links", path)
}

// split is filepath.Split, but nothing is cleaned: what is before a .. may be a
// link. A name that is a folder's has no last element.
func split(path string) (dir, name string) {
	dir, name = filepath.Split(path)
	switch {
	case name == "" || name == "." || name == "..":
		return path, ""
	case dir == "":
		return ".", name
	}
	return dir, name
}

// mayLead says whether links of these owners may lead to a file: those of ours and
// of root, and those whose owner also owns the file.
func mayLead(path, file string, owners []int) error {
	if len(owners) == 0 {
		return nil
	}
	info, err := os.Lstat(file)
	if err != nil {
		return dangling(path, file, err)
	}
	for _, link := range owners {
		if link != ourUID() && link != 0 && link != ownerOf(info) {
			err := fmt.Errorf("a symbolic link that %w (uid %d), to a file that is not theirs: name that file itself, or remove the link", ErrForeign, link)
			return &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
	return nil
}

// dangling words the error of a name that was to be followed: of the path itself,
// or of what its links lead to.
func dangling(path, at string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) || at == path {
		return err
	}
	return fmt.Errorf("%s: %w", path, ErrDangling)
}
