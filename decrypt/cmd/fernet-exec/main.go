// SPDX-License-Identifier: Apache-2.0

// Command fernet-exec starts a program with opened secrets in its environment,
// for programs that cannot open Fernet tokens themselves:
//
//	fernet-exec [--dir DIR] [--match GLOB]... [--keep-keys] [--] COMMAND [ARG]...
//
// The keys are in FERNET_KEY and FERNET_KEY_PREVIOUS, as package decrypt reads
// them. Tokens in variables whose names match SECRET* are replaced by what they
// open to; other values stay as they are. With --dir, each file of that folder
// whose name matches must be a token, and becomes a variable of its name.
// --match, which may be repeated, replaces SECRET*.
//
// The command then takes the place of fernet-exec, which no longer exists: same
// process id, same open files and limits, signals go straight to it. (Where the
// parent ignores signals, the command inherits that for HUP and INT, as under
// nohup; others are back to their default.) It gets no FERNET_KEY and no
// FERNET_KEY_PREVIOUS, unless --keep-keys says so. Without a / in it, it is
// looked for in PATH.
//
// If a token does not open, the command is not started, and an error names the
// variable or the file. What a previous key opened is named on standard error:
// while something is, the old key is still needed.
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
	"syscall"
)

// The exit codes are those of env(1) and timeout(1).
const (
	exitFailed  = 125
	exitCannot  = 126
	exitMissing = 127
)

const usage = "usage: fernet-exec [--dir DIR] [--match GLOB]... [--keep-keys] [--] COMMAND [ARG]..."

func main() {
	code, err := run(os.Args[1:], os.Environ(), os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fernet-exec:", err)
	}
	os.Exit(code)
}

// run comes back only if the command was not started.
func run(args, environ []string, stderr io.Writer) (code int, err error) {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stderr, usage)
		return 0, nil
	}
	if err != nil {
		return exitFailed, fmt.Errorf("%w\n%s", err, usage)
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
