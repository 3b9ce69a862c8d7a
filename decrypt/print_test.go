// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
)

// wantHidden refuses a piece of the keys in any spelling that fmt or a
// marshaller gives to bytes.
func wantHidden(t *testing.T, what, printed string, secrets ...[]byte) {
	t.Helper()
	for _, secret := range secrets {
		for i := 0; i+4 <= len(secret); i++ {
			piece := secret[i : i+4]
			for _, spelling := range []string{
				string(piece),
				hex.EncodeToString(piece),
				strings.Trim(fmt.Sprintf("%d", piece), "[]"),
				strings.Trim(fmt.Sprintf("%#v", piece), "[]byte{}"),
				strings.TrimRight(base64.StdEncoding.EncodeToString(piece), "=")[:4],
				strings.TrimRight(base64.URLEncoding.EncodeToString(piece), "=")[:4],
			} {
				if strings.Contains(strings.ToLower(printed), strings.ToLower(spelling)) {
					t.Fatalf("%s shows %q", what, spelling)
				}
			}
		}
	}
}

type embedsPointer struct{ *Keyring }
type embedsValue struct{ Keyring }
type exports struct {
	Name string
	Ring *Keyring
}
type hides struct {
	name  string
	value Keyring
	ring  *Keyring
}

func TestKeyringPrintsAsItsIDs(t *testing.T) {
	ring := testRing(testKey(0), testKey(1))
	secrets := [][]byte{testKey(0), testKey(1)}
	want := "[redacted " + strings.Join(ring.KeyIDs(), " ") + "]"
	verbs := []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "% x", "%#x", "%08b", "%t", "%10.3s"}
	for _, verb := range verbs {
		for _, v := range []interface{}{ring, *ring, embedsPointer{ring}, embedsValue{*ring}, &embedsPointer{ring}} {
			if got := fmt.Sprintf(verb, v); got != want {
				t.Errorf("%s of %T: %s, want %s", verb, v, got, want)
			}
		}
		for _, v := range []interface{}{
			exports{"a", ring}, []*Keyring{ring}, []Keyring{*ring}, map[string]Keyring{"a": *ring}, fmt.Errorf("x: %v", ring),
		} {
			if got := fmt.Sprintf(verb, v); !strings.Contains(got, want) && !strings.Contains(got, hex.EncodeToString([]byte(want))) {
				switch verb {
				case "%v", "%+v", "%#v", "%s":
					t.Errorf("%s of %T: %s, without %s", verb, v, got, want)
				}
			}
		}
		for _, v := range []interface{}{hides{"a", *ring, ring}, &hides{"a", *ring, ring}} { // fmt asks no methods here
			wantHidden(t, fmt.Sprintf("%s of %T", verb, v), fmt.Sprintf(verb, v), secrets...)
		}
	}
	if got := new(Keyring).String(); got != "[redacted]" {
		t.Errorf("an empty keyring prints as %s", got)
	}
}

func TestKeyringMarshalsAsItsIDs(t *testing.T) {
	ring := testRing(testKey(0), testKey(1))
	want := ring.String()
	for _, v := range []interface{}{ring, *ring, embedsPointer{ring}, exports{"a", ring}, map[string]interface{}{"a": *ring}} {
		got, err := json.Marshal(v)
		if err != nil || !strings.Contains(string(got), `"`+want+`"`) {
			t.Errorf("JSON of %T: %s, %v", v, got, err)
		}
		wantHidden(t, "JSON", string(got), testKey(0), testKey(1))
	}
	if got, err := xml.Marshal(ring); err != nil || !strings.Contains(string(got), want) {
		t.Errorf("XML: %s, %v", got, err)
	}
}

func TestResultHidesItsPlaintext(t *testing.T) {
	result, err := testRing(testKey(0)).OpenResult([]byte(valid(canary).text()))
	if err != nil {
		t.Fatal(err)
	}
	want := "[redacted 15 bytes under " + result.KeyID + "]"
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []interface{}{result, &result} {
			if got := fmt.Sprintf(verb, v); got != want {
				t.Errorf("%s of %T: %s, want %s", verb, v, got, want)
			}
		}
	}
	if got, err := json.Marshal(struct{ R Result }{result}); err != nil || string(got) != `{"R":"`+want+`"}` {
		t.Errorf("JSON: %s, %v", got, err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	ring := testRing(testKey(0), testKey(1))
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&KeyError{0, KeyHex}, "primary key: it is hexadecimal; a Fernet key is URL-safe base64"},
		{&KeyError{2, KeyZero}, "previous key 2: it is all zero"},
		{&MalformedError{DefectVersion}, "malformed token: not of Fernet version 0x80"},
		{&NoKeyError{ring.KeyIDs()}, "no key opens the token (tried: " + strings.Join(ring.KeyIDs(), ", ") + "); it is under another key, or was altered"},
		{&NoKeyError{}, "no key opens the token: the keyring is empty"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
