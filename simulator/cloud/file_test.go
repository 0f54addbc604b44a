package cloud

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const goodFile = `region: us-west-2
account: "111122223333"
keys:
  - {id: AKIDFILE, secret: file-secret-1}
  - {id: AKIDOTHER, secretFile: other.secret}
concurrency: 50
rampPer10s: 20
idleTimeout: 30s
prices: {gbSecond: "0.00002", request: "0"}
executionLog: log/executions.jsonl
faultSeed: 7
faults:
  - {kind: throttle, function: resize, every: 10}
functions:
  - name: resize
    qualifiers: {live: "3", "3": "3"}
    memory: 512
    timeout: 30s
    reserved: 0
    command: [bootstrap, -v]
    dir: functions/resize
    env: {B: "2", A: "1"}
    handler: main
  - name: plain
    command: [./plain]
`

func write(t testing.TB, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "other.secret"), []byte("file-secret-2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"x", "plain", "functions/resize/bootstrap"} {
		program = filepath.Join(dir, program)
		if err := os.MkdirAll(filepath.Dir(program), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(program, nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "cloud.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadConfig(t *testing.T) {
	path := write(t, goodFile)
	dir := filepath.Dir(path)
	c, err := LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Region != "us-west-2" || c.AccountID != "111122223333" || c.Concurrency != 50 || c.RampPer10s != 20 || c.IdleTimeout != 30*time.Second || c.FaultSeed != 7 {
		t.Errorf("got %+v", c)
	}
	if c.Keys["AKIDFILE"] != "file-secret-1" || c.Keys["AKIDOTHER"] != "file-secret-2" {
		t.Error("keys are not as in the file")
	}
	if c.Prices != (Prices{"0.00002", "0"}) || c.ExecutionLog != filepath.Join(dir, "log/executions.jsonl") || c.Faults[0].Every != 10 {
		t.Errorf("got %+v %s %+v", c.Prices, c.ExecutionLog, c.Faults)
	}
	f := c.Functions[0]
	if f.MiB != 512 || f.Timeout != 30*time.Second || *f.Reserved != 0 || f.Dir != filepath.Join(dir, "functions/resize") || f.Qualifiers["live"] != "3" ||
		strings.Join(f.Env, " ") != "A=1 B=2" || f.HandlerName != "main" || len(f.Command) != 2 {
		t.Errorf("got %+v", f)
	}
	if f := c.Functions[1]; f.MiB != 128 || f.Timeout != 3*time.Second || f.Reserved != nil || f.Dir != dir {
		t.Errorf("defaults: %+v", f)
	}
}

func TestLoadConfigRefuses(t *testing.T) {
	const keys = "keys: [{id: A, secret: topsecret}]\n"
	tests := []struct{ name, text, want string }{
		{"empty", "", ":1:1: keys: no access key"},
		{"unknown field", keys + "regoin: x\n", ":2:1: regoin: is not a field here; allowed: region account keys"},
		{"unknown field of a function", keys + "functions:\n  - name: f\n    comand: [x]\n", ":4:5: functions[0].comand: is not a field here; allowed: name qualifiers"},
		{"duplicate", keys + "region: us-east-1\nregion: us-east-1\n", ":3:1: region: is there twice"},
		{"type", keys + "concurrency: many\n", ":2:14: concurrency: has the wrong type; allowed: a whole number"},
		{"type of a list", keys + "functions: 3\n", ":2:12: functions: has the wrong type; allowed: a list"},
		{"duration", keys + "idleTimeout: soon\n", ":2:14: "},
		{"zero", keys + "concurrency: 0\n", ":2:14: concurrency: must be positive; allowed: 1 or more"},
		{"overflow", keys + "concurrency: 99999999999999999999\n", ":2:14: "},
		{"not YAML", keys + "functions: [\n", ": is not valid YAML"},
		{"tab", keys + "\tregion: x\n", ":2:"},
		{"alias", keys + "region: &a x\naccount: *a\n", ":2:9: anchors and aliases"},
		{"two documents", keys + "---\nregion: x\n", ": a second document"},
		{"region", keys + "region: Mars\n", ":2:9: region: \"Mars\" is not a region; allowed: a region such as us-east-1"},
		{"account", keys + "account: \"1\"\n", ":2:10: account: "},
		{"price", keys + "prices: {gbSecond: 1e-5}\n", ":2:20: prices.gbSecond: "},
		{"negative price", keys + "prices: {request: \"-1\"}\n", ":2:19: prices.request: "},
		{"key twice", "keys: [{id: A, secret: topsecret}, {id: A, secret: topsecret}]\n", ": keys[1].id: \"A\" is there twice"},
		{"no secret", "keys: [{id: A}]\n", ": keys[0]: needs a secret; allowed: either secret or secretFile"},
		{"no secret file", "keys: [{id: A, secretFile: nowhere}]\n", ": keys[0].secretFile: cannot be read"},
		{"memory", keys + "functions: [{name: f, command: [x], memory: 64}]\n", ":2:45: functions[0].memory: 64 MiB; allowed: 128 to 10240"},
		{"timeout", keys + "functions: [{name: f, command: [x], timeout: 1h}]\n", ": functions[0].timeout: "},
		{"name", keys + "functions: [{name: a b, command: [x]}]\n", ": functions[0].name: \"a b\" is not a function name"},
		{"name twice", keys + "functions: [{name: f, command: [x]}, {name: f, command: [x]}]\n", ": functions[1].name: \"f\" is there twice"},
		{"no command", keys + "functions: [{name: f}]\n", ": functions[0].command: "},
		{"no program", keys + "functions: [{name: f, command: [nowhere]}]\n", ":2:32: functions[0].command: the program \"nowhere\" is not there"},
		{"no executable", keys + "functions: [{name: f, command: [other.secret]}]\n", ": functions[0].command: \"other.secret\" is not an executable file"},
		{"version", keys + "functions: [{name: f, command: [x], qualifiers: {live: new}}]\n", ": functions[0].qualifiers.live: \"new\" is not a version"},
		{"version of a version", keys + "functions: [{name: f, command: [x], qualifiers: {\"3\": \"4\"}}]\n", ": a version can only name itself"},
		{"too much reserved", keys + "concurrency: 1\nfunctions: [{name: f, command: [x], reserved: 2}]\n", ": functions: reserved concurrency adds up to 2"},
		{"fault", keys + "faults: [{kind: flood}]\n", ": faults[0]: unknown kind of fault \"flood\"; allowed: throttle"},
		{"fault of nobody", keys + "faults: [{kind: throttle, function: nobody}]\n", ": faults[0].function: no function \"nobody\""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, test.text)
			_, err := LoadConfig(path)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), path+":") {
				t.Fatalf("got %v\nwant %s", err, test.want)
			}
			if strings.Contains(err.Error(), "topsecret") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestLoadSCFConfig(t *testing.T) {
	const keys = "provider: scf\nkeys: [{id: A, secret: topsecret}]\n"
	c, err := LoadConfig(write(t, keys+"functions:\n  - {name: fn, command: [x]}\n  - {name: other, command: [x], memory: 64, reserved: 640, namespace: tools}\n"+
		"faults: [{kind: throttle, reason: \"432\"}, {kind: error_code, reason: InternalError}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Provider != SCF || c.Region != "ap-guangzhou" || c.MemoryQuota != 128_000 || c.RampPerMinute != 500 || c.Concurrency != 0 ||
		c.Prices != (Prices{"0.00011108", "0.00000133"}) || c.Functions[0].Namespace != "default" || c.Functions[1].Namespace != "tools" {
		t.Errorf("%+v", c)
	}
	for text, want := range map[string]string{
		"provider: azure\n":                                                           ":1:11: provider: \"azure\" is not a cloud; allowed: lambda, scf",
		keys + "concurrency: 5\n":                                                     ":3:14: concurrency: is for provider lambda; SCF counts memory; allowed: memoryQuota in MiB",
		keys + "rampPer10s: 5\n":                                                      ":3:13: rampPer10s: is for provider lambda",
		keys + "account: \"1\"\n":                                                     ":3:10: account: is for provider lambda",
		keys + "memoryQuota: 0\n":                                                     ":3:14: memoryQuota: must be positive",
		keys + "rampPerMinute: -1\n":                                                  ":3:16: rampPerMinute: must be positive",
		keys + "region: Mars\n":                                                       ":3:9: region: \"Mars\" is not a region",
		keys + "faults: [{kind: flood}]\n":                                            ": unknown kind of fault \"flood\"; allowed: throttle error_before",
		keys + "faults: [{kind: throttle, reason: Odd}]\n":                            ": reason \"Odd\" is not one of SCF's; allowed: LimitExceeded.Quota",
		keys + "functions: [{name: x, command: [x]}]\n":                               ": functions[0].name: \"x\" is not a function name",
		keys + "functions: [{name: fn, command: [x], memory: 200}]\n":                 ":3:46: functions[0].memory: 200 MiB; allowed: 64, or 128 to 3072 in steps of 128",
		keys + "functions: [{name: fn, command: [x], namespace: 1x}]\n":               ": functions[0].namespace: \"1x\" is not a namespace",
		keys + "memoryQuota: 1\nfunctions: [{name: fn, command: [x], reserved: 2}]\n": ": functions: reserved concurrency adds up to 2",
		"keys: [{id: A, secret: topsecret}]\nmemoryQuota: 5\n":                        ":2:14: memoryQuota: is for provider scf",
		"keys: [{id: A, secret: topsecret}]\nfunctions: [{name: f, command: [x], namespace: ns}]\n": ": functions[0].namespace: is for provider scf",
	} {
		if _, err := LoadConfig(write(t, text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s\ngave %v\nwant %s", text, err, want)
		}
	}
}

func TestLoadConfigNamesAllFaults(t *testing.T) {
	_, err := LoadConfig(write(t, "region: Mars\nconcurrency: -1\n"))
	if n := len(strings.Split(err.Error(), "\n")); n != 3 {
		t.Errorf("%d faults: %v", n, err)
	}
}

func FuzzDecodeConfig(f *testing.F) {
	f.Add(goodFile)
	f.Add("functions: [{name: f, command: [x], qualifiers: {\"$LATEST\": \"1\"}}]")
	f.Add("faults: [{kind: throttle, probability: .nan}]\nkeys: [null]")
	f.Add("? [a]\n: b\n")
	f.Add("provider: scf\nfunctions: [{name: fn, command: [x], namespace: 1}]")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "secretFile") || len(text) > 4096 {
			return // would read files
		}
		c, err := decodeConfig("fuzz.yaml", []byte(text))
		if err == nil && c.check() != nil {
			t.Errorf("accepted, and yet: %v", c.check())
		}
	})
}

func FuzzParseName(f *testing.F) {
	f.Add("arn:aws:lambda:us-east-1:123456789012:function:echo:live")
	f.Add("123456789012:function:echo")
	f.Add("echo:$LATEST")
	f.Add("us-east-1:function:x")
	f.Fuzz(func(t *testing.T, text string) {
		got, refused := parseName(text)
		if refused == nil && (!nameForm.MatchString(got.name) || got.region != "" && got.account == "") {
			t.Errorf("%q is %+v", text, got)
		}
	})
}
