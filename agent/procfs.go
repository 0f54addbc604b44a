package agent

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns the CPU time of pid, or 0. The kernel has a clock per process,
// so that reading it costs one call.
func cpuTime(pid int) time.Duration {
	const schedClock = 2 // CPUCLOCK_SCHED, of the whole thread group
	var t unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|schedClock), &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// peakRSS returns the most memory in bytes that pid had resident, or 0.
func peakRSS(pid int) int64 {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	_, rest, ok := bytes.Cut(status, []byte("VmHWM:"))
	fields := bytes.Fields(rest[:min(len(rest), 64)])
	if !ok || len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(string(fields[0]), 10, 64)
	return kib << 10
}

// groupRunning reports whether a process of group pgid is running. Members that
// ended and wait for init to collect them do not count.
func groupRunning(pgid int) bool {
	if syscall.Kill(-pgid, 0) == syscall.ESRCH {
		return false
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return true
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if state, group := stateOf(pid); group == pgid && state != 'Z' && state != 'X' {
			return true
		}
	}
	return false
}

// stateOf returns the state letter and process group of pid, or zeroes.
func stateOf(pid int) (state byte, pgid int) {
	fields := statOf(pid)
	if fields == nil {
		return 0, 0
	}
	pgid, _ = strconv.Atoi(string(fields[2]))
	return fields[0][0], pgid
}

// sessionOf returns the session of pid, or 0.
func sessionOf(pid int) int {
	fields := statOf(pid)
	if fields == nil {
		return 0
	}
	sid, _ := strconv.Atoi(string(fields[3]))
	return sid
}

// statOf returns state, ppid, pgrp, session and more of pid, or nil.
func statOf(pid int) [][]byte {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil
	}
	// pid (name) state …: the name may hold spaces and parentheses.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 4 {
		return nil
	}
	return fields
}
