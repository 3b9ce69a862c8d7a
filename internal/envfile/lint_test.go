// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestSecondOpinion(t *testing.T) {
	tests := map[string]string{
		"A=b\n":                    "",
		"A=b # c\n":                "",
		"A='b # $c'\n":             "",
		"A=\"b\nc\"\r\n":           "",
		"A=\n":                     "",
		"A= #b\n":                  "",
		"SECRET-TEST-1=b\n":        "", // the name is not the value's fault
		"A=abc$DEF\n":              "godotenv expands $; single quotes keep it",
		"A=\"abc$DEF\"\n":          "godotenv expands $; single quotes keep it",
		"A=\"say \\\"hi\\\"\"\n":   "godotenv strips quotes at the edges of the value",
		"A=\"a\\tb\"\n":            "godotenv reads backslashes otherwise",
		"A='it\\'s'\n":             "godotenv reads backslashes otherwise",
		"A='b\\\\'\n":              "godotenv takes a backslash before the closing quote as escaping it",
		"A=b #c #d\n":              "godotenv begins a comment elsewhere; quote the value",
		"A=b\u00a0\n":              "godotenv trims blanks that are not ASCII; quote the value",
		"A=x\nB=y\nC=$" + canary:   "", // expands upper-case names only
		"A=$$" + canary + "\\$B":   "godotenv expands $; single quotes keep it",
		"A=\"" + canary + "\\\"\"": "godotenv strips quotes at the edges of the value",
	}
	for input, want := range tests {
		f, err := Parse("x", []byte(input))
		if err != nil {
			t.Fatalf("%q: %v", input, err)
		}
		var wanted []Finding
		if want != "" {
			wanted = []Finding{{1, "A", want}}
		}
		if got := SecondOpinion(f); !reflect.DeepEqual(got, wanted) {
			t.Errorf("%q: %v", input, got)
		}
	}
}

// Every difference in the corpus has a cause that we can name.
func TestSecondOpinionOverTheCorpus(t *testing.T) {
	for _, input := range corpus(t) {
		f, err := Parse("x", []byte(input))
		if err != nil {
			continue
		}
		for _, finding := range SecondOpinion(f) {
			if strings.HasSuffix(finding.Cause, "reads it otherwise") {
				t.Errorf("%q: %v", input, finding)
			}
		}
	}
}

func TestSecondOpinionOfEntriesFromNoFile(t *testing.T) {
	f := &File{Entries: []Entry{
		{Name: "A", Value: NewValue("a$B")}, // Quote puts it in single quotes
		{Name: "B", Value: NewValue("it's $B"), Line: 2},
		{Name: "C", Value: NewValue("\x00")},
		{Name: "D"},
	}}
	got := SecondOpinion(f)
	if len(got) != 2 || got[0] != (Finding{2, "B", "godotenv expands $; single quotes keep it"}) || got[1].Name != "C" {
		t.Errorf("%v", got)
	}
}

func TestSecondReadingFails(t *testing.T) {
	for name, read := range map[string]func(string) (map[string]string, error){
		"panic":      func(s string) (map[string]string, error) { panic(s) },
		"error":      func(s string) (map[string]string, error) { return map[string]string{"V": "b"}, errors.New(s) },
		"two values": func(string) (map[string]string, error) { return map[string]string{"V": "b", "": "c"}, nil },
		"no value":   func(string) (map[string]string, error) { return map[string]string{"W": "b"}, nil },
	} {
		if got, err := secondReading(read, canary); got != "" || !errors.Is(err, errUnread) || err.Error() != errUnread.Error() {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestPlaceholder(t *testing.T) {
	for text, want := range map[string]bool{
		"changeme": true, "ChangeMe!": true, "change-me": true, "CHANGE_ME": true, " changeme ": true, "<your key>": true, "<>": true,
		"TODO": true, "todo: ask Ann": true, "FIXME later": true, "xxx": true, "XXXXXXXX": true, "...": true, "…": true,
		"": false, "b": false, "changeme2024x": false, "todolist": false, "<a><b>": false, "a<b>": false, "xx": false, "xxy": false, "..": false,
	} {
		if got := Placeholder(NewValue(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestLint(t *testing.T) {
	f, err := Parse("x", []byte("SECRET-A=b\nSECRET.B=changeme\nC=b#$X\nD='b#c'\nE=#f\nF=ok # fine\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Finding{
		{1, "SECRET-A", "shells drop or cannot set a variable with - or . in its name; godotenv refuses -"},
		{2, "SECRET.B", "shells drop or cannot set a variable with - or . in its name; godotenv refuses -"},
		{2, "SECRET.B", "the value looks like a placeholder"},
		{3, "C", "godotenv expands $; single quotes keep it"},
		{3, "C", "Node's dotenv ends an unquoted value at any #; quote it"},
		{5, "E", f.Warnings[0].Message},
	}
	if got := Lint(f); !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}
