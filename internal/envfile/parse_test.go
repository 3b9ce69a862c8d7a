// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct{ name, input, want string }{
		{"original", "KEY=k\nCLUSTER_NAME=localkube\nSECRET-TEST-1=a\n", `KEY="k" CLUSTER_NAME="localkube" SECRET-TEST-1="a"`},
		{"nothing", "", "nothing"},
		{"comments only", "# a\n\n \t\n  # b", "nothing"},
		{"mark, CRLF, export, no last line end", "\ufeffexport A = b\r\n\r\nB=c", `A="b" B="c"`},
		{"all ASCII blanks", "\v\fA\t=\v b \f\v\t\n", `A="b"`},
		{"export as a name", "export=a\nexported=b\n", `export="a" exported="b"`},
		{"lines of other blanks", "\u00a0\n\u2003# b\nA=b\n", `A="b"`},
		{"equals signs", "A=b=c\nB='='\n", `A="b=c" B="="`},
		{"comment", "A=b #c #d\nB=c#d\nC=#e\nD= # f\nE=\n", `A="b" B="c#d" C="#e" D="# f" E=""`},
		{"nothing is expanded", "A=$B ${C} $(id) `id` \\n %D%\n", "A=\"$B ${C} $(id) `id` \\\\n %D%\""},
		{"single quotes", `A=' \n\"\'\\\x ' # c`, `A=" \\n\\\"'\\\\x "`},
		{"double quotes", `A="\a\b\f\n\r\t\v\\\'\"\x\0\$"`, `A="\u0007\b\f\n\r\t\u000b\\'\"\\x\\0\\$"`},
		{"an escaped backslash ends no escape", "A=\"b\\\\\"\nB='c\\\\'\n", `A="b\\" B="c\\"`},
		{"lines", "A='b\n# c\nD=e'\nF=\"g\n\"#h\n", `A="b\n# c\nD=e" F="g\n"`},
		{"CRLF in quotes is LF", "A='b\r\nc'\r\nB=\"d\\\r\ne\"\r\n", `A="b\nc" B="d\\\ne"`},
		{"other blanks stay", "A=\u00a0b\u00a0#c\nB=' '\n", `A="\u00a0b\u00a0#c" B=" "`},
		{"a PEM text on one line", `A=-----BEGIN X-----\nb\n-----END X-----`, `A="-----BEGIN X-----\\nb\\n-----END X-----"`},
		{"quotes in the middle", "A=it's\nB=\u201cc\u201d\n", "A=\"it's\" B=\"\u201cc\u201d\""},
	}
	for _, tt := range tests {
		if got, err := ours(tt.input); err != nil || got.String() != tt.want {
			t.Errorf("%s: %s, %v; want %s", tt.name, got, err, tt.want)
		}
	}
}

func TestLines(t *testing.T) {
	f, err := Parse("x", []byte("\ufeff\n# c\nA='b\r\n\n'\r\nB=\"\n\"\nC=d"))
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]int{"A": 3, "B": 6, "C": 8}
	for name, line := range lines {
		if e, ok := f.Lookup(name); !ok || e.Line != line {
			t.Errorf("%s: line %d, %v; want %d", name, e.Line, ok, line)
		}
	}
	if _, ok := f.Lookup("a"); ok || len(f.Entries) != len(lines) || f.Path != "x" {
		t.Errorf("%d entries, and one named a: %v", len(f.Entries), ok)
	}
}

