// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

const aSet = "..2020_01_02_03_04_05.1" // as an earlier run would call it

// memory makes a folder in a tmpfs that every user may enter.
func memory(t testing.TB) string {
	t.Helper()
	const shm = "/dev/shm"
	shared, err := os.Open(shm)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = shared.Close() }()
	if err := inMemory(shared); err != nil {
		t.Fatalf("%s: %v; the tests need a tmpfs there: mount -t tmpfs tmpfs %[1]s", shm, err)
	}
	dir, err := os.MkdirTemp(shm, "fernet-exec") //nolint:usetesting // t.TempDir may be on a disk
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tree describes all that is in a folder; SET is the set that ..data points to.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	current, _ := os.Readlink(filepath.Join(dir, dataLink))
	found := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		must(t, err)
		name, err := filepath.Rel(dir, path)
		must(t, err)
		info, err := entry.Info()
		must(t, err)
		what := info.Mode().String()
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			must(t, err)
			what = "-> " + target
		case info.Mode().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				content = []byte("unreadable")
			}
			if len(content) > 1000 {
				content = []byte(fmt.Sprint(len(content), " bytes"))
			}
			what += " " + string(content)
		}
		if current != "" && setName.MatchString(current) {
			name, what = strings.Replace(name, current, "SET", 1), strings.Replace(what, current, "SET", 1)
		}
		found[name] = what
		return nil
	}))
	return found
}

// wantSet is the tree of a folder of mode 0755 in which there are these files of
// mode 0400, and nothing else; name and content take turns.
func wantSet(files ...string) map[string]string {
	want := map[string]string{".": "drwxr-xr-x", "SET": "drwxr-xr-x", dataLink: "-> SET"}
	for i := 0; i < len(files); i += 2 {
		want["SET/"+files[i]] = "-r-------- " + files[i+1]
		want[files[i]] = "-> ..data/" + files[i]
	}
	return want
}

func wantTree(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	if got := tree(t, dir); !reflect.DeepEqual(got, want) {
		t.Errorf("in the folder is\n%q, want\n%q", got, want)
	}
}

