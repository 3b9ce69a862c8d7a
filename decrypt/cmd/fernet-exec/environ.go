// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
)

type options struct {
	dirs     []string
	match    []string // narrows dirs
	skip     []string
	require  []string
	keepKeys bool
	command  []string
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("fernet-exec", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Func("dir", "", appendTo(&o.dirs))
	flags.Func("match", "", globTo(&o.match))
	flags.Func("skip", "", globTo(&o.skip))
	flags.Func("require", "", globTo(&o.require))
	flags.BoolVar(&o.keepKeys, "keep-keys", false, "")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	o.command = flags.Args()
	switch {
	case len(o.command) == 0:
		return options{}, errors.New("no command")
	case len(o.match) > 0 && len(o.dirs) == 0:
		return options{}, errors.New("--match narrows the files of --dir, and there is no --dir; in the environment every token is opened, but for --skip")
	}
	return o, nil
}

// appendTo takes the values of a flag that may be repeated. An empty one comes of
// a script's variable that is not set, and would have no effect.
func appendTo(list *[]string) func(value string) error {
	return func(value string) error {
		if value == "" {
			return errors.New("it is empty")
		}
		*list = append(*list, value)
		return nil
	}
}

// globTo does so for names. A list would match none.
func globTo(list *[]string) func(value string) error {
	return func(value string) error {
		if strings.Contains(value, ",") {
			return errors.New("it has a comma; repeat the flag instead")
		}
		return appendTo(list)(value)
	}
}

// open gives the environment for the command. On notes it says what a previous
// key opened.
func (o options) open(environ []string, notes io.Writer) ([]string, error) {
	ring, err := decrypt.KeysFromEnviron(environ)
	if err != nil {
		return nil, err
	}
	choices := []decrypt.Option{decrypt.Skip(o.skip...), decrypt.Require(o.require...)}
	for _, dir := range o.dirs {
		choices = append(choices, decrypt.AddDir(dir, o.match...))
	}
	env, opened, err := ring.Environ(environ, choices...)
	if err != nil {
		return nil, err
	}
	if err := checkArguments(ring, o.command); err != nil {
		return nil, err
	}
	if !o.keepKeys {
		env = without(env, "FERNET_KEY", "FERNET_KEY_PREVIOUS")
	}
	if err := checkZero(env); err != nil {
		return nil, err
	}
	if previous := opened.Previous(); len(previous) > 0 {
		fmt.Fprintln(notes, line("a previous key is still needed, for: "+strings.Join(previous, ", ")))
	}
	return env, nil
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
			return fmt.Errorf("%s: its value has a zero byte, which no environment can hold; open it in the program, with package decrypt", name)
		}
	}
	return nil
}
