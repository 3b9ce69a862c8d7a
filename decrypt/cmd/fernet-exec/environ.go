// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
)

type options struct {
	dir      string
	globs    []string
	keepKeys bool
	command  []string
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("fernet-exec", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.dir, "dir", "", "")
	flags.BoolVar(&o.keepKeys, "keep-keys", false, "")
	flags.Func("match", "", func(glob string) error {
		o.globs = append(o.globs, glob)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if o.command = flags.Args(); len(o.command) == 0 {
		return options{}, errors.New("no command")
	}
	return o, nil
}

// open gives the environment for the command. On notes it says what a previous
// key opened.
func (o options) open(environ []string, notes io.Writer) ([]string, error) {
	ring, err := decrypt.KeysFromEnviron(environ)
	if err != nil {
		return nil, err
	}
	env, opened, err := ring.Environ(environ, o.globs...)
	if err != nil {
		return nil, err
	}
	previous := opened.Previous()
	if o.dir != "" {
		files, err := ring.Dir(o.dir, o.globs...)
		if err != nil {
			return nil, err
		}
		if env, err = add(env, files); err != nil {
			return nil, fmt.Errorf("%s: %w", o.dir, err)
		}
		previous = append(previous, files.Previous()...)
	}
	if !o.keepKeys {
		env = without(env, "FERNET_KEY", "FERNET_KEY_PREVIOUS")
	}
	if err := checkZero(env); err != nil {
		return nil, err
	}
	if len(previous) > 0 {
		fmt.Fprintf(notes, "fernet-exec: a previous key is still needed, for: %s\n", strings.Join(previous, ", "))
	}
	return env, nil
}

// add appends a variable for each file, in the order of their names.
func add(env []string, files decrypt.Secrets) ([]string, error) {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if strings.Contains(name, "=") {
			return nil, fmt.Errorf("%s: a variable cannot have this name", name)
		}
		if len(without(env, name)) != len(env) {
			return nil, fmt.Errorf("%s: the environment has a variable of this name", name)
		}
		env = append(env, name+"="+string(files[name].Plaintext))
	}
	return env, nil
}

// without gives the environment without the variables of these names.
func without(env []string, names ...string) []string {
	var kept []string
	for _, entry := range env {
		drop := false
		for _, name := range names {
			drop = drop || strings.HasPrefix(entry, name+"=")
		}
		if !drop {
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
			return fmt.Errorf("%s: its value has a zero byte, which no environment can hold", name)
		}
	}
	return nil
}
