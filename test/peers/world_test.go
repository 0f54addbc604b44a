package peers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spillway-dev/spillway/test/internal/testbed"
)

// Keys of callers, and of the cloud's account.
const (
	region    = "us-east-1"
	keyID     = "AKIAPEERSCALLER00001"
	secret    = "peers-caller-secret-0123456789abcdefghij"
	otherID   = "AKIAPEERSOTHER000001" // may invoke nothing that is there
	strangeID = "AKIAPEERSNOBODY00001" // known to nobody
)

// standIn runs `spillway cloud` with the configuration, in whose texts DIR is the
// folder of our programs, and returns the addresses of its API and its admin port.
func standIn(t *testing.T, config string) (api, admin string) {
	t.Helper()
	spillway := ours(t, "spillway")
	file := filepath.Join(testbed.OpenDir(t), "cloud.yaml")
	write(t, file, strings.ReplaceAll(config, "DIR", scratch), 0o600)
	cmd := exec.Command(spillway, "cloud", "--config", file, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	found := start(t, cmd, `(?s)API on (http://[0-9.:]+).* on (http://[0-9.:]+)/bill`)
	return found[1], found[2]
}

// up runs `spillway up` with the objects, on ports of its own, and returns the
// address of its front door.
func up(t *testing.T, objects string) string {
	t.Helper()
	spillway := ours(t, "spillway")
	dir, data := testbed.OpenDir(t), filepath.Join(testbed.OpenDir(t), "data")
	for name, text := range map[string]string{"secret": secret, "other": secret, "credentials": credentials()} {
		write(t, filepath.Join(dir, name), text+"\n", 0o600)
	}
	write(t, filepath.Join(dir, "platform.yaml"), fmt.Sprintf(serverObject, data, keyID, otherID)+strings.ReplaceAll(objects, "DIR", scratch), 0o600)
	cmd := exec.Command(spillway, "up", "--config", dir)
	start(t, cmd, `spillway is up`)
	text, err := os.ReadFile(filepath.Join(data, "server.json"))
	must(t, err)
	var at struct{ Front string }
	must(t, json.Unmarshal(text, &at))
	return at.Front
}

const serverObject = `apiVersion: spillway.dev/v1alpha1
kind: Server
metadata: {name: server}
spec:
  listen: 127.0.0.1:0
  admin: 127.0.0.1:0
  dataDir: %s
  drainTimeout: 20s
  auth:
    anonymous: false
    keys:
      - {accessKeyID: %s, secretFrom: {file: secret}, identity: tester, invoke: ["peers/*", "shut/*"]}
      - {accessKeyID: %s, secretFrom: {file: other}, identity: other, invoke: ["elsewhere/*"]}
---
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: onprem}
spec: {kind: process, region: here, initTimeout: 1m, capacity: {slots: 4, cpu: "64", memory: 16Gi}}
`

// functionObject is a Function on the on-prem pool; more is further lines of its spec.
func functionObject(name, namespace, dir, timeout, more string) string {
	return fmt.Sprintf(`---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: %s, namespace: %s}
spec:
  revisions: [{name: v1, package: {path: %s}}]
  resources: {cpu: 100m, memory: 512Mi}
  timeout: %s
%s`, name, namespace, dir, timeout, more)
}

func credentials() string {
	return "[default]\naws_access_key_id = " + keyID + "\naws_secret_access_key = " + secret + "\n"
}

// executions is how many calls the stand-in has run and billed.
func executions(t *testing.T, admin string) int {
	t.Helper()
	resp, err := http.Get(admin + "/bill")
	must(t, err)
	defer resp.Body.Close()
	var bill struct{ Executions *int }
	must(t, json.NewDecoder(resp.Body).Decode(&bill))
	if bill.Executions == nil {
		t.Fatal("the bill names no executions")
	}
	return *bill.Executions
}

// spoil makes the stand-in spoil calls.
func spoil(t *testing.T, admin string, fault map[string]any) {
	t.Helper()
	body, err := json.Marshal(fault)
	must(t, err)
	resp, err := http.Post(admin+"/faults", "application/json", bytes.NewReader(body))
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("the stand-in answered %d to a fault", resp.StatusCode)
	}
}
