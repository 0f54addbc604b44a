package scf

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spillway-dev/spillway/agent"
)

// initLimit is SCF's own longest initialisation, of an image; SCF enforces what a
// function has set.
const initLimit = 90 * time.Second

// ErrNotSCF says that the process does not run as a custom runtime of SCF.
var ErrNotSCF = errors.New("SCF_RUNTIME_API and SCF_RUNTIME_API_PORT are not set: this is not an SCF custom runtime")

// FromEnvironment reads what SCF tells a custom runtime. environ is KEY=value;
// root is the absolute folder of the deployment package; command is the function's
// program with its arguments, in root or in PATH, and empty means lambda/bootstrap
// in root, an unmodified Lambda package put there. The function sees the
// environment that was set for it on SCF.
func FromEnvironment(environ []string, root string, command []string) (Config, error) {
	own := map[string]string{}
	var passed []string
	for _, pair := range environ {
		key, value, _ := strings.Cut(pair, "=")
		own[key] = value
		if !strings.HasPrefix(key, "SCF_RUNTIME_API") {
			passed = append(passed, pair)
		}
	}
	host, port := own["SCF_RUNTIME_API"], own["SCF_RUNTIME_API_PORT"]
	if host == "" || port == "" {
		return Config{}, ErrNotSCF
	}
	taskRoot := root
	if len(command) == 0 {
		taskRoot = filepath.Join(root, "lambda")
		command = []string{filepath.Join(taskRoot, "bootstrap")}
	}
	program, err := find(root, command[0])
	if err != nil {
		return Config{}, err
	}
	memory, _ := strconv.ParseInt(own["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"], 10, 64) // SCF tells it with events only: zero if not set
	c := agent.Config{
		Name: own["SCF_FUNCTIONNAME"], Version: own["SCF_FUNCTIONVERSION"], Handler: own["_HANDLER"], MemoryMiB: memory,
		TaskRoot: taskRoot, Scratch: "/tmp", Command: append([]string{program}, command[1:]...), Env: passed,
		InitTimeout: initLimit, Log: os.Stdout,
	}
	if c.Name == "" {
		c.Name = "function"
	}
	if dir := own["TMPDIR"]; filepath.IsAbs(dir) {
		c.Scratch = dir
	}
	return Config{API: net.JoinHostPort(host, port), Function: c}, nil
}

// find makes a program absolute: one of the package, or a bare name in PATH.
func find(root, program string) (string, error) {
	inPackage := program
	if !filepath.IsAbs(program) {
		inPackage = filepath.Join(root, program)
	}
	info, err := os.Stat(inPackage)
	if found, lookErr := exec.LookPath(program); err != nil && lookErr == nil && !strings.Contains(program, "/") {
		return found, nil
	}
	program = inPackage
	switch {
	case err != nil:
		return "", fmt.Errorf("the function's program: %w; put the Lambda package into the folder lambda beside bootstrap, or name the program", err)
	case info.IsDir() || info.Mode()&0o111 == 0:
		return "", fmt.Errorf("the function's program %s is not an executable file", program)
	}
	return program, nil
}
