// SPDX-License-Identifier: Apache-2.0

package repo

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What these documents promise they prove by the name of a test, a script or a make
// target. This holds the names against the tree, and wants one in each row of the tables
// whose last column is for them.
func TestDocumentsNameTheirProofs(t *testing.T) {
	there := proofsInTree(t)
	for _, tt := range []struct {
		document string
		atLeast  int
		rows     int // of tables whose last column is for proofs
		rules    int // it has a section for each of R1, R2, …, with two proofs or more
	}{
		{"rotation.md", 50, 60, 0},
		{"ci.md", 2, 0, 0},
		{"gitops.md", 3, 10, 0},
		{"ledger.md", 12, 0, 0},
		{"pods.md", 25, 10, 0},
		{"trust.md", 50, 0, 10},
	} {
		text, err := os.ReadFile(filepath.Join(root, "docs", tt.document))
		if err != nil {
			t.Fatal(err)
		}
		names := proofs(string(text))
		for _, name := range names {
			if !there[name] {
				t.Errorf("docs/%s: there is no %s", tt.document, name)
			}
		}
		if len(names) < tt.atLeast {
			t.Errorf("docs/%s names only %d proofs: %q", tt.document, len(names), names)
		}
		rows, unproven := promises(string(text))
		if rows < tt.rows {
			t.Errorf("docs/%s: %d rows of tables with a column of proofs, want %d or more", tt.document, rows, tt.rows)
		}
		for _, row := range unproven {
			t.Errorf("docs/%s: no proof in the last column of %s", tt.document, row)
		}
		sections := rules(string(text))
		if len(sections) != tt.rules {
			t.Errorf("docs/%s has %d rules, want %d", tt.document, len(sections), tt.rules)
		}
		for n := 1; n <= tt.rules; n++ {
			if names := proofs(sections[n]); len(names) < 2 {
				t.Errorf("docs/%s: R%d names %q; two proofs are the least", tt.document, n, names)
			}
		}
	}
}

// rules gives the sections whose headings begin with R and a number, by number.
func rules(text string) map[int]string {
	sections := map[int]string{}
	for _, section := range strings.Split("\n"+text, "\n## ")[1:] {
		if m := regexp.MustCompile(`^R([1-9]\d*): `).FindStringSubmatch(section); m != nil {
			n, _ := strconv.Atoi(m[1])
			sections[n] += section
		}
	}
	return sections
}

// promises counts the rows of the tables whose last column is "shown by", and gives those
// that have no proof there.
func promises(text string) (rows int, unproven []string) {
	within := false
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSuffix(strings.TrimSpace(line), "|"), "|")
		last := strings.TrimSpace(cells[len(cells)-1])
		switch {
		case !strings.HasPrefix(line, "|"):
			within = false
		case last == "shown by":
			within = true
		case within && strings.HasPrefix(last, "---"): // the line below the header
		case within:
			if rows++; len(proofs(last)) == 0 {
				unproven = append(unproven, strings.TrimSpace(line))
			}
		}
	}
	return rows, unproven
}

// proofs gives the tests, the scripts and the make targets that a text names.
func proofs(text string) []string {
	names := regexp.MustCompile("\\b(?:Test|Fuzz)[A-Z]\\w*|[\\w-]+\\.txtar|`make [a-z][\\w-]*").FindAllString(text, -1)
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, "`")
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// proofsInTree gives those that exist, in all modules.
func proofsInTree(t *testing.T) map[string]bool {
	t.Helper()
	there := map[string]bool{}
	add := func(path, pattern, prefix string) error {
		text, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			there[prefix+m[1]] = true
		}
		return err
	}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "bin", "node_modules"}, entry.Name()):
			return filepath.SkipDir
		case filepath.Ext(path) == ".txtar":
			there[entry.Name()] = true
		case strings.HasSuffix(path, "_test.go"):
			return add(path, `(?m)^func ((?:Test|Fuzz)\w+)\([tf] \*testing\.[TF]\)`, "")
		case entry.Name() == "Makefile":
			return add(path, `(?m)^([a-z][\w-]*):`, "make ")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return there
}

func TestProofsAreFound(t *testing.T) {
	got := proofs("This holds (`TestWall`, `no-such.txtar`). So does that (TestNoSuch; `make demo-rotate`).\nTests and what others make do not (`TestWall`).")
	if want := []string{"TestNoSuch", "TestWall", "make demo-rotate", "no-such.txtar"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	table := "| promise | shown by |\n|---|---|\n| proven by `TestWall` in one | `TestWall` |\n| `TestWall` proves another | |\n| none | by hand |\n\n| a | b |\n|---|---|\n| of no | such table |\n"
	if rows, unproven := promises(table); rows != 3 || !slices.Equal(unproven, []string{"| `TestWall` proves another | |", "| none | by hand |"}) {
		t.Errorf("%d rows, unproven %q", rows, unproven)
	}
	there := proofsInTree(t)
	for name, want := range map[string]bool{"TestWall": true, "TestMain": false, "TestNoSuch": false, "rotate.txtar": true, "no-such.txtar": false, "make demo-rotate": true, "make no-such": false} {
		if there[name] != want {
			t.Errorf("%s: found is %t", name, there[name])
		}
	}
}
