// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"errors"
	"strings"
)

// An Option says more exactly what Environ is to do. Skip, Require and AddDir make
// them.
type Option func(*choices)

// choices is what options come to.
type choices struct {
	skip, require []string
	folders       []folder
}

// folder is one that AddDir names.
type folder struct {
	dir   string
	globs []string
}

// Skip excludes what has a name that matches one of the globs (path.Match):
// variables stay as they are, and files of AddDir are not looked at. It is for an
// application's own Fernet tokens, and for those of another project. A name that
// Require matches too is skipped.
func Skip(globs ...string) Option {
	return func(c *choices) { c.skip = append(c.skip, globs...) }
}

// Require names, by globs (path.Match), the variables that must be sealed: there
// a plain or empty value is an error. A variable that is not there is none.
// Without Require, whoever may write to a Secret but has no key can choose the
// value of each variable that comes from it.
func Require(globs ...string) Option {
	return func(c *choices) { c.require = append(c.require, globs...) }
}

// AddDir adds a variable for each file that Dir opens in a folder, after the
// variables of the environment and in the order of their names. A file whose name
// a variable has already is an error.
func AddDir(dir string, globs ...string) Option {
	return func(c *choices) { c.folders = append(c.folders, folder{dir, globs}) }
}

// Environ opens the tokens of an environment such as os.Environ gives: every
// variable whose value is a token is opened, whatever its name. One line break
// behind a token is no part of it. Values that are no tokens stay as they are, as
// do FERNET_KEY and FERNET_KEY_PREVIOUS, and what Skip names.
//
// The first result is the environment with the plaintexts in it, for a process
// to be started; environ is not changed. The second has what was opened.
//
// No token is passed on in place of a value: one that does not open is an error, and
// so is what is all but a token, because it was cut, is in quotes, has blanks around
// it or one more layer of base64, or is part of another text. A name that the
// loader, a shell or an interpreter obeys, such as LD_PRELOAD or PATH, is not set
// to an opened value: unless Require, or AddDir among its globs, has exactly that
// name, without a wildcard. The error is an EntryErrors with all variables, files
// and folders that something is wrong with, and nothing is returned beside it.
func (r *Keyring) Environ(environ []string, options ...Option) ([]string, Secrets, error) {
	e := &environment{variables: append([]string(nil), environ...), opened: Secrets{}}
	for _, option := range options {
		option(&e.choices)
	}
	if err := e.checkGlobs(); err != nil {
		return nil, nil, err
	}
	for i, entry := range environ {
		if name, value, found := strings.Cut(entry, "="); found {
			e.openVariable(r, i, name, value)
		}
	}
	for _, f := range e.folders {
		e.addFolder(r, f)
	}
	if len(e.refused) > 0 {
		return nil, nil, e.refused
	}
	return e.variables, e.opened, nil
}

// environment is one in the making.
type environment struct {
	choices
	variables []string
	opened    Secrets
	refused   EntryErrors
}

// openVariable opens the variable at a place. Of two with one name, the first
// counts among what was opened, as for getenv(3).
func (e *environment) openVariable(r *Keyring, at int, name, value string) {
	if name == keyName || name == previousName || matches(e.skip, name) {
		return
	}
	result, err := r.openEntry([]byte(value))
	switch {
	case errors.Is(err, ErrNotSealed) && !matches(e.require, name):
		return
	case err == nil && !e.allows(name):
		err = &NameError{NameObeyed}
	}
	if err != nil {
		e.refused = append(e.refused, &EntryError{Name: name, Err: err})
		return
	}
	e.variables[at] = name + "=" + string(result.Plaintext)
	if _, again := e.opened[name]; !again {
		e.opened[name] = result
	}
}

func (e *environment) addFolder(r *Keyring, f folder) {
	chosen, _ := selection(f.globs) // Environ has looked at them
	files, err := r.dir(f.dir, func(name string) bool { return chosen(name) && !matches(e.skip, name) })
	e.refused = append(e.refused, entriesOf(err)...)
	for _, name := range files.names() {
		var reason NameReason
		switch {
		case strings.Contains(name, "="):
			reason = NameEquals
		case e.has(name):
			reason = NameTaken
		case !e.allows(name):
			reason = NameObeyed
		}
		if reason != "" {
			e.refused = append(e.refused, &EntryError{Dir: f.dir, Name: name, Err: &NameError{reason}})
			continue
		}
		e.variables = append(e.variables, name+"="+string(files[name].Plaintext))
		e.opened[name] = files[name]
	}
}

// has says whether there is a variable of this name.
func (e *environment) has(name string) bool {
	for _, entry := range e.variables {
		if strings.HasPrefix(entry, name+"=") {
			return true
		}
	}
	return false
}

func (c *choices) checkGlobs() error {
	all := append(append([]string(nil), c.skip...), c.require...)
	for _, f := range c.folders {
		all = append(all, f.globs...)
	}
	return checkGlobs(all)
}

// allows says whether a variable of this name may be set to what was sealed.
func (c *choices) allows(name string) bool {
	if !matches(obeyed, name) || contains(c.require, name) {
		return true
	}
	for _, f := range c.folders {
		if contains(f.globs, name) {
			return true
		}
	}
	return false
}
