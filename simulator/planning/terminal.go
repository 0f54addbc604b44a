package planning

import (
	"fmt"
	"io"
	"strings"

	"github.com/spillway-dev/spillway/internal/safetext"
)

// lineWidth is how wide lines of the table are at most.
const lineWidth = 80

// terminal writes lines.
type terminal struct {
	w   io.Writer
	err error
}

// Table writes a plan for people, in lines of at most 80 columns.
func Table(w io.Writer, doc *Document) error {
	out := &terminal{w: w}
	t := newTable(out, doc)
	t.question()
	t.gap()
	t.text(doc.Sentence())
	t.gap()
	t.findings()
	if len(doc.Notes) > 0 {
		t.gap()
	}
	for _, note := range doc.Notes {
		t.text("Note: " + note)
	}
	return out.err
}

func (t *terminal) gap() { t.line("") }

// section shows no heading: tables have one, and sentences say what they are about.
func (t *terminal) section(string) { t.gap() }

func (t *terminal) line(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintln(t.w, strings.TrimRight(safetext.Line(fmt.Sprintf(format, args...)), " "))
	}
}

// text writes a paragraph, broken between words.
func (t *terminal) text(words string) {
	line := ""
	for _, word := range strings.Fields(words) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > lineWidth {
			t.line("%s", line)
			line = " "
		}
		line = strings.TrimPrefix(line+" "+word, " ")
		if strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "  ") {
			line = " " + line
		}
	}
	t.line("%s", line)
}

func (t *terminal) rows(rows [][]string) {
	widths := map[int]int{}
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if i == 0 {
				b.WriteString("  " + cell + pad)
			} else {
				b.WriteString("  " + pad + cell)
			}
		}
		t.line("%s", b.String())
	}
}
