package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/memory"
)

const smallPlatform = `
pool onprem process slots=1
pool cloud lambda init=1s
quota all budget=day:1000000000:reject
policy default Hybrid order=onprem,cloud
policy outside CloudOnly order=cloud
namespace shop quota=all
function shop/a burst=allow timeout=10s maxwait=1s
function shop/stay timeout=10s maxwait=1s
function shop/away burst=allow timeout=2s
`

// rig is a live server on in-memory pools, inside a synctest bubble.
type rig struct {
	*server.Server
	p      *spillway.Platform
	onprem *memory.Pool
	cloud  *memory.Cloud
	book   *bookOnly
}

func newRig(t *testing.T, onprem, cloud memory.Options) *rig {
	t.Helper()
	p, err := testplatform.Parse(smallPlatform)
	if err != nil {
		t.Fatal(err)
	}
	p.Functions[2].Policy, p.Functions[2].Bindings[1].Name = 1, "away-in-the-cloud"
	r := &rig{p: p, onprem: memory.New(onprem), cloud: memory.NewCloud(1, cloud), book: new(bookOnly)}
	r.Server = server.New(server.Config{Engine: dispatcher.New(p), Pools: map[int]pools.Pool{0: r.onprem, 1: r.cloud}, Policy: permitAll{p}, Ledger: r.book})
	return r
}

func (r *rig) close() {
	r.Close()
	r.onprem.Close()
}

func ask(name, payload string) server.Ask {
	return server.Ask{Function: spillway.FunctionKey{Namespace: "shop", Name: name}, Caller: "alice", Payload: []byte(payload)}
}

func takes(d time.Duration) memory.Options {
	return memory.Options{Step: func(pools.Request) memory.Step { return memory.Step{Service: d} }}
}

func TestUnknownNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, memory.Options{}, memory.Options{})
		defer r.close()
		var unknown *server.UnknownFunctionError
		if _, err := r.Invoke(t.Context(), ask("nobody", "")); !errors.As(err, &unknown) {
			t.Errorf("unknown function: %v", err)
		}
		a := ask("a", "")
		a.Qualifier = "v9"
		if _, err := r.Invoke(t.Context(), a); !errors.As(err, &unknown) || unknown.Qualifier != "v9" {
			t.Errorf("unknown revision: %v", err)
		}
		a.Qualifier = "v1"
		if answer, err := r.Invoke(t.Context(), a); err != nil || answer.ExecutedVersion == "" && answer.Refused() != 0 {
			t.Errorf("known revision: %v %v", answer, err)
		}
	})
}

// TestJoin repeats one request while its first attempt runs and after it ended.
func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, takes(time.Second), memory.Options{})
		defer r.close()
		a := ask("a", `{"n":1}`)
		a.RequestKey = "once"
		var wg sync.WaitGroup
		ids := make([]string, 4)
		for i := range 3 {
			wg.Go(func() {
				if answer, err := r.Invoke(t.Context(), a); err == nil {
					ids[i] = answer.Decision.Call.ID
				}
			})
		}
		wg.Wait()
		if answer, err := r.Invoke(t.Context(), a); err == nil {
			ids[3] = answer.Decision.Call.ID
		}
		for _, id := range ids {
			if id == "" || id != ids[0] {
				t.Fatalf("the attempts of one request became calls %q", ids)
			}
		}
		if n := len(r.onprem.Executions()) + len(r.cloud.Executions()); n != 1 {
			t.Errorf("executed %d times", n)
		}
		other := a
		other.Payload = []byte(`{"n":2}`)
		if _, err := r.Invoke(t.Context(), other); !errors.Is(err, server.ErrKeyReused) {
			t.Errorf("another payload under the same key: %v", err)
		}
		other.Caller = "bob"
		if answer, err := r.Invoke(t.Context(), other); err != nil || answer.Decision.Call.ID == ids[0] {
			t.Errorf("another caller joined: %v", err)
		}
		time.Sleep(20 * time.Minute)
		if answer, err := r.Invoke(t.Context(), a); err != nil || answer.Decision.Call.ID == ids[0] {
			t.Errorf("a request is remembered for ever: %v", err)
		}
	})
}

