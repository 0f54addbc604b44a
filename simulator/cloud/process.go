package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent"
	"github.com/spillway-dev/spillway/pools"
)

// process runs an unmodified Lambda binary behind the Runtime API.
type process struct {
	instance *agent.Instance
	timeout  time.Duration
	scratch  string
}

// start implements front.
func (s *lambdaFront) start(ctx context.Context, f *function, version string) (runner, time.Duration, *initError) {
	scratch, err := os.MkdirTemp(s.scratch, f.Name+"-")
	if err != nil {
		return nil, 0, &initError{"Sandbox.Failure", "no scratch directory: " + err.Error()}
	}
	began := time.Now()
	instance, err := agent.Start(ctx, agent.Config{
		Name: f.Name, Version: version, Handler: f.HandlerName, ARN: s.arn(f.Name, ""), Region: s.config.Region,
		MemoryMiB: int64(f.MiB), TaskRoot: f.taskRoot(), Scratch: scratch, Command: f.commandLine(), Env: f.Env,
		InitTimeout: initLimit,
	})
	if err != nil {
		os.RemoveAll(scratch)
		return nil, time.Since(began), initFailure(err)
	}
	cold := instance.ColdStart()
	return &process{instance: instance, timeout: f.Timeout, scratch: scratch}, cold.Start + cold.Init, nil
}

func initFailure(err error) *initError {
	var start *pools.StartError
	if errors.As(err, &start) {
		return &initError{start.Type, start.Err.Error()}
	}
	return &initError{"Sandbox.Failure", err.Error()}
}

func (f Function) taskRoot() string {
	if f.Dir != "" {
		return f.Dir
	}
	return filepath.Dir(f.Command[0])
}

func (f Function) commandLine() []string {
	program := f.Command[0]
	if !filepath.IsAbs(program) {
		program = filepath.Join(f.taskRoot(), program)
	}
	return append([]string{program}, f.Command[1:]...)
}

func (p *process) stop() {
	p.instance.Stop()
	os.RemoveAll(p.scratch)
}

func (p *process) run(ctx context.Context, c *call) ending {
	got := p.instance.Invoke(ctx, agent.Event{
		ID: c.id, Payload: c.payload, ClientContext: c.clientContext,
		Deadline: time.Now().Add(p.timeout), LogTail: true,
	})
	if got.InstanceGone {
		os.RemoveAll(p.scratch)
	}
	end := ending{
		delivered: got.Delivered, gone: got.InstanceGone, timedOut: got.Cause == spillway.CauseTimeout,
		payload: got.Payload, duration: got.Duration, peakMiB: (got.PeakBytes + 1<<20 - 1) >> 20,
		log: ownLines(got.LogTail, c),
	}
	if got.FunctionError != spillway.FunctionOK {
		end.errorType = got.ErrorType
	}
	return end
}

// ownLines cuts the agent's START, END and REPORT off a tail: the stand-in writes
// its own, so that they agree with its bill.
func ownLines(tail []byte, c *call) []byte {
	start := fmt.Appendf(nil, "START RequestId: %s Version: %s\n", c.id, c.version)
	if at := bytes.LastIndex(tail, []byte("END RequestId: "+c.id)); at >= 0 {
		tail = tail[:at]
	}
	return bytes.TrimPrefix(tail, start)
}
