package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"
)

const (
	redraw    = 125 * time.Millisecond
	plainLine = 2 * time.Second
)

// showLive draws pictures on a terminal until ctx ends; the last one stays. Ctrl-C
// and q call stop.
func showLive(ctx context.Context, out *os.File, stop context.CancelFunc, frames func() frame) error {
	program := tea.NewProgram(&screen{stop: stop, frames: frames, now: frames(), columns: 80}, tea.WithOutput(out), tea.WithoutSignalHandler())
	go func() {
		<-ctx.Done()
		program.Send(over{})
	}()
	if _, err := program.Run(); err != nil {
		return fmt.Errorf("draw on the terminal: %w", err)
	}
	return nil
}

// screen is the model of bubbletea.
type screen struct {
	stop    context.CancelFunc
	frames  func() frame
	now     frame
	columns int
}

type (
	over struct{} // nothing more to draw
	tick struct{}
)

func again() tea.Cmd {
	return tea.Tick(redraw, func(time.Time) tea.Msg { return tick{} })
}

// Init implements tea.Model.
func (s *screen) Init() tea.Cmd { return again() }

// Update implements tea.Model.
func (s *screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		s.columns = msg.Width
	case tea.KeyPressMsg:
		if k := msg.String(); k == "ctrl+c" || k == "q" {
			s.stop()
		}
	case over:
		s.now = s.frames()
		return s, tea.Quit
	case tick:
		s.now = s.frames()
		return s, again()
	}
	return s, nil
}

// View implements tea.Model.
func (s *screen) View() tea.View { return tea.NewView(picture(s.now, s.columns)) }

// showPlain writes a line now and then until ctx ends.
func showPlain(ctx context.Context, out io.Writer, frames func() frame) {
	ticker := time.NewTicker(plainLine)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			fmt.Fprintln(out, plainFrame(frames()))
			return
		case <-ticker.C:
			fmt.Fprintln(out, plainFrame(frames()))
		}
	}
}

// plainFrame is f in one line.
func plainFrame(f frame) string {
	name := f.note
	if f.phase < len(f.script) {
		name = fmt.Sprintf("%d/%d %s", f.phase+1, len(f.script), f.script[f.phase].Name)
	}
	overflowed, refused, unknown := 0, 0, 0
	for _, p := range f.phases {
		overflowed, refused, unknown = overflowed+p.Overflowed, refused+p.Refused, unknown+p.Unknown
	}
	line := fmt.Sprintf("%5s  %-24s %5s/%s calls  overflow %s  refused %s  unknown %d", clock(f.elapsed), name,
		count(f.done), count(f.planned), count(overflowed), count(refused), unknown)
	if f.phase < len(f.phases) {
		line += fmt.Sprintf("  p50 %s  p99 %s", brief(f.phases[f.phase].P50), brief(f.phases[f.phase].P99))
	}
	for _, q := range f.view.Quotas {
		if len(q.Budgets) > 0 {
			line += fmt.Sprintf("  %s %s/%s", q.Name, dollars(q.Budgets[0].Spent), dollars(q.Budgets[0].Limit))
		}
	}
	return line
}
