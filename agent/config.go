package agent

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spillway-dev/spillway/pools"
)

// Config describes one function process.
type Config struct {
	Name      string
	Version   string // "$LATEST" if empty
	Handler   string
	ARN       string // what the function sees as its own name; may be empty
	Region    string // AWS_REGION; left out if empty
	MemoryMiB int64  // what the function is told; Cage enforces

	TaskRoot string   // absolute; working directory and LAMBDA_TASK_ROOT
	Scratch  string   // absolute and writable; HOME and TMPDIR
	Command  []string // absolute program path, then its arguments
	Env      []string // KEY=value; may not replace what the Runtime API defines

	// Web makes it a web function: an HTTP/1.1 server that listens on 127.0.0.1:$PORT.
	// It has no Runtime API, and no START, END and REPORT lines.
	Web bool
	// WebAtOnce is how many requests it takes at a time; 1 if zero.
	WebAtOnce int

	InitTimeout time.Duration // fork to first poll; 10 s if zero, as on Lambda
	MaxResponse int64         // bytes; pools.MaxPayload if zero

	// Log receives what the function writes, and START, END and REPORT lines. It is
	// never written to concurrently. Nil discards.
	Log       io.Writer
	LogGroup  string // names only; /aws/lambda/<Name> if empty
	LogStream string

	Credential *syscall.Credential // user to run as; nil for the caller's
	Cage       Cage                // nil for none
	// Ended is called once when the process has been reaped, its group and cage are
	// empty and its log is closed, before Done; nil for none.
	Ended func()
}

// Cage holds a function's processes, also those that left its process group.
// Methods are called by one goroutine at a time.
type Cage interface {
	// Enter puts the process just forked into the cage.
	Enter(pid int) error
	// Peak returns the most memory used together in bytes, 0 if not known. It is asked
	// many times a second.
	Peak() int64
	// Overran reports that something was killed for using too much memory.
	Overran() bool
	// Empty kills what is left and returns when nothing is. It is called once: after
	// the process that entered was reaped, or when none was started.
	Empty()
}

func (c Config) withDefaults() Config {
	if c.Version == "" {
		c.Version = "$LATEST"
	}
	if c.InitTimeout <= 0 {
		c.InitTimeout = 10 * time.Second
	}
	if c.MaxResponse <= 0 {
		c.MaxResponse = pools.MaxPayload
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	if c.LogGroup == "" {
		c.LogGroup = "/aws/lambda/" + c.Name
	}
	if c.LogStream == "" {
		c.LogStream = c.Version
	}
	return c
}

// environment is everything the function sees: nothing of the caller's own.
// address is of the Runtime API.
func (c Config) environment(address string) []string {
	return c.environmentWith([]string{
		"AWS_LAMBDA_RUNTIME_API=" + address,
		"AWS_LAMBDA_FUNCTION_NAME=" + c.Name,
		"AWS_LAMBDA_FUNCTION_VERSION=" + c.Version,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=" + strconv.FormatInt(c.MemoryMiB, 10),
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME=" + c.LogGroup,
		"AWS_LAMBDA_LOG_STREAM_NAME=" + c.LogStream,
		"_HANDLER=" + c.Handler,
		"LAMBDA_TASK_ROOT=" + c.TaskRoot,
		"LAMBDA_RUNTIME_DIR=" + c.TaskRoot,
	})
}

// webEnvironment is what a web function sees.
func (c Config) webEnvironment(port int) []string {
	return c.environmentWith([]string{"PORT=" + strconv.Itoa(port), "HOST=127.0.0.1"})
}

func (c Config) environmentWith(reserved []string) []string {
	if c.Region != "" {
		reserved = append(reserved, "AWS_REGION="+c.Region, "AWS_DEFAULT_REGION="+c.Region)
	}
	defaults := []string{
		"PATH=/usr/local/bin:/usr/bin:/bin",
		"LANG=en_US.UTF-8",
		"TZ=:UTC",
		"HOME=" + c.Scratch,
		"TMPDIR=" + c.Scratch,
	}
	return mergeEnv(reserved, c.Env, defaults)
}

// mergeEnv joins lists of KEY=value; the first list that has a key wins.
func mergeEnv(lists ...[]string) []string {
	seen := map[string]bool{}
	var env []string
	for _, list := range lists {
		for _, pair := range slices.Backward(list) { // within a list, the last wins
			key, _, ok := strings.Cut(pair, "=")
			if !ok || key == "" || seen[key] {
				continue
			}
			seen[key] = true
			env = append(env, pair)
		}
	}
	return env
}
