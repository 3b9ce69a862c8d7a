// SPDX-License-Identifier: Apache-2.0

package decrypt_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
)

const vectorDir = "testdata/vectors"

// vectorFloors has each group of vectors, and how many cases it has at least.
var vectorFloors = map[string]int{
	"key": 50, "base64": 30, "truncation": 25, "padding": 25, "version-time": 30,
	"tail": 30, "multi-key": 25, "signature": 12, "message": 40, "double-base64": 20,
	"environ": 15, "files": 20, "key-source": 12,
}

// vectorHead is what each case has, as the README of vectorDir describes it.
type vectorHead struct {
	ID    string `json:"id"`
	About string `json:"about"`
	refused
}

func (v vectorHead) head() vectorHead { return v }

// vector is a case about one token.
type vector struct {
	vectorHead
	Primary      string   `json:"primary"`
	Previous     []string `json:"previous"`
	Token        string   `json:"token"`
	DoubleBase64 bool     `json:"double_base64"`
	MaxAge       *int64   `json:"max_age"`
	Now          int64    `json:"now,string"`

	Opens *opened `json:"opens"`

	Python   string `json:"python"`
	FernetGo string `json:"fernet_go"`
	Why      string `json:"why"`
}

type opened struct {
	Plaintext []byte `json:"plaintext"`
	Key       int    `json:"key"`
	KeyID     string `json:"key_id"`
	Time      string `json:"time"`
}

type refused struct {
	Error    string   `json:"error"`
	Name     string   `json:"name"`
	Others   []string `json:"others"`
	Position int      `json:"position"`
	Tried    []string `json:"tried"`
}

var keyClasses = map[decrypt.KeyReason]string{
	decrypt.KeyUnset:     "key/unset",
	decrypt.KeyEmpty:     "key/empty",
	decrypt.KeyPEM:       "key/pem",
	decrypt.KeyAge:       "key/age",
	decrypt.KeyJWT:       "key/jwt",
	decrypt.KeyAWS:       "key/aws",
	decrypt.KeyToken:     "key/token",
	decrypt.KeyList:      "key/list",
	decrypt.KeyBlank:     "key/blank",
	decrypt.KeyHex:       "key/hex",
	decrypt.KeyAlphabet:  "key/alphabet",
	decrypt.KeyShort:     "key/short",
	decrypt.KeyLong:      "key/long",
	decrypt.KeyStandard:  "key/standard-alphabet",
	decrypt.KeyPadding:   "key/padding",
	decrypt.KeyTail:      "key/tail",
	decrypt.KeyZero:      "key/zero",
	decrypt.KeyPublished: "key/published",
}

var defectClasses = map[decrypt.Defect]string{
	decrypt.DefectAlphabet: "malformed/alphabet",
	decrypt.DefectLength:   "malformed/length",
	decrypt.DefectTail:     "malformed/tail",
	decrypt.DefectVersion:  "malformed/version",
	decrypt.DefectShort:    "malformed/short",
	decrypt.DefectBlocks:   "malformed/blocks",
	decrypt.DefectPadding:  "malformed/padding",
	decrypt.DefectAround:   "malformed/around",
	decrypt.DefectInside:   "malformed/inside",
	decrypt.DefectTwice:    "malformed/twice",
}

// classify gives an error as a vector has it.
func classify(err error) refused {
	var keyError *decrypt.KeyError
	var malformed *decrypt.MalformedError
	var noKey *decrypt.NoKeyError
	var age *decrypt.AgeError
	var entries decrypt.EntryErrors
	if errors.As(err, &entries) {
		first := classify(entries[0])
		for _, entry := range entries[1:] {
			first.Others = append(first.Others, entry.Name)
		}
		return first
	}
	entry := new(decrypt.EntryError) // of no name, if there is none
	errors.As(err, &entry)
	switch {
	case errors.As(err, &keyError):
		return refused{Error: keyClasses[keyError.Reason], Name: entry.Name, Position: keyError.Position}
	case errors.As(err, &malformed):
		return refused{Error: defectClasses[malformed.Defect], Name: entry.Name}
	case errors.As(err, &noKey):
		return refused{Error: "no-key", Name: entry.Name, Tried: noKey.KeyIDs}
	case errors.As(err, &age) && age.Future:
		return refused{Error: "age/future"}
	case errors.As(err, &age):
		return refused{Error: "age/too-old"}
	}
	return classifyPlace(err, entry.Name)
}

func TestVectors(t *testing.T) {
	groups := readVectors(t)
	if len(groups) != len(vectorFloors) {
		t.Errorf("%d groups, want %d", len(groups), len(vectorFloors))
	}
	seen, classes := map[string]bool{}, map[string]bool{}
	for _, group := range groups {
		if floor, got := vectorFloors[group.Group], len(group.Cases); floor == 0 || got < floor {
			t.Errorf("group %q has %d cases, want at least %d", group.Group, got, floor)
		}
		for _, content := range group.Cases {
			v := readCase(t, group.Group, content)
			head := v.head()
			if seen[head.ID] || !strings.HasPrefix(head.ID, group.Group+"-") {
				t.Errorf("id %q is there twice, or in the wrong group", head.ID)
			}
			seen[head.ID], classes[head.Error] = true, true
			t.Run(head.ID, v.check)
		}
	}
	for _, class := range keyClasses {
		if !classes[class] {
			t.Errorf("no case of %s", class)
		}
	}
	for _, class := range defectClasses {
		if !classes[class] {
			t.Errorf("no case of %s", class)
		}
	}
	t.Logf("%d cases in %d groups", len(seen), len(groups))
}

