package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
)

const (
	minWidth = 76 // of the picture, in columns
	maxWidth = 110
)

// Colours say the same everywhere: what we own, what we rent, what went wrong.
var (
	bold    = lipgloss.NewStyle().Bold(true)
	dim     = lipgloss.NewStyle().Foreground(lipgloss.Color("#7d8590"))
	owned   = lipgloss.NewStyle().Foreground(lipgloss.Color("#2ec4b6"))
	rented  = lipgloss.NewStyle().Foreground(lipgloss.Color("#ff9f1c"))
	wrong   = lipgloss.NewStyle().Foreground(lipgloss.Color("#f85149"))
	good    = lipgloss.NewStyle().Foreground(lipgloss.Color("#3fb950"))
	caption = lipgloss.NewStyle().Foreground(lipgloss.Color("#a371f7")).Bold(true)
)

// picture draws f for a terminal of so many columns: at most 23 lines.
func picture(f frame, columns int) string {
	width := min(max(columns-2, minWidth), maxWidth)
	parts := []string{header(f, width), "", places(f, width), rules(f, width), "", phases(f, width), why(f, width)}
	text := strings.Join(parts, "\n")
	return " " + strings.ReplaceAll(text, "\n", "\n ") + "\n"
}

func header(f frame, width int) string {
	title, story := "done", f.note
	if f.phase < len(f.script) {
		p := f.script[f.phase]
		title, story = fmt.Sprintf("%d/%d %s", f.phase+1, len(f.script), p.Name), p.Story
	}
	left := bold.Render("spillway demo") + "  " + caption.Render(title) + "  " + story
	clock := dim.Render(clock(f.elapsed))
	top := left + strings.Repeat(" ", max(1, width-lipgloss.Width(left)-lipgloss.Width(clock))) + clock
	calls := fmt.Sprintf(" %s of %s calls", count(f.done), count(f.planned))
	if f.left > 0 {
		calls += ", " + clockLeft(f.left) + " left"
	}
	return top + "\n" + bar(f.done, f.planned, width-lipgloss.Width(calls), good) + calls
}

// places shows pools, and the quotas of those who pay: used of what may be used, and
// money.
func places(f frame, width int) string {
	part := (width - 46) / 3
	rows := []string{dim.Render(fmt.Sprintf("%-11s%-*s%-*s%s", "", part+8, "on-prem", part+8, "clouds", "spent today of budget"))}
	var ours dispatcher.PoolView
	var theirs []string
	for _, p := range f.view.Pools {
		if p.Cloud {
			theirs = append(theirs, fmt.Sprintf("%s %d", p.Name, p.Running))
		} else {
			ours = p
		}
	}
	rows = append(rows, fmt.Sprintf("%-11s%s%s%s", "pools", use(ours.Running, ours.Slots, part, owned),
		rented.Render(fmt.Sprintf("%-*s", part+8, strings.Join(theirs, "  "))), dim.Render(waiting(f.view))))
	for _, q := range f.view.Quotas {
		if q.Parent != "" && len(q.Budgets) == 0 {
			continue
		}
		rows = append(rows, fmt.Sprintf("%-11s%s%s%s", indent(f.view.Quotas, q)+q.Name, use(q.OnPrem.Used, q.OnPrem.Limit, part, owned),
			use(q.Cloud.Used, q.Cloud.Limit, part, rented), spending(q, part)))
	}
	return strings.Join(rows, "\n")
}

// rules says what holds now that changes in the course of a run.
func rules(f frame, width int) string {
	states, calls, cost := map[string]int{}, int64(0), spillway.Nano(0)
	for _, b := range f.view.Bursts {
		if b.State != "on_prem_only" {
			states[strings.ReplaceAll(b.State, "_", " ")]++
		}
		if b.Shadow != nil {
			calls, cost = calls+b.Shadow.Calls, cost+b.Shadow.Cost
		}
	}
	text := strings.Join(slices.Sorted(maps.Keys(states)), ", ")
	if calls > 0 {
		text += fmt.Sprintf(": %s calls would have gone to clouds, for %s", count(int(calls)), dollars(cost))
	}
	if f.phase < len(f.script) && f.script[f.phase].Live.Canary > 0 {
		text += fmt.Sprintf("  ·  v2 gets %d %%", f.script[f.phase].Live.Canary)
	}
	if f.phase < len(f.script) && f.note != "" {
		text += "  ·  " + f.note
	}
	return dim.Render("bursting   ") + firstLines(text, width-11, 1)
}

// firstLines is text folded to width, and what is over n lines left out.
func firstLines(text string, width, n int) string {
	lines := strings.Split(lipgloss.Wrap(text, width, " "), "\n")
	if len(lines) > n {
		lines = lines[:n]
		lines[n-1] = strings.TrimRight(lines[n-1], " ·") + " …"
	}
	return strings.Join(lines, "\n")
}

