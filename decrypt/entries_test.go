// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

// sealed gives a token of plain under the nth key.
func sealed(plain string, n byte) string {
	f := valid(plain)
	f.key = testKey(n)
	return f.text()
}

// wantEntry wants an error about these variables or files, in this order.
func wantEntry(t *testing.T, err error, names ...string) {
	t.Helper()
	var got []string
	for _, entry := range entriesOf(err) {
		got = append(got, entry.Name)
		if !strings.Contains(err.Error(), entry.Name+": ") {
			t.Errorf("%q does not name %s", err, entry.Name)
		}
	}
	if !reflect.DeepEqual(got, names) {
		t.Fatalf("the error is about %q, and says %v; want %q", got, err, names)
	}
}

// plaintexts gives what was opened.
func plaintexts(s Secrets) map[string]string {
	plain := map[string]string{}
	for name, result := range s {
		plain[name] = string(result.Plaintext)
	}
	return plain
}

func TestEnviron(t *testing.T) {
	before := []string{
		"PATH=/bin", "SECRET_NEW=" + sealed(canary, 0), "DATABASE_URL=" + sealed("old", 1), "SECRET-DASH.DOT=" + sealed("", 0),
		"SECRET_PLAIN=changeme", "SECRET_EMPTY=", "SECRET_EQUALS=a=b=c", "my_secret=" + sealed("x", 0) + "\n", "KEY=" + sealed("y", 0),
		"SECRET_NONE", "", "=C:=C:\\", "SECRET_NEW=" + sealed("the second", 1), "FERNET_KEY=" + keyText(0), "FERNET_KEY_PREVIOUS=" + keyText(1),
	}
	want := append([]string(nil), before...)
	want[1], want[2], want[3], want[12] = "SECRET_NEW="+canary, "DATABASE_URL=old", "SECRET-DASH.DOT=", "SECRET_NEW=the second"
	want[7], want[8] = "my_secret=x", "KEY=y"
	given := append([]string(nil), before...)

	got, opened, err := testRing(testKey(0), testKey(1)).Environ(given)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("environment:\n%q, want\n%q", got, want)
	}
	if !reflect.DeepEqual(given, before) {
		t.Error("Environ changed its argument")
	}
	wantPlain := map[string]string{"SECRET_NEW": canary, "DATABASE_URL": "old", "SECRET-DASH.DOT": "", "my_secret": "x", "KEY": "y"}
	if got := plaintexts(opened); !reflect.DeepEqual(got, wantPlain) {
		t.Errorf("opened %q, want %q", got, wantPlain)
	}
	if got := opened.Previous(); !reflect.DeepEqual(got, []string{"DATABASE_URL"}) {
		t.Errorf("under a previous key: %q", got)
	}
	if got, opened, err := testRing().Environ(nil); len(got) != 0 || len(opened) != 0 || err != nil {
		t.Errorf("an empty environment: %q, %v, %v", got, opened, err)
	}
}

// All that is wrong is named at once: variables in their order, then files.
func TestEnvironNamesAll(t *testing.T) {
	good, other := sealed(canary, 0), sealed(canary, 2)
	dir := mount(t, map[string]string{"FILE": "changeme", "GOOD": good, "LD_AUDIT": good, "SECRET_A": good, "WITH=": good})
	env, opened, err := testRing(testKey(0)).Environ(
		[]string{"SECRET_A=" + good, "SECRET_B=" + other, "PATH=" + good, "PLAIN=changeme", "EMPTY=", "C=" + good[:60]},
		Require("PLAIN", "EMPTY", "MISSING"), AddDir(dir), AddDir(dir+"/none"))
	wantEntry(t, err, "SECRET_B", "PATH", "PLAIN", "EMPTY", "C", "FILE", dir+"/none")
	if env != nil || opened != nil {
		t.Error("a result comes with the error")
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 7 || !strings.HasPrefix(lines[5], dir+"/FILE: ") {
		t.Errorf("it says, in %d lines:\n%v", len(lines), err)
	}
	var noKey *NoKeyError
	var name *NameError
	var malformed *MalformedError
	if !errors.As(err, &noKey) || !errors.As(err, &name) || !errors.As(err, &malformed) || !errors.Is(err, ErrNotSealed) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an error in it is not found: %v", err)
	}
	if errors.Is(err, ErrTooLarge) || errors.As(err, new(*KeyError)) {
		t.Error("an error is found that is not in it")
	}
	if err := os.Remove(filepath.Join(dir, "..1", "FILE")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "FILE")); err != nil {
		t.Fatal(err)
	}
	_, _, err = testRing(testKey(0)).Environ([]string{"SECRET_A=" + good}, AddDir(dir))
	wantEntry(t, err, "LD_AUDIT", "SECRET_A", "WITH=")
}

