// House reads the module's Go files and holds them to the house rules that a
// program can see: files up to about 500 lines, functions up to about 60, no
// init functions, and no names that say nothing. What is a little over is
// listed; what is far over ends it with status 1.
//
//	go run .ci/house.go
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The limits in lines: what we mean, and what we refuse. Tests are held to the
// length of files alone, since a table of cases is one function.
const (
	fileLines, fileMax = 500, 520
	funcLines, funcMax = 60, 75
)

type report struct {
	fset   *token.FileSet
	failed bool
}

func main() {
	r := report{fset: token.NewFileSet()}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		return r.file(path)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "house:", err)
		os.Exit(1)
	}
	if r.failed {
		os.Exit(1)
	}
}

// file holds one file to the rules.
func (r *report) file(path string) error {
	file, err := parser.ParseFile(r.fset, path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	if ast.IsGenerated(file) {
		return nil
	}
	r.length(path, "file", r.fset.File(file.FileStart).LineCount(), fileLines, fileMax)
	for _, name := range []string{file.Name.Name, strings.TrimSuffix(filepath.Base(path), ".go")} {
		switch name {
		case "util", "utils", "common", "helpers", "types", "misc":
			r.fail("%s: the name %q says nothing: name it after what it holds", path, name)
		}
	}
	if strings.HasSuffix(path, "_test.go") {
		return nil
	}
	for _, decl := range file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		at := r.fset.Position(fn.Pos())
		if fn.Name.Name == "init" && fn.Recv == nil {
			r.fail("%s: init function: do it where it can be seen", at)
		}
		lines := r.fset.Position(fn.End()).Line - at.Line + 1
		r.length(fmt.Sprintf("%s:%d", path, at.Line), fn.Name.Name, lines, funcLines, funcMax)
	}
	return nil
}

// length notes what is over the soft limit and fails what is over the hard one.
func (r *report) length(at, what string, lines, soft, hard int) {
	switch {
	case lines > hard:
		r.fail("%s: %s has %d lines, the limit is %d", at, what, lines, hard)
	case lines > soft:
		fmt.Printf("house: note: %s: %s has %d lines, we aim for %d\n", at, what, lines, soft)
	}
}

func (r *report) fail(format string, args ...any) {
	r.failed = true
	fmt.Printf("house: "+format+"\n", args...)
}
