package fromjob

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/config"
)

const nightly = `apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: shop}
spec:
  schedule: "0 1 * * *"
  jobTemplate:
    spec:
      completions: 3
      completionMode: Indexed
      template: {spec: {restartPolicy: Never, containers: [{name: main, image: "localhost/nightly:dev", command: [/nightly], env: [{name: A, value: b}]}]}}
`

func made(t testing.TB, text string, o Options) *Made {
	t.Helper()
	s, err := Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Make(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestLoaded: the loader takes what is made, beside a pool that can run it.
func TestLoaded(t *testing.T) {
	m := made(t, nightly, Options{Caller: "localhost/spillway:dev"})
	m.Caller = nil // those are the cluster's
	function, err := m.YAML()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	const pool = `apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: onprem}
spec: {kind: kubernetes, kubernetes: {runtimeImage: "localhost/agent:dev", allowTags: true}}
---
`
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), append([]byte(pool), function...), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Load(dir, time.Now(), config.Checks{InCluster: true, WithoutCode: true})
	if err != nil {
		t.Fatalf("%v\n%s", err, function)
	}
	if f := loaded.Platform.Functions; len(f) != 1 || f[0].Timeout != Longest || f[0].Instance.MilliCPU != leastCPU {
		t.Errorf("%+v", f)
	}
}

// TestIndexed: each pod of an Indexed CronJob sends its index.
func TestIndexed(t *testing.T) {
	text, err := made(t, nightly, Options{Caller: "c"}).YAML()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(`'{"index":$(JOB_COMPLETION_INDEX)}'`)) {
		t.Errorf("%s", text)
	}
}

// TestCallerIsKeptOut: who waits for a call does not wait for idle capacity besides.
func TestCallerIsKeptOut(t *testing.T) {
	text, err := made(t, nightly, Options{Caller: "c"}).YAML()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte("labels:\n            spillway.dev/offline: \"false\"\n")) {
		t.Errorf("%s", text)
	}
}

// TestNothingIsDroppedInSilence: what a function cannot have is named.
func TestNothingIsDroppedInSilence(t *testing.T) {
	const job = `apiVersion: batch/v1
kind: Job
metadata: {name: nightly, namespace: shop}
spec:
  podFailurePolicy: {rules: []}
  template:
    spec:
      restartPolicy: Never
      imagePullSecrets: [{name: ours}]
      nodeSelector: {disk: ssd}
      containers: [{name: main, image: "localhost/nightly:dev", command: [/nightly], workingDir: /work}]
`
	said := strings.Join(made(t, job, Options{}).Changes, "\n")
	if want := "Not carried over: imagePullSecrets, nodeSelector, podFailurePolicy, workingDir."; !strings.Contains(said, want) {
		t.Errorf("%s\nwant %s", said, want)
	}
	if said := strings.Join(made(t, nightly, Options{Caller: "c"}).Changes, "\n"); strings.Contains(said, "Not carried over") {
		t.Errorf("%s", said)
	}
	s, err := Read([]byte(nightly))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Make(Options{Timeout: time.Hour}); err == nil || !strings.Contains(err.Error(), "--timeout: 1h0m0s") {
		t.Errorf("a function of an hour: %v", err)
	}
}

// FuzzRead: whatever is read is refused with reasons, or made, twice the same.
func FuzzRead(f *testing.F) {
	for _, text := range []string{nightly, "", "---\n", "a: [", "[]\n---\n" + nightly, "{kind: A, metadata: {name: b}}\n---\n" + nightly, "kind: Job\napiVersion: batch/v1\n", nightly + "---\n" + nightly,
		"{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {template: {spec: {containers: [{name: a, image: 'localhost/a', command: [/a], resources: {requests: {cpu: -1, memory: 1e30}}}]}}}}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Read(text)
		if err != nil {
			return
		}
		m, err := s.Make(Options{Caller: "c", Namespace: "n"})
		if r, ok := errors.AsType[Refusals](err); ok && len(r) > 0 {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		first, err := m.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := made(t, string(text), Options{Caller: "c", Namespace: "n"}).YAML(); !bytes.Equal(first, again) {
			t.Errorf("%s\nand then\n%s", first, again)
		}
		if m.MilliCPU <= 0 || m.MiB <= 0 {
			t.Errorf("%d milliCPU, %d MiB", m.MilliCPU, m.MiB)
		}
	})
}
