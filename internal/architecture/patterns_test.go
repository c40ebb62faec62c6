package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// Regular expressions of package scope are compiled when they are first asked, so
// a program does not wait at its start for those that it does not need; and since
// a pattern that is none would be found only then, those that are written out are
// tried here.
func TestPatternsAreCompiledWhenAsked(t *testing.T) {
	tried := 0
	for _, p := range packages(t) {
		if under(p.path(), outside...) {
			continue
		}
		for _, name := range p.GoFiles {
			file := filepath.Join(p.Dir, name)
			tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range tree.Decls {
				if v, ok := decl.(*ast.GenDecl); ok {
					tried += checkPatterns(t, relative(t, file), v)
				}
			}
		}
	}
	if tried < 100 {
		t.Errorf("found %d patterns, where there are more than 100", tried)
	}
}

// checkPatterns compiles the literal patterns of a declaration, and returns how
// many there are.
func checkPatterns(t *testing.T, file string, decl *ast.GenDecl) int {
	tried := 0
	ast.Inspect(decl, func(n ast.Node) bool {
		if _, later := n.(*ast.FuncLit); later {
			return false
		}
		c, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := c.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		switch pkg, _ := sel.X.(*ast.Ident); {
		case pkg == nil || len(c.Args) != 1:
		case pkg.Name == "regexp" && sel.Sel.Name == "MustCompile":
			t.Errorf("%s: a program compiles a regular expression at its start: use lazyregexp.New", file)
		case pkg.Name == "lazyregexp":
			if pattern, ok := literal(c.Args[0]); ok {
				tried++
				if _, err := regexp.Compile(pattern); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
		}
		return true
	})
	return tried
}

// literal is the text of a string literal, or of several with plus between them.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil
	case *ast.BinaryExpr:
		x, first := literal(e.X)
		y, second := literal(e.Y)
		return x + y, first && second
	}
	return "", false
}
