package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
	"github.com/spillway-dev/spillway/dispatcher/server"
)

// Lookup implements server.Records.
func (b *bookOnly) Lookup(_ context.Context, invocation string) (found []billing.Entry, _ json.RawMessage, _ error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.lines {
		if e.Invocation == invocation {
			found = append(found, e)
		}
	}
	return found, nil, nil
}

const idlePlatform = `
pool idle offline
quota team offlinemcpu=2000
policy default OnPremOnly order=none
namespace shop quota=team department=retail
`

func jobServer(t *testing.T, book *bookOnly, open ...*billing.Entry) *server.Server {
	t.Helper()
	p, err := testplatform.Parse(idlePlatform)
	if err != nil {
		t.Fatal(err)
	}
	return server.New(server.Config{Engine: dispatcher.New(p), Policy: permitAll{p}, Ledger: book, Records: book, Jobs: open})
}

func jobAsk(uid string) server.JobAsk {
	return server.JobAsk{Job: dispatcher.Job{UID: uid, Namespace: "shop", Name: "night", Pod: "night-1", Node: "node", MaxWait: -1, Caller: "node",
		Need: spillway.Resources{Slots: 1, MilliCPU: 1500, MiB: 1024}}}
}

var enough = spillway.Resources{Slots: 10, MilliCPU: 8000, MiB: 8192}

func ran(attempt int, d time.Duration) dispatcher.JobEnd {
	return dispatcher.JobEnd{Attempt: attempt, Outcome: spillway.Outcome{Class: spillway.Executed,
		Usage: spillway.Usage{Started: spillway.InstantOf(time.Now()), DurationMicros: d.Microseconds()}}}
}

func state(t *testing.T, s *server.Server, uid string) *server.JobReply {
	t.Helper()
	r, err := s.AdmitJob(t.Context(), jobAsk(uid))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// idleServer is one whose node has room for a few jobs.
func idleServer(t *testing.T, book *bookOnly) *server.Server {
	t.Helper()
	s := jobServer(t, book)
	if err := s.MeasureOffline("node", enough); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestJobLine: what an attempt cost is exact, by the pool's rate for cpu and memory.
func TestJobLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := new(bookOnly)
		s := idleServer(t, book)
		defer s.Close()
		if r := state(t, s, "a"); r.State != dispatcher.JobAdmitted || r.Pool != "idle" || len(book.intents) != 1 {
			t.Fatalf("%+v, %d intents", r, len(book.intents))
		}
		if open, err := s.EndJob(t.Context(), "a", ran(1, time.Hour)); !open || err != nil {
			t.Fatal(open, err)
		}
		if len(book.lines) != 1 {
			t.Fatalf("%d lines", len(book.lines))
		}
		// 1.5 cores at 4e-6 a second and a GiB at 5e-7, for an hour.
		e := book.lines[0]
		if e.Amount.Text('f') != "0.023400000000000000" || e.Kind != billing.KindCharge || e.Department != "retail" || e.Function != "night" || e.Revision != "night-1" || e.Cloud {
			t.Errorf("%s: %+v", e.Amount.Text('f'), e)
		}
		if r := state(t, s, "a"); r.Attempt != 2 || book.intents[1].Attempt != 2 {
			t.Errorf("after attempt 1 came %d", r.Attempt)
		}
	})
}

// TestJobWithoutIntent: what would not be remembered is not admitted, and holds nothing.
func TestJobWithoutIntent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := new(bookOnly)
		s := idleServer(t, book)
		defer s.Close()
		book.set(false, true)
		if r, err := s.AdmitJob(t.Context(), jobAsk("a")); err == nil {
			t.Fatalf("admitted: %+v", r)
		}
		if v := s.View(); v.Jobs.Admitted != 0 || v.Quotas[0].Offline.Used != 0 || len(book.lines) != 0 {
			t.Errorf("still held: %+v, %d lines", v.Jobs, len(book.lines))
		}
		book.set(false, false)
		time.Sleep(time.Second)
		if r := state(t, s, "a"); r.State != dispatcher.JobAdmitted {
			t.Errorf("once the ledger is well: %+v", r)
		}
	})
}

