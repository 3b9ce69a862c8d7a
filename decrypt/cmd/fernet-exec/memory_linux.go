// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"syscall"
)

// The file systems in memory, as statfs(2) has them.
const (
	tmpfs = 0x01021994
	ramfs = 0x858458f6
)

// inMemory refuses a folder whose files would be on a disk.
func inMemory(dir *os.File) error {
	var fs syscall.Statfs_t
	if err := syscall.Fstatfs(int(dir.Fd()), &fs); err != nil {
		return err
	}
	if kind := uint32(fs.Type); kind != tmpfs && kind != ramfs {
		return errors.New("not in memory (tmpfs), so the values would be on the disk of the node; mount an emptyDir with medium: Memory, or allow it with --any-filesystem")
	}
	return nil
}
