package peers

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/test/internal/testbed"
)

// TestNodeRuntime runs a Node handler under AWS's own runtime interface client, in the
// process pool of a running server.
func TestNodeRuntime(t *testing.T) {
	onPath(t, "node")
	dir := nodePackage(t)
	front := up(t, functionObject("node", "peers", dir, "30s", "")+functionObject("hasty", "peers", dir, "5s", "")+
		functionObject("unstarted", "peers", unstarted(t, dir), "2s", "")) + "/namespaces/peers"
	t.Run("success", func(t *testing.T) { nodeAnswers(t, front) })
	t.Run("errors", func(t *testing.T) { nodeErrors(t, front) })
	t.Run("concurrency", func(t *testing.T) { nodeTogether(t, front) })
}

// nodePackage is a deployment package with the handler and the runtime client.
func nodePackage(t *testing.T) string {
	t.Helper()
	ric := "aws-lambda-ric"
	npm(t, ric+"/.built")
	dir := testbed.OpenDir(t)
	for _, f := range []struct {
		from, to string
		mode     os.FileMode
	}{
		{"testdata/ric/bootstrap", "bootstrap", 0o755},
		{"testdata/ric/index.js", "index.js", 0o644},
		{npm(t, ric+"/package.json"), "node_modules/aws-lambda-ric/package.json", 0o644},
		{npm(t, ric+"/index.mjs"), "node_modules/aws-lambda-ric/index.mjs", 0o644},
		{npm(t, ric+"/rapid-client.node"), "node_modules/aws-lambda-ric/rapid-client.node", 0o644},
	} {
		text, err := os.ReadFile(f.from)
		must(t, err)
		write(t, filepath.Join(dir, f.to), string(text), f.mode)
	}
	return dir
}

// unstarted is the package without its handler.
func unstarted(t *testing.T, dir string) string {
	t.Helper()
	broken := testbed.OpenDir(t)
	must(t, os.CopyFS(broken, os.DirFS(dir)))
	must(t, os.Remove(filepath.Join(broken, "index.js")))
	return broken
}

// nodeAnswer is what the handler answers.
type nodeAnswer struct {
	Event json.RawMessage
	PID   int
	Calls int
}

func nodeReply(t *testing.T, r reply) nodeAnswer {
	t.Helper()
	var a nodeAnswer
	if err := json.Unmarshal([]byte(r.payload), &a); err != nil || r.status != 200 || r.functionError != "" {
		t.Fatalf("got %+v (%v)", r, err)
	}
	return a
}

func nodeAnswers(t *testing.T, front string) {
	event := `{"n":1,"text":"日本","list":[null,1500]}`
	first := nodeReply(t, sdk(t, front, call{function: "node", payload: event}))
	second := nodeReply(t, sdk(t, front, call{function: "node", payload: event}))
	if string(first.Event) != event || first.Calls != 1 || second.Calls != 2 || second.PID != first.PID {
		t.Errorf("got %+v and %+v; want two calls of one instance", first, second)
	}
	got := sdk(t, front, call{function: "node", tail: true, payload: `{"do":"log","text":"written by node"}`})
	if !strings.Contains(got.log, "written by node") || !strings.Contains(got.log, "\nREPORT RequestId: ") {
		t.Errorf("log %q", got.log)
	}
	got = sdk(t, front, call{function: "node", context: `{"custom":{"order":"7"}}`, payload: `{"do":"context"}`})
	var c struct {
		Custom struct{ Custom struct{ Order string } }
		ARN    string
		Left   int
	}
	if json.Unmarshal([]byte(got.payload), &c) != nil || c.Custom.Custom.Order != "7" || !strings.HasSuffix(c.ARN, ":node") || c.Left <= 0 || c.Left > 30_000 {
		t.Errorf("context: got %+v", got)
	}
}

