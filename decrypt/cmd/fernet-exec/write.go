// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
)

// A folder of files looks as a volume of the kubelet does:
//
//	..2026_11_26_22_56_01.123456789/NAME    one set of files
//	..data -> ..2026_11_26_22_56_01.123456789
//	NAME -> ..data/NAME
//
// A set is complete before ..data points to it, and never changes afterwards. Who
// resolves ..data once and reads there reads one set.
const (
	dataLink = "..data"
	nextLink = "..data_tmp" // becomes dataLink
	stamp    = "..2006_01_02_15_04_05."
)

var setName = regexp.MustCompile(`^\.\.\d{4}(_\d\d){5}\.\d+$`)

var (
	errTaken    = errors.New("it is there, and fernet-exec did not make it; remove it, give --write a folder of its own, or choose another name with --rename")
	errFileName = errors.New("no file can have this name: it is over 255 bytes, is ., begins with .. or has a /; choose another with --rename")
)

// files is where opened values are written to, and how.
type files struct {
	dir      string
	mode     fs.FileMode
	uid, gid int  // -1 leaves it to the system
	anyFS    bool // dir may be on a disk
}

// write replaces the set of files in the folder.
func (f files) write(opened decrypt.Secrets) error {
	names := sortedNames(opened)
	if len(names) == 0 {
		return errors.New("--write: nothing was opened, so there is no file to write; does a variable or a file of --dir hold a token?")
	}
	var refused decrypt.EntryErrors
	for _, name := range names {
		if len(name) > 255 || name == "." || strings.HasPrefix(name, "..") || strings.Contains(name, "/") {
			refused = append(refused, &decrypt.EntryError{Name: name, Err: errFileName})
		}
	}
	if len(refused) > 0 {
		return refused
	}
	dir, err := f.open()
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return within(dir, func() error {
		if err := f.checkPlaces(names); err != nil {
			return err
		}
		if err := f.replace(dir, opened); err != nil {
			return fmt.Errorf("%s: %w", f.dir, err)
		}
		return nil
	})
}

// open opens the folder, which is in memory unless any file system will do.
func (f files) open() (*os.File, error) {
	check := inMemory
	if f.anyFS {
		check = func(*os.File) error { return nil }
	}
	return openOrMake(f.dir, check)
}

// checkPlaces refuses to replace what is not ours, and names all of it.
func (f files) checkPlaces(names []string) error {
	var refused decrypt.EntryErrors
	for _, name := range append([]string{dataLink, nextLink}, names...) {
		there, ours, err := look(name)
		if err == nil && there && !ours {
			err = errTaken
		}
		if err != nil {
			refused = append(refused, &decrypt.EntryError{Dir: f.dir, Name: name, Err: err})
		}
	}
	if len(refused) > 0 {
		return refused
	}
	return nil
}

// look says whether there is something of a name, and whether it is a link that
// this program makes.
func look(name string) (there, ours bool, err error) {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, false, nil
	case err != nil:
		return false, false, err
	case info.Mode()&fs.ModeSymlink == 0:
		return true, false, nil
	}
	target, err := os.Readlink(name)
	if name == dataLink || name == nextLink {
		return true, setName.MatchString(target), err
	}
	return true, target == dataLink+"/"+name, err
}

// replace makes a new set of files, lets the links lead to it, and removes what
// is old. The working folder is dir. Whenever it is killed, ..data points to a
// complete set, and the next run removes the rest.
func (f files) replace(dir *os.File, opened decrypt.Secrets) error {
	if err := sweep(); err != nil {
		return err
	}
	set, err := f.makeSet(opened)
	if err == nil {
		err = os.Symlink(set, nextLink)
	}
	if err == nil {
		err = os.Rename(nextLink, dataLink)
	}
	if err != nil {
		_ = sweep() // what is left, the next run removes
		return err
	}
	if err := f.link(opened); err != nil {
		return err
	}
	if err := f.sync(dir); err != nil {
		return err
	}
	return sweep()
}

// makeSet makes a set of files, complete but for the link to it, and gives its name.
// Nobody else may enter it meanwhile. Then everybody may, because the modes of the
// files say who reads them, and the names are to be seen beside it anyway.
func (f files) makeSet(opened decrypt.Secrets) (string, error) {
	path, err := os.MkdirTemp(".", time.Now().UTC().Format(stamp))
	if err != nil {
		return "", err
	}
	name := filepath.Base(path)
	set, err := openOwn(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = set.Close() }()
	err = within(set, func() error {
		for _, name := range sortedNames(opened) {
			if err := f.writeFile(name, opened[name].Plaintext); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = set.Chmod(0o755)
	}
	if err == nil {
		err = f.sync(set)
	}
	return name, err
}

// writeFile makes a new file. Its mode comes before its owner: afterwards, one who
// may only give files away could not change it.
func (f files) writeFile(name string, content []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Write(content); err != nil {
		return err
	}
	if err := file.Chmod(f.mode); err != nil {
		return err
	}
	if f.uid >= 0 {
		if err := file.Chown(f.uid, f.gid); err != nil {
			return fmt.Errorf("--owner needs root or CAP_CHOWN; without them, give the pod an fsGroup and the files --mode 0440: %w", err)
		}
	}
	if err := f.sync(file); err != nil {
		return err
	}
	return file.Close()
}

// sync makes durable what may be on a disk.
func (f files) sync(file *os.File) error {
	if !f.anyFS {
		return nil
	}
	return file.Sync()
}

// link makes the links to the files of the set, and removes ours to all others.
func (f files) link(opened decrypt.Secrets) error {
	for _, name := range sortedNames(opened) {
		there, ours, err := look(name)
		switch {
		case err == nil && !there:
			err = os.Symlink(dataLink+"/"+name, name)
		case err == nil && !ours: // since checkPlaces
			err = &fs.PathError{Op: "symlink", Path: name, Err: errTaken}
		}
		if err != nil {
			return err
		}
	}
	names, err := list()
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, found := opened[name]; found || strings.HasPrefix(name, "..") {
			continue
		}
		_, ours, err := look(name)
		if err == nil && ours {
			err = os.Remove(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sweep removes all sets but the one that ..data points to, and what a killed run
// left of the link.
func sweep() error {
	current, err := os.Readlink(dataLink)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, ours, err := look(nextLink); err != nil || ours {
		if err == nil {
			err = os.Remove(nextLink)
		}
		if err != nil {
			return err
		}
	}
	names, err := list()
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == current || !setName.MatchString(name) {
			continue
		}
		if err := removeSet(name); err != nil {
			return fmt.Errorf("an old set of files cannot be removed: %w", err)
		}
	}
	return nil
}

// removeSet removes a folder of files. What has its name and is none stays.
func removeSet(name string) error {
	info, err := os.Lstat(name)
	if err != nil || !info.IsDir() {
		return err
	}
	set, err := openFolder(name)
	if err != nil {
		return err
	}
	defer func() { _ = set.Close() }()
	err = within(set, func() error {
		names, err := list()
		for _, name := range names {
			if err == nil {
				err = os.Remove(name)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return os.Remove(name)
}

// list gives the names of what is in the working folder.
func list() ([]string, error) {
	here, err := os.Open(".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = here.Close() }()
	return here.Readdirnames(-1)
}
