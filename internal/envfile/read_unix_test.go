// SPDX-License-Identifier: Apache-2.0

//go:build unix

package envfile

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestReadFileRefusesWhatIsNoFile(t *testing.T) {
	const hint = "name a regular file: it is read more than once"
	folder := t.TempDir()

	pipe := filepath.Join(folder, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := ReadFile(pipe)
	refused(t, err, pipe, "is a pipe", hint)

	socket := filepath.Join(folder, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, _, err = ReadFile(socket)
	refused(t, err, socket, "is a socket", hint)

	_, _, err = ReadFile("/dev/null")
	refused(t, err, "/dev/null", "is a device", hint)

	link := filepath.Join(folder, "link")
	if err := os.Symlink(filepath.Join(folder, "nowhere"), link); err != nil {
		t.Fatal(err)
	}
	_, _, err = ReadFile(link)
	refused(t, err, link, "a symbolic link to a file that does not exist", "create that file, or remove the link")

	loop := filepath.Join(folder, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	_, _, err = ReadFile(loop)
	refused(t, err, loop, "too many levels of symbolic links", "")
}

// A pipe that takes a file's place between Stat and open must not block either.
func TestPipeInPlaceOfTheFile(t *testing.T) {
	path := writeTemp(t, "A=b\n", 0o600)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	pipe := path + ".pipe"
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(pipe, os.O_RDONLY|nonblock, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	_, err = readWhole(path, before, f)
	refused(t, err, path, "changed while it was read", "run the command again")
}

func TestOthersHaveAccess(t *testing.T) {
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true, 0o620: true, 0o666: true} {
		path := writeTemp(t, "A= #b\n", mode)
		f, _, err := ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := "not only its owner has access (mode " + "0" + modeText(mode) + "): chmod 600 " + path
		first := f.Warnings[0]
		if got := first.Line == 0 && first.Message == want; got != warned || len(f.Warnings) == 2 != warned {
			t.Errorf("%o: %+v", mode, f.Warnings)
		}
	}
}

func modeText(mode os.FileMode) string {
	digits := []byte{byte('0' + mode>>6), byte('0' + mode>>3&7), byte('0' + mode&7)}
	return string(digits)
}
