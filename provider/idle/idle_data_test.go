package idle_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/provider/idle"
)

// epoch is the zero of times in test data, at the beginning of a minute.
var epoch = spillway.InstantOf(time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC))

// TestIdle runs the data files: nodes, pods and samples, and what Look says of them.
func TestIdle(t *testing.T) {
	datadriven.Walk(t, "testdata/idle", func(t *testing.T, path string) {
		s := story{config: idle.Defaults()}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.run(t, d) })
	})
}

type story struct {
	config idle.Config
	e      *idle.Estimator
	guests []idle.GuestFacts
}

func (s *story) run(t *testing.T, d *datadriven.TestData) string {
	a := arguments{t, d}
	if s.e == nil && d.Cmd != "config" {
		e, err := idle.New(s.config)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		s.e = e
	}
	switch d.Cmd {
	case "config":
		return s.configure(a)
	case "resume":
		s.e.Resume(a.quantities())
	case "node":
		q := a.quantities()
		q.Pods = a.number("pods", 110)
		s.e.SetNode(idle.Node{Name: a.name(), Eligible: !a.has("cordoned") && !a.has("foreign"), Away: a.has("cordoned"), Allocatable: q})
	case "remove-node":
		s.e.RemoveNode(a.name())
	case "remove":
		s.e.RemovePod(a.name())
	case "sample":
		for at := a.at("from"); at <= a.at("at"); at = at.Add(15 * time.Second) {
			s.e.Sample(a.name(), idle.Usage{At: at, MilliCPU: a.number("cpu", 0), MiB: a.number("mib", 0)})
		}
	case "look":
		return lines(s.e.Look(a.at("at")), a.has("terms"))
	case "pieces":
		var b strings.Builder
		for _, p := range s.e.Pieces() {
			fmt.Fprintf(&b, "%s: idle %s; free %s\n", p.Node, short(p.Idle), short(p.Free))
		}
		return b.String()
	case "fits":
		room, node := s.e.Fits(a.quantities())
		return fmt.Sprintf("%s %s\n", room, node)
	case "pressures":
		var b strings.Builder
		for _, p := range s.e.Pressures() {
			fmt.Fprintf(&b, "%s: %s\n", p.Node, short(p.Need))
		}
		return b.String()
	case "victim":
		s.guests = append(s.guests, a.facts())
	case "victims":
		defer func() { s.guests = nil }()
		return s.victims(a)
	default: // a pod, by its role
		role, ok := map[string]idle.Role{"online": idle.Online, "guest": idle.Guest, "instance": idle.Instance, "virtual": idle.Virtual, "cloud": idle.Cloud}[d.Cmd]
		if !ok {
			d.Fatalf(t, "unknown command")
		}
		s.e.SetPod(idle.Pod{UID: a.name(), Node: a.text("node"), Role: role, Needs: a.quantities(), Since: a.at("since")})
	}
	return ""
}

func (s *story) configure(a arguments) string {
	c := &s.config
	if rule := a.text("rule"); rule != "" {
		c.Rule = map[string]idle.Rule{"requests": idle.RuleRequests, "usage": idle.RuleUsage, "larger": idle.RuleLarger}[rule]
	}
	c.Margin.Percent = a.number("margin", c.Margin.Percent)
	c.Margin.KeptPercent = a.number("kept", c.Margin.KeptPercent)
	c.Damping.GrowPercent = a.number("grow", c.Damping.GrowPercent)
	c.Damping.QuantumPercent = a.number("quantum", c.Damping.QuantumPercent)
	if err := c.Check(); err != nil {
		s.config = idle.Defaults()
		return err.Error() + "\n"
	}
	return ""
}

func lines(r idle.Report, terms bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", r.State)
	if r.Reclaiming {
		b.WriteString(", reclaiming")
	}
	if r.Again != spillway.Never {
		fmt.Fprintf(&b, ", again at %v", r.Again.Sub(epoch))
	}
	fmt.Fprintf(&b, "\npublished %s\n", short(r.Published))
	if terms {
		fmt.Fprintf(&b, "allocatable %s\n  online %s\n  margin %s\n  stranded %s\n  idle %s\n", short(r.Allocatable), short(r.Online), short(r.Margin), short(r.Stranded), short(r.Idle))
		fmt.Fprintf(&b, "offered %s; guests %s; allocated %s; damped %s; owed %s\n", short(r.Offered), short(r.Guests), short(r.Allocated), short(r.Damped), short(r.Owed))
		fmt.Fprintf(&b, "largest %s on %s; unschedulable %s\n", short(r.Largest.Free), r.Largest.Node, short(r.Unschedulable))
	}
	return b.String()
}

func short(q idle.Quantities) string {
	if q.Zero() {
		return "nothing"
	}
	s := fmt.Sprintf("%dm %dMi %dp", q.MilliCPU, q.MiB, q.Pods)
	if q.EphemeralMiB != 0 {
		s += fmt.Sprintf(" disk %dMi", q.EphemeralMiB)
	}
	for _, c := range q.Extended {
		s += fmt.Sprintf(" %s=%d", c.Name, c.N)
	}
	return s
}

// arguments reads a command's words.
type arguments struct {
	t *testing.T
	d *datadriven.TestData
}

func (a arguments) name() string { return a.d.CmdArgs[0].Key }

func (a arguments) has(key string) bool { return a.d.HasArg(key) }

func (a arguments) text(key string) string {
	for _, arg := range a.d.CmdArgs {
		if arg.Key == key && len(arg.Vals) > 0 {
			return arg.Vals[0]
		}
	}
	return ""
}

func (a arguments) number(key string, otherwise int64) int64 {
	text := a.text(key)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		a.d.Fatalf(a.t, "%s: %v", key, err)
	}
	return n
}

func (a arguments) duration(key string) time.Duration {
	text := a.text(key)
	if text == "" {
		return 0
	}
	after, err := time.ParseDuration(text)
	if err != nil {
		a.d.Fatalf(a.t, "%s: %v", key, err)
	}
	return after
}

func (a arguments) at(key string) spillway.Instant { return epoch.Add(a.duration(key)) }

func (a arguments) quantities() idle.Quantities {
	extended := map[string]int64{}
	for _, arg := range a.d.CmdArgs {
		if strings.Contains(arg.Key, "/") {
			extended[arg.Key] = a.number(arg.Key, 0)
		}
	}
	return idle.Quantities{MilliCPU: a.number("cpu", 0), MiB: a.number("mib", 0), EphemeralMiB: a.number("disk", 0), Pods: a.number("pods", 0), Extended: idle.ExtendedOf(extended)}
}
