// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// options are the arguments, checked.
type options struct {
	dirs     []string
	match    []string // narrows dirs
	skip     []string
	require  []string
	rename   []renaming
	files    files
	install  string // the folder to copy fernet-exec to
	keepKeys bool
	command  []string
}

func parse(args []string) (options, error) {
	o := options{files: files{mode: 0o400, uid: -1, gid: -1}}
	flags := flag.NewFlagSet("fernet-exec", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Func("dir", "", appendTo(&o.dirs))
	flags.Func("match", "", globTo(&o.match))
	flags.Func("skip", "", globTo(&o.skip))
	flags.Func("require", "", globTo(&o.require))
	flags.Func("rename", "", renameTo(&o.rename))
	flags.Func("write", "", folderTo(&o.files.dir))
	flags.Func("mode", "", modeTo(&o.files.mode))
	flags.Func("owner", "", ownerTo(&o.files.uid, &o.files.gid))
	flags.BoolVar(&o.files.anyFS, "any-filesystem", false, "")
	flags.BoolVar(&o.keepKeys, "keep-keys", false, "")
	flags.Func("install", "", folderTo(&o.install))
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	o.command = flags.Args()
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if err := o.validate(given); err != nil {
		return options{}, err
	}
	return o, nil
}

// validate refuses flags that would have no effect.
func (o options) validate(given map[string]bool) error {
	writes := given["write"]
	switch {
	case given["install"] && (len(given) > 1 || len(o.command) > 0):
		return errors.New("--install copies fernet-exec and ends; it takes no other flag and no command")
	case given["install"]:
		return nil
	case len(o.command) == 0 && !writes:
		return errors.New("no command, and no --write")
	case len(o.command) == 0 && o.keepKeys:
		return errors.New("--keep-keys is about the environment of a command, and there is no command")
	case len(o.match) > 0 && len(o.dirs) == 0:
		return errors.New("--match narrows the files of --dir, and there is no --dir; in the environment every token is opened, but for --skip")
	}
	for _, name := range []string{"mode", "owner", "any-filesystem"} {
		if given[name] && !writes {
			return fmt.Errorf("--%s is about the files of --write, and there is no --write", name)
		}
	}
	return nil
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

// folderTo takes one folder. It is cleaned because a / behind a name makes the
// system follow a link there.
func folderTo(dir *string) func(value string) error {
	return func(value string) error {
		switch {
		case value == "":
			return errors.New("it is empty")
		case *dir != "":
			return errors.New("it is given twice")
		}
		*dir = filepath.Clean(value)
		return nil
	}
}

// modeTo takes the modes by which the owner reads, and perhaps the group and all
// others. Nobody needs to write or execute the files: the next run replaces them.
func modeTo(mode *fs.FileMode) func(value string) error {
	return func(value string) error {
		bits, err := strconv.ParseUint(value, 8, 32)
		if err != nil || bits&^0o444 != 0 || bits&0o400 == 0 {
			return errors.New("it is not 0400, 0440 or 0444 (or 0404); the files are only ever read")
		}
		*mode = fs.FileMode(bits)
		return nil
	}
}

// ownerTo takes UID or UID:GID. They are numbers: an image may have no list of users.
func ownerTo(uid, gid *int) func(value string) error {
	return func(value string) error {
		user, group, both := strings.Cut(value, ":")
		for _, part := range []struct {
			text  string
			given bool
			id    *int
		}{{user, true, uid}, {group, both, gid}} {
			if !part.given {
				continue
			}
			id, err := strconv.ParseUint(part.text, 10, 31)
			if err != nil {
				return errors.New("it is not UID or UID:GID, in numbers")
			}
			*part.id = int(id)
		}
		return nil
	}
}
