package memory

import (
	"sync"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

// Execution is one attempt that started to run.
type Execution struct {
	Invocation string
	Attempt    int
	Function   spillway.FunctionKey
	Instance   spillway.InstanceID
	Started    time.Time
	Ended      time.Time // zero while it runs
}

// record is the oracle: what ran, and how much of it at once.
type record struct {
	mu         sync.Mutex
	executions []Execution
	running    map[string]int // by namespace
	peak       map[string]int
}

func (c *record) began(r pools.Request, now time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil {
		c.running, c.peak = map[string]int{}, map[string]int{}
	}
	key := r.Function.FunctionKey
	c.running[key.Namespace]++
	c.peak[key.Namespace] = max(c.peak[key.Namespace], c.running[key.Namespace])
	c.executions = append(c.executions, Execution{Invocation: r.Invocation, Attempt: r.Attempt,
		Function: key, Instance: r.Instance, Started: now})
	return len(c.executions) - 1
}

func (c *record) ended(n int) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := &c.executions[n]
	e.Ended = time.Now()
	c.running[e.Function.Namespace]--
	return e.Ended
}

// Executions returns every attempt that ran so far, in the order they started.
func (c *record) Executions() []Execution {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Execution(nil), c.executions...)
}

// Peak returns the most attempts of namespace that ever ran at once.
func (c *record) Peak(namespace string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peak[namespace]
}
