package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/examples/demo"
)

// fakeAdmin is an admin port in front of the real configuration loader. Its clouds
// hold inFlight calls; each look at them takes one away.
type fakeAdmin struct {
	*stage
	bySelf bool // it sees changes without being told

	mu       sync.Mutex
	now      serving
	inFlight int64
	looks    int
}

func (f *fakeAdmin) load() (status int, said serving) {
	p, err := f.stage.platform()
	if err != nil {
		said = f.now
		said.Error = err.Error()
		return http.StatusUnprocessableEntity, said
	}
	f.now.Changed = p.Revision != f.now.Revision
	if f.now.Changed {
		f.now.Generation, f.now.Revision = f.now.Generation+1, p.Revision
	}
	return http.StatusOK, f.now
}

func (f *fakeAdmin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var body any
	status := http.StatusOK
	switch r.Method + " " + r.URL.Path {
	case "POST /v1/reload":
		status, body = f.load()
	case "GET /v1/config":
		if f.bySelf {
			f.load()
		}
		body = f.now
	case "GET /v1/quota":
		f.looks++
		body = dispatcher.View{Unknown: 1, Pools: []dispatcher.PoolView{{Name: "onprem", Running: 9}, {Name: "scf", Cloud: true, Running: f.inFlight}},
			Bursts: []dispatcher.BurstView{{Name: "eager", Shadow: &dispatcher.ShadowView{Calls: 3}}}}
		f.inFlight--
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func testWorld(t *testing.T, bySelf bool) (*world, *fakeAdmin) {
	t.Helper()
	f := &fakeAdmin{stage: testStage(t), bySelf: bySelf, inFlight: 3}
	f.load()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	w := &world{stage: f.stage, admin: server.URL, client: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(w.client.CloseIdleConnections)
	return w, f
}

func TestChangeWaitsForTheServer(t *testing.T) {
	w, f := testWorld(t, true)
	var m moments
	if err := w.change(t.Context(), demo.Live{Canary: 30, Shadow: true}, &m); err != nil {
		t.Fatal(err)
	}
	if f.now.Generation != 2 || m.shadow.acknowledged.IsZero() || !m.shadow.ended.IsZero() {
		t.Errorf("generation %d, shadow mode %+v", f.now.Generation, m.shadow)
	}
	if err := w.change(t.Context(), demo.Live{Canary: 30}, &m); err != nil {
		t.Fatal(err)
	}
	if f.now.Generation != 3 || !m.shadow.acknowledged.Before(m.shadow.ended) || len(m.shadow.bursts) != 1 {
		t.Errorf("generation %d, shadow mode %+v", f.now.Generation, m.shadow)
	}
}

func TestKillSwitchWaitsUntilNothingIsLeft(t *testing.T) {
	w, f := testWorld(t, false)
	var m moments
	p := newProgress(script(), newTally(script(), nil))
	if err := killSwitch(t.Context(), w, p, &m); err != nil {
		t.Fatal(err)
	}
	k := m.kill
	if f.now.Generation != 2 || !w.live.KillSwitch || !k.acknowledged.Before(k.quiet) || !k.lifted.IsZero() {
		t.Errorf("generation %d, %+v", f.now.Generation, k)
	}
	if f.looks != 3 { // 3 and 2 in clouds, and then the one that was lost before
		t.Errorf("looked %d times at what is left, want 3", f.looks)
	}
	if err := w.leave(t.Context(), &m); err != nil || !k.quiet.Before(m.kill.lifted) {
		t.Errorf("lifted %s (%v)", m.kill.lifted, err)
	}
}

// TestBadFileIsBad wants the loader to refuse it by name, and it not to stay.
func TestBadFileIsBad(t *testing.T) {
	w, f := testWorld(t, false)
	tally := newTally(script(), nil)
	p := newProgress(script(), tally)
	stop := make(chan struct{})
	var calls sync.WaitGroup
	calls.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				tally.add(answer{Kind: succeeded, Sent: time.Now()})
			}
		}
	})
	var m moments
	err := badFile(t.Context(), w, p, &m)
	close(stop)
	calls.Wait()
	if err != nil {
		t.Fatal(err)
	}
	b := m.bad
	if b.status != http.StatusUnprocessableEntity || !strings.Contains(b.said, "quotas.yaml:") || !strings.Contains(b.said, "plenty") {
		t.Errorf("answered with %d %q", b.status, b.said)
	}
	if b.after.Generation != b.before.Generation || b.restored.Error != "" || f.now.Generation != 1 {
		t.Errorf("%+v", b)
	}
	if _, err := config.Load(w.stage.path("conf"), time.Now(), config.Checks{}); err != nil {
		t.Errorf("the bad file is still there: %v", err)
	}
}
