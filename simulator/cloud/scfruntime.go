package cloud

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// customAPI is SCF's API for custom runtimes, as one instance sees it:
//
//	POST /runtime/init/ready
//	GET  /runtime/invocation/next       waits; within a call it answers the same event again
//	POST /runtime/invocation/response   the first answer of a call counts
//	POST /runtime/invocation/error
type customAPI struct {
	ready chan struct{} // closed by the first init/ready

	mu      sync.Mutex
	isReady bool
	current *givenCall
	changed chan struct{} // closed and replaced when there is a call
}

// givenCall is a call inside an instance; the API's mutex guards what is below answered.
type givenCall struct {
	*call
	timeout  time.Duration
	memory   int
	answered chan struct{} // closed by the first answer

	fetched time.Time // zero: not handed over yet
	ended   time.Time // zero: no answer
	failed  bool
	body    []byte
}

func newCustomAPI() *customAPI {
	return &customAPI{ready: make(chan struct{}), changed: make(chan struct{})}
}

// give makes c the call of the instance, unless it has one.
func (a *customAPI) give(c *call, timeout time.Duration, memory int) (*givenCall, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current != nil {
		return nil, false
	}
	a.current = &givenCall{call: c, timeout: timeout, memory: memory, answered: make(chan struct{})}
	close(a.changed)
	a.changed = make(chan struct{})
	return a.current, true
}

// take ends a call and writes what it came to into end. An answer stands, whatever
// came after it.
func (a *customAPI) take(g *givenCall, end *ending) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.current = nil
	end.delivered = !g.fetched.IsZero() || end.timedOut
	switch {
	case !g.ended.IsZero():
		end.timedOut = false
		end.payload, end.duration = g.body, g.ended.Sub(g.fetched)
		if g.failed {
			end.errorType = "UserCodeException"
		}
	case !g.fetched.IsZero():
		end.duration, end.errorType = time.Since(g.fetched), "Runtime.ExitError"
	}
}

func (a *customAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "POST /runtime/init/ready":
		a.serveReady(w)
	case "GET /runtime/invocation/next":
		a.serveNext(w, r)
	case "POST /runtime/invocation/response":
		a.serveAnswer(w, r, false)
	case "POST /runtime/invocation/error":
		a.serveAnswer(w, r, true)
	default:
		http.Error(w, "no such call of the runtime API", http.StatusNotFound)
	}
}

func (a *customAPI) serveReady(w http.ResponseWriter) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.isReady {
		http.Error(w, "it was ready before", http.StatusBadRequest)
		return
	}
	a.isReady = true
	close(a.ready)
}

func (a *customAPI) serveNext(w http.ResponseWriter, r *http.Request) {
	for {
		g, changed, ok := a.fetch()
		switch {
		case !ok:
			http.Error(w, "post init/ready first", http.StatusBadRequest)
			return
		case g != nil:
			h := w.Header() // written as documented, not in the canonical form
			h["Request_Id"] = []string{g.id}
			h["Memory_Limit_In_Mb"] = []string{strconv.Itoa(g.memory)}
			h["Time_Limit_In_Ms"] = []string{strconv.FormatInt(g.timeout.Milliseconds(), 10)}
			h.Set("Content-Type", "application/json")
			h.Set("Content-Length", strconv.Itoa(len(g.payload)))
			w.Write(g.payload)
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// fetch returns the call that is not answered yet, or what is closed when there is one.
func (a *customAPI) fetch() (g *givenCall, changed <-chan struct{}, ready bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if g := a.current; g != nil && g.ended.IsZero() {
		if g.fetched.IsZero() {
			g.fetched = time.Now()
		}
		return g, nil, a.isReady
	}
	return nil, a.changed, a.isReady
}

func (a *customAPI) serveAnswer(w http.ResponseWriter, r *http.Request, failed bool) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxSCFReply+1))
	if err != nil {
		http.Error(w, "the body broke off", http.StatusBadRequest)
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, maxDrain) // lets the function read our answer
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.current
	if g == nil || g.fetched.IsZero() || !g.ended.IsZero() {
		http.Error(w, "there is no call to answer", http.StatusBadRequest)
		return
	}
	g.body, g.failed, g.ended = body, failed, time.Now()
	close(g.answered)
}

// peakOf is the most memory that a process and its descendants had resident, in bytes.
func peakOf(pid int) int64 {
	dir := "/proc/" + strconv.Itoa(pid)
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return 0
	}
	var total int64
	if _, rest, ok := bytes.Cut(status, []byte("VmHWM:")); ok {
		if fields := bytes.Fields(rest[:min(len(rest), 64)]); len(fields) > 0 {
			kib, _ := strconv.ParseInt(string(fields[0]), 10, 64)
			total = kib << 10
		}
	}
	tasks, _ := os.ReadDir(dir + "/task") // none when it has just ended
	for _, task := range tasks {
		children, _ := os.ReadFile(dir + "/task/" + task.Name() + "/children")
		for _, child := range strings.Fields(string(children)) {
			if n, err := strconv.Atoi(child); err == nil {
				total += peakOf(n)
			}
		}
	}
	return total
}