func TestEntryErrorsUnwrap(t *testing.T) {
	entries := EntryErrors{{Name: "A", Err: ErrNotSealed}, {Name: "B", Err: ErrTooLarge}}
	if all := entries.Unwrap(); len(all) != 2 || !errors.Is(all[1], ErrTooLarge) {
		t.Errorf("unwrapped: %v", all)
	}
	// What Go before 1.20 calls.
	if !entries.Is(ErrTooLarge) || entries.Is(ErrNoFiles) || !entries.As(new(*EntryError)) || entries.As(new(*KeyError)) {
		t.Error("Is or As does not look into it")
	}
}

// Names come from outside; a terminal obeys some characters.
func TestErrorsEscapeNames(t *testing.T) {
	name, other := "A\x1b[2J\u202e\nB\xff", sealed(canary, 1)
	_, _, err := testRing(testKey(0)).Environ([]string{name + "=" + other})
	if got := err.Error(); strings.ContainsAny(got, "\x1b\n\u202e") || !strings.HasPrefix(got, `"A\x1b[2J\u202e\nB\xff": no key`) {
		t.Errorf("it says %q", got)
	}
	_, _, err = testRing(testKey(0)).Environ([]string{other[:98] + "=" + other})
	if strings.Contains(err.Error(), "gAAAA") {
		t.Errorf("it shows a token: %q", err)
	}
}

