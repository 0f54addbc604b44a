package node

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/spillway-dev/spillway/provider/course"
	"github.com/spillway-dev/spillway/provider/gate"
)

// TestEvent: a cloud is told what is written in a pod, and of secrets the names only.
func TestEvent(t *testing.T) {
	p := &corev1.Pod{}
	p.Namespace, p.Name, p.UID = "night", "crunch-x", "u"
	p.Annotations = map[string]string{completionIndex: "4", "note": "may change"}
	p.Spec.Containers = []corev1.Container{{Name: "main", Command: []string{"/crunch"}, Args: []string{"--day"}, Env: []corev1.EnvVar{{Name: "SIZE", Value: "3"},
		{Name: "PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{Key: "p"}}}},
		EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "db"}}}}}}
	text, err := json.Marshal(eventOf(p, course.Invocation{Attempt: 2}))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"namespace":"night","pod":"crunch-x","uid":"u","completionIndex":"4","attempt":2,"containers":[{"name":"main","command":["/crunch"],"args":["--day"],"env":[{"name":"SIZE","value":"3"}],"withheld":["secret db","PASSWORD"]}]}`
	if string(text) != want {
		t.Errorf("%s", text)
	}
}

// TestRunOf: only what the dispatcher says ran has run, and what it does not know is not
// sent again.
func TestRunOf(t *testing.T) {
	began := time.Unix(1000, 0)
	i := course.Invocation{Attempt: 1, Key: "u/1", Pool: "lambda"}
	for name, test := range map[string]struct {
		ran   gate.Ran
		err   error
		state course.RunState
		says  string
	}{
		"ended":   {ran: gate.Ran{State: "executed", ExitCode: 3, Text: "E: no", Log: "tail", Pool: "lambda", Invocation: "id"}, state: course.Executed, says: "E: no\ntail"},
		"refused": {ran: gate.Ran{State: "not_executed", Reason: "budget_exceeded", Text: "budget all"}, state: course.NotExecuted, says: "budget_exceeded: budget all"},
		"unknown": {ran: gate.Ran{State: "unknown", Text: "who knows"}, state: course.Unknown, says: "who knows"},
		"barred":  {err: errors.New("not allowed"), state: course.NotExecuted, says: "not allowed"},
		"odd":     {ran: gate.Ran{State: "strange"}, state: course.Unknown},
	} {
		r := runOf(test.ran, test.err, i, began, began.Add(time.Minute))
		if r.State != test.state || r.Text != test.says || r.Ended.Before(r.Started) || !strings.HasPrefix(r.ID, "lambda://") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestPlan: what comes of waiting, in words.
func TestPlan(t *testing.T) {
	now := time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC)
	soon, later := now.Add(30*time.Minute), now.Add(6*time.Hour+30*time.Minute)
	for want, a := range map[string]gate.Answer{
		"":                                    {},
		"goes to the cloud at 23:30":          {CloudAt: &soon},
		"goes to the cloud as soon as it may": {CloudAt: &now},
		"goes to the cloud at 2026-11-21 05:30, at most ¥0.8": {CloudAt: &later, CloudEstimate: "0.800000000", Currency: "CNY"},
	} {
		if got := planOf(a, now); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// runner is a dispatcher that runs attempts as the test says.
type runner struct {
	Gate
	run func(ctx context.Context, sent func()) (gate.Ran, error)
}

func (r runner) Run(ctx context.Context, _ string, _ gate.RunRequest, sent func()) (gate.Ran, error) {
	return r.run(ctx, sent)
}

// TestShowsRunning: a pod shows as running in a cloud when what asks for it was sent and is
// not answered for a while, since it was first, and not while nothing could be sent.
func TestShowsRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, asked := time.Now(), 0
		c := coursesOf(nil)
		defer c.queue.ShutDown()
		c.log = slog.New(slog.DiscardHandler)
		c.gate = runner{run: func(ctx context.Context, sent func()) (gate.Ran, error) {
			switch asked++; asked {
			case 1: // at once
				return gate.Ran{}, gate.ErrUnavailable
			case 2: // after a second; nothing is sent in ten
				time.Sleep(10 * time.Second)
				return gate.Ran{}, gate.ErrUnavailable
			case 3: // after 13 seconds
				sent()
				sent()
				time.Sleep(time.Minute)
				return gate.Ran{}, gate.ErrUnavailable
			}
			sent() // after 77 seconds
			time.Sleep(time.Minute)
			return gate.Ran{State: "executed"}, nil
		}}
		v := virtual{uid: "1"}
		c.memory(v.uid)
		c.runs.Go(func() { c.inCloud(t.Context(), v, course.Invocation{Attempt: 1}, nil) })
		shown := func() *course.Run {
			synctest.Wait()
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.known[v.uid].cloud
		}
		time.Sleep(14 * time.Second)
		if r := shown(); r != nil {
			t.Errorf("it shows before it was sent, or at once: %+v", r)
		}
		for _, later := range []time.Duration{10 * time.Second, 65 * time.Second} { // 24 and 89 seconds
			time.Sleep(later)
			if r := shown(); r == nil || r.State != course.Running || !r.Started.Equal(began.Add(13*time.Second)) {
				t.Errorf("it shows %+v", r)
			}
		}
		c.runs.Wait()
		if r := shown(); r.State != course.Executed {
			t.Errorf("it shows %+v when it has ended", r)
		}
	})
}
