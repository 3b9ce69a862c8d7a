// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fernet/fernet-go"
)

const canary = "canary-7f3a0c55"

// binary is fernet-exec as it is released.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "fernet-exec")
	if err != nil {
		panic(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // other users run it, too
		panic(err)
	}
	binary = filepath.Join(dir, "fernet-exec")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v: %s", err, out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// testKey gives a key that nobody uses; the same n, the same key.
func testKey(n byte) *fernet.Key {
	key := new(fernet.Key)
	copy(key[:], bytes.Repeat([]byte{'k', n}, 16))
	return key
}

func sealed(t *testing.T, plain string, n byte) string {
	t.Helper()
	token, err := fernet.EncryptAndSignAtTime([]byte(plain), testKey(n), time.Unix(1_700_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

// folder makes a folder of files; name and content take turns.
func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var keys = []string{"FERNET_KEY=" + testKey(0).Encode(), "FERNET_KEY_PREVIOUS=" + testKey(1).Encode()}

// start runs fernet-exec in an environment of keys and more.
func start(more []string, args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Env = append(append([]string{"PATH=" + os.Getenv("PATH")}, keys...), more...)
	return cmd
}

// finish gives the streams and the exit code.
func finish(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestEnvironmentOfTheCommand(t *testing.T) {
	a, b, old := sealed(t, canary, 0), sealed(t, "two\nlines\n", 0), sealed(t, "old", 1)
	dir := folder(t, "SECRET-FILE", old+"\n", "a.file", b, "FERNET_KEY", "x")
	two := folder(t, "Z", a, "note", "x")
	foreign := sealed(t, "another project's", 2)
	path := "PATH=" + os.Getenv("PATH")
	for _, tt := range []struct {
		name  string
		env   []string
		args  []string
		want  []string
		notes string
	}{
		{"variables", []string{"SECRET_A=" + a, "HOME=/", "SECRET_B=" + b, "OTHER=" + a, "SECRET_C=plain"}, nil,
			[]string{path, "SECRET_A=" + canary, "HOME=/", "SECRET_B=two\nlines\n", "OTHER=" + canary, "SECRET_C=plain"}, ""},
		{"a previous key", []string{"SECRET_A=" + old}, nil,
			[]string{path, "SECRET_A=old"}, "fernet-exec: a previous key is still needed, for: SECRET_A\n"},
		{"files", []string{"SECRET_A=" + a}, []string{"--dir", dir},
			[]string{path, "SECRET_A=" + canary, "SECRET-FILE=old", "a.file=two\nlines\n"},
			"fernet-exec: a previous key is still needed, for: SECRET-FILE\n"},
		{"globs", []string{"SECRET_A=" + a, "API_A=" + a}, []string{"--dir", dir, "--match", "?", "--dir", two, "-match", "a*"},
			[]string{path, "SECRET_A=" + canary, "API_A=" + canary, "a.file=two\nlines\n", "Z=" + canary}, ""},
		{"skipped", []string{"APP_SEED=" + foreign, "SECRET_A=" + a}, []string{"--skip", "APP_*", "--skip", "note", "--dir", two},
			[]string{path, "APP_SEED=" + foreign, "SECRET_A=" + canary, "Z=" + canary}, ""},
		{"required", []string{"SECRET_A=" + a, "B=plain"}, []string{"--require", "SECRET_*", "--require", "NOT_THERE"},
			[]string{path, "SECRET_A=" + canary, "B=plain"}, ""},
		{"obeyed, by name", []string{"NODE_OPTIONS=" + a}, []string{"--require", "NODE_OPTIONS"},
			[]string{path, "NODE_OPTIONS=" + canary}, ""},
		{"obeyed, a file by name", nil, []string{"--dir", folder(t, "RUBYOPT", a), "--match", "RUBYOPT"},
			[]string{path, "RUBYOPT=" + canary}, ""},
		{"keys with line breaks", []string{"FERNET_KEY=" + testKey(0).Encode() + "\n", "FERNET_KEY_PREVIOUS=" + testKey(0).Encode() + "\n", "A=" + a}, nil,
			[]string{path, "A=" + canary}, ""},
		{"keys kept", []string{"SECRET_A=" + a}, []string{"--keep-keys"},
			[]string{path, keys[0], keys[1], "SECRET_A=" + canary}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stdout, notes, code := finish(t, start(tt.env, append(tt.args, "--", "env", "-0")...))
			if want := strings.Join(tt.want, "\x00") + "\x00"; stdout != want || code != 0 {
				t.Errorf("the command's environment is, with code %d,\n%q; want\n%q", code, stdout, want)
			}
			if notes != tt.notes {
				t.Errorf("stderr %q, want %q", notes, tt.notes)
			}
		})
	}
}

// ran is a command that shows that it was started.
var ran = []string{"--", "echo", "the command ran"}

// failure is a run in which no command is started.
type failure struct {
	name string
	env  []string
	args []string
	want string // a part of stderr
	code int
}

// misuse has the failures that are about arguments and the command.
func misuse(t *testing.T) []failure {
	t.Helper()
	return []failure{
		{"no command", nil, []string{"--"}, "no command, and no --write\nusage: ", 125},
		{"no command for --keep-keys", nil, []string{"--write", "/x", "--keep-keys"}, "--keep-keys is about the environment of a command", 125},
		{"no --write for --mode", nil, append([]string{"--mode", "0400"}, ran...), "--mode is about the files of --write", 125},
		{"no --write for --owner", nil, append([]string{"--owner", "1"}, ran...), "--owner is about the files of --write", 125},
		{"no --write for a file system", nil, append([]string{"--any-filesystem"}, ran...), "--any-filesystem is about the files of --write", 125},
		{"--write without a folder", nil, append([]string{"--write="}, ran...), "for flag -write: it is empty", 125},
		{"two folders to write", nil, append([]string{"--write", "/a", "--write", "/b"}, ran...), "for flag -write: it is given twice", 125},
		{"install and a command", nil, append([]string{"--install", "/none/none"}, ran...), "--install copies fernet-exec and ends", 125},
		{"install and a flag", nil, []string{"--install", "/none/none", "--keep-keys"}, "--install copies fernet-exec and ends", 125},
		{"install without a folder", nil, []string{"--install", ""}, "for flag -install: it is empty", 125},
		{"unknown flag", nil, append([]string{"--keep-key"}, ran...), "-keep-key\nusage: ", 125},
		{"command missing", nil, []string{"no-such-command"}, "no-such-command", 127},
		{"path missing", nil, []string{"./no-such-command"}, "no-such-command", 127},
		{"command is a folder", nil, []string{os.TempDir()}, os.TempDir(), 126},
		{"not executable", nil, []string{filepath.Join(folder(t, "x", "x"), "x")}, "permission denied", 126},
		{"help", nil, []string{"--help"}, "usage: fernet-exec", 0},
	}
}

func TestFailsBeforeTheCommand(t *testing.T) {
	good, other := sealed(t, canary, 0), sealed(t, canary, 2)
	for _, tt := range append(misuse(t), []failure{
		{"another key", []string{"SECRET_A=" + good, "SECRET_B=" + other}, ran, "fernet-exec: SECRET_B: no key opens the token (tried: k", 125},
		{"file of another key", nil, append([]string{"--dir", folder(t, "SECRET-B", other)}, ran...), "SECRET-B: no key opens", 125},
		{"file that is no token", nil, append([]string{"--dir", folder(t, "SECRET-B", "changeme")}, ran...), "SECRET-B: not sealed", 125},
		{"two variables and a file", []string{"SECRET_A=" + other, "DB='" + good + "'"}, append([]string{"--dir", folder(t, "f", "changeme", "g", good)}, ran...),
			"fernet-exec: DB: malformed token: blanks, line breaks or quotes around it; store the token alone\nfernet-exec: /", 125},
		{"required and plain", []string{"SECRET_A=changeme"}, append([]string{"--require", "SECRET_*"}, ran...), "fernet-exec: SECRET_A: not sealed", 125},
		{"obeyed", []string{"LD_PRELOAD=" + good}, append([]string{"--require", "LD_*"}, ran...), "LD_PRELOAD: the loader", 125},
		{"obeyed file", nil, append([]string{"--dir", folder(t, "PYTHONPATH", good), "--match", "PYTHON*"}, ran...), "PYTHONPATH: the loader", 125},
		{"nothing in the folder", nil, append([]string{"--dir", folder(t)}, ran...), ": no file to open; is", 125},
		{"no file matches", nil, append([]string{"--dir", folder(t, "db_password", good), "--match", "SECRET*"}, ran...), ": no file to open; is", 125},
		{"too large", nil, append([]string{"--dir", folder(t, "A", strings.Repeat("x", 2<<20+1))}, ran...), "/A: larger than", 125},
		{"no folder for --match", nil, append([]string{"--match", "SECRET*"}, ran...), "--match narrows the files of --dir", 125},
		{"an empty flag", nil, append([]string{"--require="}, ran...), "it is empty", 125},
		{"a list for a flag", nil, append([]string{"--skip", "A,B"}, ran...), "repeat the flag", 125},
		{"a token among the arguments", []string{"SECRET_A=" + good}, append([]string{"--", "echo", "x"}, "--password="+good), "argument 2 of the command has a token in it", 125},
		{"a name for a terminal", []string{"A\x1b[2J\nB=" + other}, ran, `fernet-exec: "A\x1b[2J\nB": no key`, 125},
		{"a folder for a terminal", nil, append([]string{"--dir", "/\x1b[2J"}, ran...), `fernet-exec: "/\x1b[2J": `, 125},
		{"a command for a terminal", nil, []string{"/\x1b[2J\n"}, `fernet-exec: exec`, 127},
		{"no folder", nil, append([]string{"--dir", "/nonexistent"}, ran...), "/nonexistent: ", 125},
		{"file and variable", []string{"SECRET_A=x"}, append([]string{"--dir", folder(t, "SECRET_A", good)}, ran...), "SECRET_A: the environment has", 125},
		{"file with =", nil, append([]string{"--dir", folder(t, "SECRET=A", good)}, ran...), "SECRET=A: a variable cannot", 125},
		{"zero byte", []string{"SECRET_A=" + sealed(t, "a\x00b", 0)}, ran, "SECRET_A: its value has a zero byte", 125},
		{"bad key", []string{"FERNET_KEY_PREVIOUS=changeme"}, ran, "FERNET_KEY_PREVIOUS: previous key 1: it is too short", 125},
		{"bad glob", nil, append([]string{"--skip", "["}, ran...), "glob", 125},
	}...) {
		t.Run(tt.name, func(t *testing.T) {
			cmd := start(nil, tt.args...)
			cmd.Env = append(append([]string{keys[0]}, tt.env...), cmd.Env[0])
			stdout, stderr, code := finish(t, cmd)
			if stdout != "" || code != tt.code || !strings.Contains(stderr, tt.want) {
				t.Errorf("code %d, stdout %q, stderr %q; want code %d and %q", code, stdout, stderr, tt.code, tt.want)
			}
			if strings.ContainsAny(stderr, "\x1b") {
				t.Errorf("stderr has a control character: %q", stderr)
			}
			for _, hidden := range []string{canary, good[10:30], other[10:30], testKey(0).Encode()[:8], "changeme"} {
				if strings.Contains(stderr, hidden) {
					t.Errorf("stderr shows %q", hidden)
				}
			}
		})
	}
	cmd := start(nil, ran...)
	cmd.Env = cmd.Env[:1]
	if _, stderr, code := finish(t, cmd); code != 125 || stderr != "fernet-exec: FERNET_KEY: primary key: it is not set\n" {
		t.Errorf("without keys: code %d, %q", code, stderr)
	}
}

// The command is the same process, with the same limits, files and signals. (Of
// ignored signals, Go's runtime hands on HUP and INT.)
func TestCommandTakesThePlace(t *testing.T) {
	var out strings.Builder
	cmd := start(nil, "sh", "-c", "echo $$; exit 7")
	cmd.Stdout = &out
	err := cmd.Run()
	if cmd.ProcessState.ExitCode() != 7 || out.String() != fmt.Sprintln(cmd.Process.Pid) {
		t.Errorf("process %d is %q to itself; %v", cmd.Process.Pid, out.String(), err)
	}
	cmd = start(nil, "sh", "-c", "kill -TERM $$; echo alive")
	stdout, _, _ := finish(t, cmd)
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGTERM || stdout != "" {
		t.Errorf("a command that is sent TERM ends with %v, %q", cmd.ProcessState, stdout)
	}
	if runtime.GOOS != "linux" {
		return
	}
	const show = `ulimit -Sn; ls -l /proc/self/fd | grep -c /dev/zero; grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status`
	const before = `trap '' HUP INT; ulimit -Sn 777; exec 7</dev/zero; `
	run := func(prefix string) string {
		cmd := exec.Command("sh", "-c", before+`exec `+prefix+` sh -c "$1"`, "sh", show)
		cmd.Env = append(os.Environ(), keys...)
		stdout, stderr, code := finish(t, cmd)
		if code != 0 {
			t.Fatalf("code %d, %s", code, stderr)
		}
		return stdout
	}
	if with, without := run(binary+" --"), run(""); with != without || !strings.HasPrefix(with, "777\n1\n") {
		t.Errorf("under fernet-exec:\n%s\nwithout:\n%s", with, without)
	}
}

func TestBinaryIsSmallAndStatic(t *testing.T) {
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("fernet-exec has %d bytes", info.Size())
	if info.Size() > 4_000_000 {
		t.Errorf("%d bytes, want at most 4 MB", info.Size())
	}
	if runtime.GOOS != "linux" {
		return
	}
	file, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, part := range file.Progs {
		if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
			t.Errorf("not static: it has %v", part.Type)
		}
	}
}

func TestModesAndOwners(t *testing.T) {
	for _, tt := range []struct{ flag, value, want string }{
		{"--mode", "0400", "400 -1:-1"}, {"--mode", "440", "440 -1:-1"}, {"--mode", "0444", "444 -1:-1"}, {"--mode", "404", "404 -1:-1"},
		{"--mode", "0600", ""}, {"--mode", "0500", ""}, {"--mode", "0040", ""}, {"--mode", "0", ""}, {"--mode", "4400", ""}, {"--mode", "0442", ""},
		{"--mode", "288", ""}, {"--mode", "0o400", ""}, {"--mode", "-400", ""}, {"--mode", "u=r", ""}, {"--mode", "", ""},
		{"--owner", "0", "400 0:-1"}, {"--owner", "65532", "400 65532:-1"}, {"--owner", "1:2", "400 1:2"}, {"--owner", "2147483647:2147483647", "400 2147483647:2147483647"},
		{"--owner", "", ""}, {"--owner", ":2", ""}, {"--owner", "1:", ""}, {"--owner", "1:2:3", ""}, {"--owner", "-1", ""}, {"--owner", "root", ""},
		{"--owner", "2147483648", ""}, {"--owner", "4294967295", ""}, {"--owner", "0x1", ""},
	} {
		o, err := parse([]string{"--write", "/x", tt.flag, tt.value})
		got := ""
		if err == nil {
			got = fmt.Sprintf("%o %d:%d", o.files.mode, o.files.uid, o.files.gid)
		}
		if got != tt.want {
			t.Errorf("%s %q: %q, %v; want %q", tt.flag, tt.value, got, err, tt.want)
		}
	}
}

func TestUsageNamesEveryFlag(t *testing.T) {
	source, err := os.ReadFile("options.go")
	if err != nil {
		t.Fatal(err)
	}
	flags := regexp.MustCompile(`flags\.\w+\((?:&[\w.]+, )?"([a-z-]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(flags) != 11 {
		t.Fatalf("found the flags %q", flags)
	}
	for _, flag := range flags {
		if !strings.Contains(synopsis, "--"+flag[1]) || !strings.Contains(usage, "\n  --"+flag[1]) {
			t.Errorf("the usage lacks --%s", flag[1])
		}
	}
}
