package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

const intro = `# Configuration

<!-- Made from the comments in api/v1alpha1 by: go generate ./config -->

A configuration is a directory. Every ` + "`*.yaml` and `*.yml`" + ` file directly in it holds objects, separated by ` + "`---`" + `; which file an object is in does not matter. The sub-directory ` + "`policy`" + ` holds Rego. Paths are relative to the file they are written in.

Reading is strict: unknown and repeated fields, empty values and wrong types are faults, and all faults are said at once as ` + "`file:line:col: field: problem; allowed: …`" + `. Nothing starts then. ` + "`spillway validate DIR`" + ` checks without starting, and ` + "`-o yaml`" + ` shows everything with its defaults.

| Written as | for example |
| --- | --- |
| duration | ` + "`500ms`, `3s`, `2m30s`" + ` |
| cores | ` + "`2`, `0.5`, `500m`" + ` (thousandths) |
| memory | ` + "`128Mi`, `1Gi`" + ` (binary), ` + "`1G`" + ` (decimal) |
| amount, decimal | ` + "`\"0.50\"`" + `; never rounded on the way in |
| date | ` + "`2026-11-01`" + ` |

A file has at most 1 MiB. YAML anchors and aliases may be used; tags and merge keys may not.

In a Kubernetes cluster the same objects but Server are custom resources (` + "`manifests/base/crds`, `kubectl get spillway -A`" + `), with a status. The API server refuses what is wrong with an object by itself, mostly in the words of the loader; what objects say of each other the loader refuses, and says in the object's conditions. Three things differ there:

- a package is named by its digest alone, which was uploaded before, and files of credentials are absolute paths, where a Secret is mounted;
- quantities are whole numbers or texts: ` + "`0.5` is written `\"0.5\"`" + `, and one object that may stand for a list in a file is a list;
- a Function with faults stays as it was when it last had none; faults of any other object keep all as it was.
`

// kinds in the order of the page.
var kinds = []string{"Function", "Pool", "Quota", "BurstPolicy", "PriceBook", "Server"}

var scalars = map[string]string{
	"string": "text", "bool": "true, false", "int64": "number", "Duration": "duration", "MilliCPU": "cores",
	"Bytes": "memory", "Amount": "amount", "Decimal": "decimal", "Date": "date",
}

// api is the struct types of a package, with their comments.
type api struct {
	structs map[string]*ast.StructType
	docs    map[string]string
}

// reference returns the page for the package in dir.
func reference(dir string) (string, error) {
	a, err := load(dir)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(intro)
	for _, kind := range kinds {
		if a.structs[kind] == nil {
			return "", fmt.Errorf("no type %s in %s", kind, dir)
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| Field | | |\n| --- | --- | --- |\n", kind, a.docs[kind])
		if err := a.fields(&b, kind, ""); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func load(dir string) (*api, error) {
	a := &api{structs: map[string]*ast.StructType{}, docs: map[string]string{}}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			a.add(d)
		}
	}
	return a, nil
}

func (a *api) add(d ast.Decl) {
	g, ok := d.(*ast.GenDecl)
	if !ok || g.Tok != token.TYPE {
		return
	}
	for _, spec := range g.Specs {
		t := spec.(*ast.TypeSpec)
		if s, ok := t.Type.(*ast.StructType); ok {
			a.structs[t.Name.Name] = s
			a.docs[t.Name.Name] = oneLine(g.Doc)
		}
	}
}

// fields writes a row for each field of a struct, and of the structs in it.
func (a *api) fields(b *strings.Builder, name, path string) error {
	for _, f := range a.structs[name].Fields.List {
		kind, inner := a.describe(f.Type)
		key := yamlName(f)
		if key == "" {
			if err := a.fields(b, inner, path); err != nil {
				return err
			}
			continue
		}
		at := strings.TrimPrefix(path+"."+key, ".")
		doc := oneLine(f.Doc)
		if doc == "" && inner == "" {
			return fmt.Errorf("%s.%s has no comment", name, key)
		}
		if doc != "" {
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", at, kind, strings.ReplaceAll(doc, "|", `\|`))
		}
		if inner != "" {
			if strings.HasPrefix(kind, "list") {
				at += "[]"
			}
			if err := a.fields(b, inner, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// describe returns the word for a type, and the struct that it holds if any.
func (a *api) describe(t ast.Expr) (word, inner string) {
	switch t := t.(type) {
	case *ast.StarExpr:
		return a.describe(t.X)
	case *ast.ArrayType:
		word, inner = a.describe(t.Elt)
		return "list of " + map[bool]string{true: "objects", false: word}[inner != ""], inner
	case *ast.MapType:
		word, _ = a.describe(t.Value)
		return "names to " + map[bool]string{true: "numbers", false: word}[word == "number"], ""
	case *ast.Ident:
		if a.structs[t.Name] != nil && scalars[t.Name] == "" {
			return "object", t.Name
		}
		return scalars[t.Name], ""
	}
	return "", ""
}

func yamlName(f *ast.Field) string {
	tag, err := strconv.Unquote(f.Tag.Value)
	if err != nil {
		return ""
	}
	name, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
	return name
}

// oneLine returns a comment without the markers that custom resource definitions are
// made from.
func oneLine(c *ast.CommentGroup) string {
	lines := slices.DeleteFunc(strings.Split(c.Text(), "\n"), func(line string) bool { return strings.HasPrefix(line, "+") })
	return strings.ReplaceAll(strings.Join(strings.Fields(strings.Join(lines, " ")), " "), "<", "&lt;")
}
