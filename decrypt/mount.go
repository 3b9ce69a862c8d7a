// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// dataLink is the link in a mounted volume that the kubelet points to the folder
// with the files of today; the names beside it are links through it.
const dataLink = "..data"

// snapshot gives read a folder that does not change meanwhile: it calls read
// again if the kubelet has replaced the files. Errors begin with dir.
func snapshot(dir string, read func(folder fs.FS) error) error {
	const attempts = 10
	for i := 0; i < attempts; i++ {
		folder := current(dir)
		err := read(os.DirFS(folder))
		switch {
		case current(dir) != folder:
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", dir, err)
		}
		return nil
	}
	return fmt.Errorf("%s: %w", dir, errors.New("its files are replaced faster than they can be read"))
}

// current gives the folder that holds the files of dir now.
func current(dir string) string {
	folder, _ := filepath.EvalSymlinks(filepath.Join(dir, dataLink)) // "" where there is none
	info, err := os.Stat(folder)
	if err != nil || !info.IsDir() {
		return filepath.Clean(dir) // not a volume; or a broken one, whose links then fail
	}
	return folder
}

// readFile takes regular files, and links to them: it would wait for a pipe.
func readFile(folder fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(folder, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &EntryError{name, errors.New("not a regular file")}
	}
	return fs.ReadFile(folder, name)
}