func TestOptions(t *testing.T) {
	good, other := sealed(canary, 0), sealed(canary, 2)
	for _, tt := range []struct {
		name    string
		options []Option
		environ []string
		want    []string
		fails   []string
	}{
		{"skipped", []Option{Skip("OTHER_*", "X")}, []string{"OTHER_A=" + other, "A=" + good, "X=" + good}, []string{"OTHER_A=" + other, "A=" + canary, "X=" + good}, nil},
		{"skipped, not by that glob", []Option{Skip("OTHER_?")}, []string{"OTHER_AB=" + other}, nil, []string{"OTHER_AB"}},
		{"skips add up", []Option{Skip("A"), Skip("B")}, []string{"A=" + other, "B=" + other}, []string{"A=" + other, "B=" + other}, nil},
		{"required", []Option{Require("SECRET_*")}, []string{"SECRET_A=" + good, "B=b"}, []string{"SECRET_A=" + canary, "B=b"}, nil},
		{"required and plain", []Option{Require("SECRET_*"), Require("DATABASE_URL")}, []string{"SECRET_A=x", "DATABASE_URL=", "B=b"}, nil, []string{"SECRET_A", "DATABASE_URL"}},
		{"required and skipped", []Option{Require("SECRET_*"), Skip("SECRET_STORE_PORT")}, []string{"SECRET_STORE_PORT=80"}, []string{"SECRET_STORE_PORT=80"}, nil},
		{"keys are not required", []Option{Require("*")}, []string{keyName + "=x", previousName + "="}, []string{keyName + "=x", previousName + "="}, nil},
		{"obeyed", nil, []string{"LD_PRELOAD=" + good}, nil, []string{"LD_PRELOAD"}},
		{"obeyed, plain", nil, []string{"LD_PRELOAD=x"}, []string{"LD_PRELOAD=x"}, nil},
		{"obeyed, required by a wildcard", []Option{Require("LD_*", "*")}, []string{"LD_PRELOAD=" + good}, nil, []string{"LD_PRELOAD"}},
		{"obeyed, required by name", []Option{Require("LD_PRELOAD")}, []string{"LD_PRELOAD=" + good}, []string{"LD_PRELOAD=" + canary}, nil},
		{"no name of a loader", nil, []string{"OLD_PATH=" + good, "GIT_TOKEN=" + good}, []string{"OLD_PATH=" + canary, "GIT_TOKEN=" + canary}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := testRing(testKey(0)).Environ(tt.environ, tt.options...)
			if tt.fails != nil || err != nil {
				wantEntry(t, err, tt.fails...)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	for _, option := range []Option{Skip("A*", "["), Require("["), AddDir(t.TempDir(), "A", "[")} {
		if env, _, err := testRing().Environ(nil, option); !errors.Is(err, path.ErrBadPattern) || env != nil {
			t.Errorf("a bad glob: %v", err)
		}
	}
}

func TestAddDir(t *testing.T) {
	good := sealed(canary, 0)
	dir := mount(t, map[string]string{"db_password": good + "\n", "SECRET-A.B": sealed("old", 1), "FERNET_KEY": "x", "NODE_OPTIONS": good, "note": "x"})
	two := mount(t, map[string]string{"z": good})
	ring := testRing(testKey(0), testKey(1))
	got, opened, err := ring.Environ([]string{"A=" + good}, AddDir(dir, "db*", "SECRET*", "n*", "NODE_OPTIONS"), Skip("note"), AddDir(two))
	want := []string{"A=" + canary, "NODE_OPTIONS=" + canary, "SECRET-A.B=old", "db_password=" + canary, "z=" + canary}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if len(opened) != 5 || !reflect.DeepEqual(opened.Previous(), []string{"SECRET-A.B"}) {
		t.Errorf("opened %v", opened)
	}
	_, _, err = ring.Environ(nil, AddDir(dir, "NODE_*"))
	wantEntry(t, err, "NODE_OPTIONS")
	if _, _, err = ring.Environ(nil, AddDir(dir, "NODE_*"), Require("NODE_OPTIONS")); err != nil {
		t.Errorf("required by name: %v", err)
	}
	_, _, err = ring.Environ(nil, AddDir(two), AddDir(two))
	wantEntry(t, err, "z")
	_, _, err = ring.Environ(nil, AddDir(two), Skip("z"))
	wantEntry(t, err, two)
	if !errors.Is(err, ErrNoFiles) {
		t.Errorf("nothing is opened: %v", err)
	}
}

func TestEnvironRefuses(t *testing.T) {
	uneven := valid(canary)
	uneven.padded = append(uneven.padded, 1)
	mispadded := valid(canary)
	mispadded.padded = make([]byte, 16)
	for _, tt := range []struct{ name, value, want string }{
		{"another key", sealed(canary, 2), "no key opens"},
		{"altered", sealed(canary, 0)[:50] + "A" + sealed(canary, 0)[51:], "no key opens"},
		{"not whole blocks", uneven.text(), "malformed"},
		{"padding", mispadded.text(), "malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env, opened, err := testRing(testKey(0)).Environ([]string{"SECRET_A=" + sealed("a", 0), "SECRET_B=" + tt.value})
			wantEntry(t, err, "SECRET_B")
			if !strings.Contains(err.Error(), tt.want) || env != nil || opened != nil {
				t.Errorf("%v, beside %d variables and %d opened ones", err, len(env), len(opened))
			}
			wantNoPiece(t, err.Error(), tt.value)
		})
	}
}

func TestGlobs(t *testing.T) {
	files := fstest.MapFS{}
	for _, name := range []string{"SECRET_A", "API_KEY", "DB.PASSWORD", "KEY", "KEY_PREVIOUS", "KEY_NEXT", "CLUSTER_NAME", keyName, previousName} {
		files[name] = &fstest.MapFile{Data: []byte(sealed(canary, 0))}
	}
	files["..2026"] = &fstest.MapFile{Data: []byte("beside ..data, no glob matches either")}
	for _, tt := range []struct{ globs, want []string }{
		{nil, []string{"SECRET_A", "API_KEY", "DB.PASSWORD"}},
		{[]string{"API_*"}, []string{"API_KEY"}},
		{[]string{"API_*", "DB.[A-Z]*"}, []string{"API_KEY", "DB.PASSWORD"}},
		{[]string{"*"}, []string{"SECRET_A", "API_KEY", "DB.PASSWORD"}},
	} {
		opened, err := testRing(testKey(0)).FS(files, tt.globs...)
		if err != nil {
			t.Fatal(err)
		}
		missing := len(tt.want) != len(opened)
		for _, name := range tt.want {
			missing = missing || string(opened[name].Plaintext) != canary
		}
		if missing {
			t.Errorf("%q: opened %v, want %q", tt.globs, opened, tt.want)
		}
	}
	for _, none := range []string{"NONE", "KEY*", "CLUSTER_NAME"} {
		if _, err := testRing(testKey(0)).FS(files, none); !errors.Is(err, ErrNoFiles) {
			t.Errorf("nothing matches %s: %v", none, err)
		}
	}
	if _, err := testRing().FS(fstest.MapFS{}, "A*", "["); !errors.Is(err, path.ErrBadPattern) {
		t.Errorf("a bad glob: %v", err)
	}
	if _, err := testRing().Dir(t.TempDir(), "["); !errors.Is(err, path.ErrBadPattern) {
		t.Errorf("a bad glob for a folder: %v", err)
	}
}

func TestFS(t *testing.T) {
	regular := func(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content)} }
	good := sealed(canary, 0)
	for _, tt := range []struct {
		name  string
		files fstest.MapFS
		want  map[string]string
		fails string // the entry that the error is about
	}{
		{"newlines behind", fstest.MapFS{"SECRET-A": regular(good + "\r\n")}, map[string]string{"SECRET-A": canary}, ""},
		{"plain folder", fstest.MapFS{"SECRET-A": regular(good), "FERNET_KEY": regular("x")}, map[string]string{"SECRET-A": canary}, ""},
		{"newline behind", fstest.MapFS{"SECRET-A": regular(good + "\n")}, map[string]string{"SECRET-A": canary}, ""},
		{"newline in the plaintext", fstest.MapFS{"SECRET-A": regular(sealed("x\n", 0))}, map[string]string{"SECRET-A": "x\n"}, ""},
		{"folder", fstest.MapFS{"SECRET-A": regular(good), "SECRET-B/SECRET-C": regular("x")}, map[string]string{"SECRET-A": canary}, ""},
		{"volume", fstest.MapFS{
			"..data/SECRET-A": regular(good), "..2026/SECRET-A": regular("x"), "SECRET-A": regular("x"), "SECRET-B": regular("x"),
		}, map[string]string{"SECRET-A": canary}, ""},
		{"..data is a file", fstest.MapFS{"..data": regular("x"), "SECRET-A": regular(good)}, map[string]string{"SECRET-A": canary}, ""},
		{"two newlines", fstest.MapFS{"SECRET-A": regular(good + "\n\n")}, nil, "SECRET-A"},
		{"blank before", fstest.MapFS{"SECRET-A": regular(" " + good)}, nil, "SECRET-A"},
		{"lower-case name", fstest.MapFS{"db_password": regular("changeme")}, nil, "db_password"},
		{"too large", fstest.MapFS{"SECRET-A": regular(strings.Repeat("x", 2<<20+1))}, nil, "SECRET-A"},
		{"no token", fstest.MapFS{"SECRET-A": regular(good), "SECRET-B": regular("changeme")}, nil, "SECRET-B"},
		{"empty file", fstest.MapFS{"SECRET-A": regular("")}, nil, "SECRET-A"},
		{"another key", fstest.MapFS{"SECRET-A": regular(sealed(canary, 1))}, nil, "SECRET-A"},
		{"pipe", fstest.MapFS{"SECRET-A": {Mode: fs.ModeNamedPipe}}, nil, "SECRET-A"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opened, err := testRing(testKey(0)).FS(tt.files)
			if tt.fails != "" {
				wantEntry(t, err, tt.fails)
				if opened != nil {
					t.Error("secrets come with the error")
				}
				return
			}
			if got := plaintexts(opened); err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("opened %q, %v; want %q", got, err, tt.want)
			}
		})
	}
	for _, none := range []fstest.MapFS{{}, {"folder/SECRET-A": regular(good)}, {"..data/FERNET_KEY": regular("x"), "SECRET-A": regular(good)}} {
		if opened, err := testRing(testKey(0)).FS(none); !errors.Is(err, ErrNoFiles) || opened != nil {
			t.Errorf("no file: %v", err)
		}
	}
	_, err := testRing(testKey(0)).FS(fstest.MapFS{"A": regular("x"), "B": regular(good), "C": regular(good[:90]), "D": {Mode: fs.ModeNamedPipe}})
	wantEntry(t, err, "A", "C", "D")
	if _, err := testRing().FS(nil); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("no file system: %v", err)
	}
}

