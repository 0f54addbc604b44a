package config

import (
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/spillway-dev/spillway"
)

// slotsPerCore is how many instances a core is trusted with by default: most of
// the time most of them wait.
const slotsPerCore = 4

// thisMachine returns what a process pool may hold when nobody said: all cores
// and half of the memory that is ours, at least 256 MiB.
func thisMachine() spillway.Resources {
	cores := int64(runtime.GOMAXPROCS(0))
	return spillway.Resources{Slots: slotsPerCore * cores, MilliCPU: 1000 * cores, MiB: max(memoryBytes()/2/mib, 256)}
}

// memoryBytes returns the machine's memory or our cgroup's limit, whichever is
// less; zero if neither is known.
func memoryBytes() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	total := int64(info.Totalram) * int64(info.Unit)
	text, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if err != nil {
		return total
	}
	if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
		return min(total, limit)
	}
	return total
}
