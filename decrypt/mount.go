// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// dataLink is the link in a mounted volume that the kubelet points to the folder
// with the files of today; the names beside it are links through it.
const dataLink = "..data"

// maxFile is more than any Secret holds: the API server takes 1 MiB.
const maxFile = 2 << 20

// snapshot gives read a folder that does not change meanwhile: it calls read
// again if the kubelet has replaced the files. An error is an EntryErrors or an
// *EntryError, about files in dir or about dir itself.
func snapshot(dir string, read func(folder fs.FS) error) error {
	const attempts = 10
	for i := 0; i < attempts; i++ {
		folder := current(dir)
		err := read(os.DirFS(folder))
		switch {
		case current(dir) != folder:
			continue
		case err != nil:
			return within(dir, err)
		}
		return nil
	}
	return within(dir, errors.New("its files are replaced faster than they can be read"))
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

// readFile takes regular files, and links to them: it would wait for a pipe. It
// reads no more than maxFile, also of a file that grows.
func readFile(folder fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(folder, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	if info.Size() > maxFile {
		return nil, ErrTooLarge
	}
	file, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if len(content) > maxFile {
		return nil, ErrTooLarge
	}
	return content, err
}
