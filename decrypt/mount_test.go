// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// mount makes a folder as the kubelet makes a volume of Secrets.
func mount(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	replaceFiles(t, dir, "..1", files)
	for name := range files {
		if err := os.Symlink(filepath.Join(dataLink, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// replaceFiles does as the kubelet does: a new folder, a new link in the place
// of the old one, and the old folder goes.
func replaceFiles(t *testing.T, dir, folder string, files map[string]string) {
	t.Helper()
	old, _ := os.Readlink(filepath.Join(dir, dataLink))
	must := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	must(os.Mkdir(filepath.Join(dir, folder), 0o700))
	for name, content := range files {
		must(os.WriteFile(filepath.Join(dir, folder, name), []byte(content), 0o600))
	}
	must(os.Symlink(folder, filepath.Join(dir, "..data_tmp")))
	must(os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, dataLink)))
	if old != "" {
		must(os.RemoveAll(filepath.Join(dir, old)))
	}
}

// In the middle of a rotation: a mounted folder with tokens under the old key
// and the new one, and the keys in another.
func TestApplicationDuringARotation(t *testing.T) {
	ring, err := KeysFromDir(mount(t, map[string]string{keyName: keyText(0) + "\n", previousName: keyText(2) + ", " + keyText(1) + "\n"}))
	if err != nil {
		t.Fatal(err)
	}
	opened, err := ring.Dir(mount(t, map[string]string{
		"SECRET-NEW": sealed("of the new key", 0), "SECRET-OLD": sealed("of the old key", 1), "SECRET-OLDER": sealed("older", 2) + "\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"SECRET-NEW": "of the new key", "SECRET-OLD": "of the old key", "SECRET-OLDER": "older"}
	if got := plaintexts(opened); !reflect.DeepEqual(got, want) {
		t.Errorf("opened %q, want %q", got, want)
	}
	if got := strings.Join(opened.Previous(), " "); got != "SECRET-OLD SECRET-OLDER" {
		t.Errorf("under a previous key: %s", got)
	}
	if got, want := opened["SECRET-OLD"].KeyID, testRing(testKey(1)).KeyIDs()[0]; got != want {
		t.Errorf("the old one is under %s, want %s", got, want)
	}
}

func TestDirRefuses(t *testing.T) {
	ring := testRing(testKey(0))
	dir := mount(t, map[string]string{"SECRET-A": sealed(canary, 1)})
	opened, err := ring.Dir(dir)
	wantEntry(t, err, "SECRET-A")
	wantNoKey(t, err, ring.KeyIDs()...)
	if !strings.HasPrefix(err.Error(), filepath.Join(dir, "SECRET-A")+": ") || opened != nil {
		t.Errorf("%q does not say where, or comes with %d secrets", err, len(opened))
	}
	if _, err := ring.Dir(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "..1", "SECRET-A")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "..1", "SECRET-A")); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Dir(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "SECRET-A") {
		t.Errorf("a link to nothing: %v", err)
	}
}

// While the kubelet replaces the files, Dir gives those of one moment.
func TestDirSeesOneMoment(t *testing.T) {
	files := func(n int) map[string]string {
		content := sealed(strconv.Itoa(n), 0)
		return map[string]string{"SECRET-A": content, "SECRET-B": content, "SECRET-C": content}
	}
	dir := mount(t, files(1))
	stop, stopped := make(chan struct{}), make(chan int)
	go func() {
		for n := 2; ; n++ {
			select {
			case <-stop:
				stopped <- n
				return
			default:
				replaceFiles(t, dir, fmt.Sprintf("..%d", n), files(n))
				time.Sleep(time.Millisecond)
			}
		}
	}()
	ring, seen := testRing(testKey(0)), map[string]bool{}
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
		opened, err := ring.Dir(dir)
		a, b, c := string(opened["SECRET-A"].Plaintext), string(opened["SECRET-B"].Plaintext), string(opened["SECRET-C"].Plaintext)
		if err != nil || a == "" || a != b || b != c {
			t.Errorf("%q, %q, %q, %v", a, b, c, err)
			break
		}
		seen[a] = true
	}
	close(stop)
	if made := <-stopped; made < 5 || len(seen) < 5 {
		t.Errorf("the files were replaced %d times and seen in %d states, which proves nothing", made, len(seen))
	}
}

func TestSnapshotGivesUp(t *testing.T) {
	dir, reads := mount(t, nil), 0
	err := snapshot(dir, func(fs.FS) error {
		reads++
		replaceFiles(t, dir, fmt.Sprintf("..%d", reads+1), nil)
		return nil
	})
	if err == nil || reads != 10 {
		t.Errorf("after %d reads: %v", reads, err)
	}
}

func TestKeysFromEnviron(t *testing.T) {
	for _, tt := range []struct {
		name    string
		environ []string
		keys    []byte // by number
		fails   string
		reason  KeyReason
	}{
		{"one", []string{"PATH=/bin", "FERNET_KEY=" + keyText(0)}, []byte{0}, "", ""},
		{"previous", []string{"FERNET_KEY_PREVIOUS=" + keyText(2) + "," + keyText(1), "FERNET_KEY=" + keyText(0)}, []byte{0, 2, 1}, "", ""},
		{"blanks", []string{"FERNET_KEY=" + keyText(0), "FERNET_KEY_PREVIOUS= " + keyText(1) + " , " + keyText(2) + "\n"}, []byte{0, 1, 2}, "", ""},
		{"no previous", []string{"FERNET_KEY=" + keyText(0), "FERNET_KEY_PREVIOUS="}, []byte{0}, "", ""},
		{"the first counts", []string{"FERNET_KEY=" + keyText(0), "FERNET_KEY=" + keyText(1)}, []byte{0}, "", ""},
		{"none", []string{"PATH=/bin", "FERNET_KEYS=" + keyText(0), "FERNET_KEY"}, nil, keyName, KeyUnset},
		{"empty", []string{"FERNET_KEY=", "FERNET_KEY_PREVIOUS=" + keyText(1)}, nil, keyName, KeyUnset},
		{"list", []string{"FERNET_KEY=" + keyText(0) + "," + keyText(1)}, nil, keyName, KeyList},
		{"blank", []string{"FERNET_KEY= " + keyText(0)}, nil, keyName, KeyBlank},
		{"bad previous", []string{"FERNET_KEY=" + keyText(0), "FERNET_KEY_PREVIOUS=" + keyText(1) + ",changeme"}, nil, previousName, KeyShort},
		{"comma too many", []string{"FERNET_KEY=" + keyText(0), "FERNET_KEY_PREVIOUS=" + keyText(1) + ","}, nil, previousName, KeyEmpty},
		{"the primary key again", []string{"FERNET_KEY=" + keyText(0), "FERNET_KEY_PREVIOUS=" + keyText(1) + "," + keyText(0)}, []byte{0, 1}, "", ""},
		{"line break", []string{"FERNET_KEY=" + keyText(0) + "\n", "FERNET_KEY_PREVIOUS=" + keyText(1) + "\n"}, []byte{0, 1}, "", ""},
		{"CR LF", []string{"FERNET_KEY=" + keyText(0) + "\r\n", "FERNET_KEY_PREVIOUS=" + keyText(0) + "\r\n"}, []byte{0}, "", ""},
		{"two line breaks", []string{"FERNET_KEY=" + keyText(0) + "\n\n"}, nil, keyName, KeyBlank},
		{"a line break alone", []string{"FERNET_KEY=\n"}, nil, keyName, KeyEmpty},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ring, err := KeysFromEnviron(tt.environ)
			if tt.fails != "" {
				wantEntry(t, err, tt.fails)
				wantReason(t, err, tt.reason)
				return
			}
			wantKeys(t, ring, err, tt.keys...)
		})
	}
}

