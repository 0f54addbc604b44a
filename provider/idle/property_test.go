package idle_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/provider/idle"
)

const gpu = "nvidia.com/gpu"

func drawQuantities(t *rapid.T, cpu int64) idle.Quantities {
	q := idle.Quantities{
		MilliCPU:     rapid.Int64Range(0, cpu).Draw(t, "cpu"),
		MiB:          rapid.Int64Range(0, 32768).Draw(t, "mib"),
		EphemeralMiB: rapid.Int64Range(0, 10000).Draw(t, "disk"),
	}
	if rapid.Bool().Draw(t, "has gpu") {
		q.Extended = idle.ExtendedOf(map[string]int64{gpu: rapid.Int64Range(0, 4).Draw(t, "gpus")})
	}
	return q
}

func drawConfig(t *rapid.T) idle.Config {
	c := idle.Defaults()
	c.Rule = idle.Rule(rapid.IntRange(0, 2).Draw(t, "rule"))
	c.Margin.Percent = rapid.Int64Range(0, 100).Draw(t, "margin")
	c.Margin.KeptPercent = rapid.Int64Range(0, 100).Draw(t, "kept")
	c.Damping.GrowPercent = rapid.Int64Range(1, 100).Draw(t, "grow")
	c.Damping.QuantumPercent = rapid.Int64Range(0, 20).Draw(t, "quantum")
	c.Damping.Notice = time.Duration(rapid.IntRange(0, 10).Draw(t, "notice")) * time.Second
	c.Forecast.Window, c.Forecast.Warm = 5*time.Minute, time.Minute
	return c
}

// machine changes an estimator at random and remembers everything it was told.
type machine struct {
	c     idle.Config
	e     *idle.Estimator
	now   spillway.Instant
	nodes map[string]idle.Node
	pods  map[string]idle.Pod
	log   []func(e *idle.Estimator) // what a new estimator is told to know the same
	past  []look
}

type look struct {
	at     spillway.Instant
	report idle.Report
	offer  idle.Quantities
}

func (m *machine) tell(f func(e *idle.Estimator)) {
	f(m.e)
	m.log = append(m.log, f)
}

func (m *machine) change(t *rapid.T) {
	name := fmt.Sprint("n", rapid.IntRange(0, 3).Draw(t, "node"))
	uid := fmt.Sprint("p", rapid.IntRange(0, 7).Draw(t, "pod"))
	switch rapid.IntRange(0, 6).Draw(t, "change") {
	case 0, 1:
		n := idle.Node{Name: name, Eligible: rapid.IntRange(0, 3).Draw(t, "eligible") > 0, Allocatable: drawQuantities(t, 16000)}
		n.Allocatable.Pods = 110
		m.nodes[name] = n
		m.tell(func(e *idle.Estimator) { e.SetNode(n) })
	case 2:
		delete(m.nodes, name)
		m.tell(func(e *idle.Estimator) { e.RemoveNode(name) })
	case 3, 4:
		p := idle.Pod{UID: uid, Node: name, Role: idle.Role(rapid.IntRange(0, 4).Draw(t, "role")), Needs: drawQuantities(t, 5000), Since: m.now}
		m.pods[uid] = p
		m.tell(func(e *idle.Estimator) { e.SetPod(p) })
	case 5:
		delete(m.pods, uid)
		m.tell(func(e *idle.Estimator) { e.RemovePod(uid) })
	case 6:
		u := idle.Usage{At: m.now, MilliCPU: rapid.Int64Range(0, 10000).Draw(t, "used cpu"), MiB: rapid.Int64Range(0, 10000).Draw(t, "used mib")}
		m.tell(func(e *idle.Estimator) { e.Sample(name, u) })
	}
}

// TestEstimatorProperties: whatever happens, the terms add up, sums kept by changes
// are those of an estimator told afresh, nothing falls unannounced, nothing rises that
// has not held, and without the taint no more is offered than there is.
func TestEstimatorProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{c: drawConfig(t), now: epoch, nodes: map[string]idle.Node{}, pods: map[string]idle.Pod{}}
		m.e, _ = idle.New(m.c)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				m.change(t)
			}
			r := m.e.Look(m.now)
			m.check(t, r)
			m.past = append(m.past, look{m.now, r, m.offer()})
			m.now = m.now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second)
			if rapid.Bool().Draw(t, "when told") && r.Again != spillway.Never {
				m.now = max(m.past[len(m.past)-1].at, r.Again)
			}
		}
	})
}

func (m *machine) check(t *rapid.T, r idle.Report) {
	if sum := r.Online.Plus(r.Margin).Plus(r.Stranded).Plus(r.Idle); !sum.Equal(r.Allocatable) {
		t.Fatalf("terms add up to %v, not to %v", sum, r.Allocatable)
	}
	afresh, _ := idle.New(m.c)
	for _, f := range m.log {
		f(afresh)
	}
	if a := afresh.Look(m.now); !a.Idle.Equal(r.Idle) || !a.Guests.Equal(r.Guests) || !a.Allocated.Equal(r.Allocated) || a.Largest.Node != r.Largest.Node || a.Pressed != r.Pressed {
		t.Fatalf("told afresh: %+v\nby changes: %+v", a, r)
	}
	if want := r.Offered.Smaller(m.offer()); !r.Present.Equal(want) {
		t.Fatalf("present %v, want %v", r.Present, want)
	}
	if !r.Allocated.Within(r.Published) {
		t.Fatalf("published %v, allocated %v", r.Published, r.Allocated)
	}
	if r.Again <= m.now {
		t.Fatalf("look again at %v, now %v", r.Again.Sub(epoch), m.now.Sub(epoch))
	}
	m.checkTruth(t, r)
	m.checkPieces(t, r)
	if len(m.past) > 0 {
		m.checkMoves(t, m.past[len(m.past)-1].report.Offered, r)
	}
}

