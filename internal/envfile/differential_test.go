// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/joho/godotenv"
)

const (
	corpusDir = "../../testdata/env"
	formatDoc = "../../docs/env-format.md"
)

// pair is a name and what a parser made of its value; nil: no value at all.
type pair struct {
	Name  string
	Value *string
}

// reading is what a parser made of a whole file.
type reading struct {
	Refused bool
	Pairs   []pair
}

func (r reading) equal(other reading) bool {
	return r.Refused == other.Refused && slices.EqualFunc(r.Pairs, other.Pairs, func(a, b pair) bool {
		return a.Name == b.Name && (a.Value == nil) == (b.Value == nil) && (a.Value == nil || *a.Value == *b.Value)
	})
}

// String is how the tables of the document write a reading.
func (r reading) String() string {
	if r.Refused {
		return "error"
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	for i, p := range r.Pairs {
		if i > 0 {
			b.WriteString(" ")
		}
		b.WriteString(p.Name + "=")
		if err := encoder.Encode(p.Value); err != nil {
			panic(err)
		}
	}
	text := strings.NewReplacer("\n", "", "\ufeff", `\ufeff`, "\u00a0", `\u00a0`).Replace(b.String())
	if text == "" {
		return "nothing"
	}
	return text
}

// ours is this package's reading, and its error.
func ours(input string) (reading, error) {
	f, err := Parse("x", []byte(input))
	if err != nil {
		return reading{Refused: true}, err
	}
	r := reading{}
	for _, e := range f.Entries {
		text := e.Value.Reveal()
		r.Pairs = append(r.Pairs, pair{e.Name, &text})
	}
	return r, nil
}

// corpus is every input that the parsers are compared on: the lines of
// cases.txt, the .env files beside it, and all mixtures of some odd values with
// all ways to quote them.
func corpus(t testing.TB) []string {
	t.Helper()
	inputs := slices.Concat(caseLines(t), mixtures())
	files, err := filepath.Glob(filepath.Join(corpusDir, "*.env"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%s: %d .env files, %v", corpusDir, len(files), err)
	}
	for _, name := range append(files, "../../testdata/original.env") {
		inputs = append(inputs, readFile(t, name))
	}
	return inputs
}

func caseLines(t testing.TB) (inputs []string) {
	t.Helper()
	scanner := bufio.NewScanner(strings.NewReader(readFile(t, filepath.Join(corpusDir, "cases.txt"))))
	for scanner.Scan() {
		if !strings.HasPrefix(scanner.Text(), `"`) {
			continue
		}
		var input string
		if err := json.Unmarshal(scanner.Bytes(), &input); err != nil {
			t.Fatalf("cases.txt: %v", err)
		}
		inputs = append(inputs, input)
	}
	return inputs
}

func mixtures() (inputs []string) {
	values := []string{"", "b", " b ", "b c", "b #c", "#b", `it's`, `a"b`, `a\nb`, `a\\b`, `b\`, `\"b`, `\'b`, "$B", "ä", "a\u00a0b", "=", "a\nb", "a\r\nb", "`b`"}
	for _, value := range values {
		for _, quote := range []string{"", "'", `"`} {
			for _, tail := range []string{"", "\nC='d'", " # c\r\nC=\"d\"\r\n", "#c\n"} {
				inputs = append(inputs, "A="+quote+value+quote+tail)
			}
		}
	}
	return inputs
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// pythonScript reads a JSON list of texts in Latin-1, one per input, whose
// characters are the bytes of a file each.
const pythonScript = `
import json, logging, os, sys, tempfile, dotenv
logging.disable(logging.CRITICAL)
answers = []
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "x.env")
    for text in json.load(sys.stdin):
        with open(path, "wb") as file:
            file.write(text.encode("latin-1"))
        try:
            pairs = dotenv.dotenv_values(path, interpolate=False).items()
            answers.append({"Pairs": [{"Name": n, "Value": v} for n, v in pairs]})
        except UnicodeDecodeError:
            answers.append({"Refused": True})
json.dump(answers, sys.stdout)
`

// pythonReadings asks Debian's python-dotenv, all inputs in one process.
func pythonReadings(t *testing.T, inputs []string) []reading {
	t.Helper()
	if os.Getenv("SKIP_INTEROP") == "1" {
		t.Skip("SKIP_INTEROP=1: left out the comparison with python-dotenv")
	}
	if err := exec.Command("/usr/bin/python3", "-c", "import dotenv").Run(); err != nil {
		t.Fatal("python-dotenv is missing; type: apt-get install -y python3-dotenv")
	}
	question := make([]string, len(inputs))
	for i, input := range inputs {
		runes := make([]rune, len(input))
		for j := range len(input) {
			runes[j] = rune(input[j])
		}
		question[i] = string(runes)
	}
	body, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("/usr/bin/python3", "-c", pythonScript)
	command.Stdin, command.Stderr = bytes.NewReader(body), os.Stderr
	answer, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	var readings []reading
	if err := json.Unmarshal(answer, &readings); err != nil || len(readings) != len(inputs) {
		t.Fatalf("%d answers to %d questions: %v", len(readings), len(inputs), err)
	}
	return readings
}

// difference is a row of a table in the document.
type difference struct{ id, input, ours, theirs string }

var cell = regexp.MustCompile("`([^`]*)`")

// documented reads the table of differences below a heading of the document.
func documented(t *testing.T, heading string) (rows []difference) {
	t.Helper()
	_, section, found := strings.Cut(readFile(t, formatDoc), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no %q", formatDoc, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		if len(cells) != 5 {
			t.Fatalf("a row with %d cells: %s", len(cells), line)
		}
		var texts [4]string
		for i := range texts {
			texts[i] = strings.TrimSpace(strings.Trim(cells[i], "| "))
			if m := cell.FindStringSubmatch(cells[i]); m != nil {
				texts[i] = m[1]
			}
		}
		row := difference{texts[0], "", texts[2], texts[3]}
		if err := json.Unmarshal([]byte(texts[1]), &row.input); err != nil {
			t.Fatalf("row %s: input: %v", row.id, err)
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		t.Fatalf("no table below %q", heading)
	}
	return rows
}

// compare fails where two readings differ for no documented reason, where a
// documented example is not so, and where the corpus lacks a documented class.
func compare(t *testing.T, rows []difference, inputs []string, theirs []reading, class func(input string, err error) string) {
	t.Helper()
	seen := map[string]int{}
	same := 0
	for i, input := range inputs {
		mine, err := ours(input)
		if mine.equal(theirs[i]) {
			same++
			continue
		}
		id := class(input, err)
		if !slices.ContainsFunc(rows, func(d difference) bool { return d.id == id }) {
			t.Errorf("%q: here %s (%v), there %s: no documented difference", input, mine, err, theirs[i])
		}
		seen[id]++
	}
	for i, row := range rows {
		at := len(inputs) - len(rows) + i // the examples are the last inputs
		mine, err := ours(row.input)
		if mine.String() != row.ours || theirs[at].String() != row.theirs || class(row.input, err) != row.id {
			t.Errorf("row %s: %q: here %s, there %s, class %q", row.id, row.input, mine, theirs[at], class(row.input, err))
		}
		if seen[row.id] < 2 {
			t.Errorf("row %s: nothing else in the corpus differs like it", row.id)
		}
	}
	t.Logf("%d inputs, %d read alike, differences: %v", len(inputs), same, seen)
}

func examples(rows []difference) (inputs []string) {
	for _, row := range rows {
		inputs = append(inputs, row.input)
	}
	return inputs
}

// refusals tells the class of an input from our error about it.
var refusals = []struct{ id, message string }{
	{"no-equals", "no `=`"},
	{"rest", "end of a value"},
	{"name", " name"},
	{"duplicate", " already"},
	{"open-quote", "never closed"},
	{"after-quote", "text after the closing quote"},
	{"lone-cr", "carriage return"},
	{"nul", "NUL"},
	{"nul", "UTF-16"},
	{"pem", "PEM"},
}

var (
	escapedLast     = regexp.MustCompile(`\\\\['"]`)
	quotedBackslash = regexp.MustCompile(`=[ \t]*['"][^\\]*\\`)
	hyphenName      = regexp.MustCompile(`(?m)^[A-Za-z0-9_.]*-[A-Za-z0-9_.-]*=`)
)

func pythonClass(input string, err error) string {
	for _, r := range refusals {
		if err != nil && strings.Contains(err.Error(), r.message) {
			return r.id
		}
	}
	switch {
	case err != nil:
		return ""
	case strings.HasPrefix(input, "\ufeff"):
		return "bom"
	case strings.ContainsFunc(input, oddBlank):
		return "blanks"
	case escapedLast.MatchString(input):
		return "last-backslash"
	default:
		return ""
	}
}

func TestAgainstPythonDotenv(t *testing.T) {
	rows := documented(t, "## Differences to python-dotenv")
	inputs := append(corpus(t), examples(rows)...)
	if len(inputs) < 300 {
		t.Fatalf("only %d inputs", len(inputs))
	}
	compare(t, rows, inputs, pythonReadings(t, inputs), pythonClass)
}

// godotenvReading reads a whole file with godotenv. Its map has no order, so
// the names come in the order that ours have.
func godotenvReading(input string) (r reading) {
	defer func() {
		if recover() != nil {
			r = reading{Refused: true}
		}
	}()
	all, err := godotenv.Unmarshal(input)
	if err != nil {
		return reading{Refused: true}
	}
	mine, _ := ours(input)
	for _, p := range mine.Pairs {
		if value, ok := all[p.Name]; ok {
			r.Pairs = append(r.Pairs, pair{p.Name, &value})
			delete(all, p.Name)
		}
	}
	for name, value := range all {
		r.Pairs = append(r.Pairs, pair{name, &value})
	}
	return r
}

func godotenvClass(input string, err error) string {
	switch {
	case err != nil:
		return ""
	case strings.HasPrefix(input, "\ufeff"):
		return "bom"
	case hyphenName.MatchString(input):
		return "hyphen"
	case strings.Contains(input, "$"):
		return "dollar"
	case quotedBackslash.MatchString(input):
		return "backslash"
	case strings.Count(input, " #") > 1:
		return "last-hash"
	case strings.ContainsAny(input, "\u00a0\u0085"):
		return "blanks"
	default:
		return ""
	}
}

func TestAgainstGodotenv(t *testing.T) {
	rows := documented(t, "## Differences to godotenv")
	var inputs []string
	for _, input := range append(corpus(t), examples(rows)...) {
		if _, err := ours(input); err == nil {
			inputs = append(inputs, input)
		}
	}
	theirs := make([]reading, len(inputs))
	for i, input := range inputs {
		theirs[i] = godotenvReading(input)
	}
	compare(t, rows, inputs, theirs, godotenvClass)
}

func TestDocumentedValues(t *testing.T) {
	_, section, _ := strings.Cut(readFile(t, formatDoc), "\n## Values\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := regexp.MustCompile("(?m)^\\| `([^`]*)` \\| `([^`]*)` \\|").FindAllStringSubmatch(section, -1)
	if len(rows) != 13 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		if got, err := ours(row[1] + "\n"); got.String() != row[2] {
			t.Errorf("%s: %s (%v), the document says %s", row[1], got, err, row[2])
		}
	}
}
