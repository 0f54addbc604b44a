package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/spillway-dev/spillway/provider/course"
	"github.com/spillway-dev/spillway/provider/gate"
)

const (
	// showRunning is how long after it was sent a call that has not been answered shows as
	// running: one that is refused is, before.
	showRunning = 2 * time.Second
	firstRepeat = time.Second // of a request that got no answer
	lastRepeat  = 30 * time.Second
)

// invoke has the dispatcher run an attempt in its cloud, and the course looked at when it
// has ended. Asked again meanwhile it does nothing.
func (c *courses) invoke(ctx context.Context, v virtual, p *corev1.Pod, i course.Invocation) {
	event, err := json.Marshal(eventOf(p, i))
	if err != nil {
		c.log.Error("a pod cannot be told to a cloud", "pod", v.String(), "err", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.memory(v.uid)
	if m.sent >= i.Attempt {
		return
	}
	m.sent = i.Attempt
	c.runs.Go(func() { c.inCloud(ctx, v, i, event) })
}

func (c *courses) inCloud(ctx context.Context, v virtual, i course.Invocation, event []byte) {
	began := time.Now()
	ran, err := c.untilRun(ctx, v, i, event)
	if ctx.Err() != nil {
		return // another process asks again, and joins it
	}
	c.runsIn(v, runOf(ran, err, i, began, time.Now()))
}

// untilRun asks until there is an answer.
func (c *courses) untilRun(ctx context.Context, v virtual, i course.Invocation, event []byte) (gate.Ran, error) {
	for wait := firstRepeat; ; wait = min(2*wait, lastRepeat) {
		ran, err := c.send(ctx, v, i, event)
		if !errors.Is(err, gate.ErrUnavailable) || ctx.Err() != nil {
			return ran, err
		}
		c.log.Warn("what becomes of a pod in a cloud is asked again", "pod", v.String(), "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// send asks once, and shows the attempt as running when that takes a while.
func (c *courses) send(ctx context.Context, v virtual, i course.Invocation, event []byte) (gate.Ran, error) {
	asks, answered := context.WithCancel(ctx)
	sent := make(chan struct{}, 1)
	var shows sync.WaitGroup
	shows.Go(func() { c.shows(asks, v, i, sent) })
	defer shows.Wait()
	defer answered()
	return c.gate.Run(ctx, string(v.uid), gate.RunRequest{Attempt: i.Attempt, Namespace: v.Namespace, Function: i.Function, Event: event}, func() {
		select {
		case sent <- struct{}{}:
		default:
		}
	})
}

// shows an attempt as running that was sent and is not answered, unless ctx ends before.
func (c *courses) shows(ctx context.Context, v virtual, i course.Invocation, sent <-chan struct{}) {
	select {
	case <-ctx.Done():
		return
	case <-sent:
	}
	at := time.Now()
	select {
	case <-ctx.Done():
	case <-time.After(showRunning):
		c.runsIn(v, course.Run{Attempt: i.Attempt, State: course.Running, Started: at, ID: cloudID(i.Pool, i.Key)})
	}
}

// runsIn notes how a run stands, if its pod is still looked after. One that runs began when
// that was noted first.
func (c *courses) runsIn(v virtual, r course.Run) {
	c.mu.Lock()
	if m := c.known[v.uid]; m != nil && (m.cloud == nil || m.cloud.Attempt < r.Attempt || m.cloud.State == course.Running && r.State != course.Running) {
		m.cloud = &r
	}
	c.mu.Unlock()
	c.queue.Add(v)
}

// cloudID is a run as container IDs are written.
func cloudID(pool, id string) string { return pool + "://" + id }

// runOf says what became of a run in the course's words. What the dispatcher does not
// understand or not allow has not run.
func runOf(ran gate.Ran, err error, i course.Invocation, began, now time.Time) course.Run {
	r := course.Run{Attempt: i.Attempt, State: course.NotExecuted, Started: began, Ended: now, Text: ran.Text, ID: cloudID(i.Pool, i.Key)}
	if err != nil {
		r.Text = err.Error()
		return r
	}
	if ran.Invocation != "" {
		r.ID = cloudID(ran.Pool, ran.Invocation)
	}
	switch ran.State {
	case "executed":
		r.State, r.ExitCode = course.Executed, ran.ExitCode
		if ran.Started != nil {
			r.Started = *ran.Started
		}
		if ran.Ended != nil {
			r.Ended = *ran.Ended
		}
		r.Text = lastWords(ran)
	case "not_executed":
		if ran.Reason != "" {
			r.Text = fmt.Sprintf("%s: %s", ran.Reason, ran.Text)
		}
	default:
		r.State = course.Unknown
	}
	return r
}

// lastWords are what a container's termination message has: the function's error and the
// end of what it logged.
func lastWords(ran gate.Ran) string {
	if ran.Text == "" || ran.Log == "" {
		return ran.Text + ran.Log
	}
	return ran.Text + "\n" + ran.Log
}
