package course_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"

	"github.com/spillway-dev/spillway/provider/course"
)

// TestStories runs the data files: what happens to one virtual pod, and what is done
// about it.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		var w *world
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "job" {
				w = newWorld(storyPod(d))
				return ""
			}
			w.log = nil
			w.happen(t, d)
			w.follow(t)
			if len(w.broken) > 0 {
				t.Fatalf("%s: %s", d.Pos, strings.Join(w.broken, "\n"))
			}
			if len(w.log) == 0 {
				return "nothing"
			}
			return strings.Join(w.log, "\n")
		})
	})
}

func word(d *datadriven.TestData, key, otherwise string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) > 0 {
			return strings.Join(a.Vals, ",")
		}
	}
	return otherwise
}

func number(d *datadriven.TestData, key string, otherwise int) int {
	n, err := strconv.Atoi(word(d, key, strconv.Itoa(otherwise)))
	if err != nil {
		panic(fmt.Sprintf("%s: %s: %v", d.Pos, key, err))
	}
	return n
}

func storyPod(d *datadriven.TestData) *corev1.Pod {
	v := jobPod(corev1.RestartPolicy(word(d, "restart", "Never")), number(d, "init", 0), number(d, "containers", 1))
	if limit := int64(number(d, "deadline", 0)); limit > 0 {
		v.Spec.ActiveDeadlineSeconds = &limit
	}
	if d.HasArg("hostNetwork") {
		v.Spec.HostNetwork = true
	}
	return v
}

// follow does steps until nothing is left to do.
func (w *world) follow(t *testing.T) {
	for range 30 {
		w.sync()
		if !w.step(func(string) bool { return false }) {
			return
		}
	}
	t.Fatalf("it goes in circles:\n%s", strings.Join(w.log, "\n"))
}

// happen is one line of a story.
func (w *world) happen(t *testing.T, d *datadriven.TestData) {
	g := w.live()
	code := int32(number(d, "code", 0))
	switch d.Cmd {
	case "says": // the dispatcher
		states := map[string]course.State{"waiting": course.Waiting, "admitted": course.Admitted, "cloud": course.Cloud, "refused": course.Refused}
		w.full = w.full || d.HasArg("full") // of all real nodes
		w.refuses = w.refuses || d.HasArg("refuses")
		w.loses = d.HasArg("loses") // the node process, the first guest that it makes
		w.says = course.Answer{State: states[d.CmdArgs[0].Key], Pool: word(d, "pool", ""), Reason: word(d, "reason", ""), Text: strings.TrimSpace(d.Input)}
	case "after":
		wait, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		w.now = w.now.Add(wait)
	case "lands":
		w.create(w.flight)
	case "runs":
		w.schedule(g)
		w.run(g)
	case "scheduled":
		w.schedule(g)
	case "full": // all real nodes
		w.full = true
	case "refuses": // the API server, all guests
		w.refuses = true
	case "accepts":
		w.refuses = false
	case "room":
		w.full = false
	case "wanted-as-it-ends":
		w.wantRoom()
		w.exit(g, "c0", code)
		w.step(func(string) bool { return false })
		w.restart()
	case "cleared-as-it-ends":
		w.exit(g, "c0", code)
		w.vanish(g)
	case "forced-both": // the pod and its guest
		if d.HasArg("runs") {
			w.run(g)
		}
		w.vanish(g)
		w.pod = nil
		if d.HasArg("restart") {
			w.restart()
		}
	case "exit":
		w.exit(g, word(d, "container", "c0"), code)
	case "evicted":
		w.evict(g)
	case "rejected":
		w.reject(g)
	case "node-off":
		w.shutdown(g)
	case "timed-out":
		w.timeout(g)
	case "node-gone": // and with it what was on it
		g.Status.Phase = corev1.PodFailed
		w.condition(g, "DeletionByPodGC", "PodGC: node no longer exists")
		w.follow(t)
		w.vanish(g)
	case "taint-manager":
		w.condition(g, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
		w.deleteGuest(g, 30)
	case "killed": // by SIGTERM, and removed
		w.kill(g, code)
		if !d.HasArg("unseen") {
			w.follow(t)
		}
		w.reapGuests()
	case "removed": // by hand, by force
		w.deleteGuest(g, 0)
	case "hand-deletes":
		w.deleteGuest(g, 30)
	case "reclaim":
		w.wantRoom()
	case "deleted":
		w.deletePod(int64(number(d, "grace", 30)))
	case "forced":
		w.pod = nil
	case "reaped":
		w.reap()
	case "restart":
		w.restart()
	case "cloud-ends":
		for _, run := range w.sent {
			run.State = map[string]course.RunState{"executed": course.Executed, "not-executed": course.NotExecuted, "unknown": course.Unknown}[d.CmdArgs[0].Key]
			run.ExitCode, run.Ended = code, w.now
		}
		w.learn()
	default:
		d.Fatalf(t, "no such thing as %s", d.Cmd)
	}
}
