// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

const (
	installed  = "fernet-exec"
	installing = ".fernet-exec.tmp"
)

// install puts a copy of this program into a folder, whole or not at all.
func install(path string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	source, err := os.Open(self)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	dir, err := openOrMake(path, func(*os.File) error { return nil })
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return within(dir, func() error {
		err := copyTo(installing, source)
		if err == nil {
			err = os.Rename(installing, installed)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
}

// copyTo makes a new program that everybody may run. What a killed run left in its
// place goes.
func copyTo(name string, source io.Reader) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	target, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = target.Close() }()
	if _, err := io.Copy(target, source); err != nil {
		return err
	}
	if err := target.Chmod(0o755); err != nil {
		return err
	}
	if err := target.Sync(); err != nil {
		return err
	}
	return target.Close()
}
