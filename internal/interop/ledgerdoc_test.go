// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	sealing "github.com/kubectl-fernet/kubectl-fernet/internal/seal"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// ledgerDocument is what docs/ledger.md has for a test.
type ledgerDocument struct {
	csv, python, output string
	keys                []string // the newest first
	lines, readers      [][]string
}

func readLedgerDocument(t *testing.T) ledgerDocument {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", "ledger.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	block := func(language string) string {
		all := regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1)
		if len(all) != 1 {
			t.Fatalf("docs/ledger.md has %d blocks of %s, want 1", len(all), language)
		}
		return all[0][1]
	}
	doc := ledgerDocument{csv: block("csv"), python: block("python"), output: block("text")}
	for _, m := range regexp.MustCompile(`(?m)^    FERNET_KEY(?:_PREVIOUS)?=(\S+)`).FindAllStringSubmatch(text, -1) {
		doc.keys = append(doc.keys, m[1])
	}
	if len(doc.keys) != 2 {
		t.Fatalf("docs/ledger.md has %d keys, want 2", len(doc.keys))
	}
	doc.lines = table(t, text, "| line | what it says | all lines so far add up to |")
	doc.readers = table(t, text, "| who reads | evidence | hints | edited | adds up to |")
	return doc
}

// table gives the cells of the table that begins with a header.
func table(t *testing.T, text, header string) (rows [][]string) {
	t.Helper()
	_, after, found := strings.Cut(text, "\n"+header+"\n")
	if !found {
		t.Fatalf("docs/ledger.md has no table %s", header)
	}
	for _, line := range strings.Split(after, "\n")[1:] {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

// door opens with these keys; without any it is nil.
func door(t *testing.T, keys []string) *sealing.Sealer {
	t.Helper()
	if len(keys) == 0 {
		return nil
	}
	ring, err := keyring.Find(keyring.FromEnvironment(keys[0], strings.Join(keys[1:], ",")))
	if err != nil {
		t.Fatal(err)
	}
	return sealing.New(ring, nil)
}

// adds says what rows add up to for a reader, and how many of them are evidence,
// hints and edited.
func adds(d *sealing.Sealer, rows []ledger.Row) (records string, standings [3]int) {
	keys := ledger.Keys{}
	if d != nil {
		keys = d.Ledger()
	}
	keys.Keep = func(ledger.Record) bool { return true }
	book := ledger.NewBook(keys)
	for _, row := range rows {
		standing := ledger.Evidence
		if keys.Verify != nil {
			standing = keys.Verify(row.Cells(), row.MAC)
		}
		for i, s := range []ledger.Standing{ledger.Evidence, ledger.Hint, ledger.Edited} {
			if s == standing {
				standings[i]++
			}
		}
		book.Add(row)
	}
	var words []string
	for _, r := range book.Records() {
		word := r.Secret + " " + string(r.State)
		if r.Hint {
			word += " (hint)"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", "), standings
}

// The example of docs/ledger.md: its rows parse, each mac and binding verifies, and
// they add up to what the document says, line by line and for each reader.
func TestLedgerDocument(t *testing.T) {
	doc := readLedgerDocument(t)
	rows, tail, err := ledger.Parse("docs/ledger.md", []byte(doc.csv))
	if err != nil || tail != 0 || len(rows) != 10 {
		t.Fatalf("%d rows, %d bytes of a torn one, %v", len(rows), tail, err)
	}
	both := door(t, doc.keys)
	for _, row := range rows {
		if both.Ledger().Verify(row.Cells(), row.MAC) != ledger.Evidence {
			t.Errorf("line %d: its mac does not verify", row.Line)
		}
		if v := both.Judge(row.Placed()); v.Binding != token.BindingHolds || v.KeyID != row.KeyID {
			t.Errorf("line %d: opens %t, key %s, binding %d", row.Line, v.Opens, v.KeyID, v.Binding)
		}
	}
	if len(doc.lines) != len(rows) {
		t.Fatalf("%d lines are explained, want %d", len(doc.lines), len(rows))
	}
	for i, line := range doc.lines {
		if got, _ := adds(both, rows[:i+1]); line[0] != fmt.Sprint(rows[i].Line) || line[2] != got {
			t.Errorf("line %s adds up to %q, the document says %q", line[0], got, line[2])
		}
	}
	if len(doc.readers) != 4 {
		t.Fatalf("%d readers, want 4", len(doc.readers))
	}
	slices.Reverse(rows) // neither the order nor duplicates matter
	for i, keys := range [][]string{doc.keys, doc.keys[:1], doc.keys[1:], nil} {
		records, n := adds(door(t, keys), append(rows, rows...))
		want := fmt.Sprint(n[0]/2, n[1]/2, n[2]/2, " ", records)
		if got := fmt.Sprint(strings.Join(doc.readers[i][1:4], " "), " ", doc.readers[i][4]); got != want {
			t.Errorf("%s: the document says %q, want %q", doc.readers[i][0], got, want)
		}
	}
}

// The Python of docs/ledger.md says of the example what the document says that it
// says, and finds each cell that was changed.
func TestLedgerDocumentInPython(t *testing.T) {
	skipOnRequest(t)
	doc := readLedgerDocument(t)
	run := func(text string, keys ...string) string {
		t.Helper()
		cmd := exec.Command(python, "-c", doc.python)
		cmd.Stdin = strings.NewReader(text)
		cmd.Env = append(os.Environ(), "FERNET_KEY="+keys[0], "FERNET_KEY_PREVIOUS="+strings.Join(keys[1:], ","))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v; perhaps type: %s\n%s", err, pythonLine, out)
		}
		return string(out)
	}
	if got := run(doc.csv, doc.keys...); got != doc.output {
		t.Errorf("it says\n%s\nthe document says\n%s", got, doc.output)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(doc.csv, "\n"), "\n")
	cells := strings.Split(strings.TrimSpace(lines[2]), ",")
	var edited strings.Builder
	edited.WriteString(lines[0])
	for i := range cells[:13] {
		changed := slices.Clone(cells)
		changed[i] += "1"
		edited.WriteString(strings.Join(changed, ",") + "\n")
	}
	if got := run(edited.String(), doc.keys...); strings.Count(got, ": edited, ") != 13 {
		t.Errorf("13 rows with a changed cell:\n%s", got)
	}
	if got := run(doc.csv, doc.keys[0]); strings.Count(got, ": evidence, ") != 6 || strings.Count(got, ": hint, ") != 4 {
		t.Errorf("the newer key alone:\n%s", got)
	}
}
