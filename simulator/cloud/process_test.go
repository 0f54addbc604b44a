package cloud

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

func deploy(t testing.TB, name string, timeout time.Duration) Function {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Function{Name: name, Command: []string{program}, Env: []string{asFunction}, Timeout: timeout, MiB: 256, Qualifiers: map[string]string{"live": "4"}}
}

type deployedAnswer struct {
	ID      string
	Custom  map[string]string
	PID     int
	Version string
}

func do(t *testing.T, c *lambda.Client, name, what string) (*lambda.InvokeOutput, deployedAnswer) {
	t.Helper()
	out, err := c.Invoke(context.Background(), &lambda.InvokeInput{FunctionName: &name, Payload: []byte(`{"do":"` + what + `"}`)})
	if err != nil {
		t.Fatal(err)
	}
	var a deployedAnswer
	if out.FunctionError == nil {
		if err := json.Unmarshal(out.Payload, &a); err != nil {
			t.Fatal(err)
		}
	}
	return out, a
}

// TestProcess runs an unmodified Lambda binary through its whole life.
func TestProcess(t *testing.T) {
	s, web := serve(t, Config{Functions: []Function{deploy(t, "real", time.Minute)}})
	c := client(t, web)
	out, tail := invokeTail(t, c, "real:live", `{"custom":{"spillway-invocation":"inv-9","spillway-attempt":"1"}}`)
	var first deployedAnswer
	if err := json.Unmarshal(out.Payload, &first); err != nil {
		t.Fatal(err)
	}
	line := s.Bill().Lines[0]
	if first.ID != line.RequestID || first.Custom["spillway-invocation"] != "inv-9" || line.Invocation != "inv-9" || first.Version != "4" || line.Version != "4" {
		t.Errorf("function saw %+v, bill says %+v", first, line)
	}
	if line.InitMs == 0 || !strings.Contains(tail, "Init Duration: ") || !strings.Contains(tail, "\ndid \n") || strings.Count(tail, "REPORT ") != 1 || strings.Count(tail, "START ") != 1 {
		t.Errorf("cold: %+v %s", line, tail)
	}
	if out, again := do(t, c, "real:live", "work"); again.PID != first.PID || *out.ExecutedVersion != "4" || s.Bill().Lines[1].InitMs != 0 {
		t.Errorf("warm: process %d after %d, %+v", again.PID, first.PID, s.Bill().Lines[1])
	}
	if _, other := do(t, c, "real", "work"); other.PID == first.PID {
		t.Error("two versions share an environment")
	}
	if out, _ := do(t, c, "real:live", "fail"); *out.FunctionError != "Unhandled" || !strings.Contains(string(out.Payload), "no luck") {
		t.Errorf("error: %s", out.Payload)
	}
	if out, _ := do(t, c, "real:live", "exit"); !strings.Contains(string(out.Payload), "Runtime.ExitError") {
		t.Errorf("exit: %s", out.Payload)
	}
	if _, next := do(t, c, "real:live", "work"); next.PID == first.PID {
		t.Error("a dead process answered")
	}
	if n := s.Bill().Executions; n != 6 {
		t.Errorf("%d executions", n)
	}
}

func TestProcessTimeout(t *testing.T) {
	s, web := serve(t, Config{Functions: []Function{deploy(t, "slow", time.Second)}})
	c := client(t, web)
	_, warm := do(t, c, "slow", "work")
	out, _ := do(t, c, "slow", "sleep")
	if !strings.Contains(string(out.Payload), "Task timed out after 1.00 seconds") || *out.FunctionError != "Unhandled" {
		t.Errorf("got %s", out.Payload)
	}
	if l := s.Bill().Lines[1]; l.Status != "timeout" || l.BilledMs != 1000 {
		t.Errorf("line %+v", l)
	}
	if err := syscall.Kill(warm.PID, 0); err != syscall.ESRCH {
		t.Errorf("the process is still there: %v", err)
	}
}

// An environment that died while idle costs the next call a cold start, not an error.
func TestProcessThatDiedIdle(t *testing.T) {
	s, web := serve(t, Config{Functions: []Function{deploy(t, "mortal", time.Minute)}})
	c := client(t, web)
	_, first := do(t, c, "mortal", "work")
	s.fleet.mu.Lock()
	idle := s.functions["mortal"].idle[latest][0].runner.(*process)
	s.fleet.mu.Unlock()
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-idle.instance.Done()
	if _, second := do(t, c, "mortal", "work"); second.PID == first.PID {
		t.Error("the dead answered")
	}
	if f := s.State().Functions[0]; f.ColdStarts != 2 || f.Environments != 1 {
		t.Errorf("%+v", f)
	}
}

func TestProcessThatCannotStart(t *testing.T) {
	missing := deploy(t, "missing", time.Minute)
	missing.Command = []string{"/nonexistent/program"}
	_, web := serve(t, Config{Functions: []Function{missing}})
	if out, _ := do(t, client(t, web), "missing", "work"); !strings.Contains(string(out.Payload), "Runtime.InvalidEntrypoint") {
		t.Errorf("got %s", out.Payload)
	}
}

func TestRun(t *testing.T) {
	s, err := New(Config{Keys: map[string]string{testKey: testSecret}, Functions: []Function{deploy(t, "real", time.Minute)}})
	if err != nil {
		t.Fatal(err)
	}
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	data, admin := listen(), listen()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var failed error
	var running sync.WaitGroup
	running.Go(func() { failed = s.Run(ctx, data, admin) })
	c := client(t, nil, func(o *lambda.Options) { o.BaseEndpoint = aws.String("http://" + data.Addr().String()) })
	_, answer := do(t, c, "real", "work")
	cancel()
	running.Wait()
	if failed != nil {
		t.Error(failed)
	}
	if err := syscall.Kill(answer.PID, 0); err != syscall.ESRCH {
		t.Errorf("the process outlived the server: %v", err)
	}
	if _, err := os.Stat(s.scratch); !os.IsNotExist(err) {
		t.Errorf("the scratch directory outlived the server: %v", err)
	}
}
