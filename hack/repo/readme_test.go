// SPDX-License-Identifier: Apache-2.0

package repo

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// longestSentence is how many words a sentence of the README may have.
const longestSentence = 30

var (
	fenced      = regexp.MustCompile("(?ms)^```.*?^```$")
	link        = regexp.MustCompile(`!?\[([^]]*)\]\([^)]*\)`)
	endOfPhrase = regexp.MustCompile(`[.!?]\)?\**(\s|$)`)
)

// No sentence of the README is long.
func TestSentencesOfTheReadmeAreShort(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testkube.Root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, paragraph := range strings.Split(fenced.ReplaceAllString(string(text), ""), "\n\n") {
		for _, item := range strings.Split("\n"+paragraph, "\n* ") {
			if strings.HasPrefix(strings.TrimLeft(item, "\n"), "    ") || strings.HasPrefix(strings.TrimSpace(item), "|") {
				continue
			}
			for _, sentence := range endOfPhrase.Split(link.ReplaceAllString(item, "$1"), -1) {
				found++
				if n := len(strings.Fields(sentence)); n > longestSentence {
					t.Errorf("%d words: %s", n, strings.Join(strings.Fields(sentence), " "))
				}
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d sentences were found", found)
	}
}
