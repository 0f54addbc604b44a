package server

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/pools"
)

// Web is an HTTP request to a web function. Its Stream is set by the server and
// leads to Stream here.
type Web struct {
	pools.Web
	Stream WebStream
}

// WebStream takes an answer that leaves before its attempt has ended: before it is
// known how that ends, and before its ledger line is posted.
type WebStream interface {
	pools.Stream
	// Placed says where the attempt runs; it comes before Begin.
	Placed(Placement)
}

// Placement is where and why a call runs, as X-Spillway headers say it.
type Placement struct {
	Invocation string
	Pool       string
	Reason     spillway.Reason
	Decision   string // as dispatcher.Explanation.Summary
}

// Contract returns how a function is spoken to, or an *UnknownFunctionError.
func (s *Server) Contract(key spillway.FunctionKey) (spillway.Contract, error) {
	f, err := s.lookup(&Ask{Function: key})
	if err != nil {
		return 0, err
	}
	return f.Contract, nil
}

// webOf is the pool's side of a call of a web function, or nil.
func (c *call) webOf() *pools.Web {
	w := c.ask.Web
	if w == nil {
		return nil
	}
	w.Web.Stream = begun{w.Stream, c}
	return &w.Web
}

// atOnce is the longest body in bytes that a web function is sent before its answer is
// read. A longer one could fill the connection while the function, which answers as
// it reads, waits for its answer to be read.
const atOnce = 32 << 10

// streamLarge has a pool read a body beside the answer that is too long for atOnce.
func streamLarge(r *pools.Request) {
	if r.Web == nil || r.Web.Body != nil || len(r.Payload) <= atOnce {
		return
	}
	web := *r.Web // another attempt may want it whole
	web.Body, web.Length = io.NopCloser(bytes.NewReader(r.Payload)), int64(len(r.Payload))
	r.Web, r.Payload = &web, nil
}

// begun tells a stream where it comes from before it begins.
type begun struct {
	WebStream
	c *call
}

func (b begun) Begin(status int, header http.Header, until time.Time) {
	b.Placed(b.c.placement())
	b.WebStream.Begin(status, header, until)
}

// placement reads the decision of a call that runs or ran. While an attempt runs
// on-prem, the Engine does not write to it.
func (c *call) placement() Placement {
	d := c.decision
	pool := d.Call.Function.Platform.Pools[d.Pool].Name
	outcome := "open"
	if d.Answered != 0 {
		outcome = d.Last().Outcome.Class.String()
	}
	return Placement{Invocation: d.Call.ID, Pool: pool, Reason: d.Reason, Decision: summary(d, outcome, pool)}
}

// summary is dispatcher.Explanation.Summary for a call that runs or ran, without
// making an Explanation.
func summary(d *dispatcher.Decision, outcome, pool string) string {
	b := make([]byte, 0, 160)
	b = append(append(b, "outcome="...), outcome...)
	b = append(append(b, " reason="...), d.Reason.String()...)
	b = append(append(b, " pool="...), pool...)
	if d.Limit.Kind != spillway.LimitNone {
		b = strconv.AppendQuote(append(b, " limit="...), d.Limit.String())
	}
	if ms := float64(d.Waited.Microseconds()) / 1e3; ms > 0 {
		b = append(strconv.AppendFloat(append(b, " waited="...), ms, 'f', 1, 64), "ms"...)
	}
	if d.Tries > 1 {
		b = strconv.AppendInt(append(b, " attempts="...), int64(d.Tries), 10)
	}
	if v := d.Verdict; v != nil {
		if v.ID != "" {
			b = append(append(b, " verdict="...), v.ID...)
		}
		if v.Failed != "" {
			b = strconv.AppendQuote(append(b, " policy_failed="...), v.Failed)
		}
	}
	return string(b)
}

// plain reports that there is nothing to explain of a call but its placement.
func plain(d *dispatcher.Decision) bool {
	return d.Tries > 0 && d.Refusal == spillway.ReasonNone && !d.Reason.Overflow() && d.Last().Outcome.Class == spillway.Executed
}