func TestWithDoubleBase64(t *testing.T) {
	good := sealed(canary, 0)
	uneven := valid(canary)
	uneven.padded = append(uneven.padded, 1)
	twice := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	wrapped := twice(good)[:76] + "\n" + twice(good)[76:] + "\n" // as base64(1) does
	strictly := testRing(testKey(0))
	for _, tt := range []struct {
		name, token string
		want        interface{} // nil, or a pointer for errors.As
	}{
		{"once", good, nil},
		{"twice", twice(good), nil},
		{"twice, with lines", wrapped, nil},
		{"twice, behind echo", twice(good + "\n"), nil},
		{"three times", twice(twice(good)), new(*MalformedError)},
		{"twice, unpadded", strings.TrimRight(twice(good+"\n"), "="), new(*MalformedError)},
		{"twice, two newlines", twice(good + "\n\n"), new(*MalformedError)},
		{"once, a newline", good + "\n", new(*MalformedError)},
		{"no token inside", twice("changeme"), new(*MalformedError)},
		{"twice, not whole blocks", twice(uneven.text()), new(*MalformedError)},
		{"twice, another key", twice(sealed(canary, 1)), new(*NoKeyError)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := strictly.WithDoubleBase64().Open([]byte(tt.token))
			if tt.want == nil && (err != nil || string(got) != canary) {
				t.Errorf("%q, %v", got, err)
			}
			if tt.want != nil && !errors.As(err, tt.want) {
				t.Errorf("error %v, want %T", err, tt.want)
			}
			if _, err := strictly.Open([]byte(tt.token)); tt.token != good && err == nil {
				t.Error("it opens without the option")
			}
		})
	}
	// A token inside that is broken is an error of its variable; any other text stays.
	env := []string{"SECRET_A=" + twice(good+"\n") + "\n", "SECRET_B=" + twice("changeme")}
	got, _, err := strictly.WithDoubleBase64().Environ(env)
	if err != nil || got[0] != "SECRET_A="+canary || got[1] != env[1] {
		t.Errorf("Environ: %q, %v", got, err)
	}
	_, _, err = strictly.WithDoubleBase64().Environ([]string{"SECRET_C=" + twice(uneven.text())})
	wantEntry(t, err, "SECRET_C")
	wantDefect(t, err, DefectBlocks)
	twin := append(append([]byte{}, testKey(0)[:16]...), testKey(1)[16:]...)
	if got, err := testRing(twin, testKey(0)).WithDoubleBase64().Open([]byte(twice(good))); err != nil || string(got) != canary {
		t.Errorf("behind a key with the same signing half: %v", err)
	}
}