// TestRefusedIsNotJoined: nothing ran, so the next attempt is a new call.
func TestRefusedIsNotJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, memory.Options{}, memory.Options{})
		defer r.close()
		r.book.set(true, false)
		a := ask("a", "")
		a.RequestKey = "again"
		refused, err := r.Invoke(t.Context(), a)
		if err != nil || refused.Refused() != spillway.ReasonUnavailable || refused.Decision.Limit.Kind != spillway.LimitLedger {
			t.Fatalf("a full ledger: %+v, %v", refused, err)
		}
		r.book.set(false, false)
		if answer, err := r.Invoke(t.Context(), a); err != nil || answer.Refused() != spillway.ReasonNone {
			t.Fatalf("after room came: %+v, %v", answer, err)
		}
	})
}

// TestNoIntentNoSend: without a durable intent nothing goes to a cloud, and sends
// resume by themselves.
func TestNoIntentNoSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, memory.Options{}, memory.Options{})
		defer r.close()
		r.book.set(false, true)
		for range 2 {
			if a, err := r.Invoke(t.Context(), ask("away", "")); err != nil || a.Refused() != spillway.ReasonUnavailable {
				t.Fatalf("got %+v, %v", a, err)
			}
		}
		if r.Ready() == nil {
			t.Error("ready without a ledger")
		}
		if a, err := r.Invoke(t.Context(), ask("stay", "")); err != nil || a.Refused() != spillway.ReasonNone {
			t.Errorf("on-prem stopped as well: %+v, %v", a, err)
		}
		r.book.set(false, false)
		time.Sleep(time.Second)
		synctest.Wait()
		if a, err := r.Invoke(t.Context(), ask("away", "")); err != nil || a.Refused() != spillway.ReasonNone {
			t.Errorf("cloud sends did not resume: %+v, %v", a, err)
		}
		if n := len(r.cloud.Executions()); n != 1 {
			t.Errorf("the cloud executed %d calls", n)
		}
	})
}

// TestUnknownIsEstimated: the answer says unknown at once, the reservation is
// billed at the provider's deadline, and the function is not run again.
func TestUnknownIsEstimated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, memory.Options{}, memory.Options{Step: func(pools.Request) memory.Step { return memory.Step{Ending: memory.Vanishes} }})
		defer r.close()
		asked := ask("away", "")
		asked.RequestKey = "k"
		a, err := r.Invoke(t.Context(), asked)
		if err != nil || !a.Unknown() {
			t.Fatalf("got %+v, %v", a, err)
		}
		if k := r.book.kinds(); len(k) != 0 {
			t.Fatalf("posted before the deadline: %v", k)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if k := r.book.kinds(); k[billing.KindEstimate] != 1 || len(k) != 1 {
			t.Fatalf("posted %v", k)
		}
		line := r.book.lines[0]
		if reserved := a.Decision.Last().Reserved; line.Settled != reserved || line.Amount.Text('f') != reserved.String()+"000000000" {
			t.Errorf("estimated %s, reserved %s", line.Amount.Text('f'), reserved)
		}
		if line.RequestKey == "" {
			t.Error("without its key on the line, a restarted server would run the request again")
		}
		if line.CloudFunction != "away-in-the-cloud" {
			t.Errorf("the line says that %q was called", line.CloudFunction)
		}
		if len(r.cloud.Executions()) != 1 || len(r.book.explained) != 1 {
			t.Errorf("executed %d times, %d explanations kept", len(r.cloud.Executions()), len(r.book.explained))
		}
	})
}

