// Package scf runs an unmodified Lambda binary on Tencent SCF: it is the client of
// SCF's custom-runtime API and serves the Lambda Runtime API to the binary.
//
//	SCF ◄─ init/ready, GET invocation/next ─ shim ─ Lambda Runtime API ─► binary
//	    ◄─ invocation/response or /error ──┘
//
// SCF's API names no invocation in its answers and gives no deadline: the deadline
// is the arrival of the event plus its time limit.
package scf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent"
)

// Config says where SCF is and what to run.
type Config struct {
	API      string // host:port of the runtime API
	Function agent.Config
}

// Run starts the function, reports it ready, and serves events until ctx ends, the
// runtime API fails or the function cannot be started; it always returns an error.
// A function that died is started again, and an event it had not taken yet is
// given to the new process. Nothing is left running.
func Run(ctx context.Context, c Config) error {
	api := newClient(c.API)
	defer api.close()
	var waiting *event
	for first := true; ; first = false {
		i, err := agent.Start(ctx, c.Function)
		if err != nil {
			return errors.Join(err, api.refuse(ctx, waiting, err))
		}
		if first {
			err = api.ready(ctx)
		}
		if err == nil {
			waiting, err = serve(ctx, api, i, waiting)
		}
		i.Stop()
		if err != nil {
			return err
		}
	}
}

// serve runs events, first the one that is waiting, until the process of i has
// ended. It returns an event that the process did not take.
func serve(ctx context.Context, api *client, i *agent.Instance, waiting *event) (*event, error) {
	for {
		e := waiting
		if e == nil {
			var err error
			if e, err = api.next(ctx); err != nil {
				return nil, err
			}
		}
		ending := i.Invoke(ctx, e.Event)
		if !ending.Delivered && ending.Cause == spillway.CauseCrashed {
			return e, nil
		}
		waiting = nil
		if err := api.answer(ctx, ending); err != nil || ending.InstanceGone {
			return nil, err
		}
	}
}

// failure is an error as Lambda writes it.
func failure(kind, message string) []byte {
	payload, _ := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{kind, message}) // strings always marshal
	return payload
}

// undelivered is the answer to an event whose time was over before it was taken.
func undelivered(cause spillway.Cause) []byte {
	if cause == spillway.CauseTimeout {
		return failure("Sandbox.Timedout", "Task timed out before the function took the event")
	}
	return failure("Sandbox.Failure", fmt.Sprintf("the function did not take the event: %v", cause))
}
