package cloud

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// The figures were worked out by hand from the published prices.
func TestCost(t *testing.T) {
	b, err := newBooks(Config{}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		ms   int64
		mib  int
		want string
	}{
		{1, 128, "0.0000002020833375"},   // 0.000125 GB-s: the least there is
		{1000, 1024, "0.0000168667"},     // one GB-s
		{662, 512, "0.0000057166777"},    // 0.331 GB-s
		{900_000, 10_240, "0.1500005"},   // 9,000 GB-s: the most there is
		{1, 129, "0.000000202099613574"}, // …574.21875: down
		{3, 131, "0.000000206396497168"}, // …167.96875: up
		{4, 128, "0.00000020833335"},     // 0.0005 GB-s
		{86_400_000, 1024, "1.44000308"}, // a day of one GB
	}
	for _, test := range tests {
		if got := decimal(b.rater.cost(test.ms, test.mib)); got != test.want {
			t.Errorf("%d ms of %d MiB: %s, want %s", test.ms, test.mib, got, test.want)
		}
	}
}

func TestRoundHalfEven(t *testing.T) {
	for text, want := range map[string]int64{"5/2": 2, "7/2": 4, "9/4": 2, "11/4": 3, "3": 3, "0": 0, "1/2": 0, "3/2": 2} {
		r, _ := new(big.Rat).SetString(text)
		if got := roundHalfEven(r); got.Cmp(big.NewInt(want)) != 0 {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestBilledMs(t *testing.T) {
	for d, want := range map[time.Duration]int64{0: 1, time.Nanosecond: 1, time.Millisecond: 1, time.Millisecond + 1: 2, 661710 * time.Microsecond: 662} {
		if got := billedMs(d); got != want {
			t.Errorf("%v: %d", d, got)
		}
	}
}

// billed returns a function whose time is a fixed number of virtual milliseconds.
func billed(now *clock, name string, init, run time.Duration, mib int, result error) Function {
	return Function{
		Name: name, MiB: mib, Timeout: 3 * time.Second,
		Init: func(context.Context) error { now.Advance(init); return nil },
		Handle: func(_ context.Context, e Event) ([]byte, error) {
			fmt.Fprintln(e.Log, "working")
			now.Advance(run)
			return []byte(`"ok"`), result
		},
	}
}

func invokeTail(t *testing.T, c *lambda.Client, name, context_ string) (*lambda.InvokeOutput, string) {
	t.Helper()
	in := &lambda.InvokeInput{FunctionName: &name, LogType: types.LogTypeTail}
	if context_ != "" {
		in.ClientContext = aws.String(base64.StdEncoding.EncodeToString([]byte(context_)))
	}
	out, err := c.Invoke(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	tail, err := base64.StdEncoding.DecodeString(*out.LogResult)
	if err != nil {
		t.Fatal(err)
	}
	return out, string(tail)
}

func TestBill(t *testing.T) {
	now := newClock()
	log := filepath.Join(t.TempDir(), "executions.jsonl")
	s, web := serve(t, Config{Clock: now.Now, ExecutionLog: log, Functions: []Function{
		billed(now, "quick", 0, 0, 128, nil),
		billed(now, "cold", 265720*time.Microsecond, 395990*time.Microsecond, 512, nil),
		billed(now, "slow", 0, time.Minute, 1024, nil),
		billed(now, "bad", 0, 10*time.Millisecond, 128, errors.New("no luck")),
	}})
	c := client(t, web)

	if out, tail := invokeTail(t, c, "quick", `{"custom":{"spillway-invocation":"inv-1","spillway-attempt":"2"}}`); out.FunctionError != nil ||
		!strings.Contains(tail, "\tBilled Duration: 1 ms\tMemory Size: 128 MB\t") {
		t.Errorf("quick: %s", tail)
	}
	if _, tail := invokeTail(t, c, "cold", ""); !strings.Contains(tail, "\tDuration: 395.99 ms\tBilled Duration: 662 ms\tMemory Size: 512 MB\tMax Memory Used: 0 MB\tInit Duration: 265.72 ms\t\n") ||
		!strings.HasPrefix(tail, "START RequestId: ") || !strings.Contains(tail, "\nworking\nEND RequestId: ") {
		t.Errorf("cold: %s", tail)
	}
	if _, tail := invokeTail(t, c, "cold", ""); !strings.Contains(tail, "Billed Duration: 396 ms") || strings.Contains(tail, "Init") {
		t.Errorf("warm: %s", tail)
	}
	out, tail := invokeTail(t, c, "slow", "")
	if *out.FunctionError != "Unhandled" || !strings.Contains(string(out.Payload), "Task timed out after 3.00 seconds") || !strings.Contains(tail, "Billed Duration: 3000 ms") || !strings.Contains(tail, "Status: timeout") {
		t.Errorf("slow: %s %s", out.Payload, tail)
	}
	out, _ = invokeTail(t, c, "bad", "")
	if *out.FunctionError != "Unhandled" || string(out.Payload) != `{"errorType":"errorString","errorMessage":"no luck"}` {
		t.Errorf("bad: %s", out.Payload)
	}

	bill := s.Bill()
	want := []struct {
		function, status, cost string
		ms                     int64
	}{
		{"quick", "success", "0.0000002020833375", 1},
		{"cold", "success", "0.0000057166777", 662},
		{"cold", "success", "0.0000035000066", 396},
		{"slow", "timeout", "0.0000502001", 3000},
		{"bad", "error", "0.000000220833375", 10},
	}
	for i, w := range want {
		l := bill.Lines[i]
		if l.Function != w.function || l.Status != w.status || l.Cost != w.cost || l.BilledMs != w.ms {
			t.Errorf("line %d: %+v, want %+v", i, l, w)
		}
	}
	if l := bill.Lines[0]; l.Invocation != "inv-1" || l.Attempt != 2 {
		t.Errorf("names of the caller: %+v", l)
	}
	if bill.Total != "0.0000598397010125" || bill.Executions != len(want) {
		t.Errorf("total %s of %d", bill.Total, bill.Executions)
	}
	isLogged(t, log, bill.Lines)
}

func isLogged(t *testing.T, path string, lines []Line) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	for i := range lines {
		var l Line
		if err := d.Decode(&l); err != nil || l.RequestID != lines[i].RequestID || l.Cost != lines[i].Cost {
			t.Errorf("log line %d: %+v, %v", i, l, err)
		}
	}
	if d.More() {
		t.Error("the log has more lines than the bill")
	}
}

func TestCrashAndLargeAnswer(t *testing.T) {
	s, web := serve(t, Config{Functions: []Function{
		handled("crash", func(context.Context, Event) ([]byte, error) { panic("boom") }),
		handled("large", func(context.Context, Event) ([]byte, error) { return make([]byte, maxResponse+1), nil }),
		{Name: "stillborn", Handle: echo, Init: func(context.Context) error { return errors.New("no database") }},
	}})
	c := client(t, web)
	for name, says := range map[string]string{"crash": "Runtime.ExitError", "large": "Function.ResponseSizeTooLarge", "stillborn": "no database"} {
		out, _ := invokeTail(t, c, name, "")
		if out.FunctionError == nil || !strings.Contains(string(out.Payload), says) {
			t.Errorf("%s: %.200s", name, out.Payload)
		}
	}
	if s.Bill().Executions != 3 {
		t.Errorf("bill %+v", s.Bill())
	}
	if f := s.State().Functions[0]; f.Name != "crash" || f.Environments != 0 {
		t.Errorf("a crashed environment is kept: %+v", f)
	}
}

// A log line cannot push the REPORT out of the tail, nor forge one after it.
func TestTailKeepsTheEnd(t *testing.T) {
	_, web := serve(t, Config{Functions: []Function{handled("loud", func(_ context.Context, e Event) ([]byte, error) {
		fmt.Fprint(e.Log, strings.Repeat("x", 10_000))
		return []byte("1"), nil
	})}})
	_, tail := invokeTail(t, client(t, web), "loud", "")
	lines := strings.Split(strings.TrimSuffix(tail, "\n"), "\n")
	if len(tail) != maxLogTail || !strings.HasPrefix(lines[len(lines)-1], "REPORT RequestId: ") {
		t.Errorf("%d bytes, ends %q", len(tail), lines[len(lines)-1])
	}
}
