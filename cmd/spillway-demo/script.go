package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/spillway-dev/spillway/examples/demo"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

// stream is one kind of traffic: workers that call one function one call after
// another.
type stream struct {
	Namespace, Function string
	Workers             int
	Event               func(*rand.Rand) string
	Rest                time.Duration // of a worker between two calls
}

// want is an ending that a phase goes on for until it was seen so often.
type want struct {
	Ending string // a reason, or "unknown"
	Times  int
}

// weather is a fault of the stand-in behind one pool.
type weather struct {
	Pool string
	cloud.Fault
}

// moment is what happens once a phase has sent so many calls, under its load. The
// phase goes on until it is over.
type moment struct {
	After int
	Do    func(ctx context.Context, w *world, p *progress, m *moments) error
}

// phase is one part of the script. It ends after Calls calls once it has seen what
// it wants, so a slower machine makes the same story with as many calls; at Most
// calls it ends anyway.
type phase struct {
	Name, Story string
	Calls, Most int
	Streams     []stream
	Live        demo.Live // the rules it begins with
	Faults      []weather
	Wants       []want
	Midway      *moment
	// Dry, if not zero, is how many calls are refused for their budget in a row, with
	// none to a cloud in between, before the phase ends: nothing is left to spend.
	Dry  int
	Calm bool // nothing may overflow
}

// atLeast is how many calls all phases have together.
const atLeast = 20_000

// Names of phases that checks are about.
const (
	phaseKill   = "kill switch"
	phaseShadow = "shadow mode"
)

// script is the demo: all calls together are at least atLeast.
func script() []phase {
	const rest = 12 * time.Millisecond // or the shortest calls would be most of all
	calm := []stream{
		{"shop", "thumbnail", 1, thumbnail, 0}, {"shop", "flaky", 1, flaky, rest}, {"shop", "web", 2, page, rest / 2},
		{"media", "report", 2, report, 0}, {"finance", "payroll", 1, payroll, rest / 2}, {"finance", "report", 1, report, 0},
	}
	busy := []stream{
		{"shop", "thumbnail", 8, thumbnail, 0}, {"shop", "flaky", 2, flaky, rest}, {"shop", "web", 2, page, rest}, {"media", "report", 8, report, 0},
		{"media", "echo", 3, echo, 0}, {"finance", "payroll", 1, payroll, rest}, {"finance", "report", 3, report, 0},
	}
	yearEnd := []stream{
		{"finance", "report", 10, report, 0}, {"finance", "payroll", 1, payroll, rest}, {"shop", "thumbnail", 2, thumbnail, 0}, {"shop", "web", 1, page, rest},
	}
	storm := []weather{
		{"scf", cloud.Fault{Kind: cloud.Throttle, Function: "media-report", Reason: "432", Count: 2, Every: 10}},
		{"scf", cloud.Fault{Kind: cloud.ResetAfter, Function: "media-report", Count: 2, Every: 12}},
		{"scf", cloud.Fault{Kind: cloud.ResetBefore, Function: "media-report", Count: 2, Every: 15}},
		{"lambda", cloud.Fault{Kind: cloud.ResetAfter, Function: "shop-thumbnail", Count: 3, Every: 5}},
		{"lambda", cloud.Fault{Kind: cloud.Throttle, Function: "shop-thumbnail", Count: 2, Every: 10}},
	}
	return []phase{
		{Name: "calm", Story: "all fits on machines we own", Calls: 2000, Most: 2000, Streams: calm, Calm: true,
			Wants: []want{{"preferred", 1}, {"pinned", 1}}},
		{Name: "burst", Story: "more calls than places: two clouds help", Calls: 4600, Most: 9000, Streams: busy,
			Wants: []want{{"overflow_quota", 20}, {"overflow_capacity", 20}, {"overflow_wait", 20}, {"weight", 20}}},
		{Name: "bad weather", Story: "clouds lose answers; a bad file comes", Calls: 2000, Most: 9000, Streams: busy, Faults: storm,
			Wants:  []want{{"replaced", 1}, {"unknown", 7}},
			Midway: &moment{After: 500, Do: badFile}},
		{Name: "canary", Story: "a new thumbnail gets 10 % of its calls", Calls: 3000, Most: 6000, Streams: busy, Live: demo.Live{Canary: 10},
			Wants: []want{{"canary", 1}}},
		{Name: phaseKill, Story: "no more calls to clouds, at once", Calls: 3000, Most: 6000, Streams: busy, Live: demo.Live{Canary: 10},
			Midway: &moment{After: 800, Do: killSwitch}},
		{Name: phaseShadow, Story: "what would burst is only counted", Calls: 2400, Most: 6000, Streams: busy, Live: demo.Live{Canary: 30, Shadow: true}},
		{Name: "budget end", Story: "finance has spent its day's budget", Calls: 1000, Most: 9000, Streams: yearEnd, Live: demo.Live{Canary: 50},
			Wants: []want{{"budget_exceeded", 100}}, Dry: 100},
		{Name: "calm again", Story: "the calls come back home", Calls: 2000, Most: 2000, Streams: calm, Live: demo.Live{Canary: 100}, Calm: true},
	}
}

func thumbnail(r *rand.Rand) string { return fmt.Sprintf(`{"size":%d}`, 64+64*r.IntN(3)) }

func report(r *rand.Rand) string { return fmt.Sprintf(`{"millis":%d}`, 20+r.IntN(21)) }

func echo(r *rand.Rand) string { return fmt.Sprintf(`{"order":%d}`, r.IntN(1_000_000)) }

func payroll(r *rand.Rand) string {
	return fmt.Sprintf(`{"salaries":[%d,%d]}`, 300_000+r.IntN(400_000), 300_000+r.IntN(400_000))
}

// page is a body of random bytes: 16 KiB, three in 64 six times that, and one in 64
// so much that its size is not said.
func page(r *rand.Rand) string {
	size := 16 << 10
	switch n := r.IntN(64); {
	case n == 0:
		size = sizeUnsaid
	case n < 4:
		size *= 6
	}
	body := make([]byte, 0, size)
	for len(body) < size {
		body = binary.LittleEndian.AppendUint64(body, r.Uint64())
	}
	return string(body)
}

// flaky fails one time in eight, and one time in a hundred takes its process along.
func flaky(r *rand.Rand) string {
	switch n := r.IntN(100); {
	case n < 1:
		return `{"mode":"exit"}`
	case n < 2:
		return `{"mode":"panic"}`
	case n < 12:
		return `{"mode":"error"}`
	}
	return `{}`
}
