// SPDX-License-Identifier: Apache-2.0

package main

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A hint is only as good as the situation in which somebody has seen it. Each one that the
// program can print stands in a script, a golden file or a test, or in the list below.
func TestEachHintIsShown(t *testing.T) {
	shown, listed := shownTexts(t), map[string]bool{}
	formats := hintFormats(t)
	if len(formats) < 150 {
		t.Errorf("%d hints found: this test looks for something else", len(formats))
	}
	for format, place := range formats {
		excused := notShown[format]
		listed[format] = true
		switch is := hintPattern(format).MatchString(shown); {
		case !is && !excused:
			t.Errorf("%s: no test shows this hint: %s", place, format)
		case is && excused:
			t.Errorf("this hint is shown, take it out of the list: %s", format)
		}
	}
	for format := range notShown {
		if !listed[format] {
			t.Errorf("no hint of the program: %s", format)
		}
	}
}

// notShown are the hints that no test shows yet: the list only gets shorter.
var notShown = map[string]bool{
	`a bundle has tokens of one key; this keyring has %s`: true,
	`chmod 600 %s; or %s`:              true,
	`choose another name, such as app`: true,
	`correct it, or take the line out`: true,
	`cp %s new.csv && mv new.csv %s`:   true,
	`create it again as %s-g1`:         true,
	`its entry was retired: take the name out of the templates, or put the entry back into the .env and push it`:                  true,
	`kubectl fernet rollout%s --dry-run lists those that do`:                                                                      true,
	`kubectl fernet rollout%s moves the workloads to secret/%s: it is not known that the one which they name held the same keys`:  true,
	`kubectl fernet rollout%s moves the workloads to the current keyring`:                                                         true,
	`kubectl fernet rotate%s makes it KEY; if others may have read the file, kubectl fernet rotate%s --new-key takes a fresh one`: true,
	`kubectl fernet verify%s names what is from the future: check the clock of the machine that wrote it`:                         true,
	`kubectl fernet verify%s says more; if the ledger is right, delete this Secret and %s`:                                        true,
	`leave out what stands after --`: true,
	`look before you touch it: kubectl describe secret %s -n %s; kubectl fernet adopt %s%s takes over a token that you know`:                                                             true,
	`only a Secret under the base name can be adopted; push the value, and delete this Secret if nothing needs it`:                                                                       true,
	`put the key %s back into KEY_PREVIOUS, from an older .env, then kubectl fernet rotate%s; if nobody has it any more, delete that Secret, then kubectl fernet push%s --ignore-key %s`: true,
	`remove FERNET_BUNDLE there first, if it is to go altogether`:                                                                                                                        true,
	`take it out of %s; then: kubectl fernet push --update --drop-entries%s`:                                                                                                             true,
	`take it out of the template`: true,
	"two ledgers were merged; delete the rows of the one that was not there, which `git log -p` tells": true,
	`what was created is in the cluster; %s again to complete the ledger`:                              true,
	`whoever may write that folder may do so: use one of your own`:                                     true,
}

// hintCalls are the functions that make or print a hint, with the place of its format.
var hintCalls = map[string]int{
	"hint.With": 1, "withHint": 1, "hint.Format": 0, "hint.Text": 0, "s.hint": 0, "console.hint": 0, "console.next": 0, "d.unless": 0, "p.fail": 2,
}

// hintFormats gives the format of each hint of the program, and a place where it stands. What
// begins with a blank is a part of one.
func hintFormats(t *testing.T) map[string]string {
	t.Helper()
	formats := map[string]string{}
	eachFile(t, func(path string) bool { return strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") }, func(path string, source []byte) {
		set := gotoken.NewFileSet()
		file, err := parser.ParseFile(set, path, source, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			var at ast.Expr
			switch n := n.(type) {
			case *ast.CallExpr:
				if i, is := hintCalls[callName(n.Fun)]; is && i < len(n.Args) {
					at = n.Args[i]
				}
			case *ast.KeyValueExpr:
				if key, is := n.Key.(*ast.Ident); is && key.Name == "Way" {
					at = n.Value
				}
			}
			literal, is := at.(*ast.BasicLit)
			if !is || literal.Kind != gotoken.STRING {
				return true
			}
			if text, _ := strconv.Unquote(literal.Value); strings.Contains(text, " ") && text[0] != ' ' && strings.Trim(text, "%s ") != "" {
				formats[text] = set.Position(literal.Pos()).String()
			}
			return true
		})
	})
	return formats
}

// callName writes a function as it is called: its own name, with the last word before it.
func callName(fun ast.Expr) string {
	switch fun := fun.(type) {
	case *ast.Ident:
		return fun.Name
	case *ast.SelectorExpr:
		switch x := fun.X.(type) {
		case *ast.Ident:
			return x.Name + "." + fun.Sel.Name
		case *ast.SelectorExpr:
			return x.Sel.Name + "." + fun.Sel.Name
		}
	}
	return ""
}

var verbs = regexp.MustCompile(`%[a-z]`)

// hintPattern matches a hint as it is printed, or as a script's regular expression has it.
func hintPattern(format string) *regexp.Regexp {
	var parts []string
	for _, part := range verbs.Split(format, -1) {
		parts = append(parts, regexp.QuoteMeta(part))
	}
	return regexp.MustCompile(strings.Join(parts, `[^\n]*?`))
}

// shownTexts gives what scripts, golden files and tests have, without the backslashes of
// their patterns.
func shownTexts(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	eachFile(t, func(path string) bool {
		return slices.Contains([]string{".txtar", ".golden"}, filepath.Ext(path)) || strings.HasSuffix(path, "_test.go")
	}, func(_ string, text []byte) {
		all.WriteString(strings.NewReplacer(`\\`, `\`, `\`, "", "''", "'").Replace(string(text)) + "\n")
	})
	return all.String()
}

// eachFile reads the files of the program and its tests that are chosen.
func eachFile(t *testing.T, chosen func(path string) bool, do func(path string, text []byte)) {
	t.Helper()
	for _, dir := range []string{"internal", "cmd", "testdata"} {
		err := filepath.WalkDir(filepath.Join("../..", dir), func(path string, _ os.DirEntry, err error) error {
			if err != nil || !chosen(path) {
				return err
			}
			text, err := os.ReadFile(path)
			do(path, text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