func wantReason(t *testing.T, err error, want KeyReason) {
	t.Helper()
	var bad *KeyError
	if !errors.As(err, &bad) || bad.Reason != want {
		t.Errorf("error %v, want: %s", err, want)
	}
	wantNoPiece(t, err.Error(), keyText(0))
	wantNoPiece(t, err.Error(), keyText(1))
}

func wantKeys(t *testing.T, ring *Keyring, err error, numbers ...byte) {
	t.Helper()
	var raw [][]byte
	for _, n := range numbers {
		raw = append(raw, testKey(n))
	}
	if want := testRing(raw...); err != nil || ring.String() != want.String() {
		t.Errorf("keys %v, %v; want %v", ring, err, want)
	}
}

func TestKeysFromDir(t *testing.T) {
	plain := t.TempDir()
	if err := os.WriteFile(filepath.Join(plain, keyName), []byte(keyText(0)), 0o600); err != nil {
		t.Fatal(err)
	}
	ring, err := KeysFromDir(plain)
	wantKeys(t, ring, err, 0)
	ring, err = KeysFromDir(mount(t, map[string]string{keyName: keyText(0), previousName: keyText(1) + "\n" + keyText(2) + "\n"}))
	wantKeys(t, ring, err, 0, 1, 2)

	_, err = KeysFromDir(mount(t, map[string]string{keyName: keyText(0) + "\n\n"}))
	wantEntry(t, err, keyName)
	wantReason(t, err, KeyBlank)
	dir := mount(t, map[string]string{keyName: keyText(0), previousName: "changeme"})
	ring, err = KeysFromDir(dir)
	wantEntry(t, err, previousName)
	wantReason(t, err, KeyShort)
	if ring != nil || !strings.HasPrefix(err.Error(), filepath.Join(dir, previousName)+": ") {
		t.Errorf("%v comes with %v", err, ring)
	}
	if _, err := KeysFromDir(mount(t, map[string]string{previousName: keyText(1)})); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), keyName) {
		t.Errorf("no primary key: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(plain, previousName), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = KeysFromDir(plain)
	wantEntry(t, err, previousName)
}

func TestKeysFromFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	from := func(content string) (*Keyring, error) {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return KeysFromFile(file)
	}
	for content, want := range map[string][]byte{
		keyText(0): {0}, keyText(0) + "\n": {0}, keyText(0) + "," + keyText(1): {0, 1},
		keyText(0) + "\r\n" + keyText(2) + "\r\n" + keyText(1) + "\r\n": {0, 2, 1},
	} {
		ring, err := from(content)
		wantKeys(t, ring, err, want...)
	}
	for content, want := range map[string]KeyReason{
		"": KeyEmpty, "\n": KeyEmpty, "changeme": KeyShort, keyText(0) + "\n\n" + keyText(1): KeyEmpty, "KEY=" + keyText(0): KeyAlphabet,
	} {
		ring, err := from(content)
		wantReason(t, err, want)
		if ring != nil || !strings.HasPrefix(err.Error(), file+": ") {
			t.Errorf("%v comes with %v", err, ring)
		}
	}
	if _, err := KeysFromFile(file + ".none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// sizedFS has one file, SECRET, that says it has one size and has another. It
// counts how much is read.
type sizedFS struct {
	says, has int64
	read      *int64
}

type sizedFile struct {
	fs.File
	sizedFS
}

type sizedInfo struct {
	fs.FileInfo
	size int64
}

func (i sizedInfo) Size() int64 { return i.size }

func (s sizedFS) Open(name string) (fs.File, error) {
	file, err := fstest.MapFS{"SECRET": {}}.Open(name)
	if name == "." {
		return file, err
	}
	return sizedFile{file, s}, err
}

func (s sizedFS) ReadDir(name string) ([]fs.DirEntry, error) {
	return fstest.MapFS{"SECRET": {}}.ReadDir(name)
}

func (f sizedFile) Stat() (fs.FileInfo, error) {
	info, err := f.File.Stat()
	return sizedInfo{info, f.says}, err
}

func (f sizedFile) Read(into []byte) (int, error) {
	rest := f.has - *f.read
	if rest <= 0 {
		return 0, io.EOF
	}
	if rest < int64(len(into)) {
		into = into[:rest]
	}
	*f.read += int64(len(into))
	return len(into), nil
}

func TestLargeFileIsNotRead(t *testing.T) {
	const limit = 2 << 20
	for _, tt := range []struct{ says, has, read int64 }{
		{limit + 1, limit + 1, 0},
		{10, limit + 1, limit + 1},
		{10, 1 << 40, limit + 1},
	} {
		s := sizedFS{tt.says, tt.has, new(int64)}
		_, err := testRing(testKey(0)).FS(s)
		wantEntry(t, err, "SECRET")
		if !errors.Is(err, ErrTooLarge) || *s.read != tt.read {
			t.Errorf("a file that says %d bytes and has %d: %d are read, %v", tt.says, tt.has, *s.read, err)
		}
	}
	s := sizedFS{limit, limit, new(int64)}
	if _, err := testRing(testKey(0)).FS(s); !errors.Is(err, ErrNotSealed) || *s.read != limit {
		t.Errorf("a file of the limit: %d bytes are read, %v", *s.read, err)
	}
}
