// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"slices"
	"strings"
	"time"
)

// file is one regular file of an archive.
type file struct {
	name string
	mode int64
	data []byte
}

// writeArchive writes files as a gzipped tar whose bytes depend on its arguments
// alone: sorted by name, owned by 0, all of one time.
func writeArchive(w io.Writer, mtime time.Time, files []file) error {
	zipped := gzip.NewWriter(w)
	archive := tar.NewWriter(zipped)
	sorted := slices.SortedFunc(slices.Values(files), func(a, b file) int { return strings.Compare(a.name, b.name) })
	for _, f := range sorted {
		header := &tar.Header{
			Format: tar.FormatUSTAR, Typeflag: tar.TypeReg,
			Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: mtime,
		}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(f.data); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return zipped.Close()
}
