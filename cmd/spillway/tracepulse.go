package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// pulse says how long work goes on whose end is not known: nothing for two seconds,
// then on a terminal a line that changes, elsewhere a line now and then.
type pulse struct {
	stop func()
}

// newPulse begins. detail is called from another goroutine until end returns.
func newPulse(w io.Writer, what string, detail func() string) *pulse {
	file, ok := w.(*os.File)
	terminal := ok && term.IsTerminal(int(file.Fd()))
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		beat(w, what, detail, terminal, quit)
	}()
	return &pulse{stop: sync.OnceFunc(func() {
		close(quit)
		<-done
	})}
}

func beat(w io.Writer, what string, detail func() string, terminal bool, quit <-chan struct{}) {
	began := time.Now()
	next := time.NewTimer(silentFor)
	defer next.Stop()
	for shown := false; ; shown = true {
		select {
		case <-quit:
			if shown && terminal {
				fmt.Fprint(w, "\r\x1b[K")
			}
			return
		case <-next.C:
		}
		line := fmt.Sprintf("%s  %s, %s", what, detail(), time.Since(began).Round(time.Second))
		if terminal {
			fmt.Fprintf(w, "\r\x1b[K%s", line)
			next.Reset(redrawEvery)
		} else {
			fmt.Fprintln(w, line)
			next.Reset(sayLineEvery)
		}
	}
}

// end stops it and takes the line away. It may be called more than once.
func (p *pulse) end() { p.stop() }
