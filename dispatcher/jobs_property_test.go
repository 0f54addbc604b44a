package dispatcher_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
)

var jobPlatforms = []string{`
pool idle offline
pool cloud lambda init=1s
quota company offlinemcpu=5000 budget=day:1000000000:reject
quota retail parent=company offline=3
quota media parent=company offlinemcpu=3000
policy default Hybrid order=cloud
namespace films quota=media
namespace shop quota=retail
function shop/f burst=allow
function films/f burst=allow
`, `
pool idle offline
pool cloud lambda init=1s
quota company offlinemcpu=2000 budget=day:1000000000:reject
quota retail parent=company offline=1
policy default Hybrid order=cloud kill
namespace shop quota=retail
function shop/f burst=allow
`}

// jobOracle is a virtual node: it believes answers only.
type jobOracle struct {
	t       *rapid.T
	e       *dispatcher.Engine
	p       *spillway.Platform
	now     spillway.Instant
	room    int64
	told    map[string]dispatcher.Job // that may run
	attempt map[string]int
	over    map[string]int  // attempts that have ended, by job
	ended   map[string]int  // the attempt of which it told the end last
	placed  map[string]bool // whether the attempt has begun
	shut    map[string]bool // it was asked last of a job that no machine has a place for
	lost    map[string]bool // of told, those of which it can say nothing any more
	lives   map[int]int     // how often the pod of a job was replaced by one with another id
	posted  map[string]billing.Kind
	excess  map[string]int64 // what was over a limit when that was lowered
}

func (o *jobOracle) take(effects []dispatcher.Effect) {
	for _, f := range effects {
		if f.Kind != dispatcher.Post {
			o.t.Fatalf("effect %v of a job", f.Kind)
		}
		key := fmt.Sprintf("%s/%d", f.Decision.Call.ID, f.Decision.Earlier+f.Attempt)
		if before, twice := o.posted[key]; twice {
			o.t.Fatalf("%s posted as %s and as %s", key, before, f.Line)
		}
		o.posted[key] = f.Line
		delete(o.told, f.Decision.Call.ID)
	}
	o.check()
}

// within reports whether n keeps a limit, or is above one that was lowered and has not
// grown since.
func (o *jobOracle) within(name string, n, limit int64) {
	if n <= limit {
		delete(o.excess, name)
		return
	}
	if before, ok := o.excess[name]; !ok || n > before {
		o.t.Fatalf("%s: %d of %d", name, n, limit)
	}
	o.excess[name] = n
}

func (o *jobOracle) check() {
	if err := o.e.CheckJobs(); err != nil {
		o.t.Fatal(err)
	}
	if err := o.e.CheckWaiting(o.now); err != nil {
		o.t.Fatal(err)
	}
	running := int64(0)
	for _, j := range o.told {
		running += j.Need.MilliCPU
	}
	held := o.e.View(o.now).Pools[0].Offline.HeldMilliCPU
	if held < running || held < 0 {
		o.t.Fatalf("%dm run and %dm are held", running, held)
	}
	o.within("room", held, o.room)
	for q, node := range o.p.Quotas {
		used, limit := o.e.Quota().Used(q, spillway.ClassOffline), node.Nominal[spillway.ClassOffline]
		o.within(node.Name+" slots", used.Slots, limit.Slots)
		o.within(node.Name+" cpu", used.MilliCPU, limit.MilliCPU)
	}
}

// lowered lets what is held stay, and no more.
func (o *jobOracle) lowered() {
	o.excess = map[string]int64{}
	o.excess["room"] = o.e.View(o.now).Pools[0].Offline.HeldMilliCPU
	for q, node := range o.p.Quotas {
		used := o.e.Quota().Used(q, spillway.ClassOffline)
		o.excess[node.Name+" slots"], o.excess[node.Name+" cpu"] = used.Slots, used.MilliCPU
	}
}

// uid is that of the pod that a job has now.
func (o *jobOracle) uid(n int) string { return fmt.Sprintf("job%d-%d", n, o.lives[n]) }

