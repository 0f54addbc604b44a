package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

type kind string

const (
	counter   kind = "counter"
	gauge     kind = "gauge"
	histogram kind = "histogram"
)

// metric is one that the code registers.
type metric struct {
	name, help string
	kind       kind
	labels     []string
}

var ours = regexp.MustCompile(`^spillway(_[a-z0-9]+)+$`)

// registered returns the metrics that the Go files below root register, by name. A name
// that is registered in a way this does not know is an error.
func registered(root string) ([]metric, error) {
	found := map[string]metric{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (d.Name()[0] == '.' || slices.Contains([]string{"bin", "test", "testdata"}, d.Name())):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		return read(path, found)
	})
	if err != nil {
		return nil, fmt.Errorf("find the metrics that the code registers: %w", err)
	}
	all := make([]metric, 0, len(found))
	for _, m := range found {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b metric) int { return cmp.Compare(a.name, b.name) })
	return all, nil
}

func read(path string, into map[string]metric) error {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if m, ok := registration(call); ok {
				into[m.name] = m
			}
		}
		return true
	})
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if name := text(lit); ok && err == nil && ours.MatchString(name) && into[name].name == "" {
			err = fmt.Errorf("%s: %s looks like a metric, but not how it is registered: use an Opts with Name and Help, or call a function with both first", files.Position(lit.Pos()), name)
		}
		return true
	})
	return err
}

// registration reads a call that has the metric's Opts, or its name and help, first.
func registration(call *ast.CallExpr) (metric, bool) {
	if len(call.Args) == 0 {
		return metric{}, false
	}
	var m metric
	if opts, ok := call.Args[0].(*ast.CompositeLit); ok {
		for _, e := range opts.Elts {
			if field, ok := e.(*ast.KeyValueExpr); ok {
				switch key, _ := field.Key.(*ast.Ident); {
				case key == nil:
				case key.Name == "Name":
					m.name = text(field.Value)
				case key.Name == "Help":
					m.help = text(field.Value)
				}
			}
		}
	} else if len(call.Args) > 1 {
		m.name, m.help = text(call.Args[0]), text(call.Args[1])
	}
	for _, a := range call.Args[1:] {
		if list, ok := a.(*ast.CompositeLit); ok {
			for _, e := range list.Elts {
				m.labels = append(m.labels, text(e))
			}
		}
	}
	m.kind = kindOf(call.Fun, m.name)
	return m, ours.MatchString(m.name) && m.help != ""
}

func kindOf(made ast.Expr, name string) kind {
	by := ""
	switch f := made.(type) {
	case *ast.Ident:
		by = f.Name
	case *ast.SelectorExpr:
		by = f.Sel.Name
	}
	switch {
	case strings.HasPrefix(by, "NewHistogram"):
		return histogram
	case strings.HasSuffix(name, "_total"):
		return counter
	}
	return gauge
}

// text is the value of a string literal, or empty.
func text(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit == nil || lit.Kind != token.STRING {
		return ""
	}
	s, _ := strconv.Unquote(lit.Value) // the parser has seen it
	return s
}
