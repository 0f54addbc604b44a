package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// progress says on a terminal how far a long piece of work is, and when it will be
// done; elsewhere it writes a line now and then. Work of less than two seconds is
// done in silence. It is used by one goroutine.
type progress struct {
	w        io.Writer
	what     string
	terminal bool
	began    time.Time
	said     time.Time
	shown    bool
}

const (
	silentFor    = 2 * time.Second
	redrawEvery  = 200 * time.Millisecond
	sayLineEvery = 10 * time.Second
	barWidth     = 24
)

func newProgress(w io.Writer, what string) *progress {
	file, ok := w.(*os.File)
	return &progress{w: w, what: what, terminal: ok && term.IsTerminal(int(file.Fd())), began: time.Now()}
}

// at says that a share of the work between 0 and 1 is done, with a word on it.
func (p *progress) at(share float64, detail string) {
	now := time.Now()
	every := sayLineEvery
	if p.terminal {
		every = redrawEvery
	}
	if now.Sub(p.began) < silentFor || now.Sub(p.said) < every {
		return
	}
	p.said, p.shown = now, true
	share = min(max(share, 0), 1)
	left := ""
	if share > 0.01 {
		left = ", " + time.Duration(float64(now.Sub(p.began))*(1-share)/share).Round(time.Second).String() + " left"
	}
	done := int(share * barWidth)
	line := fmt.Sprintf("%s [%s%s] %3.0f%%  %s%s", p.what, strings.Repeat("#", done), strings.Repeat(".", barWidth-done), 100*share, detail, left)
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
	} else {
		fmt.Fprintln(p.w, line)
	}
}

// end takes the line away.
func (p *progress) end() {
	if p.terminal && p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
