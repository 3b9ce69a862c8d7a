// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
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

func wantEntry(t *testing.T, err error, name string) {
	t.Helper()
	var entry *EntryError
	if !errors.As(err, &entry) {
		t.Fatalf("error %v, want an EntryError", err)
	}
	if entry.Name != name || !strings.Contains(err.Error(), name+": ") {
		t.Errorf("the error is about %q and says %q; want %q", entry.Name, err, name)
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
	unpadded := strings.TrimRight(sealed(canary, 0), "=")
	before := []string{
		"PATH=/bin", "SECRET_NEW=" + sealed(canary, 0), "SECRET_OLD=" + sealed("old", 1), "SECRET-DASH.DOT=" + sealed("", 0),
		"SECRETLESS=" + unpadded, "SECRET_PLAIN=changeme", "SECRET_EMPTY=", "SECRET_EQUALS=a=b=c", "MY_SECRET=" + sealed("x", 0),
		"SECRET_NONE", "", "=C:=C:\\", "SECRET_NEW=" + sealed("the second", 1), "FERNET_KEY=" + keyText(0),
	}
	want := append([]string(nil), before...)
	want[1], want[2], want[3], want[12] = "SECRET_NEW="+canary, "SECRET_OLD=old", "SECRET-DASH.DOT=", "SECRET_NEW=the second"
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
	wantPlain := map[string]string{"SECRET_NEW": canary, "SECRET_OLD": "old", "SECRET-DASH.DOT": ""}
	if got := plaintexts(opened); !reflect.DeepEqual(got, wantPlain) {
		t.Errorf("opened %q, want %q", got, wantPlain)
	}
	if got := opened.Previous(); !reflect.DeepEqual(got, []string{"SECRET_OLD"}) {
		t.Errorf("under a previous key: %q", got)
	}
	if got, opened, err := testRing().Environ(nil); len(got) != 0 || len(opened) != 0 || err != nil {
		t.Errorf("an empty environment: %q, %v, %v", got, opened, err)
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
	names := []string{"SECRET_A", "API_KEY", "DB.PASSWORD", "KEY", "KEY_PREVIOUS", "KEY_NEXT", "CLUSTER_NAME", keyName, previousName}
	var environ []string
	files := fstest.MapFS{}
	for _, name := range names {
		environ = append(environ, name+"="+sealed(canary, 0))
		files[name] = &fstest.MapFile{Data: []byte(sealed(canary, 0))}
	}
	files["..2026"] = &fstest.MapFile{Data: []byte("beside ..data, no glob matches either")}
	for _, tt := range []struct{ globs, want []string }{
		{nil, []string{"SECRET_A"}},
		{[]string{"API_*"}, []string{"API_KEY"}},
		{[]string{"API_*", "DB.[A-Z]*"}, []string{"API_KEY", "DB.PASSWORD"}},
		{[]string{"*"}, []string{"SECRET_A", "API_KEY", "DB.PASSWORD"}},
		{[]string{"NONE"}, nil},
	} {
		_, fromEnviron, err := testRing(testKey(0)).Environ(environ, tt.globs...)
		if err != nil {
			t.Fatal(err)
		}
		fromFiles, err := testRing(testKey(0)).FS(files, tt.globs...)
		if err != nil {
			t.Fatal(err)
		}
		for _, opened := range []Secrets{fromEnviron, fromFiles} {
			missing := len(tt.want) != len(opened)
			for _, name := range tt.want {
				missing = missing || string(opened[name].Plaintext) != canary
			}
			if missing {
				t.Errorf("%q: opened %v, want %q", tt.globs, opened, tt.want)
			}
		}
	}
	_, _, err := testRing().Environ(nil, "A*", "[")
	_, dirErr := testRing().FS(fstest.MapFS{}, "A*", "[")
	if !errors.Is(err, path.ErrBadPattern) || !errors.Is(dirErr, path.ErrBadPattern) {
		t.Errorf("a bad glob: %v, %v", err, dirErr)
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
		{"empty", fstest.MapFS{}, map[string]string{}, ""},
		{"plain folder", fstest.MapFS{"SECRET-A": regular(good), "README": regular("x")}, map[string]string{"SECRET-A": canary}, ""},
		{"newline behind", fstest.MapFS{"SECRET-A": regular(good + "\n")}, map[string]string{"SECRET-A": canary}, ""},
		{"newline in the plaintext", fstest.MapFS{"SECRET-A": regular(sealed("x\n", 0))}, map[string]string{"SECRET-A": "x\n"}, ""},
		{"folder", fstest.MapFS{"SECRET-A/SECRET-B": regular("x")}, map[string]string{}, ""},
		{"volume", fstest.MapFS{
			"..data/SECRET-A": regular(good), "..2026/SECRET-A": regular("x"), "SECRET-A": regular("x"), "SECRET-B": regular("x"),
		}, map[string]string{"SECRET-A": canary}, ""},
		{"..data is a file", fstest.MapFS{"..data": regular("x"), "SECRET-A": regular(good)}, map[string]string{"SECRET-A": canary}, ""},
		{"two newlines", fstest.MapFS{"SECRET-A": regular(good + "\n\n")}, nil, "SECRET-A"},
		{"CR LF", fstest.MapFS{"SECRET-A": regular(good + "\r\n")}, nil, "SECRET-A"},
		{"blank before", fstest.MapFS{"SECRET-A": regular(" " + good)}, nil, "SECRET-A"},
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
	env := []string{"SECRET_A=" + twice(good), "SECRET_B=" + twice("changeme")}
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
	if err != nil || ring.KeyIDs() != nil {
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
