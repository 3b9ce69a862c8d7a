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
// program can print is typed, or stands in a script, a golden file or a test, or in the list
// below.
func TestEachHintIsShown(t *testing.T) {
	shown, typed, listed := shownTexts(t), readSituations(t), map[string]bool{}
	formats := hintFormats(t)
	if len(formats) < 150 {
		t.Errorf("%d hints found: this test looks for something else", len(formats))
	}
	for format, place := range formats {
		excused := notShown[format]
		listed[format] = true
		_, is := typed[format]
		is = is || hintPattern(format).MatchString(shown)
		switch {
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
	`chmod 600 %s; or %s`: true,
	`its entry was retired: take the name out of the templates, or put the entry back into the .env and push it`: true,
	`kubectl fernet verify%s names what is from the future: check the clock of the machine that wrote it`:        true,
	"two ledgers were merged; delete the rows of the one that was not there, which `git log -p` tells":           true,
	`what was created is in the cluster; %s again to complete the ledger`:                                        true,
	`whoever may write that folder may do so: use one of your own`:                                               true,
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
		add := func(at ast.Expr) {
			if text := formatOf(at); strings.Contains(text, " ") && text[0] != ' ' && strings.Trim(text, "%s ") != "" {
				formats[text] = set.Position(at.Pos()).String()
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if i, is := hintCalls[callName(n.Fun)]; is && i < len(n.Args) {
					add(n.Args[i])
				}
			case *ast.KeyValueExpr:
				if key, is := n.Key.(*ast.Ident); is && key.Name == "Way" {
					add(n.Value)
				}
			case *ast.FuncDecl:
				if n.Body != nil && givesHint(n.Type) {
					eachReturned(n.Body, add)
				}
			case *ast.FuncLit:
				if givesHint(n.Type) {
					eachReturned(n.Body, add)
				}
			}
			return true
		})
	})
	return formats
}

// formatOf gives a text that is written out, with %s for what is joined to it; empty where
// nothing is written out.
func formatOf(at ast.Expr) string {
	switch at := at.(type) {
	case *ast.BasicLit:
		if at.Kind == gotoken.STRING {
			text, _ := strconv.Unquote(at.Value)
			return text
		}
	case *ast.BinaryExpr:
		parts := [2]string{formatOf(at.X), formatOf(at.Y)}
		for i := range parts {
			if parts[i] == "" && at.Op == gotoken.ADD {
				parts[i] = "%s"
			}
		}
		return parts[0] + parts[1]
	}
	return ""
}

// givesHint says whether the one result of a function is a hint.Text.
func givesHint(is *ast.FuncType) bool {
	return is.Results != nil && len(is.Results.List) == 1 && callName(is.Results.List[0].Type) == "hint.Text"
}

// eachReturned visits what the return statements of a function give.
func eachReturned(body *ast.BlockStmt, do func(ast.Expr)) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ReturnStmt:
			do(n.Results[0])
		case *ast.FuncLit:
			return false
		}
		return true
	})
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
	return regexp.MustCompile(textPattern(format))
}

// shownTexts gives what scripts, golden files and tests have, without the backslashes of
// their patterns.
func shownTexts(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	eachFile(t, func(path string) bool {
		return slices.Contains([]string{".txtar", ".golden"}, filepath.Ext(path)) || strings.HasSuffix(path, "_test.go") && !slices.Contains([]string{"hints_test.go", "typed_test.go"}, strings.TrimPrefix(path, "../../cmd/kubectl-fernet/"))
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
