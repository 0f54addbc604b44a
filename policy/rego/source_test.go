package rego

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
)

const (
	onlyHall = head + "permit := lib.premises_pools\n"
	allPools = head + "permit := lib.pool_names\n"
)

// replace writes a file as a whole, as an editor or a copy does.
func replace(t testing.TB, dir, name, text string) {
	t.Helper()
	temporary := filepath.Join(dir, "."+name)
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func permitted(t testing.TB, s *Source) spillway.PoolSet {
	t.Helper()
	v := s.Evaluate(t.Context(), saturday, call())
	if v.Failed != "" {
		t.Fatal(v.Failed)
	}
	return v.Permitted
}

func open(t testing.TB, dir string, changed func(string, error)) *Source {
	t.Helper()
	s, err := Open(dir, platform(1), changed)
	if err != nil {
		t.Fatal(err)
	}
	s.limit = time.Minute // a busy machine must not decide a test
	if err := s.Swap(platform(1)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReloadKeepsTheLastGoodPolicy(t *testing.T) {
	dir := write(t, map[string]string{"p.rego": onlyHall})
	var reported []error
	s := open(t, dir, func(_ string, err error) { reported = append(reported, err) })
	if got := permitted(t, s); got != 0b001 {
		t.Fatalf("permitted %b", got)
	}
	good := s.Revision()

	replace(t, dir, "p.rego", onlyHall+"deny contains")
	var faults *LoadError
	if err := s.Reload(); !errors.As(err, &faults) {
		t.Errorf("a policy with a syntax error: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "p.rego")); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); !errors.Is(err, errRemoved) {
		t.Errorf("a removed policy: %v", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err == nil {
		t.Error("a removed directory is no error")
	}
	if got := permitted(t, s); got != 0b001 || s.Revision() != good {
		t.Errorf("permitted %b by %s", got, s.Revision())
	}
	if stats := s.Stats(); stats.Rejected != 3 || stats.Reloads != 0 || len(reported) != 3 || stats.Evaluations != 1 {
		t.Errorf("stats %+v, %d reports", stats, len(reported))
	}
}

func TestReloadReplacesVerdicts(t *testing.T) {
	dir := write(t, map[string]string{"p.rego": onlyHall})
	s := open(t, dir, nil)
	first := s.Evaluate(t.Context(), saturday, call())
	if err := s.Reload(); err != nil || s.Evaluate(t.Context(), saturday, call()) != first {
		t.Errorf("reloading an unchanged directory dropped verdicts, error %v", err)
	}
	replace(t, dir, "p.rego", allPools)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := permitted(t, s); got != 0b111 {
		t.Errorf("permitted %b", got)
	}
	replace(t, dir, "data.json", `{"a": 1}`)
	before := s.Revision()
	if err := s.Reload(); err != nil || s.Revision() == before {
		t.Errorf("changed data has the same revision, error %v", err)
	}
	if n := s.Stats().Reloads; n != 2 {
		t.Errorf("%d reloads", n)
	}
}

func TestSwapFollowsThePlatform(t *testing.T) {
	s := open(t, "", nil)
	old := s.Evaluate(t.Context(), saturday, call())
	next := platform(2)
	next.Pools = []*spillway.Pool{next.Pools[1], next.Pools[0]}
	if err := s.Swap(next); err != nil {
		t.Fatal(err)
	}
	in := call()
	in.Burst = "deny"
	v := s.Evaluate(t.Context(), saturday, in)
	if old.Generation != 1 || v.Generation != 2 || v.Permitted != 0b010 || v.ID == old.ID {
		t.Errorf("generation %d, permitted %b, failed %q", v.Generation, v.Permitted, v.Failed)
	}
	many := &spillway.Platform{Generation: 3}
	for range spillway.MaxPools + 1 {
		many.Pools = append(many.Pools, next.Pools[0])
	}
	if err := s.Swap(many); err == nil || s.Evaluate(t.Context(), saturday, in) != v {
		t.Errorf("too many pools: %v", err)
	}
}

func TestWatchReloads(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, dir string){
		"file replaced": func(t *testing.T, dir string) { replace(t, dir, "p.rego", allPools) },
		"file written": func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "p.rego"), []byte(allPools), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"directory replaced": func(t *testing.T, dir string) {
			if err := os.Rename(dir, dir+".old"); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(write(t, map[string]string{"p.rego": allPools}), dir); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "policy")
			if err := os.Rename(write(t, map[string]string{"p.rego": onlyHall}), dir); err != nil {
				t.Fatal(err)
			}
			replaced := make(chan error, 16)
			s := open(t, dir, func(_ string, err error) { replaced <- err })
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- s.Watch(ctx) }()
			before := s.Revision()
			change(t, dir)
			for s.Revision() == before {
				select {
				case <-replaced: // an error if the directory was read between two steps
				case err := <-ended:
					t.Fatalf("stopped watching: %v", err)
				}
			}
			if got := permitted(t, s); got != 0b111 {
				t.Errorf("permitted %b", got)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWatchWithoutADirectory(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := open(t, "", nil).Watch(ctx); err != nil {
		t.Error(err)
	}
	dir := filepath.Join(t.TempDir(), "parent", "policy")
	if err := os.CopyFS(dir, tree(onlyHall)); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, nil)
	if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
		t.Fatal(err)
	}
	if err := s.Watch(t.Context()); err == nil || !strings.Contains(err.Error(), "watching the parent of the policy directory") {
		t.Errorf("error %v", err)
	}
}

// Under reloads and swaps every verdict is one policy's on one platform, whole.
func TestEvaluateDuringReloadAndSwap(t *testing.T) {
	dir := write(t, map[string]string{"p.rego": onlyHall})
	s := open(t, dir, nil)
	bad := onlyHall + "deny contains"
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for i := spillway.Instant(0); ; i++ {
				select {
				case <-done:
					return
				default:
				}
				v := s.Evaluate(t.Context(), saturday+i*60e9, call())
				odd := v.Generation%2 == 1 // see the writer below: odd platforms list hall first
				hall, all := spillway.PoolSet(0b100), spillway.PoolSet(0b111)
				if odd {
					hall = 0b001
				}
				if v.Failed != "" || v.Permitted != hall && v.Permitted != all {
					t.Errorf("generation %d permits %b, failed %q", v.Generation, v.Permitted, v.Failed)
					return
				}
			}
		})
	}
	for i := range 30 {
		replace(t, dir, "p.rego", []string{onlyHall, allPools, bad}[i%3])
		if err := s.Reload(); (err != nil) != (i%3 == 2) {
			t.Errorf("reload %d: %v", i, err)
		}
		p := platform(int64(i) + 2)
		if p.Generation%2 == 0 {
			p.Pools[0], p.Pools[2] = p.Pools[2], p.Pools[0]
		}
		if err := s.Swap(p); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	readers.Wait()
}
