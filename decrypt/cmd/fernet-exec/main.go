// SPDX-License-Identifier: Apache-2.0

// Command fernet-exec gives opened secrets to a program that cannot open Fernet
// tokens itself, in its environment or in files:
//
//	fernet-exec [--dir DIR]... [--match GLOB]... [--require GLOB]... [--skip GLOB]...
//	            [--rename NEW=OLD]... [--keep-keys] [--] COMMAND [ARG]...
//	fernet-exec --write DIR [--mode MODE] [--owner UID[:GID]] [--any-filesystem]
//	            [FLAG]... [--] [COMMAND [ARG]...]
//	fernet-exec --install DIR
//
// The keys are in FERNET_KEY and FERNET_KEY_PREVIOUS, as package decrypt reads
// them. Every variable whose value is a token is set to what the token opens to,
// whatever its name; other values stay as they are.
//
// With --dir, which may be repeated, each file of that folder must be a token, and
// becomes a variable of its name. --match, which may be repeated, narrows this to
// the files whose names match; it never narrows the environment. A folder where
// nothing is opened is an error.
//
// --require names what must be sealed: there a plain value is an error. Name all
// that has to be sealed, because whoever may write Secrets chooses the others. A
// variable that is not there is no error. --skip excludes what is not to be opened,
// such as an application's own Fernet tokens or those of another project. Both may
// be repeated; what both match is skipped.
//
// --rename moves what was opened as OLD, a variable or a file, to the name NEW. It may
// be repeated; one OLD may go to several NEWs, and two names may be swapped. OLD must
// be sealed, and NEW must be free or moved away itself. --match, --require and --skip
// are about the old names.
//
// # Files
//
// With --write, each opened value becomes a file of DIR, by the name of its variable,
// and is no longer in the environment: some programs refuse to start if they find
// both. A value may have any bytes. Without a command, fernet-exec ends with 0 when
// the files are there, as an init container does.
//
// All files are replaced at once, as the kubelet does it: DIR has a link NAME to
// ..data/NAME for each of them, and ..data is a link to the folder with the current
// ones. Who resolves ..data once reads files of one run. Files of an earlier run go,
// whatever their names; what else there is in DIR is never touched, and is an error
// where a link would have to be. DIR is made if it is not there. While one
// fernet-exec writes, another is refused.
//
// The files have the mode 0400, or MODE: 0440 lets their group read them, 0444
// everybody. They belong to the user who runs fernet-exec, or to --owner, which needs
// root or CAP_CHOWN. Without these, give the pod an fsGroup and the files the mode
// 0440: they then belong to that group, and containers of any user read them.
//
// DIR must be in memory, such as an emptyDir with medium: Memory, because on a disk
// the values would outlive the pod. --any-filesystem allows a disk. Mount DIR read-only
// where its files are read: who may write in it can put other files there. (fernet-exec
// itself is not led out of DIR by links, also not while others write in it.)
//
// # Installing
//
// --install copies fernet-exec into DIR, under this name and for everybody to run,
// whole or not at all. It takes no key, no other flag and no command. An image needs
// nothing else for that, no cp and no shell.
//
// # The command
//
// The command then takes the place of fernet-exec, which no longer exists: same
// process id, same open files and limits, signals go straight to it. (Where the
// parent ignores signals, the command inherits that for HUP and INT, as under
// nohup; others are back to their default.) It gets no FERNET_KEY and no
// FERNET_KEY_PREVIOUS, unless --keep-keys says so. Without a / in it, it is
// looked for in PATH.
//
// The command is never started with a token in the place of a value. A token that
// does not open is an error, and so is what is all but a token: it was cut, or has
// quotes, blanks, other text or one more layer of base64 around it. A name that the
// loader, a shell or an interpreter obeys, such as LD_PRELOAD or PATH, is not set to
// an opened value, unless --require, --match or --rename has exactly that name.
// Standard error has one line for each variable and file that something is wrong with,
// what it is, and what to do; then nothing was started, and no file was replaced. What a
// previous key opened is named there, too, by its old name: while something is, the
// old key is still needed.
//
// The exit code is that of the command; 125 if fernet-exec failed, 126 if the
// command cannot be started, 127 if there is no such command. Windows has no way
// to let one process take the place of another; there fernet-exec only says so.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
)

