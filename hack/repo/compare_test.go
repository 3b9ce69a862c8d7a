// SPDX-License-Identifier: Apache-2.0

package repo

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// comparedRow is a row of docs/compare.md whose steps stand below it as commands.
var comparedRow = regexp.MustCompile(`(?m)^\| \[[^]]+\]\(#([a-z0-9-]+)\)[^|]*\| (\d+) \|`)

// The steps that docs/compare.md counts are the commands that it shows.
func TestComparisonCounts(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testkube.Root(t), "docs", "compare.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands := map[string]int{}
	for _, section := range strings.Split(string(text), "\n### ")[1:] {
		title, body, _ := strings.Cut(section, "\n")
		body, _, _ = strings.Cut(body, "\n## ")
		body, _, _ = strings.Cut(body, "\n```")
		anchor := strings.ReplaceAll(regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(title), ""), " ", "-")
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, "    ") {
				commands[anchor]++
			}
		}
	}
	rows := comparedRow.FindAllStringSubmatch(string(text), -1)
	if len(rows) != 8 {
		t.Errorf("%d rows have their commands below", len(rows))
	}
	for _, row := range rows {
		if want, _ := strconv.Atoi(row[2]); commands[row[1]] != want {
			t.Errorf("%s: the table says %d steps, and %d commands are shown", row[1], want, commands[row[1]])
		}
	}
}
