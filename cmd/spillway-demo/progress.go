package main

import (
	"context"
	"sync"
	"time"

	"github.com/spillway-dev/spillway/dispatcher"
)

// pollEvery is how often the server is asked what it holds.
const pollEvery = 200 * time.Millisecond

// progress is what the screen shows of a run. It is safe for concurrent use.
type progress struct {
	script []phase
	tally  *tally
	began  time.Time

	mu    sync.Mutex
	phase int // position in script; len(script) when all are over
	note  string
	view  dispatcher.View
}

// frame is one picture of a run.
type frame struct {
	elapsed, left time.Duration
	phase         int
	script        []phase
	note          string
	done, planned int // calls
	phases        []figures
	view          dispatcher.View
}

func newProgress(script []phase, t *tally) *progress {
	return &progress{script: script, tally: t, began: time.Now()}
}

func (p *progress) enter(phase int, note string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase, p.note = phase, note
}

// at is the position in script.
func (p *progress) at() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phase
}

// watch polls the server until ctx ends.
func (p *progress) watch(ctx context.Context, w *world) {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		if v, err := w.view(ctx); err == nil {
			p.mu.Lock()
			p.view = v
			p.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// frame takes a picture.
func (p *progress) frame() frame {
	f := frame{elapsed: time.Since(p.began), script: p.script, phases: p.tally.figures(p.script)}
	p.mu.Lock()
	f.phase, f.note, f.view = p.phase, p.note, p.view
	p.mu.Unlock()
	for i, figure := range f.phases {
		f.done += figure.Calls
		if i < f.phase {
			f.planned += figure.Calls
		} else {
			f.planned += max(figure.Calls, f.script[i].Calls)
		}
	}
	if f.done > 0 && f.done < f.planned {
		f.left = f.elapsed * time.Duration(f.planned-f.done) / time.Duration(f.done)
	}
	return f
}

// endings sums how calls ended over all phases.
func (f *frame) endings() (reasons, refusals map[string]int) {
	reasons, refusals = map[string]int{}, map[string]int{}
	for _, p := range f.phases {
		for word, n := range p.Refusals {
			refusals[word] += n
			reasons[word] -= n
		}
		for word, n := range p.Endings {
			reasons[word] += n
		}
	}
	return reasons, refusals
}