// terms are what the owner of a job says of it now, which may be other than before.
func (o *jobOracle) terms(rt *rapid.T, j *dispatcher.Job) {
	if rapid.IntRange(0, 4).Draw(rt, "no burst") > 0 {
		j.Burst = o.p.Function(spillway.FunctionKey{Namespace: j.Namespace, Name: "f"})
	}
	j.MaxWait = rapid.SampledFrom([]time.Duration{time.Minute, -1, 0, 10 * time.Minute}).Draw(rt, "wait")
	if in := rapid.SampledFrom([]time.Duration{0, time.Second, 10 * time.Minute, time.Hour}).Draw(rt, "deadline"); in > 0 {
		j.Deadline = o.now.Add(in)
	}
}

func (o *jobOracle) ask(rt *rapid.T) {
	n := rapid.IntRange(0, 11).Draw(rt, "job")
	j := dispatcher.Job{UID: o.uid(n), Namespace: []string{"shop", "films"}[n%2], Name: "j", Pod: "p", Node: "node", MaxWait: -1,
		Need: spillway.Resources{Slots: 1, MilliCPU: int64(500 * (1 + n%4)), MiB: 1}, Timeout: time.Duration(n%3) * time.Minute}
	if n >= 8 {
		o.terms(rt, &j)
		j.CloudOnly = rapid.IntRange(0, 2).Draw(rt, "larger than all") == 0
	}
	j.NoRoom = rapid.IntRange(0, 3).Draw(rt, "no place") == 0
	shut := j.CloudOnly || j.NoRoom
	before, asked := o.shut[j.UID]
	o.shut[j.UID] = shut
	j.Attempt = o.over[j.UID] + 1
	a, effects := o.e.AdmitJob(o.now, j, testplatform.PermitAll(o.p), new(dispatcher.Decision))
	if a.Attempt != j.Attempt {
		rt.Fatalf("%s asks for attempt %d and is answered of %d", j.UID, j.Attempt, a.Attempt)
	}
	if a.State == dispatcher.JobRefused && a.Problem == nil {
		rt.Fatalf("%s is refused where only a place is missing", j.UID)
	}
	switch a.State {
	case dispatcher.JobAdmitted:
		if _, runs := o.told[j.UID]; shut && !runs && (before || !asked) {
			rt.Fatalf("%s runs where it has no place", j.UID)
		}
		if _, over := o.posted[fmt.Sprintf("%s/%d", j.UID, a.Attempt)]; over {
			rt.Fatalf("%s attempt %d was posted and is admitted", j.UID, a.Attempt)
		}
		o.told[j.UID], o.attempt[j.UID] = j, a.Attempt
	case dispatcher.JobOver:
		if o.ended[j.UID] != a.Attempt {
			rt.Fatalf("%s attempt %d has not ended", j.UID, a.Attempt)
		}
		o.over[j.UID] = a.Attempt
	default:
		if _, runs := o.told[j.UID]; runs {
			rt.Fatalf("%s runs and is now %s", j.UID, a.State)
		}
		bounded := j.MaxWait >= 0 || j.Deadline != 0 || j.CloudOnly
		if (j.Burst == nil || !bounded) && a.State == dispatcher.JobWaiting && a.CloudAt != spillway.Never {
			rt.Fatalf("%s may wait for ever and goes to a cloud at %d", j.UID, a.CloudAt)
		}
		o.attempt[j.UID] = a.Attempt
	}
	o.placed[j.UID] = a.State == dispatcher.JobAdmitted || a.State == dispatcher.JobCloud
	o.take(effects)
}

func (o *jobOracle) end(rt *rapid.T) {
	n := rapid.IntRange(0, 11).Draw(rt, "ended")
	uid := o.uid(n)
	if o.attempt[uid] == 0 {
		return // it has not asked
	}
	end := dispatcher.JobEnd{Attempt: o.attempt[uid]}
	end.Outcome.Class = rapid.SampledFrom([]spillway.OutcomeClass{spillway.Executed, spillway.NotExecuted, spillway.Unknown}).Draw(rt, "class")
	if rapid.Bool().Draw(rt, "began") {
		end.Outcome.Usage.Started = o.now
	}
	_, ran := o.told[uid]
	effects, open := o.e.EndJob(o.now, uid, end)
	if ran && !open {
		rt.Fatalf("%s ran and its end was not taken", uid)
	}
	o.take(effects)
	if again, open := o.e.EndJob(o.now, uid, end); open && end.Outcome.Class != spillway.Unknown || len(again) > 0 {
		rt.Fatalf("%s ended twice", uid)
	}
	if end.Outcome.Class == spillway.Unknown { // the pod is gone
		o.lost[uid] = true
		o.lives[n]++
	} else if o.ended[uid] = end.Attempt; open && o.placed[uid] {
		o.over[uid], o.placed[uid] = end.Attempt, false
	}
}

