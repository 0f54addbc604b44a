package node

import (
	"testing"
	"time"

	"github.com/spillway-dev/spillway/provider/gate"
)

// TestAnswersInWords: people read what becomes of a pod, and why, in its events.
func TestAnswersInWords(t *testing.T) {
	full := "capacity of pool offline, milliCPU: 0 of 120 in use, 500 needed"
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tonight, tomorrow := now.Add(2*time.Hour), now.Add(24*time.Hour)
	for _, c := range []struct {
		a          gate.Answer
		text, plan string
	}{
		{gate.Answer{State: gate.Waiting}, "waits for idle capacity", ""},
		{gate.Answer{State: gate.Waiting, Text: full, CloudAt: &tonight}, "waits for idle capacity (" + full + ")", "goes to the cloud at 05:04"},
		{gate.Answer{State: gate.Waiting, CloudAt: &tomorrow, CloudEstimate: "0.8", Currency: "CNY"}, "waits for idle capacity", "goes to the cloud at 2026-01-03 03:04, at most ¥0.8"},
		{gate.Answer{State: gate.Waiting, CloudAt: &now}, "waits for idle capacity", "goes to the cloud as soon as it may"},
		{gate.Answer{State: gate.Cloud, Pool: "lambda", Text: full}, "goes to the cloud, to pool lambda (" + full + ")", ""},
		{gate.Answer{State: gate.Cloud, Pool: "lambda"}, "goes to the cloud, to pool lambda", ""},
	} {
		if got := answerOf(c.a, now); got.Text != c.text || got.Plan != c.plan {
			t.Errorf("%+v reads %q and %q", c.a, got.Text, got.Plan)
		}
	}
}
