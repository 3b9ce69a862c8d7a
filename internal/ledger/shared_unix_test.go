// SPDX-License-Identifier: Apache-2.0

//go:build unix

package ledger_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile/faultfs"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
)

// plants give a name to another file, or put a pipe there.
var plants = map[string]func(victim, name string) error{
	"a symbolic link": os.Symlink,
	"a hard link":     os.Link,
	"a pipe":          func(_, name string) error { return syscall.Mkfifo(name, 0o600) },
}

// Another user of the folder can give the lock's name to any file, at any time: none
// is changed by it, and nothing waits for a pipe.
func TestLockChangesNoOtherFile(t *testing.T) {
	for what, plant := range plants {
		for _, text := range []string{"", "4711\n", "what must stay\n"} {
			for _, early := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s to %q, early=%t", what, text, early), func(t *testing.T) {
					path, victim := newPath(t), filepath.Join(t.TempDir(), "victim")
					put(t, victim, text)
					if err := os.Chmod(filepath.Dir(path), 0o777); err != nil {
						t.Fatal(err)
					}
					swap := func() {
						_ = os.Remove(path + ledger.LockSuffix)
						if err := plant(victim, path+ledger.LockSuffix); err != nil {
							t.Fatal(err)
						}
					}
					if early {
						swap()
					}
					guard, err := ledger.Lock(path)
					if got := get(t, victim); got != text {
						t.Errorf("locking changed it to %q", got)
					}
					ours := !early || what == "a hard link" && text != "what must stay\n"
					if ours != (err == nil) {
						t.Fatal(err)
					}
					if err != nil {
						return
					}
					if !early {
						swap()
					}
					if err := guard.Unlock(); err != nil {
						t.Error(err)
					}
					if got := get(t, victim); got != text {
						t.Errorf("giving it back changed it to %q", got)
					}
				})
			}
		}
	}
}

// The same of the ledger itself, before each call of a run that cuts off a torn end
// and appends, or makes the ledger. What is in its place is a ledger with the very
// same bytes.
func TestAppendChangesNoOtherFile(t *testing.T) {
	torn := header + line(planned(1)) + line(planned(2))[:40]
	for what, plant := range plants {
		for _, text := range []string{torn, ""} {
			for call, more := 1, true; more; call++ {
				t.Run(fmt.Sprintf("%s at call %d, new=%t", what, call, text == ""), func(t *testing.T) {
					path, victim := newPath(t), filepath.Join(t.TempDir(), "victim")
					put(t, victim, text)
					if text != "" {
						put(t, path, text)
					}
					if err := os.Chmod(filepath.Dir(path), 0o777); err != nil {
						t.Fatal(err)
					}
					more = false
					fsys := &faultfs.FS{Before: func(n int) {
						if n != call {
							return
						}
						more = true
						_ = os.Rename(path, path+"-kept")
						if err := plant(victim, path); err != nil {
							t.Fatal(err)
						}
					}}
					done, err := run(t, fsys, path, []ledger.Row{created(3)})
					if got := get(t, victim); got != text {
						t.Errorf("another file holds %d bytes, not %d", len(got), len(text))
					}
					if err == nil && done == 0 {
						t.Error("neither done nor an error")
					}
				})
			}
		}
	}
}

// A ledger with a second name is one that another user may have put into a folder
// of theirs; in one's own folder it is a backup's.
func TestSecondName(t *testing.T) {
	for mode, want := range map[os.FileMode]bool{0o755: true, 0o777: false, 0o777 | os.ModeSticky: false, 0o775: false} {
		path := newPath(t)
		put(t, path, header)
		if err := os.Link(path, filepath.Join(t.TempDir(), "other.csv")); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Dir(path), mode); err != nil {
			t.Fatal(err)
		}
		if _, err := run(t, &faultfs.FS{}, path, []ledger.Row{planned(1)}); want != (err == nil) {
			t.Errorf("%v: %v", mode, err)
		}
	}
}
