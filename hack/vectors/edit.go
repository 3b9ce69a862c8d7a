// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"sort"
	"strings"
)

// edit is one way to take a check out.
type edit struct {
	place, function, expression, becomes string
}

func (e edit) String() string {
	return fmt.Sprintf("%s: %s: %s", e.function, e.expression, e.becomes)
}

const switchVariable = "DECRYPT_EDIT"

// switchSource is the file that the edited package gets in addition.
const switchSource = `package decrypt

import "os"

var editNumber = os.Getenv("` + switchVariable + `")

// edited gives the second value under edit n, and otherwise the first.
func edited[T any](n string, usual, other T) T {
	if editNumber == n {
		return other
	}
	return usual
}

// without gives the zero value under edit n.
func without[T any](n string, usual T) T {
	if editNumber == n {
		usual = *new(T)
	}
	return usual
}
`

// insertion is a text to stand before the byte at offset. What is inserted at
// one place comes in the order of depth.
type insertion struct {
	offset, depth int
	text          string
}

type instrumenter struct {
	files      *token.FileSet
	source     []byte
	function   string
	edits      *[]edit
	insertions []insertion
	depth      int
}

// instrument gives a source in which each check can be taken out by number, and
// appends what the numbers mean, the first being 1, to edits.
func instrument(name string, source []byte, edits *[]edit) ([]byte, error) {
	in := &instrumenter{files: token.NewFileSet(), source: source, edits: edits}
	file, err := parser.ParseFile(in.files, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	for _, declaration := range file.Decls {
		in.function = "package"
		if f, ok := declaration.(*ast.FuncDecl); ok {
			in.function = f.Name.Name
		}
		ast.Inspect(declaration, in.visit)
	}
	return in.apply(), nil
}

// visit looks at a node before it does at those within.
func (in *instrumenter) visit(node ast.Node) bool {
	in.depth++
	switch node := node.(type) {
	case *ast.IfStmt:
		in.condition(node.Cond)
	case *ast.SwitchStmt:
		for _, statement := range node.Body.List {
			for _, value := range statement.(*ast.CaseClause).List {
				if node.Tag == nil {
					in.condition(value)
				} else {
					in.wrap(value, "never matches", "without(%s, ", ")")
				}
			}
		}
	case *ast.FuncDecl:
		in.returns(node.Type, node.Body)
	case *ast.FuncLit:
		in.returns(node.Type, node.Body)
	case *ast.BinaryExpr:
		in.binary(node)
	case *ast.CallExpr:
		if method, ok := node.Fun.(*ast.SelectorExpr); ok && method.Sel.Name == "Strict" {
			in.wrap(node, "without Strict", "edited(%s, ", ", "+in.text(method.X)+")")
		}
	}
	return true
}

// condition lets a condition never hold, and always.
func (in *instrumenter) condition(expression ast.Expr) {
	in.wrap(expression, "never", "(editNumber != %s && (", "))")
	in.wrap(expression, "always", "(editNumber == %s || (", "))")
}

// returns finds where a function of one bool gives its result.
func (in *instrumenter) returns(signature *ast.FuncType, body *ast.BlockStmt) {
	if signature.Results == nil || len(signature.Results.List) != 1 {
		return
	}
	if kind, ok := signature.Results.List[0].Type.(*ast.Ident); !ok || kind.Name != "bool" {
		return
	}
	ast.Inspect(body, func(node ast.Node) bool {
		if result, ok := node.(*ast.ReturnStmt); ok && len(result.Results) == 1 {
			if text := in.text(result.Results[0]); text != "true" && text != "false" {
				in.condition(result.Results[0])
			}
		}
		_, nested := node.(*ast.FuncLit)
		return !nested
	})
}

// binary takes out one side of && and ||, and moves the border of comparisons.
func (in *instrumenter) binary(node *ast.BinaryExpr) {
	moved := map[token.Token]string{token.LSS: " <= ", token.LEQ: " < ", token.GTR: " >= ", token.GEQ: " > "}
	switch node.Op {
	case token.LOR:
		in.wrap(node.X, "never", "(editNumber != %s && (", "))")
		in.wrap(node.Y, "never", "(editNumber != %s && (", "))")
	case token.LAND:
		in.wrap(node.X, "always", "(editNumber == %s || (", "))")
		in.wrap(node.Y, "always", "(editNumber == %s || (", "))")
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		other := in.text(node.X) + moved[node.Op] + in.text(node.Y)
		in.wrap(node, other, "edited(%s, ", ", "+other+")")
	}
}

func (in *instrumenter) wrap(node ast.Node, becomes, before, behind string) {
	position := in.files.Position(node.Pos())
	*in.edits = append(*in.edits, edit{
		place:      fmt.Sprintf("%s:%d", position.Filename, position.Line),
		function:   in.function,
		expression: strings.Join(strings.Fields(in.text(node)), " "),
		becomes:    becomes,
	})
	number := fmt.Sprintf("%q", fmt.Sprint(len(*in.edits)))
	in.depth++
	in.insertions = append(in.insertions,
		insertion{in.offset(node.Pos()), in.depth, fmt.Sprintf(before, number)},
		insertion{in.offset(node.End()), -in.depth, behind})
}

func (in *instrumenter) apply() []byte {
	sort.SliceStable(in.insertions, func(i, j int) bool {
		a, b := in.insertions[i], in.insertions[j]
		return a.offset < b.offset || a.offset == b.offset && a.depth < b.depth
	})
	var result []byte
	at := 0
	for _, insert := range in.insertions {
		result = append(append(result, in.source[at:insert.offset]...), insert.text...)
		at = insert.offset
	}
	return append(result, in.source[at:]...)
}

func (in *instrumenter) offset(position token.Pos) int { return in.files.Position(position).Offset }

func (in *instrumenter) text(node ast.Node) string {
	return string(in.source[in.offset(node.Pos()):in.offset(node.End())])
}