// The exit codes are those of env(1) and timeout(1).
const (
	exitFailed  = 125
	exitCannot  = 126
	exitMissing = 127
)

const synopsis = `usage: fernet-exec [--dir DIR]... [--match GLOB]... [--require GLOB]... [--skip GLOB]...
                   [--rename NEW=OLD]... [--keep-keys] [--] COMMAND [ARG]...
       fernet-exec --write DIR [--mode MODE] [--owner UID[:GID]] [--any-filesystem]
                   [FLAG]... [--] [COMMAND [ARG]...]
       fernet-exec --install DIR`

const usage = synopsis + `

  --dir DIR         a folder whose files are tokens; each becomes a variable of its name
  --match GLOB      which files of --dir, if not all; it does not narrow the environment
  --require GLOB    variables that must be sealed: a plain value there is an error
  --skip GLOB       variables and files that are not opened
  --rename NEW=OLD  the name NEW for what was opened as the variable or file OLD
  --keep-keys       the command gets FERNET_KEY and FERNET_KEY_PREVIOUS

  --write DIR       opened values become files of DIR, all at once, and are taken out of
                    the environment; without a command, that is all
  --mode MODE       the mode of the files: 0400 if not given, 0440 or 0444
  --owner UID[:GID] who owns the files; this needs root or CAP_CHOWN
  --any-filesystem  DIR may be on a disk, where values outlive the pod

  --install DIR     copy fernet-exec into DIR, and end`

// usageError is about the arguments; the synopsis is printed behind it.
type usageError struct{ error }

func main() {
	code, err := run(os.Args[1:], os.Environ(), os.Stderr)
	report(os.Stderr, err)
	os.Exit(code)
}

// report prints an error: one line for each variable or file.
func report(stderr io.Writer, err error) {
	var entries decrypt.EntryErrors
	var bad usageError
	switch {
	case err == nil:
	case errors.As(err, &entries):
		for _, entry := range entries {
			fmt.Fprintln(stderr, line(entry.Error()))
		}
	default:
		fmt.Fprintln(stderr, line(err.Error()))
	}
	if errors.As(err, &bad) {
		fmt.Fprintln(stderr, synopsis)
	}
}

// line gives a line for standard error. Names and paths come from outside: what
// a terminal would obey or hide is escaped, and a token, which $(NAME) puts in the
// place of a name, is not shown.
func line(text string) string {
	text = tokenInside.ReplaceAllString(text, "(a token)")
	var shown strings.Builder
	shown.WriteString("fernet-exec: ")
	for _, r := range text {
		if strconv.IsPrint(r) {
			shown.WriteRune(r)
		} else {
			shown.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return shown.String()
}

// run comes back only if the command was not started.
func run(args, environ []string, stderr io.Writer) (code int, err error) {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stderr, usage)
		return 0, nil
	}
	if err != nil {
		return exitFailed, usageError{err}
	}
	if runtime.GOOS == "windows" {
		return exitFailed, errors.New("on Windows no process can take the place of another; use package decrypt in the program")
	}
	if o.install != "" {
		if err := install(o.install); err != nil {
			return exitFailed, err
		}
		return 0, nil
	}
	env, opened, err := o.open(environ, stderr)
	if err != nil {
		return exitFailed, err
	}
	if env, err = o.forCommand(env, opened); err != nil {
		return exitFailed, err
	}
	return o.start(env, opened)
}

// start writes the files and starts the command. A command that is not there is
// noticed before anything is written.
func (o options) start(env []string, opened decrypt.Secrets) (code int, err error) {
	var program string
	if len(o.command) > 0 {
		if program, err = exec.LookPath(o.command[0]); err != nil {
			return notStarted(err), err
		}
	}
	if o.files.dir != "" {
		if err := o.files.write(opened); err != nil {
			return exitFailed, err
		}
	}
	if len(o.command) == 0 {
		return 0, nil
	}
	err = syscall.Exec(program, o.command, env) //nolint:gosec // it runs what its user names
	err = &fs.PathError{Op: "exec", Path: program, Err: err}
	return notStarted(err), err
}

// notStarted gives the exit code for a command that cannot be started.
func notStarted(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return exitMissing
	}
	return exitCannot
}