func TestParseErrors(t *testing.T) {
	const c = canary
	tests := []struct {
		input        string
		line, column int
		message      string
		hint         string // part of it
	}{
		{"A=b\n" + c, 2, 0, "no `=` in this line", "in quotes"},
		{"A: " + c, 1, 0, "no `=` in this line", "NAME=VALUE"},
		{"=" + c, 1, 1, "empty name before `=`", "NAME=VALUE"},
		{"  export =" + c, 1, 10, "empty name before `=`", ""},
		{"\n1A=" + c, 2, 1, "the character 1 in a name, column 1", "begin with a digit"},
		{" export A B=" + c, 1, 10, "a blank in a name, column 10", "ASCII letters"},
		{"'A'=" + c, 1, 1, "the character ' in a name, column 1", ""},
		{"\ufeffÄ=" + c, 1, 1, "the character U+00C4 in a name, column 1", "ASCII letters"},
		{"SECRET\u2010A=" + c, 1, 7, "the character U+2010 in a name, column 7", "type a plain -"},
		{"SECRET\u2011A=" + c, 1, 7, "the character U+2011 in a name, column 7", "type a plain -"},
		{"SECRET\u2012A=" + c, 1, 7, "the character U+2012 in a name, column 7", "type a plain -"},
		{"SECRET\u2013A=" + c, 1, 7, "the character U+2013 in a name, column 7", "type a plain -"},
		{"SECRET\u2014A=" + c, 1, 7, "the character U+2014 in a name, column 7", "type a plain -"},
		{"A\u200bB=" + c, 1, 2, "the character U+200B in a name, column 2", "invisible"},
		{"A=b\n\ufeffB=" + c, 2, 1, "the character U+FEFF in a name, column 1", "invisible"},
		{"A\u00a0=" + c, 1, 2, "the character U+00A0 in a name, column 2", "invisible"},
		{"\u00a0A=" + c, 1, 1, "the character U+00A0 in a name, column 1", "invisible"},
		{"A\x7f=" + c, 1, 2, "the character U+007F in a name, column 2", ""},
		{c + "/" + c + "=", 1, 16, "the character / in a name, column 16", ""},
		{"A=" + c + "\nB=x\nA=" + c, 3, 0, "A is on line 1 already", "keep one"},
		{"A='" + c, 1, 0, "A: the quote ' that opens here is never closed", `\'`},
		{"B=x\nA=\"" + c + "\n\n", 2, 0, "A: the quote \" that opens here is never closed", `\"`},
		{`A="` + c + `\"`, 1, 0, "A: the quote \" that opens here is never closed", `\\`},
		{"A='b'" + c, 1, 0, "A: text after the closing quote", `\'`},
		{"A=\"b\" " + c + " # c", 1, 0, "A: text after the closing quote", `\"`},
		{"\nA=\"" + c + "\nB=\"" + c + "\"\n", 3, 0, "A: text after the closing quote of the value that begins on line 2", ""},
		{"A='b'\u00a0", 1, 0, "A: text after the closing quote", ""},
		{"\nA=-----BEGIN " + c + "-----\n" + c + "\n", 2, 0, "A: a PEM block without quotes", "quotes around it"},
		{"A=b\rB=" + c, 1, 0, "a carriage return that is not part of a CRLF line end", "CRLF"},
		{"A=b\nB=" + c + "\r", 2, 0, "a carriage return that is not part of a CRLF line end", `\r`},
		{"A=b\r\nB=\x00" + c, 2, 0, "a NUL byte", "base64"},
		{"A=b\n\nB=" + c + "\xff", 3, 0, "not UTF-8", "UTF-8"},
		{"A=\xed\xa0\x80" + c, 1, 0, "not UTF-8", ""},
		{"\xff\xfeA\x00=\x00", 0, 0, "is UTF-16, not UTF-8", "save it as UTF-8"},
		{"\xfe\xff\x00A\x00=", 0, 0, "is UTF-16, not UTF-8", ""},
		{"A\x00=\x00b\x00", 0, 0, "is UTF-16, not UTF-8", ""},
		{"\x00A\x00=\x00b", 0, 0, "is UTF-16, not UTF-8", ""},
	}
	for _, tt := range tests {
		_, err := Parse("dir/x.env", []byte(tt.input))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%q: %v", tt.input, err)
			continue
		}
		if e.Line != tt.line || e.Column != tt.column || e.Message != tt.message || !strings.Contains(string(e.Way), tt.hint) || e.Path != "dir/x.env" {
			t.Errorf("%q: %+v", tt.input, e)
		}
		if strings.Contains(e.Error()+string(e.Way), canary[:6]) {
			t.Errorf("%q: the value is in %s / %s", tt.input, e, e.Way)
		}
	}
}

func TestErrorText(t *testing.T) {
	for want, e := range map[string]*Error{
		"x.env:3: what":    {Path: "x.env", Line: 3, Column: 4, Message: "what", Way: "do"},
		"x.env: is UTF-16": {Path: "x.env", Message: "is UTF-16"},
	} {
		if e.Error() != want {
			t.Errorf("%s, want %s", e, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	tests := []struct {
		input string
		want  []Warning
	}{
		{"A=b\nB='#c' #d\nC=d#e\nD=\nE=''\nF=a=\nG='='\nH='\u201cx'\n", nil},
		{"\nA= #b\n", []Warning{{2, "A", "the value begins with #; it is not a comment here: quote it, or leave nothing after `=`"}}},
		{"A='b'#c\n", []Warning{{1, "A", "a comment right after the closing quote; put a blank before #, or escape the quote"}}},
		{"A=\u201cb\u201d\n", []Warning{{1, "A", "the value begins with U+201C, which is no quote but part of it"}}},
		{"A=b\u00a0\nB=\"\n\u200b\"\n", []Warning{
			{1, "A", "U+00A0 in the value, a blank or invisible character; it is kept"},
			{2, "B", "U+200B in the value, a blank or invisible character; it is kept"},
		}},
		{"A=b\x1c\n", []Warning{{1, "A", "U+001C in the value, a blank or invisible character; it is kept"}}},
	}
	for _, tt := range tests {
		f, err := Parse("x", []byte(tt.input))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(f.Warnings, tt.want) {
			t.Errorf("%q: %+v", tt.input, f.Warnings)
		}
	}
}
