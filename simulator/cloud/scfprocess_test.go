package cloud

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// customBootstrap is a custom runtime written from SCF's description alone.
func customBootstrap(start string) {
	base := "http://" + os.Getenv("SCF_RUNTIME_API") + ":" + os.Getenv("SCF_RUNTIME_API_PORT") + "/runtime/"
	post := func(path, body string) string {
		r, err := http.Post(base+path, "text/plain", strings.NewReader(body))
		if err != nil {
			os.Exit(1)
		}
		defer r.Body.Close()
		return r.Status[:3]
	}
	next := func() (*http.Response, string) {
		r, err := http.Get(base + "invocation/next")
		if err != nil {
			os.Exit(1)
		}
		defer r.Body.Close()
		event, _ := io.ReadAll(r.Body)
		return r, string(event)
	}
	early, _ := next()
	ready := post("init/ready", " ")
	if start == "exit" {
		os.Exit(3)
	}
	for {
		r, event := next()
		switch event {
		case `"fail"`:
			post("invocation/error", "no luck")
		case `"exit"`:
			os.Exit(3)
		case `"hang"`:
			time.Sleep(time.Hour)
		case `"doom"`:
			post("invocation/response", "{}")
			os.Exit(0)
		default:
			_, again := next()
			fmt.Println("did", event)
			facts, _ := json.Marshal(map[string]any{"same": again == event, "early": early.StatusCode, "ready": ready, "ready twice": post("init/ready", ""),
				"id": r.Header["Request_id"], "memory": r.Header.Get("Memory_Limit_In_Mb"), "limit": r.Header.Get("Time_Limit_In_Ms"),
				"env": os.Environ(), "elsewhere": post("nowhere", "")})
			post("invocation/response", string(facts))
			if post("invocation/error", "too late") != "400" {
				os.Exit(1)
			}
		}
	}
}

func bootstrapOf(t testing.TB, name, start string) Function {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Function{Name: name, Command: []string{self}, MiB: 256, Timeout: time.Second, HandlerName: "index.main",
		Env: []string{"CLOUD_TEST_BOOTSTRAP=" + start, "GREETING=hi"}}
}

func TestCustomRuntime(t *testing.T) {
	t.Setenv("CLOUD_TEST_CANARY", "secret of the server")
	s, c := serveSCF(t, Config{Functions: []Function{bootstrapOf(t, "probe", "run")}})
	r, err := invokeSCF(c, "probe", `{"a": 1}`)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Same          bool
		Early         int
		Ready         string
		Twice         string `json:"ready twice"`
		ID            []string
		Memory, Limit string
		Env           []string
		Elsewhere     string
	}
	if err := json.Unmarshal([]byte(*r.RetMsg), &got); err != nil {
		t.Fatalf("%v: %+v", err, *r)
	}
	if !got.Same || got.Early != 400 || got.Ready != "200" || got.Twice != "400" || got.Elsewhere != "404" || got.Memory != "256" || got.Limit != "1000" ||
		len(got.ID) != 1 || got.ID[0] != *r.FunctionRequestId {
		t.Errorf("%+v", got)
	}
	env := strings.Join(got.Env, "\n")
	for _, want := range []string{"_HANDLER=index.main", "SCF_FUNCTIONNAME=probe", "SCF_NAMESPACE=default", "GREETING=hi"} {
		if !strings.Contains(env, want) {
			t.Errorf("no %s in %s", want, env)
		}
	}
	if strings.Contains(env, "CANARY") {
		t.Errorf("our own environment reached the function: %s", env)
	}
	if !strings.Contains(*r.Log, "did {") || *r.MemUsage < 1<<20 {
		t.Errorf("log %q, memory %d", *r.Log, *r.MemUsage)
	}
	if r, err := invokeSCF(c, "probe", `2`); err != nil || strings.Contains(*r.Log, "did {") || s.State().Functions[0].ColdStarts != 1 {
		t.Errorf("a warm call: %v %+v", err, r)
	}
}

func TestCustomRuntimeFails(t *testing.T) {
	gone := Function{Name: "gone", Command: []string{"/does/not/exist"}}
	s, c := serveSCF(t, Config{Functions: []Function{bootstrapOf(t, "probe", "run"), bootstrapOf(t, "exits", "exit"), gone}})
	for _, test := range []struct {
		function, event, status, says string
		starts                        int // of the function, so far
	}{
		{"probe", `"fail"`, `"statusCode":430`, "no luck", 1},
		{"probe", `"exit"`, `"statusCode":439`, "", 1},
		{"probe", `"hang"`, `"statusCode":433`, "timed out after 1 seconds", 2},
		{"probe", `"doom"`, "", "", 3},
		{"exits", `1`, `"statusCode":4`, "", 1},
		{"gone", `1`, `"statusCode":405`, "", 1},
	} {
		r, err := invokeSCF(c, test.function, test.event)
		if err != nil || !strings.Contains(*r.RetMsg, test.status) || !strings.Contains(*r.ErrMsg, test.says) || (*r.InvokeResult == 0) != (test.status == "") {
			t.Errorf("%s %s: %v %+v", test.function, test.event, err, r)
			continue
		}
		for _, f := range s.State().Functions {
			if f.Name == test.function && f.ColdStarts != test.starts {
				t.Errorf("%s %s: %d starts, want %d", test.function, test.event, f.ColdStarts, test.starts)
			}
		}
	}
	// The process that was doomed may be found dead only now: the call runs all the same.
	if r, err := invokeSCF(c, "probe", `1`); err != nil || *r.InvokeResult != 0 {
		t.Errorf("after the end of an idle instance: %v %+v", err, r)
	}
	if bill := s.Bill(); bill.Executions != 7 {
		t.Errorf("%d executions billed", bill.Executions)
	}
}

// TestDocumentedBootstrap runs a bootstrap as Tencent's own pages describe it: a
// shell and curl.
func TestDocumentedBootstrap(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("needs curl")
	}
	dir := t.TempDir()
	script := `#!/bin/sh
api="http://$SCF_RUNTIME_API:$SCF_RUNTIME_API_PORT/runtime"
curl -s -X POST -d " " "$api/init/ready"
while event=$(curl -s -f -D headers "$api/invocation/next"); do
  grep -qi '^request_id: ' headers || exit 1
  curl -s -X POST -d "{\"got\":$event,\"handler\":\"$_HANDLER\"}" "$api/invocation/response"
done
`
	if err := os.WriteFile(filepath.Join(dir, "bootstrap"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	_, c := serveSCF(t, Config{Functions: []Function{{Name: "shell", Dir: dir, Command: []string{"bootstrap"}, HandlerName: "main", Timeout: 10 * time.Second}}})
	for range 2 {
		if r, err := invokeSCF(c, "shell", `{"a":1}`); err != nil || *r.RetMsg != `{"got":{"a":1},"handler":"main"}` {
			t.Fatalf("%v %+v", err, r)
		}
	}
}
