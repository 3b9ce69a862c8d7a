// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"reflect"
	"slices"
	"testing"
	"time"
)

var someTime = time.Unix(1_700_000_000, 0).UTC()

// entry is what a reader of an archive sees.
type entry struct {
	name string
	mode int64
	data string
}

// readArchive gives the entries of a gzipped tar, and fails on any header field
// that could differ from one machine to the next.
func readArchive(t *testing.T, archive []byte, mtime time.Time) []entry {
	t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	if h := zipped.Header; h.Name != "" || !h.ModTime.IsZero() || h.Comment != "" || h.Extra != nil {
		t.Errorf("gzip header says %+v", h)
	}
	var entries []entry
	for reader := tar.NewReader(zipped); ; {
		h, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || !h.ModTime.Equal(mtime) || h.Typeflag != tar.TypeReg {
			t.Errorf("%s: header says %+v", h.Name, h)
		}
		data, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry{h.Name, h.Mode, string(data)})
	}
}

func TestArchive(t *testing.T) {
	files := []file{{"b", 0o755, []byte("program")}, {"A", 0o644, []byte("licence")}, {"c", 0o644, nil}}
	var first, second bytes.Buffer
	if err := writeArchive(&first, someTime, files); err != nil {
		t.Fatal(err)
	}
	want := []entry{{"A", 0o644, "licence"}, {"b", 0o755, "program"}, {"c", 0o644, ""}}
	if got := readArchive(t, first.Bytes(), someTime); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if files[0].name != "b" {
		t.Error("the caller's list was sorted")
	}
	slices.Reverse(files)
	if err := writeArchive(&second, someTime.In(time.FixedZone("", 3600)), files); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the order of the files or the time zone shows in the bytes")
	}
}

// full refuses every write.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestArchiveNotWritten(t *testing.T) {
	if err := writeArchive(full{}, someTime, []file{{"a", 0o644, make([]byte, 1<<20)}}); err == nil {
		t.Error("no error from a full disk")
	}
}
