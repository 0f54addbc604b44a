package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/spillway-dev/spillway/simulator/cloud"
)

// stream is one kind of traffic: workers that call one function one call after
// another.
type stream struct {
	Namespace, Function string
	Workers             int
	Event               func(*rand.Rand) string
}

// want is an ending that a phase goes on for until it was seen so often.
type want struct {
	Ending string // a reason, or "unknown"
	Times  int
}

// phase is one part of the script. It ends after Calls calls once it has seen what
// it wants, so a slower machine makes the same story with as many calls; at Most
// calls it ends anyway.
type phase struct {
	Name, Story string
	Calls, Most int
	Streams     []stream
	Faults      []cloud.Fault
	Wants       []want
	// Dry, if not zero, is how many calls are refused for their budget in a row, with
	// none to a cloud in between, before the phase ends: nothing is left to spend.
	Dry  int
	Calm bool // nothing may overflow
}

// script is the demo: all calls together are at least 5,000.
func script() []phase {
	calm := []stream{
		{"shop", "thumbnail", 1, thumbnail}, {"shop", "flaky", 1, flaky}, {"media", "report", 1, report},
		{"media", "echo", 1, echo}, {"finance", "payroll", 1, payroll}, {"finance", "report", 1, report},
	}
	busy := []stream{
		{"shop", "thumbnail", 8, thumbnail}, {"shop", "flaky", 2, flaky}, {"media", "report", 8, report},
		{"media", "echo", 2, echo}, {"finance", "payroll", 2, payroll}, {"finance", "report", 4, report},
	}
	yearEnd := []stream{
		{"finance", "report", 10, report}, {"finance", "payroll", 1, payroll}, {"shop", "thumbnail", 1, thumbnail},
	}
	weather := []cloud.Fault{
		{Kind: cloud.Throttle, Function: "media-report", Count: 2, Every: 10},
		{Kind: cloud.ResetAfter, Function: "media-report", Count: 2, Every: 12},
		{Kind: cloud.ResetBefore, Function: "media-report", Count: 2, Every: 15},
		{Kind: cloud.ResetAfter, Function: "shop-thumbnail", Count: 3, Every: 5},
	}
	return []phase{
		{Name: "calm", Story: "everything fits on the machines we own", Calls: 800, Most: 800, Streams: calm, Calm: true,
			Wants: []want{{"preferred", 1}, {"pinned", 1}}},
		{Name: "burst", Story: "more calls than places: the rest overflows", Calls: 2600, Most: 6000, Streams: busy,
			Wants: []want{{"overflow_quota", 20}, {"overflow_capacity", 20}, {"overflow_wait", 20}}},
		{Name: "bad weather", Story: "the cloud throttles and loses answers", Calls: 700, Most: 6000, Streams: busy, Faults: weather,
			Wants: []want{{"replaced", 1}, {"unknown", 7}}},
		{Name: "budget end", Story: "finance has spent its day's budget", Calls: 700, Most: 8000, Streams: yearEnd,
			Wants: []want{{"budget_exceeded", 100}}, Dry: 100},
		{Name: "calm again", Story: "the calls come back home", Calls: 600, Most: 600, Streams: calm, Calm: true},
	}
}

func thumbnail(r *rand.Rand) string { return fmt.Sprintf(`{"size":%d}`, 128+64*r.IntN(3)) }

func report(r *rand.Rand) string { return fmt.Sprintf(`{"millis":%d}`, 20+r.IntN(21)) }

func echo(r *rand.Rand) string { return fmt.Sprintf(`{"order":%d}`, r.IntN(1_000_000)) }

func payroll(r *rand.Rand) string {
	return fmt.Sprintf(`{"salaries":[%d,%d]}`, 300_000+r.IntN(400_000), 300_000+r.IntN(400_000))
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
