// SPDX-License-Identifier: Apache-2.0

//go:build unix

package atomicfile_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile/faultfs"
)

const (
	oldText = "KEY=canary-7f3a-old\n"
	newText = "KEY=canary-7f3a-new\nKEY_PREVIOUS=canary-7f3a-old\n"
)

func put(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func ops(calls []faultfs.Call) []string {
	var list []string
	for _, c := range calls {
		list = append(list, c.Op)
	}
	return list
}

func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".env")
	put(t, path, oldText, 0o640)
	fsys := &faultfs.FS{}
	if err := atomicfile.Replace(fsys, path, []byte(oldText), []byte(newText)); err != nil {
		t.Fatal(err)
	}
	if got := get(t, path); got != newText {
		t.Errorf("file holds %q", got)
	}
	if info, _ := os.Stat(path); info.Mode() != 0o640 {
		t.Errorf("mode %v, want that of the old file", info.Mode())
	}
	if got := names(t, filepath.Dir(path)); len(got) != 1 {
		t.Errorf("files left: %q", got)
	}
	var last []string // what makes it durable, in this order
	for _, op := range ops(fsys.Calls()) {
		if slices.Contains([]string{"write", "sync", "rename", "syncdir"}, op) {
			last = append(last, op)
		}
	}
	if want := []string{"write", "sync", "rename", "syncdir"}; !slices.Equal(last, want) {
		t.Errorf("calls %v, want %v", last, want)
	}
}

// Whatever the mode of the old file was, nobody else can read the new one, and its
// owner can write it.
func TestReplacePrivate(t *testing.T) {
	for _, mode := range []fs.FileMode{0o644, 0o666, 0o444, 0o400, 0o600, 0o700} {
		path := filepath.Join(t.TempDir(), ".env")
		put(t, path, oldText, mode)
		if err := atomicfile.ReplacePrivate(&faultfs.FS{}, path, []byte(oldText), []byte(newText)); err != nil {
			t.Fatal(err)
		}
		if info, _ := os.Stat(path); info.Mode() != 0o600 || get(t, path) != newText {
			t.Errorf("%v: became %v, %q", mode, info.Mode(), get(t, path))
		}
	}
	path := filepath.Join(t.TempDir(), ".env")
	if err := atomicfile.ReplacePrivate(&faultfs.FS{}, path, nil, []byte(newText)); err != nil || get(t, path) != newText {
		t.Errorf("a new file: %v", err)
	}
	if err := atomicfile.ReplacePrivate(&faultfs.FS{}, path, []byte(oldText), []byte(newText)); !errors.Is(err, atomicfile.ErrChanged) {
		t.Errorf("changed: %v", err)
	}
}

// The temporary file holds a key; nobody else may read it, not even for the
// moment before it gets the mode of the file that it replaces.
func TestTemporaryFileIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".env")
	put(t, path, oldText, 0o600)
	// Dies right after the temporary file was opened.
	fsys := &faultfs.FS{FailAt: 3, Dies: true}
	if err := atomicfile.Replace(fsys, path, []byte(oldText), []byte(newText)); !errors.Is(err, faultfs.ErrFault) {
		t.Fatalf("got %v; calls %v", err, fsys.Calls())
	}
	info, err := os.Stat(path + ".fernet-tmp")
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("temporary file: %v, %v", info, err)
	}
}

