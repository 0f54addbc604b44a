package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestExportsAtOnce leaves connections to the ledger for others.
func TestExportsAtOnce(t *testing.T) {
	a := decidedServer(t)
	export := func() *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/v1/usage", nil)
		r.RemoteAddr = "127.0.0.1:4000"
		w := httptest.NewRecorder()
		a.admin.Handler.ServeHTTP(&writeDeadlined{w}, r)
		return w
	}
	for range 3 { // each gives its turn back
		if w := export(); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
	}
	for range maxExports {
		a.exporting.take(maxExports)
	}
	if w := export(); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "try again") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	a.exporting.end()
	if w := export(); w.Code != http.StatusOK {
		t.Error(w.Code, w.Body)
	}
}

type writeDeadlined struct{ *httptest.ResponseRecorder }

func (*writeDeadlined) SetWriteDeadline(time.Time) error { return nil }

// TestPatience is as long for a reader that stops, and for one that reads slowly for
// ever; a fast one may take as long as it needs.
func TestPatience(t *testing.T) {
	for _, test := range []struct {
		each  time.Duration // that a write of 4 KiB takes
		stays bool
	}{
		{time.Microsecond, true}, {4 << 10 * time.Second / usageLeastRate, true}, {time.Second, false}, {usageWriteWithin + 1, false},
	} {
		reader := &slowReader{each: test.each}
		p := &patientWriter{reader, reader, func() time.Time { return reader.now }, usageWriteWithin}
		var err error
		text := make([]byte, 4<<10)
		for range 100_000 {
			if _, err = p.Write(text); err != nil {
				break
			}
		}
		if test.stays != (err == nil) || !test.stays && reader.now.Sub(time.Time{}) > 2*usageWriteWithin {
			t.Errorf("%s for each: %v after %s", test.each, err, reader.now.Sub(time.Time{}))
		}
	}
}

// slowReader takes as long for each write, of its own clock.
type slowReader struct {
	each     time.Duration
	now, end time.Time
}

func (r *slowReader) SetWriteDeadline(end time.Time) error { r.end = end; return nil }

func (r *slowReader) Write(text []byte) (int, error) {
	if r.now.Add(r.each).After(r.end) {
		r.now = r.end
		return 0, io.ErrShortWrite
	}
	r.now = r.now.Add(r.each)
	return len(text), nil
}
