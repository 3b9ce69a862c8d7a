// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// The variables, or the files of a folder, that hold the keys.
const (
	keyName      = "FERNET_KEY"
	previousName = "FERNET_KEY_PREVIOUS"
)

// KeysFromEnviron makes a keyring of an environment such as os.Environ gives:
// FERNET_KEY is the primary key, and may end in one line break;
// FERNET_KEY_PREVIOUS, which may be missing or empty, has the previous keys,
// separated by commas or line breaks, newest first. The first of two variables of
// one name counts, as for getenv(3). An error is an *EntryError about one of the
// two, around a *KeyError.
func KeysFromEnviron(environ []string) (*Keyring, error) {
	primary := lookup(environ, keyName)
	if primary == "" {
		return nil, &EntryError{Name: keyName, Err: &KeyError{Reason: KeyUnset}}
	}
	return namedKeys(primary, lookup(environ, previousName))
}

// KeysFromDir makes a keyring of the folder where a Secret with the keys is
// mounted: the file FERNET_KEY has the primary key, and may end in one line
// break; FERNET_KEY_PREVIOUS, which may be missing or empty, has the previous
// keys, separated by commas or line breaks, newest first. An error is an
// *EntryError about one of the two or about the folder, around a *KeyError or an
// error of the file system.
func KeysFromDir(dir string) (*Keyring, error) {
	var ring *Keyring
	err := snapshot(dir, func(folder fs.FS) error {
		primary, err := readFile(folder, keyName)
		if err != nil {
			return &EntryError{Name: keyName, Err: err}
		}
		previous, err := readFile(folder, previousName)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &EntryError{Name: previousName, Err: err}
		}
		ring, err = namedKeys(string(primary), string(previous))
		return err
	})
	if err != nil {
		return nil, err
	}
	return ring, nil
}

// KeysFromFile makes a keyring of one file: the primary key, and behind it the
// previous keys, separated by commas or line breaks, newest first. An error
// holds a *KeyError, or is one of the file system.
func KeysFromFile(file string) (*Keyring, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	texts := split(string(content))
	if len(texts) == 0 {
		texts = []string{""} // to be refused by ParseKeys
	}
	ring, err := ParseKeys(texts[0], texts[1:]...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return ring, nil
}

// namedKeys is ParseKeys for what variables or files hold: a final line break is
// no part of the primary key. Its error also names the place of the bad key.
func namedKeys(primary, previous string) (*Keyring, error) {
	ring, err := ParseKeys(string(trimNewline([]byte(primary))), split(previous)...)
	var bad *KeyError
	if errors.As(err, &bad) {
		if bad.Position == 0 {
			return nil, &EntryError{Name: keyName, Err: err}
		}
		return nil, &EntryError{Name: previousName, Err: err}
	}
	return ring, nil
}

// split gives the texts of a list without the blanks around them; an empty list
// has none, but an empty place between two commas is a text.
func split(list string) []string {
	list = strings.TrimSpace(list)
	if list == "" {
		return nil
	}
	texts := strings.Split(strings.ReplaceAll(list, "\n", ","), ",")
	for i, text := range texts {
		texts[i] = strings.TrimSpace(text)
	}
	return texts
}

// lookup gives the value of a variable, or "".
func lookup(environ []string, name string) string {
	for _, entry := range environ {
		if strings.HasPrefix(entry, name+"=") {
			return entry[len(name)+1:]
		}
	}
	return ""
}
