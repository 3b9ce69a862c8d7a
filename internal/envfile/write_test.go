// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"bytes"
	"strings"
	"testing"
)

func TestQuote(t *testing.T) {
	tests := map[string]string{
		"":            "",
		"b":           "b",
		"b c":         "b c",
		"ä":           "ä",
		`C:\new`:      `C:\new`,
		`\\host\dir\`: `\\host\dir\`,
		"a=b==":       "a=b==",
		" b":          "' b'",
		"b#c":         "'b#c'", // Node's dotenv ends it at #
		"$B":          "'$B'",
		"a`b":         "'a`b'",
		`{"a": 1}`:    `'{"a": 1}'`,
		`$C:\new`:     `'$C:\new'`,
		"b\nc\n":      "'b\nc\n'",
		"b\u00a0":     "'b\u00a0'",
		"b\t":         "'b\t'",
		"it's":        `"it's"`,
		`"it's"`:      `"\"it's\""`,
		`$\`:          `$\`, // python-dotenv takes "$\\" for not closed
		`it's\`:       `it's\`,
		`'$\`:         `"'$\\"`,
		`$\\b`:        `"$\\\\b"`,
		"b\rc":        `"b\rc"`,
		"b\r\nc":      "\"b\\r\nc\"",
		"-----BEGIN X-----\nb==\n-----END X-----": "'-----BEGIN X-----\nb==\n-----END X-----'",
	}
	for value, want := range tests {
		got, err := Quote(value)
		if err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", value, got, err, want)
		}
	}
	for _, bad := range []string{"a\x00" + canary, "\xff" + canary} {
		if text, err := Quote(bad); err == nil || text != "" || strings.Contains(err.Error(), canary[:6]) {
			t.Errorf("%q: %q, %v", bad, text, err)
		}
	}
}

func TestFormat(t *testing.T) {
	entries := func(names ...string) (all []Entry) {
		for _, name := range names {
			all = append(all, Entry{Name: name, Value: NewValue("b " + canary + "\n")})
		}
		return all
	}
	got, err := Format(entries("SECRET-A", "b"))
	want := "SECRET-A='b " + canary + "\n'\nb='b " + canary + "\n'\n"
	if err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	for want, bad := range map[string][]Entry{
		"entry 2: its name is not valid, or there twice": entries("A", "A"),
		"entry 1: its name is not valid, or there twice": entries("A\nB"),
		"A: a value with a NUL byte cannot be written":   {{Name: "A", Value: NewValue("\x00")}},
	} {
		if got, err := Format(bad); err == nil || err.Error() != want || got != nil {
			t.Errorf("%q, %v; want %s", got, err, want)
		}
	}
}

