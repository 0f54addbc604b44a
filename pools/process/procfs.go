package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// stat is what the kernel says of one process.
type stat struct {
	state          byte
	group, session int
	started        uint64 // clock ticks since boot: with the pid, the identity of a process
	resident       int64  // bytes
}

func (s stat) ended() bool { return s.state == 'Z' || s.state == 'X' }

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, err
	}
	return parseStat(text)
}

// parseStat reads a line of /proc/<pid>/stat: the name in it may hold anything.
func parseStat(text []byte) (stat, error) {
	end := bytes.LastIndexByte(text, ')')
	fields := bytes.Fields(text[end+1:])
	if end < 0 || len(fields) < 22 {
		return stat{}, errors.New("read process state: too few fields")
	}
	// fields[0] is the third field of the manual: state ppid pgrp session …
	s := stat{state: fields[0][0]}
	var errs [4]error
	s.group, errs[0] = strconv.Atoi(string(fields[2]))
	s.session, errs[1] = strconv.Atoi(string(fields[3]))
	s.started, errs[2] = strconv.ParseUint(string(fields[19]), 10, 64)
	pages, err := strconv.ParseInt(string(fields[21]), 10, 64)
	errs[3] = err
	s.resident = pages * int64(os.Getpagesize())
	if err := errors.Join(errs[:]...); err != nil {
		return stat{}, fmt.Errorf("read process state: %w", err)
	}
	return s, nil
}

// children returns the processes that the threads of pid have forked.
func children(pid int) (all []int) {
	lists, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for field := range bytes.FieldsSeq(text) {
			if child, err := strconv.Atoi(string(field)); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}

// everyPid calls visit for each process of the machine.
func everyPid(visit func(pid int)) error {
	proc, err := os.Open("/proc")
	if err != nil {
		return err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			visit(pid)
		}
	}
	return err
}