// write runs fernet-exec --write, which has to end well.
func write(t *testing.T, dir string, env []string, args ...string) {
	t.Helper()
	stdout, stderr, code := finish(t, start(env, append([]string{"--write", dir}, args...)...))
	if code != 0 || stdout != "" || stderr != "" {
		t.Fatalf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

// seals gives variables with sealed values; name and value take turns.
func seals(t *testing.T, values ...string) []string {
	t.Helper()
	var env []string
	for i := 0; i < len(values); i += 2 {
		env = append(env, values[i]+"="+sealed(t, values[i+1], 0))
	}
	return env
}

func TestWrite(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	long := strings.Repeat("n", 255)
	env := append(seals(t, "A", string(every), "EMPTY", "", "B", "two\nlines\n", long, "long"), "PLAIN=x", "SKIPPED="+sealed(t, "x", 2))
	from := folder(t, "a.file", sealed(t, canary, 0)+"\n")
	dir := filepath.Join(memory(t), "made")
	args := []string{"--dir", from, "--skip", "SKIPPED", "--rename", "B2=B", "--rename", "A2=A", "--rename", "A=A"}
	want := wantSet("A", string(every), "A2", string(every), "EMPTY", "", "B2", "two\nlines\n", long, "long", "a.file", canary)

	defer syscall.Umask(syscall.Umask(0o077))
	write(t, dir, env, args...)
	wantTree(t, dir, want)
	// The container is started again, now with a command.
	stdout, stderr, code := finish(t, start(env, append(args, "--write", dir+"/", "--", "env", "-0")...))
	rest := strings.Join([]string{"PATH=" + os.Getenv("PATH"), "PLAIN=x", env[5]}, "\x00") + "\x00"
	if code != 0 || stderr != "" || stdout != rest {
		t.Errorf("code %d, %q; the command's environment is\n%q, want\n%q", code, stderr, stdout, rest)
	}
	wantTree(t, dir, want)
	// The command stands where fernet-exec did.
	cmd := start(env[:1], "--write", dir, "--", "pwd")
	cmd.Dir = from
	if stdout, _, _ := finish(t, cmd); stdout != from+"\n" {
		t.Errorf("the command is in %q, want %q", stdout, from)
	}
}

// A run replaces what an earlier one wrote, removes what a killed one left, and
// touches nothing else, whatever it is called.
func TestWriteReplaces(t *testing.T) {
	dir := memory(t)
	write(t, dir, seals(t, "A", "1", "GONE", "1"), "--mode", "444")
	at := func(name string) string { return filepath.Join(dir, name) }
	others := map[string]string{"note": "-rw------- x", "GONE2": "-> ..data/GONE", "..2020_01_02_03_04_05.2": "-rw------- x", "..2020_01_02_03_04_05.3": "-> /", "..old": "drwx------"}
	must(t, os.WriteFile(at("note"), []byte("x"), 0o600))
	must(t, os.Symlink("..data/GONE", at("GONE2")))
	must(t, os.WriteFile(at("..2020_01_02_03_04_05.2"), []byte("x"), 0o600))
	must(t, os.Symlink("/", at("..2020_01_02_03_04_05.3")))
	must(t, os.Mkdir(at("..old"), 0o700))

	must(t, os.Mkdir(at(aSet), 0o700))
	must(t, os.WriteFile(at(aSet+"/A"), []byte("half a va"), 0o600))
	must(t, os.Symlink(aSet, at(nextLink)))
	must(t, os.Symlink("..data/NEVER", at("NEVER")))

	write(t, dir, seals(t, "A", "2", "NEW", "2"))
	want := wantSet("A", "2", "NEW", "2")
	for name, what := range others {
		want[name] = what
	}
	wantTree(t, dir, want)
}

func TestWriteWantsMemory(t *testing.T) {
	disk := t.TempDir()
	onDisk, err := os.Open(disk)
	must(t, err)
	defer func() { _ = onDisk.Close() }()
	places := []string{"/proc", "/proc/none"}
	if inMemory(onDisk) == nil {
		t.Logf("%s is in memory: the test that a disk is refused uses /proc alone", disk)
	} else {
		places = append(places, disk, filepath.Join(disk, "none"))
	}
	env := seals(t, "A", canary)
	for _, dir := range places {
		_, stderr, code := finish(t, start(env, "--write", dir))
		if want := "fernet-exec: " + dir + ": not in memory (tmpfs)"; code != 125 || !strings.HasPrefix(stderr, want) || !strings.Contains(stderr, "--any-filesystem\n") {
			t.Errorf("code %d, %q; want %q", code, stderr, want)
		}
	}
	wantTree(t, disk, map[string]string{".": "drwxr-xr-x"})
	write(t, disk, env, "--any-filesystem")
	wantTree(t, disk, wantSet("A", canary))
}

// refusal is a run of --write in which nothing is written and no command started.
type refusal struct {
	name    string
	prepare func(dir string) error // makes what is in the way
	env     []string
	args    []string // behind --write and the folder
	want    []string // the lines of stderr: how each begins, behind "fernet-exec: "; %s is the folder
}

func refusals(t *testing.T) []refusal {
	t.Helper()
	link := func(target, name string) func(string) error {
		return func(dir string) error { return os.Symlink(target, filepath.Join(dir, name)) }
	}
	file := func(name string) func(string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), nil, 0o600) }
	}
	a := seals(t, "A", canary)
	long := strings.Repeat("n", 256)
	return []refusal{
		{"a file", file("A"), a, nil, []string{"%s/A: it is there, and fernet-exec did not make it"}},
		{"a folder", func(dir string) error { return os.Mkdir(filepath.Join(dir, "A"), 0o700) }, a, nil, []string{"%s/A: it is there"}},
		{"a link elsewhere", link("/etc/passwd", "A"), a, nil, []string{"%s/A: it is there"}},
		{"a link to another name", link("..data/B", "A"), a, nil, []string{"%s/A: it is there"}},
		{"the new name", file("NEW"), a, []string{"--rename", "NEW=A"}, []string{"%s/NEW: it is there"}},
		{"..data is a file", file("..data"), a, nil, []string{"%s/..data: it is there"}},
		{"..data leads elsewhere", link("/etc", "..data"), a, nil, []string{"%s/..data: it is there"}},
		{"..data leads through a set", link(aSet+"/..", "..data"), a, nil, []string{"%s/..data: it is there"}},
		{"..data_tmp is a file", file("..data_tmp"), a, nil, []string{"%s/..data_tmp: it is there"}},
		{"two", func(dir string) error { return errors.Join(file("A")(dir), link("/", "B")(dir)) }, seals(t, "A", "", "B", "", "C", ""), nil,
			[]string{"%s/A: it is there", "%s/B: it is there"}},
		{"names", nil, seals(t, "a/b", "", "..x", "", ".", "", "..", "", long, "", "..data", "", "ok", ""), nil,
			[]string{".: no file", "..: no file", "..data: no file", "..x: no file", "a/b: no file", long + ": no file"}},
		{"a new name", nil, a, []string{"--rename", "a/b=A"}, []string{"a/b: no file"}},
		{"nothing is sealed", nil, []string{"A=x"}, nil, []string{"--write: nothing was opened"}},
		{"required", nil, append(a, "B=x"), []string{"--require", "B"}, []string{"B: not sealed"}},
		{"another key", nil, append(a, "B="+sealed(t, canary, 5)), nil, []string{"B: no key opens"}},
		{"command missing", nil, a, []string{"--", "no-such-command"}, []string{`exec: "no-such-command"`}},
		{"old name missing", nil, a, []string{"--rename", "X=Y"}, []string{"Y: --rename: no variable and no file"}},
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, tt := range refusals(t) {
		t.Run(tt.name, func(t *testing.T) {
			dir := memory(t)
			if tt.prepare != nil {
				must(t, tt.prepare(dir))
			}
			before := tree(t, dir)
			args := append([]string{"--write", dir}, tt.args...)
			code := 127 // of a command that is missing
			if len(tt.args) == 0 || tt.args[0] != "--" {
				args, code = append(args, ran...), 125
			}
			stdout, stderr, got := finish(t, start(tt.env, args...))
			lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
			if got != code || stdout != "" || len(lines) != len(tt.want) {
				t.Fatalf("code %d, stdout %q, stderr %q; want code %d and %q", got, stdout, stderr, code, tt.want)
			}
			for i, want := range tt.want {
				if want = "fernet-exec: " + strings.Replace(want, "%s", dir, 1); !strings.HasPrefix(lines[i], want) {
					t.Errorf("stderr %q, want %q", lines[i], want)
				}
			}
			if strings.Contains(stderr, canary) {
				t.Error("stderr shows a value")
			}
			wantTree(t, dir, before)
		})
	}
}

