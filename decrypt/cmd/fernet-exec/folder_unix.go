// SPDX-License-Identifier: Apache-2.0

//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// openFolder opens a folder, and no link to one.
func openFolder(path string) (*os.File, error) {
	dir, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
		return nil, errNoFolder
	}
	return dir, err
}

// openOwn opens a folder that was just made, and not one that another user put in its
// place: that could give its group to what is made in it.
func openOwn(name string) (*os.File, error) {
	dir, err := openFolder(name)
	if err != nil {
		return nil, err
	}
	info, err := dir.Stat()
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Geteuid() {
		_ = dir.Close()
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("somebody else put a folder in its place; who may write here?")}
	}
	return dir, nil
}

// lock keeps other runs out until dir is closed, or this process ends. It does not
// wait, because anybody who can read a folder can lock it.
func lock(dir *os.File) error {
	err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errors.New("another fernet-exec is writing here; give each its own folder")
	}
	return err
}
