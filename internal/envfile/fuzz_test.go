// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParse: no panic, nothing of a value in an error, a warning or a finding,
// and what was read can be written and read again.
func FuzzParse(f *testing.F) {
	for _, input := range corpus(f) {
		f.Add([]byte(input))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("x", data)
		masked, maskedErr := Parse("x", mask(data))
		if err != nil {
			sameError(t, err, maskedErr)
			return
		}
		if maskedErr != nil || !reflect.DeepEqual(file.Warnings, masked.Warnings) {
			t.Fatalf("warnings %v; with other values %v, %v", file.Warnings, masked.Warnings, maskedErr)
		}
		SecondOpinion(file)
		checkRoundTrip(t, file)
	})
}

// mask replaces every letter and digit that may be part of a value: all after
// the first `=` of a line, and all of a line without one. The words that make a
// PEM block stay. If a text about the file is the same for the masked file, it
// tells nothing of those characters, not even one.
func mask(data []byte) []byte {
	masked := bytes.Clone(data)
	for line := range bytes.Lines(masked) {
		_, value, found := bytes.Cut(line, []byte("="))
		if !found {
			value = line
		}
		for i := range value {
			value[i] = otherLetter(value[i])
		}
	}
	for _, word := range []string{"-----BEGIN ", "-----END "} {
		for at := 0; ; at++ {
			next := bytes.Index(data[at:], []byte(word))
			if next < 0 {
				break
			}
			at += next
			copy(masked[at:], word)
		}
	}
	return masked
}

func otherLetter(c byte) byte {
	switch {
	case c == 'Q' || c == 'q':
		return 'Z'
	case c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z':
		return 'q'
	default:
		return c
	}
}

func sameError(t *testing.T, err, masked error) {
	t.Helper()
	var a, b *Error
	if !errors.As(err, &a) || !errors.As(masked, &b) || *a != *b {
		t.Fatalf("%#v; with other values %#v", err, masked)
	}
}

func checkRoundTrip(t *testing.T, file *File) {
	t.Helper()
	text, err := Format(file.Entries)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("x", text)
	if err != nil || len(again.Entries) != len(file.Entries) {
		t.Fatalf("%q: %v", text, err)
	}
	for i, e := range again.Entries {
		if e.Name != file.Entries[i].Name || !e.Value.Equal(file.Entries[i].Value) {
			t.Fatalf("%q: entry %d differs", text, i)
		}
	}
}

// FuzzQuoteRoundTrip: a value that Quote accepts reads back as itself, alone,
// in a CRLF file, after an edit, and without a warning about quotes.
func FuzzQuoteRoundTrip(f *testing.F) {
	for _, value := range []string{"", "b", " b ", "it's", `say "hi"`, `C:\dir\`, `\\'"`, "a\nb", "a\rb", "a\r\nb", "#b", "b #c", "$B", "-----BEGIN X", "\u00a0", "=", "\x00", "\xff"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		text, err := Quote(value)
		if bytes.ContainsRune([]byte(value), 0) || string([]rune(value)) != value {
			if err == nil {
				t.Fatalf("%q was quoted", value)
			}
			return
		}
		edited, editErr := Edit("x", []byte("A=1 # c\r\nB='2'#d\r\n"), Set("A", value), Set("B", value), Set("C", value))
		if err != nil || editErr != nil {
			t.Fatal(err, editErr)
		}
		for _, data := range []string{"A=" + text, "A=" + text + "\r\n", "A=" + text + " # c\n", string(edited)} {
			if data == "A= # c\n" {
				continue // an empty value does not stand before a comment
			}
			file, err := Parse("x", []byte(data))
			if err != nil {
				t.Fatalf("%q: %v", data, err)
			}
			for _, e := range file.Entries {
				if !e.Value.Equal(NewValue(value)) {
					t.Fatalf("%q in %q reads back as %q", value, data, e.Value.Reveal())
				}
			}
		}
	})
}

// FuzzFormat: values, here between NULs, can be written as a file that reads
// back as the same entries, by godotenv too where its grammar has a way.
func FuzzFormat(f *testing.F) {
	for _, entries := range generated(2, 200) {
		var values []string
		for _, e := range entries {
			values = append(values, e.Value.Reveal())
		}
		f.Add(strings.Join(values, "\x00"))
	}
	f.Fuzz(func(t *testing.T, joined string) {
		var entries, common []Entry
		for i, value := range strings.Split(joined, "\x00") {
			e := Entry{Name: fmt.Sprintf("SECRET_%d", i), Value: NewValue(value)}
			entries = append(entries, e)
			if utf8.ValidString(value) && !beyondGodotenv(e) {
				common = append(common, e)
			}
		}
		text, err := Format(entries)
		if !utf8.ValidString(joined) {
			if err == nil {
				t.Fatalf("%q was written", joined)
			}
			return
		}
		if got, readErr := ours(string(text)); err != nil || !got.equal(readingOf(entries)) {
			t.Fatalf("%q reads back as %v: %v, %v", text, got, err, readErr)
		}
		if text, err = Format(common); err != nil || !godotenvReading(string(text)).equal(readingOf(common)) {
			t.Fatalf("%q: %v; godotenv reads %v", text, err, godotenvReading(string(text)))
		}
	})
}
