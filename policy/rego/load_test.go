package rego

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/open-policy-agent/opa/v1/ast"
)

func TestLoadRefuses(t *testing.T) {
	const permit = "permit := lib.pool_names\n"
	for name, test := range map[string]struct{ text, want string }{
		"misspelt input": {head + permit + `deny contains {"pool": p, "reason": "x"} if { some p in lib.cloud_pools; input.namespce == "a" }`,
			"policy/policy.rego:6:74: policy: undefined ref: input.namespce; allowed: burst, caller, dataClass, department, function, minute, namespace, payloadKiB, residency, revision"},
		"wrong input type": {head + `permit := lib.pool_names if startswith(input.payloadKiB, "a")`,
			"policy/policy.rego:5:29: policy: startswith: invalid argument(s)"},
		"network": {head + permit + `x := http.send({"method": "GET", "url": "http://127.0.0.1"})`,
			"policy/policy.rego:6:6: policy: http.send is not available to policies: it reaches the network"},
		"chance": {head + permit + `x := rand.intn("a", 2)`,
			"policy/policy.rego:6:6: policy: rand.intn is not available to policies: its result differs"},
		"host": {head + permit + `x := opa.runtime()`,
			"policy/policy.rego:6:6: policy: opa.runtime is not available"},
		"keys": {head + permit + `x := io.jwt.decode("a")`,
			"policy/policy.rego:6:6: policy: io.jwt.decode is not available to policies: a placement needs no keys"},
		"mocked network": {head + permit + "x if f with f as http.send\nf := 1",
			"policy/policy.rego:6:"},
		"schema from the network": {"# METADATA\n# schemas:\n# - input: {\"$ref\": \"http://127.0.0.1:1/x\"}\n" + head + permit,
			""},
		"rego v0": {"package spillway.placement\n\npermit = {\"hall\"} { input.burst == \"allow\" }",
			"policy/policy.rego:3:1: policy: `if` keyword is required before rule body; policies are Rego v1: write `name if"},
		"rego v0 set": {"package spillway.placement\n\ndeny[x] { x := 1 }",
			"policies are Rego v1"},
		"syntax":           {head + "permit := {", "policy/policy.rego:5:11: policy: "},
		"empty":            {"", "policy/policy.rego: policy: the file is empty"},
		"wrong package":    {"package placement\n\npermit := {\"hall\"}", "policy/policy.rego:1:1: policy: no module is `package spillway.placement`"},
		"misspelt package": {"package spillway.placment\n\npermit := {\"hall\"}", "policy/policy.rego:1:1: policy: package spillway.placment is reserved"},
		"library package":  {"package spillway.lib\n\nx := 1", "policy/policy.rego:1:1: policy: package spillway.lib is reserved"},
		"pools package":    {"package spillway.pools.x\n\nx := 1", "policy/policy.rego:1:1: policy: package spillway.pools.x is reserved"},
		"root package":     {"package spillway\n\nlib := 1", "policy/policy.rego:1:1: policy: package spillway is reserved"},
		"no permit":        {head + `deny contains x if some x in lib.default_deny`, "policy/policy.rego:1:1: policy: permit is not defined"},
		"permit function":  {"package spillway.placement\n\npermit(x) := {x}", "policy/policy.rego:3:1: policy: permit is a function"},
		"unknown library rule": {head + "permit := lib.pool_name",
			"policy/policy.rego:5:11: policy: the library has no rule pool_name"},
		"unknown library function": {head + "permit := lib.pool_names if lib.dayly(\"UTC\", \"1\", \"2\")",
			"policy/policy.rego:5:29: policy: undefined function data.spillway.lib.dayly"},
		"unknown data": {"package spillway.placement\n\npermit := {p | some p, _ in data.spillway.pool}",
			"policy/policy.rego:3:1: policy: data.spillway.pool does not exist; allowed: lib, placement, pools"},
		"recursion": {head + "permit := a\na := b\nb := a", "is recursive"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := LoadFS(tree(test.text), "policy")
			if test.want == "" {
				// A schema annotation is a comment to us: loaded, never fetched.
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var faults *LoadError
			if !errors.As(err, &faults) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v\nwant  %s", err, test.want)
			}
		})
	}
}

func TestLoadReportsAllFilesAtOnce(t *testing.T) {
	_, err := LoadFS(fstest.MapFS{
		"b.rego":    {Data: []byte("package spillway.placement\n\npermit := {")},
		"a.rego":    {Data: []byte("package spillway.placement\n\nx := = 1")},
		"data.json": {Data: []byte("{\n  \"a\": }")},
	}, "policy")
	var faults *LoadError
	if !errors.As(err, &faults) {
		t.Fatal(err)
	}
	var at []string
	for _, p := range faults.Problems {
		at = append(at, p.File)
	}
	if got := strings.Join(at, " "); got != "policy/a.rego policy/b.rego policy/data.json" {
		t.Errorf("problems in %s:\n%v", got, err)
	}
	if last := faults.Problems[len(at)-1]; last.Line != 2 || last.Col != 8 {
		t.Errorf("data at %d:%d, want 2:8", last.Line, last.Col)
	}
}

