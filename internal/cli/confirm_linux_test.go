// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// terminal gives both ends of a pseudo-terminal.
func terminal(t *testing.T) (keyboard, tty *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	var locked, number int32
	for request, value := range map[uintptr]*int32{syscall.TIOCSPTLCK: &locked, syscall.TIOCGPTN: &number} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, keyboard.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Fatal(errno)
		}
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	return keyboard, tty
}

func TestConfirmOnATerminal(t *testing.T) {
	for typed, want := range map[string]string{
		"y\n": "", "Y\n": "", "\tyes\t\n": "", "YES\n": "",
		"n\n": "not confirmed; nothing was written", "\n": "not confirmed; nothing was written", "yep\n": "not confirmed; nothing was written",
		"\x04": "not confirmed; nothing was written", // end of input
	} {
		keyboard, tty := terminal(t)
		a, _, errOut := newApp()
		a.In = tty
		a.console.begin("target")
		if _, err := keyboard.WriteString(typed); err != nil {
			t.Fatal(err)
		}
		err := a.confirm(t.Context(), false, "delete it?")
		if got := fmt.Sprint(err); want == "" && err != nil || want != "" && got != want {
			t.Errorf("%q: %v", typed, err)
		}
		if !strings.HasSuffix(errOut.String(), "delete it? [y/N] ") {
			t.Errorf("%q: asked %q", typed, errOut)
		}
	}
}

func TestConfirmInterrupted(t *testing.T) {
	_, tty := terminal(t)
	a, _, _ := newApp()
	a.In = tty
	a.console.begin("target")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.confirm(ctx, false, "delete it?"); !errors.Is(err, context.Canceled) || a.exit(err) != exitInterrupted {
		t.Errorf("%v", err)
	}
}

func TestConfirmWithoutATerminal(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for name, in := range map[string]interface{ Read([]byte) (int, error) }{"a file": file, "a pipe of Go": strings.NewReader("y\n")} {
		a, _, errOut := newApp()
		a.In, a.typed = in, "kubectl fernet retire"
		wantError(t, a.confirm(t.Context(), false, "delete it?"), "this needs a confirmation, and there is no terminal to ask on; nothing was written", "kubectl fernet retire --yes")
		if err := a.confirm(t.Context(), true, "delete it?"); err != nil || errOut.Len() != 0 {
			t.Errorf("%s, with --yes: %v, asked %q", name, err, errOut)
		}
	}
}
