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

// Whatever the mode of the old file was, only its owner can read the new one; but
// what holds no key keeps its mode.
func TestModes(t *testing.T) {
	for _, mode := range []fs.FileMode{0o644, 0o640, 0o666, 0o444, 0o400, 0o600, 0o700} {
		for _, tc := range []struct {
			name    string
			replace func(atomicfile.FS, string, []byte, []byte) error
			want    fs.FileMode
		}{{"Replace", atomicfile.Replace, mode & 0o600}, {"ReplacePublic", atomicfile.ReplacePublic, mode}} {
			path := filepath.Join(t.TempDir(), ".env")
			put(t, path, oldText, mode)
			if err := tc.replace(&faultfs.FS{}, path, []byte(oldText), []byte(newText)); err != nil {
				t.Fatal(err)
			}
			if info, _ := os.Stat(path); info.Mode() != tc.want || get(t, path) != newText {
				t.Errorf("%s: %v became %v, %q", tc.name, mode, info.Mode(), get(t, path))
			}
		}
	}
}

// The temporary file holds a key; nobody else may read it, not even for the
// moment before it gets the mode of the file that it replaces.
func TestTemporaryFileIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".env")
	put(t, path, oldText, 0o600)
	// Dies right after the temporary file was opened.
	fsys := &faultfs.FS{FailAt: 2, Dies: true}
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
		{name: "directory", prepare: func(t *testing.T, path string) { mkdir(t, path) }, want: atomicfile.ErrIrregular},
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
func TestReplaceOfAnotherUsersFile(t *testing.T) {
	for _, tc := range []struct {
		name   string
		refuse error
		want   fs.FileMode
	}{{"kept", nil, 0o640}, {"not kept", fs.ErrPermission, 0o600}} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), ".env")
			put(t, path, oldText, 0o640)
			fsys := &otherOwner{FS: atomicfile.OS, refuse: tc.refuse}
			err := atomicfile.ReplacePublic(fsys, path, []byte(oldText), []byte(newText))
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

// In a folder that others may write, another user's file may have been put there
// by them: they are not given what is written.
func TestReplaceInASharedFolder(t *testing.T) {
	for _, mode := range []fs.FileMode{0o777, 0o777 | fs.ModeSticky, 0o775} {
		dir := t.TempDir()
		path := filepath.Join(dir, ".env")
		put(t, path, oldText, 0o644)
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		fsys := &otherOwner{FS: atomicfile.OS}
		err := atomicfile.Replace(fsys, path, []byte(oldText), []byte(newText))
		if !errors.Is(err, atomicfile.ErrForeign) || fsys.uid != 0 || get(t, path) != oldText {
			t.Errorf("%v: %v, given to uid %d", mode, err, fsys.uid)
		}
		if got := names(t, dir); len(got) != 1 {
			t.Errorf("%v: files left: %q", mode, got)
		}
	}
}

const otherUID = 12345

// otherOwner says that the first file that is read has another owner, and records
// who another file is given to.
type otherOwner struct {
	atomicfile.FS
	refuse error
	uid    int
	opened bool
}

type ownedInfo struct{ fs.FileInfo }

func (ownedInfo) Sys() any { return &syscall.Stat_t{Uid: otherUID, Gid: otherUID} }

type ownedFile struct {
	atomicfile.File
	fs    *otherOwner
	owned bool
}

func (f ownedFile) Chown(uid, _ int) error {
	f.fs.uid = uid
	return f.fs.refuse
}

func (f ownedFile) Stat() (fs.FileInfo, error) {
	info, err := f.File.Stat()
	if f.owned {
		info = ownedInfo{info}
	}
	return info, err
}

func (o *otherOwner) OpenFile(name string, flag int, perm fs.FileMode) (atomicfile.File, error) {
	f, err := o.FS.OpenFile(name, flag, perm)
	owned := flag == os.O_RDONLY && !o.opened
	o.opened = o.opened || owned
	return ownedFile{f, o, owned}, err
}

// Whatever another process puts in the place of a name, and before whichever call:
// no other file of ours is changed, nothing waits, and a call that reports success
// has the new bytes under the name, for our eyes only.
func TestSwappedAtEveryCall(t *testing.T) {
	for _, suffix := range []string{"", atomicfile.Suffix} {
		for what, plant := range plants {
			for _, old := range [][]byte{[]byte(oldText), nil} {
				for call, more := 1, true; more; call++ {
					name := fmt.Sprintf("%s for .env%s at call %d, new=%t", what, suffix, call, old == nil)
					t.Run(name, func(t *testing.T) { more = swapped(t, old, suffix, plant, call) })
				}
			}
		}
	}
}