func TestWriteWantsAFolder(t *testing.T) {
	dir := memory(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(at("file"), nil, 0o600))
	must(t, os.Mkdir(at("outside"), 0o755))
	must(t, os.Symlink("outside", at("link")))
	must(t, os.Symlink("none", at("dangling")))
	must(t, syscall.Mkfifo(at("pipe"), 0o600))
	before := tree(t, dir)
	for name, want := range map[string]string{
		"file": "not a folder", "link": "not a folder; a symbolic link", "link/": "not a folder; a symbolic link", "link/.": "not a folder; a symbolic link",
		"dangling": "not a folder", "pipe": "not a folder", "none/none": "neither it nor the folder above is there", "file/none": "not a folder",
	} {
		for _, flag := range []string{"--write", "--install"} {
			_, stderr, code := finish(t, start(seals(t, "A", canary)[:map[string]int{"--write": 1}[flag]], flag, dir+"/"+name))
			if want := "fernet-exec: " + at(strings.TrimRight(name, "/.")) + ": " + want; code != 125 || !strings.HasPrefix(stderr, want) {
				t.Errorf("%s %s: code %d, %q; want %q", flag, name, code, stderr, want)
			}
		}
	}
	wantTree(t, dir, before)
	// What is above may be a link, such as /var/run.
	write(t, at("link/made"), seals(t, "A", canary))
	wantTree(t, at("outside/made"), wantSet("A", canary))
}