type vectorGroup struct {
	Group string            `json:"group"`
	About string            `json:"about"`
	Cases []json.RawMessage `json:"cases"`
}

type vectorCase interface {
	head() vectorHead
	check(t *testing.T)
}

// readCase takes a case of the group, which may have no field that is not known.
func readCase(t *testing.T, group string, content []byte) vectorCase {
	t.Helper()
	var v vectorCase
	switch group {
	case "environ":
		v = new(environVector)
	case "files":
		v = new(folderVector)
	case "key-source":
		v = new(keySourceVector)
	default:
		v = new(vector)
	}
	readStrictly(t, content, v)
	return v
}

func readStrictly(t *testing.T, content []byte, into interface{}) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%v, in: %s", err, content)
	}
}

func readVectors(t *testing.T) []vectorGroup {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vectorDir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors in %s (%v)", vectorDir, err)
	}
	var groups []vectorGroup
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var group vectorGroup
		readStrictly(t, content, &group)
		if group.Group+".json" != filepath.Base(file) || group.About == "" {
			t.Errorf("%s: the group is %q, about %q", file, group.Group, group.About)
		}
		groups = append(groups, group)
	}
	return groups
}

// check opens the token, and compares what comes of it with the case.
func (v vector) check(t *testing.T) {
	v.wantComplete(t, v.Opens != nil)
	differs := v.Python != "" && v.Python != "agrees" || v.FernetGo != "" && v.FernetGo != "agrees"
	if differs != (v.Why != "") {
		t.Fatal("the case does not say why, or says it for nothing")
	}
	ring, err := decrypt.ParseKeys(v.Primary, v.Previous...)
	if err != nil {
		v.wantRefused(t, err)
		return
	}
	if v.DoubleBase64 {
		ring = ring.WithDoubleBase64()
	}
	result, err := v.open(ring)
	if err != nil {
		v.wantRefused(t, err)
		if result.Plaintext != nil || result.KeyID != "" {
			t.Error("a result comes with the error")
		}
		return
	}
	got := &opened{result.Plaintext, indexOf(ring.KeyIDs(), result.KeyID), result.KeyID, strconv.FormatUint(uint64(result.Time.Unix()), 10)}
	if !reflect.DeepEqual(got, v.Opens) {
		t.Errorf("opens to %+v, want %+v%+v", got, v.Opens, v.refused)
	}
	if result.Previous != (got.Key > 0) {
		t.Errorf("a previous key: %v, and it was key %d", result.Previous, got.Key)
	}
	if plain, err := ring.Open([]byte(v.Token)); err != nil || !bytes.Equal(plain, result.Plaintext) {
		t.Errorf("Open gives something else: %v", err)
	}
}

func (v vector) open(ring *decrypt.Keyring) (decrypt.Result, error) {
	if v.MaxAge != nil {
		return ring.OpenWithMaxAge([]byte(v.Token), time.Duration(*v.MaxAge)*time.Second, time.Unix(v.Now, 0))
	}
	return ring.OpenResult([]byte(v.Token))
}

// wantComplete wants a case to say what it is about, and either what is given or
// what is refused.
func (v vectorHead) wantComplete(t *testing.T, gives bool) {
	t.Helper()
	if v.About == "" || gives == (v.Error != "") {
		t.Fatal("the case is not complete")
	}
}

func (v vectorHead) wantRefused(t *testing.T, err error) {
	t.Helper()
	if got := classify(err); !reflect.DeepEqual(got, v.refused) {
		t.Errorf("refused: %v\nas %+v, want %+v", err, got, v.refused)
	}
}

func indexOf(list []string, one string) int {
	for i, item := range list {
		if item == one {
			return i
		}
	}
	return -1
}

// The script asserts that Python's cryptography does what each case says of it.
func TestVectorsAreMadeAgain(t *testing.T) {
	if os.Getenv("SKIP_INTEROP") == "1" {
		t.Skip("SKIP_INTEROP=1")
	}
	const python = "/usr/bin/python3" // another one on the PATH does not see Debian's packages
	if err := exec.Command(python, "-c", "import cryptography.fernet").Run(); err != nil {
		t.Fatalf("%s cannot import cryptography (%v); type: sudo apt-get install -y python3-cryptography", python, err)
	}
	script := filepath.Join(vectorDir, "generate.py")
	if _, err := os.Stat(script); err != nil { // go test then notices when it changes
		t.Fatal(err)
	}
	made := t.TempDir()
	if out, err := exec.Command(python, script, made).CombinedOutput(); err != nil {
		t.Fatalf("generate.py: %v\n%s", err, out)
	}
	want, got := jsonFiles(t, vectorDir), jsonFiles(t, made)
	if len(want) != len(got) || len(got) == 0 {
		t.Errorf("%d files are made, %d are committed", len(got), len(want))
	}
	for name, content := range got {
		if !bytes.Equal(content, want[name]) {
			t.Errorf("%s is not what generate.py makes", name)
		}
	}
}

// jsonFiles gives the JSON files of a folder by their names.
func jsonFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, path := range paths {
		if files[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return files
}