// TestFailedStart answers as Lambda does for a function that does not start.
func TestFailedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, memory.Options{Start: func(context.Context, *spillway.Function) (pools.ColdStart, error) {
			return pools.ColdStart{}, &pools.StartError{Type: "Runtime.InvalidEntrypoint", Err: errors.New("no such file")}
		}}, memory.Options{})
		defer r.close()
		a, err := r.Invoke(t.Context(), ask("stay", ""))
		if err != nil || a.FunctionError != spillway.FunctionUnhandled || !strings.Contains(string(a.Payload), "Runtime.InvalidEntrypoint") {
			t.Fatalf("got %+v %s, %v", a, a.Payload, err)
		}
		if n := len(r.book.lines); n != 0 {
			t.Errorf("%d lines for a call that never ran", n)
		}
		// A function that may burst goes to the cloud instead.
		if a, err := r.Invoke(t.Context(), ask("a", "")); err != nil || a.Decision.Reason != spillway.ReasonReplaced {
			t.Errorf("got %+v, %v", a, err)
		}
	})
}

// TestDrain lets what was admitted end, and takes no more.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, takes(3*time.Second), memory.Options{})
		defer r.close()
		done := make(chan error, 1)
		go func() {
			a, err := r.Invoke(context.Background(), ask("stay", ""))
			if err == nil && a.Refused() != spillway.ReasonNone {
				err = errors.New(a.Refused().String())
			}
			done <- err
		}()
		synctest.Wait()
		drained := make(chan error, 1)
		go func() { drained <- r.Drain(context.Background()) }()
		synctest.Wait()
		if _, err := r.Invoke(t.Context(), ask("stay", "")); !errors.Is(err, server.ErrDraining) {
			t.Errorf("admitted while draining: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("the admitted call: %v", err)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}

// TestCloseAnswersWhatWaits: a call without a place is refused when the server ends.
func TestCloseAnswersWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, takes(9*time.Second), memory.Options{})
		answers := make(chan *server.Answer, 2)
		for range 2 {
			go func() {
				a, _ := r.Invoke(context.Background(), ask("stay", ""))
				answers <- a
			}()
			synctest.Wait()
		}
		r.Close()
		r.onprem.Close()
		refused := 0
		for range 2 {
			if a := <-answers; a != nil && a.Refused() == spillway.ReasonUnavailable && a.Decision.Limit.Kind == spillway.LimitShutdown {
				refused++
			}
		}
		if refused != 1 {
			t.Errorf("%d calls were refused because the server ends, want the one that waited", refused)
		}
	})
}

// TestReload: a call in flight ends under the old rules, one that waits and one that
// comes go by the new ones.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, takes(5*time.Second), memory.Options{})
		defer r.close()
		answers := make(chan *server.Answer, 2)
		invoke := func() { a, _ := r.Invoke(context.Background(), ask("stay", "")); answers <- a }
		go invoke()
		synctest.Wait()
		go invoke() // waits: there is one slot
		synctest.Wait()
		next, err := testplatform.Parse(strings.Replace(smallPlatform, "slots=1", "slots=2", 1))
		if err != nil {
			t.Fatal(err)
		}
		next.Functions[2].Policy = 1
		next.Generation = 2
		before := time.Now()
		r.Reload(next, nil, nil)
		for range 2 {
			if a := <-answers; a == nil || a.Refused() != spillway.ReasonNone {
				t.Fatalf("got %+v", a)
			}
		}
		if took := time.Since(before); took != 5*time.Second {
			t.Errorf("the waiting call began %v after the reload", took-5*time.Second)
		}
		if f := r.Platform().Generation; f != 2 {
			t.Errorf("generation %d", f)
		}
	})
}

// TestClientGone: the call of a client that hung up goes on, and its repeat joins.
func TestClientGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, takes(time.Second), memory.Options{})
		defer r.close()
		ctx, hangUp := context.WithCancel(t.Context())
		a := ask("a", "")
		a.RequestKey = "k"
		go func() { _, _ = r.Invoke(ctx, a) }()
		synctest.Wait()
		hangUp()
		if answer, err := r.Invoke(t.Context(), a); err != nil || answer.Refused() != spillway.ReasonNone {
			t.Fatalf("got %+v, %v", answer, err)
		}
		if n := len(r.onprem.Executions()); n != 1 {
			t.Errorf("executed %d times", n)
		}
	})
}