func TestOneWriterAtATime(t *testing.T) {
	dir := memory(t)
	other, err := os.Open(dir)
	must(t, err)
	defer func() { _ = other.Close() }()
	must(t, lock(other))
	_, stderr, code := finish(t, start(seals(t, "A", canary), "--write", dir))
	if want := "fernet-exec: " + dir + ": another fernet-exec is writing here"; code != 125 || !strings.HasPrefix(stderr, want) {
		t.Errorf("code %d, %q; want %q", code, stderr, want)
	}
	must(t, other.Close())
	// The command does not keep the folder locked.
	if _, stderr, code := finish(t, start(seals(t, "A", canary), "--write", dir, "--", binary, "--install", dir)); code != 0 {
		t.Errorf("code %d, %q", code, stderr)
	}
}

// as lets a command run as another user.
func as(cmd *exec.Cmd, uid, gid uint32, groups ...uint32) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}}
	cmd.Dir = "/"
	return cmd
}

// reads says whether a user can read a file.
func reads(t *testing.T, file string, uid, gid uint32, groups ...uint32) bool {
	t.Helper()
	stdout, _, _ := finish(t, as(exec.Command("cat", file), uid, gid, groups...))
	return stdout == canary
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("LEFT OUT: it becomes other users, which only root may")
	}
}

func TestOwner(t *testing.T) {
	needRoot(t)
	a := seals(t, "A", canary)
	for _, tt := range []struct {
		args       []string
		uid, gid   uint32
		own, other bool // whether user 1001, and user 1002 of group 2000, read it
	}{
		{nil, 0, 0, false, false},
		{[]string{"--owner", "1001"}, 1001, 0, true, false},
		{[]string{"--owner", "1001:2000"}, 1001, 2000, true, false},
		{[]string{"--owner", "1001:2000", "--mode", "0440"}, 1001, 2000, true, true},
		{[]string{"--mode", "0444"}, 0, 0, true, true},
	} {
		dir := memory(t)
		write(t, dir, a, tt.args...)
		write(t, dir, a, tt.args...)
		info, err := os.Stat(filepath.Join(dir, "A"))
		must(t, err)
		owner := info.Sys().(*syscall.Stat_t)
		if owner.Uid != tt.uid || owner.Gid != tt.gid {
			t.Errorf("%q: it belongs to %d:%d, want %d:%d", tt.args, owner.Uid, owner.Gid, tt.uid, tt.gid)
		}
		if own, other := reads(t, filepath.Join(dir, "A"), 1001, 1001), reads(t, filepath.Join(dir, "A"), 1002, 2000); own != tt.own || other != tt.other {
			t.Errorf("%q: its owner reads it: %t, its group reads it: %t; want %t, %t", tt.args, own, other, tt.own, tt.other)
		}
	}
	// Who may not give files away is told how to do without, and leaves nothing.
	dir := memory(t)
	must(t, os.Chown(dir, 1001, 1001))
	before := tree(t, dir)
	_, stderr, code := finish(t, as(start(a, "--write", dir, "--owner", "1002"), 1001, 1001))
	if code != 125 || !strings.HasPrefix(stderr, "fernet-exec: "+dir+": --owner needs root or CAP_CHOWN; without them, give the pod an fsGroup") {
		t.Errorf("code %d, %q", code, stderr)
	}
	wantTree(t, dir, before)
	if _, stderr, code := finish(t, as(start(a, "--write", dir, "--owner", "1001:1001"), 1001, 1001)); code != 0 {
		t.Errorf("its own files: code %d, %q", code, stderr)
	}
}

