package main

import (
	"bytes"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// startGC is how much garbage, in percent of what is in use, is worth a collection
	// while a configuration is read, which leaves much. While calls make some all the
	// time it is serveGC, or less where what is in use is large: garbage then stays
	// below serveGarbage, or startGC.
	startGC, serveGC = 50, 300
	serveGarbage     = 64 << 20 // bytes
	// memoryShare is the part of the memory that garbage may fill; the rest is for
	// functions and the page cache.
	memoryShare = 2
)

// saveMemory is for the start, for reloads, and for the operator, which is idle but for
// rounds. GOGC and GOMEMLIMIT, where they are set, are obeyed.
func saveMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(startGC)
	}
	if limit := memoryLimit(); limit > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit / memoryShare)
	}
}

// spendMemory is for serving; it gives back first what reading a configuration has left.
func spendMemory() {
	debug.FreeOSMemory()
	if os.Getenv("GOGC") == "" {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		debug.SetGCPercent(servePercent(m.HeapAlloc))
	}
}

// servePercent is how much garbage is worth a collection when inUse bytes are in use.
func servePercent(inUse uint64) int {
	return int(min(serveGC, max(startGC, serveGarbage*100/max(1, inUse))))
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
