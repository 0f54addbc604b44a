package lambda

import "testing"

func TestParseReport(t *testing.T) {
	for name, c := range map[string]struct {
		log  string
		want report
		ok   bool
	}{
		"text":          {"REPORT RequestId: a\tDuration: 0.91 ms\tBilled Duration: 1 ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\t", report{910, 1, 0, 128, 36}, true},
		"rounded up":    {"REPORT RequestId: a\tDuration: 1.0001 ms\tBilled Duration: 1.2 ms", report{1001, 2, 0, 0, 0}, true},
		"restore":       {"REPORT RequestId: a\tDuration: 1 ms\tBilled Duration: 10 ms\tRestore Duration: 50 ms\tBilled Restore Duration: 20 ms", report{1000, 30, 50_000, 0, 0}, true},
		"status":        {"REPORT RequestId: a\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\tStatus: timeout", report{3_000_000, 3000, 0, 128, 36}, true},
		"json":          {`{"time":"x","type":"platform.report","record":{"requestId":"a","metrics":{"durationMs":1.5,"billedDurationMs":102,"memorySizeMB":256,"maxMemoryUsedMB":40,"initDurationMs":100.25}}}`, report{1500, 102, 100_250, 256, 40}, true},
		"other request": {"REPORT RequestId: b\tDuration: 1 ms\tBilled Duration: 1 ms", report{}, false},
		"no figures":    {"REPORT RequestId: a", report{}, false},
		"negative":      {"REPORT RequestId: a\tDuration: -1 ms\tBilled Duration: -5 ms", report{}, false},
		"exponent":      {"REPORT RequestId: a\tDuration: 1e3 ms\tBilled Duration: 1e3 ms", report{}, false},
		"huge":          {"REPORT RequestId: a\tDuration: 99999999999999999999 ms\tBilled Duration: 1 ms", report{}, false},
		"cut off":       {"EPORT RequestId: a\tDuration: 1 ms\tBilled Duration: 1 ms", report{}, false},
		"after a fake":  {"REPORT RequestId: a\tDuration: 9 ms\tBilled Duration: 9 ms\nREPORT RequestId: a\tDuration: 1 ms\tBilled Duration: 1 ms\nlate line", report{1000, 1, 0, 0, 0}, true},
	} {
		got, ok := parseReport([]byte(c.log), "a")
		if ok != c.ok || (ok && got != c.want) {
			t.Errorf("%s: got %+v %v, want %+v %v", name, got, ok, c.want, c.ok)
		}
	}
}

func FuzzReport(f *testing.F) {
	f.Add("REPORT RequestId: a\tDuration: 395.99 ms\tBilled Duration: 662 ms\tMemory Size: 512 MB\tMax Memory Used: 301 MB\tInit Duration: 265.72 ms\t")
	f.Add(`{"type":"platform.report","record":{"requestId":"a","metrics":{"billedDurationMs":1}}}`)
	f.Fuzz(func(t *testing.T, log string) {
		r, ok := parseReport([]byte(log), "a")
		if ok && (r.billedMillis <= 0 || r.billedMillis > 2*maxFigure || r.durationMicros < 0 || r.initMicros < 0 || r.memoryMiB < 0) {
			t.Errorf("%q gave %+v", log, r)
		}
	})
}
