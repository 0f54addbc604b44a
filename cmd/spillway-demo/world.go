package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"time"

	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

// readyWithin bounds the start of each program.
const readyWithin = 60 * time.Second

// world is the two programs of a run and how to reach them.
type world struct {
	stage      *stage
	cloud, up  *child
	cloudAPI   string
	cloudAdmin string
	front      string
	admin      string
	client     *http.Client
}

// start starts the stand-in cloud, then Spillway, and waits until both serve. On
// an error nothing is left running.
func (s *stage) start(ctx context.Context) (*world, error) {
	w := &world{stage: s, client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}}
	err := s.configure("http://127.0.0.1:1")
	if err == nil {
		err = w.startCloud(ctx)
	}
	if err == nil {
		err = s.configure(w.cloudAPI)
	}
	if err == nil {
		err = w.startServer(ctx)
	}
	if err != nil {
		w.abandon()
		return nil, err
	}
	return w, nil
}

var address = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// startCloud reads the stand-in's addresses from what it says at start.
func (w *world) startCloud(ctx context.Context) (err error) {
	log := w.stage.path("cloud.log")
	w.cloud, err = startChild("spillway cloud", log, w.stage.program(), "cloud",
		"--config", w.stage.path("cloud.yaml"), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	if err != nil {
		return err
	}
	return w.cloud.await(ctx, readyWithin, func() bool {
		text, err := os.ReadFile(log)
		found := address.FindAllString(string(text), 2)
		if err != nil || len(found) < 2 {
			return false
		}
		w.cloudAPI, w.cloudAdmin = found[0], found[1]
		var state cloud.State
		return w.get(ctx, w.cloudAdmin+"/state", &state) == nil
	})
}

// startServer reads the server's addresses from its data directory.
func (w *world) startServer(ctx context.Context) (err error) {
	w.up, err = startChild("spillway up", w.stage.path("up.log"), w.stage.program(), "up",
		"--config", w.stage.path("conf"), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", w.stage.data)
	if err != nil {
		return err
	}
	return w.up.await(ctx, readyWithin, func() bool {
		text, err := os.ReadFile(w.stage.path("data/server.json"))
		var at struct{ Front, Admin string }
		if err != nil || json.Unmarshal(text, &at) != nil {
			return false
		}
		w.front, w.admin = at.Front, at.Admin
		return w.get(ctx, w.admin+"/readyz", nil) == nil
	})
}

// view is what the server holds now.
func (w *world) view(ctx context.Context) (v dispatcher.View, err error) {
	err = w.get(ctx, w.admin+"/v1/quota", &v)
	return v, err
}

// inject makes the stand-in misbehave.
func (w *world) inject(ctx context.Context, f cloud.Fault) error {
	body, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("inject a fault: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.cloudAdmin+"/faults", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("inject a fault: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	if err := w.do(r, http.StatusCreated, nil); err != nil {
		return fmt.Errorf("inject a fault: %w", err)
	}
	return nil
}

func (w *world) get(ctx context.Context, url string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	return w.do(r, http.StatusOK, into)
}

func (w *world) do(r *http.Request, want int, into any) error {
	resp, err := w.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", r.URL, err)
	}
	if resp.StatusCode != want {
		return fmt.Errorf("%s answered %s: %s", r.URL, resp.Status, bytes.TrimSpace(body))
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s: %w", r.URL, err)
	}
	return nil
}

// died reports that a child has ended though nobody stopped it.
func (w *world) died() error {
	for _, c := range []*child{w.cloud, w.up} {
		select {
		case <-c.done:
			return c.fault("ended in the middle of the demo (%v)", c.err)
		default:
		}
	}
	return nil
}

// stop ends Spillway first, which then has its cloud until the end. The bill is
// taken in between, when nothing can be added to it.
func (w *world) stop(ctx context.Context) (bill cloud.Bill, state cloud.State, err error) {
	err = w.up.stop()
	err = errors.Join(err, w.get(ctx, w.cloudAdmin+"/bill?lines=true", &bill), w.get(ctx, w.cloudAdmin+"/state", &state))
	return bill, state, errors.Join(err, w.cloud.stop())
}

// abandon ends whatever runs, in order, and ignores how.
func (w *world) abandon() {
	for _, c := range []*child{w.up, w.cloud} {
		if c != nil {
			_ = c.stop()
		}
	}
}
