package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"regexp"
	"time"

	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/examples/demo"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

// readyWithin bounds the start of each program.
const readyWithin = 60 * time.Second

// world is the programs of a run and how to reach them.
type world struct {
	stage  *stage
	clouds []*standIn
	up     *child
	front  string
	admin  string
	client *http.Client
	web    *webCaller
	live   demo.Live // the rules that hold
}

// standIn is one cloud.
type standIn struct {
	*site
	child *child
	admin string
}

// start starts the stand-ins, then Spillway, and waits until all serve. On an error
// nothing is left running.
func (s *stage) start(ctx context.Context, live demo.Live) (*world, error) {
	w := &world{stage: s, live: live, client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}}
	err := w.startAll(ctx)
	if err != nil {
		w.abandon()
		return nil, err
	}
	return w, nil
}

// startAll configures twice: a stand-in has a file too, and Spillway's names the
// addresses that the stand-ins got.
func (w *world) startAll(ctx context.Context) error {
	if _, err := w.stage.configure(w.live); err != nil {
		return err
	}
	for _, at := range w.stage.sites {
		if err := w.startCloud(ctx, at); err != nil {
			return err
		}
	}
	if _, err := w.stage.configure(w.live); err != nil {
		return err
	}
	return w.startServer(ctx)
}

var address = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// startCloud reads the stand-in's addresses from what it says at start.
func (w *world) startCloud(ctx context.Context, at *site) error {
	log := w.stage.path(at.pool + ".log")
	c, err := startChild("spillway cloud ("+at.pool+")", log, w.stage.program(), "cloud",
		"--config", w.stage.path(at.file), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	if err != nil {
		return err
	}
	it := &standIn{site: at, child: c}
	w.clouds = append(w.clouds, it)
	return c.await(ctx, readyWithin, func() bool {
		text, err := os.ReadFile(log)
		found := address.FindAllString(string(text), 2)
		if err != nil || len(found) < 2 {
			return false
		}
		at.Endpoint, it.admin = found[0], found[1]
		var state cloud.State
		return w.get(ctx, it.admin+"/state", &state) == nil
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

// callers makes the clients: an AWS SDK for each namespace, and a browser.
func (w *world) callers(script []phase) callers {
	all := callers{}
	for namespace, key := range w.stage.keys {
		all[namespace] = newCaller(w.front, namespace, key)
	}
	seats := 0
	for _, p := range script {
		n := 0
		for _, s := range p.Streams {
			if s.Namespace+"/"+s.Function == webFunction {
				n += s.Workers
			}
		}
		seats = max(seats, n)
	}
	w.web = newWebCaller(w.front, "shop", w.stage.token, seats)
	all[webFunction] = w.web
	return all
}

// view is what the server holds now.
func (w *world) view(ctx context.Context) (v dispatcher.View, err error) {
	err = w.get(ctx, w.admin+"/v1/quota", &v)
	return v, err
}

// died reports that a child has ended though nobody stopped it.
func (w *world) died() error {
	for _, c := range w.children() {
		select {
		case <-c.done:
			return c.fault("ended in the middle of the demo (%v)", c.err)
		default:
		}
	}
	return nil
}

// children are the programs that were started: Spillway first, which has its clouds
// until its end.
func (w *world) children() []*child {
	var all []*child
	if w.up != nil {
		all = append(all, w.up)
	}
	for _, c := range w.clouds {
		all = append(all, c.child)
	}
	return all
}

// stop ends Spillway and then the clouds. Their bills are taken in between, when
// nothing can be added to them.
func (w *world) stop(ctx context.Context) (sides []cloudSide, err error) {
	err = w.up.stop()
	for _, c := range w.clouds {
		side := cloudSide{pool: c.pool}
		err = errors.Join(err, w.get(ctx, c.admin+"/bill?lines=true", &side.bill), w.get(ctx, c.admin+"/state", &side.state), c.child.stop())
		sides = append(sides, side)
	}
	return sides, err
}

// abandon ends whatever runs, in order, and ignores how.
func (w *world) abandon() {
	for _, c := range w.children() {
		_ = c.stop()
	}
}
