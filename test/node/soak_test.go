package node

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// soakPlan says how a soak is run. The short one is for every run of the tests, and looks
// for what must never happen; the long one, of ten minutes and more, is for the share.
type soakPlan struct {
	length     time.Duration
	inFlight   int // Jobs
	killEvery  time.Duration
	swingEvery time.Duration
	look       time.Duration // between two looks
	shortest   int           // seconds of work of a Job
	longest    int
	patient    bool // nobody takes the Lease of a killed process before it runs out
}

const (
	onlineStep = 150 // thousandths of a core, of one online pod
	longSoak   = 10 * time.Minute
	shareBar   = 70 // percent

	marginPercent = 10 // of the node, as it is unless a flag says otherwise
)

// swing is how much of the node online work has, in percent, one step after another.
var swing = []int64{10, 40, 70, 100, 60, 20, 90, 10}

func planOf(t *testing.T) soakPlan {
	t.Helper()
	p := soakPlan{length: 20 * time.Second, inFlight: 16, killEvery: 9 * time.Second, swingEvery: 4 * time.Second, look: 300 * time.Millisecond, shortest: 1, longest: 4}
	var err error
	if text := os.Getenv("SPILLWAY_SOAK"); text != "" {
		p.length, err = time.ParseDuration(text)
		must(t, err)
	}
	if p.length >= longSoak {
		p = soakPlan{length: p.length, inFlight: 200, killEvery: time.Minute, swingEvery: 30 * time.Second, look: time.Second, shortest: 10, longest: 50, patient: true}
	}
	if text := os.Getenv("SPILLWAY_SOAK_JOBS"); text != "" {
		p.inFlight, err = strconv.Atoi(text)
		must(t, err)
	}
	return p
}

// TestNodeSoak has online load swing while Jobs come and the node's process is killed. No
// Job is lost, done twice or charged with a failure. SPILLWAY_SOAK says for how long, and
// SPILLWAY_SOAK_JOBS how many Jobs are in flight.
func TestNodeSoak(t *testing.T) {
	w := newWorld(t)
	s := &soak{soakPlan: planOf(t), world: w, t: t, witness: newWitness(t, w.Cluster), open: map[string]bool{}, uids: map[string]string{}}
	w.serve()
	w.offers(900)
	s.capacity, s.margin = w.free(), w.allocatable()*marginPercent/100
	s.load()
	s.online(0)
	s.drain()
	s.judge()
}

// soak is what one run has made and seen.
type soak struct {
	soakPlan
	*world
	t        *testing.T
	witness  *witness
	capacity int64 // thousandths of a core, of the real node, without what the cluster itself asks for
	margin   int64 // that stay free

	made, kills, onlinePods int
	open                    map[string]bool   // Jobs that have not ended
	uids                    map[string]string // of the pods of those that have
	share                   share
}

func soakName(i int) string { return "soak-" + strconv.Itoa(i) }

// load has the load swing, and as many Jobs in flight as there should be.
func (s *soak) load() {
	s.t.Helper()
	began, step := time.Now(), -1
	killed := began
	for time.Since(began) < s.length {
		if at := int(time.Since(began) / s.swingEvery); at != step {
			step = at
			s.online(int(s.capacity * swing[step%len(swing)] / 100 / onlineStep))
		}
		for len(s.open) < s.inFlight {
			name := soakName(s.made)
			s.create(job(name, fmt.Sprintf("sleep=%ds", s.shortest+s.made*7%(s.longest-s.shortest+1)), "post="+s.witness.address+name))
			s.open[name] = true
			s.made++
		}
		if time.Since(killed) > s.killEvery {
			s.killed()
			killed = time.Now()
		}
		s.reap()
		s.measure()
		select {
		case err := <-s.stopped:
			s.t.Fatalf("the node has ended: %v\n%s", err, s.output)
		case <-time.After(s.look):
		}
	}
}

// drain waits for the end of all Jobs, as long as any end.
func (s *soak) drain() {
	s.t.Helper()
	left, since := len(s.open), time.Now()
	for len(s.open) > 0 {
		if s.reap(); len(s.open) < left {
			left, since = len(s.open), time.Now()
		}
		if time.Since(since) > waiting {
			s.t.Fatalf("%d Jobs do not end, for example %s", left, s.any())
		}
		select {
		case err := <-s.stopped:
			s.t.Fatalf("the node has ended: %v\n%s", err, s.output)
		case <-time.After(s.look):
		}
	}
}

// killed has a new process be the node.
func (s *soak) killed() {
	s.t.Helper()
	s.kill()
	s.kills++
	defer s.begin()
	if s.patient {
		return
	}
	err := s.client.CoordinationV1().Leases("spillway-system").Delete(s.t.Context(), name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		s.t.Fatal(err)
	}
}

// online has so many online pods be there.
func (s *soak) online(pods int) {
	s.t.Helper()
	for ; s.onlinePods < pods; s.onlinePods++ {
		s.world.online("online-"+strconv.Itoa(s.onlinePods), onlineStep)
	}
	for ; s.onlinePods > pods; s.onlinePods-- {
		s.away("online-" + strconv.Itoa(s.onlinePods-1))
	}
}

// reap sees to Jobs that have ended, and removes them.
func (s *soak) reap() {
	s.t.Helper()
	all, err := s.client.BatchV1().Jobs("night").List(s.t.Context(), metav1.ListOptions{})
	must(s.t, err)
	for i := range all.Items {
		j := &all.Items[i]
		if !s.open[j.Name] {
			continue
		}
		if j.Status.Failed > 0 {
			s.t.Errorf("Job %s is charged with a failure: %+v\n%s", j.Name, j.Status, s.events(s.podOf(j.Name)))
			delete(s.open, j.Name)
		}
		for _, c := range j.Status.Conditions {
			if c.Type != batchv1.JobComplete || c.Status != corev1.ConditionTrue {
				continue
			}
			if j.Status.Succeeded != 1 {
				s.t.Errorf("Job %s: %+v", j.Name, j.Status)
			}
			s.uids[j.Name] = string(s.podOf(j.Name).UID)
			delete(s.open, j.Name)
			must(s.t, s.client.BatchV1().Jobs("night").Delete(s.t.Context(), j.Name, metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}))
		}
	}
}

func (s *soak) any() string {
	for name := range s.open {
		p := s.podOf(name)
		return fmt.Sprintf("%s: %s, %s, events:\n%s", name, p.Status.Phase, p.Status.Message, s.events(p))
	}
	return "none"
}
