package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spillway-dev/spillway/agent"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/process/unpack"
)

// maxSpec bounds a spec in bytes.
const maxSpec = 1 << 20

func (s *Server) serveStart(w http.ResponseWriter, r *http.Request) {
	var request startRequest
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSpec)) // to its end, or nobody sees the caller go
	if err == nil {
		err = json.Unmarshal(text, &request)
	}
	if err != nil {
		s.refuse(w, r, http.StatusBadRequest, "the spec cannot be read: %v", err)
		return
	}
	arrived(w)
	ctx, cancel := context.WithCancel(r.Context()) // the caller gives up by going away
	defer cancel()
	if request.Left > 0 {
		var late context.CancelFunc
		ctx, late = context.WithTimeout(ctx, request.Left)
		defer late()
	}
	if status, why := s.take(request.Spec, cancel); status != 0 {
		s.refuse(w, r, status, "%s", why)
		return
	}
	began, err := s.start(ctx, request.Spec)
	if !s.started(began) && err == nil {
		err = &pools.StartError{Type: "Runtime.ExitError", Err: errors.New("the agent was told to stop while it started")}
	}
	if err != nil {
		if failed, ok := errors.AsType[*pools.StartError](err); ok {
			s.reply(w, http.StatusUnprocessableEntity, startAnswer{Type: failed.Type, Error: bounded(failed.Err.Error())})
			return
		}
		s.refuse(w, r, http.StatusInternalServerError, "%s", bounded(err.Error()))
		return
	}
	cold := began.ColdStart()
	s.mu.Lock()
	unpack := s.unpack
	s.mu.Unlock()
	s.reply(w, http.StatusOK, startAnswer{Unpack: unpack, Start: cold.Start, Init: cold.Init})
}

func bounded(text string) string { return text[:min(len(text), maxWord)] }

// take makes the agent that of spec, for good; cancel ends the start. It returns a status
// and a reason if it cannot be.
func (s *Server) take(spec Spec, cancel context.CancelFunc) (int, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := len(s.config.Command) > 0
	switch {
	case s.state != StateFresh || s.draining:
		return http.StatusConflict, fmt.Sprintf("the agent is %s and runs one function in its life", s.state)
	case spec.Name == "" || spec.Namespace == "" || spec.MiB <= 0:
		return http.StatusBadRequest, "the spec has no namespace, name or memory"
	case own && spec.Package != "":
		return http.StatusBadRequest, "the agent runs the function of its image and takes no package"
	case !own && spec.Package == "":
		return http.StatusBadRequest, "the agent has no function of its own: a package must be named"
	case !own && spec.Package != s.stored:
		return http.StatusPreconditionRequired, "the package has to be sent first"
	}
	s.state, s.spec = StateStarting, spec
	s.giveUp, s.settled = cancel, make(chan struct{})
	return 0, ""
}

// started publishes a ready instance, nil if there is none. It reports false if the
// agent has ended meanwhile.
func (s *Server) started(ready *agent.Instance) bool {
	s.mu.Lock()
	ended := s.state == StateEnded
	switch {
	case ready == nil:
		s.state = StateEnded
	case !ended:
		s.state, s.instance = StateStarted, ready
	}
	s.mu.Unlock()
	if ended && ready != nil {
		ready.Stop()
	}
	close(s.settled)
	return !ended
}

func (s *Server) start(ctx context.Context, spec Spec) (*agent.Instance, error) {
	c := agent.Config{
		Name: spec.Name, Version: spec.Revision, Handler: spec.Handler, Region: spec.Region,
		ARN:       "arn:aws:lambda:onprem:000000000000:function:" + spec.Name,
		MemoryMiB: spec.MiB, Scratch: s.scratch(), Env: spec.Env,
		Web: spec.Web, WebAtOnce: spec.places(),
		InitTimeout: spec.InitTimeout, MaxResponse: pools.MaxPayload,
		Log: s.config.Log, LogGroup: "/spillway/" + spec.key().String(), LogStream: spec.LogStream,
	}
	if err := s.locate(&c, spec); err != nil {
		return nil, &pools.StartError{Type: "Runtime.InvalidEntrypoint", Err: err}
	}
	if s.config.Confine != nil {
		c.Cage = s.config.Confine(spec.MiB)
	}
	return agent.Start(ctx, c)
}

// locate says what to run: the program in the package, or the image's own.
func (s *Server) locate(c *agent.Config, spec Spec) error {
	if len(s.config.Command) == 0 {
		program, err := unpack.Program(s.folder, spec.Handler)
		c.TaskRoot, c.Command = s.folder, []string{program}
		return err
	}
	program, err := exec.LookPath(s.config.Command[0])
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return fmt.Errorf("find the program of the image: %w", err)
	}
	c.TaskRoot, c.Command = s.config.WorkDir, append([]string{program}, s.config.Command[1:]...)
	c.Env = append(imageEnvironment(s.config.Environ), spec.Env...)
	return nil
}

// imageEnvironment leaves out what is the agent's own.
func imageEnvironment(environ []string) []string {
	var kept []string
	for _, pair := range environ {
		if !strings.HasPrefix(pair, "SPILLWAY_AGENT_") {
			kept = append(kept, pair)
		}
	}
	return kept
}
