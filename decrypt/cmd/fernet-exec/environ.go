// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
)

// open gives the environment for the command, and what was opened for it, by its
// new names. On notes it says what a previous key opened.
func (o options) open(environ []string, notes io.Writer) ([]string, decrypt.Secrets, error) {
	ring, err := decrypt.KeysFromEnviron(environ)
	if err != nil {
		return nil, nil, err
	}
	choices := []decrypt.Option{decrypt.Skip(o.skip...), decrypt.Require(o.require...), requireMoved(o.rename)}
	for _, dir := range o.dirs {
		choices = append(choices, decrypt.AddDir(dir, o.match...))
	}
	env, opened, err := ring.Environ(environ, choices...)
	if err != nil {
		return nil, nil, explainMoved(o.rename, err)
	}
	previous := opened.Previous()
	env, opened, err = rename(o.rename, env, opened)
	if err != nil {
		return nil, nil, err
	}
	if err := checkArguments(ring, o.command); err != nil {
		return nil, nil, err
	}
	if len(previous) > 0 {
		fmt.Fprintln(notes, line("a previous key is still needed, for: "+strings.Join(previous, ", ")))
	}
	return env, opened, nil
}

// forCommand takes out of an environment what the command is not to get: the keys,
// and what it finds in files. Some programs refuse to start when they find both.
func (o options) forCommand(env []string, opened decrypt.Secrets) ([]string, error) {
	if !o.keepKeys {
		env = without(env, "FERNET_KEY", "FERNET_KEY_PREVIOUS")
	}
	if o.files.dir != "" {
		env = without(env, sortedNames(opened)...)
	}
	return env, checkZero(env)
}

var tokenInside = regexp.MustCompile(`gAAAA[A-Za-z0-9_-]{93,}={0,2}`)

// checkArguments refuses a token of ours among the arguments: Kubernetes puts the
// value of a variable into $(NAME) before anything is started.
func checkArguments(ring *decrypt.Keyring, command []string) error {
	for i, argument := range command {
		for _, token := range tokenInside.FindAllString(argument, -1) {
			if _, err := ring.Open([]byte(token)); err == nil {
				return fmt.Errorf("argument %d of the command has a token in it, which is not opened there; "+
					"let the command read the variable: sh -c 'exec … \"$NAME\"' instead of $(NAME)", i)
			}
		}
	}
	return nil
}

// without gives the environment without the variables of these names.
func without(env []string, names ...string) []string {
	drop := map[string]bool{}
	for _, name := range names {
		drop[name] = true
	}
	var kept []string
	for _, entry := range env {
		if name, _, found := strings.Cut(entry, "="); !found || !drop[name] {
			kept = append(kept, entry)
		}
	}
	return kept
}

// checkZero refuses a value that would end early in an environment; exec(2)
// would not say which it is.
func checkZero(env []string) error {
	for _, entry := range env {
		if strings.IndexByte(entry, 0) >= 0 {
			name, _, _ := strings.Cut(entry, "=")
			return fmt.Errorf("%s: its value has a zero byte, which no environment can hold; let the program read a file (--write), or open it there, with package decrypt", name)
		}
	}
	return nil
}