func TestEdit(t *testing.T) {
	tests := []struct {
		name, data string
		changes    []Change
		want       string
	}{
		{"in place", "# a\nexport KEY = old  # b\n\nB=c", []Change{Set("KEY", "new")}, "# a\nexport KEY = new  # b\n\nB=c"},
		{"mark and CRLF", "\ufeffA=1\r\nB='2\r\n3'\r\nC=4\r\n", []Change{Set("B", "5"), Set("C", "6\n")}, "\ufeffA=1\r\nB=5\r\nC='6\n'\r\n"},
		{"was empty", "A=\nB= \n", []Change{Set("A", "x"), Set("B", "y")}, "A=x\nB= y\n"},
		{"becomes empty", "A=x\n", []Change{Set("A", "")}, "A=\n"},
		{"becomes empty before a comment", "A=x # c\n", []Change{Set("A", "")}, "A=\"\" # c\n"},
		{"a comment touches it", "A='x'#c\n", []Change{Set("A", "y")}, "A=\"y\"#c\n"},
		{"appended", "A=1\n", []Change{Set("B", "2"), Set("C", "$3")}, "A=1\nB=2\nC='$3'\n"},
		{"appended in the file's style", "A=1\r\n", []Change{Set("B", "2")}, "A=1\r\nB=2\r\n"},
		{"appended without a last line end", "A=1\r\n# end", []Change{Set("B", "2")}, "A=1\r\n# end\r\nB=2"},
		{"appended to nothing", "", []Change{Set("B", "2")}, "B=2\n"},
		{"appended to a mark", "\ufeff", []Change{Set("B", "2")}, "\ufeffB=2\n"},
		{"removed", "# a\nA='1\n2' # b\n\nB=3\n", []Change{Remove("A")}, "# a\n\nB=3\n"},
		{"removed at the end", "A=1\nB=2", []Change{Remove("B"), Remove("B"), Remove("C")}, "A=1\n"},
		{"rotation", "KEY=k1\nKEY_NEXT=k2\n", []Change{Set("KEY_PREVIOUS", "k1"), Set("KEY", "k2"), Remove("KEY_NEXT")}, "KEY=k2\nKEY_PREVIOUS=k1\n"},
		{"behind another", "A='1\n2' # a\r\nB=3", []Change{SetAfter("A", "C", "4"), SetAfter("B", "D", "5")}, "A='1\n2' # a\r\nC=4\r\nB=3\r\nD=5"},
		{"behind another, there already", "A=1\nB=2\nC=3\n", []Change{SetAfter("A", "C", "4")}, "A=1\nB=2\nC=4\n"},
		{"behind nothing", "A=1\n", []Change{SetAfter("B", "C", "4")}, "A=1\nC=4\n"},
		{"nothing", "A=1", nil, "A=1"},
	}
	for _, tt := range tests {
		got, err := Edit("x", []byte(tt.data), tt.changes...)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}

// Many changes at once give what they give one after the other.
func TestEditAtOnce(t *testing.T) {
	data := "# a\r\nA=1 # x\r\nexport B='2\r\n3'#y\r\nKEY=k\r\nC="
	changes := []Change{Set("D", "4"), Set("B", "5"), Set("A", ""), Set("E", "$"), SetAfter("KEY", "F", "6"), Set("D", "7"), Set("D", "8"), Remove("E"), Set("C", "'#")}
	want := []byte(data)
	for _, c := range changes {
		var err error
		if want, err = Edit("x", want, c); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Edit("x", []byte(data), changes...); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestEditRefuses(t *testing.T) {
	for want, edit := range map[string]struct {
		data   string
		change Change
	}{
		"x:2: no `=` in this line":                          {"A=1\n" + canary, Set("A", "2")},
		"x: not a valid name for an entry":                  {"A=1", Set("A\nB", canary)},
		"x: A: a value with a NUL byte cannot be written":   {"A=1", Set("A", "\x00"+canary)},
		"x: B: a value that is not UTF-8 cannot be written": {"A=1", Set("B", "\xff"+canary)},
	} {
		if got, err := Edit("x", []byte(edit.data), edit.change); err == nil || err.Error() != want || got != nil {
			t.Errorf("%q, %v; want %s", got, err, want)
		}
	}
}

// Over the whole corpus: each entry can get each value, and nothing else moves.
func TestEditKeepsTheRest(t *testing.T) {
	edits := 0
	for _, input := range corpus(t) {
		f, err := Parse("x", []byte(input))
		if err != nil {
			continue
		}
		for i, e := range f.Entries {
			for _, value := range []string{"", canary, "it's", "b ", "#", "$\r\n"} {
				edited, err := Edit("x", []byte(input), Set(e.Name, value))
				if err != nil {
					t.Fatalf("%q: %v", input, err)
				}
				edits++
				checkEdit(t, f, i, []byte(input), edited, value)
			}
		}
	}
	if edits < 1000 {
		t.Errorf("only %d edits", edits)
	}
}

func checkEdit(t *testing.T, before *File, i int, input, edited []byte, value string) {
	t.Helper()
	after, err := Parse("x", edited)
	if err != nil || len(after.Entries) != len(before.Entries) {
		t.Fatalf("%q became %q: %v", input, edited, err)
	}
	for j, e := range after.Entries {
		want := before.Entries[j].Value
		if i == j {
			want = NewValue(value)
		}
		if e.Name != before.Entries[j].Name || !e.Value.Equal(want) {
			t.Errorf("%q became %q: %s", input, edited, e.Name)
		}
	}
	s := before.spans[i]
	if !bytes.HasPrefix(edited, input[:s.value]) || !bytes.HasSuffix(edited, input[s.end:]) {
		t.Errorf("%q became %q: other bytes changed", input, edited)
	}
}
