// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// pieces are what generated values consist of: all that some parser gives a
// meaning to, and some text between.
var pieces = []string{
	"b", "c d", "9", "ä", "漢", "=", "==", ",", ":", " ", "  ", "\t", "\n", "\n\n", "\r", "\r\n", "#", " #", "# ", "'", `"`, "`", `\`, `\\`,
	`\n`, `\"`, `\'`, "$", "$B", "${B}", "$(b)", "%B%", "!", "{", "}", "[", "]", "\u00a0", "\u2028", "\u200b", "\ufeff", "\x1b", "\x7f",
	"-----BEGIN X-----", "-----END X-----", "export ", "KEY=b",
}

// generated gives whole files of entries, the same ones for the same seed.
func generated(seed uint64, files int) (all [][]Entry) {
	random := rand.New(rand.NewPCG(seed, 0)) // #nosec G404 -- test input
	for range files {
		var entries []Entry
		for i := range 1 + random.IntN(8) {
			var value strings.Builder
			for range random.IntN(7) {
				value.WriteString(pieces[random.IntN(len(pieces))])
			}
			name := []string{"SECRET-", "SECRET_", "SECRET.", "S"}[random.IntN(4)] + string(rune('A'+i))
			entries = append(entries, Entry{Name: name, Value: NewValue(value.String())})
		}
		all = append(all, entries)
	}
	return all
}

func readingOf(entries []Entry) (r reading) {
	for _, e := range entries {
		text := e.Value.Reveal()
		r.Pairs = append(r.Pairs, pair{e.Name, &text})
	}
	return r
}

// A file that Format wrote is read alike by this package, by python-dotenv and
// by godotenv, but for values that their grammars have no way to write.
func TestFormatForOthers(t *testing.T) {
	files := generated(1, 3000)
	inputs := make([]string, len(files))
	for i, entries := range files {
		text, err := Format(entries)
		if err != nil {
			t.Fatal(err)
		}
		inputs[i] = string(text)
		if mine, err := ours(inputs[i]); !mine.equal(readingOf(entries)) {
			t.Errorf("%q: %v, %v", inputs[i], mine, err)
		}
	}
	compared := map[string]int{}
	for i, theirs := range pythonReadings(t, inputs) {
		if slices.ContainsFunc(files[i], beyondPython) {
			continue
		}
		compared["python-dotenv"]++
		if !theirs.equal(readingOf(files[i])) {
			t.Errorf("%q: python-dotenv reads %s", inputs[i], theirs)
		}
	}
	for _, entries := range files {
		entries = slices.DeleteFunc(slices.Clone(entries), beyondGodotenv)
		text, err := Format(entries)
		if err != nil {
			t.Fatal(err)
		}
		compared["godotenv"] += len(entries)
		if theirs := godotenvReading(string(text)); !theirs.equal(readingOf(entries)) {
			t.Errorf("%q: godotenv reads %s", text, theirs)
		}
	}
	t.Log(compared)
	if compared["python-dotenv"] < 2500 || compared["godotenv"] < 5000 {
		t.Errorf("too few could be compared: %v", compared)
	}
}

// beyondPython: a backslash at the end of a value that has to stand in double
// quotes.
func beyondPython(e Entry) bool {
	text, _ := Quote(e.Value.Reveal())
	return strings.HasSuffix(text, `\"`)
}

// beyondGodotenv: a name with a hyphen, and what it expands, unescapes or strips
// wherever no single quotes can stand.
func beyondGodotenv(e Entry) bool {
	text, _ := Quote(e.Value.Reveal())
	return strings.Contains(e.Name, "-") || !strings.HasPrefix(text, "'") && strings.ContainsAny(text, "$") ||
		strings.HasPrefix(text, `"`) && (strings.Contains(text, `\`) || strings.HasSuffix(text, `""`))
}
