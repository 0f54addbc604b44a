package rego

import (
	"cmp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/spillway-dev/spillway/policy"
)

// reads is the set of input fields a policy can depend on, by index in fields.
// The others are blanked before a verdict is looked up, so that calls which the
// policy cannot tell apart share one verdict.
type reads uint16

const readsAll reads = 1<<len(fields) - 1

// blank clears what the policy does not read, without allocating: it is on the
// path of every call.
func (r reads) blank(in *policy.Input) {
	if r == readsAll {
		return
	}
	texts := [...]*string{&in.Namespace, &in.Department, &in.Function, &in.Revision, &in.Caller,
		&in.DataClass, &in.Residency, &in.Burst}
	for i, text := range texts {
		if r&(1<<i) == 0 {
			*text = ""
		}
	}
	numbers := [...]*int64{&in.PayloadKiB, &in.Minute}
	for i, n := range numbers {
		if r&(1<<(len(texts)+i)) == 0 {
			*n = 0
		}
	}
}

// with returns r and the field called name; an unknown name adds all.
func (r reads) with(name string) reads {
	i := slices.IndexFunc(fields[:], func(f field) bool { return f.name == name })
	if i < 0 {
		return readsAll
	}
	return r | 1<<i
}

// readsOf finds the fields that any rule of the author, or any library rule in
// its reach, mentions. Wherever it cannot tell, it says all.
func readsOf(compiler *ast.Compiler) reads {
	scan := scanner{rules: map[string][]*ast.Rule{}, seen: map[string]bool{}}
	for _, module := range compiler.Modules {
		if !module.Package.Path.Equal(libraryRef) {
			continue
		}
		for _, rule := range module.Rules {
			name := rule.Head.Ref()[0].String()
			scan.rules[name] = append(scan.rules[name], rule)
		}
	}
	for _, module := range compiler.Modules {
		if !module.Package.Path.Equal(libraryRef) {
			scan.walk(module)
		}
	}
	return scan.found
}

type scanner struct {
	rules map[string][]*ast.Rule // of the library, by name
	seen  map[string]bool
	found reads
}

func (s *scanner) walk(x any) {
	var visitor *ast.GenericVisitor
	visitor = ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case ast.Ref:
			s.ref(x)
			for _, term := range x[1:] {
				visitor.Walk(term)
			}
			return true
		case ast.Var:
			if x == "input" || x == "data" {
				s.found = readsAll
			}
		}
		return false
	})
	visitor.Walk(x)
}

func (s *scanner) ref(ref ast.Ref) {
	switch {
	case ref[0].Equal(ast.InputRootDocument):
		s.found = s.found.with(name(ref, 1))
	case ref[0].Equal(ast.DefaultRootDocument):
		s.data(ref)
	case strings.HasPrefix(ref.String(), "time.now_ns"):
		s.found = s.found.with("minute")
	}
}

// data follows a reference into the library. Anything that may be a name of the
// library but is computed counts as reading everything.
func (s *scanner) data(ref ast.Ref) {
	root, branch, rule := name(ref, 1), name(ref, 2), name(ref, 3)
	switch {
	case root == "", root == "spillway" && branch == "", branch == "lib" && root == "spillway" && rule == "":
		s.found = readsAll
	case root == "spillway" && branch == "lib":
		s.library(rule)
	}
}

func (s *scanner) library(rule string) {
	if s.seen[rule] {
		return
	}
	s.seen[rule] = true
	for _, r := range s.rules[rule] {
		s.walk(r)
	}
}

// name returns element i of ref if it is a constant text, else "".
func name(ref ast.Ref, i int) string {
	if i >= len(ref) {
		return ""
	}
	text, _ := ref[i].Value.(ast.String)
	return string(text)
}

// checkNames reports references under data.spillway that name nothing: they
// would be undefined for ever.
func checkNames(compiler *ast.Compiler, faults *LoadError) {
	known := map[string]bool{}
	for _, rule := range compiler.GetRulesWithPrefix(libraryRef) {
		known[rule.Head.Ref()[0].String()] = true
	}
	for _, path := range sortedPaths(compiler) {
		ast.WalkRules(compiler.Modules[path], func(rule *ast.Rule) bool {
			ast.WalkTerms(rule, func(term *ast.Term) bool {
				if ref, ok := term.Value.(ast.Ref); ok {
					checkName(ref, cmp.Or(term.Location, rule.Location), known, faults)
				}
				return false
			})
			return false
		})
	}
}

func checkName(ref ast.Ref, where *ast.Location, library map[string]bool, faults *LoadError) {
	if !ref[0].Equal(ast.DefaultRootDocument) || name(ref, 1) != "spillway" {
		return
	}
	switch branch, rule := name(ref, 2), name(ref, 3); {
	case branch == "" || branch == "pools" || branch == "placement":
	case branch != "lib":
		faults.at(where, "data.spillway.%s does not exist; allowed: lib, placement, pools", branch)
	case rule != "" && !library[rule]:
		faults.at(where, "the library has no rule %s; see policy/library/README.md", rule)
	}
}