// TestJobProperties drives jobs with random events and holds the Engine to its
// promises: never over quota or room, one line for each attempt, none that waits though
// it has room, nothing held at the end.
func TestJobProperties(t *testing.T) {
	var all []*spillway.Platform
	for i, text := range jobPlatforms {
		p, err := testplatform.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		p.Generation = int64(i + 1)
		all = append(all, p)
	}
	rapid.Check(t, func(rt *rapid.T) {
		o := &jobOracle{t: rt, e: dispatcher.New(all[0]), p: all[0], now: epoch, told: map[string]dispatcher.Job{}, attempt: map[string]int{},
			over: map[string]int{}, ended: map[string]int{}, lost: map[string]bool{}, placed: map[string]bool{}, shut: map[string]bool{}, lives: map[int]int{}, posted: map[string]billing.Kind{}, excess: map[string]int64{}}
		for range rapid.IntRange(1, 80).Draw(rt, "events") {
			o.now = o.now.Add(time.Duration(rapid.IntRange(0, 30).Draw(rt, "seconds")) * time.Second)
			switch rapid.IntRange(0, 9).Draw(rt, "event") {
			case 0:
				o.room = int64(1000 * rapid.IntRange(0, 6).Draw(rt, "room"))
				o.lowered()
				o.take(o.e.Observe(o.now, dispatcher.Observation{Kind: dispatcher.PoolCapacity, Capacity: spillway.Resources{Slots: spillway.Unlimited, MilliCPU: o.room, MiB: 1000}}))
			case 1:
				effects := o.e.Reload(o.now, all[rapid.IntRange(0, 1).Draw(rt, "platform")], nil)
				o.p = o.e.Platform()
				o.lowered()
				o.take(effects)
			case 2:
				o.take(o.e.Tick(o.now))
			case 3, 4, 5:
				o.end(rt)
			default:
				o.ask(rt)
			}
		}
		for uid := range o.told {
			if o.lost[uid] {
				continue // nobody ends it
			}
			effects, _ := o.e.EndJob(o.now, uid, dispatcher.JobEnd{Attempt: o.attempt[uid], Outcome: spillway.Outcome{Class: spillway.Executed}})
			o.take(effects)
		}
		o.now = o.now.Add(time.Hour)
		o.take(o.e.Tick(o.now)) // those that were never told, that waited, and that were lost
		if held := o.e.View(o.now).Pools[0].Offline.HeldMilliCPU; held != 0 {
			rt.Fatalf("%dm are held at the end", held)
		}
		for q := range o.p.Quotas {
			if used := o.e.Quota().Used(q, spillway.ClassOffline); used != (spillway.Resources{}) {
				rt.Fatalf("quota %s still holds %v", o.p.Quotas[q].Name, used)
			}
		}
	})
}

// TestReloadAddsNoTimers: however often the rules are read again, a job that waits has
// one timer.
func TestReloadAddsNoTimers(t *testing.T) {
	p, err := testplatform.Parse(jobPlatforms[0])
	if err != nil {
		t.Fatal(err)
	}
	e := dispatcher.New(p)
	j := dispatcher.Job{UID: "a", Namespace: "shop", Name: "j", Pod: "p", Node: "node", MaxWait: 8 * time.Hour,
		Need: spillway.Resources{Slots: 1, MilliCPU: 500, MiB: 1}, Burst: p.Function(spillway.FunctionKey{Namespace: "shop", Name: "f"})}
	if a, _ := e.AdmitJob(epoch, j, testplatform.PermitAll(p), new(dispatcher.Decision)); a.State != dispatcher.JobWaiting || a.CloudAt == spillway.Never {
		t.Fatalf("%+v", a)
	}
	before := e.Timers()
	for i := range 100 {
		again, err := testplatform.Parse(jobPlatforms[0])
		if err != nil {
			t.Fatal(err)
		}
		again.Generation = int64(i + 2)
		e.Reload(epoch.Add(time.Second), again, nil)
	}
	if after := e.Timers(); after > before {
		t.Errorf("%d timers, and %d after reloads", before, after)
	}
}