// TestJobsAfterRestart: what runs is held before anything is admitted, what earlier
// attempts there were is known, and what belongs nowhere any more still has its line.
func TestJobsAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Now()
		book := &bookOnly{lines: []billing.Entry{{Invocation: "b", Attempt: 4, Kind: billing.KindCharge, Admitted: at.Add(-time.Hour)}}}
		open := billing.Entry{Invocation: "a", Attempt: 2, Namespace: "shop", Function: "night", Revision: "night-1", Pool: "idle", Reason: spillway.ReasonPinned,
			Admitted: at, Posted: at, Resources: spillway.Resources{Slots: 1, MilliCPU: 1500, MiB: 1024}, Kind: billing.KindIntent}
		stray := open
		stray.Invocation, stray.Namespace = "lost", "gone"
		s := jobServer(t, book, &open, &stray)
		defer s.Close()
		if err := s.MeasureOffline("node", enough); err != nil {
			t.Fatal(err)
		}
		if r := state(t, s, "b"); r.State != dispatcher.JobWaiting || r.Attempt != 5 {
			t.Errorf("beside what runs: %+v", r)
		}
		if r := state(t, s, "a"); r.State != dispatcher.JobAdmitted || r.Attempt != 2 || len(book.intents) != 0 {
			t.Errorf("what runs: %+v, %d intents", r, len(book.intents))
		}
		for _, uid := range []string{"a", "lost"} {
			if was, err := s.EndJob(t.Context(), uid, ran(2, time.Minute)); !was || err != nil {
				t.Errorf("%s: %v, %v", uid, was, err)
			}
		}
		if len(book.lines) != 3 || book.lines[2].Namespace != "gone" || book.lines[1].Attempt != 2 {
			t.Errorf("lines %+v", book.lines)
		}
		if r := state(t, s, "b"); r.State != dispatcher.JobAdmitted {
			t.Errorf("after what ran: %+v", r)
		}
	})
}

// TestOfflineCapacityLapses: a node that says nothing for a minute has nothing to give,
// and what runs there runs on.
func TestOfflineCapacityLapses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := jobServer(t, new(bookOnly))
		defer s.Close()
		if err := s.MeasureOffline("node", enough); err != nil {
			t.Fatal(err)
		}
		if err := s.MeasureOffline("other", enough); err == nil {
			t.Error("a node of no pool was taken")
		}
		state(t, s, "a")
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if v := s.View(); v.Pools[0].Offline.MilliCPU != 0 || v.Jobs.Admitted != 1 {
			t.Errorf("%+v, %+v", v.Pools[0].Offline, v.Jobs)
		}
	})
}

// TestPreviewOfAJob: it says what an admission would be told, however often it is
// asked, and holds nothing.
func TestPreviewOfAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := new(bookOnly)
		s := jobServer(t, book)
		defer s.Close()
		preview := func(change func(*server.JobAsk)) *server.JobReply {
			ask := jobAsk("preview")
			change(&ask)
			r, err := s.PreviewJob(t.Context(), ask)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		same := func(*server.JobAsk) {}
		if r := preview(same); r.State != dispatcher.JobWaiting {
			t.Errorf("before there is room: %+v", r)
		}
		if err := s.MeasureOffline("node", enough); err != nil {
			t.Fatal(err)
		}
		for range 3 { // together more than the quota
			if r := preview(same); r.State != dispatcher.JobAdmitted || r.Pool != "idle" {
				t.Errorf("with room: %+v", r)
			}
		}
		if v := s.View(); v.Jobs.Admitted != 0 || v.Jobs.Waiting != 0 || v.Quotas[0].Offline.Used != 0 || len(book.intents) != 0 || len(s.Jobs()) != 0 {
			t.Errorf("a preview holds %+v", v.Jobs)
		}
		if r := preview(func(a *server.JobAsk) { a.Node = "other" }); r.State != dispatcher.JobRefused || r.Reason == spillway.ReasonNone {
			t.Errorf("of a node that no pool runs: %+v", r)
		}
		if r := preview(func(a *server.JobAsk) { a.Namespace = "nobody" }); r.State != dispatcher.JobRefused || r.Text == "" {
			t.Errorf("in a namespace that nobody pays for: %+v", r)
		}
		if r := preview(func(a *server.JobAsk) { a.BurstFunction = "none" }); r.State != dispatcher.JobRefused || r.Text == "" {
			t.Errorf("with a function that is not there: %+v", r)
		}
		if r := state(t, s, "a"); r.State != dispatcher.JobAdmitted {
			t.Errorf("the first in earnest: %+v", r)
		}
		if r := preview(same); r.State != dispatcher.JobWaiting {
			t.Errorf("beside it: %+v", r)
		}
	})
}

// TestIntentIsTriedAgain: an attempt whose intent could not be written was never told,
// so the same attempt may be asked for again.
func TestIntentIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := new(bookOnly)
		s := idleServer(t, book)
		defer s.Close()
		ask := jobAsk("a")
		ask.Attempt = 1
		book.set(false, true)
		if r, err := s.AdmitJob(t.Context(), ask); err == nil {
			t.Fatalf("admitted: %+v", r)
		}
		book.set(false, false)
		time.Sleep(time.Second)
		if r, err := s.AdmitJob(t.Context(), ask); err != nil || r.State != dispatcher.JobAdmitted || r.Attempt != 1 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// strayJobs are intents of a namespace that is not there any more.
