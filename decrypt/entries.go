// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"
)

// Secrets are opened tokens by the name of their variable or file. It prints
// without the plaintexts, as a Result does.
type Secrets map[string]Result

// Previous gives the names, sorted, of what a previous key opened: while there
// is one, the old key is still needed. Log it.
func (s Secrets) Previous() []string {
	var names []string
	for name, result := range s {
		if result.Previous {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// names gives all names, sorted.
func (s Secrets) names() []string {
	names := make([]string, 0, len(s))
	for name := range s {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Dir opens the files of a folder where Secrets are mounted, alone or through a
// projected volume. Every file must be a token that opens, with at most one line
// break behind it; nothing else is trimmed. Globs (path.Match) narrow this to the
// files whose names match one of them. So whoever can write to the Secret but has
// no key cannot make the application take a value of his.
//
// The kubelet replaces all files of a volume at once, by pointing the link
// ..data to another folder. Dir follows that link, reads all files from one and
// the same folder, and begins again if the link was changed meanwhile. Names
// that begin with "..", folders, and the names of keys (FERNET_KEY,
// FERNET_KEY_PREVIOUS and those of a .env file) are not looked at.
//
// An error about files is an EntryErrors that names all of them: of what is no
// token, does not open, is not regular, or is over 2 MiB, which is more than a
// Secret can hold. One about the folder is an *EntryError: that it is not there,
// or, around ErrNoFiles, that it has no file to open. Nothing is returned beside
// an error.
func (r *Keyring) Dir(dir string, globs ...string) (Secrets, error) {
	chosen, err := selection(globs)
	if err != nil {
		return nil, err
	}
	return r.dir(dir, chosen)
}

func (r *Keyring) dir(dir string, chosen func(name string) bool) (Secrets, error) {
	var opened Secrets
	err := snapshot(dir, func(folder fs.FS) (err error) {
		opened, err = r.openFolder(folder, chosen)
		return err
	})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// FS is Dir for the root of a file system. It follows ..data, too, but cannot
// see whether the link is changed while it reads: for a volume that is mounted
// use Dir. An error about the root is one of the file system, or ErrNoFiles.
func (r *Keyring) FS(fsys fs.FS, globs ...string) (Secrets, error) {
	if fsys == nil {
		return nil, fs.ErrInvalid
	}
	chosen, err := selection(globs)
	if err != nil {
		return nil, err
	}
	if info, err := fs.Stat(fsys, dataLink); err == nil && info.IsDir() {
		folder, err := fs.Sub(fsys, dataLink)
		if err != nil {
			return nil, err
		}
		fsys = folder
	}
	return r.openFolder(fsys, chosen)
}

func (r *Keyring) openFolder(folder fs.FS, chosen func(name string) bool) (Secrets, error) {
	files, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, err
	}
	opened, refused := Secrets{}, EntryErrors(nil)
	for _, file := range files {
		name := file.Name()
		if !chosen(name) || strings.HasPrefix(name, "..") || file.IsDir() {
			continue
		}
		content, err := readFile(folder, name)
		if err == nil {
			opened[name], err = r.openEntry(content)
		}
		if err != nil {
			refused = append(refused, &EntryError{Name: name, Err: err})
		}
	}
	switch {
	case len(refused) > 0:
		return nil, refused
	case len(opened) == 0:
		return nil, ErrNoFiles
	}
	return opened, nil
}

// openEntry opens what a variable or a file holds; each of them comes through
// here. One final line break is no part of a token. An error is ErrNotSealed for
// what never was a token; a *MalformedError for what is all but one, and for a
// token that is made wrongly; or a *NoKeyError.
func (r *Keyring) openEntry(content []byte) (Result, error) {
	text := trimNewline(content)
	result, err := r.OpenResult(text)
	if isToken(err) {
		return result, err
	}
	var malformed *MalformedError
	errors.As(err, &malformed)
	defect := nearly(text, malformed.Defect)
	if defect == "" {
		return Result{}, ErrNotSealed
	}
	return Result{}, &MalformedError{defect}
}

// selection gives a function that says whether a file is to be opened: it has not
// the name of a key and, if there are globs, one of them matches. The names are
// those of an application's keys and, with that of the cluster, of a .env file.
func selection(globs []string) (func(name string) bool, error) {
	if err := checkGlobs(globs); err != nil {
		return nil, err
	}
	return func(name string) bool {
		switch name {
		case keyName, previousName, "KEY", "KEY_PREVIOUS", "KEY_NEXT", "CLUSTER_NAME":
			return false
		}
		return len(globs) == 0 || matches(globs, name)
	}, nil
}

func checkGlobs(globs []string) error {
	for _, glob := range globs {
		if _, err := path.Match(glob, ""); err != nil {
			return fmt.Errorf("glob %q: %w", glob, err)
		}
	}
	return nil
}

// matches says whether one of the globs, which are good ones, matches a name.
func matches(globs []string, name string) bool {
	for _, glob := range globs {
		if matched, _ := path.Match(glob, name); matched {
			return true
		}
	}
	return false
}
