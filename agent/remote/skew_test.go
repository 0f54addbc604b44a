package remote

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

// TestDeadlinesTravelAsDurations: an agent whose clock is wrong ends a call when its time
// is over all the same, since nothing of what it is told is a time of day.
func TestDeadlinesTravelAsDurations(t *testing.T) {
	const left = 5 * time.Second
	a := &attempt{r: &pools.Request{Invocation: "i", Attempt: 1, Function: &spillway.Function{}}, ticket: ticket{strings.Repeat("0", clientDigits), 1}, deadline: time.Now().Add(left)}
	_, line, _ := strings.Cut(string(a.head(nil, "/v1/invoke", 0)), callHeader+": ")
	line, _, _ = strings.Cut(line, "\r\n")
	var told map[string]any
	if err := json.Unmarshal([]byte(line), &told); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	micros, ok := told["leftMicros"].(float64)
	if !ok || micros > float64(left.Microseconds()) || micros < 1 {
		t.Errorf("left: %v", told["leftMicros"])
	}
	for name, value := range told {
		if n, number := value.(float64); number && n > float64(left.Microseconds()) {
			t.Errorf("%s is %v, which may be a time of day", name, n)
		}
	}
}