func TestNilKeyring(t *testing.T) {
	var ring *Keyring
	token := sealed(canary, 0)
	_, err := ring.Open([]byte(token))
	wantNoKey(t, err)
	_, err = ring.WithDoubleBase64().OpenResult([]byte(token))
	wantNoKey(t, err)
	_, _, err = ring.Environ([]string{"SECRET_A=" + token})
	wantNoKey(t, err)
	_, err = ring.FS(fstest.MapFS{"SECRET-A": {Data: []byte(token)}})
	wantNoKey(t, err)
	_, err = ring.Dir(t.TempDir())
	if !errors.Is(err, ErrNoFiles) || ring.KeyIDs() != nil {
		t.Errorf("an empty folder: %v; keys %q", err, ring.KeyIDs())
	}
	text, err := json.Marshal(ring)
	if got := fmt.Sprintf("%v %+v %s", ring, ring, text); err != nil || got != "<nil> <nil> null" {
		t.Errorf("it prints as %q, %v", got, err)
	}
}

func TestSecretsHideTheirPlaintexts(t *testing.T) {
	_, opened, err := testRing(testKey(0)).Environ([]string{"SECRET_A=" + sealed(canary, 0)})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(opened)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{fmt.Sprintf("%v %+v %#v %s %x %q", opened, opened, opened, opened, opened, opened), string(text)} {
		wantHidden(t, "Secrets", printed, []byte(canary))
	}
}
