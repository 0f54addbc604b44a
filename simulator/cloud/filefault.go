package cloud

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// yamlFault words an error of the YAML decoder as LoadConfig promises. It uses
// nothing of the file but names of fields.
func yamlFault(path string, tree *ast.File, err error) error {
	var positioned yaml.Error
	if !errors.As(err, &positioned) {
		return fmt.Errorf("%s:1:1: cannot be read as a configuration", path)
	}
	t := positioned.GetToken()
	at := place(path, t)
	var unknown *yaml.UnknownFieldError
	var unexpected *yaml.UnexpectedNodeTypeError
	var mistyped *yaml.TypeError
	switch {
	case errors.As(err, &unknown):
		field := pathOf(tree, t)
		return fmt.Errorf("%s: %s: is not a field here; allowed: %s", at, field, strings.Join(fieldsOf(field), " "))
	case strings.Contains(positioned.GetMessage(), "already defined at"):
		return fmt.Errorf("%s: %s: is there twice; allowed: each field once", at, t.Value)
	case errors.As(err, &unexpected):
		return fmt.Errorf("%s: %s: has the wrong type; allowed: %s", at, pathOf(tree, t), shapeOf(unexpected.Expected))
	case errors.As(err, &mistyped):
		return fmt.Errorf("%s: %s: has the wrong type; allowed: %s", at, pathOf(tree, t), kindOf(mistyped.DstType))
	}
	return fmt.Errorf("%s: is not valid YAML: %s", at, firstLine(positioned.GetMessage()))
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "fields with values"
	case reflect.Slice:
		return "a list"
	case reflect.String:
		return "text, in quotes if it is a number"
	case reflect.Float64:
		return "a number"
	}
	return "a whole number in range"
}

func shapeOf(t ast.NodeType) string {
	switch t {
	case ast.SequenceType:
		return "a list"
	case ast.MappingType, ast.MappingValueType:
		return "fields with values"
	}
	return "a plain value"
}

// pathOf returns the field that a token belongs to, such as functions[0].memory.
func pathOf(tree *ast.File, t *token.Token) string {
	s := search{token: t}
	if tree != nil && t != nil {
		for _, doc := range tree.Docs {
			ast.Walk(&s, doc)
		}
	}
	if s.path == "" && t != nil {
		return t.Value
	}
	return strings.TrimPrefix(s.path, "$.")
}

type search struct {
	token *token.Token
	path  string
}

func (s *search) Visit(n ast.Node) ast.Visitor {
	if n.GetToken() == s.token && s.path == "" {
		s.path = n.GetPath()
	}
	return s
}

var index = regexp.MustCompile(`\[\d+\]`)

// fieldsOf lists the fields that may stand where path stands.
func fieldsOf(path string) []string {
	parent := index.ReplaceAllString(path, "")
	parent = parent[:max(0, strings.LastIndex(parent, "."))]
	t, known := map[string]reflect.Type{
		"":          reflect.TypeFor[fileConfig](),
		"keys":      reflect.TypeFor[fileKey](),
		"prices":    reflect.TypeFor[filePrices](),
		"faults":    reflect.TypeFor[Fault](),
		"functions": reflect.TypeFor[fileFunction](),
	}[parent]
	var names []string
	for i := 0; known && i < t.NumField(); i++ {
		names = append(names, t.Field(i).Tag.Get("yaml"))
	}
	return names
}
