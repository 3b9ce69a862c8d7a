// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
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

// Environ opens the tokens of an environment such as os.Environ gives. Only
// variables whose names match one of the globs (path.Match; SECRET* if there are
// none) are looked at, and of these only what is a token: canonical base64,
// version 0x80, at least 73 bytes. All else stays as it is, so that an
// environment may hold values that are not sealed.
//
// The first result is the environment with the plaintexts in it, for a process
// to be started; environ is not changed. The second has what was opened. A token
// that does not open is an *EntryError around a *MalformedError or a
// *NoKeyError, and nothing is returned beside it.
func (r *Keyring) Environ(environ []string, globs ...string) ([]string, Secrets, error) {
	chosen, err := selection(globs)
	if err != nil {
		return nil, nil, err
	}
	plain, opened := append([]string(nil), environ...), Secrets{}
	for i, entry := range environ {
		equals := strings.IndexByte(entry, '=')
		if equals < 0 || !chosen(entry[:equals]) {
			continue
		}
		name := entry[:equals]
		result, err := r.OpenResult([]byte(entry[equals+1:]))
		switch {
		case !isToken(err):
			continue
		case err != nil:
			return nil, nil, &EntryError{name, err}
		}
		plain[i] = name + "=" + string(result.Plaintext)
		if _, again := opened[name]; !again { // as getenv(3) sees it
			opened[name] = result
		}
	}
	return plain, opened, nil
}

// Dir opens the files of a folder where Secrets are mounted, alone or through a
// projected volume. Files whose names match one of the globs (path.Match;
// SECRET* if there are none) must be tokens, each with at most one final newline
// behind it, which is not part of a token; nothing else is trimmed. Unlike in an
// environment, a file that is no token is an error: who can write to the Secret
// but has no key cannot make the application take a value of his.
//
// The kubelet replaces all files of a volume at once, by pointing the link
// ..data to another folder. Dir follows that link, reads all files from one and
// the same folder, and begins again if the link was changed meanwhile. Names
// that begin with ".." and folders are not looked at.
//
// An error is an *EntryError with the file's name, or one of the file system;
// then nothing is returned beside it. A folder where nothing matches is none.
func (r *Keyring) Dir(dir string, globs ...string) (Secrets, error) {
	var opened Secrets
	err := snapshot(dir, func(folder fs.FS) (err error) {
		opened, err = r.openFolder(folder, globs)
		return err
	})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// FS is Dir for the root of a file system. It follows ..data, too, but cannot
// see whether the link is changed while it reads: for a volume that is mounted
// use Dir.
func (r *Keyring) FS(fsys fs.FS, globs ...string) (Secrets, error) {
	if fsys == nil {
		return nil, fs.ErrInvalid
	}
	if info, err := fs.Stat(fsys, dataLink); err == nil && info.IsDir() {
		folder, err := fs.Sub(fsys, dataLink)
		if err != nil {
			return nil, err
		}
		fsys = folder
	}
	return r.openFolder(fsys, globs)
}

func (r *Keyring) openFolder(folder fs.FS, globs []string) (Secrets, error) {
	chosen, err := selection(globs)
	if err != nil {
		return nil, err
	}
	files, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, err
	}
	opened := Secrets{}
	for _, file := range files {
		name := file.Name()
		if !chosen(name) || strings.HasPrefix(name, "..") || file.IsDir() {
			continue
		}
		content, err := readFile(folder, name)
		if err != nil {
			return nil, err
		}
		if opened[name], err = r.OpenResult(trimNewline(content)); err != nil {
			return nil, &EntryError{name, err}
		}
	}
	return opened, nil
}

// selection gives a function that says whether a name matches one of the globs.
// Where keys and the name of the cluster stand, no glob matches: these are the
// names of an application's key, and those of the .env that it comes from.
func selection(globs []string) (func(name string) bool, error) {
	if len(globs) == 0 {
		globs = []string{"SECRET*"}
	}
	for _, glob := range globs {
		if _, err := path.Match(glob, ""); err != nil {
			return nil, fmt.Errorf("glob %q: %w", glob, err)
		}
	}
	return func(name string) bool {
		switch name {
		case keyName, previousName, "KEY", "KEY_PREVIOUS", "KEY_NEXT", "CLUSTER_NAME":
			return false
		}
		for _, glob := range globs {
			if matched, _ := path.Match(glob, name); matched {
				return true
			}
		}
		return false
	}, nil
}
