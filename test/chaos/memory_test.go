package chaos

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spillway-dev/spillway/simulator/cloud"
)

// TestOversizedAnswersFitInMemory has SCF answer 40 MiB to every call: the server
// lets go of them without ever having held them all, for on-prem work needs it.
func TestOversizedAnswersFitInMemory(t *testing.T) {
	t.Parallel()
	const calls, limit = 60, 1 << 20 // KiB; the answers are 2.3 GiB
	s := newSite(t, "scf", cloud.SCF, 1)
	must(t, s.cloud.Inject(cloud.Fault{Kind: cloud.Oversized}))
	s.together(calls)
	w := newWorld(t, 1, []*site{s}, []function{{"work", "never", "CloudOnly", []string{"scf"}}})
	for _, r := range w.atOnce(calls, "work") {
		if r.ending != unknown {
			t.Errorf("want it unknown: %s", r)
		}
	}
	peak := w.peakKiB()
	t.Logf("the server held up to %d MiB", peak>>10)
	if peak > limit {
		t.Errorf("want at most %d MiB", limit>>10)
	}
	w.stop()
	w.books().check(t)
}

// peakKiB is the most memory that the server has held.
func (w *world) peakKiB() (peak int) {
	w.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.server.Process.Pid))
	must(w.t, err)
	for line := range strings.Lines(string(text)) {
		if n, err := fmt.Sscanf(line, "VmHWM: %d kB", &peak); n == 1 && err == nil {
			return peak
		}
	}
	w.t.Fatal("the kernel does not say how much memory the server has held")
	return 0
}
