package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"

	"golang.org/x/text/width"

	"github.com/spillway-dev/spillway/internal/safetext"
)

const lineWidth = 80

// grid is a table of text: the first column to the left, all others to the right.
type grid struct {
	rows [][]string
	left int // columns that stand to the left; at least 1
}

func (g *grid) row(cells ...string) { g.rows = append(g.rows, cells) }

// write pads the columns. A first column that does not fit into the line is cut.
func (g *grid) write(w *page) {
	var widths []int
	for _, row := range g.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], columns(cell))
		}
	}
	if len(widths) == 0 {
		return
	}
	others := 2
	for _, n := range widths[1:] {
		others += n + 2
	}
	widths[0] = max(min(widths[0], lineWidth-others), 8)
	for _, row := range g.rows {
		var b strings.Builder
		for i, cell := range row {
			cell = cut(cell, widths[i])
			gap := strings.Repeat(" ", widths[i]-columns(cell))
			if i < max(g.left, 1) {
				b.WriteString("  " + cell + gap)
			} else {
				b.WriteString("  " + gap + cell)
			}
		}
		w.line("%s", strings.TrimRight(b.String(), " "))
	}
}

// columns is how wide a terminal shows text.
func columns(text string) int {
	n := 0
	for _, r := range text {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	switch kind := width.LookupRune(r).Kind(); {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case kind == width.EastAsianWide || kind == width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cut shortens text to so many columns.
func cut(text string, most int) string {
	if columns(text) <= most {
		return text
	}
	n := 0
	for i, r := range text {
		if n += runeColumns(r); n > most-1 {
			return text[:i] + "…"
		}
	}
	return text
}

// wrap breaks text at spaces into lines of so many columns; longer words are cut.
func wrap(text string, most int) []string {
	var lines []string
	var line string
	for _, word := range strings.Fields(text) {
		word = cut(word, most)
		switch {
		case line == "":
			line = word
		case columns(line)+1+columns(word) <= most:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}

// page is a text in lines; its writer remembers the first error.
type page struct{ out *bufio.Writer }

func newPage(w io.Writer) *page { return &page{bufio.NewWriter(w)} }

func (p *page) line(format string, args ...any) {
	fmt.Fprintln(p.out, safetext.Line(fmt.Sprintf(format, args...)))
}

// text writes a paragraph, its later lines indented.
func (p *page) text(format string, args ...any) {
	for i, line := range wrap(safetext.Line(fmt.Sprintf(format, args...)), lineWidth-2) {
		if i > 0 {
			line = "  " + line
		}
		p.line("%s", line)
	}
}

// item writes one of a list, indented.
func (p *page) item(text string) {
	for i, line := range wrap(safetext.Line(text), lineWidth-4) {
		p.line("%s%s", [...]string{"  ", "    "}[min(i, 1)], line)
	}
}

// section begins a part with a blank line and a head.
func (p *page) section(head string) {
	p.line("")
	p.line("%s", head)
}

func (p *page) end() error {
	if err := p.out.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
