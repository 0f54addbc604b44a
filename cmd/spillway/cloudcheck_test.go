package main

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/clouddrift"
)

// TestCloudScripts runs the scripts of testdata/clouds, which have clouds to ask.
func TestCloudScripts(t *testing.T) {
	var running sync.Map // what ends a stand-in, by script and name
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/clouds",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Setenv("HOME", env.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"fill":  fill,
			"zip":   zipped,
			"standin": func(ts *testscript.TestScript, _ bool, args []string) {
				running.Store(ts.Name()+" "+args[0], standIn(ts, args))
			},
			"end": func(ts *testscript.TestScript, _ bool, args []string) {
				end, _ := running.Load(ts.Name() + " " + args[0])
				end.(func())()
			},
		},
	})
}

// fill TEMPLATE FILE writes a template's variables out.
func fill(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(os.Expand(ts.ReadFile(args[0]), ts.Getenv)), 0o600))
}

// zipped ZIP FILE puts a file into a zip under its own name.
func zipped(ts *testscript.TestScript, _ bool, args []string) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(filepath.Base(args[1]))
	ts.Check(err)
	_, err = w.Write([]byte(ts.ReadFile(args[1])))
	ts.Check(errors.Join(err, z.Close(), os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o600)))
}

// standIn NAME FILE runs a stand-in cloud, sets NAME to its URL, and returns what
// ends it.
func standIn(ts *testscript.TestScript, args []string) (end func()) {
	bin, _, _ := strings.Cut(ts.Getenv("PATH"), string(os.PathListSeparator)) // where testscript put the program
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "spillway"), "cloud", "--config", ts.MkAbs(args[1]), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "TMPDIR=" + ts.Getenv("TMPDIR"), "GORACE=atexit_sleep_ms=0"}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	end = func() {
		cancel()
		_ = cmd.Wait() // it was interrupted
	}
	ts.Defer(func() { cancel(); _ = cmd.Wait() })
	said := ""
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		said += lines.Text() + "\n"
		if _, rest, ok := strings.Cut(lines.Text(), " API on "); ok {
			url, _, _ := strings.Cut(rest, " ")
			ts.Setenv(args[0], url)
			return end
		}
	}
	ts.Fatalf("the stand-in says:\n%s", said)
	return end
}

func TestPacer(t *testing.T) {
	p := &pacer{every: time.Second}
	start := time.Unix(1000, 0)
	for i, c := range []struct{ at, want time.Duration }{
		{0, 0}, {0, time.Second}, {500 * time.Millisecond, 2 * time.Second}, {10 * time.Second, 10 * time.Second}, {10 * time.Second, 11 * time.Second},
	} {
		if got := p.slot(start.Add(c.at)).Sub(start); got != c.want {
			t.Errorf("%d: %s, want %s", i, got, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&pacer{every: time.Hour}).wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a request of somebody who left: %v", err)
	}
	hour := &pacer{every: time.Hour}
	hour.slot(time.Now())
	if err := hour.wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for somebody who left: %v", err)
	}
}

// oddCloud fails for the account, and for some functions.
type oddCloud struct{ account error }

func (oddCloud) Function(_ context.Context, name, _ string) (clouddrift.Found, error) {
	if name == "bad" {
		return clouddrift.Found{}, errors.New("no luck")
	}
	return clouddrift.Found{MiB: 128}, nil
}

func (c oddCloud) Account(context.Context) (clouddrift.Account, error) {
	return clouddrift.Account{}, c.account
}

// TestInspectKeepsOrder: findings are in the order of what was wanted, whoever is
// first, and one that fails hides no other.
func TestInspectKeepsOrder(t *testing.T) {
	pool := &spillway.Pool{Name: "east"}
	var wants []clouddrift.Want
	for _, name := range []string{"a", "bad", "b", "c", "d", "e", "bad", "f"} {
		wants = append(wants, clouddrift.Want{Pool: pool, Function: &spillway.Function{}, Binding: &spillway.Binding{Name: name, MiB: 128}})
	}
	found := inspect(t.Context(), oddCloud{errors.New("no account")}, pool, wants)
	if len(found) != len(wants)+1 || found[0].Status != clouddrift.Unreachable || found[0].Problem != "no account" {
		t.Fatalf("%+v", found)
	}
	for i, w := range wants {
		if f := found[1+i]; f.Name != w.Binding.Name || (f.Status == clouddrift.Unreachable) != (f.Name == "bad") {
			t.Errorf("%d: %+v", i, f)
		}
	}
}

// TestSilentCloud: who says nothing is asked once.
func TestSilentCloud(t *testing.T) {
	pool := &spillway.Pool{Name: "east"}
	w := clouddrift.Want{Pool: pool, Function: &spillway.Function{}, Binding: &spillway.Binding{Name: "a", MiB: 128}}
	found := inspect(t.Context(), oddCloud{fmt.Errorf("x: %w", clouddrift.ErrNoAnswer)}, pool, []clouddrift.Want{w})
	if len(found) != 2 || found[1].Status != clouddrift.Unreachable || found[1].Problem != notAsked {
		t.Errorf("%+v", found)
	}
}

// TestPrintDrift: text of a cloud's does not move the cursor.
func TestPrintDrift(t *testing.T) {
	var b strings.Builder
	err := printDrift(&b, clouddrift.NewReport([]clouddrift.Finding{{
		Pool: "p\x1b[2J", Function: "team/fn", Name: "fn", Qualifier: "live", Version: "7", Status: clouddrift.Drift,
		Differences: []clouddrift.Difference{{Field: "memory", Expected: "1", Found: "2\r", Why: "x"}, {Field: "timeout", Expected: "3", Found: "4", Why: "y"}},
		Notes:       []clouddrift.Note{{Field: "code", Text: "\x07"}},
	}}))
	if err != nil || strings.ContainsAny(b.String(), "\x1b\r\x07") || !strings.Contains(b.String(), "fn:live (7)") || strings.Count(b.String(), "team/fn") != 2 {
		t.Errorf("%v:\n%q", err, b.String())
	}
}

// TestExportReplacesItsOwn: files of others stay as they are.
func TestExportReplacesItsOwn(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"own.tf": written + "\n", "main.tf": "x", "notes.txt": written} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), fs.ModePerm); err != nil {
			t.Fatal(err)
		}
	}
	if stale, err := ownFiles(dir, nil); err != nil || len(stale) != 1 || stale[0] != "own.tf" {
		t.Errorf("%v, %v", stale, err)
	}
}
