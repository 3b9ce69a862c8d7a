// SPDX-License-Identifier: Apache-2.0

// Command fernet-exec starts a program with opened secrets in its environment,
// for programs that cannot open Fernet tokens themselves:
//
//	fernet-exec [--dir DIR]... [--match GLOB]... [--require GLOB]... [--skip GLOB]...
//	            [--keep-keys] [--] COMMAND [ARG]...
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
// an opened value, unless --require or --match has exactly that name. Standard error
// has one line for each variable and file that something is wrong with, what it is,
// and what to do. What a previous key opened is named there, too: while something
// is, the old key is still needed.
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
                   [--keep-keys] [--] COMMAND [ARG]...`

const usage = synopsis + `

  --dir DIR       a folder whose files are tokens; each becomes a variable of its name
  --match GLOB    which files of --dir, if not all; it does not narrow the environment
  --require GLOB  variables that must be sealed: a plain value there is an error
  --skip GLOB     variables and files that are not opened
  --keep-keys     the command gets FERNET_KEY and FERNET_KEY_PREVIOUS`

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
// a terminal would obey or hide is escaped.
func line(text string) string {
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
	env, err := o.open(environ, stderr)
	if err != nil {
		return exitFailed, err
	}
	file, err := exec.LookPath(o.command[0])
	if err == nil {
		err = syscall.Exec(file, o.command, env) //nolint:gosec // it runs what its user names
		err = &fs.PathError{Op: "exec", Path: file, Err: err}
	}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return exitMissing, err
	}
	return exitCannot, err
}
