// SPDX-License-Identifier: Apache-2.0

package atomicfile

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// readLink gives what a symbolic link leads to and who owns it, nothing where the
// name is none. Both are asked of one descriptor: between two looks at the name
// another user could exchange the link.
func readLink(name string) (to string, owner int, err error) {
	fail := func(err error) (string, int, error) {
		return "", 0, &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	fd, err := unix.Open(name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", 0, nil
	}
	if err != nil {
		return fail(err)
	}
	defer func() { _ = unix.Close(fd) }()
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return fail(err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", 0, nil
	}
	text := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", text)
	if err != nil {
		return fail(err)
	}
	return string(text[:n]), int(stat.Uid), nil
}
