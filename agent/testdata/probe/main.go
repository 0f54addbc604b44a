// Probe is a function that shows what it sees and misbehaves when told to.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

type event struct {
	Do, File, Text string
	MiB            int
}

func main() {
	switch os.Getenv("PROBE_INIT") {
	case "exit":
		os.Exit(3)
	case "hang":
		time.Sleep(time.Hour)
	case "error":
		url := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/init/error"
		body := strings.NewReader(`{"errorType":"Probe.InitBroken","errorMessage":"no"}`)
		if _, err := http.Post(url, "application/json", body); err != nil {
			panic(err)
		}
		os.Exit(1)
	}
	lambda.Start(handle)
}

func handle(_ context.Context, e event) (any, error) {
	switch e.Do {
	case "":
		return "done", nil
	case "print":
		fmt.Println(e.Text)
		return nil, nil
	case "env":
		return append(os.Environ(), descriptors()...), nil
	case "child":
		return nil, leaveChild(e.File, e.Text == "setsid")
	case "exit-after":
		time.AfterFunc(20*time.Millisecond, func() { os.Exit(0) })
		return nil, nil
	case "id":
		return map[string]int{"uid": os.Getuid(), "gid": os.Getgid()}, nil
	case "eat":
		return eat(e.MiB), nil
	}
	return nil, errors.New("unknown: " + e.Do)
}

func descriptors() (list []string) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		target, _ := os.Readlink("/proc/self/fd/" + entry.Name())
		list = append(list, "fd "+entry.Name()+" "+target)
	}
	return list
}

// leaveChild starts a sleeper, in a session of its own if told to, and never returns.
func leaveChild(file string, session bool) error {
	command := exec.Command("sleep", "3600")
	if session {
		command = exec.Command("setsid", "sleep", "3600")
	}
	if err := command.Start(); err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(command.Process.Pid)), 0o600); err != nil {
		return err
	}
	time.Sleep(time.Hour)
	return nil
}

func eat(mib int) int {
	held := make([]byte, mib<<20)
	for i := 0; i < len(held); i += 4096 {
		held[i] = 1
	}
	time.Sleep(200 * time.Millisecond)
	return len(held)
}