// A root without other capabilities than CHOWN, as in a pod that drops all and adds
// this one, may give files away, and replaces them again.
func TestOwnerNeedsOneCapability(t *testing.T) {
	needRoot(t)
	dir := memory(t)
	must(t, os.Chown(dir, 1001, 1001))
	for i := 0; i < 2; i++ {
		cmd := as(start(seals(t, "A", canary), "--write", dir, "--mode", "0440", "--owner", "1002:2000"), 1001, 1001)
		cmd.SysProcAttr.AmbientCaps = []uintptr{0} // CAP_CHOWN
		if _, stderr, code := finish(t, cmd); code != 0 {
			t.Fatalf("code %d, %q", code, stderr)
		}
	}
	if file := filepath.Join(dir, "A"); !reads(t, file, 1002, 1) || !reads(t, file, 1, 2000) || reads(t, file, 1001, 1001) {
		t.Errorf("the wrong users read it: %q", tree(t, dir))
	}
}

// Where the values have no room, the old ones stay, and nothing else.
func TestWriteIntoAFullFolder(t *testing.T) {
	needRoot(t)
	dir := memory(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=48k,mode=755"); err != nil {
		t.Skipf("LEFT OUT: a full folder; it cannot mount: %v", err)
	}
	defer func() { _ = syscall.Unmount(dir, 0) }()
	write(t, dir, seals(t, "A", "old"))
	_, stderr, code := finish(t, start(seals(t, "A", "new", "B", strings.Repeat(canary, 3000)), "--write", dir))
	if want := "fernet-exec: " + dir + ": write B: no space left on device\n"; code != 125 || stderr != want {
		t.Errorf("code %d, %q; want %q", code, stderr, want)
	}
	wantTree(t, dir, wantSet("A", "old"))
}

// The kubelet gives a volume of a pod with an fsGroup to that group and sets the
// bit that hands the group on. So does a folder that is made in such a volume.
func TestFSGroup(t *testing.T) {
	needRoot(t)
	const group = 2000
	defer syscall.Umask(syscall.Umask(0o077))
	for _, made := range []string{"", "made"} {
		volume := memory(t)
		must(t, os.Chown(volume, 0, group))
		must(t, os.Chmod(volume, 0o777|fs.ModeSetgid))
		dir := filepath.Join(volume, made)
		for i := 0; i < 2; i++ {
			if _, stderr, code := finish(t, as(start(seals(t, "A", canary), "--write", dir, "--mode", "0440"), 65532, 65532, group)); code != 0 {
				t.Fatalf("code %d, %q", code, stderr)
			}
		}
		file := filepath.Join(dir, "A")
		if !reads(t, file, 65533, 65533, group) {
			t.Errorf("%q: another user of the group cannot read the file: %q", made, tree(t, dir))
		}
		if reads(t, file, 65533, 65533) {
			t.Errorf("%q: another user who is not of the group reads the file", made)
		}
	}
}

// Somebody who resolves ..data once and reads all files there gets those of one
// run, or finds that the folder is gone.
func TestReaderSeesOneSet(t *testing.T) {
	dir := memory(t)
	const files, runs = 8, 40
	set := func(run int) []string {
		var values []string
		for i := 0; i < files; i++ {
			values = append(values, fmt.Sprint("F", i), fmt.Sprint("value of run ", run))
		}
		return seals(t, values...)
	}
	write(t, dir, set(0))
	read := func() (values map[string]bool, err error) {
		current, err := os.Readlink(filepath.Join(dir, dataLink))
		values = map[string]bool{}
		for i := 0; i < files && err == nil; i++ {
			var content []byte
			content, err = os.ReadFile(filepath.Join(dir, current, fmt.Sprint("F", i)))
			values[string(content)] = true
		}
		return values, err
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			values, err := read()
			if err == nil && len(values) != 1 || err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a reader got %v, %v", values, err)
			}
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	for run := 1; run <= runs; run++ {
		write(t, dir, set(run))
		if values, err := read(); err != nil || !values[fmt.Sprint("value of run ", run)] {
			t.Errorf("after run %d: %v, %v", run, values, err)
		}
	}
	close(done)
	<-ended
}