// plants put something in the place of a name. Where it leads elsewhere, that is
// to a file with the very bytes that are to be replaced.
var plants = map[string]func(name, victim string) error{
	"a symbolic link": func(name, victim string) error { return os.Symlink(victim, name) },
	"a hard link":     func(name, victim string) error { return os.Link(victim, name) },
	"a pipe":          func(name, _ string) error { return syscall.Mkfifo(name, 0o666) },
	"a folder":        func(name, _ string) error { return os.Mkdir(name, 0o777) },
	"a readable file": func(name, _ string) error { return os.WriteFile(name, []byte(oldText), 0o666) },
}

// swapped is one case, and says whether there was such a call.
func swapped(t *testing.T, old []byte, suffix string, plant func(name, victim string) error, call int) bool {
	path, victim := filepath.Join(t.TempDir(), ".env"), filepath.Join(t.TempDir(), "victim")
	put(t, victim, oldText, 0o640)
	if old != nil {
		put(t, path, oldText, 0o640)
	}
	done := false
	fsys := &faultfs.FS{Before: func(n int) {
		if n != call {
			return
		}
		done = true
		_ = os.Rename(path+suffix, path+suffix+"-kept")
		if err := plant(path+suffix, victim); err != nil {
			t.Fatal(err)
		}
	}}
	err := atomicfile.Replace(fsys, path, old, []byte(newText))
	if info, _ := os.Stat(victim); get(t, victim) != oldText || info.Mode() != 0o640 {
		t.Errorf("a file elsewhere was changed: %v, %q", info.Mode(), get(t, victim))
	}
	last := 0 // of the looks at what has the name
	for i, c := range fsys.Calls() {
		if c.Op == "fstat" {
			last = i + 1
		}
	}
	if info, statErr := os.Lstat(path); err == nil && call < last && (statErr != nil || info.Mode() != 0o600 || get(t, path) != newText) {
		t.Errorf("success reported, but the name is %v, %v", info, statErr)
	}
	for _, name := range names(t, filepath.Dir(path)) {
		info, err := os.Stat(filepath.Join(filepath.Dir(path), name))
		if err == nil && info.Mode().IsRegular() && info.Mode()&0o077 != 0 && get(t, filepath.Join(filepath.Dir(path), name)) == newText {
			t.Errorf("%s holds the new bytes with mode %v", name, info.Mode())
		}
	}
	return done
}

func TestOpenIsOfRegularFilesAlone(t *testing.T) {
	for what, plant := range plants {
		dir := t.TempDir()
		victim, name := filepath.Join(dir, "victim"), filepath.Join(dir, "name")
		put(t, victim, oldText, 0o600)
		if err := plant(name, victim); err != nil {
			t.Fatal(err)
		}
		for _, flag := range []int{os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND | os.O_CREATE} {
			f, err := atomicfile.Open(name, flag, 0o600)
			regular := what == "a hard link" || what == "a readable file"
			if regular != (err == nil) || !regular && !errors.Is(err, atomicfile.ErrIrregular) {
				t.Errorf("%s, flag %x: %v", what, flag, err)
			}
			if err == nil {
				_ = f.Close()
			}
		}
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	put(t, path, oldText, 0o600)
	link(t, path, path+"-link")
	if got, err := atomicfile.Read(atomicfile.OS, path+"-link", int64(len(oldText))); err != nil || string(got) != oldText {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := atomicfile.Read(atomicfile.OS, path, int64(len(oldText))-1); err == nil {
		t.Errorf("a file that is too large: %q", got)
	}
	if _, err := atomicfile.Read(atomicfile.OS, path+"-missing", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestResolve(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mkdir(t, filepath.Join(dir, "a"))
	mkdir(t, filepath.Join(dir, "a", "b"))
	put(t, filepath.Join(dir, "file"), oldText, 0o600)
	link(t, "a/b", filepath.Join(dir, "deep"))
	link(t, "deep/../up", filepath.Join(dir, "first")) // of a/b, not of deep's own folder
	link(t, "../file", filepath.Join(dir, "a", "up"))
	link(t, "loop", filepath.Join(dir, "loop"))
	link(t, "nowhere", filepath.Join(dir, "dangling"))
	link(t, "no/where", filepath.Join(dir, "far"))
	for name, want := range map[string]string{"file": "file", "first": "file", "deep/../up": "file", "new": "new", "deep/new": "a/b/new"} {
		if got, err := atomicfile.Resolve(dir + "/" + name); err != nil || got != filepath.Join(dir, want) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	for name, want := range map[string]error{"dangling": atomicfile.ErrDangling, "far": atomicfile.ErrDangling, "no/file": fs.ErrNotExist} {
		if got, err := atomicfile.Resolve(dir + "/" + name); !errors.Is(err, want) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	if got, err := atomicfile.Resolve(dir + "/loop"); err == nil {
		t.Errorf("a loop: %s", got)
	}
}
