package httpapi

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzAdmission: whatever a node sends is refused, or is within the bounds that the
// Engine counts with.
func FuzzAdmission(f *testing.F) {
	for _, text := range []string{
		`{"uid":"a","namespace":"shop","pod":"p","job":"j","node":"n","milliCPU":1,"memoryMiB":1}`,
		`{"uid":"a","namespace":"shop","pod":"p.q","job":"j","node":"n","maxWaitSeconds":31622401}`,
		`{"uid":"a","deadline":"0000-01-01T00:00:00Z"}`, `{"milliCPU":-1}`, `{"uid":"a"}{}`, `null`, `[]`,
		`{"class":"executed","attempt":1,"started":"2026-11-20T22:00:00Z","ended":"2026-11-20T21:00:00Z"}`,
		`{"class":"unknown","attempt":1,"reason":"a\u0000"}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		request := func() *http.Request {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		var in admissionJSON
		if strict(request(), &in) == nil {
			if ask, err := in.ask("node"); err == nil {
				n := ask.Need
				if !isUID(ask.UID) || !isLabel(ask.Namespace) || min(n.MilliCPU, n.MiB) < 0 || n.MilliCPU > maxJobMilliCPU || n.Slots != 1 ||
					ask.Timeout < 0 || ask.Timeout > maxJobSeconds*time.Second || ask.MaxWait > maxJobSeconds*time.Second || ask.Deadline < 0 {
					t.Errorf("taken: %+v", ask)
				}
			}
		}
		var end endJSON
		if strict(request(), &end) == nil {
			if e, err := end.end(); err == nil && (e.Attempt < 1 || e.Outcome.Usage.DurationMicros < 0 || e.Outcome.Usage.CPUMicros < 0) {
				t.Errorf("taken: %+v", e)
			}
		}
	})
}