func TestLoadFiles(t *testing.T) {
	good := []byte(head + "permit := lib.pool_names if input.department in data.departments")
	for name, test := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"json":         {fstest.MapFS{"p.rego": {Data: good}, "data.json": {Data: []byte(`{"departments": ["sales"]}`)}}, ""},
		"yaml":         {fstest.MapFS{"p.rego": {Data: good}, "data.yaml": {Data: []byte("departments: [sales]\n")}}, ""},
		"other files":  {fstest.MapFS{"p.rego": {Data: good}, "data.json": {Data: []byte(`{"departments": ["sales"]}`)}, "notes.md": {}, ".git/x.rego": {}, ".x.rego": {Data: []byte("(")}}, ""},
		"test file":    {fstest.MapFS{"p.rego": {Data: good}, "data.json": {Data: []byte(`{"departments": ["sales"]}`)}, "p_test.rego": {Data: []byte("(")}}, ""},
		"two data":     {fstest.MapFS{"data.json": {Data: []byte(`{}`)}, "data.yaml": {Data: []byte("{}")}}, "policy/data.yaml: policy: there is already data.json"},
		"data list":    {fstest.MapFS{"data.json": {Data: []byte(`[]`)}}, "policy/data.json:1:"},
		"data tail":    {fstest.MapFS{"data.json": {Data: []byte(`{} {}`)}}, "text after the object"},
		"bad yaml":     {fstest.MapFS{"data.yaml": {Data: []byte("a: b\n c: d: e\n")}}, "policy/data.yaml:2:1: policy: not a data object"},
		"alias bomb":   {fstest.MapFS{"data.yaml": {Data: []byte(aliasBomb())}}, "excessive aliasing"},
		"reserved":     {fstest.MapFS{"data.json": {Data: []byte(`{"spillway": {"pools": {}}}`)}}, "data.spillway is reserved"},
		"data is rule": {fstest.MapFS{"p.rego": {Data: []byte(head + "permit := lib.pool_names")}, "q.rego": {Data: []byte("package acme\n\nx := 1")}, "data.json": {Data: []byte(`{"acme": {"x": 2}}`)}}, "policy/q.rego:"},
		"directory":    {fstest.MapFS{"more/p.rego": {Data: good}}, "policy/more: policy: subdirectories are not read"},
	} {
		t.Run(name, func(t *testing.T) {
			bundle, err := LoadFS(test.files, "policy")
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want %s", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			e, err := bundle.Bind(platform(1))
			if err != nil {
				t.Fatal(err)
			}
			if v := e.Evaluate(t.Context(), saturday, call()); v.Permitted != 0b111 {
				t.Errorf("permitted %b, failed %q", v.Permitted, v.Failed)
			}
		})
	}
}

func aliasBomb() string {
	var b strings.Builder
	b.WriteString("a: &a [x,x,x,x,x,x,x,x,x]\n")
	for c := 'b'; c <= 'i'; c++ {
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll("N: &N [*P,*P,*P,*P,*P,*P,*P,*P,*P]\n", "N", string(c)), "P", string(c-1)))
	}
	return b.String()
}

func TestLoadDirectory(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "absent"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent directory: %v", err)
	}
	empty, err := Load(t.TempDir())
	if err != nil || !empty.Default() {
		t.Errorf("empty directory: %v, want the default policy", err)
	}
	first, second := write(t, map[string]string{"p.rego": head + "permit := lib.pool_names"}), t.TempDir()
	if err := os.CopyFS(filepath.Join(second, "copy"), os.DirFS(first)); err != nil {
		t.Fatal(err)
	}
	a, err := Load(first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Load(filepath.Join(second, "copy"))
	if err != nil {
		t.Fatal(err)
	}
	if a.Default() || a.Revision() != b.Revision() || a.Revision() == empty.Revision() {
		t.Errorf("revisions %s, %s and the default's %s", a.Revision(), b.Revision(), empty.Revision())
	}
}

// Whatever a later OPA calls nondeterministic is refused without a change here.
func TestNoNondeterministicBuiltinIsOffered(t *testing.T) {
	offered := map[string]bool{}
	for _, b := range capabilities().Builtins {
		offered[b.Name] = true
		if b.Nondeterministic && b.Name != "time.now_ns" {
			t.Errorf("%s is offered", b.Name)
		}
	}
	if !offered["time.now_ns"] || !offered["sprintf"] || !offered["regex.match"] {
		t.Error("a harmless builtin is missing")
	}
	for name := range refused {
		known := strings.HasSuffix(name, ".") || strings.HasSuffix(name, "_") || ast.BuiltinMap[name] != nil
		if !known || offered[name] {
			t.Errorf("%s: known %v, offered %v", name, known, offered[name])
		}
	}
}

func TestProblemNamesItsPlace(t *testing.T) {
	if got := (Problem{File: "a.rego", Line: 3, Col: 7, Message: "x"}).String(); got != "a.rego:3:7: policy: x" {
		t.Error(got)
	}
	if got := (Problem{File: "a.rego", Message: "x"}).String(); got != "a.rego: policy: x" {
		t.Error(got)
	}
}
