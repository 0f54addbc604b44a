package process

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
)

// serveUntilKilled is a server whose function has left a child in its group. It
// prints the child's pid and waits for SIGKILL.
func serveUntilKilled(dir, path string) {
	p, err := Open(Config{Dir: dir})
	if err != nil {
		panic(err)
	}
	digest, err := pkgdigest.Digest(path)
	if err != nil {
		panic(err)
	}
	f := &spillway.Function{
		FunctionKey: spillway.FunctionKey{Namespace: "a", Name: "b"}, Timeout: time.Hour,
		Package: spillway.Package{Path: path, Digest: digest}, Resources: spillway.Resources{MiB: 128}, Instance: spillway.Resources{MiB: 128},
	}
	if _, err := p.StartInstance(context.Background(), 1, f); err != nil {
		panic(err)
	}
	file := filepath.Join(p.run, "work", "0", "pid")
	go p.Invoke(context.Background(), pools.Request{Invocation: "x", Function: f, Instance: 1, Deadline: time.Now().Add(time.Hour),
		Payload: []byte(`{"do":"child","file":"` + file + `"}`)})
	for {
		if text, err := os.ReadFile(file); err == nil && len(text) > 0 {
			fmt.Println(string(text))
			select {}
		}
	}
}

func TestWhatAKilledServerLeftIsEnded(t *testing.T) {
	dir := t.TempDir()
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), crashVariable+"="+dir, "SPILLWAY_TEST_PACKAGE="+probePackage)
	server.Stderr = os.Stderr
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var child int
	fmt.Sscan(strings.TrimSpace(line), &child)
	server.Process.Kill()
	server.Wait()

	if s, err := readStat(child); err != nil || s.ended() {
		t.Fatalf("the child did not outlive its server, nothing is tested: %v", err)
	}
	records, _ := filepath.Glob(filepath.Join(dir, "instances", "*.json"))
	if len(records) != 1 {
		t.Fatalf("records %v", records)
	}
	// The group alone must do, without help of a cgroup.
	if _, err := openRecords(filepath.Join(dir, "instances")); err != nil {
		t.Fatal(err)
	}
	if s, err := readStat(child); err == nil && !s.ended() {
		t.Errorf("child %d is in state %c", child, s.state)
	}
	open(t, Config{Dir: dir})
}

// A recorded number that now belongs to another process must not be touched.
func TestStrangersAreSpared(t *testing.T) {
	sleeper := exec.Command("sleep", "3600")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		sleeper.Process.Kill()
		sleeper.Wait()
	}()
	dir := t.TempDir()
	r, err := openRecords(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := readStat(sleeper.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	write := func(slot int, change func(*record)) {
		old := record{r.boot, s.group, s.started, s.session, os.Getuid()}
		if leader, err := readStat(s.group); err == nil {
			old.Started = leader.started
		}
		change(&old)
		text, _ := json.Marshal(old)
		if err := os.WriteFile(r.path(slot), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(0, func(o *record) { o.Boot = "another" })
	write(1, func(o *record) { o.Pid, o.Started = sleeper.Process.Pid, s.started-1 })
	write(2, func(o *record) { o.Session++ })
	write(3, func(o *record) { o.UID++ })
	os.WriteFile(r.path(4), []byte("{"), 0o600)
	if _, err := openRecords(dir); err != nil {
		t.Fatal(err)
	}
	if s, err := readStat(sleeper.Process.Pid); err != nil || s.ended() {
		t.Error("a stranger was killed")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("records left: %v", left)
	}
}

// steal asks for an event as a process of another user would.
func steal(address string) (string, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	return answer.Status, answer.Body.Close()
}

func FuzzParseStat(f *testing.F) {
	self, _ := os.ReadFile("/proc/self/stat")
	f.Add(self)
	f.Add([]byte("7 (a) b) S 1 7 7 0"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := parseStat(text); err == nil && !strings.Contains(string(text), ")") {
			t.Error("parsed a line without a name")
		}
	})
}
