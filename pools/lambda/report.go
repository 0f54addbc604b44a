package lambda

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// report is what Lambda says of one execution at the end of its log.
type report struct {
	durationMicros int64 // rounded up
	billedMillis   int64
	initMicros     int64
	memoryMiB      int64
	maxMemoryMiB   int64
}

// parseReport finds the last REPORT of the log tail, text or JSON, that names the
// request. A function can print one too, but not after Lambda's.
func parseReport(log []byte, requestID string) (report, bool) {
	lines := bytes.Split(log, []byte("\n"))
	for i := len(lines) - 1; i >= 0; i-- {
		line := strings.TrimSpace(string(lines[i]))
		if rest, ok := strings.CutPrefix(line, "REPORT RequestId: "); ok {
			if r, ok := parseText(rest, requestID); ok {
				return r, true
			}
		} else if strings.HasPrefix(line, "{") && strings.Contains(line, `"platform.report"`) {
			if r, ok := parseJSON([]byte(line), requestID); ok {
				return r, true
			}
		}
	}
	return report{}, false
}

// parseText reads the fields of a text line, tab-separated after the request id.
func parseText(line, requestID string) (report, bool) {
	fields := strings.Split(line, "\t")
	if strings.TrimSpace(fields[0]) != requestID {
		return report{}, false
	}
	var r report
	var restore, billedRestore int64
	ok := true
	for _, f := range fields[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(f), ": ")
		number, _, _ := strings.Cut(value, " ")
		switch name {
		case "Duration":
			ok = ok && decimal(number, 1000, &r.durationMicros)
		case "Billed Duration":
			ok = ok && decimal(number, 1, &r.billedMillis)
		case "Init Duration":
			ok = ok && decimal(number, 1000, &r.initMicros)
		case "Restore Duration":
			ok = ok && decimal(number, 1000, &restore)
		case "Billed Restore Duration":
			ok = ok && decimal(number, 1, &billedRestore)
		case "Memory Size":
			ok = ok && decimal(number, 1, &r.memoryMiB)
		case "Max Memory Used":
			ok = ok && decimal(number, 1, &r.maxMemoryMiB)
		}
	}
	r.initMicros += restore
	r.billedMillis += billedRestore
	return r, ok && r.billedMillis > 0
}

// parseJSON reads a platform.report record.
func parseJSON(line []byte, requestID string) (report, bool) {
	var doc struct {
		Type   string `json:"type"`
		Record struct {
			RequestID string `json:"requestId"`
			Metrics   struct {
				Duration      json.Number `json:"durationMs"`
				Billed        json.Number `json:"billedDurationMs"`
				Init          json.Number `json:"initDurationMs"`
				Restore       json.Number `json:"restoreDurationMs"`
				BilledRestore json.Number `json:"billedRestoreDurationMs"`
				Memory        json.Number `json:"memorySizeMB"`
				MaxMemory     json.Number `json:"maxMemoryUsedMB"`
			} `json:"metrics"`
		} `json:"record"`
	}
	if json.Unmarshal(line, &doc) != nil || doc.Type != "platform.report" || doc.Record.RequestID != requestID {
		return report{}, false
	}
	m := &doc.Record.Metrics
	var r report
	var restore, billedRestore int64
	ok := true
	for _, f := range []struct {
		from  json.Number
		scale int64
		to    *int64
	}{
		{m.Duration, 1000, &r.durationMicros}, {m.Billed, 1, &r.billedMillis}, {m.Init, 1000, &r.initMicros},
		{m.Restore, 1000, &restore}, {m.BilledRestore, 1, &billedRestore}, {m.Memory, 1, &r.memoryMiB}, {m.MaxMemory, 1, &r.maxMemoryMiB},
	} {
		if f.from != "" {
			ok = ok && decimal(string(f.from), f.scale, f.to)
		}
	}
	r.initMicros += restore
	r.billedMillis += billedRestore
	return r, ok && r.billedMillis > 0
}

// maxFigure is more than any duration or size of Lambda's in its smallest unit.
const maxFigure = 1 << 40

// decimal reads a plain decimal number times scale (a power of ten) into to,
// rounded up.
func decimal(text string, scale int64, to *int64) bool {
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || n > maxFigure {
		return false
	}
	value := int64(n) * scale
	for _, c := range fraction {
		if c < '0' || c > '9' {
			return false
		}
		if scale /= 10; scale > 0 {
			value += int64(c-'0') * scale
		} else if c != '0' {
			value++ // the rest is rounded up, once
			break
		}
	}
	*to = value
	return value <= maxFigure
}