// TestClientContext puts the invocation where the function can read it, and lets
// no caller forge it.
func TestClientContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got string
		r := newRig(t, memory.Options{Step: func(q pools.Request) memory.Step { got = q.ClientContext; return memory.Step{} }}, memory.Options{})
		defer r.close()
		a := ask("a", "")
		a.ClientContext = `{"client":{"app":"x"},"custom":{"mine":"1","spillway-invocation":"forged"}}`
		answer, err := r.Invoke(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		id := answer.Decision.Call.ID
		if !strings.Contains(got, `"spillway-invocation":"`+id+`"`) || strings.Contains(got, "forged") || !strings.Contains(got, `"mine":"1"`) || !strings.Contains(got, `"app":"x"`) {
			t.Errorf("client context %s", got)
		}
	})
}

// TestRestoredIntentIsEstimated: an intent of a previous process becomes an estimate
// at its deadline, with what its line said.
func TestRestoredIntentIsEstimated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := testplatform.Parse(smallPlatform)
		if err != nil {
			t.Fatal(err)
		}
		now := spillway.InstantOf(time.Now())
		line := &billing.Entry{Invocation: "old", Attempt: 1, Namespace: "shop", Function: "away", Pool: "cloud", Cloud: true, Kind: billing.KindIntent,
			Reserved: 4321, RequestKey: "key", Admitted: now.Time(), Deadline: now.Add(time.Second).Time(), Resources: spillway.Resources{Slots: 1, MiB: 128}}
		engine := dispatcher.New(p)
		engine.Restore(nil, []dispatcher.OpenIntent{{Invocation: "old", Attempt: 1, Function: spillway.FunctionKey{Namespace: "shop", Name: "away"}, Pool: "cloud",
			Admitted: now, Deadline: now.Add(time.Second), Reserved: 4321, Resources: line.Resources}})
		onprem, book := memory.New(memory.Options{}), new(bookOnly)
		s := server.New(server.Config{Engine: engine, Pools: map[int]pools.Pool{0: onprem, 1: memory.NewCloud(1, memory.Options{})}, Policy: permitAll{p}, Ledger: book, Open: []*billing.Entry{line}})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(book.lines) != 1 || book.lines[0].Kind != billing.KindEstimate || book.lines[0].RequestKey != "key" || book.lines[0].Settled != 4321 {
			t.Errorf("posted %+v", book.lines)
		}
		s.Close()
		onprem.Close()
	})
}

// TestWebInCloud: a request whose body is whole goes to a cloud as an event, and a
// stream stays on-prem.
func TestWebInCloud(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := testplatform.Parse(smallPlatform + "function shop/site contract=http burst=allow timeout=2s policy=outside")
		if err != nil {
			t.Fatal(err)
		}
		onprem := memory.New(memory.Options{})
		s := server.New(server.Config{Engine: dispatcher.New(p), Pools: map[int]pools.Pool{0: onprem, 1: memory.NewCloud(1, memory.Options{})}, Policy: permitAll{p}, Ledger: new(bookOnly)})
		defer func() { s.Close(); onprem.Close() }()
		request := ask("site", "hello")
		request.Web = &server.Web{Web: pools.Web{Method: "PUT", Target: "/a?b=c", Header: http.Header{}, Caller: t.Context()}}
		a, err := s.Invoke(t.Context(), request)
		if err != nil || a.Web == nil || a.Web.Status != 200 {
			t.Fatalf("got %+v, %v", a, err)
		}
		var event struct {
			RawPath, Body  string
			RequestContext struct{ HTTP struct{ Method string } }
		}
		if err := json.Unmarshal(a.Web.Body, &event); err != nil || event.RawPath != "/a" || event.Body != "hello" || event.RequestContext.HTTP.Method != "PUT" {
			t.Errorf("the cloud got %s, %v", a.Web.Body, err)
		}
		request.Web.Body, request.Web.Length = io.NopCloser(strings.NewReader("hello")), -1
		if a, err := s.Invoke(t.Context(), request); err != nil || a.Refused() != spillway.ReasonDenied {
			t.Errorf("a stream under a policy without on-prem: %+v, %v", a, err)
		}
	})
}