func nodeErrors(t *testing.T, front string) {
	got := sdk(t, front, call{function: "node", payload: `{"do":"fail","text":"no such order"}`})
	if got.functionError != "Unhandled" || !strings.Contains(got.payload, `"errorType":"RangeError"`) || !strings.Contains(got.payload, "no such order") {
		t.Errorf("throw: got %+v", got)
	}
	got = sdk(t, front, call{function: "unstarted", payload: "{}"})
	if got.functionError != "Unhandled" || !strings.Contains(got.payload, `"errorType":"Runtime.ImportModuleError"`) {
		t.Errorf("no handler: got %+v", got)
	}
	for name, test := range map[string]struct{ function, payload, says string }{
		"exit":    {"node", `{"do":"exit"}`, "Runtime.ExitError"},
		"timeout": {"hasty", `{"do":"hang"}`, "Task timed out after 5.00 seconds"},
	} {
		before := nodeReply(t, sdk(t, front, call{function: test.function, payload: "{}"}))
		got := sdk(t, front, call{function: test.function, payload: test.payload})
		if got.status != 200 || got.functionError != "Unhandled" || !strings.Contains(got.payload, test.says) {
			t.Errorf("%s: got %+v", name, got)
		}
		if after := nodeReply(t, sdk(t, front, call{function: test.function, payload: "{}"})); after.PID == before.PID || after.Calls != 1 {
			t.Errorf("%s: the next call was in %+v, which is not a new instance", name, after)
		}
	}
}

// nodeTogether holds calls until all of them are running: each in an instance of
// its own, for the runtime client takes one call at a time.
func nodeTogether(t *testing.T, front string) {
	const calls = 3
	var met sync.WaitGroup
	met.Add(calls)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		met.Done()
		met.Wait()
	}))
	defer s.Close()
	answers := make([]reply, calls)
	var sent sync.WaitGroup
	for i := range answers {
		sent.Go(func() {
			answers[i] = sdk(t, front, call{function: "node", payload: `{"do":"meet","at":"` + s.URL + `"}`})
		})
	}
	sent.Wait()
	seen := map[int]bool{}
	for _, r := range answers {
		seen[nodeReply(t, r).PID] = true
	}
	if len(seen) != calls {
		t.Errorf("%d calls at once in %d processes", calls, len(seen))
	}
}

// TestNodeRuntimeInClouds runs the same package on the stand-ins: as it is on
// Lambda, under the shim on SCF.
func TestNodeRuntimeInClouds(t *testing.T) {
	node := nodePackage(t)
	t.Run("lambda", func(t *testing.T) {
		api, _ := standIn(t, "keys: [{id: "+keyID+", secret: "+secret+"}]\nfunctions:\n  - {name: node, dir: "+node+", command: [bootstrap], timeout: 20s}\n")
		nodeInCloud(t, func(payload, context string) (answer, log string, failed bool) {
			got := sdk(t, api, call{function: "node", payload: payload, context: context, tail: true})
			return got.payload, got.log, got.functionError != ""
		})
	})
	t.Run("scf", func(t *testing.T) {
		dir := testbed.OpenDir(t)
		shim, err := os.ReadFile(ours(t, "scf/bootstrap"))
		must(t, err)
		write(t, filepath.Join(dir, "bootstrap"), string(shim), 0o755)
		must(t, os.Symlink(node, filepath.Join(dir, "lambda")))
		api, _ := standIn(t, "provider: scf\nkeys: [{id: "+scfID+", secret: "+secret+"}]\nfunctions:\n  - {name: node, dir: "+dir+", command: [bootstrap], timeout: 20s}\n")
		p := scfPool(t, api)
		nodeInCloud(t, func(payload, context string) (answer, log string, failed bool) {
			got := sendSCF(t, p, "node", payload, context)
			if got.Outcome.Class != spillway.Executed {
				t.Errorf("%s: %+v", payload, got.Outcome)
			}
			return string(got.Payload), string(got.LogTail), got.Outcome.FunctionError != spillway.FunctionOK
		})
	})
}

func nodeInCloud(t *testing.T, invoke func(payload, context string) (answer, log string, failed bool)) {
	for _, test := range []struct {
		name, payload, context, want, log string
		failed                            bool
	}{
		{"success", `{"n":1,"text":"日本"}`, "", `{"event":{"n":1,"text":"日本"},"pid":`, "", false},
		{"log", `{"do":"log","text":"written by node"}`, "", `"calls":2`, "written by node", false},
		{"context", `{"do":"context"}`, `{"custom":{"order":"7"}}`, `"order":"7"`, "", false},
		{"throw", `{"do":"fail","text":"no such order"}`, "", `"errorType":"RangeError"`, "", true},
		{"exit", `{"do":"exit"}`, "", `"errorType":"Runtime.ExitError"`, "", true},
		{"after it", `{}`, "", `"calls":1`, "", false},
	} {
		answer, log, failed := invoke(test.payload, test.context)
		if failed != test.failed || !strings.Contains(answer, test.want) || !strings.Contains(log, test.log) {
			t.Errorf("%s: got %s, failed: %v, log %q", test.name, answer, failed, log)
		}
	}
}
