package cloud

import (
	"bytes"
	"cmp"
	"slices"
	"sync"
	"time"
)

// logbook is what the cloud's log service keeps of executions, apart from the bill.
type logbook struct {
	mu  sync.Mutex
	all map[string][]logged // by function, in the order in which they ended
}

// logged is one execution in the log.
type logged struct {
	id, version string
	ended       time.Time
	billedMs    int64
	duration    time.Duration
	peakBytes   int64
	code        int    // of SCF; 0 is a success
	log         string // the end of what the function wrote
	report      string // the platform's last line
}

// logEvent is one line of a log.
type logEvent struct {
	at       time.Time
	of       *logged
	platform bool
	text     string
}

// note keeps an execution that has ended.
func (b *logbook) note(c *call, x *execution, now time.Time, report string) {
	l := logged{
		id: c.id, version: c.version, ended: now, billedMs: x.billedMs, duration: x.duration, peakBytes: x.peakBytes, code: x.code,
		log: string(x.log[max(0, len(x.log)-maxLogTail):]), report: report,
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == nil {
		b.all = map[string][]logged{}
	}
	b.all[c.function.Name] = append(b.all[c.function.Name], l)
}

// events returns the lines of a function in the order of time, and false if it was
// never executed.
func (b *logbook) events(function string) ([]logEvent, bool) {
	b.mu.Lock()
	all, found := b.all[function]
	all = all[:len(all):len(all)] // what is written later is not seen
	b.mu.Unlock()
	var events []logEvent
	for i := range all {
		l := &all[i]
		began := l.ended.Add(-l.duration)
		events = append(events, logEvent{began, l, true, "START RequestId: " + l.id + " Version: " + l.version + "\n"})
		for line := range bytes.Lines([]byte(l.log)) {
			events = append(events, logEvent{l.ended, l, false, string(line)})
		}
		events = append(events, logEvent{l.ended, l, true, "END RequestId: " + l.id + "\n"}, logEvent{l.ended, l, true, l.report})
	}
	slices.SortStableFunc(events, func(a, b logEvent) int { return cmp.Compare(a.at.UnixMilli(), b.at.UnixMilli()) })
	return events, found
}

// lastLine returns the end of a log tail with its line feed.
func lastLine(tail []byte) string {
	return string(tail[bytes.LastIndexByte(bytes.TrimSuffix(tail, []byte("\n")), '\n')+1:])
}
