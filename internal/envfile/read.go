// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

// MaxSize is the most that an .env may have, in bytes.
const MaxSize = 8 << 20

// ErrEmpty says that a file has no bytes at all.
var ErrEmpty = errors.New("is empty")

// ReadFile reads and parses an .env and returns its bytes too. It refuses, with
// an *Error, what is missing, no regular file, unreadable, empty, over MaxSize,
// or changed while it is read, and never waits for a pipe. That others may read
// the file is a warning.
func ReadFile(path string) (*File, []byte, error) {
	return ReadFileAs(path, func(data []byte) []byte { return data })
}

// ReadFileAs is ReadFile for a file whose bytes become those of an .env; the bytes that it
// returns are the file's own.
func ReadFileAs(path string, env func(data []byte) []byte) (*File, []byte, error) {
	switch path {
	case "-":
		return nil, nil, &Error{Path: path, Message: "is standard input, and an .env is read more than once", Way: "name a file: --env .env"}
	case "":
		return nil, nil, &Error{Path: `""`, Message: "names no file", Way: "an empty variable? name a file: --env .env"}
	}
	before, err := os.Stat(path)
	if err != nil {
		return nil, nil, openError(path, err)
	}
	if err := checkKind(path, before.Mode()); err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0) // #nosec G304 -- the user named it; nonblock: it may be a pipe by now
	if err != nil {
		return nil, nil, openError(path, err)
	}
	defer func() { _ = f.Close() }()
	data, err := readWhole(path, before, f)
	if err != nil {
		return nil, nil, err
	}
	file, err := Parse(path, env(data))
	if err != nil {
		return nil, nil, err
	}
	if atomicfile.Exposed(before) {
		open := Warning{Message: fmt.Sprintf("not only its owner has access (mode %04o): chmod 600 %s", before.Mode().Perm(), hint.Word(path))}
		file.Warnings = append([]Warning{open}, file.Warnings...)
	}
	return file, data, nil
}

func openError(path string, err error) error {
	e := &Error{Path: path, Message: "cannot be opened", cause: err}
	var p *fs.PathError
	info, linkErr := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && linkErr == nil && info.Mode()&fs.ModeSymlink != 0:
		e.Message, e.Way = "a symbolic link to a file that does not exist", "create that file, or remove the link"
	case errors.Is(err, fs.ErrNotExist):
		e.Message, e.Way = "no such file", "kubectl fernet init"+envFlag(path)
	case errors.Is(err, fs.ErrPermission):
		e.Message, e.Way = "permission denied", hint.Format("chmod 600 %s", path)
	case errors.As(err, &p):
		e.Message = p.Err.Error()
	}
	return e
}

func checkKind(path string, mode fs.FileMode) error {
	what := "not a regular file"
	switch {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		return &Error{Path: path, Message: "is a directory", Way: hint.Format("name the file in it: --env %s", strings.TrimRight(path, "/")+"/.env")}
	case mode&fs.ModeNamedPipe != 0:
		what = "is a pipe"
	case mode&fs.ModeSocket != 0:
		what = "is a socket"
	case mode&fs.ModeDevice != 0:
		what = "is a device"
	}
	return &Error{Path: path, Message: what, Way: "name a regular file: it is read more than once"}
}

// readWhole reads an open file that a Stat of its path described before.
func readWhole(path string, before fs.FileInfo, f fs.File) ([]byte, error) {
	changed := &Error{Path: path, Message: "changed while it was read", Way: "run the command again"}
	info, err := f.Stat()
	if err != nil {
		return nil, openError(path, err)
	}
	switch size := info.Size(); {
	case !os.SameFile(before, info):
		return nil, changed
	case size == 0:
		return nil, &Error{Path: path, Message: ErrEmpty.Error(), Way: "kubectl fernet init" + envFlag(path), cause: ErrEmpty}
	case size > MaxSize:
		return nil, &Error{Path: path, Message: fmt.Sprintf("has %d bytes; an .env has at most %d", size, MaxSize), Way: "is this the right file?"}
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, openError(path, err)
	}
	after, err := f.Stat()
	if err != nil {
		return nil, openError(path, err)
	}
	if int64(len(data)) != info.Size() || !after.ModTime().Equal(info.ModTime()) {
		return nil, changed
	}
	return data, nil
}

// envFlag is the --env to type for a path.
func envFlag(path string) hint.Text {
	if path == ".env" {
		return ""
	}
	return hint.Format(" --env %s", path)
}
