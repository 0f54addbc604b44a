package main

import (
	"bytes"
	"math"
	"os"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// startGC and serveGC are how much garbage, in percent of what is in use, is
	// worth a collection: little while a configuration is read, which leaves much;
	// more while calls make some all the time.
	startGC, serveGC = 50, 300
	// memoryShare is the part of the memory that garbage may fill; the rest is for
	// functions and the page cache.
	memoryShare = 2
)

// saveMemory is for the start. GOGC and GOMEMLIMIT, where they are set, are obeyed.
func saveMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(startGC)
	}
	if limit := memoryLimit(); limit > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit / memoryShare)
	}
}

// spendMemory is for serving; it gives back first what the start has left.
func spendMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(serveGC)
	}
	debug.FreeOSMemory()
}

// memoryLimit is the memory of the machine, or of this process's container if that
// is less, in bytes; 0 if it is not known.
func memoryLimit() int64 {
	limit := int64(math.MaxInt64)
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		limit = int64(info.Totalram * uint64(info.Unit))
	}
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, _ := os.ReadFile(path)
		if n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64); err == nil && n > 0 {
			limit = min(limit, n)
		}
	}
	if limit == math.MaxInt64 {
		return 0
	}
	return limit
}
