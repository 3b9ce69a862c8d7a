// SPDX-License-Identifier: Apache-2.0

//go:build unix

package cli

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
)

// What is no regular file is refused before anything waits for it.
func TestPullToNoFile(t *testing.T) {
	placeOf(t, fact{cluster: "c", namespace: "ns", name: "SECRET_A", value: canary, generation: 1})
	if err := errors.Join(syscall.Mkfifo("pipe", 0o600), os.Mkdir("folder", 0o700), os.Symlink("nowhere", "dangling"), os.Mkdir("x", 0o700), os.Symlink("/dev/zero", "x/zero")); err != nil {
		t.Fatal(err)
	}
	const hint = "--out another file\n"
	for _, force := range []string{"", " --force"} {
		refused(t, "pull --out pipe"+force, "pipe: not a regular file", hint)
		refused(t, "pull --out /dev/zero"+force, "/dev/zero: not a regular file", hint)
		refused(t, "pull --out x/zero"+force, "x/zero: not a regular file", hint)
		refused(t, "pull --out folder"+force, "folder: is a directory", "--out folder/.env\n")
		refused(t, "pull --key-file .env --env dangling"+force, "dangling: a symbolic link to a file that does not exist", "create that file, or remove the link; or --out another file\n")
	}
	if _, err := os.Lstat("x/" + action.DefaultLedger + ".lock"); err == nil {
		t.Error("a lock file was made beside a device")
	}
	if err := os.WriteFile("large", make([]byte, 9<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, "pull --force --out large", "large: it is larger than any .env", hint)
}