func strayJobs(n int) (open []*billing.Entry) {
	for i := range n {
		open = append(open, &billing.Entry{Invocation: fmt.Sprint("lost-", i), Attempt: 1, Namespace: "gone", Function: "night", Revision: "night-1", Pool: "idle",
			Admitted: time.Now(), Posted: time.Now(), Resources: spillway.Resources{Slots: 1, MilliCPU: 1500, MiB: 1024}, Kind: billing.KindIntent})
	}
	return open
}

// TestStraysEndTogether: the ends of many come at once, and each has its line.
func TestStraysEndTogether(t *testing.T) {
	book := new(bookOnly)
	open := strayJobs(64)
	s := jobServer(t, book, open...)
	defer s.Close()
	if listed := s.Jobs(); len(listed) != len(open) || listed[0].State != "admitted" || listed[0].Namespace != "gone" || listed[0].Pod != "night-1" {
		t.Errorf("%d are listed as open", len(listed))
	}
	var told sync.WaitGroup
	for _, e := range open {
		told.Go(func() {
			if was, err := s.EndJob(t.Context(), e.Invocation, ran(1, time.Minute)); !was || err != nil {
				t.Errorf("%s: %v, %v", e.Invocation, was, err)
			}
		})
	}
	told.Wait()
	if len(book.lines) != len(open) || len(s.Jobs()) != 0 {
		t.Errorf("%d lines of %d, %d still open", len(book.lines), len(open), len(s.Jobs()))
	}
}

// TestLineIsWrittenAfterAll: an end that could not be written is told again, and writes
// its line then, once. So does a ledger that is well again.
func TestLineIsWrittenAfterAll(t *testing.T) {
	for _, uid := range []string{"a", "lost-0"} {
		for _, again := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				book := new(bookOnly)
				s := jobServer(t, book, strayJobs(1)...)
				defer s.Close()
				if err := s.MeasureOffline("node", enough); err != nil {
					t.Fatal(err)
				}
				if r := state(t, s, "a"); r.State != dispatcher.JobAdmitted {
					t.Fatalf("%+v", r)
				}
				book.refuse(1)
				if _, err := s.EndJob(t.Context(), uid, ran(1, time.Minute)); err == nil {
					t.Error("an end that is not written was taken")
				}
				if again {
					if was, err := s.EndJob(t.Context(), uid, ran(1, time.Minute)); !was || err != nil {
						t.Errorf("told again: %v, %v", was, err)
					}
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if was, err := s.EndJob(t.Context(), uid, ran(1, time.Minute)); was || err != nil {
					t.Errorf("told once more: %v, %v", was, err)
				}
				if len(book.lines) != 1 || book.lines[0].Invocation != uid || book.lines[0].Usage.DurationMicros != time.Minute.Microseconds() {
					t.Errorf("lines %+v", book.lines)
				}
			})
		}
	}
}

// TestTwoOpenIntents: of an id there is one attempt that runs; what is open of an earlier
// one lost its line.
func TestTwoOpenIntents(t *testing.T) {
	for _, order := range [][2]int{{0, 1}, {1, 0}} {
		synctest.Test(t, func(t *testing.T) {
			at := time.Now().Add(-time.Hour)
			both := [2]*billing.Entry{}
			for i := range both {
				both[i] = &billing.Entry{Invocation: "a", Attempt: i + 1, Namespace: "shop", Function: "night", Revision: "night-1", Pool: "idle", Reason: spillway.ReasonPinned,
					Admitted: at, Posted: at.Add(time.Duration(i) * 20 * time.Minute), Resources: spillway.Resources{Slots: 1, MilliCPU: 900, MiB: 1024}, Kind: billing.KindIntent}
			}
			book := new(bookOnly)
			s := jobServer(t, book, both[order[0]], both[order[1]])
			defer s.Close()
			if listed := s.Jobs(); len(listed) != 1 || listed[0].Attempt != 2 {
				t.Errorf("open: %+v", listed)
			}
			if v := s.View(); v.Quotas[0].Offline.Used != 1 || v.Pools[0].Offline.HeldMilliCPU != 900 {
				t.Errorf("held: %+v, %+v", v.Quotas[0].Offline, v.Pools[0].Offline)
			}
			synctest.Wait()
			if len(book.lines) != 1 || book.lines[0].Attempt != 1 || book.lines[0].Kind != billing.KindEstimate || book.lines[0].Usage.DurationMicros != (20*time.Minute).Microseconds() {
				t.Errorf("lines %+v", book.lines)
			}
		})
	}
}
