package terraform_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/clouddrift"
	"github.com/spillway-dev/spillway/export/terraform"
)

var update = flag.Bool("update", false, "write the golden files")

// east and canton are pools whose names need care in Terraform.
var (
	east   = &spillway.Pool{Name: "lambda-us", Kind: spillway.PoolLambda, Region: "us-east-1", Limits: spillway.CloudLimits{Concurrency: 1000}}
	canton = &spillway.Pool{Index: 1, Name: "scf.gz", Kind: spillway.PoolSCF, Region: "ap-guangzhou", SCF: spillway.SCFEndpoint{Namespace: "tools"}}
)

// want is a binding of shop/name on pool.
func want(pool *spillway.Pool, name string, change ...func(*clouddrift.Want)) clouddrift.Want {
	f := &spillway.Function{FunctionKey: spillway.FunctionKey{Namespace: "shop", Name: name}, Revision: "v1", Weight: 100, Handler: "bootstrap",
		Package: spillway.Package{Path: "/srv/" + name, Digest: "sha256:" + strings.Repeat("ab", 32)}}
	w := clouddrift.Want{Pool: pool, Function: f, Burst: spillway.Unlimited,
		Binding: &spillway.Binding{Name: name, Qualifier: "$LATEST", MiB: 128, Timeout: 3 * time.Second}}
	for _, c := range change {
		c(&w)
	}
	return w
}

func as(qualifier, revision string, weight int64) func(*clouddrift.Want) {
	return func(w *clouddrift.Want) {
		w.Binding.Qualifier, w.Function.Revision, w.Function.Weight = qualifier, revision, weight
	}
}

func zipped(w *clouddrift.Want) { w.Function.Package.Path += ".zip" }

func two() []clouddrift.Want {
	return []clouddrift.Want{
		want(east, "thumbnail", as("canary", "v2", 10), func(w *clouddrift.Want) { w.Burst = 30 }),
		want(east, "thumbnail", as("live", "v1", 90), zipped, func(w *clouddrift.Want) {
			w.Burst, w.Architecture = 30, clouddrift.ARM
			w.Function.Env = []string{"BUCKET=never-written", "MODE=fast"}
		}),
		want(east, "report", func(w *clouddrift.Want) {
			w.Binding.Name = "arn:aws:lambda:us-east-1:123456789012:function:report"
			w.Binding.Qualifier = "7"
			w.Function.Handler = "bin/serve"
		}),
		want(canton, "report", as("live", "v1", 100), func(w *clouddrift.Want) { w.Burst = 10 }),
		want(canton, "plain"),
	}
}

// TestGolden compares whole modules with testdata.
func TestGolden(t *testing.T) {
	for name, wants := range map[string][]clouddrift.Want{"two": two(), "none": nil, "lambda": {want(east, "a")}, "scf": {want(canton, "aa")}} {
		files, err := terraform.Render(wants)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join("testdata", name)
		if *update {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			write(t, dir, files)
		}
		for _, f := range files {
			golden, err := os.ReadFile(filepath.Join(dir, f.Name))
			if err != nil || string(golden) != f.Text {
				t.Errorf("%s: %v; got\n%s", filepath.Join(dir, f.Name), err, f.Text)
			}
		}
		if there, _ := os.ReadDir(dir); len(there) != len(files) {
			t.Errorf("%s has %d files, want %d", dir, len(there), len(files))
		}
	}
}

func write(t *testing.T, dir string, files []terraform.File) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f.Name), []byte(f.Text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// terraformCLI is Terraform's own program, which judges what we write where it is
// installed.
func terraformCLI(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	program, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not installed")
	}
	cmd := exec.Command(program, args...)
	config := filepath.Join(t.TempDir(), "terraformrc")
	if err := os.WriteFile(config, []byte("disable_checkpoint = true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+config)
	cmd.Stdin, cmd.Dir = strings.NewReader(stdin), t.TempDir()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestFormat: Terraform's own formatter parses every file and finds nothing to change.
func TestFormat(t *testing.T) {
	dir := t.TempDir()
	files, err := terraform.Render(append(two(), want(east, "odd ${x} %{y}\"\n}"), want(canton, "${path}", as("${q}", "r", 100))))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, files)
	if out, err := terraformCLI(t, "", "fmt", "-check", "-diff", dir); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestNothingPrivate: values of environments and paths of packages are not written.
func TestNothingPrivate(t *testing.T) {
	files, err := terraform.Render(two())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		for _, private := range []string{"never-written", "/srv/"} {
			if strings.Contains(f.Text, private) {
				t.Errorf("%s has %s", f.Name, private)
			}
		}
	}
}

// TestConflicts: two functions cannot make one of the cloud's two different ones.
func TestConflicts(t *testing.T) {
	same := func(w *clouddrift.Want) { w.Binding.Name = "same" }
	for name, test := range map[string]struct {
		second clouddrift.Want
		says   string
	}{
		"memory":  {want(east, "b", same, func(w *clouddrift.Want) { w.Binding.MiB = 256 }), "128 MiB and 256 MiB"},
		"timeout": {want(east, "b", same, func(w *clouddrift.Want) { w.Binding.Timeout = time.Minute }), "timeouts of 3s and 1m0s"},
		"code":    {want(east, "b", same, func(w *clouddrift.Want) { w.Function.Package.Digest = "sha256:00" }), "different packages"},
		"nothing": {want(east, "b", same), ""},
		"pool":    {want(canton, "b", same, func(w *clouddrift.Want) { w.Binding.MiB = 256 }), ""},
	} {
		_, err := terraform.Render([]clouddrift.Want{want(east, "a", same), test.second})
		switch {
		case test.says == "" && err != nil, test.says != "" && err == nil:
			t.Errorf("%s: %v", name, err)
		case err != nil && (!strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "shop/a and shop/b")):
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNamesAreUnique: names that look the same to Terraform get numbers, always the
// same ones.
func TestNamesAreUnique(t *testing.T) {
	wants := []clouddrift.Want{
		want(east, "a-b", as("c", "v1", 100)), want(east, "a_b", as("c", "v1", 100)), want(east, "A-B"),
		want(east, "a", as("b_c", "v1", 100)),
	}
	files, err := terraform.Render(wants)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range files {
		for line := range strings.Lines(f.Text) {
			for _, kind := range []string{"resource ", "variable ", "output ", "data "} {
				if strings.HasPrefix(line, kind) && seen[line] {
					t.Errorf("%s: twice: %s", f.Name, line)
				}
			}
			seen[line] = true
		}
	}
	for range 5 {
		again, err := terraform.Render(wants)
		if err != nil || len(again) != len(files) {
			t.Fatal(err)
		}
		for i := range files {
			if files[i] != again[i] {
				t.Errorf("%s differs from run to run", files[i].Name)
			}
		}
	}
}
