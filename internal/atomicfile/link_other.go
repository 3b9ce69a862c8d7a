// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package atomicfile

import (
	"errors"
	"io/fs"
	"os"
)

// readLink gives what a symbolic link leads to and who owns it, nothing where the
// name is none.
func readLink(name string) (to string, owner int, err error) {
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink == 0 {
		return "", 0, nil
	}
	if err == nil {
		to, err = os.Readlink(name)
	}
	if err != nil {
		return "", 0, err
	}
	return to, ownerOf(info), nil
}
