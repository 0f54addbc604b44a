package rego

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Bundle is a compiled policy that is not yet bound to pools. It is immutable
// and safe for concurrent use.
type Bundle struct {
	revision string
	builtin  bool // the default policy
	compiler *ast.Compiler
	data     map[string]any
	reads    reads
}

// Revision is the digest of everything the bundle was compiled from.
func (b *Bundle) Revision() string { return b.revision }

// Default reports that the directory held no policy and the library's applies.
func (b *Bundle) Default() bool { return b.builtin }

// Load compiles the policy in dir; dir "" means the default policy. The error is
// a *LoadError when files are at fault, else it wraps the one of the file system.
func Load(dir string) (*Bundle, error) {
	content, err := readDir(dir)
	if err != nil {
		return nil, err
	}
	return build(content, dir)
}

// LoadFS is Load for any file system; dir is only the path that problems name.
func LoadFS(fsys fs.FS, dir string) (*Bundle, error) {
	content, err := readFS(fsys, dir)
	if err != nil {
		return nil, err
	}
	return build(content, dir)
}

// build compiles content. A file that makes the compiler panic is at fault like
// any other: a reload must not end the program.
func build(content files, dir string) (bundle *Bundle, err error) {
	defer func() {
		if r := recover(); r != nil {
			bundle, err = nil, &LoadError{[]Problem{{File: dir, Message: fmt.Sprintf("the compiler panicked: %v", r)}}}
		}
	}()
	sources := content.withLibrary()
	var faults LoadError
	modules := parse(sources, &faults)
	data := parseData(content.data, &faults)
	if err := faults.orNil(); err != nil {
		return nil, err
	}
	compiler := newCompiler(data)
	if compiler.Compile(modules); compiler.Failed() {
		faults.addOPA(dir, compiler.Errors)
		return nil, faults.orNil()
	}
	checkNames(compiler, &faults)
	checkDecision(compiler, sources, &faults)
	if err := faults.orNil(); err != nil {
		return nil, err
	}
	return &Bundle{
		revision: digest(sources, content.data),
		builtin:  len(content.modules) == 0,
		compiler: compiler,
		data:     data,
		reads:    readsOf(compiler),
	}, nil
}

// parse returns the modules of list by path.
func parse(list []file, faults *LoadError) map[string]*ast.Module {
	modules := map[string]*ast.Module{}
	for _, f := range list {
		module, err := ast.ParseModuleWithOpts(f.path, f.text, ast.ParserOptions{
			RegoVersion:  ast.RegoV1,
			Capabilities: capabilities(),
		})
		switch {
		case err != nil:
			faults.addOPA(f.path, err)
		default:
			if !f.library {
				checkPackage(module, faults)
			}
			modules[f.path] = module
		}
	}
	return modules
}

// checkPackage keeps what belongs to the scheduler out of the author's hands.
func checkPackage(module *ast.Module, faults *LoadError) {
	path := segments(module.Package.Path)
	if len(path) == 0 || path[0] != "spillway" {
		return
	}
	switch name := strings.Join(path, "."); name {
	case "spillway.placement", "spillway.placement_test":
	default:
		faults.at(module.Package.Location, "package %s is reserved; the policy is package spillway.placement, anything else is outside spillway", name)
	}
}

// segments returns the names in a package path after data.
func segments(path ast.Ref) []string {
	var names []string
	for _, term := range path[1:] {
		name, _ := term.Value.(ast.String)
		names = append(names, string(name))
	}
	return names
}

func newCompiler(data map[string]any) *ast.Compiler {
	schemas := ast.NewSchemaSet()
	schemas.Put(ast.SchemaRootRef, schema())
	return ast.NewCompiler().
		WithCapabilities(capabilities()).
		WithDefaultRegoVersion(ast.RegoV1).
		WithSchemas(schemas).
		WithStrict(true).
		WithPathConflictsCheck(func(path []string) (bool, error) { return holds(data, path), nil }).
		SetErrorLimit(0)
}

// holds reports whether data has a value at path.
func holds(data map[string]any, path []string) bool {
	for i, name := range path {
		value, ok := data[name]
		if !ok || i == len(path)-1 {
			return ok
		}
		if data, ok = value.(map[string]any); !ok {
			return true
		}
	}
	return false
}

var (
	placement  = ast.MustParseRef("data.spillway.placement")
	permitRule = ast.MustParseRef("data.spillway.placement.permit")
	denyRule   = ast.MustParseRef("data.spillway.placement.deny")
	libraryRef = ast.MustParseRef("data.spillway.lib")
)

// checkDecision refuses a policy that could never answer.
func checkDecision(compiler *ast.Compiler, sources []file, faults *LoadError) {
	var first, found *ast.Module
	for _, f := range sources {
		module := compiler.Modules[f.path]
		first = cmp.Or(first, module)
		if module.Package.Path.Equal(placement) {
			found = cmp.Or(found, module)
		}
	}
	if found == nil {
		faults.at(first.Package.Location, "no module is `package spillway.placement`, so nothing would ever be permitted")
		return
	}
	where := found.Package.Location
	if len(compiler.GetRulesExact(permitRule)) == 0 {
		faults.at(where, "permit is not defined, so nothing would ever be permitted; add for example `permit := lib.pool_names`")
	}
	for _, ref := range []ast.Ref{permitRule, denyRule} {
		for _, rule := range compiler.GetRulesExact(ref) {
			if len(rule.Head.Args) > 0 {
				faults.at(rule.Location, "%s is a function; it must be a rule that yields a set", rule.Head.Name)
			}
		}
	}
}

func sortedPaths(compiler *ast.Compiler) []string {
	paths := make([]string, 0, len(compiler.Modules))
	for path := range compiler.Modules {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}