func TestReplaceRefuses(t *testing.T) {
	for _, tc := range []struct {
		name    string
		prepare func(t *testing.T, path string)
		old     []byte
		want    error
	}{
		{name: "changed", prepare: func(t *testing.T, path string) { put(t, path, oldText+"A=1\n", 0o600) }, want: atomicfile.ErrChanged},
		{name: "cut", prepare: func(t *testing.T, path string) { put(t, path, oldText[:5], 0o600) }, want: atomicfile.ErrChanged},
		{name: "gone", prepare: func(*testing.T, string) {}, want: fs.ErrNotExist},
		{name: "must not exist yet", prepare: func(t *testing.T, path string) { put(t, path, oldText, 0o600) }, old: []byte("nil"), want: fs.ErrExist},
		{name: "leftover", prepare: func(t *testing.T, path string) {
			put(t, path, oldText, 0o600)
			put(t, path+".fernet-tmp", "x", 0o600)
		}, want: atomicfile.ErrBusy},
		{name: "dangling link", prepare: func(t *testing.T, path string) { link(t, path+"-nowhere", path) }, want: atomicfile.ErrDangling},
		{name: "directory", prepare: func(t *testing.T, path string) { mkdir(t, path) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), ".env")
			tc.prepare(t, path)
			before := names(t, filepath.Dir(path))
			old := []byte(oldText)
			if tc.old != nil {
				old = nil
			}
			err := atomicfile.Replace(atomicfile.OS, path, old, []byte(newText))
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if strings.Contains(fmt.Sprint(err), "canary") {
				t.Errorf("error shows content: %v", err)
			}
			if after := names(t, filepath.Dir(path)); !slices.Equal(before, after) {
				t.Errorf("files %q became %q", before, after)
			}
		})
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestReplaceKeepsLink(t *testing.T) {
	dir := t.TempDir()
	mkdir(t, filepath.Join(dir, "real"))
	target, path := filepath.Join(dir, "real", "env"), filepath.Join(dir, ".env")
	put(t, target, oldText, 0o600)
	link(t, filepath.Join("real", "env"), path)
	put(t, target+atomicfile.Suffix, "left over", 0o600)

	if removed, err := atomicfile.CleanLeftover(atomicfile.OS, path); !removed || err != nil {
		t.Fatalf("CleanLeftover: %v, %v", removed, err)
	}
	if err := atomicfile.Replace(atomicfile.OS, path, []byte(oldText), []byte(newText)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	if got := get(t, target); got != newText {
		t.Errorf("the file that it leads to holds %q", got)
	}
}

func TestCleanLeftover(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".env") // need not exist: a Create may have been killed
	if removed, err := atomicfile.CleanLeftover(atomicfile.OS, path); removed || err != nil {
		t.Errorf("nothing there: %v, %v", removed, err)
	}
	put(t, path+atomicfile.Suffix, "left over", 0o600)
	if removed, err := atomicfile.CleanLeftover(atomicfile.OS, path); !removed || err != nil {
		t.Errorf("a leftover: %v, %v", removed, err)
	}
	if got := names(t, filepath.Dir(path)); len(got) != 0 {
		t.Errorf("files left: %q", got)
	}
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ".env")
	if err := atomicfile.Create(atomicfile.OS, path, []byte(newText), 0o600); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := atomicfile.Create(atomicfile.OS, path, []byte("other"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second time: %v", err)
	}
	link(t, filepath.Join(dir, "nowhere"), filepath.Join(dir, "link"))
	if err := atomicfile.Create(atomicfile.OS, filepath.Join(dir, "link"), []byte("other"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a dangling link: %v", err)
	}
	if got := get(t, path); got != newText {
		t.Errorf("file holds %q", got)
	}
	if got := names(t, dir); !slices.Equal(got, []string{".env", "link"}) {
		t.Errorf("files left: %q", got)
	}
}

// noLinks is a file system without hard links, such as FAT.
type noLinks struct{ atomicfile.FS }

func (noLinks) Link(string, string) error { return errors.ErrUnsupported }

func TestCreateWithoutLinks(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".env")
	fsys := noLinks{atomicfile.OS}
	if err := atomicfile.Create(fsys, path, []byte(newText), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Create(fsys, path, []byte("other"), 0o600); err == nil {
		t.Error("overwrote a file")
	}
	if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{".env"}) || get(t, path) != newText {
		t.Errorf("files left: %q", got)
	}
}

