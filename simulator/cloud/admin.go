package cloud

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"slices"
)

// State is what the account holds and has seen.
type State struct {
	Region          string          `json:"region"`
	Concurrency     int             `json:"concurrency"`
	InFlight        int             `json:"inFlight"`
	PeakConcurrency int             `json:"peakConcurrency"`
	Throttles       int             `json:"throttles"`                // calls over a limit; injected ones are not counted
	MemoryQuota     int             `json:"memoryQuotaMiB,omitempty"` // of SCF
	PeakMemory      int             `json:"peakMemoryMiB,omitempty"`  // of SCF, of what is not reserved
	Functions       []FunctionState `json:"functions"`                // by name
	Faults          []ActiveFault   `json:"faults"`
}

// FunctionState is the part of one function.
type FunctionState struct {
	Name            string         `json:"name"`
	InFlight        int            `json:"inFlight"`
	PeakConcurrency int            `json:"peakConcurrency"`
	Environments    int            `json:"environments"` // busy and idle
	ColdStarts      int            `json:"coldStarts"`
	Throttles       map[string]int `json:"throttles,omitempty"` // by reason
}

// State returns a consistent snapshot of the account.
func (s *Server) State() State {
	state := s.fleet.state()
	state.Region, state.Concurrency = s.config.Region, s.config.Concurrency
	if s.config.Provider == SCF {
		state.MemoryQuota = s.config.MemoryQuota
	} else {
		state.PeakMemory = 0 // Lambda counts calls
	}
	state.Faults = s.faults.list()
	return state
}

func (f *fleet) state() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	state := State{InFlight: f.inFlight, PeakConcurrency: f.peak, PeakMemory: f.shared.peak}
	for _, name := range slices.Sorted(maps.Keys(f.functions)) {
		fn := f.functions[name]
		state.Functions = append(state.Functions, FunctionState{
			Name: name, InFlight: fn.inFlight, PeakConcurrency: fn.peak, Environments: f.environments(fn),
			ColdStarts: fn.coldStart, Throttles: maps.Clone(fn.throttles),
		})
		for _, n := range fn.throttles {
			state.Throttles += n
		}
	}
	return state
}

// Admin returns the handler of the admin API, which answers loopback peers only:
//
//	GET /bill            the bill; ?lines=true adds its lines
//	GET /state           limits, peaks, throttles, faults
//	POST /faults         adds the fault in the body, as JSON
//	DELETE /faults       ends all faults
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /bill", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, s.books.bill(r.URL.Query().Get("lines") == "true"))
	})
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, s.State())
	})
	mux.HandleFunc("POST /faults", s.postFault)
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, r *http.Request) {
		s.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	})
	return loopbackOnly(mux)
}

// postFault wants a JSON content type, which no web page can send across origins
// without being asked.
func (s *Server) postFault(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != "application/json" {
		writeJSON(w, http.StatusUnsupportedMediaType, map[string]string{"error": "send the fault as Content-Type application/json"})
		return
	}
	f, err := decodeFault(http.MaxBytesReader(w, r.Body, 64<<10))
	if err == nil {
		err = s.Inject(f)
	}
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	writeJSON(w, http.StatusCreated, f)
}

func decodeFault(body io.Reader) (Fault, error) {
	var f Fault
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return Fault{}, fmt.Errorf("read the fault: %w", err)
	}
	if d.More() {
		return Fault{}, fmt.Errorf("read the fault: more than one value in the body")
	}
	return f, nil
}

func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !peer.Addr().Unmap().IsLoopback() || r.Header.Get("Origin") != "" {
			writeJSON(w, http.StatusForbidden, map[string]string{"error": "the admin API answers this machine only, and no web pages"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}