// offer is what may be promised: what is idle, or what guests hold if that is more,
// node by node.
func (m *machine) offer() (sum idle.Quantities) {
	held := map[string]idle.Quantities{}
	for _, p := range m.pods {
		if p.Role == idle.Guest || p.Role == idle.Instance {
			p.Needs.Pods = 1
			held[p.Node] = held[p.Node].Plus(p.Needs)
		}
	}
	for _, p := range m.e.Pieces() {
		held[p.Node] = held[p.Node].Larger(p.Idle)
	}
	for _, q := range held {
		sum = sum.Plus(q)
	}
	return sum
}

func (m *machine) checkTruth(t *rapid.T, r idle.Report) {
	if !r.Reclaiming && !r.Offered.Within(m.offer()) {
		t.Fatalf("offered %v of %v without the taint", r.Offered, m.offer())
	}
	if !r.Reclaiming && r.Pressed > 0 {
		t.Fatal("guests must go and the taint is not wanted")
	}
}

func (m *machine) checkPieces(t *rapid.T, r idle.Report) {
	var sum idle.Quantities
	for _, p := range m.e.Pieces() {
		sum = sum.Plus(p.Idle)
		if p.Free.MilliCPU > r.Largest.Free.MilliCPU {
			t.Fatalf("%s has %v free, the largest is %+v", p.Node, p.Free, r.Largest)
		}
		if p.Free.MilliCPU > 0 && p.Free.Pods > 0 {
			if room, _ := m.e.Fits(p.Free); room != idle.RoomNow {
				t.Fatalf("%v is free on %s and fits %v", p.Free, p.Node, room)
			}
		}
	}
	if !sum.Equal(r.Idle) {
		t.Fatalf("pieces add up to %v, not to %v", sum, r.Idle)
	}
}

// checkMoves compares an offer with the one before.
func (m *machine) checkMoves(t *rapid.T, before idle.Quantities, r idle.Report) {
	if fell := before.Beyond(r.Offered); !fell.Zero() && !m.announced(m.c.Damping.Notice) {
		t.Fatalf("%v fell without notice", fell)
	}
	rose := r.Offered.Beyond(before)
	if rose.Zero() {
		return
	}
	window := m.now.Add(-m.c.Damping.GrowAfter)
	if m.past[0].at > window {
		t.Fatalf("%v rose too early", rose)
	}
	for _, p := range m.past {
		if p.at < window {
			continue
		}
		for _, q := range [...][3]int64{{rose.MilliCPU, r.Offered.MilliCPU, p.offer.MilliCPU}, {rose.MiB, r.Offered.MiB, p.offer.MiB}, {rose.Extended.Of(gpu), r.Offered.Extended.Of(gpu), p.offer.Extended.Of(gpu)}} {
			if q[0] > 0 && q[1] > q[2] {
				t.Fatalf("offered %v; at %v there were %v", r.Offered, p.at.Sub(epoch), p.offer)
			}
		}
	}
}

// announced reports whether a taint that was already there at the last look has stood
// for so long.
func (m *machine) announced(notice time.Duration) bool {
	if notice == 0 {
		return true
	}
	from := m.now
	for i := len(m.past) - 1; i >= 0 && m.past[i].report.Reclaiming; i-- {
		from = m.past[i].at
	}
	return m.now.Sub(from) >= notice
}

// TestNoiseIsDamped: noise of any shape within a band changes what is offered a bounded
// number of times, and within half a quantum it comes to rest.
func TestNoiseIsDamped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := idle.Defaults()
		c.Margin.Percent, c.Damping.Quantum, c.Damping.QuantumPercent = 0, idle.Quantities{}, 5
		e, _ := idle.New(c)
		const cpu, quantum = 100_000, 5_000
		e.SetNode(idle.Node{Name: "n", Eligible: true, Allocatable: idle.Quantities{MilliCPU: cpu, MiB: 1 << 20, Pods: 110}})
		middle := rapid.Int64Range(20_000, 80_000).Draw(t, "middle")
		band := rapid.Int64Range(0, 20_000).Draw(t, "band")
		now, changes := epoch, int64(0)
		var last idle.Report
		steps := rapid.IntRange(1, 400).Draw(t, "steps")
		for i := range steps {
			e.SetPod(idle.Pod{UID: "p", Node: "n", Needs: idle.Quantities{MilliCPU: rapid.Int64Range(middle, middle+band).Draw(t, "online")}})
			r := e.Look(now)
			if i > 0 && r.Offered.MilliCPU != last.Offered.MilliCPU {
				changes++
			}
			last = r
			now = now.Add(time.Duration(rapid.IntRange(1, 10).Draw(t, "seconds")) * time.Second)
		}
		windows := int64(now.Sub(epoch)/c.Damping.GrowAfter) + 1
		if most := windows * (1 + band/quantum + 1); changes > most {
			t.Fatalf("%d changes in %d windows, at most %d", changes, windows, most)
		}
		if band <= quantum/2 && changes > 2 {
			t.Fatalf("noise of %d made %d changes", band, changes)
		}
	})
}