// Every call fails once, and the process dies once at every call: the path holds
// the old or the new bytes and nothing else, a call that reported success has
// written the new ones, and the next run can clean up and do the work.
func TestFaultAtEveryCall(t *testing.T) {
	for _, tc := range []struct {
		name string
		old  []byte // nil: create
	}{{"replace", []byte(oldText)}, {"create", nil}} {
		for _, dies := range []bool{false, true} {
			total := runWithFault(t, tc.old, 0, dies)
			if total < 6 {
				t.Fatalf("%s: only %d calls", tc.name, total)
			}
			for n := 1; n <= total; n++ {
				t.Run(fmt.Sprintf("%s/%d/dies=%v", tc.name, n, dies), func(t *testing.T) { runWithFault(t, tc.old, n, dies) })
			}
		}
	}
}

func runWithFault(t *testing.T, old []byte, failAt int, dies bool) (calls int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".env")
	if old != nil {
		put(t, path, string(old), 0o600)
	}
	fsys := &faultfs.FS{FailAt: failAt, Short: 7, Dies: dies}
	err := atomicfile.Replace(fsys, path, old, []byte(newText))
	now, readErr := os.ReadFile(path)
	isOld := string(now) == string(old) && (old != nil || errors.Is(readErr, fs.ErrNotExist))
	isNew := string(now) == newText
	switch {
	case !isOld && !isNew:
		t.Fatalf("call %d: the file holds %d bytes that are neither old nor new", failAt, len(now))
	case err == nil && !isNew:
		t.Fatalf("call %d: success reported, but the file is the old one", failAt)
	}
	left, err := atomicfile.CleanLeftover(atomicfile.OS, path)
	if err != nil {
		t.Fatal(err)
	}
	if left && !dies && fsys.Calls()[failAt-1].Op != "remove" {
		t.Errorf("call %d: the living did not tidy up", failAt)
	}
	if isOld {
		if err := atomicfile.Replace(atomicfile.OS, path, old, []byte(newText)); err != nil {
			t.Fatalf("call %d: the next run: %v", failAt, err)
		}
	}
	if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{".env"}) || get(t, path) != newText {
		t.Fatalf("call %d: after the next run: %q", failAt, got)
	}
	return len(fsys.Calls())
}

// Where the owner cannot be kept, those who could read it as the old owner's
// group must not become readers as the new owner's.
func TestReplaceOfSomebodyElsesFile(t *testing.T) {
	for _, tc := range []struct {
		name   string
		refuse error
		want   fs.FileMode
	}{{"kept", nil, 0o640}, {"not kept", fs.ErrPermission, 0o600}} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), ".env")
			put(t, path, oldText, 0o640)
			fsys := &otherOwner{FS: atomicfile.OS, refuse: tc.refuse}
			err := atomicfile.Replace(fsys, path, []byte(oldText), []byte(newText))
			info, statErr := os.Stat(path)
			if err != nil || statErr != nil || info.Mode() != tc.want {
				t.Errorf("%v, %v, mode %v, want %v", err, statErr, info.Mode(), tc.want)
			}
			if fsys.uid != otherUID {
				t.Errorf("given to uid %d, want %d", fsys.uid, otherUID)
			}
		})
	}
}

const otherUID = 12345

// otherOwner says that each file has another owner, and records who it is given to.
type otherOwner struct {
	atomicfile.FS
	refuse error
	uid    int
}

type ownedInfo struct{ fs.FileInfo }

func (ownedInfo) Sys() any { return &syscall.Stat_t{Uid: otherUID, Gid: otherUID} }

type ownedFile struct {
	atomicfile.File
	fs *otherOwner
}

func (f ownedFile) Chown(uid, _ int) error {
	f.fs.uid = uid
	return f.fs.refuse
}

func (o *otherOwner) Stat(name string) (fs.FileInfo, error) {
	info, err := o.FS.Stat(name)
	return ownedInfo{info}, err
}

func (o *otherOwner) OpenFile(name string, flag int, perm fs.FileMode) (atomicfile.File, error) {
	f, err := o.FS.OpenFile(name, flag, perm)
	return ownedFile{f, o}, err
}