func waiting(v dispatcher.View) string {
	text := fmt.Sprintf("%d waiting", v.Waiting)
	if v.Unknown > 0 {
		text += fmt.Sprintf(", %d unknown", v.Unknown)
	}
	return text
}

// indent shows how deep in the tree q is.
func indent(all []dispatcher.QuotaView, q dispatcher.QuotaView) string {
	depth := ""
	for parent := q.Parent; parent != ""; {
		next := ""
		for _, other := range all {
			if other.Name == parent {
				next = other.Parent
			}
		}
		depth, parent = depth+" ", next
	}
	return depth
}

// use draws used of limit; a limit of zero or less is none, and one of a
// thousand and more is never near.
func use(used, limit int64, width int, style lipgloss.Style) string {
	if limit <= 0 || limit >= 1000 {
		return strings.Repeat(" ", width) + fmt.Sprintf(" %-7d", used)
	}
	return bar(int(used), int(limit), width, style) + fmt.Sprintf(" %-7s", fmt.Sprintf("%d/%d", used, limit))
}

func spending(q dispatcher.QuotaView, width int) string {
	if len(q.Budgets) == 0 {
		return ""
	}
	b := q.Budgets[0]
	style := good
	if b.Spent+b.Reserved > b.Limit*9/10 {
		style = wrong
	}
	line := bar(int(min(b.Spent+b.Reserved, b.Limit)/1000), int(b.Limit/1000), width, style)
	return line + fmt.Sprintf(" %s/%s", dollars(b.Spent), dollars(b.Limit))
}

// dollars writes n with as many decimals as small amounts need.
func dollars(n spillway.Nano) string {
	return "$" + strings.TrimRight(strings.TrimRight(n.String()[:len(n.String())-3], "0"), ".")
}

func phases(f frame, width int) string {
	wide := max(0, width-minWidth) / 2
	rows := []string{dim.Render(fmt.Sprintf("%-*s%7s%11s%9s%9s%8s%9s%9s", 14+wide, "phase", "calls", "overflow", "refused", "unknown", "failed", "p50", "p99"))}
	for i, p := range f.phases {
		overflow := "-"
		if p.Calls > 0 {
			overflow = fmt.Sprintf("%d %%", (100*p.Overflowed+p.Calls/2)/p.Calls)
		}
		row := fmt.Sprintf("%-*s%7s%s%s%s%8d%9s%9s", 12+wide, p.Name, count(p.Calls), tint(p.Overflowed, rented, "%11s", overflow),
			tint(p.Refused, wrong, "%9s", count(p.Refused)), tint(p.Unknown, wrong, "%9s", count(p.Unknown)), p.Failed, brief(p.P50), brief(p.P99))
		mark := "  "
		switch {
		case i > f.phase:
			row = dim.Render(p.Name)
		case i == f.phase:
			mark = caption.Render("▸ ")
		}
		rows = append(rows, mark+row)
	}
	return strings.Join(rows, "\n")
}

// tint colours a cell if it has something to say.
func tint(n int, style lipgloss.Style, form, text string) string {
	cell := fmt.Sprintf(form, text)
	if n == 0 {
		return cell
	}
	return style.Render(cell)
}

// why lists placement reasons and refusals, most frequent first, in at most four
// lines.
func why(f frame, width int) string {
	reasons, refusals := f.endings()
	list := func(title string, all map[string]int, lines int) string {
		text := frequencies(all)
		if text == "" {
			text = "none"
		}
		text = firstLines(text, width-11, lines)
		return dim.Render(fmt.Sprintf("%-9s", title)) + strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", 9))
	}
	delete(reasons, "unknown")
	return list("placed", reasons, 3) + "\n" + list("refused", refusals, 1)
}

func frequencies(all map[string]int) string {
	words := slices.DeleteFunc(slices.Collect(maps.Keys(all)), func(w string) bool { return all[w] <= 0 })
	slices.SortFunc(words, func(a, b string) int {
		if all[a] != all[b] {
			return all[b] - all[a]
		}
		return strings.Compare(a, b)
	})
	for i, w := range words {
		words[i] = w + "\u00a0" + count(all[w])
	}
	return strings.Join(words, " · ")
}

// bar draws part of whole.
func bar(part, whole, width int, style lipgloss.Style) string {
	filled := 0
	if whole > 0 {
		filled = min(width, (part*width+whole-1)/whole)
	}
	return style.Render(strings.Repeat("█", filled)) + dim.Render(strings.Repeat("░", max(0, width-filled)))
}

// count writes n with commas.
func count(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func brief(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

func clock(d time.Duration) string {
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

func clockLeft(d time.Duration) string { return fmt.Sprintf("%d s", int(d.Seconds())+1) }
